#include "sqlite_upkeep.h"

#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/log.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/sqlite.h"

struct car_upkeep {
    struct car_checkpoints checkpoints;
    atomic_bool checkpoint_told; /* the note below is on its way */
    struct car_note checkpoint_note;

    /* the upkeep's thread */
    struct car_worker *worker;
    struct car_sqlite_db db;
    struct car_note stop;
};

/* Checkpoints. */

static void on_checkpoint(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, checkpoint_note));
    (void)owner;
    atomic_store(&upkeep->checkpoint_told, false);
    if (car_checkpoint_run(&upkeep->checkpoints, &upkeep->db) != 0) {
        car_log_error("store: %s", upkeep->db.why);
    }
}

struct car_checkpoints *car_upkeep_checkpoints(struct car_upkeep *upkeep) {
    return &upkeep->checkpoints;
}

void car_upkeep_committed(struct car_upkeep *upkeep) {
    if (car_checkpoints_pending(&upkeep->checkpoints) >= CAR_CHECKPOINT_PAGES &&
        !atomic_exchange(&upkeep->checkpoint_told, true)) {
        car_worker_post(car_worker_self(), upkeep->worker, &upkeep->checkpoint_note);
    }
}

/* Life. */

static void on_stop(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static void upkeep_free(struct car_upkeep *upkeep) {
    if (upkeep->worker) {
        car_worker_close(&upkeep->worker);
    }
    car_sqlite_db_close(&upkeep->db);
    free(upkeep);
}

static int start(struct car_upkeep *upkeep, struct car_reclaim *reclaim) {
    int err = car_worker_open(&upkeep->worker, 0, reclaim);
    if (err) {
        upkeep->worker = NULL;
        return err;
    }
    upkeep->worker->name = "upkeep";
    upkeep->worker->user = upkeep;
    err = car_worker_start(upkeep->worker);
    if (err) {
        car_worker_join(upkeep->worker);
    }
    return err;
}

struct car_upkeep *car_upkeep_open(struct car_reclaim *reclaim, const struct car_sqlite_config *config, char *why,
                                   size_t size) {
    struct car_upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
    car_checkpoints_init(&upkeep->checkpoints);
    upkeep->checkpoint_note.run = on_checkpoint;
    upkeep->stop.run = on_stop;
    int err = car_sqlite_db_open_upkeep(&upkeep->db, config->path);
    if (err || start(upkeep, reclaim) != 0) {
        snprintf(why, size, "%s", err ? upkeep->db.why : "no thread for the upkeep");
        upkeep_free(upkeep);
        return NULL;
    }
    return upkeep;
}

void car_upkeep_close(struct car_upkeep **upkeep) {
    struct car_upkeep *u = *upkeep;
    *upkeep = NULL;
    car_mailbox_post(&u->worker->mailbox, &u->stop);
    car_worker_join(u->worker);
    upkeep_free(u);
}
