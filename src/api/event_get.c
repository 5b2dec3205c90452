#include "carillon/api/api.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "respond.h"

void car_event_get(struct car_call *call) {
    struct car_tenant *tenant = call->who.tenant;
    struct car_reader *reader = call->worker->reader;
    struct car_event *event = NULL;
    uint64_t seq = car_feed_seq_of(call->api->feed, tenant, call->id);
    bool kept = seq >= car_feed_oldest(call->api->feed, tenant) && seq > 0;
    if (!kept || car_tenant_read(tenant, reader, seq, &event, 1) != 1 || event->seq != seq) {
        car_event_unref(&event);
        car_respond_problem(call->exchange, 404, "there is no such event", NULL, NULL);
        return;
    }
    struct car_response response = {
        .status = 200,
        .type = CAR_TYPE_JSON,
        .body = car_event_json(event),
        .headers = "Cache-Control: no-store\r\n",
        .owner = event->tenant,
    };
    car_respond(call->exchange, &response);
    car_event_unref(&event);
}
