#include "survey.h"

#include <stdlib.h>

#include "carillon/feed/feed.h"
#include "carillon/runtime/worker.h"

static void take(struct car_survey *survey) {
    if (--survey->left == 0) {
        car_feed_publishing(car_feed_local(survey->asker->feed), -1);
        survey->done(survey);
    }
}

static void on_back(struct car_note *note, void *owner) {
    (void)owner;
    take(((struct car_survey_part *)note)->survey); /* its first member */
}

/* On the worker that is asked. */
static void fill(struct car_survey_part *part, struct car_worker *worker) {
    const struct car_refusals *refusals = car_refusals_of(worker);
    part->laggard_count = car_laggards_find(worker, part->laggards, CAR_SURVEY_LAGGARDS, &part->laggard_total);
    part->refused_total = refusals->count;
    if (refusals->count) {
        unsigned kept = refusals->count < CAR_REFUSALS_KEPT ? (unsigned)refusals->count : CAR_REFUSALS_KEPT;
        part->refused = malloc(kept * sizeof *part->refused);
        part->refused_count = part->refused ? car_refusals_copy(refusals, part->refused, kept) : 0;
    }
}

static void on_ask(struct car_note *note, void *owner) {
    struct car_survey_part *part = (struct car_survey_part *)note; /* its first member */
    struct car_worker *worker = owner;
    fill(part, worker);
    note->run = on_back;
    car_worker_post(worker, part->survey->asker, note);
}

bool car_survey_start(struct car_feed *feed, struct car_worker *asker, void (*done)(struct car_survey *survey),
                      void *user) {
    unsigned count = feed->worker_count;
    struct car_survey *survey = calloc(1, sizeof *survey + count * sizeof survey->parts[0]);
    if (!survey) {
        return false;
    }
    *survey = (struct car_survey){.asker = asker, .count = count, .left = count, .done = done, .user = user};
    car_feed_publishing(car_feed_local(asker->feed), 1);
    for (unsigned i = 0; i < count; i++) {
        struct car_survey_part *part = &survey->parts[i];
        part->survey = survey;
        if (feed->workers[i] != asker) {
            part->note.run = on_ask;
            car_worker_post(asker, feed->workers[i], &part->note);
        }
    }
    /* Last, for with one worker that is all, and the survey may be gone then. */
    fill(&survey->parts[asker->id], asker);
    take(survey);
    return true;
}

void car_survey_free(struct car_survey *survey) {
    for (unsigned i = 0; i < survey->count; i++) {
        free(survey->parts[i].refused);
    }
    free(survey);
}
