#ifndef CARILLON_API_JOIN_H
#define CARILLON_API_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/feed/session.h"

struct car_api;
struct car_call;
struct car_lease;
struct car_scan;
struct car_tenant;
struct car_worker;

#define CAR_SNAPSHOT_MAX 1000

/* Where a subscriber wants to begin: behind a cursor, with a snapshot, or, with neither, live. A cursor beats a
 * snapshot, which could only repeat what the cursor brings. */
struct car_join {
    bool has_cursor;
    bool has_snapshot;
    struct car_cursor cursor;
    uint64_t snapshot; /* how many events */
};

/* Reads `since`, `sinceId`, `epoch`, `snapshot`, and, where `last_event_id` is asked for, Last-Event-ID, which beats
 * since. 0, or CAR_EINVAL and *why. */
int car_join_read(struct car_call *call, bool last_event_id, struct car_join *join, const char **why);

/* Why a connection ends whose credential has. */
#define CAR_REVOKED "the credential is good no more"

/* Attaches the session of a new connection, with a lease on what the call was let in with, whose end `ended` is told.
 * false where it was refused, and answered. */
bool car_join_attach(struct car_call *call, struct car_session *session, struct car_lease **lease,
                     void (*ended)(void *holder), void *holder, uint64_t *newest);

/* Appends the members of connection_established, without braces. `session_id` is absent where a new one will do;
 * `newest` is what the session is in step with. */
void car_join_established(struct car_buf *out, const struct car_api *api, const struct car_tenant *tenant,
                          struct car_span session_id, uint64_t newest);

/* Makes the scan one for the latest `count` events up to `newest`; fewer where they are more than
 * CAR_SCAN_BYTES_MAX. */
void car_join_scan(struct car_scan *scan, struct car_tenant *tenant, struct car_worker *worker, uint64_t count,
                   uint64_t newest);

/* Appends `"events":[…],"seq":newest`: what such a scan has found, oldest first. */
void car_join_snapshot(struct car_buf *out, const struct car_scan *scan, uint64_t newest);

#endif
