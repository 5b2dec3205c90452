#ifndef CARILLON_API_POSTED_H
#define CARILLON_API_POSTED_H

#include <stdint.h>

struct car_config;
struct car_event;

/* The time at which handling a post begins, for car_posted_log; 0 where that will not be asked for. */
uint64_t car_posted_begin(void);

/* Logs that an event was posted, which took until now from `began_us`; with its content only under --log-payloads. */
void car_posted_log(const struct car_config *config, const struct car_event *event, uint64_t began_us);

/* Why nothing is published to a tenant that was removed meanwhile. */
#define CAR_TENANT_GONE "there is no such tenant"

/* Why it is refused with 503. */
#define CAR_TENANT_NO_MEMORY "the tenant uses as much memory as it may"

/* Why it is refused with 413. */
#define CAR_NEVER_FITS "is more than all the memory that the tenant may use (--tenant-memory)"

#endif
