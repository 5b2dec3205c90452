#include "posting.h"

#include "carillon/base/block.h"
#include "carillon/base/buf.h"
#include "carillon/feed/event.h"

#include "call.h"
#include "posted.h"
#include "respond.h"

#define LOCATION "Location: /api/v1/events/"

const struct car_json_member car_posting_members[CAR_POSTING_MEMBERS] = {
    {.name = "message"}, {.name = "metadata"}, {.name = "type"}};

int car_posting_check(const struct car_call *call, const struct car_json_member *picked, struct car_draft_type *type,
                      struct car_draft *draft, struct car_draft_refusal *refusal) {
    struct car_draft_members members = {picked[0].value, picked[1].value, picked[2].value};
    int err = car_draft_check(call->api->config, &members, "type", type, draft, refusal);
    draft->author = call->who.subject;
    return err;
}

static size_t size_of(uint32_t count) {
    return sizeof(struct car_posting) + count * sizeof(struct car_event *);
}

void car_posting_free(struct car_posting *posting) {
    if (!posting) {
        return;
    }
    for (uint32_t i = 0; i < posting->publish.count; i++) {
        car_event_unref(&posting->events[i]);
    }
    car_block_free(posting, size_of(posting->publish.count));
}

static void answer_event(const struct car_posting *posting) {
    const struct car_event *event = posting->events[0];
    char lines[sizeof LOCATION + CAR_UUID_TEXT + 2];
    memcpy(lines, LOCATION, sizeof LOCATION - 1);
    memcpy(lines + sizeof LOCATION - 1, car_event_id(event).ptr, CAR_UUID_TEXT);
    memcpy(lines + sizeof LOCATION - 1 + CAR_UUID_TEXT, "\r\n", 3);
    struct car_response response = {
        .status = 201,
        .type = CAR_TYPE_JSON,
        .body = car_event_json(event),
        .headers = lines,
        .owner = event->tenant,
    };
    car_respond(posting->exchange, &response);
}

static void answer_batch(const struct car_posting *posting) {
    struct car_buf body = CAR_BUF_INIT;
    uint32_t count = posting->publish.count;
    size_t len = sizeof "{\"events\":[]}" + count;
    for (uint32_t i = 0; i < count; i++) {
        len += car_event_json(posting->events[i]).len;
    }
    (void)car_buf_reserve(&body, len);
    CAR_BUF_LIT(&body, "{\"events\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            car_buf_char(&body, ',');
        }
        car_buf_span(&body, car_event_json(posting->events[i]));
    }
    CAR_BUF_LIT(&body, "]}");
    if (body.failed) {
        car_exchange_abort(posting->exchange);
    } else {
        struct car_response response = {
            .status = 201,
            .type = CAR_TYPE_JSON,
            .body = car_buf_view(&body),
            .headers = "",
            .owner = posting->publish.tenant,
        };
        car_respond(posting->exchange, &response);
    }
    car_buf_free(&body);
}

static void on_done(struct car_publish *publish) {
    struct car_posting *posting = (struct car_posting *)publish; /* its first member */
    if (publish->status) {
        car_respond_problem(posting->exchange, 503,
                            posting->batch ? "the events could not be stored" : "the event could not be stored", NULL,
                            NULL);
    } else {
        for (uint32_t i = 0; i < publish->count; i++) {
            car_posted_log(posting->api->config, posting->events[i], posting->began_us);
        }
        (posting->batch ? answer_batch : answer_event)(posting);
    }
    car_posting_free(posting);
}

struct car_posting *car_posting_new(struct car_call *call, uint32_t count, bool batch, uint64_t began_us) {
    struct car_posting *posting = car_block_new(size_of(count));
    if (posting) {
        *posting = (struct car_posting){
            .publish = {.tenant = call->who.tenant, .events = posting->events, .count = count, .done = on_done},
            .exchange = call->exchange,
            .api = call->api,
            .began_us = began_us,
            .batch = batch,
        };
        memset(posting->events, 0, count * sizeof(struct car_event *));
    }
    return posting;
}

void car_posting_refuse(struct car_call *call) {
    car_respond_problem(call->exchange, 503, "the tenant's queue is full", NULL, NULL);
}

void car_posting_send(struct car_posting *posting, struct car_call *call) {
    if (car_publish(&posting->publish, call->worker) != 0) {
        car_posting_free(posting);
        car_posting_refuse(call);
    }
}
