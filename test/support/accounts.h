#ifndef CARILLON_TEST_SUPPORT_ACCOUNTS_H
#define CARILLON_TEST_SUPPORT_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/feed/account.h"

#include "feed_fixture.h"

/* Changing tenants and keys of a fixture whose threads run, and what its log has told of keys. */

/* Makes a change from some worker, and waits for it. Its status. */
int account_make(struct feed_fixture *f, struct car_log_change change);

/* A key that is named after a letter. */
struct car_account_key account_key(char letter);

/* Terms that differ from the default where `connections` is not 0. */
int account_put(struct feed_fixture *f, struct car_tenant *tenant, const char *name, uint64_t connections);
int account_put_key(struct feed_fixture *f, struct car_tenant *tenant, char letter);
int account_remove_key(struct feed_fixture *f, struct car_tenant *tenant, char letter);
int account_remove(struct feed_fixture *f, struct car_tenant *tenant);

/* Limits alone. */
int account_limit(struct feed_fixture *f, struct car_tenant *tenant, const struct car_tenant_limits *limits);

/* Asserts that those are the tenant's terms. */
void account_has_terms(struct feed_fixture *f, struct car_tenant *tenant, const char *name, uint64_t connections);

/* Logs that are opened from now on tell their keys here; what was told before is forgotten. */
void account_listen(void);

/* How many keys were told; and whether that one was, as the tenant's. */
unsigned account_told_count(void);
bool account_told(const char *tenant, char letter);

#endif
