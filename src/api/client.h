#ifndef CARILLON_API_CLIENT_H
#define CARILLON_API_CLIENT_H

#include <stdbool.h>

#include "carillon/base/address.h"

struct car_api;
struct car_exchange;
struct car_http_request;

/*
 * Who a request is from: the connection's peer, or whom a trusted proxy names in X-Forwarded-For (guard/peer.h). Looked
 * for when first asked, for that takes a system call once a connection, and then known to the exchange. "::" where the
 * connection is none of IP's.
 */

/* Finds out. 0, and exchange->client is it; CAR_ECLOSED where the connection has gone, and nobody knows any more. On
 * the worker's thread, while the request is there. */
int car_client_find(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req);

/* The same for who only tells of it. false where nobody knows. */
bool car_client_of(const struct car_api *api, const struct car_exchange *exchange, const struct car_http_request *req,
                   struct car_address *out);

#endif
