#ifndef CARILLON_API_SIO_H
#define CARILLON_API_SIO_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/feed/session.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/eio_conn.h"
#include "carillon/proto/socketio.h"

#include "sio_pid.h"

struct car_api;
struct car_grant;
struct car_lease;
struct car_sio;
struct car_sio_greeting;
struct car_subscriber;

/* The two namespaces. */
enum car_sio_nsp {
    CAR_SIO_ROOT,  /* "/" */
    CAR_SIO_NAMED, /* --sio-namespace */
    CAR_SIO_NSPS,
};

/* A namespace that a client has connected to: a subscriber of its tenant. */
struct car_sio_socket {
    struct car_session session; /* first */
    struct car_sio *sio;
    enum car_sio_nsp nsp;
    bool recovered;                    /* it was promised all that it missed */
    uint8_t scopes;                    /* CAR_SCOPE_… */
    struct car_lease *lease;           /* NULL where a name was enough */
    struct car_sio_greeting *greeting; /* the events with which it begins, while they are being read */
};

/* A client over Socket.IO. Belongs to its worker; lives until its Engine.IO session has ended and nothing that it
 * published or asked for is still on its way. All that goes over it is one tenant's. */
struct car_sio {
    struct car_eio eio; /* first */
    struct car_socketio_decoder decoder;
    const struct car_api *api;
    struct car_tenant *tenant; /* NULL until the first namespace is connected */
    struct car_sio_socket *sockets[CAR_SIO_NSPS];
    struct car_tenant *asked;      /* whose the handshake says it is; NULL where `asked_status` says why not */
    struct car_grant *asked_grant; /* that goes with it */
    struct car_address client;     /* of the handshake */
    struct car_lease *asked_lease; /* on that, until the first namespace is connected; NULL where it says nobody */
    struct car_room room;  /* the session's; its tenant's part from the handshake on, where that is good for one,
                              else from the first namespace on */
    char *asked_name;      /* the tenant that a handshake names which shows no good credential for it */
    const char *asked_why; /* static */
    uint16_t asked_status; /* 0: `asked` is good */
    bool asked_named : 1;  /* the handshake names a tenant */
    bool leaving : 1;      /* the server goes away, and something is owed first */
    bool ended : 1;
    bool certified : 1; /* each of its connections has shown a client's certificate */
    unsigned pending;   /* what holds it: commands whose event is not in the log yet, and all that is being read */
    unsigned replays;   /* of them, replays */
    char request_id[];  /* of the handshake, for the audit log; NUL-terminated */
};

/* What is wrong with a packet that was mended, for its author. */
#define CAR_SIO_MENDED "a string holds half of a surrogate pair"

/* The name of a namespace. Borrowed for the process's life. */
struct car_span car_sio_name(const struct car_sio *sio, enum car_sio_nsp nsp);

/* Begins a packet in the worker's scratch buffer: what stands before its JSON. */
struct car_buf *car_sio_begin(struct car_sio *sio, enum car_socketio_type type, struct car_span nsp,
                              const uint64_t *id);

/* Sends a packet that car_sio_begin began; where memory ran out the client is dropped. */
void car_sio_send(struct car_sio *sio, struct car_buf *packet);

/* A client asks for a namespace. */
void car_sio_connect(struct car_sio *sio, const struct car_socketio_packet *packet);

/* On whose behalf a client asks over a socket. Lives as long as its lease, or until that is renewed. */
struct car_subscriber car_sio_subscriber(const struct car_sio_socket *socket);

/* An event from a client, for a namespace that it has connected to. */
void car_sio_command(struct car_sio_socket *socket, const struct car_socketio_packet *packet);

/* What sockets are to the feed. */
extern const struct car_session_ops car_sio_session_ops;

/* What a client is to its Engine.IO session. */
extern const struct car_eio_ops car_sio_eio_ops;

/* The form in which a socket's events are sent at the moment. */
enum car_wire car_sio_wire(const struct car_sio_socket *socket);

/* Frees it where nothing holds it any more. */
void car_sio_release(struct car_sio *sio);

#endif
