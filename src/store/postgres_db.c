#include "postgres_db.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"

#define CONNECT_MS 5000u
#define FOREVER_MS 3600000u

/* What the URI may say otherwise comes before it, what it may not comes behind. */
static const char *const KEYWORDS[] = {
    "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout",          "dbname",          "client_encoding",     NULL};
static const char *const VALUES[] = {"carillon", "10", "3", "3", "5000", NULL, "UTF8", NULL};
enum { URI_AT = 5, KEYWORD_COUNT = sizeof KEYWORDS / sizeof *KEYWORDS };

/* Failures. */

/* The first line: libpq goes on with hints, and with the other ways it has tried. */
static int failed(struct car_pg *pg, const char *said) {
    size_t len = said ? strcspn(said, "\r\n") : 0;
    const char *text = len ? said : "the connection is lost";
    snprintf(pg->why, sizeof pg->why, "%.*s", (int)(len ? len : strlen(text)), text);
    return CAR_ESYS;
}

static void forget_failure(struct car_pg *pg) {
    pg->why[0] = pg->state[0] = '\0';
}

/* The connection is of no use any more. Where the server has said why, before it went, that is the reason. */
static int broken(struct car_pg *pg, const char *said) {
    if (!pg->why[0]) {
        (void)failed(pg, said ? said : PQerrorMessage(pg->conn));
    }
    car_pg_close(pg);
    return CAR_ESYS;
}

/* A statement failed. */
static int refused(struct car_pg *pg, const PGresult *result) {
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(pg->state, sizeof pg->state, "%s", state ? state : "");
    return failed(pg, said ? said : PQresultErrorMessage(result));
}

static void on_notice(void *user, const PGresult *result) {
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    (void)user;
    car_log_debug("store: PostgreSQL says: %s", said ? said : "nothing");
}

/* Connecting. */

static unsigned connect_ms(PGconn *conn) {
    PQconninfoOption *options = PQconninfo(conn);
    unsigned long seconds = 0;
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val) {
            seconds = strtoul(o->val, NULL, 10);
        }
    }
    PQconninfoFree(options);
    return seconds == 0 || seconds > FOREVER_MS / 1000 ? CONNECT_MS : (unsigned)seconds * 1000;
}

int car_pg_start(struct car_pg *pg, const char *uri) {
    const char *values[KEYWORD_COUNT];
    car_pg_close(pg);
    forget_failure(pg);
    memcpy(values, VALUES, sizeof values);
    values[URI_AT] = uri;
    pg->conn = PQconnectStartParams(KEYWORDS, values, 1);
    if (!pg->conn || PQstatus(pg->conn) == CONNECTION_BAD) {
        return broken(pg, pg->conn ? NULL : "out of memory");
    }
    (void)PQsetNoticeReceiver(pg->conn, on_notice, NULL);
    pg->next = PGRES_POLLING_WRITING;
    pg->give_up = car_clock_mono_us() + UINT64_C(1000) * connect_ms(pg->conn);
    return 0;
}

/* Waits for the socket; what poll says. */
static int wait_for(struct car_pg *pg, short events, uint64_t until) {
    struct pollfd fd = {.fd = PQsocket(pg->conn), .events = events};
    uint64_t now = car_clock_mono_us();
    return poll(&fd, 1, now < until ? (int)((until - now + 999) / 1000) : 0);
}

