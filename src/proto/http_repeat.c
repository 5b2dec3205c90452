#include "carillon/base/err.h"
#include "http_chars.h"
#include "http_head.h"

/*
 * A client that pipelines sends the same head again and again, with another length, or another name in a header of its
 * own. Such a head needs no second reading: line by line it has the bytes of the one before, on which guard and llhttp
 * agreed, or it has the same header with another value that neither of them, nor http_framing.c and http_target.c,
 * looks into. Whatever is different from that, or is not whole, is left to them.
 */

/* Whether a header has a say in where the message ends, whether the connection goes on, or whose the request is. */
static bool decides(struct car_span name) {
    static const struct car_span names[] = {
        CAR_SPAN_INIT("Host"),       CAR_SPAN_INIT("Content-Length"),   CAR_SPAN_INIT("Transfer-Encoding"),
        CAR_SPAN_INIT("Connection"), CAR_SPAN_INIT("Proxy-Connection"), CAR_SPAN_INIT("Upgrade"),
        CAR_SPAN_INIT("Expect"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (car_span_ieq(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Another length, in digits alone, that leaves all as it was: there is a body, and it is within the limit. */
static bool read_length(struct http_head *head, const struct car_http_limits *limits, struct car_span value) {
    return head->framing == HTTP_LENGTH && car_span_u64(value, limits->body_bytes, &head->length) == CAR_OK &&
           head->length > 0;
}

/* A line with the header's name and another value than it has: reads that. Returns the line's length, or 0. */
static size_t read_other_value(struct http_head *head, const struct car_http_limits *limits,
                               struct car_http_header *header, struct car_span in) {
    size_t before = (size_t)(header->value.ptr - header->name.ptr); /* the colon, and blanks */
    if (header->value.len == 0 || in.len < before || memcmp(in.ptr, header->name.ptr, before) != 0) {
        return 0;
    }
    struct car_span raw = car_span_of(in.ptr + before, in.len - before);
    raw.len = http_run(raw.ptr, raw.len, HTTP_FIELD);
    struct car_span value = car_span_trim(raw);
    size_t len = before + raw.len + 2;
    if (value.len == 0 || in.len < len || memcmp(in.ptr + len - 2, "\r\n", 2) != 0) {
        return 0;
    }
    bool length = car_span_ieq(header->name, CAR_SPAN("Content-Length"));
    if (length ? !read_length(head, limits, raw) : decides(header->name)) {
        return 0;
    }
    header->name.ptr = in.ptr;
    header->value = value;
    return len;
}

/* The same for any line: `line` is what the header was read from. */
static size_t read_line(struct http_head *head, const struct car_http_limits *limits, struct car_http_header *header,
                        struct car_span line, struct car_span in) {
    if (in.len < line.len || memcmp(in.ptr, line.ptr, line.len) != 0) {
        return read_other_value(head, limits, header, in);
    }
    header->value.ptr = in.ptr + (header->value.ptr - line.ptr);
    header->name.ptr = in.ptr;
    return line.len;
}

size_t car_http_head_repeat(struct http_head *head, const struct car_http_limits *limits, struct car_span last,
                            struct car_span in) {
    struct car_http_request *request = &head->request;
    struct car_http_header *headers = head->headers;
    size_t count = request->header_count;
    if (count == 0) {
        return 0;
    }
    size_t at = (size_t)(headers[0].name.ptr - last.ptr); /* the request line */
    if (in.len < at || memcmp(in.ptr, last.ptr, at) != 0) {
        return 0;
    }
    car_http_head_move_line(request, car_span_of(last.ptr, at), in.ptr);
    for (size_t i = 0; i < count; i++) {
        const char *begin = headers[i].name.ptr;
        const char *end = i + 1 < count ? headers[i + 1].name.ptr : last.ptr + last.len - 2;
        bool is_host = headers[i].value.ptr == request->host.ptr;
        size_t len = read_line(head, limits, &headers[i], car_span_of(begin, (size_t)(end - begin)),
                               car_span_of(in.ptr + at, in.len - at));
        if (len == 0) {
            return 0;
        }
        request->host = is_host ? headers[i].value : request->host;
        at += len;
    }
    if (in.len - at < 2 || memcmp(in.ptr + at, "\r\n", 2) != 0 || at + 2 > limits->header_bytes) {
        return 0;
    }
    request->body = (struct car_span){0};
    return at + 2;
}
