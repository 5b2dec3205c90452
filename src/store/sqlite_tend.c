#include "sqlite_tend.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"

#include "sqlite_row.h"

/* Bounds on one step: then the thread looks at what else it is told. */
#define STEP_EVENTS  1024u
#define STEP_TENANTS 256u
#define STEP_US      20000u
#define REST_US      5000000 /* before an index that could not be written is tried again */
#define SWEEP        65536u

/* Where no more than this is kept of a tenant, looking at all of it costs less than an index that changes as fast. */
#define SEARCH_MIN 2048u

enum statement { TENANT, TENANTS, EVENTS, TIMES, FIRST, AT, STATEMENTS };

static const char ROWS[] =
    "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";

static const char *const SQL[STATEMENTS] = {
    [TENANT] = "SELECT id, newest, forgotten, removed, retention_ms, retention_count FROM tenants WHERE n = ?1",
    [TENANTS] = "SELECT n FROM tenants WHERE n > ?1 ORDER BY n LIMIT 256",
    [EVENTS] = ROWS,
    [TIMES] = "SELECT seq, wall_ms FROM events WHERE tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT 1024",
    [FIRST] = "SELECT seq FROM events WHERE tenant = ?1 ORDER BY seq LIMIT 1",
    [AT] = "SELECT wall_ms FROM events WHERE tenant = ?1 AND seq = ?2",
};

struct car_tended {
    struct car_tended *next;
    bool queued;
    bool known; /* what a former process has left was looked at */
    int64_t n;
    bool removed; /* all of it is to go */
    struct car_tenant *tenant;
    struct car_tenant *ghost;         /* that is no tenant any more, and never was one of this process: ours; or NULL */
    uint64_t newest, floor;           /* the seqs up to floor are forgotten, or will be */
    uint64_t retain_ms, retain_count; /* its own, or what all have */
    int64_t oldest_ms;                /* the time of the first event behind floor; 0: not looked at, or there is none */
    struct car_indexed indexed;
    struct car_retiring *retiring; /* NULL while nothing was to be forgotten */
    bool damaged;                  /* an event cannot be read, and none behind it is indexed */
};

/* Opening. */

/* From here on events are looked for without an index; the next start makes one. */
static void give_up_search(struct car_tending *tending) {
    atomic_store(&tending->search_file->usable, false);
    car_log_warn("store: there is no search index until the next start, and searching takes longer: %s",
                 tending->search.db.why);
    car_search_close(&tending->search, true);
    tending->searching = false;
}

int car_tending_open(struct car_tending *tending) {
    int err = 0;
    tending->tail = &tending->head;
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(tending->db, &tending->statements[i], SQL[i]);
    }
    if (!err) {
        int status = car_search_open(&tending->search, tending->search_file, tending->feed->epoch, tending->db->handle);
        tending->searching = status == 0;
        if (status) {
            car_log_warn("store: there is no search index, and searching takes longer: %s", tending->search.db.why);
        }
    }
    return err;
}

void car_tending_close(struct car_tending *tending) {
    if (tending->searching) {
        car_search_close(&tending->search, !atomic_load(&tending->search_file->usable));
    }
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(tending->statements[i]);
    }
    for (size_t i = 0; i < tending->room; i++) {
        if (tending->tended[i]) {
            free(tending->tended[i]->retiring);
            car_tenant_free(&tending->tended[i]->ghost);
            free(tending->tended[i]);
        }
    }
    free(tending->tended);
}

/* The line. */

static void push(struct car_tending *tending, struct car_tended *t) {
    if (!t->queued) {
        t->queued = true;
        t->next = NULL;
        *tending->tail = t;
        tending->tail = &t->next;
    }
}

static struct car_tended *pop(struct car_tending *tending) {
    struct car_tended *t = tending->head;
    tending->head = t->next;
    if (!tending->head) {
        tending->tail = &tending->head;
    }
    t->queued = false;
    return t;
}

/* Room for that number. */
static int widen(struct car_tending *tending, size_t n) {
    size_t room = tending->room ? tending->room : 64;
    while (room <= n) {
        room *= 2;
    }
    if (room == tending->room) {
        return 0;
    }
    struct car_tended **wider = realloc(tending->tended, room * sizeof(struct car_tended *));
    if (!wider) {
        return CAR_ENOMEM;
    }
    memset(wider + tending->room, 0, (room - tending->room) * sizeof(struct car_tended *));
    tending->tended = wider;
    tending->room = room;
    return 0;
}

