#ifndef CARILLON_NET_INCOMING_H
#define CARILLON_NET_INCOMING_H

#include <stdbool.h>
#include <stdint.h>

struct car_conn;
struct car_exchange;
struct car_http_request;
struct car_http_parser;
struct car_keeping;

/*
 * The request that is on its way in: how long it may take, what is kept of it until it is whole, and whose memory that
 * is. One a connection, for all its requests, in its HTTP state and gone with that. A whole request is no longer looked
 * after here: its body is the parser's until who answers has returned, or theirs who takes it over
 * (car_http_request.kept). On the connection's worker.
 */
struct car_incoming {
    struct car_http_parser *parser; /* owned; has what is kept */
    uint64_t deadline;              /* for the request's last byte, as car_conn_now has it; 0 while none has begun */
    const void *whose;              /* where `asked`: an owner, or NULL where nobody knows */
    bool asked;                     /* since its head was whole: once a request, and only where much is kept */
};

/* NULL inside is allowed. */
void car_incoming_free(struct car_incoming *incoming);

/* The head of a request is whole: whose it is has not been asked yet. */
void car_incoming_head(struct car_incoming *incoming);

/* The request is whole: it has no more time to keep, and what is kept of it counts no longer as input. */
void car_incoming_whole(struct car_incoming *incoming, struct car_conn *conn);

/* Input has been read and the request is not whole, if one has begun: its time runs, from its first byte on, and much
 * that is kept of it is looked after. `exchange` is NULL before its head is whole. */
void car_incoming_wait(struct car_incoming *incoming, struct car_conn *conn, const struct car_exchange *exchange);

/* Adds what is kept; where that is much (CAR_HOARD_MIN), says whose it is: the exchange's owner, or whom the
 * application knows by the request's headers. */
void car_incoming_keeps(struct car_incoming *incoming, const struct car_conn *conn, const struct car_exchange *exchange,
                        struct car_keeping *keeping);

/* Whose the request is, as its exchange says or the application does, which is asked once; NULL where nobody knows. */
const void *car_incoming_whose(struct car_incoming *incoming, const struct car_conn *conn,
                               const struct car_exchange *exchange, const struct car_http_request *req);

/* What a request gets that is given up for want of memory: 413 where its owner could never have so much, else 503, and
 * a static reason. */
int car_incoming_give_up(const struct car_incoming *incoming, const struct car_conn *conn, const char **why);

#endif
