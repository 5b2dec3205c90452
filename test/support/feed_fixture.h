#ifndef CARILLON_TEST_SUPPORT_FEED_FIXTURE_H
#define CARILLON_TEST_SUPPORT_FEED_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/session.h"
#include "carillon/feed/wire.h"

#include "feed_wire.h"

struct car_blob;
struct car_event;
struct car_reader;
struct car_reclaim;
struct car_tenant;
struct car_worker;

/* A feed with a log and some workers, whose loops are either turned by hand, all on the calling thread, or
 * run by threads of their own. */

#define FEED_WORKERS_MAX 8

struct feed_fixture {
    struct car_reclaim *reclaim;
    struct car_reader *reader; /* of the thread that opened the fixture */
    struct car_feed feed;
    struct car_worker *workers[FEED_WORKERS_MAX];
    bool running;
    atomic_ulong answered; /* events of feed_publish… that are in the log; a batch's have consecutive seqs */
    atomic_ulong failed;
    atomic_ulong astray; /* answers on another thread than the publisher's */
};

/* Whom logs that are opened from now on tell of the keys they have. */
void feed_tell_keys(car_account_key_fn key, void *user);

/* With the log in memory. */
void feed_open(struct feed_fixture *f, unsigned workers, uint32_t keep);

/* With the log in an SQLite database. Only for threads that run (feed_start): the log has one of its own. */
void feed_open_sqlite(struct feed_fixture *f, unsigned workers, uint32_t keep, const char *path, bool relaxed);

/* The same, with all that can be configured. */
struct car_sqlite_config;
void feed_open_sqlite_with(struct feed_fixture *f, unsigned workers, uint32_t keep,
                           const struct car_sqlite_config *config);
/* The same in a PostgreSQL database. */
void feed_open_postgres(struct feed_fixture *f, unsigned workers, uint32_t keep, const char *uri, bool relaxed);
struct car_postgres_config;
void feed_open_postgres_with(struct feed_fixture *f, unsigned workers, uint32_t keep,
                             const struct car_postgres_config *config);

/* The tenant of that name; NULL where there is none. */
struct car_tenant *feed_tenant_find(struct feed_fixture *f, const char *id);

/* Waits until so many publishers have their answer. Only where threads run. */
void feed_wait_answers(struct feed_fixture *f, unsigned long count);

/* Ends the threads, where there are any. All sessions have left. */
void feed_close(struct feed_fixture *f);

/* The search index beside a database that was there is deleted. */
void feed_unlink_search(const char *path);

/* A new tenant. */
struct car_tenant *feed_tenant(struct feed_fixture *f, const char *id);

/* One turn of a worker's loop, without waiting. Only where no threads run. */
void feed_turn(struct feed_fixture *f, unsigned worker);

/* Turns all loops until nothing is left to do. */
void feed_settle(struct feed_fixture *f);

/* Gives each worker its thread. */
void feed_start(struct feed_fixture *f);

/* Runs the function on the worker's thread, or, where none run, at once; waits until it has returned. */
void feed_call(struct feed_fixture *f, unsigned worker, void (*run)(struct car_worker *worker, void *arg), void *arg);

/* Waits until every worker has run what was in its mailbox. Only where threads run. */
void feed_barrier(struct feed_fixture *f);

/* Publishes from that worker (on its thread) `count` events with a message of `len` characters; stops where one is not
 * accepted. Returns how many were. */
unsigned feed_publish_sized(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count,
                            size_t len);
unsigned feed_publish(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count);

/* Publishes `count` events as one batch from that worker (on its thread). false where it is not accepted. */
bool feed_publish_batch(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count);

/* The same from any thread, by that worker's own; all of them have to be accepted. */
void feed_publish_from(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count, size_t len);

/* The same from worker 0, until all are answered. */
void feed_publish_and_wait(struct feed_fixture *f, struct car_tenant *tenant, unsigned count);

/* Publishes the event from that worker (on its thread); it has to be accepted. */
void feed_publish_event(struct feed_fixture *f, unsigned worker, struct car_event *event);

/* A new event with that type; the message says which. */
struct car_event *feed_event(struct car_tenant *tenant, const char *type, const char *message_literal);

/* What a subscriber has seen: runs of consecutive events, and what it was told is missing. */
enum feed_seen_kind { FEED_EVENTS, FEED_GAP, FEED_SLOW, FEED_FAILED };

struct feed_seen {
    enum feed_seen_kind kind;
    uint64_t from, to;
};

/* A subscriber with a transport that does as it is told. Zero-initialise, set `wire` and the knobs, join. */
struct feed_subscriber {
    struct car_session session; /* first */
    struct car_tenant *tenant;

    /* the test's */
    bool limited;                                         /* takes `budget` more offers, then refuses */
    unsigned budget;                                      /* see limited */
    bool ends_when_slow;                                  /* too_slow closes; otherwise it goes on */
    void (*on_offer)(struct feed_subscriber *subscriber); /* called for each offer that is taken */
    void *user;

    /* what came */
    struct feed_seen *seen;
    size_t seen_count, seen_cap;
    uint64_t events;
    unsigned offers, refusals;
    size_t largest;                   /* bytes of one offer */
    const struct car_blob *last_blob; /* to be compared only */
    unsigned strangers;               /* events or bytes of another tenant */
    unsigned garbled;
    uint64_t joined_at; /* the newest seq that car_session_attach told */
};

/* Attaches and starts. The return value of car_session_attach. On the worker's thread, as all that follow. */
int feed_join(struct feed_subscriber *s, struct car_worker *worker, struct car_tenant *tenant,
              const struct car_cursor *cursor);
int feed_join_since(struct feed_subscriber *s, struct car_worker *worker, struct car_tenant *tenant, uint64_t seq);

/* Takes everything again. */
void feed_resume(struct feed_subscriber *s);

/* Detaches and forgets what was seen; the subscriber may join again. */
void feed_leave(struct feed_subscriber *s);

/* What was seen as text: "1-3 gap 4-6 7-9 slow 10-12", into a buffer of the thread that the next call reuses. */
const char *feed_seen_text(const struct feed_subscriber *s);

/* Asserts that this was seen, and nothing of other tenants. For the thread that runs the suite. */
#define FEED_EXPECT_SEEN(s, text)                                                                                      \
    do {                                                                                                               \
        if (strcmp(feed_seen_text(s), (text)) != 0) {                                                                  \
            fprintf(stderr, "  seen: \"%s\", want: \"%s\"\n", feed_seen_text(s), (text));                              \
        }                                                                                                              \
        CU_ASSERT_STRING_EQUAL(feed_seen_text(s), (text));                                                             \
        CU_ASSERT_EQUAL((s)->strangers, 0);                                                                            \
        CU_ASSERT_EQUAL((s)->garbled, 0);                                                                              \
    } while (0)

/* The last seq seen or told missing; 0 before. */
uint64_t feed_seen_last(const struct feed_subscriber *s);

#endif
