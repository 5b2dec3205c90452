#include "http_trace.h"

#include <stdlib.h>

struct recorder {
    const struct http_trace_run *run;
    struct car_buf *out;
    bool stopped;
    unsigned headers_seen; /* on_headers calls without their on_request */
};

static void put_flag(struct car_buf *out, bool set, const char *name) {
    if (set) {
        car_buf_printf(out, " %s", name);
    }
}

static int on_headers(void *user, const struct car_http_request *req) {
    struct recorder *r = user;
    if (r->headers_seen++ > 0 || req->body.ptr) {
        abort();
    }
    return req->header_count <= 1000 ? r->run->refuse : 500;
}

static void put_request(struct car_buf *out, const struct car_http_request *req) {
    car_buf_span(out, req->method);
    car_buf_char(out, ' ');
    car_buf_span(out, req->path);
    if (req->query.ptr) {
        car_buf_char(out, '?');
        car_buf_span(out, req->query);
    }
    CAR_BUF_LIT(out, " @");
    car_buf_span(out, req->host);
    car_buf_printf(out, " 1.%u", req->minor);
    put_flag(out, req->keep_alive, "keep");
    put_flag(out, req->expect_continue, "expect");
    put_flag(out, req->upgrade, "upgrade");
    for (size_t i = 0; i < req->header_count; i++) {
        if (car_span_ieq(req->headers[i].name, CAR_SPAN("Host"))) {
            continue;
        }
        car_buf_char(out, ' ');
        car_buf_span(out, req->headers[i].name);
        car_buf_char(out, '=');
        car_buf_span(out, req->headers[i].value);
    }
    CAR_BUF_LIT(out, " {");
    car_buf_span(out, req->body);
    CAR_BUF_LIT(out, "}\n");
}

static bool on_request(void *user, const struct car_http_request *req) {
    struct recorder *r = user;
    if (r->headers_seen-- != 1 || (req->body.ptr == NULL) != (req->body.len == 0)) {
        abort();
    }
    put_request(r->out, req);
    r->stopped = r->run->stop || req->upgrade;
    return !r->run->stop;
}

/* Feeds one piece, through as many stops as there are in it. Whether the parser goes on. */
static bool feed_piece(struct car_http_parser *parser, struct recorder *r, struct car_span piece, size_t offset) {
    size_t done = 0;
    while (done < piece.len) {
        size_t consumed = 0;
        const char *why = "";
        size_t len = piece.len - done;
        char *copy = malloc(len);
        if (!copy) {
            abort();
        }
        memcpy(copy, piece.ptr + done, len);
        r->stopped = false;
        int status = car_http_parser_feed(parser, copy, len, &consumed, &why);
        free(copy);
        if (status != 0) {
            int again = car_http_parser_feed(parser, "GET", 3, &consumed, &why);
            if (again != status || consumed != 3 || car_http_parser_stage(parser) != CAR_HTTP_IDLE) {
                abort();
            }
            car_buf_printf(r->out, "! %d %s\n", status, why);
            return false;
        }
        if (why != NULL || (consumed < len && !r->stopped) || (r->stopped && consumed == 0)) {
            abort();
        }
        done += consumed;
        if (r->stopped) {
            car_buf_printf(r->out, "+ %zu\n", offset + done);
        }
    }
    return true;
}

void http_trace(const struct http_trace_run *run, struct car_span input, http_trace_cut *cut, void *state,
                struct car_buf *out) {
    static const char *const stages[] = {"idle", "headers", "body"};
    const struct car_http_callbacks callbacks = {.on_headers = on_headers, .on_request = on_request};
    struct recorder recorder = {.run = run, .out = out};
    struct car_http_parser *parser = car_http_parser_new(run->limits, &callbacks, &recorder);
    if (!parser) {
        abort();
    }
    bool going = true;
    for (size_t at = 0; at < input.len && going;) {
        size_t end = cut(state, at, input.len);
        going = feed_piece(parser, &recorder, car_span_of(input.ptr + at, end - at), at);
        at = end;
    }
    if (going) {
        car_buf_printf(out, "~ %s\n", stages[car_http_parser_stage(parser)]);
    }
    car_http_parser_free(&parser);
    if (out->failed) {
        abort();
    }
}

size_t http_trace_whole(void *state, size_t at, size_t len) {
    (void)state;
    (void)at;
    return len;
}

size_t http_trace_bytes(void *state, size_t at, size_t len) {
    (void)state;
    (void)len;
    return at + 1;
}

size_t http_trace_at(void *state, size_t at, size_t len) {
    const size_t *where = state;
    return at < *where && *where < len ? *where : len;
}

size_t http_trace_random(void *state, size_t at, size_t len) {
    uint64_t *seed = state;
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    unsigned draw = (unsigned)(*seed >> 33);
    size_t piece = draw % 8 == 0 ? 1 + (draw >> 3) % 1000 : 1 + (draw >> 3) % 12;
    return piece < len - at ? at + piece : len;
}
