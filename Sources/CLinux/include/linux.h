// System calls as Swift wants them: the result, or the negated errno, read before anything can change it.
// No GNU-only call in this header (the macro would break the Glibc module); those are in linux.c.
#pragma once
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LINUX_RESULT(call) ({ long r_ = (long)(call); r_ < 0 ? -(long)errno : r_; })

// One piece of a gathered write; laid out as struct iovec.
typedef struct linux_piece {
    const void *base;
    size_t count;
} linux_piece;

_Static_assert(sizeof(linux_piece) == sizeof(struct iovec), "a piece is an iovec");
_Static_assert(offsetof(linux_piece, count) == offsetof(struct iovec, iov_len), "a piece is an iovec");

// Laid out as struct epoll_event.
typedef struct __attribute__((packed)) linux_event {
    uint32_t flags;
    uint64_t word;
} linux_event;

_Static_assert(sizeof(linux_event) == sizeof(struct epoll_event), "an event is an epoll_event");

enum { LINUX_UNIX = 0, LINUX_IPV4 = 1, LINUX_IPV6 = 2 };

// An address without sockaddr's shapes. `high` and `low` are the address's 16 bytes read as big-endian numbers;
// an IPv4 address is the upper half of `high`.
typedef struct linux_address {
    uint64_t high, low;
    uint32_t family, scope, user;
    int32_t process;
    uint16_t port;
} linux_address;

static const uint32_t linux_readable = EPOLLIN;
static const uint32_t linux_writable = EPOLLOUT;
static const uint32_t linux_peer_gone = EPOLLRDHUP;
static const uint32_t linux_broken = EPOLLHUP | EPOLLERR;

static const int32_t linux_again = EAGAIN;
static const int32_t linux_interrupted = EINTR;
static const int32_t linux_in_progress = EINPROGRESS;
static const int32_t linux_reset = ECONNRESET;
static const int32_t linux_refused = ECONNREFUSED;
static const int32_t linux_no_files = EMFILE;
static const int32_t linux_no_files_at_all = ENFILE;
static const int32_t linux_no_memory = ENOMEM;
static const int32_t linux_no_buffers = ENOBUFS;
static const int32_t linux_in_use = EADDRINUSE;
static const int32_t linux_not_found = ENOENT;
static const int32_t linux_exists = EEXIST;
static const int32_t linux_not_permitted = EPERM;
static const int32_t linux_no_process = ESRCH;
static const int32_t linux_too_large = EFBIG;
static const int32_t linux_name_too_long = ENAMETOOLONG;
static const int32_t linux_canceled = ECANCELED;
static const int32_t linux_timed_out = ETIMEDOUT;
static const int32_t linux_no_child = ECHILD;
static const int32_t linux_no_family = EAFNOSUPPORT;

// MARK: the path of a query

static inline long linux_recv(int fd, void *room, size_t count) {
    return LINUX_RESULT(recv(fd, room, count, MSG_DONTWAIT));
}

