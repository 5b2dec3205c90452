#ifndef CARILLON_STORE_POSTGRES_KEYS_H
#define CARILLON_STORE_POSTGRES_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/feed/publish.h"

#include "numbered.h"
#include "postgres_db.h"

struct car_event;
struct car_rows_key;

/* The keys of publishes in a PostgreSQL database (group.h). Zero-initialised; of the log's thread. */
struct car_pg_keys {
    struct car_buf tenants, digests, bodies, firsts, counts, times, places; /* arrays that go to the server */
    struct car_event *events[CAR_PUBLISH_MAX];                              /* of a repeat */
};

/* What has to be prepared (struct car_pg_statement). */
extern const char car_pg_keys_find[], car_pg_keys_replay[], car_pg_keys_put[], car_pg_keys_expire[];
#define CAR_PG_KEYS_STATEMENTS                                                                                         \
    {"find keys", car_pg_keys_find}, {"replay", car_pg_keys_replay}, {"put keys", car_pg_keys_put}, {                  \
        "expire keys", car_pg_keys_expire                                                                              \
    }

/* As car_rows_ops has it. What was sent before is finished with it: of a transaction that was begun, what that has
 * inserted counts. One round trip, and a second one where there is something to be replayed. */
int car_pg_keys_recall(struct car_pg_keys *keys, struct car_pg *pg, struct car_numbered *tenants,
                       struct car_publish *const *publishes, size_t count, int64_t since_ms);

/* Both only send. Within a transaction that was begun, and behind the events that the keys are about. */
int car_pg_keys_send(struct car_pg_keys *keys, struct car_pg *pg, struct car_numbered *tenants,
                     const struct car_rows_key *rows, size_t count);
int car_pg_keys_send_expire(struct car_pg *pg, int64_t since_ms, size_t max);

void car_pg_keys_free(struct car_pg_keys *keys);

#endif