int car_pg_connect(struct car_pg *pg, unsigned wait_ms) {
    uint64_t until = car_clock_mono_us() + UINT64_C(1000) * wait_ms;
    until = until < pg->give_up ? until : pg->give_up;
    while (pg->next == PGRES_POLLING_READING || pg->next == PGRES_POLLING_WRITING) {
        int ready = wait_for(pg, pg->next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
        if (ready <= 0 && car_clock_mono_us() >= until) {
            return until == pg->give_up ? broken(pg, "the server does not answer in time") : CAR_EFULL;
        }
        pg->next = ready > 0 ? PQconnectPoll(pg->conn) : pg->next;
    }
    if (pg->next != PGRES_POLLING_OK || PQsetnonblocking(pg->conn, 1) != 0 || !PQenterPipelineMode(pg->conn)) {
        return broken(pg, NULL);
    }
    pg->connected = true;
    pg->sent = 0;
    return 0;
}

int car_pg_open(struct car_pg *pg, const char *uri) {
    int err = car_pg_start(pg, uri);
    return err ? err : car_pg_connect(pg, FOREVER_MS);
}

bool car_pg_is_well(struct car_pg *pg) {
    forget_failure(pg);
    /* A server that goes says so, and then ends the connection. */
    while (pg->connected && wait_for(pg, POLLIN, 0) > 0) {
        if (!PQconsumeInput(pg->conn) || PQisBusy(pg->conn) || PQstatus(pg->conn) == CONNECTION_BAD) {
            (void)broken(pg, NULL);
        }
    }
    return pg->connected;
}

void car_pg_close(struct car_pg *pg) {
    if (pg->conn) {
        PQfinish(pg->conn);
    }
    pg->conn = NULL;
    pg->connected = false;
    pg->sent = 0;
}

/* Arguments. */

static int add(struct car_pg_args *args, enum car_pg_type type, const char *value, size_t len, int format) {
    int at = args->count++;
    args->types[at] = (Oid)type;
    args->values[at] = value;
    args->lengths[at] = (int)len;
    args->formats[at] = format;
    return at;
}

void car_pg_number(struct car_pg_args *args, int64_t number) {
    int at = add(args, CAR_PG_NUMBER, NULL, sizeof number, 1);
    args->numbers[at] = htobe64((uint64_t)number);
    args->values[at] = (const char *)&args->numbers[at];
}

void car_pg_value(struct car_pg_args *args, enum car_pg_type type, struct car_span bytes) {
    (void)add(args, type, bytes.ptr, bytes.len, 1);
}

void car_pg_literal(struct car_pg_args *args, enum car_pg_type type, const char *text) {
    (void)add(args, type, text, 0, 0);
}

/* The head of an array's binary form (array_recv): dimensions, whether there are NULLs, the elements' type, how many,
 * the first one's number. */
enum { HEAD_COUNT = 3, HEAD_WORDS = 5 };

static void put_u32(struct car_buf *array, uint32_t n) {
    uint32_t wire = htobe32(n);
    car_buf_put(array, &wire, sizeof wire);
}

void car_pg_array_clear(struct car_buf *array, enum car_pg_type element) {
    const uint32_t head[HEAD_WORDS] = {1, 0, (uint32_t)element, 0, 1};
    array->len = 0;
    for (size_t i = 0; i < HEAD_WORDS; i++) {
        put_u32(array, head[i]);
    }
}

void car_pg_array_put(struct car_buf *array, const void *bytes, size_t len) {
    uint32_t count;
    put_u32(array, (uint32_t)len);
    car_buf_put(array, bytes, len);
    if (!array->failed) {
        char *at = array->data + HEAD_COUNT * sizeof count;
        memcpy(&count, at, sizeof count);
        count = htobe32(be32toh(count) + 1);
        memcpy(at, &count, sizeof count);
    }
}

void car_pg_array_number(struct car_buf *array, int64_t number) {
    uint64_t wire = htobe64((uint64_t)number);
    car_pg_array_put(array, &wire, sizeof wire);
}

/* Statements. */

static int count_sent(struct car_pg *pg, int ok) {
    if (!ok) {
        return pg->conn && PQstatus(pg->conn) != CONNECTION_BAD ? failed(pg, PQerrorMessage(pg->conn))
                                                                : broken(pg, NULL);
    }
    pg->sent++;
    return 0;
}

static const struct car_pg_args NONE;

int car_pg_send(struct car_pg *pg, const char *sql, const struct car_pg_args *args) {
    const struct car_pg_args *a = args ? args : &NONE;
    return !pg->connected ? CAR_ESYS
                          : count_sent(pg, PQsendQueryParams(pg->conn, sql, a->count, a->types, a->values, a->lengths,
                                                             a->formats, 1));
}

int car_pg_send_prepared(struct car_pg *pg, const char *name, const struct car_pg_args *args) {
    const struct car_pg_args *a = args ? args : &NONE;
    return !pg->connected
               ? CAR_ESYS
               : count_sent(pg, PQsendQueryPrepared(pg->conn, name, a->count, a->values, a->lengths, a->formats, 1));
}

int car_pg_send_prepare(struct car_pg *pg, const char *name, const char *sql) {
    return !pg->connected ? CAR_ESYS : count_sent(pg, PQsendPrepare(pg->conn, name, sql, 0, NULL));
}

/* Waits until PQgetResult would not. */
static int await(struct car_pg *pg, uint64_t until) {
    while (PQisBusy(pg->conn)) {
        int left = PQflush(pg->conn);
        if (left < 0) {
            return broken(pg, NULL);
        }
        if (wait_for(pg, left ? POLLIN | POLLOUT : POLLIN, until) <= 0 && car_clock_mono_us() >= until) {
            return broken(pg, "the server does not answer in time");
        }
        if (!PQconsumeInput(pg->conn)) {
            return broken(pg, NULL);
        }
    }
    return 0;
}

static uint64_t deadline(const struct car_pg *pg) {
    return car_clock_mono_us() + UINT64_C(1000) * pg->patience_ms;
}

static bool is_good(ExecStatusType status) {
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC;
}

/* Takes what one PQgetResult says; at the end of what a statement says *at goes on, at that of the pipeline *end is
 * true. The results are those from the `from`th statement on. */
static int take(struct car_pg *pg, PGresult **results, unsigned from, unsigned *at, bool *end) {
    PGresult *result = PQgetResult(pg->conn);
    ExecStatusType status = PQresultStatus(result);
    int err = 0;
    if (!result) {
        (*at)++;
        return PQstatus(pg->conn) == CONNECTION_BAD || *at > pg->sent ? broken(pg, NULL) : 0;
    }
    *end = status == PGRES_PIPELINE_SYNC;
    if (!is_good(status) && status != PGRES_PIPELINE_ABORTED) {
        err = refused(pg, result);
    } else if (status == PGRES_PIPELINE_ABORTED) {
        err = CAR_ESYS;
    } else if (results && !*end && *at >= from && *at < pg->sent && !results[*at - from]) {
        results[*at - from] = result;
        return 0;
    }
    PQclear(result);
    return err;
}

int car_pg_finish(struct car_pg *pg, PGresult **results) {
    return car_pg_finish_from(pg, 0, results);
}

int car_pg_finish_from(struct car_pg *pg, unsigned from, PGresult **results) {
    uint64_t until = deadline(pg);
    unsigned at = 0;
    bool end = false;
    int first = 0;
    for (unsigned i = from; results && i < pg->sent; i++) {
        results[i - from] = NULL;
    }
    if (!pg->connected) {
        return CAR_ESYS;
    }
    forget_failure(pg);
    if (!PQpipelineSync(pg->conn)) {
        return broken(pg, NULL);
    }
    while (!end) {
        int err = await(pg, until);
        err = err ? err : take(pg, results, from, &at, &end);
        if (!pg->connected) {
            return err;
        }
        first = first ? first : err;
    }
    pg->sent = 0;
    return first;
}

void car_pg_rollback(struct car_pg *pg) {
    char why[sizeof pg->why]; /* the failure that led here */
    memcpy(why, pg->why, sizeof why);
    if (pg->connected && pg->sent) {
        (void)car_pg_finish(pg, NULL);
    }
    if (pg->connected && PQtransactionStatus(pg->conn) != PQTRANS_IDLE &&
        (car_pg_send(pg, "ROLLBACK", NULL) != 0 || car_pg_finish(pg, NULL) != 0)) {
        car_pg_close(pg);
    }
    memcpy(pg->why, why, sizeof why);
}

int car_pg_exec(struct car_pg *pg, const char *sql) {
    uint64_t until = deadline(pg);
    int err = 0;
    if (!pg->connected) {
        return CAR_ESYS;
    }
    forget_failure(pg);
    if (!PQexitPipelineMode(pg->conn) || !PQsendQuery(pg->conn, sql)) {
        return broken(pg, NULL);
    }
    for (PGresult *result = NULL;; PQclear(result)) {
        if (await(pg, until) != 0) {
            return CAR_ESYS;
        }
        result = PQgetResult(pg->conn);
        if (!result) {
            break;
        }
        err = is_good(PQresultStatus(result)) || err ? err : refused(pg, result);
    }
    return PQenterPipelineMode(pg->conn) ? err : broken(pg, NULL);
}

PGresult *car_pg_query(struct car_pg *pg, const char *sql, const struct car_pg_args *args) {
    PGresult *result = NULL;
    if (car_pg_send(pg, sql, args) == 0 && car_pg_finish(pg, &result) != 0) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

/* Rows. */

struct car_span car_pg_column(const PGresult *result, int row, int column) {
    return car_span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t car_pg_column_number(const PGresult *result, int row, int column) {
    uint64_t wire = 0;
    if (PQgetlength(result, row, column) == sizeof wire) {
        memcpy(&wire, PQgetvalue(result, row, column), sizeof wire);
    }
    return (int64_t)be64toh(wire);
}

bool car_pg_column_bool(const PGresult *result, int row, int column) {
    return PQgetlength(result, row, column) == 1 && PQgetvalue(result, row, column)[0] == 1;
}
