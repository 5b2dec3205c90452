#ifndef CARILLON_FEED_FLOWS_H
#define CARILLON_FEED_FLOWS_H

struct car_flow;
struct car_tenant;
struct car_worker;

/*
 * A tenant's flows (runtime/flow.h), one a worker: what the worker does for the tenant's sessions and connections is
 * queued there, and charged to it. They come with the first one that is asked for, a cache line each, and live as long
 * as the tenant.
 *
 * Owner of each: its worker. The array is published by compare-and-swap, once.
 */

/* The tenant's flow on this worker; the common one of the worker's tasks where memory ran out. On its thread. */
struct car_flow *car_flow_of(struct car_tenant *tenant, struct car_worker *worker);

#endif
