#include "carillon/api/api.h"
#include "carillon/base/block.h"
#include "carillon/feed/event.h"
#include "carillon/guard/lease.h"
#include "carillon/net/net.h"

#include "audit.h"
#include "command.h"
#include "refresh.h"
#include "sio.h"

/* A command, and how its author wants to hear of it. */
struct asking {
    struct car_sio *sio;
    enum car_sio_nsp nsp;
    bool has_id;
    uint64_t id; /* of the acknowledgement that the client waits for */
};

/* Begins an answer: the acknowledgement, or, where none was asked for, an event of that name. */
static struct car_buf *begin(const struct asking *asking, const char *event) {
    struct car_span nsp = car_sio_name(asking->sio, asking->nsp);
    struct car_buf *out = car_sio_begin(asking->sio, asking->has_id ? CAR_SOCKETIO_ACK : CAR_SOCKETIO_EVENT, nsp,
                                        asking->has_id ? &asking->id : NULL);
    car_buf_char(out, '[');
    if (!asking->has_id) {
        car_buf_printf(out, "\"%s\",", event);
    }
    return out;
}

static void answer_refusal(const struct asking *asking, const struct car_refusal *refusal) {
    struct car_buf *out = begin(asking, "error");
    if (asking->has_id) {
        CAR_BUF_LIT(out, "{\"error\":");
    }
    car_buf_printf(out, "{\"code\":\"%s\",\"message\":", refusal->code);
    car_json_write_string(out, car_span_cstr(refusal->message));
    car_buf_span(out, asking->has_id ? CAR_SPAN("}}]") : CAR_SPAN("}]"));
    car_sio_send(asking->sio, out);
}

static void answer_bad(const struct asking *asking, const char *code, const char *message) {
    struct car_refusal refusal;
    (void)car_refuse(&refusal, code, NULL, message);
    answer_refusal(asking, &refusal);
}

/* post_event */

/* A command that waits for its event to be in the log. */
struct waiting {
    struct car_post post;
    struct asking asking;
};

static void on_answer(struct car_post *post, const struct car_event *event) {
    struct waiting *w = (struct waiting *)post; /* its first member */
    const struct asking *asking = &w->asking;
    struct car_sio *sio = asking->sio;
    sio->pending--;
    if (sio->ended) {
        car_sio_release(sio);
    } else if (!sio->sockets[asking->nsp]) {
        /* it has left the namespace */
    } else if (!event) {
        struct car_refusal refusal;
        car_post_refusal(post, &refusal);
        answer_refusal(asking, &refusal);
    } else if (asking->has_id) {
        struct car_buf *out = begin(asking, "");
        CAR_BUF_LIT(out, "{\"event\":");
        car_buf_span(out, car_event_json(event));
        CAR_BUF_LIT(out, "}]");
        car_sio_send(sio, out);
    }
    car_block_free(w, sizeof *w);
}

static void post_event(const struct asking *asking, const struct car_subscriber *subscriber,
                       const struct car_command *command) {
    struct car_refusal refusal;
    struct waiting *w = car_block_new(sizeof *w);
    if (!w) {
        answer_bad(asking, "unavailable", "out of memory");
        return;
    }
    w->post.answer = on_answer;
    w->asking = *asking;
    asking->sio->pending++;
    if (car_command_post(subscriber, command, &w->post, &refusal) != 0) {
        asking->sio->pending--;
        car_block_free(w, sizeof *w);
        car_audit_refusal(subscriber, "publish", &refusal);
        answer_refusal(asking, &refusal);
    }
}

/* replay */

struct reading {
    struct car_replay replay; /* first */
    struct asking asking;
};

static void on_replay(struct car_replay *replay) {
    struct reading *r = (struct reading *)replay; /* its first member */
    const struct asking *asking = &r->asking;
    struct car_sio *sio = asking->sio;
    sio->pending--;
    sio->replays--;
    if (sio->ended) {
        car_sio_release(sio);
    } else if (sio->sockets[asking->nsp]) {
        struct car_refusal refusal;
        struct car_buf *out = begin(asking, "replay_result");
        car_buf_char(out, '{');
        if (car_replay_write(replay, out, &refusal) == 0) {
            CAR_BUF_LIT(out, "}]");
            car_sio_send(sio, out);
        } else {
            answer_refusal(asking, &refusal);
        }
    } /* else it has left the namespace */
    car_scan_free(&replay->scan);
    car_block_free(r, sizeof *r);
}

