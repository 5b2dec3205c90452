#include "carillon/runtime/control.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "carillon/base/err.h"

/* The signals are blocked in every thread and read from a descriptor: no handler interrupts anybody. */
struct car_control {
    uv_loop_t loop;
    uv_poll_t signals;
    int signals_fd;
    uv_timer_t timer, rounds;
    uv_async_t bell;
    const struct car_control_ops *ops;
    void *user;
    bool stopped;
};

static void on_signal(struct car_control *control, uint32_t number) {
    switch (number) {
    case SIGHUP:
        control->ops->reload(control->user);
        break;
    case SIGUSR2:
        control->ops->upgrade(control->user);
        break;
    case SIGINT:
        control->ops->end(control->user, "SIGINT");
        break;
    default:
        control->ops->end(control->user, "SIGTERM");
    }
}

static void on_signals(uv_poll_t *handle, int status, int events) {
    struct car_control *control = handle->data;
    struct signalfd_siginfo info;
    (void)status;
    (void)events;
    while (read(control->signals_fd, &info, sizeof info) == sizeof info) {
        on_signal(control, info.ssi_signo);
    }
}

static void on_tick(uv_timer_t *handle) {
    struct car_control *control = handle->data;
    control->ops->tick(control->user);
}

static void on_ring(uv_async_t *handle) {
    struct car_control *control = handle->data;
    control->ops->tick(control->user);
}

static void on_round(uv_timer_t *handle) {
    struct car_control *control = handle->data;
    control->ops->round(control->user);
}

/* 0 or a UV_E… code. The threads that are made later inherit what is blocked. */
static int open_signals(struct car_control *control) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    control->signals_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->signals_fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int err = uv_poll_init(&control->loop, &control->signals, control->signals_fd);
    if (err) {
        close(control->signals_fd);
        return err;
    }
    uv_poll_start(&control->signals, UV_READABLE, on_signals);
    return 0;
}

static void close_loop(struct car_control *control) {
    uv_close((uv_handle_t *)&control->bell, NULL);
    uv_run(&control->loop, UV_RUN_DEFAULT); /* close callbacks */
    uv_loop_close(&control->loop);
}

int car_control_open(struct car_control **out, const struct car_control_ops *ops, void *user) {
    struct car_control *control = calloc(1, sizeof *control);
    if (!control) {
        return CAR_ENOMEM;
    }
    control->ops = ops;
    control->user = user;
    control->signals.data = control->timer.data = control->rounds.data = control->bell.data = control;
    int err = uv_loop_init(&control->loop);
    if (err) {
        free(control);
        return err;
    }
    err = uv_async_init(&control->loop, &control->bell, on_ring);
    if (err) {
        uv_loop_close(&control->loop);
        free(control);
        return err;
    }
    uv_unref((uv_handle_t *)&control->bell);
    err = open_signals(control);
    if (err) {
        close_loop(control);
        free(control);
        return err;
    }
    uv_timer_init(&control->loop, &control->timer);
    uv_timer_init(&control->loop, &control->rounds);
    *out = control;
    return 0;
}

uv_loop_t *car_control_loop(struct car_control *control) {
    return &control->loop;
}

uint64_t car_control_now(const struct car_control *control) {
    return uv_now(&control->loop);
}

void car_control_tick(struct car_control *control, uint64_t ms) {
    if (ms) {
        uv_timer_start(&control->timer, on_tick, 0, ms);
    } else {
        uv_timer_stop(&control->timer);
    }
}

void car_control_tick_in(struct car_control *control, uint64_t ms) {
    uv_timer_start(&control->timer, on_tick, ms, 0);
}

void car_control_ring(struct car_control *control) {
    uv_async_send(&control->bell);
}

void car_control_rounds(struct car_control *control, uint64_t ms) {
    uv_timer_start(&control->rounds, on_round, ms, ms);
}

void car_control_run(struct car_control *control) {
    uv_run(&control->loop, UV_RUN_DEFAULT);
}

void car_control_stop(struct car_control *control) {
    if (!control->stopped) {
        control->stopped = true;
        uv_close((uv_handle_t *)&control->signals, NULL);
        uv_close((uv_handle_t *)&control->timer, NULL);
        uv_close((uv_handle_t *)&control->rounds, NULL);
    }
}

void car_control_close(struct car_control **control) {
    struct car_control *c = *control;
    *control = NULL;
    if (c) {
        car_control_stop(c);
        close_loop(c);
        close(c->signals_fd);
        free(c);
    }
}

const char *car_control_strerror(int err) {
    return err <= CAR_ENOMEM ? car_strerror(err) : uv_strerror(err);
}
