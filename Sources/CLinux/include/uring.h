// An io_uring instance, without the kernel's own header, which Swift would import.
#pragma once
#include <stdint.h>

typedef struct linux_uring linux_uring;

// What became of one request. `buffer` is the number of the buffer that was filled, or -1.
typedef struct linux_completion {
    uint64_t word;
    // Bytes, or a negated errno.
    int32_t result;
    int32_t buffer;
    // There will be more of the same request.
    int32_t goes_on;
} linux_completion;

// Makes an instance that its thread has yet to start: room for so many requests and completions, and buffers to
// receive into. Numbers are powers of two. NULL with a negated errno in `error` when the kernel gives none.
linux_uring *linux_uring_create(uint32_t requests, uint32_t completions, uint32_t buffers, uint32_t bytes, long *error);
void linux_uring_destroy(linux_uring *ring);
// From here on the instance is this thread's. 0 or a negated errno.
long linux_uring_start(linux_uring *ring);

// Requests: noted here, taken by the kernel at the next `linux_uring_enter`. There must be room.
uint32_t linux_uring_room(const linux_uring *ring);
// Receives until it ends, into the next free buffer each time.
void linux_uring_receive(linux_uring *ring, int fd, uint64_t word);
// Sends, or fails at once when the socket takes less. Completes only when it fails.
void linux_uring_send(linux_uring *ring, int fd, const void *bytes, uint32_t count, uint64_t word);
// The last request noted, a send, has so many bytes more.
void linux_uring_lengthen(linux_uring *ring, uint32_t more);
// Completes once when the descriptor is readable.
void linux_uring_poll(linux_uring *ring, int fd, uint64_t word);
// Ends the request with the word `target`; its own completion has `word`.
void linux_uring_cancel(linux_uring *ring, uint64_t target, uint64_t word);

// Hands everything noted to the kernel; waits for a completion if `waits`, at most so many nanoseconds if they are
// not negative. 0 or a negated errno.
long linux_uring_enter(linux_uring *ring, int waits, int64_t nanoseconds);

// Whether the kernel keeps completions for which there is no room; `linux_uring_enter` brings them when there is.
int linux_uring_overflows(const linux_uring *ring);
// Completions nobody has taken yet.
uint32_t linux_uring_ready(const linux_uring *ring);
linux_completion linux_uring_take(linux_uring *ring);
// Finds and removes a completion whose word has these high bits, whatever stands before it; 0 when there is none.
int linux_uring_extract(linux_uring *ring, uint64_t mask, uint64_t bits, linux_completion *found);

const void *linux_uring_bytes(const linux_uring *ring, int32_t buffer);
void linux_uring_give_back(linux_uring *ring, int32_t buffer);
