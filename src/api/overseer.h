#ifndef CARILLON_API_OVERSEER_H
#define CARILLON_API_OVERSEER_H

#include <stdbool.h>

struct car_call;

/* Whether who asks may know who the tenants are: that is the administrator's to know; where a name lets everybody in,
 * everybody may list them. For resources that answer anybody, and tell some more. A guess at the administrator's key is
 * counted, and told to the audit log. */
bool car_may_know_tenants(const struct car_call *call);

#endif
