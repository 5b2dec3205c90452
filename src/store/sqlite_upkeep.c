#include "sqlite_upkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/sqlite.h"

#include "group.h"
#include "sqlite_checkpoint.h"
#include "sqlite_tend.h"

#define NEWS_MAX 4096u
#define TEND_MS  50 /* what comes in so much time is seen to together */
#define SWEEP_MS 1000
#define NICE     10

/* Which tenants have new events: filled by the log's thread, handed to the upkeep's, and handed back. There are two, so
 * that one can be filled meanwhile. */
struct news {
    struct car_note note; /* first */
    struct car_upkeep *upkeep;
    bool all; /* more than there is room for */
    unsigned count;
    int64_t numbers[NEWS_MAX];
};

struct car_upkeep {
    struct car_checkpoints checkpoints;
    atomic_bool checkpoint_told; /* the note below is on its way */
    struct car_note checkpoint_note;
    atomic_bool empty_wanted; /* the WAL may have something of a removed tenant; the log's thread turns it off */
    atomic_bool empty_told;   /* the note below is on its way */
    struct car_note empty_note;
    struct car_search_file search;
    struct news news[2];

    /* the log's thread */
    struct car_sqlite_db *committing; /* the connection that commits */
    struct car_retention retention;
    struct news *filling, *spare; /* spare: NULL while the other one is handed over */
    uint64_t inserted;            /* in the transaction that is open */
    bool emptying;                /* the WAL, before the next transaction */
    bool empty_failed;

    /* the upkeep's thread */
    struct car_worker *worker;
    struct car_log *log;
    struct car_sqlite_db db;
    struct car_tending tending;
    struct news *news_held; /* to be handed back */
    struct car_task turn;
    struct car_timer tend_timer, sweep_timer;
    struct car_note begin, stop, rest;
    bool stopping, resting;

    /* any thread */
    atomic_bool rest_told; /* that note is on its way */
    atomic_bool shall_rest, rests;
};

/* Checkpoints. */

static void on_checkpoint(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, checkpoint_note));
    (void)owner;
    atomic_store(&upkeep->checkpoint_told, false);
    if (!upkeep->resting && car_checkpoint_run(&upkeep->checkpoints, &upkeep->db) != 0) {
        car_log_error("store: %s", upkeep->db.why);
    }
}

static void ask_for_checkpoint(struct car_upkeep *upkeep) {
    car_checkpoint_rest(&upkeep->checkpoints, upkeep->committing);
    if (car_checkpoints_pending(&upkeep->checkpoints) >= CAR_CHECKPOINT_PAGES &&
        !atomic_exchange(&upkeep->checkpoint_told, true)) {
        car_worker_post(car_worker_self(), upkeep->worker, &upkeep->checkpoint_note);
    }
}

/* Emptying the WAL. What a former process had in it is nobody's to know: so it begins with that. */

/* On the upkeep's thread, once a second. */
static void bring_over(struct car_upkeep *upkeep) {
    if (atomic_load(&upkeep->empty_wanted) && !atomic_exchange(&upkeep->empty_told, true)) {
        if (car_checkpoint_run(&upkeep->checkpoints, &upkeep->db) != 0) {
            car_log_error("store: %s", upkeep->db.why);
        }
        car_worker_post(upkeep->worker, car_group_worker(upkeep->log), &upkeep->empty_note);
    }
}

/* On the log's thread, once between two transactions. Not at rest: then another process may write. */
static void empty(struct car_upkeep *upkeep) {
    struct car_sqlite_db *db = upkeep->committing;
    if (!upkeep->emptying || !sqlite3_get_autocommit(db->handle) || atomic_load(&upkeep->shall_rest)) {
        return;
    }
    upkeep->emptying = false;
    if (car_checkpoint_empty(&upkeep->checkpoints, db)) {
        atomic_store(&upkeep->empty_wanted, false);
        upkeep->empty_failed = false;
    } else if (db->why[0] && !upkeep->empty_failed) {
        car_log_error("store: %s", db->why);
        upkeep->empty_failed = true;
    }
}

static void on_empty(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, empty_note));
    (void)owner;
    atomic_store(&upkeep->empty_told, false);
    upkeep->emptying = true;
    empty(upkeep);
}

/* News, on the log's thread. */

static void on_news(struct car_note *note, void *owner);

static void send_news(struct car_upkeep *upkeep) {
    struct news *news = upkeep->filling;
    if (upkeep->spare && (news->count || news->all)) {
        upkeep->filling = upkeep->spare;
        upkeep->spare = NULL;
        news->note.run = on_news;
        car_worker_post(car_worker_self(), upkeep->worker, &news->note);
    }
}

