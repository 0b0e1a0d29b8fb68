#pragma once
#include_next <ares.h>
#include <netdb.h>
#include <string.h>
#include <sys/time.h>

// A channel that looks into /etc/hosts first and reports which descriptors it wants watched. `configuration` is a
// file like /etc/resolv.conf, NULL for that one. 0 or an ARES_ code.
static inline int cares_open(ares_channel *channel, ares_sock_state_cb watch, void *owner, const char *configuration) {
    struct ares_options options;
    memset(&options, 0, sizeof options);
    options.sock_state_cb = watch;
    options.sock_state_cb_data = owner;
    options.lookups = (char *)"fb";
    int given = ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
    if (configuration) {
        options.resolvconf_path = (char *)configuration;
        given |= ARES_OPT_RESOLVCONF;
    }
    return ares_init_options(channel, &options, given);
}

// Milliseconds until the channel has to be called again; -1 for never.
static inline long cares_wait_milliseconds(ares_channel channel) {
    struct timeval room, *left = ares_timeout(channel, NULL, &room);
    return left ? (long)left->tv_sec * 1000 + (left->tv_usec + 999) / 1000 : -1;
}

static inline void cares_start(ares_channel channel, const char *name, ares_addrinfo_callback done, void *lookup) {
    struct ares_addrinfo_hints hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(channel, name, NULL, &hints, done, lookup);
}

// Asks for the name of an address; its bytes stand as in a packet, 4 or 16 of them.
static inline void cares_start_host(
    ares_channel channel, const void *address, int count, ares_host_callback done, void *lookup) {
    ares_gethostbyaddr(channel, address, count, count == 4 ? AF_INET : AF_INET6, done, lookup);
}

// Asks for the start-of-authority record of a zone.
static inline void cares_start_zone(ares_channel channel, const char *zone, ares_callback done, void *lookup) {
    ares_query(channel, zone, 1 /* IN */, 6 /* SOA */, done, lookup);
}

// The serial number of a zone, or -1 when the answer holds none.
static inline int64_t cares_serial(const unsigned char *answer, int length) {
    struct ares_soa_reply *soa = NULL;
    if (!answer || ares_parse_soa_reply(answer, length, &soa) != ARES_SUCCESS) return -1;
    int64_t serial = soa->serial;
    ares_free_data(soa);
    return serial;
}

// Macros in one version of c-ares, an enumeration in another.
static const int cares_success = ARES_SUCCESS;
static const int cares_no_name = ARES_ENOTFOUND;
static const int cares_no_record = ARES_ENODATA;
static const int cares_destroyed = ARES_EDESTRUCTION;
static const int cares_init_all = ARES_LIB_INIT_ALL;
