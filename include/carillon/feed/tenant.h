#ifndef CARILLON_FEED_TENANT_H
#define CARILLON_FEED_TENANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"

struct car_event;
struct car_reader;

#define CAR_TENANT_ID_MAX 64

/*
 * A tenant: its id, its rings, its newest events. An idle one costs this struct and its place in the registry; rings
 * and history come with the first event, a lane with the first subscriber of a worker. Lives as long as the registry,
 * removed or not (account.h).
 */
struct car_tenant;

/* Whether the text is a tenant's id: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool car_tenant_id_ok(struct car_span id);

/* A new tenant with that id (car_tenant_id_ok). NULL where memory ran out. */
struct car_tenant *car_tenant_new(struct car_span id);

/* All threads have ended, or nobody has seen it. Nulls the pointer. */
void car_tenant_free(struct car_tenant **tenant);

/* Borrowed for the tenant's life. NUL-terminated. Any thread, like all below. */
struct car_span car_tenant_id(const struct car_tenant *tenant);

int64_t car_tenant_created_ms(const struct car_tenant *tenant);

/* A random number that goes into its events' ids (event_id.h), so that those of a removed tenant say nothing to another
 * one that has its id now; 0 for a tenant that is older than that. Stored with it. */
int64_t car_tenant_salt(const struct car_tenant *tenant);

/* The newest seq; 0 before the first event. */
uint64_t car_tenant_newest(const struct car_tenant *tenant);

/* The first seq that readers may find in memory, with `keep` events kept; newest + 1 while there is none. */
uint64_t car_tenant_oldest(const struct car_tenant *tenant, uint32_t keep);

/* A log that keeps more than memory does: the seqs up to this one have been forgotten there, too. */
uint64_t car_tenant_forgotten(const struct car_tenant *tenant);

/* Nobody is to find the events up to that seq from now on. It never goes back. By the tenant's log. */
void car_tenant_forget(struct car_tenant *tenant, uint64_t seq);

/* Gives a tenant the place in the log where a former process has left it: behind seq `newest`, with nothing in memory.
 * Before anybody else sees it. */
void car_tenant_restore(struct car_tenant *tenant, uint64_t newest, uint64_t forgotten, int64_t created_ms,
                        int64_t salt);

/* Open sessions. */
unsigned car_tenant_connections(const struct car_tenant *tenant);

/* Lets one more connection in, unless there are `max` already (0: any number may come). Exact, whatever number of
 * threads asks. Who was let in leaves once. */
bool car_tenant_admit(struct car_tenant *tenant, uint64_t max);
void car_tenant_leave(struct car_tenant *tenant);

/* Those that are in. */
unsigned car_tenant_guests(const struct car_tenant *tenant);

/* One more of its clients' requests, handshakes or commands was refused for who asked, or how much; and how many were
 * since the process began. */
void car_tenant_count_refused(struct car_tenant *tenant);
uint64_t car_tenant_refused(const struct car_tenant *tenant);

/* The most bytes that a message may have by the tenant's own terms; 0: they say nothing. Costs one load. */
uint32_t car_tenant_message_bytes(const struct car_tenant *tenant);

/* Events a second, over the last minute. */
double car_tenant_rate_1m(const struct car_tenant *tenant, int64_t now_ms);

/* As car_history_read. */
size_t car_tenant_read(struct car_tenant *tenant, struct car_reader *reader, uint64_t seq, struct car_event **out,
                       size_t max);

#endif