void car_tending_put(struct car_tending *tending, int64_t n) {
    if (n < 0 || n >= CAR_SEARCH_N_MAX || widen(tending, (size_t)n) != 0) {
        return;
    }
    struct car_tended *t = tending->tended[n];
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t) {
            return;
        }
        t->n = n;
        t->indexed = (struct car_indexed){.low = 1, .high = 0};
        tending->tended[n] = t;
    }
    push(tending, t);
}

void car_tending_put_all(struct car_tending *tending) {
    tending->looking = true;
    tending->looked_to = -1;
}

static void look_at_more(struct car_tending *tending) {
    sqlite3_stmt *statement = tending->statements[TENANTS];
    bool any = false;
    (void)sqlite3_bind_int64(statement, 1, tending->looked_to);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        tending->looked_to = sqlite3_column_int64(statement, 0);
        car_tending_put(tending, tending->looked_to);
        any = true;
    }
    (void)sqlite3_reset(statement);
    tending->looking = any;
}

/* Of that tenant, events from before are too old. */
static int64_t border_ms(const struct car_tended *t) {
    return car_clock_wall_ms() - (int64_t)t->retain_ms;
}

void car_tending_sweep(struct car_tending *tending) {
    if (tending->searching) {
        car_search_empty_wal(&tending->search);
    }
    for (size_t i = 0; i < SWEEP && i < tending->room; i++) {
        struct car_tended *t = tending->tended[tending->swept_to++ % tending->room];
        if (t && t->oldest_ms && t->oldest_ms < border_ms(t)) {
            push(tending, t);
        }
    }
}

/* One tenant. */

/* The first column of a statement's row about a tenant (and a seq, where it wants one); 0 where there is none. */
static int64_t number(struct car_tending *tending, enum statement which, int64_t n, uint64_t seq) {
    sqlite3_stmt *statement = tending->statements[which];
    (void)sqlite3_bind_int64(statement, 1, n);
    if (which == AT) {
        (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)seq);
    }
    int64_t found = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    return found;
}

/* What the row says. `found`: whom the registry has by its id, where that is not known yet. */
static bool read_row(struct car_tending *tending, struct car_tended *t, struct car_tenant **found) {
    sqlite3_stmt *statement = tending->statements[TENANT];
    (void)sqlite3_bind_int64(statement, 1, t->n);
    bool there = sqlite3_step(statement) == SQLITE_ROW;
    if (there) {
        struct car_span id = car_sqlite_column(statement, 0);
        uint64_t forgotten = (uint64_t)sqlite3_column_int64(statement, 2);
        t->newest = (uint64_t)sqlite3_column_int64(statement, 1);
        t->removed = sqlite3_column_int64(statement, 3) != 0;
        uint64_t ms = (uint64_t)sqlite3_column_int64(statement, 4);
        uint64_t count = (uint64_t)sqlite3_column_int64(statement, 5);
        t->retain_ms = ms ? ms : tending->retain_ms;
        t->retain_count = count ? count : tending->retain_count;
        t->floor = t->floor > forgotten ? t->floor : forgotten;
        if (t->removed && !t->tenant && car_tenant_id_ok(id)) {
            t->tenant = t->ghost = car_tenant_new(id);
        } else if (!t->removed && !t->tenant) {
            *found = car_registry_find(tending->feed->registry, tending->reader, id);
        }
    }
    (void)sqlite3_reset(statement);
    return there;
}

/* The tenant as the database has it. false where it cannot be seen to. */
static bool look(struct car_tending *tending, struct car_tended *t) {
    struct car_tenant *found = NULL;
    bool there = read_row(tending, t, &found);
    if (there && found) {
        /* Where another one of its id was found, this one's removal had been committed before. */
        struct car_tenant *again = NULL;
        there = read_row(tending, t, &again);
        t->tenant = there && !t->removed ? found : t->tenant;
    }
    if (there && t->removed) {
        t->floor = t->newest;
    }
    return there && t->tenant;
}

static void move_floor(struct car_tended *t, uint64_t floor) {
    if (floor > t->floor) {
        t->floor = floor;
        t->oldest_ms = 0;
    }
}

