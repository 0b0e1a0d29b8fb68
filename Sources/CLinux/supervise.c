// Starting ourselves again, and watching what became of it (Daemon/Supervisor.swift).
#include "linux.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const struct { int letter, number; } signals[] = {
    {'H', SIGHUP}, {'T', SIGTERM}, {'I', SIGINT}, {'Q', SIGQUIT}, {'1', SIGUSR1}, {'2', SIGUSR2}, {'C', SIGCHLD}};

long linux_supervisor_signalfd(void) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&set, signals[i].number);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return LINUX_RESULT(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int linux_next_supervisor_signal(int fd) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) return 0;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (signals[i].number == (int)info.ssi_signo) return signals[i].letter;
    }
    return '?';
}

void linux_send_signal(int32_t process, int letter) {
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (signals[i].letter == letter) kill(process, signals[i].number);
    }
}

long linux_become_self(char **words) {
    execv("/proc/self/exe", words);
    return -errno;
}

long linux_start_self(char **words) {
    pid_t child = fork();
    if (child != 0) return LINUX_RESULT(child);
    // Of its own, so that Ctrl-C comes to it once, from us.
    setpgid(0, 0);
    execv("/proc/self/exe", words);
    _exit(127);
}

int linux_reap(int32_t process, int *signal_number, int *status) {
    int found = 0;
    if (waitpid(process, &found, WNOHANG) != process) return 0;
    *signal_number = WIFSIGNALED(found) ? WTERMSIG(found) : 0;
    *status = WIFEXITED(found) ? WEXITSTATUS(found) : 0;
    return 1;
}

const char *linux_signal_name(int number) {
    const char *name = sigabbrev_np(number);
    return name ? name : "?";
}

int linux_end_with(int32_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGINT);
    // It may have ended before we asked.
    return getppid() == parent;
}

int32_t linux_parent(void) { return getppid(); }

long linux_share_with_children(int fd) { return LINUX_RESULT(fcntl(fd, F_SETFD, 0)); }

long linux_datagram_pair(int ends[2]) {
    return LINUX_RESULT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
}

void linux_wait_for_either(int first, int second, int milliseconds) {
    struct pollfd both[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    poll(both, 2, milliseconds);
}

void linux_set_environment(const char *name, const char *value) {
    if (value) setenv(name, value, 1); else unsetenv(name);
}
