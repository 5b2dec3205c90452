#include "carillon/proto/http.h"

#include <stdlib.h>

#include "http_chunk.h"
#include "http_guard.h"
#include "http_head.h"

enum mode {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNKS,
    IGNORE,  /* behind the last request of the connection */
    REFUSED, /* `status` says how */
    LEFT,    /* the last head, and what follows it, is read elsewhere */
};

/*
 * What is being read lies in the caller's input for as long as it can: a section or body that is whole within one feed
 * is never copied. What is not whole when a feed ends is saved into `section` and `body`. Between messages nothing is
 * held but this struct.
 */
struct car_http_parser {
    struct car_http_limits limits;
    struct car_http_callbacks callbacks;
    void *user;

    enum mode mode;
    int status;
    const char *why;

    struct http_guard guard;
    struct http_head head;  /* meaningful from on_headers on */
    struct car_buf section; /* what earlier feeds brought of the head */
    struct car_span lent;   /* the head, where it lies in this feed's input and not in `section` */
    struct car_span last;   /* between messages: the head of the one before, where it lies in this feed's input */

    struct http_chunk chunk;
    uint64_t left;         /* of a body with a Content-Length */
    struct car_buf body;   /* what had to be joined or saved */
    struct car_span whole; /* the body's only piece so far, in this feed's input; `body` is empty then */
};

struct car_http_parser *car_http_parser_new(const struct car_http_limits *limits,
                                            const struct car_http_callbacks *callbacks, void *user) {
    struct car_http_parser *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->limits = limits ? *limits : (struct car_http_limits){0};
    p->limits.header_bytes = p->limits.header_bytes ? p->limits.header_bytes : 16384;
    p->limits.header_count = p->limits.header_count ? p->limits.header_count : 100;
    p->limits.body_bytes = p->limits.body_bytes ? p->limits.body_bytes : (size_t)1 << 20;
    p->callbacks = *callbacks;
    p->user = user;
    car_http_guard_request(&p->guard);
    return p;
}

static void drop_message(struct car_http_parser *p) {
    car_buf_free(&p->section);
    car_buf_free(&p->body);
    p->last = p->lent;
    p->lent = p->whole = (struct car_span){0};
}

void car_http_parser_free(struct car_http_parser **parser) {
    if (!*parser) {
        return;
    }
    drop_message(*parser);
    car_http_head_free(&(*parser)->head);
    free(*parser);
    *parser = NULL;
}

enum car_http_stage car_http_parser_stage(const struct car_http_parser *p) {
    switch (p->mode) {
    case READ_HEAD:
        return p->guard.bytes > 0 ? CAR_HTTP_HEADERS : CAR_HTTP_IDLE;
    case READ_LENGTH:
    case READ_CHUNKS:
        return CAR_HTTP_BODY;
    default:
        return CAR_HTTP_IDLE;
    }
}

size_t car_http_parser_kept(const struct car_http_parser *p) {
    return p->section.len + p->body.len;
}

const struct car_http_request *car_http_parser_request(const struct car_http_parser *p) {
    return car_http_parser_stage(p) == CAR_HTTP_BODY ? &p->head.request : NULL;
}

void car_http_parser_drop(struct car_http_parser *p) {
    drop_message(p);
    car_http_head_free(&p->head);
    p->mode = IGNORE;
}

static int refuse(struct car_http_parser *p, int status, const char *why) {
    p->mode = REFUSED;
    p->status = status;
    p->why = why;
    return status;
}

static int out_of_memory(struct car_http_parser *p) {
    return refuse(p, 503, "out of memory");
}

/* Adds a piece of the body that lies in this feed's input. */
static void add_body(struct car_http_parser *p, struct car_span piece) {
    if (piece.len > 0 && p->body.len == 0 && p->whole.len == 0) {
        p->whole = piece;
        return;
    }
    car_buf_span(&p->body, p->whole);
    p->whole = (struct car_span){0};
    car_buf_span(&p->body, piece);
}

/* The request is whole. Whether to go on with the next. */
static bool deliver(struct car_http_parser *p) {
    struct car_http_request *request = &p->head.request;
    struct car_span body = p->body.len > 0 ? car_buf_view(&p->body) : p->whole;
    request->body = body.len > 0 ? body : (struct car_span){0};
    request->kept = p->body.len > 0 ? &p->body : NULL;
    bool upgrade = request->upgrade;
    p->mode = request->keep_alive ? READ_HEAD : IGNORE;
    car_http_guard_request(&p->guard);
    bool more = p->callbacks.on_request(p->user, request);
    drop_message(p);
    return more && !upgrade;
}

