#ifndef CARILLON_API_LIVE_H
#define CARILLON_API_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/feed/session.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/ws_conn.h"

struct car_api;
struct car_lease;
struct car_subscriber;
struct car_worker;

/* A subscriber over WebSocket. Belongs to its worker; lives until the connection has ended and nothing that it
 * published or asked for is still on its way. */
struct car_live {
    struct car_ws ws; /* first: the connection's handlers get it */
    struct car_session session;
    struct car_tenant *tenant;
    const struct car_api *api;
    struct car_worker *worker;
    struct car_lease *lease; /* NULL where a name was enough */
    struct car_room room;
    struct car_address client; /* of the handshake */
    uint32_t pending; /* what holds it: commands whose event is not in the log yet, and all that is being read */
    uint8_t replays;  /* of them, those that read */
    uint8_t scopes;   /* CAR_SCOPE_… */
    bool leaving : 1; /* the server goes away, and something is owed first */
    bool ended : 1;
    bool certified : 1; /* its connection has shown a client's certificate */
    char request_id[];  /* of the handshake, for the audit log; NUL-terminated */
};

/* On whose behalf it asks. Lives as long as its lease, or until that is renewed. */
struct car_subscriber car_live_subscriber(const struct car_live *live);

/* Handles a text message. */
void car_live_command(struct car_live *live, struct car_span text);

/* Frees it where nothing holds it any more. */
void car_live_release(struct car_live *live);

#endif
