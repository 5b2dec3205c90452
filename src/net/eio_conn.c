#include "carillon/net/eio_conn.h"

#include <stdio.h>

#include "carillon/base/blob.h"
#include "carillon/base/err.h"
#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#include "eio_state.h"
#include "eio_table.h"
#include "hoard.h"

/* How long a session that closes waits for a poll to tell its peer with. */
#define LAST_POLL_MS 1000

/* A timer that goes off this much too late is as precise as ours are: the peer's time runs from when it was due. */
#define LATE_MS 30

static struct car_net_local *local_of(const struct car_eio *eio) {
    return car_net_local(eio->worker);
}

static uint64_t now_of(const struct car_eio *eio) {
    return uv_now(&eio->worker->loop);
}

void car_eio_touch(struct car_eio *eio) {
    car_task_defer(&eio->worker->tasks, &eio->turn);
}

/* Life. */

static void on_turn(struct car_task *task) {
    struct car_eio *eio = (struct car_eio *)((char *)task - offsetof(struct car_eio, turn));
    if (!eio->over && eio->polling) {
        car_eio_polling_turn(eio);
        car_eio_weigh(eio);
    }
    if (eio->over) {
        struct car_net *net = local_of(eio)->net;
        car_task_cancel(&eio->worker->tasks, &eio->turn);
        car_eio_polling_free(eio);
        eio->server->ops->ended(eio);
        atomic_fetch_sub_explicit(&net->sessions, 1, memory_order_release);
    }
}

void car_eio_end(struct car_eio *eio, enum car_eio_ending by, unsigned code, const char *why) {
    static const struct car_span LAST[] = {
        [CAR_EIO_BY_US] = CAR_SPAN_INIT("1"), [CAR_EIO_BY_PEER] = CAR_SPAN_INIT("6")};
    if (eio->over) {
        return;
    }
    eio->over = true;
    eio->ended_by_peer = by == CAR_EIO_BY_PEER;
    car_eio_table_remove(local_of(eio)->eios, eio);
    car_timer_clear(eio->worker->wheel, &eio->timer);
    if (eio->polling) {
        car_eio_polling_forget(eio);
        car_eio_polling_answer(eio, LAST[by]);
    }
    car_eio_ws_leave(&eio->ws, code, why);
    car_eio_ws_leave(&eio->probe, code, why);
    car_eio_weigh(eio);
    car_eio_touch(eio);
}

void car_eio_fail(struct car_eio *eio, unsigned code, const char *why) {
    car_eio_end(eio, CAR_EIO_BY_US, code, why);
}

void car_eio_close(struct car_eio *eio, unsigned code, const char *reason) {
    if (eio->over || eio->closing) {
        return;
    }
    if (eio->polling && eio->polling->out.len) {
        /* With the next poll: a client may throw away what stands before a close packet. */
        car_eio_polling_answer(eio, car_span_of(NULL, 0));
    }
    if (eio->ws || !eio->polling || eio->polling->poll) {
        car_eio_end(eio, CAR_EIO_BY_US, code, reason);
        return;
    }
    eio->closing = true;
    eio->last_code = (uint16_t)code;
    eio->deadline = now_of(eio) + LAST_POLL_MS;
    car_timer_set(eio->worker->wheel, &eio->timer, LAST_POLL_MS);
}

void car_eio_send_away(struct car_eio *eio, unsigned code, const char *why) {
    char reason[CAR_WS_REASON_MAX];
    snprintf(reason, sizeof reason, "%s; retry in %u ms", why, car_net_retry_ms());
    car_eio_close(eio, code, reason);
}

void car_eio_go_away(struct car_eio *eio) {
    car_eio_send_away(eio, CAR_WS_GOING_AWAY, "server going away");
}

/* Memory. */

static size_t kept_of(const struct car_eio *eio) {
    size_t own = eio->server->ops->kept ? eio->server->ops->kept(eio) : 0;
    return own + (eio->polling ? eio->polling->rest.cap : 0);
}

/* What is kept came, or was made, for the peer alone, and goes with its session. */
static void shed_kept(void *holder) {
    struct car_eio *eio = holder;
    const struct car_net_owners *owners = local_of(eio)->net->owners;
    if (eio->owner && !owners->fits(eio->worker, eio->owner, kept_of(eio))) {
        car_eio_fail(eio, CAR_WS_TOO_BIG, "a packet that is more than all the memory that the tenant may use");
    } else {
        car_eio_shed(eio);
    }
}

