#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/admission.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"
#include "feed_fixture.h"

/*
 * Whole Socket.IO sessions over sockets, of two tenants, on two workers whose loops are turned by hand. The input is a
 * list of steps: what is done, with which session or connection, and with which bytes. Whatever happens, what is
 * published for one tenant never comes out where the other one's session is, and in the end nothing is left.
 */

enum { PEERS = 12, SESSIONS = 6, STEPS = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    int fd;           /* 0: none */
    char tenant;      /* whose it is: 'a', 'b', or 0 as yet */
    unsigned session; /* a handshake's, whose id is in the answer */
};

struct play {
    struct feed_fixture feed;
    struct car_net net;
    struct car_admission admission;
    struct car_api api;
    struct peer peers[PEERS];
    struct {
        char sid[CAR_EIO_SID_LEN + 1];
        char tenant;
    } sessions[SESSIONS];
    const uint8_t *data;
    size_t size;
};

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static unsigned take(struct play *play, unsigned below) {
    if (play->size == 0) {
        return 0;
    }
    play->size--;
    return *play->data++ % below;
}

/* Bytes up to a 0xff, or the end. */
static struct car_span take_bytes(struct play *play) {
    const char *start = (const char *)play->data;
    const uint8_t *end = play->size ? memchr(play->data, 0xff, play->size) : NULL;
    size_t len = end ? (size_t)(end - play->data) : play->size;
    size_t used = end ? len + 1 : len;
    play->data += used;
    play->size -= used;
    return car_span_of(start, len);
}

static void hang_up(struct peer *peer) {
    if (peer->fd) {
        close(peer->fd);
    }
    *peer = (struct peer){0};
}

/* What came: nothing of the other tenant; and the id of a session that has just been opened. */
static void listen_to(struct play *play, struct peer *peer) {
    static char text[1 << 20];
    ssize_t n = peer->fd ? recv(peer->fd, text, sizeof text - 1, MSG_DONTWAIT) : -1;
    if (n <= 0) {
        return;
    }
    text[n] = '\0';
    require(peer->tenant != 'a' || !memmem(text, (size_t)n, "secret of b", 11));
    require(peer->tenant != 'b' || !memmem(text, (size_t)n, "secret of a", 11));
    const char *sid = memmem(text, (size_t)n, "0{\"sid\":\"", 9);
    if (sid && peer->session < SESSIONS) {
        memcpy(play->sessions[peer->session].sid, sid + 9, CAR_EIO_SID_LEN);
    }
}

static void turn(struct play *play) {
    for (int i = 0; i < 6; i++) {
        feed_turn(&play->feed, (unsigned)i % 2);
    }
    for (size_t i = 0; i < PEERS; i++) {
        listen_to(play, &play->peers[i]);
    }
}

/* A new connection to one of the workers, with its first bytes. */
static void connect_with(struct play *play, struct car_buf *text, unsigned session) {
    struct peer *peer = &play->peers[take(play, PEERS)];
    struct car_worker *worker = play->feed.workers[take(play, 2)];
    int ends[2];
    hang_up(peer);
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    *peer = (struct peer){.fd = ends[1], .tenant = play->sessions[session].tenant, .session = SESSIONS};
    if (!play->sessions[session].sid[0]) {
        peer->session = session;
    }
    (void)send(peer->fd, text->data, text->len, MSG_NOSIGNAL);
    atomic_fetch_add(&worker->connections, 1);
    car_http_conn_open(worker, ends[0], false);
    car_buf_free(text);
}

