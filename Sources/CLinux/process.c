#include "linux.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>

static char **words;

// Swift looks for them behind `environ`, which a preloaded library may have moved by then.
__attribute__((constructor)) static void keep_words(int count, char **given) {
    (void)count;
    words = given;
}

char **linux_words(void) { return words; }

size_t linux_error_text(int error, char *room, size_t count) {
    const char *text = strerror_r(error, room, count);
    size_t length = strnlen(text, count - 1);
    if (text != room) memmove(room, text, length);
    return length;
}

long linux_random(void *room, size_t count) { return LINUX_RESULT(getrandom(room, count, 0)); }
long linux_eventfd(void) { return LINUX_RESULT(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

static void ours(sigset_t *set) {
    sigemptyset(set);
    int all[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sigaddset(set, all[i]);
}

void linux_prepare_signals(void) {
    sigset_t set;
    ours(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

long linux_signalfd(void) {
    sigset_t set;
    ours(&set);
    return LINUX_RESULT(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int linux_next_signal(int fd) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) return 0;
    switch (info.ssi_signo) {
    case SIGHUP: return 'H';
    case SIGTERM: return 'T';
    case SIGINT: return 'I';
    case SIGQUIT: return 'Q';
    case SIGUSR1: return '1';
    case SIGUSR2: return '2';
    default: return '?';
    }
}

long linux_daemonise(void) {
    for (int step = 0; step < 2; step++) {
        pid_t child = fork();
        if (child < 0) return -errno;
        if (child > 0) _exit(0);
        if (step == 0 && setsid() < 0) return -errno;
    }
    int null = open("/dev/null", O_RDWR);
    if (null < 0) return -errno;
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
    return 0;
}

long linux_forbid_privileges(void) { return LINUX_RESULT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
long linux_forbid_dumps(void) { return LINUX_RESULT(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }

long linux_become_user(const char *name) {
    errno = 0;
    struct passwd *entry = getpwnam(name);
    if (!entry) return -ENOENT;
    uid_t user = entry->pw_uid;
    gid_t group = entry->pw_gid;
    if (getuid() == user && geteuid() == user) return 0;
    if (initgroups(name, group) < 0 || setgid(group) < 0 || setuid(user) < 0) return -errno;
    // A process that could take root back has not dropped it.
    if (getuid() != user || geteuid() != user || getgid() != group || getegid() != group) return -EPERM;
    if (user != 0 && setuid(0) == 0) return -EPERM;
    return 0;
}

int linux_has_user(const char *name) { return getpwnam(name) != NULL; }

long linux_file_mode(const char *path, uint32_t *owner) {
    struct stat found;
    if (stat(path, &found) < 0) return -errno;
    *owner = found.st_uid;
    return S_ISREG(found.st_mode) ? (long)(found.st_mode & 0777) : 0;
}

int linux_is_folder(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

long linux_change_group(const char *path, const char *group) {
    struct group *entry = getgrnam(group);
    if (!entry) return -ENOENT;
    return LINUX_RESULT(chown(path, (uid_t)-1, entry->gr_gid));
}

long linux_change_mode(const char *path, uint32_t mode) { return LINUX_RESULT(chmod(path, mode & 0777)); }

long linux_raise_file_limit(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return 0;
}

long linux_open_log(const char *path) {
    return LINUX_RESULT(open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
}

long linux_open_file(const char *path) { return LINUX_RESULT(open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)); }
long linux_open_reserve(void) { return LINUX_RESULT(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
long linux_create_file(const char *path) {
    return LINUX_RESULT(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
}
long linux_unlink(const char *path) { return LINUX_RESULT(unlink(path)); }

// And never blocks: for descriptors that somebody else has opened.
long linux_keep_from_children(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return LINUX_RESULT(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int linux_is_socket(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
}

int linux_is_plain_file(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

int linux_path_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

int linux_path_is_socket(const char *path) {
    struct stat s;
    return lstat(path, &s) == 0 && S_ISSOCK(s.st_mode);
}

int linux_can_write_now(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

int linux_process_alive(int32_t process) { return kill(process, 0) == 0 || errno == EPERM; }
int32_t linux_process_id(void) { return getpid(); }
uint32_t linux_effective_user(void) { return geteuid(); }
const char *linux_environment(const char *name) { return getenv(name); }

size_t linux_local_time(int64_t seconds, char *room, size_t count) {
    time_t t = seconds;
    struct tm parts;
    if (!localtime_r(&t, &parts)) return 0;
    return strftime(room, count, "%Y-%m-%d %H:%M:%S %Z", &parts);
}

long linux_zone_offset(int64_t seconds) {
    time_t t = seconds;
    struct tm parts;
    return localtime_r(&t, &parts) ? parts.tm_gmtoff : 0;
}

size_t linux_syslog_time(int64_t seconds, char *room, size_t count) {
    time_t t = seconds;
    struct tm parts;
    if (!localtime_r(&t, &parts)) return 0;
    return strftime(room, count, "%b %e %H:%M:%S", &parts);
}

long linux_datagram_socket(const char *path) {
    struct sockaddr_un s = {.sun_family = AF_UNIX};
    size_t count = strlen(path);
    if (count == 0 || count >= sizeof s.sun_path) return -ENAMETOOLONG;
    memcpy(s.sun_path, path, count);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count);
    if (path[0] == '@') s.sun_path[0] = 0; else length++;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&s, length) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

_Noreturn void linux_exit(int status) { _exit(status); }
