#ifndef CARILLON_API_OWNERS_H
#define CARILLON_API_OWNERS_H

#include "carillon/net/net.h"

/* What the net is told of its connections' owners, which are tenants: the flow that a connection is served in is its
 * tenant's, and so is the memory that waits for it. */
extern const struct car_net_owners car_api_owners;

#endif
