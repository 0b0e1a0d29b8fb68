#include "linux.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void from_bytes(linux_address *a, const uint8_t *bytes, size_t count) {
    uint8_t all[16] = {0};
    memcpy(all, bytes, count);
    uint64_t high, low;
    memcpy(&high, all, 8);
    memcpy(&low, all + 8, 8);
    a->high = be64toh(high);
    a->low = be64toh(low);
}

static void to_bytes(const linux_address *a, uint8_t all[16]) {
    uint64_t high = htobe64(a->high), low = htobe64(a->low);
    memcpy(all, &high, 8);
    memcpy(all + 8, &low, 8);
}

static void from_socket(linux_address *a, const struct sockaddr_storage *s) {
    memset(a, 0, sizeof *a);
    a->user = UINT32_MAX;
    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)s;
        a->family = LINUX_IPV4;
        a->port = ntohs(in->sin_port);
        from_bytes(a, (const uint8_t *)&in->sin_addr, 4);
    } else if (s->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)s;
        a->family = LINUX_IPV6;
        a->port = ntohs(in->sin6_port);
        a->scope = in->sin6_scope_id;
        from_bytes(a, (const uint8_t *)&in->sin6_addr, 16);
    } else {
        a->family = LINUX_UNIX;
    }
}

static socklen_t to_socket(const linux_address *a, struct sockaddr_storage *s) {
    uint8_t bytes[16];
    to_bytes(a, bytes);
    memset(s, 0, sizeof *s);
    if (a->family == LINUX_IPV4) {
        struct sockaddr_in *in = (void *)s;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in = (void *)s;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(a->port);
    in->sin6_scope_id = a->scope;
    memcpy(&in->sin6_addr, bytes, 16);
    return sizeof *in;
}

// 0 when the path does not fit.
static socklen_t to_unix(const char *path, size_t count, struct sockaddr_un *s) {
    memset(s, 0, sizeof *s);
    s->sun_family = AF_UNIX;
    if (count == 0 || count >= sizeof s->sun_path) return 0;
    memcpy(s->sun_path, path, count);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count);
    if (path[0] == '@') {
        s->sun_path[0] = 0;
        return length;
    }
    return length + 1;
}

int linux_read_sockaddr(const void *sockaddr, linux_address *address) {
    struct sockaddr_storage s;
    memset(&s, 0, sizeof s);
    switch (((const struct sockaddr *)sockaddr)->sa_family) {
    case AF_INET: memcpy(&s, sockaddr, sizeof(struct sockaddr_in)); break;
    case AF_INET6: memcpy(&s, sockaddr, sizeof(struct sockaddr_in6)); break;
    default: return 0;
    }
    from_socket(address, &s);
    return 1;
}

long linux_accept(int listener, linux_address *peer) {
    struct sockaddr_storage s;
    memset(&s, 0, sizeof s);
    socklen_t length = sizeof s;
    long fd = LINUX_RESULT(accept4(listener, (struct sockaddr *)&s, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd < 0) return fd;
    from_socket(peer, &s);
    if (peer->family == LINUX_UNIX) {
        struct ucred who;
        socklen_t size = sizeof who;
        if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
            peer->process = who.pid;
            peer->user = who.uid;
        }
    }
    return fd;
}

long linux_local_address(int fd, linux_address *local) {
    struct sockaddr_storage s;
    memset(&s, 0, sizeof s);
    socklen_t length = sizeof s;
    long result = LINUX_RESULT(getsockname(fd, (struct sockaddr *)&s, &length));
    from_socket(local, &s);
    return result;
}

