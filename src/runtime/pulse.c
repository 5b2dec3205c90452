#include "carillon/runtime/pulse.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/runtime/worker.h"

/* A worker that is asked. The note is the mailbox's while `answered` is off. */
struct probe {
    struct car_note note; /* first */
    atomic_bool answered;
    struct car_worker *worker;
    bool silent; /* it has been told; the owner's */
};

struct car_pulse {
    uv_timer_t timer;
    const struct car_pulse_ops *ops;
    void *user;
    unsigned count;
    struct probe probes[];
};

static void on_asked(struct car_note *note, void *owner) {
    (void)owner;
    /* Pairs with the load in all_answered: from here on the note may be posted again. */
    atomic_store_explicit(&((struct probe *)note)->answered, true, memory_order_release);
}

static bool all_answered(struct car_pulse *pulse) {
    bool all = true;
    for (unsigned i = 0; i < pulse->count; i++) {
        struct probe *probe = &pulse->probes[i];
        bool answered = atomic_load_explicit(&probe->answered, memory_order_acquire);
        if (!answered && !probe->silent) {
            pulse->ops->silent(pulse->user, probe->worker->id);
        }
        probe->silent = !answered;
        all = all && answered;
    }
    return all;
}

static void ask(struct car_pulse *pulse) {
    for (unsigned i = 0; i < pulse->count; i++) {
        struct probe *probe = &pulse->probes[i];
        atomic_store_explicit(&probe->answered, false, memory_order_relaxed); /* the post publishes it */
        car_mailbox_post(&probe->worker->mailbox, &probe->note);
    }
}

static void on_look(uv_timer_t *timer) {
    struct car_pulse *pulse = timer->data;
    if (all_answered(pulse)) {
        pulse->ops->beat(pulse->user);
        ask(pulse);
    }
}

int car_pulse_open(struct car_pulse **out, uv_loop_t *loop, struct car_worker *const *workers, unsigned count,
                   uint64_t every_ms, const struct car_pulse_ops *ops, void *user) {
    struct car_pulse *pulse = calloc(1, sizeof *pulse + count * sizeof *pulse->probes);
    if (!pulse) {
        return CAR_ENOMEM;
    }
    pulse->ops = ops;
    pulse->user = user;
    pulse->count = count;
    for (unsigned i = 0; i < count; i++) {
        pulse->probes[i].note.run = on_asked;
        pulse->probes[i].worker = workers[i];
        atomic_init(&pulse->probes[i].answered, false);
    }
    ask(pulse);
    uv_timer_init(loop, &pulse->timer);
    uv_unref((uv_handle_t *)&pulse->timer);
    pulse->timer.data = pulse;
    uv_timer_start(&pulse->timer, on_look, every_ms, every_ms);
    *out = pulse;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void car_pulse_close(struct car_pulse **pulse) {
    if (*pulse) {
        uv_close((uv_handle_t *)&(*pulse)->timer, on_closed);
        *pulse = NULL;
    }
}
