#include "postgres_session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"

#include "postgres_schema.h"

#define PATIENCE_MS       5000u
#define PATIENCE_START_MS 600000u /* for a new schema, and for the tenants */
#define CONNECT_SLICE_MS  200u
#define LOCK_LOOKS        20     /* at the start, */
#define LOCK_LOOK_US      100000 /* so far apart: the server may not have heard yet that a former process has ended */
#define DELAY_MIN_MS      100u
#define DELAY_MAX_MS      5000u

/* Names of ours mean our schema, whatever the role's settings are; what is prepared while a table is small finds its
 * rows by their index when it has grown; a statement ends before its patience does; and a commit is one, unless the
 * role asks for more. */
static const char SETTINGS[] =
    "SET search_path = ''; SET jit = off; SET enable_seqscan = off; SET statement_timeout = 4000;"
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

static const char LOCK[] = "SELECT pg_try_advisory_lock(" CAR_PG_LOCK_KEY ", 0)";

static const char END_FORMER[] = "SELECT pg_terminate_backend(pid) FROM (" CAR_PG_LOCK_OF("$1") ") AS former";

static const char NAME[] = "SELECT epoch, mark FROM carillon.log";

static int wrong(struct car_pg_session *session, const char *what) {
    snprintf(session->pg.why, sizeof session->pg.why, "%s", what);
    return CAR_EINVAL;
}

/* The former connection may still have the lock: the server has not heard yet that it is gone, or is at work on what it
 * was sent. */
static void end_former(struct car_pg_session *session) {
    struct car_pg_args args = {0};
    car_pg_number(&args, session->former);
    PQclear(car_pg_query(&session->pg, END_FORMER, &args));
}

static int try_lock(struct car_pg_session *session) {
    PGresult *result = car_pg_query(&session->pg, LOCK, NULL);
    int err = !result ? CAR_ESYS : car_pg_column_bool(result, 0, 0) ? 0 : CAR_EEXIST;
    PQclear(result);
    return err;
}

static int lock(struct car_pg_session *session) {
    int err = try_lock(session);
    if (err == CAR_EEXIST && session->former) {
        end_former(session);
    }
    for (unsigned i = 0; i < LOCK_LOOKS && err == CAR_EEXIST && !session->former; i++) {
        usleep(LOCK_LOOK_US);
        err = try_lock(session);
    }
    if (!err) {
        session->former = PQbackendPID(session->pg.conn);
    }
    return err == CAR_EEXIST ? wrong(session, "the database is in use by another server") : err;
}

/* Sets a new connection up. */
static int set_up(struct car_pg_session *session, enum car_pg_state *state, unsigned *version) {
    struct car_pg *pg = &session->pg;
    pg->patience_ms = PATIENCE_MS;
    int err = car_pg_exec(pg, SETTINGS);
    if (err) {
        return err;
    }
    const char *encoding = PQparameterStatus(pg->conn, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
        return wrong(session, "the database's encoding is not UTF8");
    }
    err = lock(session);
    err = err ? err : car_pg_schema_look(pg, state, version);
    if (!err && *state == CAR_PG_FOREIGN) {
        err = wrong(session, "the database has a schema named carillon that is another program's");
    } else if (!err && *state == CAR_PG_NEWER) {
        err = wrong(session, "the database was made by a newer version");
    }
    return err;
}

/* The log's name and mark. */
static int read_log(struct car_pg_session *session, char epoch[CAR_EPOCH_LEN + 1], uint64_t *mark) {
    PGresult *result = car_pg_query(&session->pg, NAME, NULL);
    int err = result ? 0 : CAR_ESYS;
    if (result && (PQntuples(result) != 1 || car_pg_column(result, 0, 0).len != CAR_EPOCH_LEN)) {
        err = wrong(session, "the database is damaged: the log has no name");
    } else if (result) {
        memcpy(epoch, car_pg_column(result, 0, 0).ptr, CAR_EPOCH_LEN);
        epoch[CAR_EPOCH_LEN] = '\0';
        *mark = (uint64_t)car_pg_column_number(result, 0, 1);
    }
    PQclear(result);
    return err;
}

int car_pg_session_open(struct car_pg_session *session) {
    enum car_pg_state state;
    unsigned version = 0;
    int err = car_pg_open(&session->pg, session->uri);
    err = err ? err : set_up(session, &state, &version);
    session->pg.patience_ms = PATIENCE_START_MS;
    err = err ? err : car_pg_exec(&session->pg, "SET statement_timeout = 0");
    if (!err && state != CAR_PG_CURRENT) {
        err = car_pg_schema_update(&session->pg, version);
    }
    car_random(&session->counter, sizeof session->counter);
    return err ? err : read_log(session, session->epoch, &session->mark);
}

