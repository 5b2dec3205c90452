#include "carillon/runtime/control.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "carillon/base/err.h"

struct car_control {
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sighup;
    uv_timer_t timer;
    const struct car_control_ops *ops;
    void *user;
    bool stopped;
};

static void on_end(uv_signal_t *handle, int signum) {
    struct car_control *control = handle->data;
    control->ops->end(control->user, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

static void on_reload(uv_signal_t *handle, int signum) {
    struct car_control *control = handle->data;
    (void)signum;
    control->ops->reload(control->user);
}

static void on_tick(uv_timer_t *handle) {
    struct car_control *control = handle->data;
    control->ops->tick(control->user);
}

int car_control_open(struct car_control **out, const struct car_control_ops *ops, void *user) {
    struct car_control *control = calloc(1, sizeof *control);
    if (!control) {
        return CAR_ENOMEM;
    }
    int err = uv_loop_init(&control->loop);
    if (err) {
        free(control);
        return err;
    }
    control->ops = ops;
    control->user = user;
    control->sigterm.data = control->sigint.data = control->sighup.data = control->timer.data = control;
    uv_signal_init(&control->loop, &control->sigterm);
    uv_signal_init(&control->loop, &control->sigint);
    uv_signal_init(&control->loop, &control->sighup);
    uv_timer_init(&control->loop, &control->timer);
    uv_signal_start(&control->sigterm, on_end, SIGTERM);
    uv_signal_start(&control->sigint, on_end, SIGINT);
    uv_signal_start(&control->sighup, on_reload, SIGHUP);
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
    uv_timer_start(&control->timer, on_tick, 0, ms);
}

void car_control_run(struct car_control *control) {
    uv_run(&control->loop, UV_RUN_DEFAULT);
}

void car_control_stop(struct car_control *control) {
    if (!control->stopped) {
        control->stopped = true;
        uv_close((uv_handle_t *)&control->sigterm, NULL);
        uv_close((uv_handle_t *)&control->sigint, NULL);
        uv_close((uv_handle_t *)&control->sighup, NULL);
        uv_close((uv_handle_t *)&control->timer, NULL);
    }
}

void car_control_close(struct car_control **control) {
    struct car_control *c = *control;
    *control = NULL;
    if (c) {
        car_control_stop(c);
        uv_run(&c->loop, UV_RUN_DEFAULT); /* close callbacks */
        uv_loop_close(&c->loop);
        free(c);
    }
}

const char *car_control_strerror(int err) {
    return err <= CAR_ENOMEM ? car_strerror(err) : uv_strerror(err);
}
