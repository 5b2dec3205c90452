#include "command.h"

#include <stdatomic.h>
#include <stdio.h>

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/net.h"
#include "carillon/proto/traceparent.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "certificate.h"
#include "draft.h"
#include "event_array.h"
#include "join.h"
#include "posted.h"
#include "rate.h"
#include "respond.h"

#define LIMIT_DEFAULT 50

int car_refuse(struct car_refusal *refusal, const char *code, const char *what, const char *message) {
    refusal->code = code;
    snprintf(refusal->message, sizeof refusal->message, "%s%s%s", what ? what : "", what ? " " : "", message);
    return CAR_EINVAL;
}

/* Reading. */

int car_command_read(struct car_span text, struct car_command *command, struct car_json_value *whole) {
    enum { TYPE, REF, MESSAGE, METADATA, EVENT_TYPE, TRACEPARENT, SINCE, SINCE_ID, LIMIT, EPOCH, TOKEN, MEMBERS };
    struct car_json_member m[MEMBERS] = {
        [TYPE] = {.name = "type"},
        [REF] = {.name = "ref"},
        [MESSAGE] = {.name = "message"},
        [METADATA] = {.name = "metadata"},
        [EVENT_TYPE] = {.name = "event_type"},
        [TRACEPARENT] = {.name = "traceparent"},
        [SINCE] = {.name = "since"},
        [SINCE_ID] = {.name = "sinceId"},
        [LIMIT] = {.name = "limit"},
        [EPOCH] = {.name = "epoch"},
        [TOKEN] = {.name = "token"},
    };
    int err = car_json_pick(text, m, MEMBERS, whole);
    *command = (struct car_command){
        .type = m[TYPE].value,
        .ref = m[REF].value,
        .message = m[MESSAGE].value,
        .metadata = m[METADATA].value,
        .event_type = m[EVENT_TYPE].value,
        .type_name = m[EVENT_TYPE].name,
        .traceparent = m[TRACEPARENT].value,
        .since = m[SINCE].value,
        .since_id = m[SINCE_ID].value,
        .limit = m[LIMIT].value,
        .epoch = m[EPOCH].value,
        .token = m[TOKEN].value,
    };
    return err;
}

void car_command_type_is_event_type(struct car_command *command) {
    if (command->event_type.kind == CAR_JSON_ABSENT) {
        command->event_type = command->type;
        command->type_name = "type";
    }
}

/* post_event */

static void on_done(struct car_publish *publish) {
    struct car_post *post = (struct car_post *)publish; /* its first member */
    struct car_event *event = post->event;
    bool stored = publish->status == 0;
    struct car_refusal refusal;
    if (stored) {
        car_posted_log(post->api->config, event, post->began_us);
    } else {
        car_post_refusal(post, &refusal);
    }
    car_count_publish(publish->worker, stored ? NULL : &refusal);
    post->answer(post, stored ? event : NULL);
    car_event_unref(&event);
}

/* As car_posting_traceparent has it of a header. */
static struct car_span read_traceparent(const struct car_json_value *value, char text[CAR_TRACEPARENT_LEN]) {
    struct car_buf decoded = CAR_BUF_INIT;
    bool good = value->kind == CAR_JSON_STRING && car_json_string_decode(value->raw, &decoded) == 0 &&
                car_traceparent_read(car_buf_view(&decoded), text);
    car_buf_free(&decoded);
    return good ? car_span_of(text, CAR_TRACEPARENT_LEN) : (struct car_span){0};
}

static int publish(const struct car_subscriber *subscriber, const struct car_draft *draft, struct car_post *post) {
    struct car_event *event = car_event_new(subscriber->tenant, draft);
    if (!event) {
        return CAR_ENOMEM;
    }
    post->event = event;
    post->publish =
        (struct car_publish){.tenant = subscriber->tenant, .events = &post->event, .count = 1, .done = on_done};
    post->api = subscriber->api;
    post->began_us = car_posted_begin();
    int err = car_publish(&post->publish, subscriber->worker);
    if (err) {
        car_event_unref(&event);
    }
    return err;
}

static int post_event(const struct car_subscriber *subscriber, const struct car_command *command, struct car_post *post,
                      struct car_refusal *refusal) {
    struct car_draft_members members = {command->message, command->metadata, command->event_type};
    struct car_draft_type type;
    struct car_draft draft;
    struct car_draft_refusal why;
    struct car_takings takings;
    char trace[CAR_TRACEPARENT_LEN];
    car_takings_init(&takings);
    if (atomic_load_explicit(&subscriber->api->net->draining, memory_order_relaxed)) {
        return car_refuse(refusal, "unavailable", NULL, "the server is going away");
    }
    if (subscriber->ended) {
        return car_refuse(refusal, "unauthorized", NULL, CAR_REVOKED);
    }
    if (!(subscriber->scopes & CAR_SCOPE_PUBLISH)) {
        return car_refuse(refusal, "forbidden", NULL, car_auth_lacks(CAR_SCOPE_PUBLISH));
    }
    if (!car_may_publish(subscriber->api, subscriber->certified)) {
        return car_refuse(refusal, "forbidden", NULL, CAR_NO_CERTIFICATE);
    }
    if (car_rate_command(subscriber, &takings, refusal) != 0) {
        return CAR_EINVAL;
    }
    uint32_t most = car_tenant_message_bytes(subscriber->tenant);
    if (car_draft_check(subscriber->api->config, most, &members, command->type_name, &type, &draft, &why) != 0) {
        return car_refuse(refusal, car_problem_code(why.status), why.field, why.message);
    }
    draft.author = subscriber->name;
    draft.traceparent = read_traceparent(&command->traceparent, trace);
    takings.bytes = draft.message.len + draft.metadata.len;
    if (car_rate_event(subscriber, &takings, refusal) != 0) {
        return CAR_EINVAL;
    }
    int err = publish(subscriber, &draft, post);
    if (err == CAR_ECLOSED) {
        return car_refuse(refusal, "unauthorized", NULL, CAR_TENANT_GONE);
    }
    if (err == CAR_ETOOBIG) {
        return car_refuse(refusal, "too_large", NULL, CAR_NEVER_FITS);
    }
    const char *full = err == CAR_ENOMEM ? CAR_TENANT_NO_MEMORY : "the tenant's queue is full";
    return err ? car_refuse(refusal, "unavailable", NULL, full) : 0;
}