static int prepare(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count) {
    int err = 0;
    for (unsigned i = 0; i < count && !err; i++) {
        err = car_pg_send_prepare(&session->pg, statements[i].name, statements[i].sql);
    }
    return err ? err : car_pg_finish(&session->pg, NULL);
}

int car_pg_session_ready(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count) {
    int err = prepare(session, statements, count);
    err = err ? err : car_pg_exec(&session->pg, SETTINGS);
    session->pg.patience_ms = PATIENCE_MS;
    session->delay_ms = DELAY_MIN_MS;
    atomic_store(&session->backend, err ? 0 : session->former);
    return err;
}

/* Taking a transaction out again. */

/* All of it or nothing: where that fails, the mark is as it was, and it is tried again. */
static int undo(struct car_pg_session *session) {
    int err = car_pg_undo_run(&session->undo, &session->pg, !session->keeps, session->mark);
    if (!err) {
        car_log_warn("store: a transaction whose end was not heard of was committed, and is taken out again");
    }
    return err;
}

/* Whether the database is as this process believes; makes it so where a transaction was committed unheard. */
static int take_up(struct car_pg_session *session) {
    char epoch[CAR_EPOCH_LEN + 1];
    uint64_t mark = 0;
    int err = read_log(session, epoch, &mark);
    if (!err && memcmp(epoch, session->epoch, sizeof epoch) != 0) {
        return wrong(session, "the database holds another log than before. A restart takes that one");
    }
    if (!err && mark != session->mark && (!session->unsure || mark != session->tried)) {
        return wrong(session, "the database is not as this server has left it: another one has written to it, or it was"
                              " restored. A restart takes it as it is");
    }
    if (!err && mark != session->mark) {
        if (!session->keeps || session->undo.changes) {
            err = undo(session);
        } else {
            session->mark = mark;
        }
    }
    session->unsure = session->unsure && err;
    return err;
}

/* Connecting again. */

static int resume(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count) {
    enum car_pg_state state;
    unsigned version;
    int err = set_up(session, &state, &version);
    if (!err && state != CAR_PG_CURRENT) {
        err = wrong(session, "the database has lost its tables");
    }
    err = err ? err : take_up(session);
    return err ? err : prepare(session, statements, count);
}

static void put_off(struct car_pg_session *session) {
    uint32_t dice;
    car_random(&dice, sizeof dice);
    unsigned wait_ms = session->delay_ms * 3 / 4 + dice % (session->delay_ms / 2);
    session->next_try = car_clock_mono_us() + UINT64_C(1000) * wait_ms;
    session->delay_ms = session->delay_ms * 2 < DELAY_MAX_MS ? session->delay_ms * 2 : DELAY_MAX_MS;
    if (strcmp(session->said, session->pg.why) != 0) {
        car_log_warn("store: not connected: %s", session->pg.why);
        memcpy(session->said, session->pg.why, sizeof session->said);
    }
}

/* One step towards a connection. CAR_EFULL: it is on its way. */
static int go_on(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count) {
    int err = session->connecting ? 0 : car_pg_start(&session->pg, session->uri);
    session->connecting = !err;
    err = err ? err : car_pg_connect(&session->pg, CONNECT_SLICE_MS);
    if (err == CAR_EFULL) {
        snprintf(session->pg.why, sizeof session->pg.why, "the connection is being made");
        return err;
    }
    session->connecting = false;
    return err ? err : resume(session, statements, count);
}

int car_pg_session_check(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count) {
    if (car_pg_is_well(&session->pg)) {
        return 0;
    }
    if (!session->connecting && car_clock_mono_us() < session->next_try) {
        snprintf(session->pg.why, sizeof session->pg.why, "not connected: %.200s", session->said);
        return CAR_ESYS;
    }
    atomic_store(&session->backend, 0);
    int err = go_on(session, statements, count);
    if (err && err != CAR_EFULL) {
        car_pg_close(&session->pg);
        put_off(session);
    } else if (!err) {
        atomic_store(&session->backend, session->former);
        session->delay_ms = DELAY_MIN_MS;
        session->said[0] = '\0';
    }
    return err ? CAR_ESYS : 0;
}

/* A transaction. */

uint64_t car_pg_session_tries(struct car_pg_session *session) {
    session->tried = ++session->counter;
    session->unsure = true;
    return session->tried;
}

void car_pg_session_tried(struct car_pg_session *session, int err) {
    session->mark = err ? session->mark : session->tried;
    session->unsure = err && !session->pg.connected;
}

void car_pg_session_rest(struct car_pg_session *session) {
    atomic_store(&session->backend, 0);
    session->connecting = false;
    session->next_try = 0;
    session->former = 0; /* it is not there any more; who has the lock is to be waited for */
    car_pg_close(&session->pg);
}

void car_pg_session_close(struct car_pg_session *session) {
    car_pg_close(&session->pg);
    car_pg_undo_free(&session->undo);
}
