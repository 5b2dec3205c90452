#ifndef CARILLON_GUARD_ROOMS_H
#define CARILLON_GUARD_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/address.h"

struct car_reader;
struct car_rooms_guest;
struct car_tenant;

/*
 * How many connections that stay open may be a tenant's, and come from one address. A tenant's are counted in the
 * tenant (car_tenant_admit), whether there is a limit or not: it may get one. Those of an address are counted here,
 * where there is a limit.
 *
 * Owner: whoever made it; one for the process, which has to outlive all threads that use it.
 *
 * Readers and writers are the same: whoever takes room or gives it back, on any thread, with the mutex of the address's
 * stripe held, of which there are 64; for a look at the few addresses that share its place. Without a limit for
 * addresses no mutex is taken at all.
 *
 * Ordering. A take looks at the address's count, has the tenant admit it, and only then counts it for the address, all
 * under the stripe's mutex. So nothing is ever counted for a take that the other limit refuses: of those who come at
 * once none is refused while there is room, and none is let in beyond a limit.
 *
 * Reclamation. An entry lives while its count is above 0; whoever gives the last one back frees it, under the mutex. So
 * there are never more than connections. IPv6 is counted by /64 (car_address_key).
 */
struct car_rooms;

/* What a connection holds. Zeroed: nothing. Of the thread of its connection. */
struct car_room {
    struct car_tenant *tenant;    /* that has admitted it */
    struct car_rooms_guest *from; /* where its address is counted */
};

/* The reasons for which there is no room. */
extern const char car_rooms_tenant_full[], car_rooms_address_full[];

/* With these limits; 0 is none. `per_tenant` is for tenants whose own terms say nothing. NULL without memory. */
struct car_rooms *car_rooms_new(uint32_t per_tenant, uint32_t per_address);

/* After all room was given back. NULL inside is allowed. */
void car_rooms_free(struct car_rooms **rooms);

/* Whether addresses are counted, so that one has to be known. */
bool car_rooms_ask_address(const struct car_rooms *rooms);

/*
 * Takes room for a connection of that tenant from that address; where one of them is NULL, or the room holds its kind
 * already, that is not counted (again). 0; or, with nothing taken, CAR_EFULL and a static reason, or CAR_ENOMEM. The
 * tenant's terms beat the server's number. Any thread, with its reader.
 */
int car_rooms_take(struct car_rooms *rooms, struct car_reader *reader, struct car_tenant *tenant,
                   const struct car_address *address, struct car_room *room, const char **why);

/* Gives back what it holds, which is nothing then. Any thread. */
void car_rooms_drop(struct car_rooms *rooms, struct car_room *room);

/* Addresses that have a connection. Any thread. */
size_t car_rooms_addresses(const struct car_rooms *rooms);

#endif
