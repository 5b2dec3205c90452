#include <stdatomic.h>

#include "carillon/api/api.h"
#include "carillon/base/block.h"
#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/net.h"
#include "carillon/proto/json.h"
#include "carillon/runtime/worker.h"

#include "draft.h"
#include "event_array.h"
#include "live.h"
#include "posted.h"
#include "respond.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000

/* The members of a command, by what they are for. */
enum member { TYPE, REF, MESSAGE, METADATA, EVENT_TYPE, SINCE, SINCE_ID, LIMIT, MEMBERS };

/* Ends an answer that `begin` began, and sends it. */
static void reply(struct car_live *live, struct car_buf *out) {
    car_buf_char(out, '}');
    if (out->failed) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, "out of memory");
    } else {
        car_ws_send(&live->ws, live->tenant, CAR_WS_TEXT, car_buf_view(out));
    }
}

/* Begins an answer, in the worker's scratch buffer: its type, and the command's ref as it was sent, null where it had
 * none. */
static struct car_buf *begin(struct car_live *live, const char *type, struct car_span ref) {
    struct car_buf *out = car_net_scratch(live->worker);
    CAR_BUF_LIT(out, "{\"type\":\"");
    car_buf_span(out, car_span_cstr(type));
    CAR_BUF_LIT(out, "\",\"ref\":");
    if (ref.ptr) {
        car_json_rewrite(out, ref);
    } else {
        CAR_BUF_LIT(out, "null");
    }
    return out;
}

/* What is wrong, and, where `what` is not NULL, with which member. */
static void reply_error(struct car_live *live, struct car_span ref, const char *code, const char *what,
                        const char *message) {
    struct car_buf text = CAR_BUF_INIT;
    car_buf_printf(&text, "%s%s%s", what ? what : "", what ? " " : "", message);
    struct car_buf *out = begin(live, "error", ref);
    car_buf_printf(out, ",\"code\":\"%s\",\"message\":", code);
    car_json_write_string(out, car_buf_view(&text));
    car_buf_free(&text);
    reply(live, out);
}

/* post_event */

/* A command that waits for its event to be in the log. Its ref stands behind it, as text. */
struct waiting {
    struct car_publish publish;
    struct car_live *live;
    uint64_t began_us;
    size_t ref_len;
    char ref[];
};

static void waiting_free(struct waiting *w) {
    if (w) {
        car_block_free(w, sizeof *w + w->ref_len);
    }
}

static void on_done(struct car_publish *publish) {
    struct waiting *w = (struct waiting *)publish; /* its first member */
    struct car_live *live = w->live;
    struct car_event *event = publish->event;
    struct car_span ref = car_span_of(w->ref_len ? w->ref : NULL, w->ref_len);
    live->publishing--;
    if (!publish->status) {
        car_posted_log(live->api->config, event, w->began_us);
    }
    if (live->ended) {
        car_live_release(live);
    } else if (publish->status) {
        reply_error(live, ref, "unavailable", NULL, "the event could not be stored");
    } else {
        struct car_buf *out = begin(live, "ack", ref);
        CAR_BUF_LIT(out, ",\"event\":");
        car_buf_span(out, car_event_json(event));
        reply(live, out);
    }
    car_event_unref(&event);
    waiting_free(w);
}

static int publish(struct car_live *live, const struct car_draft *draft, struct car_span ref) {
    struct waiting *w = car_block_new(sizeof *w + ref.len);
    struct car_event *event = car_event_new(live->tenant, draft);
    int err = CAR_ENOMEM;
    if (w) {
        w->publish = (struct car_publish){.tenant = live->tenant, .event = event, .done = on_done};
        w->live = live;
        w->began_us = car_posted_begin();
        w->ref_len = ref.len;
        if (ref.len) {
            memcpy(w->ref, ref.ptr, ref.len);
        }
    }
    if (w && event) {
        live->publishing++;
        err = car_publish(&w->publish, live->worker);
        if (!err) {
            return 0;
        }
        live->publishing--;
    }
    car_event_unref(&event);
    waiting_free(w);
    return err;
}

static void post_event(struct car_live *live, const struct car_json_member *m) {
    struct car_draft_members members = {m[MESSAGE].value, m[METADATA].value, m[EVENT_TYPE].value};
    struct car_draft_type type;
    struct car_draft draft;
    struct car_draft_refusal refusal;
    struct car_span ref = m[REF].value.raw;
    if (atomic_load_explicit(&live->api->net->draining, memory_order_relaxed)) {
        reply_error(live, ref, "unavailable", NULL, "the server is going away");
    } else if (car_draft_check(live->api->config, &members, "event_type", &type, &draft, &refusal) != 0) {
        reply_error(live, ref, car_problem_code(refusal.status), refusal.field, refusal.message);
    } else if (publish(live, &draft, ref) != 0) {
        reply_error(live, ref, "unavailable", NULL, "the tenant's queue is full");
    }
}

