#include "sqlite_checkpoint.h"

#include "carillon/base/log.h"

#define FRAMES UINT64_C(0xffffffff)

/* What of a long WAL the log's thread brings over by itself; and the length from which on it waits for that. */
#define REST (2 * CAR_CHECKPOINT_PAGES)
#define FAR  (2 * CAR_CHECKPOINT_HIGH)

void car_checkpoints_init(struct car_checkpoints *checkpoints) {
    *checkpoints = (struct car_checkpoints){.running = PTHREAD_MUTEX_INITIALIZER};
}

static int on_commit(void *user, sqlite3 *handle, const char *name, int frames) {
    struct car_checkpoints *checkpoints = user;
    uint64_t before = atomic_load_explicit(&checkpoints->written, memory_order_relaxed);
    uint64_t generation = before & ~FRAMES;
    (void)handle;
    (void)name;
    if ((uint64_t)frames < (before & FRAMES)) {
        generation += FRAMES + 1;
        checkpoints->again = 0;
    }
    atomic_store_explicit(&checkpoints->written, generation | (uint64_t)frames, memory_order_release);
    return SQLITE_OK;
}

void car_checkpoints_watch(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    (void)sqlite3_wal_hook(db->handle, on_commit, checkpoints);
}

uint64_t car_checkpoints_pending(const struct car_checkpoints *checkpoints) {
    uint64_t done = atomic_load_explicit(&checkpoints->done, memory_order_acquire);
    uint64_t written = atomic_load_explicit(&checkpoints->written, memory_order_acquire);
    if ((written & ~FRAMES) != (done & ~FRAMES)) {
        return written & FRAMES;
    }
    return written > done ? written - done : 0;
}

/* Under `running`. */
static int run(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    uint64_t written = atomic_load_explicit(&checkpoints->written, memory_order_acquire);
    int frames = 0;
    int brought = 0;
    if (car_checkpoints_pending(checkpoints) == 0) {
        return 0;
    }
    int status = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &brought);
    if ((status & 0xff) == SQLITE_BUSY) {
        return 0; /* it has met a commit that is just being made known: after the next one */
    }
    if (status != SQLITE_OK) {
        return car_sqlite_failed(db, "the WAL does not go to the database");
    }
    /* Still the generation that was written: there was something left of it. */
    atomic_store_explicit(&checkpoints->done, (written & ~FRAMES) | (uint64_t)(brought > 0 ? brought : 0),
                          memory_order_release);
    return 0;
}

int car_checkpoint_run(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    pthread_mutex_lock(&checkpoints->running);
    int err = run(checkpoints, db);
    pthread_mutex_unlock(&checkpoints->running);
    return err;
}

void car_checkpoint_rest(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    uint64_t frames = atomic_load_explicit(&checkpoints->written, memory_order_relaxed) & FRAMES;
    if (frames < CAR_CHECKPOINT_HIGH || frames < checkpoints->again) {
        return;
    }
    if (frames >= FAR) {
        pthread_mutex_lock(&checkpoints->running);
    } else if (car_checkpoints_pending(checkpoints) > REST || pthread_mutex_trylock(&checkpoints->running) != 0) {
        return; /* the upkeep's thread is at it, or will be soon */
    }
    if (run(checkpoints, db) != 0) {
        car_log_error("store: %s", db->why);
    }
    pthread_mutex_unlock(&checkpoints->running);
    checkpoints->again = frames + CAR_CHECKPOINT_PAGES; /* a reader may keep the WAL from beginning anew */
}

/* Under `running`. */
static bool empty(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    uint64_t generation = atomic_load_explicit(&checkpoints->written, memory_order_relaxed) & ~FRAMES;
    int frames = 0;
    int brought = 0;
    (void)sqlite3_busy_timeout(db->handle, CAR_SQLITE_EMPTY_MS);
    int status = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &brought);
    (void)sqlite3_busy_timeout(db->handle, CAR_SQLITE_BUSY_MS);
    if (status == SQLITE_OK) {
        generation += FRAMES + 1;
        atomic_store_explicit(&checkpoints->written, generation, memory_order_release);
        atomic_store_explicit(&checkpoints->done, generation, memory_order_release);
        checkpoints->again = 0;
        (void)sqlite3_db_release_memory(db->handle);
        return true;
    }
    if ((status & 0xff) != SQLITE_BUSY) {
        /* It may have begun anew: what is said to be left has to be left. */
        uint64_t written = atomic_load_explicit(&checkpoints->written, memory_order_relaxed);
        atomic_store_explicit(&checkpoints->done, written, memory_order_release);
        (void)car_sqlite_failed(db, "the WAL is not emptied");
    } else if (brought > 0) {
        atomic_store_explicit(&checkpoints->done, generation | (uint64_t)brought, memory_order_release);
    }
    return false;
}

bool car_checkpoint_empty(struct car_checkpoints *checkpoints, struct car_sqlite_db *db) {
    if (pthread_mutex_trylock(&checkpoints->running) != 0) {
        return false;
    }
    db->why[0] = '\0';
    bool done = empty(checkpoints, db);
    pthread_mutex_unlock(&checkpoints->running);
    return done;
}
