#ifndef CARILLON_STORE_POSTGRES_H
#define CARILLON_STORE_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_feed;
struct car_log;
struct car_reader;
struct car_reclaim;

struct car_postgres_config {
    const char *uri;                  /* postgres://…, checked (car_postgres_check) */
    bool relaxed;                     /* answer before the commit, which comes within 100 ms */
    uint64_t retain_ms, retain_count; /* how long, and how many of a tenant, events are kept where its own
                                         terms do not say so; 0: for ever, all */
};

/*
 * The log in a PostgreSQL database, in a schema of its own (`carillon`). A thread of its own commits what is ready, of
 * all tenants together, in one transaction and one round trip. Opening gives the feed its epoch, its tenants and their
 * terms, and tells it of their keys.
 * `reader` is the calling thread's.
 *
 * Where the connection is lost, or has no answer within 5 s, publishers are refused until there is one again, which the
 * log tries by itself, at first after 100 ms and at last every 5 s. Whoever was refused is not in the log then, nor is
 * a change (account.h): a transaction whose end was not heard of is taken out again. Nothing is written where another
 * server has written meanwhile.
 *
 * 0. Else a negative code, and `why`, of `size` bytes, says in one line, without user and password, what is wrong: no
 * access, another program's schema, a newer Carillon's, in use by another server, damaged. Nothing is changed then.
 */
int car_log_postgres(struct car_feed *feed, struct car_reclaim *reclaim, struct car_reader *reader,
                     const struct car_postgres_config *config, struct car_log **out, char *why, size_t size);

/* What is wrong with a URI, to go behind "the value"; NULL where nothing is. Its scheme is in lower case. */
const char *car_postgres_check(const char *uri);

#endif
