#ifndef CARILLON_LOAD_SINK_H
#define CARILLON_LOAD_SINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that reads what comes on its sockets, as subscribers do, and says how much that was. */
struct sink {
    pid_t pid;
    int told; /* eventfd: bytes read that sink_wait has not counted */
    int *fds; /* our ends, which block */
    uint32_t count;
};

/* Starts it with `count` sockets. Returns 0, or -1 with errno; sink_stop has to follow in both cases. */
int sink_start(struct sink *sink, uint32_t count);

/* Waits until it has read so many bytes. Returns false where it has not by the deadline. */
bool sink_wait(const struct sink *sink, uint64_t bytes, uint64_t deadline);
void sink_stop(struct sink *sink);

#endif
