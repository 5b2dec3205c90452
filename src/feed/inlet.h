#ifndef CARILLON_FEED_INLET_H
#define CARILLON_FEED_INLET_H

#include <stdbool.h>
#include <stddef.h>

struct car_publish;
struct car_tenant;

/*
 * A tenant's inlet: the ring in which publishers wait while another thread is the drainer. Most events never see it,
 * and a tenant whose publishers never met has none: who becomes the drainer while nothing waits goes first
 * (tenant->first).
 *
 * Ordering: put, then raise `queued`, then try to claim; the drainer lowers `queued`, then takes, and looks at it again
 * after letting go of its claim. All of these are sequentially consistent, so what was put is never left behind.
 */

/* Any thread. 0; CAR_EFULL, CAR_ENOMEM: nothing has happened. */
int car_inlet_put(struct car_tenant *tenant, struct car_publish *publish);

/* Drainer's side: in the order in which they were put, until they have `max` events together, or, where the last is a
 * batch, up to CAR_PUBLISH_MAX - 1 more. Returns how many they are: at most `max`. */
size_t car_inlet_take(struct car_tenant *tenant, struct car_publish **out, size_t max);

/* Whether something may be inside. Any thread. */
bool car_inlet_is_used(const struct car_tenant *tenant);

#endif