int car_command_post(const struct car_subscriber *subscriber, const struct car_command *command, struct car_post *post,
                     struct car_refusal *refusal) {
    int err = post_event(subscriber, command, post, refusal);
    if (err) {
        car_count_publish(subscriber->worker, refusal);
    }
    return err;
}

void car_post_refusal(const struct car_post *post, struct car_refusal *refusal) {
    bool gone = post->publish.status == CAR_ECLOSED;
    (void)car_refuse(refusal, gone ? "unauthorized" : "unavailable", NULL,
                     gone ? CAR_TENANT_GONE : "the event could not be stored");
}

/* replay */

bool car_command_is_foreign(const struct car_subscriber *subscriber, const struct car_json_value *epoch) {
    char own[CAR_EPOCH_LEN + 1];
    struct car_buf text = CAR_BUF_INIT;
    bool named = epoch->kind != CAR_JSON_ABSENT && epoch->kind != CAR_JSON_NULL;
    if (epoch->kind == CAR_JSON_STRING) {
        (void)car_json_string_decode(epoch->raw, &text);
    }
    car_feed_epoch(subscriber->api->feed, subscriber->tenant, own);
    bool foreign = named && !car_span_eq(car_buf_view(&text), car_span_cstr(own));
    car_buf_free(&text);
    return foreign;
}

int car_command_since(const struct car_subscriber *subscriber, const struct car_json_value *since,
                      const struct car_json_value *since_id, uint64_t *out, struct car_refusal *refusal) {
    *out = 0;
    if (since->kind != CAR_JSON_ABSENT && since_id->kind != CAR_JSON_ABSENT) {
        return car_refuse(refusal, "bad_request", NULL, "since and sinceId cannot be given together");
    }
    if (since->kind != CAR_JSON_ABSENT) {
        return car_json_u64(since, INT64_MAX, out) == 0 ? 0
                                                        : car_refuse(refusal, "bad_request", "since", "must be a seq");
    }
    if (since_id->kind == CAR_JSON_ABSENT) {
        return 0;
    }
    if (since_id->kind == CAR_JSON_STRING) {
        struct car_buf text = CAR_BUF_INIT;
        (void)car_json_string_decode(since_id->raw, &text);
        *out = car_feed_seq_of(subscriber->api->feed, subscriber->tenant, car_buf_view(&text));
        car_buf_free(&text);
    }
    return *out ? 0 : car_refuse(refusal, "bad_request", "sinceId", "is no known event");
}

static void on_found(struct car_scan *scan) {
    struct car_replay *replay = (struct car_replay *)scan; /* its first member */
    replay->answer(replay);
}

int car_command_replay(const struct car_subscriber *subscriber, const struct car_command *command,
                       struct car_replay *replay, struct car_refusal *refusal) {
    uint64_t since;
    uint64_t limit = LIMIT_DEFAULT;
    bool limited = command->limit.kind != CAR_JSON_ABSENT;
    if (subscriber->ended) {
        return car_refuse(refusal, "unauthorized", NULL, CAR_REVOKED);
    }
    if (limited && (car_json_u64(&command->limit, CAR_SCAN_EVENTS_MAX, &limit) != 0 || limit == 0)) {
        return car_refuse(refusal, "bad_request", "limit", "must be 1 to 1000");
    }
    if (car_command_is_foreign(subscriber, &command->epoch)) {
        return car_refuse(refusal, "bad_request", "epoch", "is not this log's: its seqs are others");
    }
    int err = car_command_since(subscriber, &command->since, &command->since_id, &since, refusal);
    if (err) {
        return err;
    }
    replay->scan = (struct car_scan){.tenant = subscriber->tenant,
                                     .worker = subscriber->worker,
                                     .first = since + 1,
                                     .last = UINT64_MAX,
                                     .limit = (uint32_t)limit,
                                     .done = on_found};
    car_scan_start(&replay->scan);
    return 0;
}

int car_replay_write(struct car_replay *replay, struct car_buf *out, struct car_refusal *refusal) {
    struct car_scan *scan = &replay->scan;
    if (scan->status) {
        return car_refuse(refusal, "unavailable", NULL, car_event_array_why(scan));
    }
    CAR_BUF_LIT(out, "\"events\":");
    car_event_array(out, scan);
    car_buf_printf(out, ",\"has_more\":%s", scan->more ? "true" : "false");
    car_scan_free(scan);
    return 0;
}
