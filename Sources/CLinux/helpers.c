#include "helpers.h"

#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

struct linux_gate {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

linux_gate *linux_gate_make(void) {
    linux_gate *gate = malloc(sizeof *gate);
    if (gate == NULL) abort();
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->condition, NULL);
    return gate;
}

void linux_gate_free(linux_gate *gate) {
    pthread_cond_destroy(&gate->condition);
    pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

void linux_gate_lock(linux_gate *gate) { pthread_mutex_lock(&gate->mutex); }
void linux_gate_unlock(linux_gate *gate) { pthread_mutex_unlock(&gate->mutex); }
void linux_gate_wait(linux_gate *gate) { pthread_cond_wait(&gate->condition, &gate->mutex); }
void linux_gate_signal(linux_gate *gate) { pthread_cond_signal(&gate->condition); }

struct start {
    void (*body)(void *);
    void *argument;
};

static void *run(void *pointer) {
    struct start start = *(struct start *)pointer;
    free(pointer);
    start.body(start.argument);
    return NULL;
}

long linux_start_thread(void (*body)(void *), void *argument) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return -ENOMEM;
    *start = (struct start){body, argument};
    // No signal is for a helper.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) free(start);
    return -error;
}

static int milliseconds_left(uint64_t deadline) {
    uint64_t now = linux_monotonic_nanoseconds();
    return now >= deadline ? 0 : (int)((deadline - now) / 1000000) + 1;
}

// Reads to the end, the deadline or the limit. As linux_run_program.
static long read_all(int fd, char *room, size_t count, uint64_t deadline) {
    size_t used = 0;
    for (;;) {
        int left = milliseconds_left(deadline);
        if (left == 0) return -ETIMEDOUT;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, left);
        if (ready < 0 && errno != EINTR) return -errno;
        if (ready <= 0) continue;
        // One byte more than there may be, to know of it.
        char spare;
        ssize_t got = used < count ? read(fd, room + used, count - used) : read(fd, &spare, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) return (long)used;
        if (used == count) return -EFBIG;
        used += (size_t)got;
    }
}

// Waits for the end of the program, not beyond the deadline. 0, or a negated errno.
static long await_end(pid_t process, uint64_t deadline, int *status) {
    for (;;) {
        pid_t ended = waitpid(process, status, WNOHANG);
        if (ended == process) return 0;
        if (ended < 0 && errno != EINTR) return -errno;
        if (milliseconds_left(deadline) == 0) return -ETIMEDOUT;
        struct timespec nap = {.tv_nsec = 2000000};
        nanosleep(&nap, NULL);
    }
}

long linux_run_program(const char *command, void *room, size_t count, int milliseconds, int *status) {
    uint64_t deadline = linux_monotonic_nanoseconds() + (uint64_t)milliseconds * 1000000u;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // A group of its own, so that all of it can be ended.
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char *words[] = {"sh", "-c", (char *)command, NULL};
    pid_t process = 0;
    int error = posix_spawn(&process, "/bin/sh", &files, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return -error;
    }
    long result = read_all(ends[0], room, count, deadline);
    close(ends[0]);
    long ended = result < 0 ? -ETIMEDOUT : await_end(process, deadline, status);
    if (ended < 0) {
        kill(-process, SIGKILL);
        while (waitpid(process, status, 0) < 0 && errno == EINTR) {}
        return result < 0 ? result : ended;
    }
    return *status == 0 ? result : -ECHILD;
}

long linux_user_name(uint32_t user, char *room, size_t count) {
    size_t size = 64 * 1024;
    char *scratch = malloc(size);
    if (scratch == NULL) return -ENOMEM;
    struct passwd entry, *found = NULL;
    int error = getpwuid_r(user, &entry, scratch, size, &found);
    long result = -error;
    if (found != NULL) {
        size_t length = strlen(found->pw_name);
        if (length > count) {
            result = -ENAMETOOLONG;
        } else {
            memcpy(room, found->pw_name, length);
            result = (long)length;
        }
    }
    free(scratch);
    return result;
}

long linux_list_folder(const char *path, void *owner, void (*body)(void *owner, const char *name)) {
    DIR *folder = opendir(path);
    if (folder == NULL) return -errno;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) body(owner, entry->d_name);
    closedir(folder);
    return 0;
}

long linux_list_interfaces(
    void *owner, void (*body)(void *owner, const linux_address *address, const linux_address *mask)) {
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) return -errno;
    for (struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        linux_address address, mask;
        if (one->ifa_addr == NULL || one->ifa_netmask == NULL) continue;
        int family = one->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        // Some systems leave the mask's family out.
        struct sockaddr_storage copy = {0};
        memcpy(&copy, one->ifa_netmask, family == AF_INET ? 16 : 28);
        copy.ss_family = (sa_family_t)family;
        memset(&address, 0, sizeof address);
        memset(&mask, 0, sizeof mask);
        linux_read_sockaddr(one->ifa_addr, &address);
        linux_read_sockaddr(&copy, &mask);
        body(owner, &address, &mask);
    }
    freeifaddrs(all);
    return 0;
}
