#include "client.h"

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/guard/peer.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"

bool car_client_of(const struct car_api *api, const struct car_exchange *exchange, const struct car_http_request *req,
                   struct car_address *out) {
    struct car_address peer = {0};
    if (exchange->client_known) {
        *out = exchange->client;
        return true;
    }
    int err = car_exchange_peer(exchange, &peer);
    if (err && err != CAR_EINVAL) {
        return false;
    }
    *out = err ? peer : car_peer_client(api->net->trusted, api->net->trusted_count, &peer, req);
    return true;
}

int car_client_find(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_address client;
    if (!car_client_of(api, exchange, req, &client)) {
        return CAR_ECLOSED;
    }
    exchange->client = client;
    exchange->client_known = true;
    return 0;
}
