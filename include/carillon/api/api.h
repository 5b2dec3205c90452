#ifndef CARILLON_API_API_H
#define CARILLON_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/guard/auth.h"
#include "carillon/guard/rates.h"
#include "carillon/net/eio_conn.h"
#include "carillon/net/http_conn.h"

struct car_admission;
struct car_config;
struct car_tops;
struct car_feed;
struct car_net;
struct car_rooms;
struct car_worker;

/* What the resources need. Filled before the workers run, never changed while they do. */
struct car_api {
    const struct car_config *config;
    struct car_feed *feed;
    struct car_net *net;
    struct car_auth auth;
    struct car_rooms *rooms; /* of the subscribers */
    struct car_rates rates;
    struct car_admission *admission; /* of those that come to subscribe */
    struct car_eio_server sio;       /* car_sio_set_up */
    const char *version;
    uint64_t started_us; /* car_clock_mono_us */
    int64_t started_wall_ms;
    struct car_tops *tops; /* of /metrics; NULL where it tells of no tenant */
};

/* Prepares the Socket.IO endpoint, once `config` is there. */
void car_sio_set_up(struct car_api *api);

/* Ties the resources to a worker that does not run yet: 0 or CAR_ENOMEM; and its thread has ended. */
int car_api_attach(struct car_worker *worker);
void car_api_detach(struct car_worker *worker);

/* The tenants that /metrics tells of by name, at most so many. NULL without memory. */
struct car_tops *car_tops_new(unsigned max);

/* Nulls the pointer; NULL inside is allowed. */
void car_tops_free(struct car_tops **tops);

/* Answers requests; its `app` is a struct car_api. */
extern const struct car_http_app car_api_app;

#endif