static void replay(const struct asking *asking, const struct car_subscriber *subscriber,
                   const struct car_command *command) {
    struct car_refusal refusal;
    struct car_sio *sio = asking->sio;
    if (sio->replays == CAR_REPLAYS_MAX) {
        (void)car_refuse(&refusal, "rate_limited", NULL, "too many replays at a time");
        car_audit_refusal(subscriber, "replay", &refusal);
        answer_refusal(asking, &refusal);
        return;
    }
    struct reading *r = car_block_new(sizeof *r);
    if (!r) {
        answer_bad(asking, "unavailable", "out of memory");
        return;
    }
    *r = (struct reading){.replay.answer = on_replay, .asking = *asking};
    sio->pending++;
    sio->replays++;
    if (car_command_replay(subscriber, command, &r->replay, &refusal) != 0) {
        sio->pending--;
        sio->replays--;
        car_block_free(r, sizeof *r);
        answer_refusal(asking, &refusal);
    }
}

/* The name of an event, as it is written between quotes; escapes in it, and it is none of ours. */
static bool is(const struct car_json_value *name, const char *wanted) {
    return name->kind == CAR_JSON_STRING &&
           car_span_eq(car_span_of(name->raw.ptr + 1, name->raw.len - 2), car_span_cstr(wanted));
}

/* The first argument: an object, or nothing at all. false where it is something else. */
static bool read_argument(const struct car_socketio_packet *packet, struct car_command *command) {
    struct car_span rest = packet->data.raw;
    struct car_json_value argument;
    *command = (struct car_command){.type_name = "type"};
    (void)car_json_next(&rest, &argument); /* the name */
    if (!car_json_next(&rest, &argument) || argument.kind == CAR_JSON_NULL) {
        return true;
    }
    bool good = argument.kind == CAR_JSON_OBJECT && car_command_read(argument.raw, command, NULL) == 0;
    car_command_type_is_event_type(command);
    return good;
}

struct car_subscriber car_sio_subscriber(const struct car_sio_socket *socket) {
    return (struct car_subscriber){
        .api = socket->sio->api,
        .tenant = socket->sio->tenant,
        .worker = socket->sio->eio.worker,
        .name = car_lease_name(socket->lease),
        .scopes = socket->scopes,
        .ended = car_lease_has_ended(socket->lease),
        .certified = socket->sio->certified,
        .grant = socket->lease ? socket->lease->grant : NULL,
        .client = &socket->sio->client,
        .request_id = socket->sio->request_id,
    };
}

/* refresh */

static void refresh(const struct asking *asking, struct car_sio_socket *socket, const struct car_json_value *token) {
    const struct car_subscriber subscriber = car_sio_subscriber(socket);
    struct car_refreshed refreshed;
    struct car_refusal refusal;
    if (car_refresh(&subscriber, socket->lease, token, &refreshed, &refusal) != 0) {
        answer_refusal(asking, &refusal);
        return;
    }
    socket->scopes = refreshed.scopes;
    struct car_buf *out = begin(asking, "refreshed");
    car_buf_printf(out, "{\"expires_at\":\"%.*s\"}]", CAR_RFC3339_LEN, refreshed.at);
    car_sio_send(asking->sio, out);
}

void car_sio_command(struct car_sio_socket *socket, const struct car_socketio_packet *packet) {
    struct car_command command;
    struct car_sio *sio = socket->sio;
    const struct asking asking = {.sio = sio, .nsp = socket->nsp, .has_id = packet->has_id, .id = packet->id};
    const struct car_subscriber subscriber = car_sio_subscriber(socket);
    struct car_json_value name;
    struct car_span args;
    car_socketio_event(packet, &name, &args);
    bool posts = is(&name, "post_event");
    bool refreshes = is(&name, "refresh");
    if (packet->mended) {
        answer_bad(&asking, "bad_request", CAR_SIO_MENDED);
    } else if (!posts && !refreshes && !is(&name, "replay")) {
        answer_bad(&asking, "bad_request", "unknown event");
    } else if (packet->attachments) {
        answer_bad(&asking, "validation_error", "binary is not taken");
    } else if (!read_argument(packet, &command)) {
        answer_bad(&asking, "bad_request", "the argument must be an object");
    } else if (refreshes) {
        refresh(&asking, socket, &command.token);
    } else {
        (posts ? post_event : replay)(&asking, &subscriber, &command);
    }
}
