#include "carillon/feed/event.h"
#include "carillon/proto/json.h"

#include "audit.h"
#include "call.h"
#include "posted.h"
#include "posting.h"
#include "respond.h"

bool car_is_media(const struct car_http_request *req, const char *type) {
    size_t count = 0;
    struct car_span value = car_http_header_get(req, "Content-Type", &count);
    struct car_span media;
    return count == 1 && car_span_next(&value, ';', &media) && car_span_ieq(car_span_trim(media), car_span_cstr(type));
}

/* Reads the body. false where it was refused, and answered. */
static bool read_draft(struct car_call *call, struct car_draft *draft, struct car_draft_type *type) {
    struct car_json_member wanted[] = CAR_POSTING_WANTED;
    struct car_json_value whole;
    if (!car_is_media(call->req, CAR_TYPE_JSON)) {
        car_respond_problem(call->exchange, 415, "an event is published as application/json", NULL, NULL);
        return false;
    }
    if (car_json_pick(call->req->body, wanted, sizeof wanted / sizeof *wanted, &whole) != 0) {
        car_respond_problem(call->exchange, 400, "the body is not valid JSON", NULL, NULL);
        return false;
    }
    if (whole.kind != CAR_JSON_OBJECT) {
        struct car_field_error error = {"", "must be an object"};
        car_respond_problem(call->exchange, 422, "an event is a JSON object", &error, NULL);
        return false;
    }
    struct car_draft_refusal refusal;
    if (car_posting_check(call, wanted, type, draft, &refusal) != 0) {
        struct car_field_error error = {refusal.field, refusal.message};
        const char *detail = refusal.status == 413 ? "the message is too long" : "the event breaks a rule";
        if (refusal.status == 413) {
            car_audit_call(call, "publish", CAR_AUDIT_REFUSED, 413, refusal.message);
        }
        car_respond_problem(call->exchange, refusal.status, detail, &error, NULL);
        return false;
    }
    return true;
}

void car_event_publish(struct car_call *call) {
    struct car_draft draft;
    struct car_draft_type type;
    char trace[CAR_TRACEPARENT_LEN];
    uint64_t began = car_posted_begin();
    if (call->exchange->draining) {
        car_respond_problem(call->exchange, 503, "the server is going away", NULL, NULL);
        return;
    }
    if (!read_draft(call, &draft, &type)) {
        return;
    }
    draft.traceparent = car_posting_traceparent(call, trace);
    struct car_posting *posting = car_posting_new(call, 1, false, began);
    if (!posting) {
        return;
    }
    struct car_event *event = car_event_new(call->who.tenant, &draft);
    if (event) {
        car_posting_add(posting, event);
        car_posting_send(posting, call);
    } else {
        car_posting_free(posting);
        car_posting_refuse(call);
    }
}