long linux_stream_socket(uint32_t family) {
    int domain = family == LINUX_UNIX ? AF_UNIX : family == LINUX_IPV4 ? AF_INET : AF_INET6;
    return LINUX_RESULT(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

long linux_connect_internet(int fd, const linux_address *to) {
    struct sockaddr_storage s;
    socklen_t length = to_socket(to, &s);
    return LINUX_RESULT(connect(fd, (struct sockaddr *)&s, length));
}

long linux_connect_unix(int fd, const char *path, size_t count) {
    struct sockaddr_un s;
    socklen_t length = to_unix(path, count, &s);
    if (length == 0) return -ENAMETOOLONG;
    return LINUX_RESULT(connect(fd, (struct sockaddr *)&s, length));
}

long linux_bind_internet(int fd, const linux_address *at) {
    struct sockaddr_storage s;
    socklen_t length = to_socket(at, &s);
    return LINUX_RESULT(bind(fd, (struct sockaddr *)&s, length));
}

long linux_bind_unix(int fd, const char *path, size_t count) {
    struct sockaddr_un s;
    socklen_t length = to_unix(path, count, &s);
    if (length == 0) return -ENAMETOOLONG;
    return LINUX_RESULT(bind(fd, (struct sockaddr *)&s, length));
}

long linux_listen(int fd, int backlog) { return LINUX_RESULT(listen(fd, backlog)); }

long linux_connect_result(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
    return -error;
}

long linux_socket_pair(int ends[2]) {
    return LINUX_RESULT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
}

static long set(int fd, int level, int option, int value) {
    return LINUX_RESULT(setsockopt(fd, level, option, &value, sizeof value));
}

long linux_pass_without_delay(int fd) { return set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

long linux_keep_alive(int fd, int count, int idle_seconds, int interval_seconds, int user_timeout_milliseconds) {
    long result = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (count > 0) set(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
    if (idle_seconds > 0) set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
    if (interval_seconds > 0) set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds);
    if (user_timeout_milliseconds > 0) set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_milliseconds);
    return result;
}

long linux_socket_buffers(int fd, int bytes) {
    set(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    return set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

long linux_defer_accept(int fd, int seconds) { return set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds); }
long linux_reuse_address(int fd) { return set(fd, SOL_SOCKET, SO_REUSEADDR, 1); }
long linux_reuse_port(int fd) { return set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }
long linux_only_ipv6(int fd) { return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); }

size_t linux_print_address(const linux_address *address, char *room, size_t count) {
    uint8_t bytes[16];
    to_bytes(address, bytes);
    if (address->family == LINUX_UNIX || count < INET6_ADDRSTRLEN) return 0;
    int domain = address->family == LINUX_IPV4 ? AF_INET : AF_INET6;
    return inet_ntop(domain, bytes, room, (socklen_t)count) ? strlen(room) : 0;
}

int linux_parse_address(const char *text, linux_address *address) {
    uint8_t bytes[16];
    memset(address, 0, sizeof *address);
    address->user = UINT32_MAX;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        address->family = LINUX_IPV4;
        from_bytes(address, bytes, 4);
        return 1;
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        address->family = LINUX_IPV6;
        from_bytes(address, bytes, 16);
        return 1;
    }
    return 0;
}

int linux_resolve(const char *host, uint16_t port, linux_address *room, int count) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(*host == '*' ? NULL : host, service, &hints, &found);
    if (code != 0) return code < 0 ? code : -code;
    int filled = 0;
    for (struct addrinfo *each = found; each && filled < count; each = each->ai_next) {
        struct sockaddr_storage s;
        memset(&s, 0, sizeof s);
        memcpy(&s, each->ai_addr, each->ai_addrlen < sizeof s ? each->ai_addrlen : sizeof s);
        from_socket(&room[filled++], &s);
    }
    freeaddrinfo(found);
    return filled;
}

const char *linux_resolve_error(int code) { return gai_strerror(code); }

// MARK: passing descriptors

long linux_send_with_socket(int fd, const void *bytes, size_t count, int passed) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
    return LINUX_RESULT(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

long linux_receive_with_sockets(int fd, void *room, size_t count, int passed[LINUX_PASSED], int *passed_count) {
    union {
        char room[CMSG_SPACE(sizeof(int) * LINUX_PASSED)];
        struct cmsghdr align;
    } control;
    struct iovec piece = {.iov_base = room, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    *passed_count = 0;
    long result = LINUX_RESULT(recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    if (result < 0) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t bytes = header->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes && *passed_count < LINUX_PASSED; at += sizeof(int))
            memcpy(&passed[(*passed_count)++], CMSG_DATA(header) + at, sizeof(int));
    }
    return message.msg_flags & MSG_CTRUNC ? -EMFILE : result;
}

long linux_wait_ready(int fd, int for_writing, int milliseconds) {
    struct pollfd one = {.fd = fd, .events = for_writing ? POLLOUT : POLLIN};
    return LINUX_RESULT(poll(&one, 1, milliseconds));
}

long linux_never_block(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : LINUX_RESULT(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
