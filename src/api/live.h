#ifndef CARILLON_API_LIVE_H
#define CARILLON_API_LIVE_H

#include <stdbool.h>

#include "carillon/feed/session.h"
#include "carillon/net/ws_conn.h"

struct car_api;
struct car_worker;

/* A subscriber over WebSocket. Belongs to its worker; lives until the connection has ended and nothing that it
 * published or asked for is still on its way. */
struct car_live {
    struct car_ws ws; /* first: the connection's handlers get it */
    struct car_session session;
    struct car_tenant *tenant;
    const struct car_api *api;
    struct car_worker *worker;
    unsigned pending; /* what holds it: commands whose event is not in the log yet, and all that is being read */
    unsigned replays; /* of them, those that read */
    bool leaving;     /* the server goes away, and something is owed first */
    bool ended;
};

/* Handles a text message. */
void car_live_command(struct car_live *live, struct car_span text);

/* Frees it where nothing holds it any more. */
void car_live_release(struct car_live *live);

#endif
