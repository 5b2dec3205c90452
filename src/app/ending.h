#ifndef CARILLON_APP_ENDING_H
#define CARILLON_APP_ENDING_H

#include <stdbool.h>
#include <stdint.h>

struct car_control;
struct car_net;
struct car_note;

/*
 * The end of a server that others depend on. Nothing new is taken; what is being published is waited for, so that it is
 * on its way to those who subscribe; then connections are told to leave, spread over a part of the time; a little
 * before the end, whose request has not come whole is told that it comes too late; and when none is left, or time is
 * up, the workers stop. The control loop's thread alone uses it.
 */
struct car_ending {
    struct car_net *net; /* with its workers, which run */
    struct car_control *control;
    uint32_t timeout_ms;
    bool begun, leaving, spoken, aborted;
    uint64_t began;                                         /* in the control loop's milliseconds */
    struct car_note *last_notes, *abort_notes, *stop_notes; /* one a worker each: others may still be on their way */
    struct car_ending_seen *seen;                           /* one a worker: whether it knows */
};

/* With net, control and timeout_ms set, the rest zero. 0 or CAR_ENOMEM. */
int car_ending_open(struct car_ending *ending, unsigned workers);

/* The workers have ended. It may be zero. */
void car_ending_close(struct car_ending *ending);

/* Once; the listener does not accept any more. */
void car_ending_begin(struct car_ending *ending);

/* To be called every now and then from then on. true: all have gone, and the workers stop. */
bool car_ending_look(struct car_ending *ending);

/* Events, and questions to the log, that somebody waits for. */
unsigned car_ending_publishing(const struct car_net *net);

/* Closes what is left as it is. */
void car_ending_hurry(struct car_ending *ending);

#endif
