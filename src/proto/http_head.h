#ifndef CARILLON_SRC_PROTO_HTTP_HEAD_H
#define CARILLON_SRC_PROTO_HTTP_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/proto/http.h"
#include "http_guard.h"

enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED };

/* A request line and header section, read and checked. The request's spans point into the section it was read from. */
struct http_head {
    struct car_http_request request;
    struct car_http_header *headers; /* owned; what request.headers points to */
    size_t capacity;
    enum http_framing framing;
    uint64_t length; /* of HTTP_LENGTH: what Content-Length says, above 0 */
};

/* Reads a whole section that the guard let pass. 0, or the status of a refusal with a static reason. The head may be
 * used again and again; car_http_head_free at the end. */
int car_http_head_read(struct http_head *head, const struct car_http_limits *limits, const struct http_guard *guard,
                       struct car_span section, const char **why);

/*
 * Reads the section at the front of `in` by means of the one that the head was read from, `last`, whose message has
 * been delivered. Returns its length where it is whole and the same but for values that do not matter to this codec. 0
 * where it is not: the head is then good for nothing but car_http_head_read.
 */
size_t car_http_head_repeat(struct http_head *head, const struct car_http_limits *limits, struct car_span last,
                            struct car_span in);

/* The request line has been copied to `to`: makes the spans that lie in it point there. */
void car_http_head_move_line(struct car_http_request *request, struct car_span line, const char *to);

/* The section it was read from has been copied to `to`: makes all spans point there. */
void car_http_head_move(struct http_head *head, struct car_span section, const char *to);

/* Frees the header table and leaves an empty, usable head. */
void car_http_head_free(struct http_head *head);

/* Splits request->target into path, query and host, by the forms of RFC 9112, section 3.2, and checks Host. Wants
 * method, verb, minor and headers. 0, or a status. */
int car_http_target_read(struct car_http_request *request, const char **why);

/* Tells how the message ends (RFC 9112, section 6.3) and whether the connection goes on (section 9.3). 0, or a status.
 */
int car_http_framing_read(struct http_head *head, const struct car_http_limits *limits, const char **why);

#endif