void car_eio_weigh(struct car_eio *eio) {
    const struct car_eio_polling *polling = eio->polling;
    struct car_keeping now = {.holder = eio, .shed = shed_kept, .owner = eio->owner};
    if (!eio->over) {
        now.input = kept_of(eio);
        now.output = polling && polling->out.len ? polling->out.cap : 0;
    }
    size_t held = now.output < CAR_HOARD_MIN ? 0 : now.output;
    if (eio->polling) {
        car_net_hold(local_of(eio), &eio->polling->held, eio->owner, held);
    }
    if (!eio->owner) {
        now.input += now.output; /* nobody's, as bodies are of which that is not known */
        now.output = 0;
    }
    car_hoard_set(local_of(eio), &eio->hoard, &now);
}

size_t car_eio_held(const struct car_eio *eio) {
    if (eio->ws) {
        return car_ws_held(&eio->ws->ws);
    }
    return eio->polling ? eio->polling->held.bytes : 0;
}

void car_eio_shed(struct car_eio *eio) {
    eio->was_shed = !eio->over;
    if (eio->ws) {
        car_ws_shed(&eio->ws->ws);
    }
    car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_TRY_LATER, "out of memory for this tenant");
}

void car_eio_settle(struct car_eio *eio, const void *owner) {
    eio->connect_by = UINT64_MAX;
    if (owner && !eio->owner) {
        eio->owner = owner;
        if (eio->ws) {
            car_ws_belong(&eio->ws->ws, owner);
        }
        if (eio->hoard) {
            car_eio_weigh(eio); /* what nobody's memory held is the owner's */
        }
    }
}

/* Sending. */

bool car_eio_may_send(struct car_eio *eio, const void *owner) {
    if (eio->over || eio->closing) {
        return false;
    }
    if (!car_net_may_write(owner, eio->owner)) {
        car_net_refuse_write(eio->worker);
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "");
        return false;
    }
    return true;
}

static bool send_packet(struct car_eio *eio, const void *owner, struct car_span packet, bool binary) {
    if (!car_eio_may_send(eio, owner)) {
        return false;
    }
    if (eio->ws) {
        return car_eio_ws_send(eio->ws, owner, packet, binary);
    }
    car_eio_polling_add(eio, packet, binary);
    return !eio->over;
}

bool car_eio_send(struct car_eio *eio, const void *owner, struct car_span packet) {
    return send_packet(eio, owner, packet, false);
}

bool car_eio_send_binary(struct car_eio *eio, const void *owner, struct car_span bytes) {
    return send_packet(eio, owner, bytes, true);
}

bool car_eio_send_ready(struct car_eio *eio, struct car_blob *packets) {
    if (eio->over || eio->closing) {
        return false;
    }
    if (eio->ws) {
        return car_ws_send_frames(&eio->ws->ws, packets);
    }
    return send_packet(eio, packets->owner, car_span_of(packets->data, packets->len), false);
}

bool car_eio_is_full(struct car_eio *eio) {
    if (eio->over) {
        return true;
    }
    bool full =
        eio->ws ? car_ws_is_full(&eio->ws->ws) : !eio->polling->poll || eio->polling->out.len > CAR_CONN_HIGH_WATER;
    eio->awaiting_room = eio->awaiting_room || full;
    return full;
}

enum car_eio_form car_eio_form(const struct car_eio *eio) {
    if (!eio->ws) {
        return CAR_EIO_PAYLOAD;
    }
    return eio->ws->ws.deflate_bits == CAR_DEFLATE_BITS_MAX ? CAR_EIO_DEFLATED : CAR_EIO_FRAMES;
}

/* Time. */

/* The timer may go off too early for what has been put off since: that spares moving it for every packet. */
static void sleep_on(struct car_eio *eio) {
    uint64_t now = now_of(eio);
    uint64_t at = eio->closing || eio->awaiting_pong ? eio->deadline : eio->ping_at;
    at = eio->connect_by < at ? eio->connect_by : at;
    car_timer_set(eio->worker->wheel, &eio->timer, at > now ? at - now : 0);
}

static void ping(struct car_eio *eio) {
    const struct car_eio_server *server = eio->server;
    if (eio->ws && car_ws_is_blocked(&eio->ws->ws)) {
        if (car_ws_is_stuck(&eio->ws->ws)) {
            car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_TRY_LATER, "ping timeout");
            return;
        }
        /* It reads, so it is alive; a ping would only queue up behind what it reads. */
        eio->ping_at = now_of(eio) + server->ping_interval_ms + server->ping_timeout_ms;
        return;
    }
    uint64_t late = now_of(eio) - eio->ping_at;
    eio->awaiting_pong = true;
    eio->ping_unread = !eio->ws;
    eio->deadline = now_of(eio) - (late < LATE_MS ? late : 0) + server->ping_timeout_ms;
    (void)send_packet(eio, NULL, CAR_SPAN("2"), false);
}

