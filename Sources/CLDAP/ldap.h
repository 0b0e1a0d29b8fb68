#pragma once
#include_next <ldap.h>
#include <string.h>
#include <sys/time.h>

// Before any thread uses the library: it reads its configuration files (LDAPCONF, ldap.conf, ...) once.
static inline int cldap_prepare(void) {
    int version = 0;
    return ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

// A connection that is made when it is used first; no step of it takes longer than this. An LDAP_ code.
static inline int cldap_open(LDAP **connection, const char *url, int seconds) {
    int result = ldap_initialize(connection, url);
    if (result != LDAP_SUCCESS) return result;
    int version = LDAP_VERSION3;
    struct timeval limit = {.tv_sec = seconds};
    if (ldap_set_option(*connection, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
        ldap_set_option(*connection, LDAP_OPT_NETWORK_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
        ldap_set_option(*connection, LDAP_OPT_TIMEOUT, &limit) == LDAP_OPT_SUCCESS)
        return LDAP_SUCCESS;
    ldap_unbind_ext(*connection, NULL, NULL);
    return LDAP_OTHER;
}

static inline void cldap_close(LDAP *connection) { ldap_unbind_ext(connection, NULL, NULL); }
static inline int cldap_start_tls(LDAP *connection) { return ldap_start_tls_s(connection, NULL, NULL); }

// A simple bind. An LDAP_ code.
static inline int cldap_bind(LDAP *connection, const char *name, const void *password, size_t count) {
    struct berval secret = {.bv_len = count, .bv_val = (char *)password};
    return ldap_sasl_bind_s(connection, name, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

// The name of the only entry that the filter finds, to be freed with ldap_memfree. An LDAP_ code:
// LDAP_NO_SUCH_OBJECT for none, LDAP_SIZELIMIT_EXCEEDED for several.
static inline int cldap_find(
    LDAP *connection, const char *base, int scope, const char *filter, int seconds, char **name) {
    char *attributes[] = {LDAP_NO_ATTRS, NULL};
    struct timeval limit = {.tv_sec = seconds};
    LDAPMessage *found = NULL;
    *name = NULL;
    int result = ldap_search_ext_s(
        connection, base, scope, filter, attributes, 0, NULL, NULL, &limit, 2, &found);
    if (result == LDAP_SUCCESS) {
        int count = ldap_count_entries(connection, found);
        if (count == 1) {
            *name = ldap_get_dn(connection, ldap_first_entry(connection, found));
            if (*name == NULL) result = LDAP_DECODING_ERROR;
        } else {
            result = count > 1 ? LDAP_SIZELIMIT_EXCEEDED : LDAP_NO_SUCH_OBJECT;
        }
    }
    ldap_msgfree(found);
    return result;
}

// What the server said beyond the code of its last answer, to be freed with ldap_memfree; NULL for nothing.
static inline char *cldap_words(LDAP *connection) {
    char *words = NULL;
    ldap_get_option(connection, LDAP_OPT_DIAGNOSTIC_MESSAGE, &words);
    return words;
}

// The servers that the DNS has for the domain in this name (dc=example,dc=com): host:port between spaces, to be freed
// with ldap_memfree; NULL when there are none.
static inline char *cldap_servers(const char *name) {
    char *domain = NULL, *servers = NULL;
    if (ldap_dn2domain(name, &domain) != 0 || domain == NULL) return NULL;
    if (ldap_domain2hostlist(domain, &servers) != 0) servers = NULL;
    ldap_memfree(domain);
    return servers;
}

static const int cldap_success = LDAP_SUCCESS;
static const int cldap_none = LDAP_NO_SUCH_OBJECT;
static const int cldap_several = LDAP_SIZELIMIT_EXCEEDED;
static const int cldap_base = LDAP_SCOPE_BASE;
static const int cldap_one_level = LDAP_SCOPE_ONELEVEL;
static const int cldap_subtree = LDAP_SCOPE_SUBTREE;

// Whether another server may know better.
static inline int cldap_is_unreachable(int result) {
    return result == LDAP_SERVER_DOWN || result == LDAP_TIMEOUT || result == LDAP_CONNECT_ERROR
        || result == LDAP_BUSY || result == LDAP_UNAVAILABLE || result == LDAP_LOCAL_ERROR;
}
