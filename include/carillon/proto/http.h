#ifndef CARILLON_PROTO_HTTP_H
#define CARILLON_PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/base/span.h"

/*
 * The server's side of HTTP/1.1 (RFC 9110, RFC 9112): bytes in, requests out. A parser belongs to one thread. How the
 * input is cut into feeds never changes what comes out.
 *
 * Anything ambiguous about where a message ends is refused, and so is what only a broken or hostile client sends: bare
 * CR or LF, control characters, obsolete line folding, blanks around a header's name, Content-Length together with
 * Transfer-Encoding, repeated or list-valued lengths, sloppy chunk sizes (RFC 9112, sections 2.2, 5, 6.3, 7.1, 11.2).
 */

enum car_http_method {
    CAR_HTTP_GET,
    CAR_HTTP_HEAD,
    CAR_HTTP_POST,
    CAR_HTTP_PUT,
    CAR_HTTP_PATCH,
    CAR_HTTP_DELETE,
    CAR_HTTP_OPTIONS,
    CAR_HTTP_OTHER, /* any other token of up to 32 characters, CONNECT among them */
};

/* One header field line; `value` is without the blanks around it, and may be empty. */
struct car_http_header {
    struct car_span name, value;
};

/* A request. All of it is borrowed: it and its spans are valid during the callback only. */
struct car_http_request {
    struct car_span method; /* as sent; methods are case-sensitive, `get` is OTHER */
    enum car_http_method verb;
    struct car_span target; /* as sent */
    struct car_span path;   /* of origin-form and absolute-form, not decoded, begins with "/"; "*" for asterisk-form
                               (OPTIONS only); absent for CONNECT's authority-form */
    struct car_span query;  /* after the first "?", not decoded; absent where there is no "?" */
    struct car_span host;   /* host and port, valid (RFC 3986): the target's own where it has one, else Host's; absent
                               for HTTP/1.0 without Host (RFC 9112, section 3.2) */
    unsigned minor;         /* HTTP/1.0 or HTTP/1.1 */
    const struct car_http_header *headers; /* in the order sent; trailer fields are never among them */
    size_t header_count;
    uint64_t name_lens;   /* bit n: one of the headers' names has n (modulo 64) characters; 0: not known */
    struct car_span body; /* the whole content, de-chunked; absent in on_headers, and where there is none */
    struct car_buf *kept; /* the memory that has `body`, where that is the parser's: who wants it longer than the call
                             may take it over, and leave CAR_BUF_INIT; NULL where the body is in the input */
    bool keep_alive;      /* whether another request may follow (RFC 9112, section 9.3) */
    bool upgrade;         /* a GET of HTTP/1.1 that asks for `websocket` in Connection and Upgrade (RFC 6455, 4.2.1) */
    bool expect_continue; /* the client waits for 100 before it sends its body, and the body is within the limits */
};

/* Whether there may be a header whose name has that length. Most of the headers that are asked for are absent, and with
 * a literal for the name this is all that their absence costs. */
static inline bool car_http_header_possible(const struct car_http_request *req, size_t name_len) {
    return req->name_lens == 0 || (req->name_lens >> (name_len & 63) & 1) != 0;
}

/* What the three below do where the header is possible. */
struct car_span car_http_header_find(const struct car_http_request *req, struct car_span name, size_t *count);
bool car_http_header_find_element(const struct car_http_request *req, struct car_span name, const char *token,
                                  bool weighted);

/* The first value of that header (its name without regard to case); absent where there is none. *count, where not NULL,
 * gets the number of lines with that name. */
static inline struct car_span car_http_header_get(const struct car_http_request *req, const char *name, size_t *count) {
    struct car_span wanted = car_span_cstr(name);
    if (car_http_header_possible(req, wanted.len)) {
        return car_http_header_find(req, wanted, count);
    }
    if (count) {
        *count = 0;
    }
    return (struct car_span){0};
}

/* Whether one of the lines of that header has `token` as a whole element of its comma list, without regard to case. */
static inline bool car_http_header_has_token(const struct car_http_request *req, const char *name, const char *token) {
    struct car_span wanted = car_span_cstr(name);
    return car_http_header_possible(req, wanted.len) && car_http_header_find_element(req, wanted, token, false);
}

/* The same with the elements' parameters set aside (Accept, Accept-Encoding): "text/event-stream;q=0.5" has
 * "text/event-stream". An element with a weight of 0 is a refusal (RFC 9110, section 12.4.2). No wildcards. */
static inline bool car_http_header_accepts(const struct car_http_request *req, const char *name, const char *token) {
    struct car_span wanted = car_span_cstr(name);
    return car_http_header_possible(req, wanted.len) && car_http_header_find_element(req, wanted, token, true);
}

/*
 * Query parameters (application/x-www-form-urlencoded: "&" between pairs, "%XX", "+" for a space). Names are compared
 * decoded. What decodes is any bytes: the caller checks for UTF-8 and NUL where it matters.
 */

/* What the two below do where there is a query. */
int car_http_param_find(struct car_span *rest, const char *name, struct car_buf *out);

/* As car_http_param, but takes everything up to and including that parameter off *rest: repeat it until CAR_ENOENT for
 * all values of a repeatable parameter, or to see whether there is more than one. */
