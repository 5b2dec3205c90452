#include "room.h"

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/memory.h"
#include "carillon/net/exchange.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "audit.h"
#include "call.h"
#include "client.h"
#include "posted.h"
#include "respond.h"

bool car_room_is_short(const struct car_api *api, const struct car_worker *worker, const struct car_tenant *tenant) {
    bool is_short = tenant && car_memory_seats_taken(api->feed, tenant);
    if (is_short) {
        car_cell_add(&car_feed_local(worker->feed)->metrics->refused, 1);
    }
    return is_short;
}

int car_room_take(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req,
                  struct car_tenant *tenant, struct car_room *room, const char **why) {
    struct car_reader *reader = exchange->worker->reader;
    bool by_address = car_rooms_ask_address(api->rooms);
    if (by_address && car_client_find(api, exchange, req) != 0) {
        *why = "the connection has gone";
        return 503;
    }
    if (car_room_is_short(api, exchange->worker, tenant)) {
        *why = CAR_TENANT_NO_MEMORY;
        return 503;
    }
    *why = "out of memory";
    int err = car_rooms_take(api->rooms, reader, tenant, by_address ? &exchange->client : NULL, room, why);
    if (err == CAR_EFULL) {
        car_count_room(exchange->worker, *why);
    }
    return err == CAR_EFULL ? 429 : err ? 503 : 0;
}

bool car_room_take_or_refuse(const struct car_call *call, const char *act, struct car_room *room) {
    const char *why = NULL;
    int status = car_room_take(call->api, call->exchange, call->req, call->who.tenant, room, &why);
    if (status) {
        car_audit_call(call, act, CAR_AUDIT_REFUSED, status, why);
        car_respond_problem(call->exchange, status, why, NULL, status == 429 ? CAR_ROOM_RETRY : NULL);
    }
    return !status;
}
