#ifndef CARILLON_API_SURVEY_H
#define CARILLON_API_SURVEY_H

#include <stdbool.h>

#include "carillon/feed/laggards.h"
#include "carillon/runtime/mailbox.h"

#include "refusals.h"

struct car_feed;
struct car_survey;
struct car_worker;

#define CAR_SURVEY_LAGGARDS 50 /* of each worker */

/* What one worker says. */
struct car_survey_part {
    struct car_note note; /* first */
    struct car_survey *survey;
    unsigned laggard_count, laggard_total; /* that are here, and that there are */
    unsigned refused_count;
    uint64_t refused_total; /* since the process began */
    struct car_laggard laggards[CAR_SURVEY_LAGGARDS];
    struct car_refused *refused; /* newest first; NULL where there are none, or memory ran out */
};

/*
 * A question to all workers, about what each of them alone may look at.
 *
 * Owner: who asks. A part is its worker's from the note's posting until it comes back by the same note: so one thread
 * has it at a time, and the mailboxes order what they write. While parts are away the asker counts as publishing
 * (car_feed_publishing), so that no worker stops before it has answered.
 */
struct car_survey {
    struct car_worker *asker;
    unsigned count, left; /* parts; and those that are away */
    void (*done)(struct car_survey *survey);
    void *user;
    struct car_survey_part parts[];
};

/* Asks. `done` is called once, on the asker's thread, perhaps before this returns; then the survey is the caller's to
 * free. false where memory ran out, and it is not called. On the asker's thread. */
bool car_survey_start(struct car_feed *feed, struct car_worker *asker, void (*done)(struct car_survey *survey),
                      void *user);

void car_survey_free(struct car_survey *survey);

#endif
