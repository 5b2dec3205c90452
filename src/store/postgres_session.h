#ifndef CARILLON_STORE_POSTGRES_SESSION_H
#define CARILLON_STORE_POSTGRES_SESSION_H

#include <stdatomic.h>

#include "carillon/feed/feed.h"

#include "postgres_db.h"
#include "postgres_undo.h"

/*
 * The writer's connection, which comes back by itself. Whoever has it holds the database's lock (an advisory one, the
 * session's), so there is one writer. `mark` is another number after each transaction: it tells whether one was
 * committed whose end was not heard of, and whether another server has written while there was no connection.
 */
/* The database's lock: "Cln1", and 0. */
#define CAR_PG_LOCK_KEY "1131179569"

/* Selects that process of the server where it has the lock. */
#define CAR_PG_LOCK_OF(process)                                                                                        \
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = " CAR_PG_LOCK_KEY                  \
    " AND objid = 0 AND objsubid = 2 AND pid = " process                                                               \
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

struct car_pg_session {
    struct car_pg pg; /* its `why` also has what is wrong with the session */
    const char *uri;
    bool keeps; /* events of a transaction whose end was not heard of stay where it was committed; else they are taken
                   out. Changes (account.h) always are */
    char epoch[CAR_EPOCH_LEN + 1];

    uint64_t mark;  /* of the last transaction that is known to be committed */
    uint64_t tried; /* of the last one that was begun, where it is `unsure` */
    uint64_t counter;
    bool unsure;             /* what became of it */
    struct car_pg_undo undo; /* of that one */

    bool connecting;
    int former;         /* the last connection's process on the server; 0 before the first */
    atomic_int backend; /* the same, once all is found to be well; 0 while it is not known. Any thread */
    uint64_t next_try;  /* car_clock_mono_us */
    unsigned delay_ms;  /* behind the next failure */
    char said[240];     /* why there is no connection, as it was logged last */
};

struct car_pg_statement {
    const char *name, *sql;
};

/* Connects, and brings the schema up to date. All but `uri` and `keeps` of *session is zero. 0; else a negative code,
 * and pg.why says what is wrong. */
int car_pg_session_open(struct car_pg_session *session);

/* What is prepared for each connection. All of the start has been read by now: what follows has to be quick. 0;
 * CAR_ESYS.
 */
int car_pg_session_ready(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count);

/* Whether there is a connection; tries to have one where there is none. Takes 200 ms at most, and some round trips
 * where it was successful. 0; CAR_ESYS. */
int car_pg_session_check(struct car_pg_session *session, const struct car_pg_statement *statements, unsigned count);

/* The mark of a transaction, which is about to be sent whole. */
uint64_t car_pg_session_tries(struct car_pg_session *session);

/* How it ended. */
void car_pg_session_tried(struct car_pg_session *session, int err);

/* Lets go of the connection, and of the lock with it; the next car_pg_session_check connects again. */
void car_pg_session_rest(struct car_pg_session *session);

void car_pg_session_close(struct car_pg_session *session);

#endif
