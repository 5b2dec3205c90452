#ifndef CARILLON_GUARD_PEER_H
#define CARILLON_GUARD_PEER_H

#include <stddef.h>

#include "carillon/base/address.h"
#include "carillon/proto/http.h"

#define CAR_PEER_HOPS_MAX 64 /* elements of X-Forwarded-For that are looked at, from the right */

/*
 * The client's address of a request, where there are proxies in front: each appends to X-Forwarded-For whom it got the
 * request from, so what a trusted one wrote is believed, and nothing to the left of that.
 *
 * `peer` is who the connection is from. Where it is no trusted proxy the header is ignored. Else the elements of all
 * its lines are walked from the last one to the first, past those that are trusted proxies themselves: the first that
 * is none is the client. An element that is no address (with or without a port; see car_address_parse_with_port) ends
 * the walk, as does CAR_PEER_HOPS_MAX: then, and where all are trusted, the last good one is the client. Never fails;
 * any thread.
 */
struct car_address car_peer_client(const struct car_cidr *trusted, size_t trusted_count, const struct car_address *peer,
                                   const struct car_http_request *req);

#endif
