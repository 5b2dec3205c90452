#include "posting.h"

#include "carillon/base/block.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "audit.h"
#include "batch_answer.h"
#include "call.h"
#include "posted.h"
#include "rate.h"
#include "respond.h"

#define LOCATION    "Location: /api/v1/events/"
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

struct car_span car_posting_traceparent(const struct car_call *call, char text[CAR_TRACEPARENT_LEN]) {
    size_t count = 0;
    struct car_span sent = car_http_header_get(call->req, "traceparent", &count);
    return count == 1 && car_traceparent_read(sent, text) ? car_span_of(text, CAR_TRACEPARENT_LEN)
                                                          : (struct car_span){0};
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
    char lines[sizeof LOCATION + CAR_UUID_TEXT + 2 + sizeof CAR_POSTING_REPLAYED];
    char *end = mempcpy(lines, LOCATION, sizeof LOCATION - 1);
    end = mempcpy(end, car_event_id(event).ptr, CAR_UUID_TEXT);
    end = mempcpy(end, "\r\n", 2);
    memcpy(end, posting->publish.replayed ? CAR_POSTING_REPLAYED : "",
           posting->publish.replayed ? sizeof CAR_POSTING_REPLAYED : 1);
    struct car_response response = {
        .status = 201,
        .type = CAR_TYPE_JSON,
        .body = car_event_json(event),
        .headers = lines,
        .owner = event->tenant,
    };
    car_respond(posting->exchange, &response);
}

static void refuse_key(struct car_exchange *exchange, int status, const char *message) {
    struct car_field_error error = {KEY, message};
    car_respond_problem(exchange, status, "the " KEY " cannot be used", &error, NULL);
}

/* Events are logged in so large pieces, each in a turn of its tenant's flow: a line is a system call. */
#define LINES     32u
#define LINE_COST 2048

static void accepted(struct car_posting *posting) {
    posting->exchange->outcome = posting->publish.replayed ? CAR_OUTCOME_REPLAYED : CAR_OUTCOME_ACCEPTED;
    if (posting->batch) {
        car_batch_answer(posting);
    } else {
        answer_event(posting);
        car_posting_free(posting);
    }
}

/* Logs some of its events. true where these were the last. */
static bool log_some(struct car_posting *posting) {
    uint32_t left = posting->publish.count - posting->logged;
    uint32_t upto = posting->logged + (left < LINES ? left : LINES);
    while (posting->logged < upto) {
        car_posted_log(posting->api->config, posting->events[posting->logged++], posting->began_us);
    }
    return posting->logged == posting->publish.count;
}

static void log_in_turn(struct car_posting *posting) {
    struct car_worker *worker = posting->exchange->worker;
    struct car_flow *flow = car_flow_of(posting->publish.tenant, worker);
    car_flow_charge(&worker->tasks, flow, (uint64_t)LINES * LINE_COST);
    car_flow_defer(&worker->tasks, flow, &posting->task);
}

static void on_turn(struct car_task *task) {
    struct car_posting *posting = (struct car_posting *)((char *)task - offsetof(struct car_posting, task));
    struct car_feed_local *local = car_feed_local(posting->exchange->worker->feed);
    if (log_some(posting)) {
        accepted(posting);
        car_feed_publishing(local, -1);
    } else {
        log_in_turn(posting);
    }
}

/* It is in the log. It is answered when its lines are written: where they are many, not at once, and until then the
 * server does not end. */
static void on_published(struct car_posting *posting) {
    bool told = posting->publish.replayed || !car_log_wants(CAR_LOG_INFO);
    if (told || log_some(posting)) {
        accepted(posting);
        return;
    }
    posting->task.run = on_turn;
    car_feed_publishing(car_feed_local(posting->exchange->worker->feed), 1);
    log_in_turn(posting);
}

static void on_done(struct car_publish *publish) {
    struct car_posting *posting = (struct car_posting *)publish; /* its first member */
    if (publish->status == CAR_EEXIST) {
        posting->exchange->outcome = CAR_OUTCOME_CONFLICT;
        refuse_key(posting->exchange, 422, "was used with another body");
    } else if (publish->status == CAR_ECLOSED) {
        car_respond_problem(posting->exchange, 401, CAR_TENANT_GONE, NULL, NULL);
    } else if (publish->status) {
        car_respond_problem(posting->exchange, 503,
                            posting->batch ? "the events could not be stored" : "the event could not be stored", NULL,
                            NULL);
    } else {
        on_published(posting);
        return;
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

void car_posting_body(struct car_posting *posting, const uint8_t sha[32]) {
    uint8_t body[1 + 32] = {posting->batch};
    struct car_publish_key *key = (struct car_publish_key *)(posting->events + posting->room);
    memcpy(body + 1, sha, 32);
    car_sha256(body, sizeof body, key->body);
}

static void make_key(struct car_posting *posting, const struct car_call *call, struct car_span text) {
    struct car_publish_key *key = (struct car_publish_key *)(posting->events + posting->room);
    car_sha256(text.ptr, text.len, key->key);
    posting->publish.key = key;
    if (!posting->batch) {
        uint8_t sha[32];
        car_sha256(call->req->body.ptr, call->req->body.len, sha);
        car_posting_body(posting, sha);
    }
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
        make_key(posting, call, text);
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
    } else if (err == CAR_ETOOBIG) {
        struct car_field_error error = {"", CAR_NEVER_FITS};
        car_audit_call(call, "publish", CAR_AUDIT_REFUSED, 413, CAR_NEVER_FITS);
        car_respond_problem(call->exchange, 413, "this can never be taken", &error, NULL);
    } else if (err == CAR_ENOMEM) {
        car_respond_problem(call->exchange, 503, CAR_TENANT_NO_MEMORY, NULL, NULL);
    } else {
        car_posting_refuse(call);
    }
}