bool car_eio_is_late(struct car_eio *eio) {
    uint64_t now = now_of(eio);
    if (now >= eio->connect_by) {
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_POLICY, "no namespace was connected in time");
    } else if (!eio->closing && !eio->awaiting_pong && now >= eio->ping_at) {
        ping(eio);
    }
    if (eio->over || !(eio->closing || eio->awaiting_pong) || now < eio->deadline) {
        return eio->over;
    }
    if (!eio->closing && eio->ws && car_ws_is_blocked(&eio->ws->ws) && !car_ws_is_stuck(&eio->ws->ws)) {
        eio->deadline = now + eio->server->ping_interval_ms + eio->server->ping_timeout_ms;
        return false;
    }
    car_eio_end(eio, CAR_EIO_BY_US, eio->closing ? eio->last_code : CAR_WS_NO_STATUS, "");
    return true;
}

static void on_timer(struct car_timer *timer) {
    struct car_eio *eio = (struct car_eio *)((char *)timer - offsetof(struct car_eio, timer));
    if (!car_eio_is_late(eio)) {
        sleep_on(eio);
    }
}

/* Beginning. */

int car_eio_begin(struct car_eio *eio, const struct car_eio_server *server, struct car_worker *worker) {
    struct car_net_local *local = car_net_local(worker);
    eio->server = server;
    eio->worker = worker;
    eio->timer.fire = on_timer;
    eio->turn.run = on_turn;
    if (car_eio_table_add(local->eios, eio) != 0) {
        return CAR_ENOMEM;
    }
    atomic_fetch_add_explicit(&local->net->sessions, 1, memory_order_relaxed);
    eio->ping_at = now_of(eio) + server->ping_interval_ms;
    eio->connect_by = server->connect_timeout_ms ? now_of(eio) + server->connect_timeout_ms : UINT64_MAX;
    sleep_on(eio);
    return 0;
}

void car_eio_write_open(const struct car_eio *eio, struct car_buf *out) {
    char sid[CAR_EIO_SID_LEN];
    car_eio_sid(eio, sid);
    car_engineio_write_open(out, &(struct car_engineio_handshake){
                                     .sid = car_span_of(sid, sizeof sid),
                                     .upgrades = !eio->ws,
                                     .ping_interval_ms = eio->server->ping_interval_ms,
                                     .ping_timeout_ms = eio->server->ping_timeout_ms,
                                     .max_payload = eio->server->max_payload,
                                 });
}

/* All of a worker's. */

bool car_eio_leave(struct car_eio *eio) {
    bool stays = !eio->over && !eio->closing && !eio->leaving;
    if (stays) {
        eio->leaving = true;
        eio->server->ops->leave(eio);
    }
    return stays;
}

static void abandon(struct car_eio *eio) {
    car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_GOING_AWAY, "");
}

size_t car_eio_leave_some(struct car_worker *worker, size_t most) {
    return car_eio_table_some(car_net_local(worker)->eios, most, car_eio_leave);
}

void car_eio_end_all(struct car_worker *worker) {
    car_eio_table_each(car_net_local(worker)->eios, abandon);
}

/* Receiving. */

/* Only this says that the peer hears us: what else it sends, it may send without ever reading. */
static void take_pong(struct car_eio *eio) {
    if (!eio->closing && eio->awaiting_pong && !eio->ping_unread) {
        eio->awaiting_pong = false;
        eio->ping_at = now_of(eio) + eio->server->ping_interval_ms;
        if (eio->server->ping_interval_ms < eio->server->ping_timeout_ms) {
            sleep_on(eio); /* the timer is set for the end of the wait, which is later */
        }
    }
}

void car_eio_take(struct car_eio *eio, const struct car_engineio_packet *packet) {
    switch (packet->type) {
    case CAR_ENGINEIO_PONG:
        take_pong(eio);
        break;
    case CAR_ENGINEIO_MESSAGE:
        if (!eio->closing) {
            eio->server->ops->message(eio, packet->binary, packet->data);
        }
        break;
    case CAR_ENGINEIO_CLOSE:
        car_eio_end(eio, CAR_EIO_BY_PEER, CAR_WS_NORMAL, "");
        break;
    case CAR_ENGINEIO_PING: /* pinging is the server's part */
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a ping from the client");
        break;
    default: /* what means nothing here */
        break;
    }
}