/* How many events have become too old: all before the first that has not. Whether there may be more. */
static bool age(struct car_tending *tending, struct car_tended *t) {
    sqlite3_stmt *statement = tending->statements[TIMES];
    int64_t border = border_ms(t);
    uint64_t floor = t->floor;
    int64_t ms = t->oldest_ms;
    if (!ms && t->floor < t->newest) {
        ms = number(tending, AT, t->n, t->floor + 1);
    }
    if (ms && ms < border) {
        (void)sqlite3_bind_int64(statement, 1, t->n);
        (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)t->floor);
        while (sqlite3_step(statement) == SQLITE_ROW && (ms = sqlite3_column_int64(statement, 1)) < border) {
            floor = (uint64_t)sqlite3_column_int64(statement, 0);
        }
        (void)sqlite3_reset(statement);
    }
    move_floor(t, floor);
    t->oldest_ms = t->floor < t->newest ? ms : 0;
    return t->oldest_ms && t->oldest_ms < border;
}

/* What is to be forgotten. Whether there may be more. */
static bool find_floor(struct car_tending *tending, struct car_tended *t) {
    if (t->retain_count && t->newest > t->retain_count) {
        move_floor(t, t->newest - t->retain_count);
    }
    t->oldest_ms = t->retain_ms ? t->oldest_ms : 0; /* it may have been limited */
    return t->retain_ms && age(tending, t);
}

/* Has the log's thread forget up to the floor, and delete what is said to be free. */
static void retire(struct car_tending *tending, struct car_tended *t, uint64_t free_to) {
    struct car_retiring *r = t->retiring;
    if (!r) {
        uint64_t first = (uint64_t)number(tending, FIRST, t->n, 0);
        r = first > t->floor && !t->removed ? NULL : calloc(1, sizeof *r);
        if (!r) {
            return; /* nothing is left behind, or there is no memory: with the next event */
        }
        r->n = t->n;
        r->tenant = t->tenant;
        r->retention = tending->retention;
        r->first = first ? first : t->floor + 1;
        r->forgotten = car_tenant_forgotten(t->tenant);
        t->retiring = r;
    }
    bool erase = t->removed && free_to == t->floor && !atomic_load(&r->erase);
    if (erase || atomic_load(&r->forget) < t->floor || atomic_load(&r->free_to) < free_to) {
        atomic_store(&r->removed, t->removed);
        atomic_store(&r->forget, t->floor);
        if (free_to > atomic_load(&r->free_to)) {
            atomic_store(&r->free_to, free_to);
        }
        if (erase) {
            atomic_store(&r->erase, true); /* last: what is to go before is known then */
        }
        car_retention_ask(r);
    }
}

/* The index. */

static bool has_time(const struct car_tending *tending) {
    return tending->left && car_clock_mono_us() < tending->deadline_us;
}

/* Adds the events of a range to the index, or removes them, as many as the step has time for. *seq is the last one's,
 * or, where nothing more of the range can be read, the last of it, and then *damaged says so; *id its id. */
static int index_range(struct car_tending *tending, struct car_tended *t, uint64_t first, uint64_t last, bool add,
                       uint64_t *seq, struct car_uuid *id) {
    sqlite3_stmt *statement = tending->statements[EVENTS];
    bool read = true;
    int err = 0;
    *seq = first - 1;
    (void)sqlite3_bind_int64(statement, 1, t->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)first);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)last);
    while (!err && read && *seq < last && has_time(tending)) {
        struct car_event_row row;
        read = sqlite3_step(statement) == SQLITE_ROW && car_sqlite_row(statement, car_tenant_id(t->tenant), &row) == 0;
        struct car_event *event = read ? car_event_restore(t->tenant, &row) : NULL;
        read = event != NULL;
        if (read) {
            err = (add ? car_search_add : car_search_remove)(&tending->search, t->n, t->indexed.key, event);
            *seq = row.seq;
            *id = row.id;
            car_event_unref(&event);
            tending->left--;
        }
    }
    (void)sqlite3_reset(statement);
    if (!read) {
        t->damaged = t->damaged || add; /* whoever asks for it is told */
        *seq = add ? *seq : last;       /* a power cut has let the deleting outlive the removing, and that is all */
    }
    return err;
}

static bool is_empty(const struct car_indexed *indexed) {
    return indexed->low > indexed->high;
}

/* Whether the index has nothing of what is forgotten. */
static bool is_clean(const struct car_tended *t) {
    return is_empty(&t->indexed) || t->indexed.low > t->floor;
}

/* Takes what is forgotten out of the index. */
static int remove_old(struct car_tending *tending, struct car_tended *t) {
    struct car_indexed *i = &t->indexed;
    struct car_uuid id;
    uint64_t seq;
    int err = index_range(tending, t, i->low, t->floor < i->high ? t->floor : i->high, false, &seq, &id);
    i->low = seq + 1;
    return err ? err : car_search_move(&tending->search, t->n, i, NULL);
}

