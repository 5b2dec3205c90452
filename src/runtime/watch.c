#include "carillon/runtime/watch.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "carillon/runtime/turn.h"

#define BATCH  256
#define ROUNDS 4 /* batches before the loop does something else */

static unsigned what_of(uint32_t events) {
    return (events & EPOLLIN ? (unsigned)CAR_WATCH_READ : 0) | (events & EPOLLOUT ? (unsigned)CAR_WATCH_WRITE : 0) |
           (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI) ? (unsigned)CAR_WATCH_END : 0);
}

static void on_poll(uv_poll_t *poll, int status, int ready) {
    struct car_watches *watches = poll->data;
    struct epoll_event events[BATCH];
    (void)status;
    (void)ready;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int n = epoll_wait(watches->set, events, BATCH, 0);
        if (n > 0) {
            car_turn_mark();
        }
        for (int i = 0; i < n; i++) {
            watches->ready(events[i].data.ptr, what_of(events[i].events));
        }
        if (n < BATCH) {
            return;
        }
    }
}

int car_watches_open(struct car_watches *watches, uv_loop_t *loop) {
    watches->set = epoll_create1(EPOLL_CLOEXEC);
    if (watches->set < 0) {
        return uv_translate_sys_error(errno);
    }
    int err = uv_poll_init(loop, &watches->poll, watches->set);
    if (err) {
        close(watches->set);
        return err;
    }
    watches->poll.data = watches;
    err = uv_poll_start(&watches->poll, UV_READABLE, on_poll);
    assert(err == 0); /* it only links the handle into the loop */
    return err;
}

static void on_closed(uv_handle_t *handle) {
    struct car_watches *watches = handle->data;
    close(watches->set);
}

void car_watches_close(struct car_watches *watches) {
    uv_close((uv_handle_t *)&watches->poll, on_closed);
}

static int control(struct car_watches *watches, int operation, struct car_watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data = {.ptr = watch}};
    return epoll_ctl(watches->set, operation, watch->fd, &event) == 0 ? 0 : uv_translate_sys_error(errno);
}

int car_watch_add(struct car_watches *watches, struct car_watch *watch) {
    return control(watches, EPOLL_CTL_ADD, watch, EPOLLIN);
}

int car_watch_room(struct car_watches *watches, struct car_watch *watch) {
    return control(watches, EPOLL_CTL_MOD, watch, EPOLLIN | EPOLLOUT);
}

void car_watch_remove(struct car_watches *watches, struct car_watch *watch) {
    (void)control(watches, EPOLL_CTL_DEL, watch, 0); /* where it was never added there is nothing to take out */
}

void car_watch_end(struct car_watches *watches, struct car_watch *watch) {
    car_watch_remove(watches, watch);
    close(watch->fd);
}
