#ifndef CARILLON_API_RATE_H
#define CARILLON_API_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/guard/rates.h"

#include "routes.h"

struct car_api;
struct car_call;
struct car_exchange;
struct car_http_request;
struct car_refusal;
struct car_subscriber;
struct car_worker;

/*
 * The limits (guard/rates.h) on the way of requests and commands. Counted are requests of a tenant's resources, the
 * opening of Socket.IO sessions, and each post_event over an open connection; what an administrator asks for is not,
 * but who tries to be one and is none. A limit refuses, and never closes anything. All on the worker's thread.
 *
 * Each answer says how the limits stand that it was held to: RateLimit and RateLimit-Policy, and with 429 Retry-After.
 * What is more than a whole limit is 413, for no waiting would help.
 */

/* Before it is known who asks: takes the address's unit. 0; or the status to refuse the request with, and why. The
 * lines for the answer are with the exchange then. */
int car_rate_before(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req,
                    enum car_asker asker, struct car_takings *takings, const char **why);

/* It is not to be counted now, after all: gives back what was taken, and takes the lines back. */
void car_rate_undo(const struct car_api *api, struct car_exchange *exchange, struct car_takings *takings);

/* The same as car_rate_before for a call; `act` is what the audit log calls it. false where it was refused, and
 * answered; so it is with the next two. */
bool car_rate_asker(struct car_call *call, enum car_asker asker, const char *act);

/* It is known who asks: the user's unit; or, of an administrator, what they have not to pay. */
bool car_rate_known(struct car_call *call, enum car_asker asker, const char *act);

/* The opening of a Socket.IO session, before it: the address's and the user's unit. */
bool car_rate_session(struct car_call *call);

/* So many events are about to be published; how many bytes they are, the call's takings know. */
bool car_rate_publish(struct car_call *call, uint32_t events);

/* A command of a subscriber's: the units of its address and user. 0; or CAR_EINVAL and *refusal. */
int car_rate_command(const struct car_subscriber *subscriber, struct car_takings *takings, struct car_refusal *refusal);

/* And its event. Its takings have been through car_rate_command, and know how many bytes it is. */
int car_rate_event(const struct car_subscriber *subscriber, struct car_takings *takings, struct car_refusal *refusal);

/* A credential is about to be tried over an open connection: car_rates_give_back where it is good. `client` is NULL
 * where nobody knows it. 0; or CAR_EINVAL and *refusal. */
int car_rate_guess(const struct car_api *api, struct car_worker *worker, const struct car_address *client,
                   struct car_takings *takings, struct car_refusal *refusal);

#endif
