#ifndef CARILLON_API_TENANT_ONE_H
#define CARILLON_API_TENANT_ONE_H

struct car_call;
struct car_tenant;
struct car_tenant_terms;

/* The tenant that the path names. NULL where there is none, and 404 was answered. */
struct car_tenant *car_tenant_asked(struct car_call *call);

/* Its terms, as they are now. */
void car_tenant_terms_copy(struct car_call *call, const struct car_tenant *tenant, struct car_tenant_terms *out);

#endif
