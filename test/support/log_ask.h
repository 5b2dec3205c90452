#ifndef CARILLON_TEST_SUPPORT_LOG_ASK_H
#define CARILLON_TEST_SUPPORT_LOG_ASK_H

#include <stdatomic.h>

#include "carillon/feed/log.h"

#include "feed_fixture.h"

struct car_tenant;

/* Asking a log of a fixture whose threads run, and waiting for the answer. */

/* Asks from worker 0 for what the page says; its status. */
int log_ask_page(struct feed_fixture *f, struct car_log_page *page);

/* The seqs of a tenant's events from first to last that pass, asked for page by page, into `out`; how many. Stops where
 * the log has no more to say. */
unsigned log_ask_passing(struct feed_fixture *f, struct car_tenant *tenant, uint64_t first, uint64_t last,
                         bool descending, const struct car_filter *filter, uint64_t *out, unsigned max);

/* How many events of a tenant the log finds. */
unsigned log_ask_found(struct feed_fixture *f, struct car_tenant *tenant);

/* How many there are of a type in the log's own count; of all types where it is NULL. */
uint64_t log_ask_count(struct feed_fixture *f, struct car_tenant *tenant, const char *type);

void log_let_go(struct car_log_page *page);

#endif
