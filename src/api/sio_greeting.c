#include "sio_greeting.h"

#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/scan.h"
#include "carillon/proto/ws.h"

#include "event_array.h"
#include "join.h"
#include "sio.h"

static void send_connect(const struct car_sio_socket *socket, const char sid[CAR_SIO_SID_LEN],
                         const struct car_sio_pid *pid) {
    struct car_sio *sio = socket->sio;
    struct car_buf *out = car_sio_begin(sio, CAR_SOCKETIO_CONNECT, car_sio_name(sio, socket->nsp), NULL);
    car_buf_printf(out, "{\"sid\":\"%.*s\",\"pid\":\"%.*s\"}", CAR_SIO_SID_LEN, sid, CAR_SIO_PID_LEN, pid->text);
    car_sio_send(sio, out);
}

static struct car_buf *begin_event(struct car_sio *sio, enum car_sio_nsp nsp, const char *name) {
    struct car_buf *out = car_sio_begin(sio, CAR_SOCKETIO_EVENT, car_sio_name(sio, nsp), NULL);
    car_buf_printf(out, "[\"%s\",", name);
    return out;
}

static void send_established(const struct car_sio_socket *socket, const char sid[CAR_SIO_SID_LEN], uint64_t newest) {
    struct car_sio *sio = socket->sio;
    struct car_buf *out = begin_event(sio, socket->nsp, "connection_established");
    car_buf_char(out, '{');
    car_join_established(out, sio->api, sio->tenant, car_span_of(sid, CAR_SIO_SID_LEN), newest);
    CAR_BUF_LIT(out, "}]");
    car_sio_send(sio, out);
}

void car_sio_greet(const struct car_sio_socket *socket, const struct car_sio_pid *pid, uint64_t newest) {
    char sid[CAR_SIO_SID_LEN];
    car_sio_pid_sid(pid, sid);
    send_connect(socket, sid, pid);
    if (socket->nsp == CAR_SIO_ROOT) {
        send_established(socket, sid, newest);
    }
}

/* The events with which a socket begins, while they are being read. */
struct car_sio_greeting {
    struct car_scan scan; /* first */
    struct car_sio *sio;
    struct car_sio_socket *socket; /* NULL once it has gone */
    struct car_sio_start start;
};

/* The array, with the offset to recover from, as every event has. The session goes on behind it. */
static void send_array(struct car_sio_greeting *greeting) {
    struct car_sio_socket *socket = greeting->socket;
    const struct car_sio_start *start = &greeting->start;
    const struct car_scan *scan = &greeting->scan;
    struct car_cursor cursor = {.seq = start->newest};
    if (start->since) {
        uint64_t first = scan->count ? scan->events[0]->seq : start->newest + 1;
        if (start->foreign || first > start->after + 1) {
            car_sio_session_ops.gap(&socket->session, start->after + 1, first - 1);
        }
        cursor.seq = scan->count ? scan->events[scan->count - 1]->seq : start->newest;
    }
    struct car_buf *out =
        begin_event(greeting->sio, socket->nsp, socket->nsp == CAR_SIO_ROOT ? "initial_events" : "snapshot");
    car_event_array_ascending(out, scan);
    car_buf_printf(out, ",\"%llu\"]", (unsigned long long)cursor.seq);
    car_sio_send(greeting->sio, out);
    car_session_start(&socket->session, &cursor);
}

static void on_array(struct car_scan *scan) {
    struct car_sio_greeting *greeting = (struct car_sio_greeting *)scan; /* its first member */
    struct car_sio *sio = greeting->sio;
    struct car_sio_socket *socket = greeting->socket;
    sio->pending--;
    if (socket) {
        socket->greeting = NULL;
    }
    if (sio->ended) {
        car_sio_release(sio);
    } else if (socket && scan->status) {
        bool full = scan->status == CAR_ENOMEM;
        (full ? car_eio_send_away : car_eio_close)(&sio->eio, full ? CAR_WS_TRY_LATER : CAR_WS_INTERNAL,
                                                   car_event_array_why(scan));
    } else if (socket) {
        send_array(greeting);
    }
    car_scan_free(scan);
    free(greeting);
}

void car_sio_drop_greeting(struct car_sio_socket *socket) {
    if (socket->greeting) {
        socket->greeting->socket = NULL;
        socket->greeting = NULL;
    }
}

void car_sio_start_with_array(struct car_sio_socket *socket, const struct car_sio_start *start) {
    struct car_sio *sio = socket->sio;
    struct car_sio_greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting) {
        car_eio_close(&sio->eio, CAR_WS_INTERNAL, "out of memory");
        return;
    }
    car_join_scan(&greeting->scan, sio->tenant, sio->eio.worker, start->latest, start->newest);
    if (start->since) {
        greeting->scan.first = start->after + 1;
        greeting->scan.descending = false;
    }
    greeting->scan.done = on_array;
    greeting->sio = sio;
    greeting->socket = socket;
    greeting->start = *start;
    socket->greeting = greeting;
    sio->pending++;
    car_scan_start(&greeting->scan);
}
