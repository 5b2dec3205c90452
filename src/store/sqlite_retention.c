#include "sqlite_retention.h"

#include <stdio.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "group.h"
#include "sqlite_row.h"

/* Bounds on what one transaction deletes, and for how long. The more it inserts, the more: so it keeps up with whatever
 * comes. */
#define ROWS_MAX     256u
#define ROWS_FOR_ONE 2u
#define STEP_US      3000u
#define US_FOR_ONE   50u

/* How many rows one statement deletes, and how long it is to take: large events take their time. */
#define CHUNK_MAX 64u
#define CHUNK_US  1000u

#define REST_US 5000000u

enum statement {
    SAVE,
    RELEASE,
    UNDO,
    FORGET,
    TYPES,
    DELETE,
    UNCOUNT,
    KEYS,
    NO_KEYS,
    NO_TYPES,
    NO_ACCESS,
    NO_TENANT,
    STATEMENTS
};
_Static_assert((int)STATEMENTS == (int)CAR_RETENTION_STATEMENTS, "as many as there is room for");

static const char DELETE_KEYS[] = "DELETE FROM idempotency WHERE tenant = ?1 AND key IN"
                                  " (SELECT key FROM idempotency WHERE tenant = ?1 LIMIT ?2)";

static const char *const SQL[STATEMENTS] = {
    [SAVE] = "SAVEPOINT retention",
    [RELEASE] = "RELEASE retention",
    [UNDO] = "ROLLBACK TO retention",
    [FORGET] = "UPDATE tenants SET forgotten = ?2 WHERE n = ?1 AND forgotten < ?2",
    [TYPES] = "SELECT type FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3",
    [DELETE] = "DELETE FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3",
    [UNCOUNT] = "UPDATE types SET count = count - ?3 WHERE tenant = ?1 AND type = ?2",
    [KEYS] = "DELETE FROM idempotency WHERE tenant = ?1 AND first < ?2 AND first + count <= ?2",
    [NO_KEYS] = DELETE_KEYS,
    [NO_TYPES] = "DELETE FROM types WHERE tenant = ?1 AND type IN (SELECT type FROM types WHERE tenant = ?1 LIMIT ?2)",
    [NO_ACCESS] = "DELETE FROM keys WHERE kid IN (SELECT kid FROM keys WHERE tenant = ?1 LIMIT ?2)",
    [NO_TENANT] = "DELETE FROM tenants WHERE n = ?1 AND removed <> 0",
};

int car_retention_open(struct car_retention *retention, struct car_sqlite_db *db) {
    int err = 0;
    *retention = (struct car_retention){.db = db};
    retention->tail = &retention->head;
    retention->chunk = 1;
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(db, &retention->statements[i], SQL[i]);
    }
    return err;
}

void car_retention_close(struct car_retention *retention) {
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(retention->statements[i]);
        retention->statements[i] = NULL;
    }
}

/* The list of those with something to do. */

static bool has_work(struct car_retiring *r) {
    return atomic_load(&r->forget) > r->forgotten ||
           (r->first <= atomic_load(&r->free_to) && r->first <= r->forgotten) || (atomic_load(&r->erase) && !r->erased);
}

static void push(struct car_retention *retention, struct car_retiring *r) {
    r->next = NULL;
    *retention->tail = r;
    retention->tail = &r->next;
}

static struct car_retiring *pop(struct car_retention *retention) {
    struct car_retiring *r = retention->head;
    retention->head = r->next;
    if (!retention->head) {
        retention->tail = &retention->head;
    }
    return r;
}

static void on_ask(struct car_note *note, void *owner) {
    struct car_retiring *r = (struct car_retiring *)note; /* its first member */
    (void)owner;
    push(r->retention, r);
    car_group_tend(r->retention->log);
}

void car_retention_ask(struct car_retiring *r) {
    if (!atomic_exchange(&r->listed, true)) {
        r->note.run = on_ask;
        car_worker_post(car_worker_self(), car_group_worker(r->retention->log), &r->note);
    }
}

/* Either it says that it has left the list and then sees what is new, or the upkeep's thread finds that it has. */
static void put_back(struct car_retention *retention, struct car_retiring *r) {
    if (has_work(r)) {
        push(retention, r);
        return;
    }
    atomic_store(&r->listed, false);
    if (has_work(r) && !atomic_exchange(&r->listed, true)) {
        push(retention, r);
    }
}