/* What is not committed yet is told then. */
static void on_news_back(struct car_note *note, void *owner) {
    struct news *news = (struct news *)note; /* its first member */
    struct car_upkeep *upkeep = news->upkeep;
    (void)owner;
    news->count = 0;
    news->all = false;
    upkeep->spare = news;
    if (sqlite3_get_autocommit(upkeep->committing->handle)) {
        send_news(upkeep);
    }
}

void car_upkeep_changed(struct car_upkeep *upkeep, int64_t n) {
    struct news *news = upkeep->filling;
    if (news->count && news->numbers[news->count - 1] == n) {
        return;
    }
    if (news->count == NEWS_MAX) {
        news->all = true;
    } else {
        news->numbers[news->count++] = n;
    }
}

void car_upkeep_wrote(struct car_upkeep *upkeep, int64_t n) {
    upkeep->inserted++;
    car_upkeep_changed(upkeep, n);
}

void car_upkeep_committing(struct car_upkeep *upkeep) {
    car_retention_step(&upkeep->retention, upkeep->inserted);
}

void car_upkeep_committed(struct car_upkeep *upkeep) {
    upkeep->inserted = 0;
    car_retention_settle(&upkeep->retention, true);
    if (upkeep->retention.erased) {
        upkeep->retention.erased = false;
        atomic_store(&upkeep->empty_wanted, true);
    }
    empty(upkeep);
    ask_for_checkpoint(upkeep);
    send_news(upkeep);
}

void car_upkeep_rolled_back(struct car_upkeep *upkeep) {
    upkeep->inserted = 0;
    car_retention_settle(&upkeep->retention, false);
}

/* Tending, on the upkeep's thread. */

static void on_news(struct car_note *note, void *owner) {
    struct news *news = (struct news *)note; /* its first member */
    struct car_upkeep *upkeep = news->upkeep;
    struct car_worker *worker = owner;
    upkeep->news_held = news;
    if (!upkeep->stopping && !upkeep->resting && !car_timer_is_set(&upkeep->tend_timer) &&
        !car_task_is_queued(&upkeep->turn)) {
        car_timer_set(worker->wheel, &upkeep->tend_timer, TEND_MS);
    }
}

static void take_news(struct car_upkeep *upkeep) {
    struct news *news = upkeep->news_held;
    if (!news) {
        return;
    }
    upkeep->news_held = NULL;
    for (unsigned i = 0; i < news->count; i++) {
        car_tending_put(&upkeep->tending, news->numbers[i]);
    }
    if (news->all) {
        car_tending_put_all(&upkeep->tending);
    }
    news->note.run = on_news_back;
    car_worker_post(upkeep->worker, car_group_worker(upkeep->log), &news->note);
}

static void on_turn(struct car_task *task) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)task - offsetof(struct car_upkeep, turn));
    if (upkeep->stopping || upkeep->resting) {
        return;
    }
    take_news(upkeep);
    if (car_tending_step(&upkeep->tending)) {
        car_task_yield(&upkeep->worker->tasks, task);
    } else if (upkeep->tending.resting_until_us && !car_timer_is_set(&upkeep->tend_timer)) {
        car_timer_set(upkeep->worker->wheel, &upkeep->tend_timer, SWEEP_MS);
    }
}

static void on_tend_timer(struct car_timer *timer) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)timer - offsetof(struct car_upkeep, tend_timer));
    car_task_defer(&upkeep->worker->tasks, &upkeep->turn);
}

static void on_sweep_timer(struct car_timer *timer) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)timer - offsetof(struct car_upkeep, sweep_timer));
    bring_over(upkeep);
    car_tending_sweep(&upkeep->tending);
    car_task_defer(&upkeep->worker->tasks, &upkeep->turn);
    car_timer_set(upkeep->worker->wheel, timer, SWEEP_MS);
}

static void look_at_all(struct car_upkeep *upkeep) {
    car_tending_put_all(&upkeep->tending);
    car_task_defer(&upkeep->worker->tasks, &upkeep->turn);
    car_timer_set(upkeep->worker->wheel, &upkeep->sweep_timer, SWEEP_MS);
}

static void pause_all(struct car_upkeep *upkeep) {
    car_timer_clear(upkeep->worker->wheel, &upkeep->tend_timer);
    car_timer_clear(upkeep->worker->wheel, &upkeep->sweep_timer);
    car_task_cancel(&upkeep->worker->tasks, &upkeep->turn);
}

static void on_begin(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, begin));
    struct car_worker *worker = owner;
    /* Whoever publishes or reads goes first; where no processor is idle the index lags. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    upkeep->tending.reader = worker->reader;
    look_at_all(upkeep);
}

/* Rest. Told anew where it is asked for something else meanwhile. */