/* replay */

/* The seq behind which to begin; without a cursor, everything that is kept. */
static int read_since(struct car_live *live, const struct car_json_member *m, uint64_t *since, const char **why) {
    const struct car_json_value *seq = &m[SINCE].value;
    const struct car_json_value *id = &m[SINCE_ID].value;
    *since = 0;
    if (seq->kind != CAR_JSON_ABSENT && id->kind != CAR_JSON_ABSENT) {
        *why = "since and sinceId cannot be given together";
        return CAR_EINVAL;
    }
    if (seq->kind != CAR_JSON_ABSENT) {
        *why = "since must be a seq";
        return car_json_u64(seq, INT64_MAX, since);
    }
    if (id->kind == CAR_JSON_ABSENT) {
        return 0;
    }
    *why = "sinceId is no known event";
    if (id->kind == CAR_JSON_STRING) {
        struct car_buf text = CAR_BUF_INIT;
        (void)car_json_string_decode(id->raw, &text);
        *since = car_tenant_find(live->tenant, live->worker->reader, car_buf_view(&text));
        car_buf_free(&text);
    }
    return *since ? 0 : CAR_EINVAL;
}

static void replay(struct car_live *live, const struct car_json_member *m) {
    const char *why = "limit must be 1 to 1000";
    uint64_t since;
    uint64_t limit = LIMIT_DEFAULT;
    struct car_span ref = m[REF].value.raw;
    int err = 0;
    if (m[LIMIT].value.kind != CAR_JSON_ABSENT) {
        err = car_json_u64(&m[LIMIT].value, LIMIT_MAX, &limit);
        err = limit == 0 ? CAR_EINVAL : err;
    }
    if (err || read_since(live, m, &since, &why) != 0) {
        reply_error(live, ref, "bad_request", NULL, why);
        return;
    }
    uint64_t oldest = car_tenant_oldest(live->tenant, live->api->feed->keep);
    struct car_buf *out = begin(live, "replay_result", ref);
    CAR_BUF_LIT(out, ",\"events\":");
    bool more = car_event_array(out, live->tenant, live->worker->reader, since >= oldest ? since + 1 : oldest,
                                car_tenant_newest(live->tenant), limit);
    car_buf_printf(out, ",\"has_more\":%s", more ? "true" : "false");
    reply(live, out);
}

static void ping(struct car_live *live, const struct car_json_member *m) {
    reply(live, begin(live, "pong", m[REF].value.raw));
}

struct command {
    const char *type;
    void (*run)(struct car_live *live, const struct car_json_member *m);
};

static bool is(const struct command *command, struct car_span type) {
    return car_span_eq(type, car_span_cstr(command->type));
}

/* The command of that type, a string literal in any spelling. NULL where there is none. */
static const struct command *command_of(struct car_span literal) {
    static const struct command COMMANDS[] = {{"post_event", post_event}, {"replay", replay}, {"ping", ping}};
    struct car_span plain = car_span_of(literal.ptr + 1, literal.len - 2);
    struct car_buf decoded = CAR_BUF_INIT;
    if (memchr(plain.ptr, '\\', plain.len)) {
        (void)car_json_string_decode(literal, &decoded);
        plain = car_buf_view(&decoded);
    }
    const struct command *found = NULL;
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS && !found; i++) {
        found = is(&COMMANDS[i], plain) ? &COMMANDS[i] : NULL;
    }
    car_buf_free(&decoded);
    return found;
}

void car_live_command(struct car_live *live, struct car_span text) {
    struct car_json_member m[MEMBERS] = {
        [TYPE] = {.name = "type"},
        [REF] = {.name = "ref"},
        [MESSAGE] = {.name = "message"},
        [METADATA] = {.name = "metadata"},
        [EVENT_TYPE] = {.name = "event_type"},
        [SINCE] = {.name = "since"},
        [SINCE_ID] = {.name = "sinceId"},
        [LIMIT] = {.name = "limit"},
    };
    struct car_json_value whole;
    if (car_json_pick(text, m, MEMBERS, &whole) != 0) {
        reply_error(live, car_span_of(NULL, 0), "bad_request", NULL, "the message is not valid JSON");
        return;
    }
    if (whole.kind != CAR_JSON_OBJECT || m[TYPE].value.kind != CAR_JSON_STRING) {
        reply_error(live, m[REF].value.raw, "bad_request", NULL, "a message is an object with a type");
        return;
    }
    const struct command *command = command_of(m[TYPE].value.raw);
    if (command) {
        command->run(live, m);
    } else {
        reply_error(live, m[REF].value.raw, "bad_request", NULL, "unknown type");
    }
}
