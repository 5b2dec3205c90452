#include "posting.h"

#include "carillon/base/block.h"
#include "carillon/base/buf.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/tenant.h"

#include "call.h"
#include "posted.h"
#include "rate.h"
#include "respond.h"

#define LOCATION    "Location: /api/v1/events/"
#define REPLAYED    "Idempotent-Replayed: true\r\n"
#define KEY         "Idempotency-Key"
#define KEY_LEN_MAX 255

int car_posting_check(const struct car_call *call, const struct car_json_member *picked, struct car_draft_type *type,
                      struct car_draft *draft, struct car_draft_refusal *refusal) {
    struct car_draft_members members = {picked[0].value, picked[1].value, picked[2].value};
    uint32_t most = car_tenant_message_bytes(call->who.tenant);
    int err = car_draft_check(call->api->config, most, &members, "type", type, draft, refusal);
    draft->author = car_identity_subject(&call->who);
    call->takings->bytes += draft->message.len + draft->metadata.len;
    return err;
}

static size_t size_of(uint32_t room, bool keyed) {
    return sizeof(struct car_posting) + room * sizeof(struct car_event *) +
           (keyed ? sizeof(struct car_publish_key) : 0);
}

void car_posting_free(struct car_posting *posting) {
    for (uint32_t i = 0; i < posting->publish.count; i++) {
        car_event_unref(&posting->events[i]);
    }
    car_block_free(posting, size_of(posting->room, posting->publish.key != NULL));
}

static void answer_event(const struct car_posting *posting) {
    const struct car_event *event = posting->events[0];
    char lines[sizeof LOCATION + CAR_UUID_TEXT + 2 + sizeof REPLAYED];
    char *end = mempcpy(lines, LOCATION, sizeof LOCATION - 1);
    end = mempcpy(end, car_event_id(event).ptr, CAR_UUID_TEXT);
    end = mempcpy(end, "\r\n", 2);
    memcpy(end, posting->publish.replayed ? REPLAYED : "", posting->publish.replayed ? sizeof REPLAYED : 1);
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
            .headers = posting->publish.replayed ? REPLAYED : "",
            .owner = posting->publish.tenant,
        };
        car_respond(posting->exchange, &response);
    }
    car_buf_free(&body);
}

static void refuse_key(struct car_exchange *exchange, int status, const char *message) {
    struct car_field_error error = {KEY, message};
    car_respond_problem(exchange, status, "the " KEY " cannot be used", &error, NULL);
}

static void on_done(struct car_publish *publish) {
    struct car_posting *posting = (struct car_posting *)publish; /* its first member */
    if (publish->status == CAR_EEXIST) {
        refuse_key(posting->exchange, 422, "was used with another body");
    } else if (publish->status == CAR_ECLOSED) {
        car_respond_problem(posting->exchange, 401, CAR_TENANT_GONE, NULL, NULL);
    } else if (publish->status) {
        car_respond_problem(posting->exchange, 503,
                            posting->batch ? "the events could not be stored" : "the event could not be stored", NULL,
                            NULL);
    } else {
        for (uint32_t i = 0; i < publish->count && !publish->replayed; i++) {
            car_posted_log(posting->api->config, posting->events[i], posting->began_us);
        }
        (posting->batch ? answer_batch : answer_event)(posting);
    }
    car_posting_free(posting);
}

/* Whether the text can be a key: 1 to 255 characters, which are visible ASCII, or spaces. */
static bool key_ok(struct car_span text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len >= 1 && text.len <= KEY_LEN_MAX;
}

/* The body's digest covers what it is as well: one event that is posted alone is not a batch of one. */
static void make_key(const struct car_call *call, struct car_span text, bool batch, struct car_publish_key *key) {
    uint8_t body[1 + 32] = {batch};
    struct car_span sent = call->req->body;
    car_sha256(text.ptr, text.len, key->key);
    car_sha256(sent.ptr, sent.len, body + 1);
    car_sha256(body, sizeof body, key->body);
}

struct car_posting *car_posting_new(struct car_call *call, uint32_t count, bool batch, uint64_t began_us) {
    size_t keys = 0;
    struct car_span text = car_http_header_get(call->req, KEY, &keys);
    if (keys > 1 || (keys == 1 && !key_ok(text))) {
        refuse_key(call->exchange, 400, "must be given once, and be 1 to 255 characters of ASCII");
        return NULL;
    }
    struct car_posting *posting = car_block_new(size_of(count, keys));
    if (!posting) {
        car_posting_refuse(call);
        return NULL;
    }
    *posting = (struct car_posting){
        .publish = {.tenant = call->who.tenant, .events = posting->events, .done = on_done},
        .exchange = call->exchange,
        .api = call->api,
        .began_us = began_us,
        .room = count,
        .batch = batch,
    };
    if (keys) {
        struct car_publish_key *key = (struct car_publish_key *)(posting->events + count);
        make_key(call, text, batch, key);
        posting->publish.key = key;
    }
    return posting;
}

void car_posting_refuse(struct car_call *call) {
    car_respond_problem(call->exchange, 503, "the tenant's queue is full", NULL, NULL);
}

void car_posting_send(struct car_posting *posting, struct car_call *call) {
    if (!car_rate_publish(call, posting->publish.count)) {
        car_posting_free(posting);
        return;
    }
    int err = car_publish(&posting->publish, call->worker);
    if (!err) {
        return;
    }
    car_posting_free(posting);
    if (err == CAR_ECLOSED) {
        car_respond_problem(call->exchange, 401, CAR_TENANT_GONE, NULL, NULL);
    } else {
        car_posting_refuse(call);
    }
}
