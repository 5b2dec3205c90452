#ifndef CARILLON_NET_EXCHANGE_H
#define CARILLON_NET_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/proto/http.h"

struct car_blob;
struct car_conn;
struct car_conn_ops;
struct car_net_local;
struct car_worker;

#define CAR_REQUEST_ID_MAX 64

/*
 * One request and its answer. Made when the headers are in, gone once it is answered; where the answer takes longer
 * than the connection lives, it stays for whoever holds it, and answering does nothing.
 *
 * Belongs to the connection's worker. A connection has one at a time: the next request is read when this one is
 * answered, so answers cannot overtake each other.
 */
struct car_exchange {
    struct car_worker *worker;
    struct car_exchange *next_spare;
    struct car_conn *conn; /* NULL once the connection has gone */
    const void *owner;     /* whose bytes the answer may hold: the tenant that was asked as, once it is known */
    enum car_http_method verb;
    bool keep_alive; /* after the answer; the answerer may turn it off, and says so in its headers */
    bool answered;
    bool http10;
    bool draining;  /* the server was going away already when the request began */
    bool first;     /* of its connection */
    bool secure;    /* over TLS */
    bool certified; /* the client has shown a certificate of one whom --tls-client-ca trusts */
    bool client_known;
    uint8_t resource;          /* the application's: what was asked for */
    uint8_t outcome;           /* the application's: what has come of it, where the status does not say it */
    uint64_t began_us;         /* when its head was whole: car_turn_us */
    struct car_address client; /* where `client_known`: who the request is from, as the application has found out */
    /* Set, in `begin` or `request`, by who wants to know of its end without their answer. The connection has gone, and
     * `conn` is NULL: the exchange is still theirs to end, at once or later. A peer that closes its side is then gone
     * as well. Or the request never became whole, and is refused next: `conn` is not NULL, and the exchange is no
     * longer theirs. */
    void (*gone)(struct car_exchange *exchange);
    void *holder;           /* theirs */
    struct car_buf headers; /* header lines that go with every answer of this exchange */
    char request_id[CAR_REQUEST_ID_MAX + 1];
};

/* Answers with a whole response, copied from `head` and `body`, whose bytes are `owner`'s (NULL: nobody's in
 * particular), and ends the exchange. */
void car_exchange_finish(struct car_exchange *exchange, const void *owner, struct car_span head, struct car_span body);

/* The same, where the body is a blob, of which a reference is kept: it is not copied. */
void car_exchange_finish_with(struct car_exchange *exchange, const void *owner, struct car_span head,
                              struct car_blob *body);

/* Has the application told (car_http_app.answered); once an exchange, by who answers it. */
void car_exchange_tell(const struct car_exchange *exchange, int status);

/* Memory ran out before there was an answer: closes the connection and ends the exchange. */
void car_exchange_abort(struct car_exchange *exchange);

/*
 * Turns the connection over to another protocol, and ends the exchange. `proto` becomes the connection's; bytes behind
 * the request go to the new protocol's `input`. Returns the connection; NULL where it has gone, and then `proto` is
 * still the caller's. Only from within `request`.
 */
struct car_conn *car_exchange_switch(struct car_exchange *exchange, const struct car_conn_ops *ops, void *proto);

/*
 * Moves the connection to another worker, where the request begins anew, as though it had just arrived there: `begin`
 * is called again. Ends the exchange here. What waits to be written goes out first. Only from within `begin`. false
 * where `to` is the exchange's own worker, the connection is to be turned away, or memory ran out: then nothing has
 * happened.
 */
bool car_exchange_move(struct car_exchange *exchange, const struct car_http_request *req, struct car_worker *to);

/*
 * Who the connection is from: the socket's peer or, where a trusted proxy has begun it with a PROXY header, whom that
 * names. Found out when first asked for, and known until the connection leaves HTTP; the next worker knows it as well
 * (car_exchange_move). X-Forwarded-For is not looked at: see guard/peer.h. On the worker's thread, as long as the
 * exchange lasts. CAR_EINVAL where the socket is none of IP's. CAR_ECLOSED where the connection has gone, or is closing
 * or was reset by its peer before anybody asked: there is nobody to hear an answer, so whoever counts by addresses
 * refuses.
 */
int car_exchange_peer(const struct car_exchange *exchange, struct car_address *out);

/* Frees the exchanges that the worker keeps for later requests. */
void car_exchange_free_spares(struct car_net_local *local);

#endif
