#include "uring.h"

#include "linux.h"
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// Newer than some headers (Linux 6.15): who sleeps here waits for the network, which is no reason to count the
// processor as waiting for a disk.
enum { FEATURE_NO_IOWAIT = 1 << 17, ENTER_NO_IOWAIT = 1 << 7 };

struct linux_uring {
    int fd;
    // What `enter` is called with: the descriptor, or the place it is registered at.
    int entry;
    uint32_t entry_flags;
    // Requests: the kernel reads from `sq_head` to `sq_tail`.
    uint32_t *sq_head, *sq_tail, *sq_flags;
    uint32_t sq_mask, sq_noted, sq_taken;
    struct io_uring_sqe *sqes;
    // Completions.
    uint32_t *cq_head, *cq_tail;
    uint32_t cq_mask;
    struct io_uring_cqe *cqes;
    // Buffers.
    struct io_uring_buf_ring *free;
    uint32_t buffers, buffer_bytes;
    uint16_t free_tail;
    char *memory;
    void *shared;
    size_t shared_bytes, sqes_bytes, free_bytes, memory_bytes;
};

static long register_ring(int fd, unsigned what, void *argument, unsigned count) {
    return LINUX_RESULT(syscall(__NR_io_uring_register, fd, what, argument, count));
}

static void *map(int fd, size_t bytes, off_t offset) {
    // All of it is used before long: better to see at once what it takes than to grow with the load.
    int flags = MAP_POPULATE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
    return memory == MAP_FAILED ? NULL : memory;
}

void linux_uring_destroy(linux_uring *ring) {
    if (!ring) return;
    if (ring->shared) munmap(ring->shared, ring->shared_bytes);
    if (ring->sqes) munmap(ring->sqes, ring->sqes_bytes);
    if (ring->free) munmap(ring->free, ring->free_bytes);
    if (ring->memory) munmap(ring->memory, ring->memory_bytes);
    if (ring->fd >= 0) close(ring->fd);
    free(ring);
}

static long set_up(linux_uring *ring, uint32_t requests, uint32_t completions) {
    struct io_uring_params p = {
        .flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
        .cq_entries = completions,
    };
    long fd = LINUX_RESULT(syscall(__NR_io_uring_setup, requests, &p));
    if (fd < 0) return fd;
    ring->fd = ring->entry = (int)fd;
    if (p.features & FEATURE_NO_IOWAIT) ring->entry_flags = ENTER_NO_IOWAIT;
    if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !(p.features & IORING_FEAT_EXT_ARG)) return -ENOSYS;
    size_t sq_bytes = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
    size_t cq_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    ring->shared_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
    ring->sqes_bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    char *shared = ring->shared = map(ring->fd, ring->shared_bytes, IORING_OFF_SQ_RING);
    ring->sqes = map(ring->fd, ring->sqes_bytes, IORING_OFF_SQES);
    if (!shared || !ring->sqes) return -ENOMEM;
    ring->sq_head = (uint32_t *)(shared + p.sq_off.head);
    ring->sq_tail = (uint32_t *)(shared + p.sq_off.tail);
    ring->sq_flags = (uint32_t *)(shared + p.sq_off.flags);
    ring->sq_mask = p.sq_entries - 1;
    ring->cq_head = (uint32_t *)(shared + p.cq_off.head);
    ring->cq_tail = (uint32_t *)(shared + p.cq_off.tail);
    ring->cq_mask = p.cq_entries - 1;
    ring->cqes = (struct io_uring_cqe *)(shared + p.cq_off.cqes);
    uint32_t *order = (uint32_t *)(shared + p.sq_off.array);
    for (uint32_t place = 0; place < p.sq_entries; place++) order[place] = place;
    return 0;
}

static long add_buffers(linux_uring *ring, uint32_t buffers, uint32_t bytes) {
    ring->buffers = buffers;
    ring->buffer_bytes = bytes;
    ring->free_bytes = buffers * sizeof(struct io_uring_buf);
    ring->memory_bytes = (size_t)buffers * bytes;
    ring->free = map(-1, ring->free_bytes, 0);
    ring->memory = map(-1, ring->memory_bytes, 0);
    if (!ring->free || !ring->memory) return -ENOMEM;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)ring->free, .ring_entries = buffers, .bgid = 0};
    long result = register_ring(ring->fd, IORING_REGISTER_PBUF_RING, &reg, 1);
    if (result < 0) return result;
    for (uint32_t buffer = 0; buffer < buffers; buffer++) linux_uring_give_back(ring, (int32_t)buffer);
    return 0;
}

linux_uring *linux_uring_create(uint32_t requests, uint32_t completions, uint32_t buffers, uint32_t bytes, long *error) {
    linux_uring *ring = calloc(1, sizeof *ring);
    if (!ring) {
        *error = -ENOMEM;
        return NULL;
    }
    ring->fd = -1;
    *error = set_up(ring, requests, completions);
    if (*error == 0) *error = add_buffers(ring, buffers, bytes);
    if (*error == 0) return ring;
    linux_uring_destroy(ring);
    return NULL;
}

