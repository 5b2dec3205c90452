#ifndef CARILLON_API_API_H
#define CARILLON_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/guard/auth.h"
#include "carillon/guard/rates.h"
#include "carillon/net/eio_conn.h"
#include "carillon/net/http_conn.h"

struct car_config;
struct car_feed;
struct car_net;
struct car_rooms;

/* What the resources need. Filled before the workers run, never changed while they do. */
struct car_api {
    const struct car_config *config;
    struct car_feed *feed;
    struct car_net *net;
    struct car_auth auth;
    struct car_rooms *rooms; /* of the subscribers */
    struct car_rates rates;
    struct car_eio_server sio; /* car_sio_set_up */
    const char *version;
    uint64_t started_us; /* car_clock_mono_us */
};

/* Prepares the Socket.IO endpoint, once `config` is there. */
void car_sio_set_up(struct car_api *api);

/* Answers requests; its `app` is a struct car_api. */
extern const struct car_http_app car_api_app;

#endif
