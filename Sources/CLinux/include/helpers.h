// Threads that may wait, and what they do: programs, names of users, folders, interfaces.
#pragma once
#include "linux.h"

// One lock and one condition.
typedef struct linux_gate linux_gate;
linux_gate *linux_gate_make(void);
void linux_gate_free(linux_gate *gate);
void linux_gate_lock(linux_gate *gate);
void linux_gate_unlock(linux_gate *gate);
// Only while it is locked.
void linux_gate_wait(linux_gate *gate);
void linux_gate_signal(linux_gate *gate);

// Starts a thread that nobody waits for. 0, or a negated errno.
long linux_start_thread(void (*body)(void *), void *argument);

// Runs a command with /bin/sh, standard input empty, and reads what it prints. The number of bytes, or a negated
// errno: ETIMEDOUT when it took too long, EFBIG when it printed more, ECHILD when it failed (`status` says how:
// as waitpid tells it).
long linux_run_program(const char *command, void *room, size_t count, int milliseconds, int *status);

// The name the system has for a user. The number of bytes, 0 when there is none, or a negated errno.
long linux_user_name(uint32_t user, char *room, size_t count);

// Calls `body` for each name in a folder. 0, or a negated errno.
long linux_list_folder(const char *path, void *owner, void (*body)(void *owner, const char *name));

// Calls `body` for each address of the machine's interfaces. 0, or a negated errno.
long linux_list_interfaces(
    void *owner, void (*body)(void *owner, const linux_address *address, const linux_address *mask));
