#ifndef CARILLON_NET_HTTP_CONN_H
#define CARILLON_NET_HTTP_CONN_H

#include <stdbool.h>

struct car_address;
struct car_buf;
struct car_exchange;
struct car_http_request;
struct car_tls;
struct car_worker;

/* Why a connection beyond what there is room for is refused, with 503. */
#define CAR_HTTP_FULL "too many connections, or too little memory"

/* Why a request that is not whole is given up. */
#define CAR_HTTP_SHED     "out of memory for this tenant"
#define CAR_HTTP_TOO_MUCH "the body is more than all the memory that the tenant may use"

/* Who answers. On the connection's worker. */
struct car_http_app {
    /* The headers of a request are in: fill request_id and headers, or move the connection to another worker
     * (car_exchange_move; the exchange is gone then). `req` lives for the call. 0; or, where the client
     * waits for leave to send the body (req->expect_continue), the status that the request gets whatever the body is,
     * and a static reason (RFC 9110, section 10.1.1): then comes `refuse`. May be NULL. */
    int (*begin)(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why);
    /* Whether it is answered however short memory is. */
    bool (*always)(void *app, const struct car_http_request *req);
    /* The request is whole: answer it now or later, exactly once (car_exchange_finish or car_exchange_switch). */
    void (*request)(void *app, struct car_exchange *exchange, const struct car_http_request *req);
    /* The request is not acceptable (`status` is 4xx or 5xx): answer it now; the connection then ends. `begin` was not
     * called where the headers never became whole. */
    void (*refuse)(void *app, struct car_exchange *exchange, int status, const char *why);
    /* Whose a request is that is not whole, as far as its headers say: an owner, or NULL. `req` has no body. */
    const void *(*whose)(void *app, const struct car_exchange *exchange, const struct car_http_request *req);
    /* It is about to be answered with that status, whether the connection is still there or not. For counting; may be
     * NULL. */
    void (*answered)(void *app, const struct car_exchange *exchange, int status);
};

/* The protocol that a new connection starts with. Takes the socket over. `over_limit`: its first request is
 * answered 503, unless the app answers that always, and it ends. On the worker's thread. */
void car_http_conn_open(struct car_worker *worker, int fd, bool over_limit);

/* The other end of car_exchange_move: takes over a socket, its TLS (NULL in the clear) and the input that was read from
 * it, and who is at its other end (NULL: it says so itself). On the worker's thread. */
void car_http_conn_take(struct car_worker *worker, int fd, struct car_tls *tls, const struct car_address *peer,
                        struct car_buf *input);

#endif
