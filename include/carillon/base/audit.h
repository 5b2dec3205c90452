#ifndef CARILLON_BASE_AUDIT_H
#define CARILLON_BASE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/log.h"
#include "carillon/base/span.h"

/*
 * The audit log: one line for every administrative act, every act of authentication and every refusal. It knows whose,
 * what and how it went, and never what an event holds, nor a secret.
 *
 * Text, in the shape of the log, with `name=value` as logfmt has them; a value that is not made of letters, digits and
 * `-._~:/@+,%` alone is quoted, with \ before a quote and a backslash:
 *   2026/11/20 17:44:53.653654 UTC audit: act=publish outcome=refused status=403 tenant=a subject=ann reason="…"
 * JSON: an object a line with the same names, and `time` (RFC 3339, microseconds). What is absent is left out.
 *
 * A line is at most 4096 bytes (PIPE_BUF) and written by one write(2) to a file that is appended to, so that threads
 * never mix their lines. A line that cannot be written is dropped and counted, and never waited for; the log says so,
 * at most once a minute, and once more when lines are written again.
 */

/* A number that belongs to what was done: how many. */
struct car_audit_count {
    const char *name; /* NULL: there is none */
    uint64_t value;
};

#define CAR_AUDIT_COUNTS 2

/* Texts are borrowed for the call, may be absent, and may hold anything: they are escaped, and cut where they are
 * longer than what is said of them (bytes as they are written). None is ever a secret. */
struct car_audit_entry {
    const char *act;            /* what: one word of ours; never NULL */
    const char *outcome;        /* CAR_AUDIT_…; never NULL */
    int status;                 /* of HTTP; 0: there is none */
    struct car_span tenant;     /* whose it is, or, where nobody has shown it, whose it is said to be; 96 */
    struct car_span named;      /* the tenant that was named, where that is another one; 96 */
    struct car_span subject;    /* who, by name; 256 */
    struct car_span credential; /* what it was shown by: a kind, or a key's id or prefix; 96 */
    struct car_span target;     /* what it was done to: the id of a key, a token's subject; 256 */
    struct car_span request_id; /* 96 */
    struct car_span peer;       /* the address that it came from; 96 */
    struct car_span method;     /* 48 */
    struct car_span path;       /* without the query, which may hold a credential; of Socket.IO the namespace; 512 */
    struct car_audit_count counts[CAR_AUDIT_COUNTS];
    const char *reason; /* words of ours; NULL: there is none; 256 */
};

#define CAR_AUDIT_OK      "ok"
#define CAR_AUDIT_REFUSED "refused"
#define CAR_AUDIT_FAILED  "failed"
#define CAR_AUDIT_ENDED   "ended" /* what was let in has to leave */

/* Whether car_audit_open could open `path`, as far as one can tell without making it. 0, or CAR_ESYS: errno says why.
 */
int car_audit_check(const char *path);

/* Begins it. `path` is a file (made with 0640 where there is none, and appended to), "stderr" (the log's way there: see
 * car_log_never_block), or "off". 0; or CAR_ESYS, errno says why, and there is none; or CAR_ENOMEM. Called before other
 * threads start. Without it there is none. */
int car_audit_open(const char *path, enum car_log_format format);

/* Opens the file anew under its name, for one that was moved away. 0, also where it is no file; or CAR_ESYS, errno says
 * why, and lines go where they went. Any thread, one at a time; lines that others write meanwhile go to the one or the
 * other. */
int car_audit_reopen(void);

/* Ends it; nobody writes any more. */
void car_audit_close(void);

/* Whether lines are written; for callers that would have to find something out first. Any thread. */
bool car_audit_wants(void);

/* Writes a line. Any thread; errno stays as it was. */
void car_audit(const struct car_audit_entry *entry);

#endif