static void request(struct play *play, const char *method, const char *transport, bool upgrade) {
    struct car_buf text = CAR_BUF_INIT;
    unsigned session = take(play, SESSIONS);
    struct car_span body = CAR_SPAN("");
    bool opens = !play->sessions[session].sid[0];
    if (opens) {
        play->sessions[session].tenant = take(play, 2) ? 'a' : 'b';
    }
    if (strcmp(method, "POST") == 0) {
        body = take_bytes(play);
    }
    car_buf_printf(&text, "%s /socket.io/?EIO=4&transport=%s&tenant=%c", method, transport,
                   play->sessions[session].tenant);
    if (!opens) {
        car_buf_printf(&text, "&sid=%s", play->sessions[session].sid);
    }
    CAR_BUF_LIT(&text, " HTTP/1.1\r\nHost: x\r\n");
    if (upgrade) {
        CAR_BUF_LIT(&text, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    }
    car_buf_printf(&text, "Content-Length: %zu\r\n\r\n", body.len);
    car_buf_span(&text, body);
    connect_with(play, &text, session);
}

/* A masked frame, with a mask of zeros. */
static void send_frame(struct play *play) {
    const struct peer *peer = &play->peers[take(play, PEERS)];
    uint8_t first = take(play, 4) ? 0x81 : 0x82;
    struct car_span payload = take_bytes(play);
    struct car_buf frame = CAR_BUF_INIT;
    size_t len = payload.len < 65535 ? payload.len : 65535;
    const uint8_t head[8] = {first, 0xfe, (uint8_t)(len >> 8), (uint8_t)len};
    const uint8_t short_head[6] = {first, (uint8_t)(0x80 | len)};
    if (len < 126) {
        car_buf_put(&frame, short_head, sizeof short_head);
    } else {
        car_buf_put(&frame, head, sizeof head);
    }
    car_buf_put(&frame, payload.ptr, len);
    if (peer->fd) {
        (void)send(peer->fd, frame.data, frame.len, MSG_NOSIGNAL);
    }
    car_buf_free(&frame);
}

static void publish(struct play *play, const char *tenant) {
    struct car_buf text = CAR_BUF_INIT;
    car_buf_printf(&text,
                   "POST /events HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: 25\r\n\r\n{\"message\":\"secret of %s\"}",
                   tenant, tenant);
    unsigned spare = SESSIONS - 1; /* its own answer is the tenant's as well */
    char was = play->sessions[spare].tenant;
    play->sessions[spare].tenant = tenant[0];
    connect_with(play, &text, spare);
    play->sessions[spare].tenant = was;
}

static void step(struct play *play) {
    switch (take(play, 9)) {
    case 0:
    case 1:
        request(play, "GET", "polling", false);
        break;
    case 2:
    case 3:
        request(play, "POST", "polling", false);
        break;
    case 4:
        request(play, "GET", "websocket", true);
        break;
    case 5:
    case 6:
        send_frame(play);
        break;
    case 7:
        publish(play, take(play, 2) ? "a" : "b");
        break;
    default:
        hang_up(&play->peers[take(play, PEERS)]);
        break;
    }
    turn(play);
}

static void open_play(struct play *play, const struct car_config *config) {
    feed_open(&play->feed, 2, 20);
    (void)feed_tenant(&play->feed, "a");
    (void)feed_tenant(&play->feed, "b");
    play->net = (struct car_net){.app = &car_api_app,
                                 .app_data = &play->api,
                                 .max_body = 8192,
                                 .request_timeout_ms = 60000,
                                 .idle_timeout_ms = 60000,
                                 .ping_interval_ms = 60000,
                                 .ping_timeout_ms = 60000,
                                 .workers = play->feed.workers,
                                 .worker_count = 2};
    play->api = (struct car_api){.config = config,
                                 .feed = &play->feed.feed,
                                 .net = &play->net,
                                 .auth.registry = play->feed.feed.registry,
                                 .admission = &play->admission};
    car_sio_set_up(&play->api);
    play->api.rooms = car_rooms_new(0, 0);
    require(play->api.rooms != NULL);
    for (unsigned i = 0; i < 2; i++) {
        require(car_lease_attach(play->feed.workers[i]) == 0);
        require(car_net_attach(&play->net, play->feed.workers[i]) == 0);
        require(car_api_attach(play->feed.workers[i]) == 0);
    }
}

static void close_play(struct play *play) {
    for (size_t i = 0; i < PEERS; i++) {
        hang_up(&play->peers[i]);
    }
    for (int round = 0; round < 20 && car_net_left(&play->net); round++) {
        car_net_abort(play->feed.workers[0]);
        car_net_abort(play->feed.workers[1]);
        turn(play);
    }
    require(car_net_left(&play->net) == 0);
    for (unsigned i = 0; i < 2; i++) {
        require(atomic_load(&car_net_local(play->feed.workers[i])->refused_writes) == 0);
        car_api_detach(play->feed.workers[i]);
        car_net_detach(play->feed.workers[i]);
        car_lease_detach(play->feed.workers[i]);
    }
    car_rooms_free(&play->api.rooms);
    feed_close(&play->feed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char nsp[] = "/events";
    static const struct car_config config = {.buffer_size = 20,
                                             .max_message_chars = 100,
                                             .max_body_bytes = 8192,
                                             .ping_interval_ms = 60000,
                                             .ping_timeout_ms = 60000,
                                             .sio_namespace = nsp,
                                             .sio_connect_timeout_ms = 60000};
    static struct play play;
    play = (struct play){.data = data, .size = size};
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_ERROR);
    open_play(&play, &config);
    for (unsigned n = 0; n < STEPS && play.size; n++) {
        step(&play);
    }
    close_play(&play);
    return 0;
}
