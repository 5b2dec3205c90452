#ifndef CARILLON_API_BEGIN_H
#define CARILLON_API_BEGIN_H

#include <stdbool.h>

struct car_api;
struct car_exchange;
struct car_http_request;

/* Gives the exchange its request id (the client's where it is sane) and the header lines that every answer carries.
 * `req` is NULL where the request's headers never became whole. */
void car_begin(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req);

/* Why it may not, where it may not. */
#define CAR_ORIGIN_REFUSED "pages of this origin may not connect"

/* Whether a page of the request's Origin may open a WebSocket: there is none (not a browser), it is ours, or it is
 * allowed by configuration. */
bool car_origin_ok(const struct car_api *api, const struct car_http_request *req);

/* The lines that answer a CORS preflight (WHATWG Fetch, section 3.2), beside those of car_begin. */
extern const char car_preflight_headers[];

#endif
