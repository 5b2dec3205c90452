#ifndef CARILLON_API_RANKING_H
#define CARILLON_API_RANKING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/feed/traffic.h"

struct car_api;
struct car_tenant;
struct car_worker;

/* By what tenants are put in order: the most first, or, by id, in the order of the alphabet. */
enum car_ranking_by {
    CAR_BY_TRAFFIC, /* bytes published and delivered since the process began */
    CAR_BY_RATE,    /* events published over the last minute */
    CAR_BY_CONNECTIONS,
    CAR_BY_EVENTS, /* that are kept */
    CAR_BY_MEMORY,
    CAR_BY_REFUSED,
    CAR_BY_ID,
};

/* The way's name in a query; false where it is none. */
bool car_ranking_by_name(struct car_span name, enum car_ranking_by *out);

/* A tenant, and how it stands. */
struct car_standing {
    struct car_tenant *tenant;
    struct car_traffic traffic;
    double rate_1m;
    uint64_t connections, events, memory, refused;
};

/* All tenants that there are. Belongs to whoever made it. */
struct car_ranking {
    struct car_standing *standings;
    size_t count;
    uint64_t connections; /* of all of them */
};

/* Looks at all tenants: takes the registry's mutex for as long as it takes to list them. 0 or CAR_ENOMEM. On the
 * worker's thread. */
int car_ranking_make(struct car_ranking *ranking, const struct car_api *api, struct car_worker *worker);
void car_ranking_free(struct car_ranking *ranking);

/* Leaves those alone whose id or name has that text in it, in any case (of ASCII); NUL-terminated. */
void car_ranking_filter(struct car_ranking *ranking, struct car_worker *worker, const char *text);

/* Puts them in order, or, `up`, in the reverse. */
void car_ranking_sort(struct car_ranking *ranking, enum car_ranking_by by, bool up);

/* The first `max` of them as a JSON array. NULL without memory. */
json_t *car_ranking_json(const struct car_ranking *ranking, struct car_worker *worker, size_t max);

#endif