/* The head has been read. */
static int begin_message(struct car_http_parser *p) {
    int status = p->callbacks.on_headers ? p->callbacks.on_headers(p->user, &p->head.request) : 0;
    if (status == CAR_HTTP_LEAVE) {
        p->mode = LEFT;
        return 0;
    }
    if (status != 0) {
        return refuse(p, status, "the request was refused");
    }
    if (p->head.framing == HTTP_LENGTH && p->head.length > p->limits.body_bytes) {
        return refuse(p, 413, "the body is too large");
    }
    p->left = p->head.length;
    p->chunk = (struct http_chunk){0};
    p->mode = p->head.framing == HTTP_CHUNKED ? READ_CHUNKS : READ_LENGTH;
    return 0;
}

/* The section is whole: reads what is in it. */
static int read_head(struct car_http_parser *p, struct car_span section) {
    const char *why = NULL;
    int status = car_http_head_read(&p->head, &p->limits, &p->guard, section, &why);
    return status == 0 ? begin_message(p) : refuse(p, status, why);
}

static int feed_head(struct car_http_parser *p, struct car_span in, size_t *taken) {
    if (p->last.len > 0) {
        struct car_span last = p->last;
        p->last = (struct car_span){0};
        *taken = car_http_head_repeat(&p->head, &p->limits, last, in);
        if (*taken > 0) {
            p->lent = car_span_of(in.ptr, *taken);
            return begin_message(p);
        }
    }
    size_t skipped = 0;
    const char *why = NULL;
    int result = car_http_guard_scan(&p->guard, &p->limits, in, &skipped, taken, &why);
    if (result > HTTP_GUARD_WHOLE) {
        return refuse(p, result, why);
    }
    struct car_span piece = car_span_of(in.ptr + skipped, *taken - skipped);
    if (result == HTTP_GUARD_WHOLE && p->section.len == 0) {
        p->lent = piece;
        return read_head(p, piece);
    }
    car_buf_span(&p->section, piece);
    if (p->section.failed) {
        return out_of_memory(p);
    }
    return result == HTTP_GUARD_WHOLE ? read_head(p, car_buf_view(&p->section)) : 0;
}

static int feed_length(struct car_http_parser *p, struct car_span in, size_t *taken, bool *whole) {
    *taken = p->left < in.len ? (size_t)p->left : in.len;
    p->left -= *taken;
    add_body(p, car_span_of(in.ptr, *taken));
    *whole = p->left == 0;
    return p->body.failed ? out_of_memory(p) : 0;
}

static int feed_chunks(struct car_http_parser *p, struct car_span in, size_t *taken, bool *whole) {
    struct car_span piece = {0};
    const char *why = NULL;
    int result = car_http_chunk_scan(&p->chunk, &p->limits, in, &piece, taken, &why);
    if (result > HTTP_CHUNK_DATA) {
        return refuse(p, result, why);
    }
    if (result == HTTP_CHUNK_DATA) {
        add_body(p, piece);
    }
    *whole = result == HTTP_CHUNK_WHOLE;
    return p->body.failed ? out_of_memory(p) : 0;
}

/* The input ends within a message: keeps what lies in it. */
static int save_message(struct car_http_parser *p) {
    if (p->lent.len > 0) {
        car_buf_span(&p->section, p->lent);
        if (p->section.failed) {
            return out_of_memory(p);
        }
        car_http_head_move(&p->head, p->lent, p->section.data);
        p->lent = (struct car_span){0};
    }
    if (p->whole.len > 0) {
        add_body(p, (struct car_span){0});
    }
    return p->body.failed ? out_of_memory(p) : 0;
}

/* Reads one piece of one message; *going turns false where the feed has to end. */
static int feed_some(struct car_http_parser *p, struct car_span in, size_t *taken, bool *going) {
    bool whole = false;
    int status = 0;
    if (p->mode == READ_HEAD) {
        status = feed_head(p, in, taken);
        whole = p->mode == READ_LENGTH && p->left == 0;
    } else if (p->mode == READ_LENGTH) {
        status = feed_length(p, in, taken, &whole);
    } else if (p->mode == READ_CHUNKS) {
        status = feed_chunks(p, in, taken, &whole);
    } else {
        *taken = in.len;
    }
    if (status == 0 && whole) {
        *going = deliver(p);
    }
    return status;
}

int car_http_parser_feed(struct car_http_parser *p, const char *bytes, size_t len, size_t *consumed, const char **why) {
    size_t at = 0;
    bool going = true;
    while (at < len && going && p->mode != REFUSED && p->mode != LEFT) {
        size_t taken = 0;
        (void)feed_some(p, car_span_of(bytes + at, len - at), &taken, &going);
        at += taken;
    }
    if (p->mode == READ_LENGTH || p->mode == READ_CHUNKS) {
        (void)save_message(p);
    }
    if (p->mode == REFUSED || p->mode == LEFT) {
        drop_message(p);
        at = p->mode == REFUSED ? len : at;
    }
    if (car_http_parser_stage(p) != CAR_HTTP_BODY) {
        car_http_head_free(&p->head);
    }
    p->last = (struct car_span){0};
    *consumed = at;
    *why = p->why;
    return p->status;
}
