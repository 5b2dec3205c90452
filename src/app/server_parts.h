#ifndef CARILLON_APP_SERVER_PARTS_H
#define CARILLON_APP_SERVER_PARTS_H

#include <stdbool.h>

#include "carillon/api/api.h"
#include "carillon/base/buf.h"
#include "carillon/feed/feed.h"
#include "carillon/guard/admission.h"
#include "carillon/net/net.h"

#include "access.h"
#include "ending.h"
#include "first_tenants.h"
#include "service.h"
#include "takeover.h"
#include "upgrade.h"

struct car_config;
struct car_control;
struct car_control_ops;
struct car_listener;
struct car_pressure;
struct car_reader;
struct car_reclaim;
struct car_worker;

/* The whole process. The thread that runs it is the listener's. */
struct car_server {
    const struct car_config *config;
    struct car_reclaim *reclaim;
    struct car_reader *reader;
    struct car_buf named_head; /* what the feed borrows */
    struct car_feed feed;
    struct car_net net;
    struct car_admission admission; /* to `api` */
    struct car_api api;
    struct car_access access; /* to `api.auth` */
    struct car_first_tenants first_tenants;
    struct car_worker **workers;
    unsigned started;
    struct car_control *control;
    struct car_listener *listener;
    struct car_pressure *pressure; /* NULL where the process has no budget */
    struct car_service service;
    struct car_takeover takeover;
    struct car_upgrade upgrade;
    struct car_ending ending;
    bool told;  /* what is wrong */
    bool asked; /* to end, by a signal */
};

/* Says on standard error why there is no server. */
void car_server_die(const char *what, int err);

/* Puts the parts together, in order, up to the listening socket; `ops` get the server as their user. 0; or what is
 * wrong has been told. Either way car_server_take_down is called afterwards. */
int car_server_set_up(struct car_server *server, const char *version, const struct car_control_ops *ops);

/* Takes down what was set up, in the reverse order, wherever setting up has stopped. The loops have ended, or have
 * never run. */
void car_server_take_down(struct car_server *server);

#endif
