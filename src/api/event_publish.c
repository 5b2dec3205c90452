#include "carillon/base/block.h"
#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/json.h"

#include "call.h"
#include "draft.h"
#include "posted.h"
#include "respond.h"

#define LOCATION "Location: /api/v1/events/"

/* A request that waits for its event to be in the log. */
struct waiting {
    struct car_publish publish;
    struct car_exchange *exchange;
    const struct car_api *api;
    uint64_t began_us;
};

static void on_done(struct car_publish *publish) {
    struct waiting *w = (struct waiting *)publish; /* its first member */
    struct car_event *event = publish->event;
    if (publish->status) {
        car_respond_problem(w->exchange, 503, "the event could not be stored", NULL, NULL);
    } else {
        car_posted_log(w->api->config, event, w->began_us);
        char location[sizeof LOCATION + CAR_UUID_TEXT + 2];
        memcpy(location, LOCATION, sizeof LOCATION - 1);
        memcpy(location + sizeof LOCATION - 1, car_event_id(event).ptr, CAR_UUID_TEXT);
        memcpy(location + sizeof LOCATION - 1 + CAR_UUID_TEXT, "\r\n", 3);
        struct car_response response = {
            .status = 201,
            .type = CAR_TYPE_JSON,
            .body = car_event_json(event),
            .headers = location,
            .owner = event->tenant,
        };
        car_respond(w->exchange, &response);
    }
    car_event_unref(&event);
    car_block_free(w, sizeof *w);
}

bool car_is_json(const struct car_http_request *req) {
    size_t count = 0;
    struct car_span type = car_http_header_get(req, "Content-Type", &count);
    struct car_span media;
    return count == 1 && car_span_next(&type, ';', &media) &&
           car_span_ieq(car_span_trim(media), CAR_SPAN(CAR_TYPE_JSON));
}

/* Reads the body. false where it was refused, and answered. */
static bool read_draft(struct car_call *call, struct car_draft *draft, struct car_draft_type *type) {
    struct car_json_member wanted[] = {{.name = "message"}, {.name = "metadata"}, {.name = "type"}};
    struct car_json_value whole;
    if (!car_is_json(call->req)) {
        car_respond_problem(call->exchange, 415, "an event is published as application/json", NULL, NULL);
        return false;
    }
    if (car_json_pick(call->req->body, wanted, 3, &whole) != 0) {
        car_respond_problem(call->exchange, 400, "the body is not valid JSON", NULL, NULL);
        return false;
    }
    if (whole.kind != CAR_JSON_OBJECT) {
        struct car_field_error error = {"", "must be an object"};
        car_respond_problem(call->exchange, 422, "an event is a JSON object", &error, NULL);
        return false;
    }
    struct car_draft_members members = {wanted[0].value, wanted[1].value, wanted[2].value};
    struct car_draft_refusal refusal;
    if (car_draft_check(call->api->config, &members, "type", type, draft, &refusal) != 0) {
        struct car_field_error error = {refusal.field, refusal.message};
        const char *detail = refusal.status == 413 ? "the message is too long" : "the event breaks a rule";
        car_respond_problem(call->exchange, refusal.status, detail, &error, NULL);
        return false;
    }
    draft->author = call->who.subject;
    return true;
}

void car_event_publish(struct car_call *call) {
    struct car_draft draft;
    struct car_draft_type type;
    uint64_t began = car_posted_begin();
    if (call->exchange->draining) {
        car_respond_problem(call->exchange, 503, "the server is going away", NULL, NULL);
        return;
    }
    if (!read_draft(call, &draft, &type)) {
        return;
    }
    struct waiting *w = car_block_new(sizeof *w);
    struct car_event *event = car_event_new(call->who.tenant, &draft);
    if (w && event) {
        *w = (struct waiting){
            .publish = {.tenant = call->who.tenant, .event = event, .done = on_done},
            .exchange = call->exchange,
            .api = call->api,
            .began_us = began,
        };
        if (car_publish(&w->publish, call->worker) == 0) {
            return;
        }
    }
    car_event_unref(&event);
    car_block_free(w, sizeof *w);
    car_respond_problem(call->exchange, 503, "the tenant's queue is full", NULL, NULL);
}