/* One step. */

static int run(struct car_retention *retention, enum statement which) {
    sqlite3_stmt *statement = retention->statements[which];
    int err = sqlite3_step(statement) == SQLITE_DONE ? 0 : car_sqlite_failed(retention->db, "nothing is forgotten");
    (void)sqlite3_reset(statement);
    return err;
}

static int uncount(struct car_retention *retention, int64_t n) {
    sqlite3_stmt *statement = retention->statements[UNCOUNT];
    int err = 0;
    for (unsigned i = 0; i < retention->tally_count && !err; i++) {
        (void)sqlite3_bind_int64(statement, 1, n);
        (void)sqlite3_bind_text(statement, 2, retention->tallies[i].type, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(statement, 3, retention->tallies[i].count);
        err = run(retention, UNCOUNT);
    }
    retention->tally_count = 0;
    return err;
}

static int tally(struct car_retention *retention, int64_t n, struct car_span type) {
    for (unsigned i = 0; i < retention->tally_count; i++) {
        if (car_span_eq(car_span_cstr(retention->tallies[i].type), type)) {
            retention->tallies[i].count++;
            return 0;
        }
    }
    int err = retention->tally_count == CAR_RETENTION_TALLIES ? uncount(retention, n) : 0;
    unsigned at = retention->tally_count++;
    size_t len = type.len < sizeof retention->tallies[at].type ? type.len : sizeof retention->tallies[at].type - 1;
    memcpy(retention->tallies[at].type, type.ptr, len);
    retention->tallies[at].type[len] = '\0';
    retention->tallies[at].count = 1;
    return err;
}

static int tally_chunk(struct car_retention *retention, struct car_retiring *r, uint64_t last) {
    sqlite3_stmt *statement = retention->statements[TYPES];
    int err = 0;
    int status = SQLITE_ROW;
    (void)sqlite3_bind_int64(statement, 1, r->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)r->new_first);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)last);
    while (!err && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        err = tally(retention, r->n, car_sqlite_column(statement, 0));
    }
    if (!err && status != SQLITE_DONE) {
        err = car_sqlite_failed(retention->db, "nothing is forgotten");
    }
    (void)sqlite3_reset(statement);
    return err;
}

/* Deletes the rows up to `end`, or as many of them as one statement may. */
static int delete_chunk(struct car_retention *retention, struct car_retiring *r, uint64_t end) {
    sqlite3_stmt *statement = retention->statements[DELETE];
    uint64_t last = r->new_first + retention->chunk - 1;
    uint64_t start = car_clock_mono_us();
    last = last < end ? last : end;
    int err = tally_chunk(retention, r, last);
    (void)sqlite3_bind_int64(statement, 1, r->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)r->new_first);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)last);
    err = err ? err : run(retention, DELETE);
    r->new_first = last + 1;
    uint64_t took = car_clock_mono_us() - start;
    if (took > CHUNK_US) {
        retention->chunk = retention->chunk > 1 ? retention->chunk / 2 : 1;
    } else if (took < CHUNK_US / 2) {
        retention->chunk = retention->chunk < CHUNK_MAX ? retention->chunk * 2 : CHUNK_MAX;
    }
    return err;
}

static int forget(struct car_retention *retention, struct car_retiring *r) {
    sqlite3_stmt *statement = retention->statements[FORGET];
    uint64_t seq = atomic_load(&r->forget);
    if (seq <= r->forgotten) {
        return 0;
    }
    (void)sqlite3_bind_int64(statement, 1, r->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)seq);
    r->new_forgotten = seq;
    return run(retention, FORGET);
}

/* Deletes rows of one tenant. */
static int trim(struct car_retention *retention, struct car_retiring *r, uint64_t *left, uint64_t deadline_us) {
    uint64_t end = atomic_load(&r->free_to);
    uint64_t first = r->new_first;
    int err = 0;
    end = end < r->new_forgotten ? end : r->new_forgotten;
    while (!err && r->new_first <= end && *left && car_clock_mono_us() < deadline_us) {
        uint64_t before = r->new_first;
        err = delete_chunk(retention, r, end < before + *left - 1 ? end : before + *left - 1);
        *left -= r->new_first - before;
    }
    err = err ? err : uncount(retention, r->n);
    if (!err && r->new_first > first) {
        (void)sqlite3_bind_int64(retention->statements[KEYS], 1, r->n);
        (void)sqlite3_bind_int64(retention->statements[KEYS], 2, (sqlite3_int64)r->new_first);
        err = run(retention, KEYS);
    }
    return err;
}

