#ifndef CARILLON_RUNTIME_PULSE_H
#define CARILLON_RUNTIME_PULSE_H

#include <stdint.h>
#include <uv.h>

struct car_pulse;
struct car_worker;

/*
 * Tells whether every worker's loop turns: each is asked by a note, and only when all have answered there is a beat,
 * and they are asked anew. So a worker that hangs, and as well the loop that asks, ends the beats.
 *
 * Owner: the thread of the loop that it lies on. A worker only turns its own answer's flag on, as the last it does with
 * the note; the owner turns it off before it posts the note again.
 */
struct car_pulse_ops {
    void (*beat)(void *user);                       /* all have answered by a look; the first look is not at once */
    void (*silent)(void *user, unsigned worker_id); /* this one has not, at the first look that finds it so */
};

/* Looks every so many milliseconds (at least 1) whether all have answered. The workers may not run yet. It does not
 * keep the loop alive. 0 or CAR_ENOMEM. On the loop's thread. */
int car_pulse_open(struct car_pulse **out, uv_loop_t *loop, struct car_worker *const *workers, unsigned count,
                   uint64_t every_ms, const struct car_pulse_ops *ops, void *user);

/* Memory goes in the close callback. After the workers were joined: a note may have been on its way. Nulls the pointer;
 * NULL inside is allowed. On the loop's thread. */
void car_pulse_close(struct car_pulse **pulse);

#endif
