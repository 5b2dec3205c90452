#ifndef CARILLON_API_POSTED_H
#define CARILLON_API_POSTED_H

#include <stdint.h>

struct car_config;
struct car_event;

/* Logs that an event was posted, which took until now from `began_us`; with its content only under --log-payloads. */
void car_posted_log(const struct car_config *config, const struct car_event *event, uint64_t began_us);

#endif