static inline int car_http_param_next(struct car_span *rest, const char *name, struct car_buf *out) {
    return rest->len > 0 ? car_http_param_find(rest, name, out) : CAR_ENOENT;
}

/* Appends the decoded value of the first parameter of that name to `out`. CAR_ENOENT where there is none (`out` as it
 * was), CAR_EPROTO for a bad escape in the value (`out` as it was), CAR_ENOMEM. A name without "=" has an empty value.
 */
static inline int car_http_param(struct car_span query, const char *name, struct car_buf *out) {
    return car_http_param_next(&query, name, out);
}

/* Takes the next pair, not decoded, off *rest; empty pairs ("&&") are passed over. false at the end. A pair without "="
 * has an absent value. */
bool car_http_pair_next(struct car_span *rest, struct car_span *name, struct car_span *value);

/* Appends `raw` with its %XX decoded (and "+" as a space where `plus`; a path wants false). CAR_EPROTO for a bad
 * escape, with `out` as it was; CAR_ENOMEM. */
int car_http_decode(struct car_span raw, bool plus, struct car_buf *out);

/* Bounds on one request. 0 stands for the default. */
struct car_http_limits {
    size_t header_bytes; /* request line and header section, and on their own the trailers; default 16384 */
    size_t header_count; /* header field lines, and on their own trailer field lines; default 100 */
    size_t body_bytes;   /* content, de-chunked; default 1 MiB */
};

#define CAR_HTTP_LEAVE (-1)

/* Neither may free the parser, nor feed it. */
struct car_http_callbacks {
    /* The headers are whole and sound, the body is not read yet (it may have arrived in part). 0 goes on; a status (4xx
     * or 5xx) refuses: feed returns it. CAR_HTTP_LEAVE: somebody else reads this request and all that follows; feed
     * returns 0 with *consumed just behind the head, and the parser takes nothing more. Called for every request, and
     * also just before a Content-Length over the limit is refused with 413, so that the answer to it can carry what the
     * request asks for (expect_continue is then false). May be NULL. */
    int (*on_headers)(void *user, const struct car_http_request *req);
    /* The request is whole. true goes on to a pipelined next one at once; false stops right after this message: feed
     * returns 0 with *consumed there. The parser can be fed on later with what is left. */
    bool (*on_request)(void *user, const struct car_http_request *req);
};

struct car_http_parser;

/* Limits and callbacks are copied; limits may be NULL for the defaults. NULL where memory ran out. */
struct car_http_parser *car_http_parser_new(const struct car_http_limits *limits,
                                            const struct car_http_callbacks *callbacks, void *user);

/* NULL inside is allowed; the pointer is nulled. */
void car_http_parser_free(struct car_http_parser **parser);

/*
 * Feeds bytes. 0: fine; *consumed is less than `len` only where on_request stopped it, or after a request with
 * `upgrade`, at which it always stops, so that the bytes behind it can go to the WebSocket (or be fed on, where the
 * upgrade was refused). After a request without keep_alive all further bytes are taken and thrown away (RFC 9112,
 * section 9.6).
 *
 * Else the HTTP status of the refusal, with a short static English reason in *why (NULL otherwise): 400, 413, 414
 * (request line over header_bytes), 431, 501 (method over 32 characters, transfer coding other than chunked), 505
 * (neither HTTP/1.0 nor HTTP/1.1), 503 (memory ran out), or what on_headers returned. The connection can then only be
 * answered and closed: *consumed is `len`, and any further feed returns the same.
 *
 * `bytes` are borrowed until feed returns.
 */
int car_http_parser_feed(struct car_http_parser *parser, const char *bytes, size_t len, size_t *consumed,
                         const char **why);

/* Where the next byte would fall. */
enum car_http_stage {
    CAR_HTTP_IDLE,    /* between messages, or after the last or a refused one: nothing is held */
    CAR_HTTP_HEADERS, /* in a request line or header section */
    CAR_HTTP_BODY,    /* in a body */
};
enum car_http_stage car_http_parser_stage(const struct car_http_parser *parser);

/* Bytes that it keeps of a message that is not whole. */
size_t car_http_parser_kept(const struct car_http_parser *parser);

/* The head of the message whose body is being read; NULL where none is. Lives until the next feed. */
const struct car_http_request *car_http_parser_request(const struct car_http_parser *parser);

/* Lets go of what it keeps, and takes nothing more. Not from within a callback. */
void car_http_parser_drop(struct car_http_parser *parser);

/* Appends the request's head as it may stand on the wire: to a parser the same as what was read, and not longer. */
void car_http_head_write(struct car_buf *out, const struct car_http_request *req);

/* The reason phrase of a status ("Not Found"); "Unknown" for one that has none here. */
const char *car_http_status_text(int status);

/* Appends "HTTP/1.1 404 Not Found\r\n". */
void car_http_status_line(struct car_buf *out, int status);

#define CAR_HTTP_DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes exactly CAR_HTTP_DATE_LEN characters, no NUL (IMF-fixdate: RFC 9110, section 5.6.7). Years 1970 to 9999; times
 * outside are written as the nearest one inside. Any thread. */
void car_http_date(int64_t wall_ms, char *out);

#endif
