#include "carillon/api/api.h"
#include "carillon/base/block.h"
#include "carillon/base/buf.h"
#include "carillon/feed/event.h"
#include "carillon/guard/lease.h"
#include "carillon/net/net.h"
#include "carillon/proto/json.h"

#include "audit.h"
#include "command.h"
#include "live.h"
#include "refresh.h"

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

static void reply_refusal(struct car_live *live, struct car_span ref, const struct car_refusal *refusal) {
    struct car_buf *out = begin(live, "error", ref);
    car_buf_printf(out, ",\"code\":\"%s\",\"message\":", refusal->code);
    car_json_write_string(out, car_span_cstr(refusal->message));
    reply(live, out);
}

static void reply_bad(struct car_live *live, struct car_span ref, const char *message) {
    struct car_refusal refusal;
    (void)car_refuse(&refusal, "bad_request", NULL, message);
    reply_refusal(live, ref, &refusal);
}

struct car_subscriber car_live_subscriber(const struct car_live *live) {
    return (struct car_subscriber){
        .api = live->api,
        .tenant = live->tenant,
        .worker = live->worker,
        .name = car_lease_name(live->lease),
        .scopes = live->scopes,
        .ended = car_lease_has_ended(live->lease),
        .certified = live->certified,
        .grant = live->lease ? live->lease->grant : NULL,
        .client = &live->client,
        .request_id = live->request_id,
    };
}

/* A command that waits for its event to be in the log. Its ref stands behind it, as text. */
struct waiting {
    struct car_post post;
    struct car_live *live;
    size_t ref_len;
    char ref[];
};

static void waiting_free(struct waiting *w) {
    if (w) {
        car_block_free(w, sizeof *w + w->ref_len);
    }
}

static void on_answer(struct car_post *post, const struct car_event *event) {
    struct waiting *w = (struct waiting *)post; /* its first member */
    struct car_live *live = w->live;
    struct car_span ref = car_span_of(w->ref_len ? w->ref : NULL, w->ref_len);
    live->pending--;
    if (live->ended) {
        car_live_release(live);
    } else if (event) {
        struct car_buf *out = begin(live, "ack", ref);
        CAR_BUF_LIT(out, ",\"event\":");
        car_buf_span(out, car_event_json(event));
        reply(live, out);
    } else {
        struct car_refusal refusal;
        car_post_refusal(post, &refusal);
        reply_refusal(live, ref, &refusal);
    }
    waiting_free(w);
}

static void post_event(struct car_live *live, const struct car_command *command) {
    struct car_subscriber subscriber = car_live_subscriber(live);
    struct car_refusal refusal;
    struct car_span ref = command->ref.raw;
    struct waiting *w = car_block_new(sizeof *w + ref.len);
    if (!w) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, "out of memory");
        return;
    }
    w->post.answer = on_answer;
    w->live = live;
    w->ref_len = ref.len;
    if (ref.len) {
        memcpy(w->ref, ref.ptr, ref.len);
    }
    live->pending++;
    if (car_command_post(&subscriber, command, &w->post, &refusal) != 0) {
        live->pending--;
        waiting_free(w);
        car_audit_refusal(&subscriber, "publish", &refusal);
        reply_refusal(live, ref, &refusal);
    }
}

/* A replay that is being read. Its ref stands behind it, as text. */
struct reading {
    struct car_replay replay; /* first */
    struct car_live *live;
    size_t ref_len;
    char ref[];
};

static void reading_free(struct reading *r) {
    car_scan_free(&r->replay.scan);
    car_block_free(r, sizeof *r + r->ref_len);
}

