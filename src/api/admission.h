#ifndef CARILLON_API_ADMISSION_H
#define CARILLON_API_ADMISSION_H

#include <stdbool.h>

struct car_api;
struct car_call;
struct car_cursor;
struct car_exchange;
struct car_tenant;

/*
 * Whether a subscriber may come in now: a WebSocket, an event stream, a Socket.IO session. Where not, it is answered:
 * 503, and when to come back. Asked once it is known whose it is, for the tenants share what there is, and before
 * anything is made or read for it. `since` is where it wants to go on; NULL: it does not say.
 */
bool car_admission_passes(struct car_call *call, const struct car_cursor *since);

/* The same for a Socket.IO session, which does not come in while the server goes away; `tenant` is NULL for who has not
 * said yet. */
bool car_admission_passes_as(const struct car_api *api, struct car_exchange *exchange, struct car_tenant *tenant);

/* Whether what is read of a log here may be told: where another process takes over, it may know more by now. Where not,
 * it is answered: 503, and when to come back. */
bool car_admission_reads(const struct car_call *call);

#endif