/* Which event is the next one to be indexed; 0 where none is. */
static uint64_t next_new(const struct car_tending *tending, const struct car_tended *t) {
    uint64_t first = is_empty(&t->indexed) ? t->floor + 1 : t->indexed.high + 1;
    bool wanted = tending->searching && !t->damaged && car_search_has_room(t->n, first) &&
                  (t->retain_count == 0 || t->retain_count > SEARCH_MIN);
    return wanted && first <= t->newest ? first : 0;
}

static int add_new(struct car_tending *tending, struct car_tended *t, uint64_t first) {
    struct car_uuid id;
    uint64_t seq;
    int err = index_range(tending, t, first, t->newest, true, &seq, &id);
    if (err || seq < first) {
        return err;
    }
    t->indexed.low = is_empty(&t->indexed) ? first : t->indexed.low;
    t->indexed.high = seq;
    return car_search_move(&tending->search, t->n, &t->indexed, &id);
}

static int index_tenant(struct car_tending *tending, struct car_tended *t) {
    int err = is_clean(t) ? 0 : remove_old(tending, t);
    uint64_t first = !err && is_clean(t) ? next_new(tending, t) : 0;
    return first ? add_new(tending, t, first) : err;
}

/* A step. */

/* What is to be done for a tenant, within the index's transaction. *more: it is not all. */
static int tend(struct car_tending *tending, struct car_tended *t, bool *more) {
    int err = 0;
    *more = false;
    if (!look(tending, t)) {
        return 0;
    }
    if (!t->known && tending->searching) {
        err = car_search_place(&tending->search, t->n, &t->indexed);
    }
    t->known = true;
    *more = !t->removed && find_floor(tending, t);
    if (!err && tending->searching) {
        err = index_tenant(tending, t);
        *more = *more || !is_clean(t) || next_new(tending, t);
    }
    if (!err && tending->searching && t->removed && is_clean(t)) {
        err = car_search_forget(&tending->search, t->n);
    }
    return err;
}

/* Has the log's thread do its part, now that the index has let go. */
static void retire_all(struct car_tending *tending, struct car_tended *const *done, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct car_tended *t = done[i];
        if (t->tenant && (t->floor || t->removed)) {
            retire(tending, t, !tending->searching || is_clean(t) ? t->floor : t->indexed.low - 1);
        }
    }
}

/* The index could not be written. Where that may pass, what was done is to be done again later. */
static bool rest(struct car_tending *tending, struct car_tended *const *done, unsigned count) {
    if (!car_search_undo(&tending->search)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        done[i]->known = false;
        if (!done[i]->queued) {
            push(tending, done[i]);
        }
    }
    if (tending->resting_until_us == 0) {
        car_log_warn("store: the search index cannot be written, and searching takes longer: %s",
                     tending->search.db.why);
    }
    tending->resting_until_us = car_clock_mono_us() + REST_US;
    return true;
}

static void rested(struct car_tending *tending) {
    if (tending->resting_until_us) {
        tending->resting_until_us = 0;
        car_log_warn("store: the search index is written again");
    }
}

bool car_tending_step(struct car_tending *tending) {
    struct car_tended *done[STEP_TENANTS];
    unsigned count = 0;
    if (tending->searching && car_clock_mono_us() < tending->resting_until_us) {
        return false; /* it is called again */
    }
    tending->left = STEP_EVENTS;
    tending->deadline_us = car_clock_mono_us() + STEP_US;
    if (!tending->head && tending->looking) {
        look_at_more(tending);
    }
    if (!tending->head) {
        return tending->looking;
    }
    int err = tending->searching ? car_search_begin(&tending->search) : 0;
    while (tending->head && count < STEP_TENANTS && !err && has_time(tending)) {
        bool more;
        struct car_tended *t = pop(tending);
        err = tend(tending, t, &more);
        done[count++] = t;
        if (more) {
            push(tending, t);
        }
    }
    if (!err && tending->searching) {
        err = car_search_commit(&tending->search);
    }
    if (err && tending->searching && atomic_load(&tending->search_file->usable) && rest(tending, done, count)) {
        return false;
    }
    if (err || (tending->searching && !atomic_load(&tending->search_file->usable))) {
        give_up_search(tending);
    }
    if (tending->searching) {
        rested(tending);
    }
    retire_all(tending, done, count);
    return tending->head || tending->looking;
}
