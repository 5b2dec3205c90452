#ifndef CARILLON_STORE_SEALING_H
#define CARILLON_STORE_SEALING_H

#include <stdbool.h>
#include <stddef.h>

struct car_log;
struct car_publish;
struct car_tenant;
struct car_worker;

/*
 * How a log in memory numbers and publishes what was taken of a tenant's inlet, but for repeats, which it answers from
 * what it remembers of their keys (memo.h). true where that is done. false where the events are many: then they are
 * numbered in turns of the tenant's flow on the worker, after which the log's `ready` is called; nobody sees them
 * before the last one is, and until then the tenant stays claimed (drain.h), so that what comes meanwhile waits in the
 * inlet. Where the tenant was removed in between, they are refused. On the drainer's thread, a worker's.
 */
bool car_seal(struct car_log *log, struct car_tenant *tenant, struct car_publish **batch, size_t count,
              struct car_worker *worker);

#endif