long linux_uring_start(linux_uring *ring) {
    long result = register_ring(ring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) return result;
    // Saves looking the descriptor up at each call; not needed.
    struct io_uring_rsrc_update place = {.offset = UINT32_MAX, .data = (uint64_t)ring->fd};
    if (register_ring(ring->fd, IORING_REGISTER_RING_FDS, &place, 1) == 1) {
        ring->entry = (int)place.offset;
        ring->entry_flags |= IORING_ENTER_REGISTERED_RING;
    }
    return 0;
}

// MARK: requests

uint32_t linux_uring_room(const linux_uring *ring) { return ring->sq_mask + 1 - (ring->sq_noted - ring->sq_taken); }

static struct io_uring_sqe *note(linux_uring *ring, uint8_t what, int fd, uint64_t word) {
    struct io_uring_sqe *sqe = &ring->sqes[ring->sq_noted++ & ring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = what;
    sqe->fd = fd;
    sqe->user_data = word;
    return sqe;
}

void linux_uring_receive(linux_uring *ring, int fd, uint64_t word) {
    struct io_uring_sqe *sqe = note(ring, IORING_OP_RECV, fd, word);
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
}

void linux_uring_send(linux_uring *ring, int fd, const void *bytes, uint32_t count, uint64_t word) {
    struct io_uring_sqe *sqe = note(ring, IORING_OP_SEND, fd, word);
    sqe->addr = (uintptr_t)bytes;
    sqe->len = count;
    // Waiting for all of it is what makes a short send a failure; not waiting for room makes it one at once.
    sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

void linux_uring_lengthen(linux_uring *ring, uint32_t more) {
    ring->sqes[(ring->sq_noted - 1) & ring->sq_mask].len += more;
}

void linux_uring_poll(linux_uring *ring, int fd, uint64_t word) {
    note(ring, IORING_OP_POLL_ADD, fd, word)->poll32_events = EPOLLIN;
}

void linux_uring_cancel(linux_uring *ring, uint64_t target, uint64_t word) {
    struct io_uring_sqe *sqe = note(ring, IORING_OP_ASYNC_CANCEL, -1, word);
    sqe->addr = target;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

// MARK: the system call

long linux_uring_enter(linux_uring *ring, int waits, int64_t nanoseconds) {
    struct __kernel_timespec longest = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    struct io_uring_getevents_arg argument = {.ts = nanoseconds >= 0 ? (uintptr_t)&longest : 0};
    __atomic_store_n(ring->sq_tail, ring->sq_noted, __ATOMIC_RELEASE);
    uint32_t flags = ring->entry_flags | IORING_ENTER_EXT_ARG | IORING_ENTER_GETEVENTS;
    long result = LINUX_RESULT(syscall(
        __NR_io_uring_enter, ring->entry, ring->sq_noted - ring->sq_taken, waits ? 1 : 0, flags, &argument,
        sizeof argument));
    ring->sq_taken = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
    return result < 0 ? result : 0;
}

// MARK: completions

int linux_uring_overflows(const linux_uring *ring) {
    return (__atomic_load_n(ring->sq_flags, __ATOMIC_ACQUIRE) & IORING_SQ_CQ_OVERFLOW) != 0;
}

uint32_t linux_uring_ready(const linux_uring *ring) {
    return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) - *ring->cq_head;
}

static linux_completion read_completion(const struct io_uring_cqe *cqe) {
    return (linux_completion){
        .word = cqe->user_data,
        .result = cqe->res,
        .buffer = cqe->flags & IORING_CQE_F_BUFFER ? (int32_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT) : -1,
        .goes_on = (cqe->flags & IORING_CQE_F_MORE) != 0,
    };
}

linux_completion linux_uring_take(linux_uring *ring) {
    uint32_t head = *ring->cq_head;
    linux_completion taken = read_completion(&ring->cqes[head & ring->cq_mask]);
    __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
    return taken;
}

int linux_uring_extract(linux_uring *ring, uint64_t mask, uint64_t bits, linux_completion *found) {
    uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (uint32_t place = *ring->cq_head; place != tail; place++) {
        struct io_uring_cqe *cqe = &ring->cqes[place & ring->cq_mask];
        if ((cqe->user_data & mask) != bits) continue;
        *found = read_completion(cqe);
        // What is left in its place means nothing to anybody.
        *cqe = (struct io_uring_cqe){0};
        return 1;
    }
    return 0;
}

// MARK: buffers

const void *linux_uring_bytes(const linux_uring *ring, int32_t buffer) {
    return ring->memory + (size_t)buffer * ring->buffer_bytes;
}

void linux_uring_give_back(linux_uring *ring, int32_t buffer) {
    struct io_uring_buf *place = &ring->free->bufs[ring->free_tail & (ring->buffers - 1)];
    place->addr = (uintptr_t)ring->memory + (size_t)buffer * ring->buffer_bytes;
    place->len = ring->buffer_bytes;
    place->bid = (uint16_t)buffer;
    ring->free_tail++;
    __atomic_store_n(&ring->free->tail, ring->free_tail, __ATOMIC_RELEASE);
}
