#include "command.h"

#include <stdatomic.h>
#include <stdio.h>

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

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

/* post_event */

static void on_done(struct car_publish *publish) {
    struct car_post *post = (struct car_post *)publish; /* its first member */
    struct car_event *event = post->event;
    bool stored = publish->status == 0;
    if (stored) {
        car_posted_log(post->api->config, event, post->began_us);
    }
    post->answer(post, stored ? event : NULL);
    car_event_unref(&event);
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

int car_command_post(const struct car_subscriber *subscriber, const struct car_command *command, struct car_post *post,
                     struct car_refusal *refusal) {
    struct car_draft_members members = {command->message, command->metadata, command->type};
    struct car_draft_type type;
    struct car_draft draft;
    struct car_draft_refusal why;
    struct car_takings takings;
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
    if (car_rate_command(subscriber, &takings, refusal) != 0) {
        return CAR_EINVAL;
    }
    uint32_t most = car_tenant_message_bytes(subscriber->tenant);
    if (car_draft_check(subscriber->api->config, most, &members, command->type_name, &type, &draft, &why) != 0) {
        return car_refuse(refusal, car_problem_code(why.status), why.field, why.message);
    }
    draft.author = subscriber->name;
    takings.bytes = draft.message.len + draft.metadata.len;
    if (car_rate_event(subscriber, &takings, refusal) != 0) {
        return CAR_EINVAL;
    }
    int err = publish(subscriber, &draft, post);
    if (err == CAR_ECLOSED) {
        return car_refuse(refusal, "unauthorized", NULL, CAR_TENANT_GONE);
    }
    return err ? car_refuse(refusal, "unavailable", NULL, "the tenant's queue is full") : 0;
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
        return car_refuse(refusal, "unavailable", NULL, "the log cannot be read");
    }
    CAR_BUF_LIT(out, "\"events\":");
    car_event_array(out, scan);
    car_buf_printf(out, ",\"has_more\":%s", scan->more ? "true" : "false");
    car_scan_free(scan);
    return 0;
}