/* What is left of a removed tenant when its events are gone, and at last its row. */
static int erase(struct car_retention *retention, struct car_retiring *r, uint64_t *left) {
    if (!atomic_load(&r->erase) || r->new_erased || r->new_first <= r->new_forgotten) {
        return 0;
    }
    for (enum statement which = NO_KEYS; which <= NO_ACCESS; which++) {
        if (*left == 0) {
            return 0; /* the rest with the next transaction */
        }
        (void)sqlite3_bind_int64(retention->statements[which], 1, r->n);
        (void)sqlite3_bind_int64(retention->statements[which], 2, (sqlite3_int64)*left);
        int err = run(retention, which);
        if (err) {
            return err;
        }
        *left -= (uint64_t)sqlite3_changes(retention->db->handle);
    }
    if (*left == 0) {
        return 0;
    }
    (void)sqlite3_bind_int64(retention->statements[NO_TENANT], 1, r->n);
    r->new_erased = true;
    return run(retention, NO_TENANT);
}

/* Of removed tenants; or of the others. */
static int delete_some(struct car_retention *retention, bool removed, uint64_t *left, uint64_t deadline_us) {
    int err = 0;
    for (unsigned i = 0; i < retention->touched_count && !err; i++) {
        struct car_retiring *r = retention->touched[i];
        if (atomic_load(&r->removed) == removed) {
            err = trim(retention, r, left, deadline_us);
            err = err ? err : erase(retention, r, left);
        }
    }
    return err;
}

static int step(struct car_retention *retention, uint64_t inserted) {
    uint64_t deadline = car_clock_mono_us() + STEP_US + inserted * US_FOR_ONE;
    uint64_t left = ROWS_MAX + inserted * ROWS_FOR_ONE;
    int err = run(retention, SAVE);
    for (unsigned i = 0; i < retention->touched_count && !err; i++) {
        err = forget(retention, retention->touched[i]);
    }
    err = err ? err : delete_some(retention, false, &left, deadline);
    err = err ? err : delete_some(retention, true, &left, deadline);
    return err ? err : run(retention, RELEASE);
}

static void start_over(struct car_retention *retention) {
    for (unsigned i = 0; i < retention->touched_count; i++) {
        struct car_retiring *r = retention->touched[i];
        r->new_forgotten = r->forgotten;
        r->new_first = r->first;
        r->new_erased = r->erased;
    }
    retention->tally_count = 0;
}

void car_retention_step(struct car_retention *retention, uint64_t inserted) {
    if (!retention->head || car_clock_mono_us() < retention->resting_until_us) {
        return;
    }
    while (retention->head && retention->touched_count < CAR_RETENTION_AT_ONCE) {
        retention->touched[retention->touched_count++] = pop(retention);
    }
    start_over(retention);
    if (step(retention, inserted) != 0) {
        car_log_error("store: %s", retention->db->why);
        if (!sqlite3_get_autocommit(retention->db->handle)) { /* some errors have rolled back already, all of it */
            (void)run(retention, UNDO);
            (void)run(retention, RELEASE);
        }
        start_over(retention);
        retention->resting_until_us = car_clock_mono_us() + REST_US;
    }
}

void car_retention_settle(struct car_retention *retention, bool committed) {
    if (!committed) {
        start_over(retention);
    }
    for (unsigned i = 0; i < retention->touched_count; i++) {
        struct car_retiring *r = retention->touched[i];
        r->first = r->new_first;
        retention->erased = retention->erased || r->new_erased != r->erased;
        r->erased = r->new_erased;
        if (r->new_forgotten > r->forgotten) {
            r->forgotten = r->new_forgotten;
            car_tenant_forget(r->tenant, r->forgotten);
        }
        put_back(retention, r);
    }
    retention->touched_count = 0;
    if (retention->head && car_clock_mono_us() >= retention->resting_until_us) {
        car_group_tend(retention->log);
    }
}
