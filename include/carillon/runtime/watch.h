#ifndef CARILLON_RUNTIME_WATCH_H
#define CARILLON_RUNTIME_WATCH_H

#include <uv.h>

/*
 * The sockets of one loop: an epoll set of their own, which lies in the loop as a single descriptor. A libuv handle for
 * TCP is 248 bytes, and whether it reads or writes is told to the kernel call by call; a watch is its descriptor, added
 * once, and reported edge by edge (epoll(7)): what was reported is not reported again before it has been used up.
 *
 * Belongs to the loop's thread. A watch is embedded in what it is for, and lives until the turn after it was ended: an
 * edge that was reported along with the cause of that may still arrive.
 */
struct car_watch {
    int fd;
};

enum {
    CAR_WATCH_READ = 1,  /* there is something to read */
    CAR_WATCH_WRITE = 2, /* there is room to write */
    CAR_WATCH_END = 4,   /* a read that is short may not be the last: the peer has closed its side, the socket has
                            failed, or urgent data stand in between */
};

struct car_watches {
    uv_poll_t poll;
    int set;
    void (*ready)(struct car_watch *watch, unsigned what); /* set by whoever adds watches, before the loop runs */
};

/* Ties a set to a loop. 0 or a UV_E… code. */
int car_watches_open(struct car_watches *watches, uv_loop_t *loop);

/* Closes the set; nothing is reported any more. */
void car_watches_close(struct car_watches *watches);

/* Watches a non-blocking socket, the watch's `fd`, for something to read, for as long as it is open. 0 or a UV_E… code.
 */
int car_watch_add(struct car_watches *watches, struct car_watch *watch);

/* Takes a socket out of the set that stays open elsewhere. */
void car_watch_remove(struct car_watches *watches, struct car_watch *watch);

/* Takes it out and closes it. Closing alone would do where nobody else had the descriptor: but a process that is being
 * started has copies of all until it executes its program, and the set would go on telling of the socket. */
void car_watch_end(struct car_watches *watches, struct car_watch *watch);

/* Watches it for room to write as well, from now on: most sockets never run out of it. What there is now is reported.
 * 0 or a UV_E… code. */
int car_watch_room(struct car_watches *watches, struct car_watch *watch);

#endif