static inline long linux_send(int fd, const void *bytes, size_t count) {
    return LINUX_RESULT(send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static inline long linux_send_pieces(int fd, const linux_piece *pieces, size_t count) {
    struct msghdr header = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    return LINUX_RESULT(sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static inline long linux_epoll_wait(int fd, linux_event *events, int room, int milliseconds) {
    return LINUX_RESULT(epoll_wait(fd, (struct epoll_event *)events, room, milliseconds));
}

static inline uint64_t linux_monotonic_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t linux_wall_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// MARK: everything else

static inline long linux_epoll_create(void) { return LINUX_RESULT(epoll_create1(EPOLL_CLOEXEC)); }

static inline long linux_epoll_add(int epoll, int fd, uint32_t flags, uint64_t word) {
    struct epoll_event event = {.events = flags, .data.u64 = word};
    return LINUX_RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static inline long linux_epoll_change(int epoll, int fd, uint32_t flags, uint64_t word) {
    struct epoll_event event = {.events = flags, .data.u64 = word};
    return LINUX_RESULT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

static inline long linux_epoll_remove(int epoll, int fd) {
    struct epoll_event event = {0};
    return LINUX_RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event));
}

static inline long linux_close(int fd) { return LINUX_RESULT(close(fd)); }
static inline long linux_read(int fd, void *room, size_t count) { return LINUX_RESULT(read(fd, room, count)); }
static inline long linux_write(int fd, const void *bytes, size_t count) {
    return LINUX_RESULT(write(fd, bytes, count));
}
static inline long linux_shutdown_writes(int fd) { return LINUX_RESULT(shutdown(fd, SHUT_WR)); }

// Bytes the kernel holds for us to read.
static inline int linux_unread_bytes(int fd) {
    int count = 0;
    return ioctl(fd, FIONREAD, &count) < 0 ? 0 : count;
}

// Bytes of a message, without its terminator; at most `room`.
size_t linux_error_text(int error, char *room, size_t count);

// Sockets (sockets.c). `path` of a unix socket: a leading '@' means the abstract name space.
// From a struct sockaddr; 0 when it is none of ours.
int linux_read_sockaddr(const void *sockaddr, linux_address *address);
long linux_accept(int listener, linux_address *peer);
long linux_local_address(int fd, linux_address *local);
long linux_stream_socket(uint32_t family);
long linux_connect_internet(int fd, const linux_address *to);
long linux_connect_unix(int fd, const char *path, size_t count);
long linux_bind_internet(int fd, const linux_address *at);
long linux_bind_unix(int fd, const char *path, size_t count);
long linux_listen(int fd, int backlog);
long linux_connect_result(int fd);
long linux_socket_pair(int ends[2]);
long linux_pass_without_delay(int fd);
long linux_keep_alive(int fd, int count, int idle_seconds, int interval_seconds, int user_timeout_milliseconds);
long linux_socket_buffers(int fd, int bytes);
long linux_defer_accept(int fd, int seconds);
// Sends bytes with a descriptor attached (SCM_RIGHTS); the number of bytes.
long linux_send_with_socket(int fd, const void *bytes, size_t count, int passed);
// Receives bytes and the descriptors that came with them, at most LINUX_PASSED; the number of bytes.
#define LINUX_PASSED 16
long linux_receive_with_sockets(int fd, void *room, size_t count, int passed[LINUX_PASSED], int *passed_count);
// Waits until it can be read or written; 0 when the time is over.
long linux_wait_ready(int fd, int for_writing, int milliseconds);
long linux_never_block(int fd);
long linux_reuse_address(int fd);
long linux_reuse_port(int fd);
long linux_only_ipv6(int fd);
// The text of an address, or an address of a text; counts or 0.
size_t linux_print_address(const linux_address *address, char *room, size_t count);
int linux_parse_address(const char *text, linux_address *address);
// Resolves a listening address, blocking; the number of addresses, or getaddrinfo's negative code.
int linux_resolve(const char *host, uint16_t port, linux_address *room, int count);
const char *linux_resolve_error(int code);

// A process that starts itself again (supervise.c). Words are arguments as `main` gets them.
long linux_supervisor_signalfd(void);
// As linux_next_signal, and C for a child that has ended.
int linux_next_supervisor_signal(int fd);
void linux_send_signal(int32_t process, int letter);
// Does not come back, unless with a negated errno.
long linux_become_self(char **words);
// The new process, in a group of its own.
long linux_start_self(char **words);
// 1 when it has ended: by this signal, or, when that is 0, with this status.
int linux_reap(int32_t process, int *signal_number, int *status);
const char *linux_signal_name(int number);
// From here on the end of our parent is a SIGINT for us. 0 when it is not our parent any more.
int linux_end_with(int32_t parent);
int32_t linux_parent(void);
long linux_share_with_children(int fd);
long linux_datagram_pair(int ends[2]);
// -1 for as long as it takes.
void linux_wait_for_either(int first, int second, int milliseconds);
// NULL takes it away.
void linux_set_environment(const char *name, const char *value);

// Process (process.c).
long linux_random(void *room, size_t count);
long linux_eventfd(void);
void linux_prepare_signals(void);
long linux_signalfd(void);
// The next signal as one of the letters H T I Q 1 2, 0 when there is none.
int linux_next_signal(int fd);
long linux_daemonise(void);
long linux_forbid_privileges(void);
long linux_forbid_dumps(void);
// 0, or a negated errno; -ENOENT for a user that does not exist.
long linux_become_user(const char *name);
// Whether there is such a user; whether this is a folder. 1 or 0.
int linux_has_user(const char *name);
int linux_is_folder(const char *path);
// The permissions of a plain file and whose it is; 0 for what is none. Or a negated errno.
long linux_file_mode(const char *path, uint32_t *owner);
long linux_change_group(const char *path, const char *group);
long linux_change_mode(const char *path, uint32_t mode);
// Raises the soft limit of open files to the hard one.
long linux_raise_file_limit(uint64_t *soft, uint64_t *hard);
long linux_open_log(const char *path);
long linux_open_file(const char *path);
long linux_open_reserve(void);
long linux_create_file(const char *path);
long linux_unlink(const char *path);
long linux_keep_from_children(int fd);
int linux_is_socket(int fd);
int linux_is_plain_file(int fd);
int linux_path_is_socket(const char *path);
int linux_path_exists(const char *path);
int linux_can_write_now(int fd);
int linux_process_alive(int32_t process);
int32_t linux_process_id(void);
uint32_t linux_effective_user(void);

// The words of the command line, the program's name first, NULL behind the last.
char **linux_words(void);
const char *linux_environment(const char *name);
// "YYYY-MM-DD HH:MM:SS" (19 bytes) and the zone's name behind it, separated by a zero; bytes written.
size_t linux_local_time(int64_t seconds, char *room, size_t count);
// What the local zone is ahead of UTC at that time, in seconds.
long linux_zone_offset(int64_t seconds);
// "Mon DD HH:MM:SS" for syslog.
size_t linux_syslog_time(int64_t seconds, char *room, size_t count);
// A datagram socket on a path ('@' means abstract), as for /dev/log and NOTIFY_SOCKET; never blocks.
long linux_datagram_socket(const char *path);
_Noreturn void linux_exit(int status);

// Threads (threads.c).
void *linux_mutex_create(void);
void linux_mutex_destroy(void *mutex);
void linux_mutex_lock(void *mutex);
void linux_mutex_unlock(void *mutex);
// 0 or a negated errno.
long linux_thread_start(uint64_t *thread, const char *name, void (*body)(void *), void *context);
void linux_thread_join(uint64_t thread);
// Processor time of the calling thread.
uint64_t linux_thread_nanoseconds(void);
// Processors this process may use.
int linux_processors(void);
// An eventfd's count, up by one or taken down to zero.
void linux_ring(int fd);
void linux_hush(int fd);
