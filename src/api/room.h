#ifndef CARILLON_API_ROOM_H
#define CARILLON_API_ROOM_H

#include <stdbool.h>

#include "carillon/guard/rooms.h"

struct car_api;
struct car_call;
struct car_exchange;
struct car_http_request;
struct car_tenant;
struct car_worker;

/* The header line that goes with a refusal for want of room: somebody has to leave first. */
#define CAR_ROOM_RETRY "Retry-After: 5\r\n"

/*
 * Takes room for a subscriber that is about to be let in: for the tenant, NULL where it is not known yet, and for the
 * client's address. What has it gives it back (car_rooms_drop) when its connection ends, or did not come to be. 0; or
 * the status to refuse it with, and a static reason: 429 with CAR_ROOM_RETRY, 503. On the exchange's worker.
 */
int car_room_take(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req,
                  struct car_tenant *tenant, struct car_room *room, const char **why);

/* Whether the tenant has as many subscribers as its memory has room for, one more of whom is then counted as refused.
 * On the worker's thread. */
bool car_room_is_short(const struct car_api *api, const struct car_worker *worker, const struct car_tenant *tenant);

/* As car_room_take for a call, whose refusal is answered, and told to the audit log as that act's. false where it was.
 */
bool car_room_take_or_refuse(const struct car_call *call, const char *act, struct car_room *room);

#endif
