#pragma once
#include_next <ares.h>