static void on_rest(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, rest));
    (void)owner;
    atomic_exchange(&upkeep->rest_told, false);
    bool rest = atomic_load(&upkeep->shall_rest);
    if (upkeep->stopping || rest == upkeep->resting) {
        return;
    }
    upkeep->resting = rest;
    if (rest) {
        pause_all(upkeep);
    } else {
        look_at_all(upkeep);
    }
    atomic_store(&upkeep->rests, rest);
}

void car_upkeep_rest(struct car_upkeep *upkeep, bool on) {
    atomic_store(&upkeep->shall_rest, on);
    if (!atomic_exchange(&upkeep->rest_told, true)) {
        car_worker_post(car_worker_self(), upkeep->worker, &upkeep->rest);
    }
}

bool car_upkeep_rests(const struct car_upkeep *upkeep) {
    return atomic_load(&upkeep->rests);
}

/* Life. */

struct car_search_file *car_upkeep_search(struct car_upkeep *upkeep) {
    return &upkeep->search;
}

void car_upkeep_begin(struct car_upkeep *upkeep, struct car_log *log) {
    upkeep->log = log;
    upkeep->retention.log = log;
    car_mailbox_post(&upkeep->worker->mailbox, &upkeep->begin);
}

static void on_stop(struct car_note *note, void *owner) {
    struct car_upkeep *upkeep = (struct car_upkeep *)((char *)note - offsetof(struct car_upkeep, stop));
    upkeep->stopping = true;
    pause_all(upkeep);
    car_worker_stop(owner);
}

static void upkeep_free(struct car_upkeep *upkeep) {
    if (upkeep->worker) {
        car_worker_close(&upkeep->worker);
    }
    car_tending_close(&upkeep->tending);
    car_retention_close(&upkeep->retention);
    car_sqlite_db_close(&upkeep->db);
    free(upkeep->search.path);
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

static void fill_in(struct car_upkeep *upkeep, struct car_feed *feed, const struct car_sqlite_config *config) {
    car_checkpoints_init(&upkeep->checkpoints);
    upkeep->checkpoint_note.run = on_checkpoint;
    upkeep->empty_wanted = true;
    upkeep->empty_note.run = on_empty;
    upkeep->begin.run = on_begin;
    upkeep->stop.run = on_stop;
    upkeep->rest.run = on_rest;
    upkeep->turn.run = on_turn;
    upkeep->tend_timer.fire = on_tend_timer;
    upkeep->sweep_timer.fire = on_sweep_timer;
    upkeep->news[0].upkeep = upkeep->news[1].upkeep = upkeep;
    upkeep->filling = &upkeep->news[0];
    upkeep->spare = &upkeep->news[1];
    upkeep->tending = (struct car_tending){.feed = feed,
                                           .db = &upkeep->db,
                                           .retention = &upkeep->retention,
                                           .search_file = &upkeep->search,
                                           .retain_ms = config->retain_ms,
                                           .retain_count = config->retain_count};
}

static int open_parts(struct car_upkeep *upkeep, const struct car_sqlite_config *config, struct car_sqlite_db *db) {
    size_t size = strlen(config->path) + sizeof "-search";
    upkeep->search.path = malloc(size);
    if (!upkeep->search.path) {
        snprintf(db->why, sizeof db->why, "out of memory");
        return CAR_ENOMEM;
    }
    snprintf(upkeep->search.path, size, "%s-search", config->path);
    int err = car_sqlite_db_open_upkeep(&upkeep->db, config->path);
    err = err ? err : car_tending_open(&upkeep->tending);
    if (err) {
        snprintf(db->why, sizeof db->why, "%s", upkeep->db.why);
    }
    return err ? err : car_retention_open(&upkeep->retention, db);
}

struct car_upkeep *car_upkeep_open(struct car_feed *feed, struct car_reclaim *reclaim, struct car_sqlite_db *db,
                                   const struct car_sqlite_config *config) {
    struct car_upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep) {
        snprintf(db->why, sizeof db->why, "out of memory");
        return NULL;
    }
    upkeep->db.lock = -1;
    upkeep->committing = db;
    fill_in(upkeep, feed, config);
    int err = open_parts(upkeep, config, db);
    if (!err && start(upkeep, reclaim) != 0) {
        snprintf(db->why, sizeof db->why, "no thread for the upkeep");
        err = CAR_ENOMEM;
    }
    if (err) {
        upkeep_free(upkeep);
        return NULL;
    }
    car_checkpoints_watch(&upkeep->checkpoints, db);
    return upkeep;
}

void car_upkeep_close(struct car_upkeep **upkeep) {
    struct car_upkeep *u = *upkeep;
    *upkeep = NULL;
    car_mailbox_post(&u->worker->mailbox, &u->stop);
    car_worker_join(u->worker);
    upkeep_free(u);
}
