#include "carillon/runtime/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/wheel.h"

#define NS_PER_MS   UINT64_C(1000000)
#define NS_PER_TICK (CAR_TIMER_TICK_MS * NS_PER_MS)

/* 20.5 s a round: nearly all of a connection's delays, so that few timers are looked at before they are due. */
#define SLOTS 2048u

/* A delay past this (35 years) is as good as never, and no sum below overflows. */
#define DELAY_MS_MAX (UINT64_C(1) << 40)

#define UNARMED UINT64_MAX

/*
 * Tick t begins t * CAR_TIMER_TICK_MS after `base`. A timer is due with the first tick that does not begin before its
 * time, and lies in the slot due & mask whatever its round. The loop's timer is one-shot, set for the first tick whose
 * slot is occupied: a loop whose timers are far away sleeps through the ticks between.
 *
 * Owner: the loop's thread.
 */
struct car_wheel {
    uv_timer_t alarm;
    uint64_t base;    /* ns of uv_hrtime */
    uint64_t done;    /* the last tick whose slot has been looked at; every set timer's `due` is later. It stands still
                         while the loop sleeps or is blocked */
    uint64_t armed;   /* the tick that the alarm is set for, or UNARMED */
    size_t set_count; /* timers set, those on `firing` included */
    bool running;     /* within on_alarm, which arms at its end */
    bool closing;
    struct car_timer *firing; /* taken off their slot, about to fire */
    unsigned mask;
    struct car_timer *slots[];
};

static void list_push(struct car_timer **head, struct car_timer *timer) {
    timer->next = *head;
    timer->pprev = head;
    if (*head) {
        (*head)->pprev = &timer->next;
    }
    *head = timer;
}

static void list_remove(struct car_timer *timer) {
    *timer->pprev = timer->next;
    if (timer->next) {
        timer->next->pprev = timer->pprev;
    }
    timer->next = NULL;
    timer->pprev = NULL;
}

/* Clears every timer of the list. */
static void list_drop(struct car_timer **head) {
    for (struct car_timer *timer = *head, *next; timer; timer = next) {
        next = timer->next;
        timer->next = NULL;
        timer->pprev = NULL;
    }
    *head = NULL;
}

static uint64_t elapsed_ns(const struct car_wheel *wheel) {
    return uv_hrtime() - wheel->base; /* not uv_now: that stands still while a callback runs, and a timer set late in
                                         a long one would fire early */
}

static void on_alarm(uv_timer_t *alarm);

static void arm(struct car_wheel *wheel, uint64_t tick) {
    uint64_t at_ms = (wheel->base + tick * NS_PER_TICK + NS_PER_MS - 1) / NS_PER_MS;
    uint64_t now_ms = uv_now(wheel->alarm.loop);
    wheel->armed = tick;
    uv_timer_start(&wheel->alarm, on_alarm, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void disarm(struct car_wheel *wheel) {
    wheel->armed = UNARMED;
    uv_timer_stop(&wheel->alarm);
}

static void arm_next(struct car_wheel *wheel) {
    uint64_t tick = wheel->done + 1;
    while (!wheel->slots[tick & wheel->mask]) {
        tick++; /* ends within a round: a timer is set */
    }
    arm(wheel, tick);
}

/* Fires what is due in the tick's slot. The due ones leave the slot first, so that `fire` may set and clear whatever
 * it likes: a timer put into this slot by then is for a later round, and one cleared leaves `firing` like any list. */
static void run_slot(struct car_wheel *wheel, uint64_t tick) {
    struct car_timer *timer = wheel->slots[tick & wheel->mask];
    while (timer) {
        struct car_timer *next = timer->next;
        if (timer->due <= tick) {
            list_remove(timer);
            list_push(&wheel->firing, timer);
        }
        timer = next;
    }
    while (wheel->firing) {
        timer = wheel->firing;
        list_remove(timer);
        wheel->set_count--;
        timer->fire(timer);
    }
}

static void on_alarm(uv_timer_t *alarm) {
    struct car_wheel *wheel = alarm->data;
    uint64_t now = elapsed_ns(wheel) / NS_PER_TICK;
    wheel->running = true;
    if (now - wheel->done > wheel->mask) {
        wheel->done = now - wheel->mask - 1; /* more than a round behind: each slot once is enough */
    }
    while (wheel->done < now && wheel->set_count > 0 && !wheel->closing) {
        wheel->done++;
        run_slot(wheel, wheel->done);
    }
    wheel->running = false;
    if (wheel->closing) {
        return;
    }
    if (wheel->set_count > 0) {
        arm_next(wheel);
    } else {
        disarm(wheel);
    }
}

struct car_wheel *car_wheel_new_sized(uv_loop_t *loop, unsigned slots) {
    assert(slots > 0 && (slots & (slots - 1)) == 0);
    struct car_wheel *wheel = calloc(1, sizeof *wheel + slots * sizeof wheel->slots[0]);
    if (!wheel) {
        return NULL;
    }
    wheel->mask = slots - 1;
    wheel->base = uv_hrtime();
    wheel->armed = UNARMED;
    wheel->alarm.data = wheel;
    uv_timer_init(loop, &wheel->alarm); /* cannot fail: it only fills the handle in */
    return wheel;
}

struct car_wheel *car_wheel_new(uv_loop_t *loop) {
    return car_wheel_new_sized(loop, SLOTS);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void car_wheel_close(struct car_wheel **wheel) {
    struct car_wheel *w = *wheel;
    *wheel = NULL;
    w->closing = true;
    list_drop(&w->firing);
    for (unsigned i = 0; i <= w->mask; i++) {
        list_drop(&w->slots[i]);
    }
    uv_close((uv_handle_t *)&w->alarm, on_closed);
}

void car_timer_set(struct car_wheel *wheel, struct car_timer *timer, uint64_t delay_ms) {
    assert(!wheel->closing);
    if (car_timer_is_set(timer)) {
        list_remove(timer);
        wheel->set_count--;
    }
    uint64_t now = elapsed_ns(wheel);
    uint64_t delay = (delay_ms < DELAY_MS_MAX ? delay_ms : DELAY_MS_MAX) * NS_PER_MS;
    timer->due = (now + delay + NS_PER_TICK - 1) / NS_PER_TICK;
    if (timer->due <= wheel->done) {
        timer->due = wheel->done + 1;
    }
    list_push(&wheel->slots[timer->due & wheel->mask], timer);
    wheel->set_count++;
    if (!wheel->running && timer->due < wheel->armed) {
        arm(wheel, timer->due);
    }
}

void car_timer_clear(struct car_wheel *wheel, struct car_timer *timer) {
    if (!car_timer_is_set(timer)) {
        return;
    }
    list_remove(timer);
    wheel->set_count--;
    if (wheel->set_count == 0 && !wheel->running) {
        disarm(wheel);
    }
}
