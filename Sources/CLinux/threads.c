#include "linux.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

void *linux_mutex_create(void) {
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    if (mutex != NULL) pthread_mutex_init(mutex, NULL);
    return mutex;
}

void linux_mutex_destroy(void *mutex) {
    pthread_mutex_destroy(mutex);
    free(mutex);
}

void linux_mutex_lock(void *mutex) { pthread_mutex_lock(mutex); }
void linux_mutex_unlock(void *mutex) { pthread_mutex_unlock(mutex); }

typedef struct {
    void (*body)(void *);
    void *context;
} start;

static void *begin(void *argument) {
    start begun = *(start *)argument;
    free(argument);
    begun.body(begun.context);
    return NULL;
}

long linux_thread_start(uint64_t *thread, const char *name, void (*body)(void *), void *context) {
    start *argument = malloc(sizeof *argument);
    if (argument == NULL) return -ENOMEM;
    *argument = (start){body, context};
    pthread_t started;
    int error = pthread_create(&started, NULL, begin, argument);
    if (error != 0) {
        free(argument);
        return -error;
    }
    pthread_setname_np(started, name);
    *thread = (uint64_t)started;
    return 0;
}

void linux_thread_join(uint64_t thread) { pthread_join((pthread_t)thread, NULL); }

uint64_t linux_thread_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int linux_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set);
}

void linux_ring(int fd) {
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

void linux_hush(int fd) {
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}