static void on_replay(struct car_replay *replay) {
    struct reading *r = (struct reading *)replay; /* its first member */
    struct car_live *live = r->live;
    struct car_span ref = car_span_of(r->ref_len ? r->ref : NULL, r->ref_len);
    live->pending--;
    live->replays--;
    if (live->ended) {
        car_live_release(live);
    } else {
        struct car_refusal refusal;
        struct car_buf *out = begin(live, "replay_result", ref);
        car_buf_char(out, ',');
        if (car_replay_write(replay, out, &refusal) == 0) {
            reply(live, out);
        } else {
            reply_refusal(live, ref, &refusal);
        }
    }
    reading_free(r);
}

static void replay(struct car_live *live, const struct car_command *command) {
    struct car_subscriber subscriber = car_live_subscriber(live);
    struct car_refusal refusal;
    struct car_span ref = command->ref.raw;
    if (live->replays == CAR_REPLAYS_MAX) {
        (void)car_refuse(&refusal, "rate_limited", NULL, "too many replays at a time");
        car_audit_refusal(&subscriber, "replay", &refusal);
        reply_refusal(live, ref, &refusal);
        return;
    }
    struct reading *r = car_block_new(sizeof *r + ref.len);
    if (!r) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, "out of memory");
        return;
    }
    *r = (struct reading){.replay.answer = on_replay, .live = live, .ref_len = ref.len};
    if (ref.len) {
        memcpy(r->ref, ref.ptr, ref.len);
    }
    live->pending++;
    live->replays++;
    if (car_command_replay(&subscriber, command, &r->replay, &refusal) != 0) {
        live->pending--;
        live->replays--;
        reply_refusal(live, ref, &refusal);
        reading_free(r);
    }
}

static void ping(struct car_live *live, const struct car_command *command) {
    reply(live, begin(live, "pong", command->ref.raw));
}

static void refresh(struct car_live *live, const struct car_command *command) {
    struct car_subscriber subscriber = car_live_subscriber(live);
    struct car_refreshed refreshed;
    struct car_refusal refusal;
    if (car_refresh(&subscriber, live->lease, &command->token, &refreshed, &refusal) != 0) {
        reply_refusal(live, command->ref.raw, &refusal);
        return;
    }
    live->scopes = refreshed.scopes;
    struct car_buf *out = begin(live, "refreshed", command->ref.raw);
    car_buf_printf(out, ",\"expires_at\":\"%.*s\"", CAR_RFC3339_LEN, refreshed.at);
    reply(live, out);
}

struct kind {
    const char *type;
    void (*run)(struct car_live *live, const struct car_command *command);
};

static bool is(const struct kind *kind, struct car_span type) {
    return car_span_eq(type, car_span_cstr(kind->type));
}

/* The command of that type, a string literal in any spelling. NULL where there is none. */
static const struct kind *kind_of(struct car_span literal) {
    static const struct kind KINDS[] = {
        {"post_event", post_event}, {"replay", replay}, {"ping", ping}, {"refresh", refresh}};
    struct car_span plain = car_span_of(literal.ptr + 1, literal.len - 2);
    struct car_buf decoded = CAR_BUF_INIT;
    if (memchr(plain.ptr, '\\', plain.len)) {
        (void)car_json_string_decode(literal, &decoded);
        plain = car_buf_view(&decoded);
    }
    const struct kind *found = NULL;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS && !found; i++) {
        found = is(&KINDS[i], plain) ? &KINDS[i] : NULL;
    }
    car_buf_free(&decoded);
    return found;
}

void car_live_command(struct car_live *live, struct car_span text) {
    struct car_command command;
    struct car_json_value whole;
    if (car_command_read(text, &command, &whole) != 0) {
        reply_bad(live, car_span_of(NULL, 0), "the message is not valid JSON");
        return;
    }
    if (whole.kind != CAR_JSON_OBJECT || command.type.kind != CAR_JSON_STRING) {
        reply_bad(live, command.ref.raw, "a message is an object with a type");
        return;
    }
    const struct kind *kind = kind_of(command.type.raw);
    if (kind) {
        kind->run(live, &command);
    } else {
        reply_bad(live, command.ref.raw, "unknown type");
    }
}
