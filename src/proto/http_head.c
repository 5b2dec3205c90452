#include "http_head.h"

#include <llhttp.h>
#include <stdlib.h>

/* What the callbacks of one run of llhttp work on. */
struct reading {
    struct http_head *head;
    const struct car_http_limits *limits;
    bool whole;
    bool chunked;
    uint64_t length;
    int status; /* of a refusal that is not the input's fault */
};

static int on_url(llhttp_t *llhttp, const char *at, size_t len) {
    struct reading *reading = llhttp->data;
    struct car_span *target = &reading->head->request.target;
    *target = target->ptr ? car_span_of(target->ptr, target->len + len) : car_span_of(at, len);
    return 0;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t len) {
    struct reading *reading = llhttp->data;
    struct http_head *head = reading->head;
    size_t count = head->request.header_count;
    if (count == head->capacity) {
        size_t capacity = count == 0 ? 16 : 2 * count;
        capacity = capacity < reading->limits->header_count ? capacity : reading->limits->header_count;
        struct car_http_header *grown =
            capacity > count ? realloc(head->headers, capacity * sizeof *head->headers) : NULL;
        if (!grown) {
            reading->status = 503;
            return HPE_USER;
        }
        head->headers = grown;
        head->capacity = capacity;
    }
    head->headers[count] = (struct car_http_header){.name = car_span_of(at, len), .value = car_span_of(at + len, 0)};
    head->request.header_count++;
    head->request.name_lens |= UINT64_C(1) << (len & 63);
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len) {
    struct reading *reading = llhttp->data;
    struct car_http_request *request = &reading->head->request;
    struct car_span *value = &reading->head->headers[request->header_count - 1].value;
    const char *start = value->len > 0 ? value->ptr : at;
    /* llhttp leaves the blanks in front out, but not those behind. */
    *value = car_span_trim(car_span_of(start, (size_t)(at + len - start)));
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp) {
    struct reading *reading = llhttp->data;
    reading->whole = true;
    reading->chunked = (llhttp->flags & F_CHUNKED) != 0;
    reading->length = llhttp->content_length;
    reading->head->request.minor = llhttp->http_minor;
    return HPE_PAUSED;
}

/* The section lies in one piece, so llhttp lives for this call only. It would refuse methods it does not know, so it is
 * shown one it does; CONNECT alone changes how it reads the rest. */
static int run_llhttp(struct reading *reading, struct car_span section, size_t method_len, const char **why) {
    static const llhttp_settings_t settings = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_headers_complete,
    };
    bool connect = car_span_eq(reading->head->request.method, CAR_SPAN("CONNECT"));
    struct car_span shown = connect ? CAR_SPAN("CONNECT ") : CAR_SPAN("GET ");
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_REQUEST, &settings);
    llhttp.data = reading;
    llhttp_errno_t result = llhttp_execute(&llhttp, shown.ptr, shown.len);
    if (result == HPE_OK) {
        result = llhttp_execute(&llhttp, section.ptr + method_len + 1, section.len - method_len - 1);
    }
    if (reading->status != 0) {
        *why = "out of memory";
        return reading->status;
    }
    if (result != HPE_PAUSED || !reading->whole) {
        const char *reason = llhttp_get_error_reason(&llhttp); /* always a literal */
        *why = reason ? reason : "malformed request";
        return 400;
    }
    return 0;
}

static enum car_http_method verb_of(struct car_span method) {
    static const struct {
        struct car_span name;
        enum car_http_method verb;
    } verbs[] = {
        {CAR_SPAN_INIT("GET"), CAR_HTTP_GET},         {CAR_SPAN_INIT("POST"), CAR_HTTP_POST},
        {CAR_SPAN_INIT("HEAD"), CAR_HTTP_HEAD},       {CAR_SPAN_INIT("PUT"), CAR_HTTP_PUT},
        {CAR_SPAN_INIT("PATCH"), CAR_HTTP_PATCH},     {CAR_SPAN_INIT("DELETE"), CAR_HTTP_DELETE},
        {CAR_SPAN_INIT("OPTIONS"), CAR_HTTP_OPTIONS},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (car_span_eq(method, verbs[i].name)) {
            return verbs[i].verb;
        }
    }
    return CAR_HTTP_OTHER;
}

int car_http_head_read(struct http_head *head, const struct car_http_limits *limits, const struct http_guard *guard,
                       struct car_span section, const char **why) {
    struct car_span method = car_span_of(section.ptr, guard->method_len);
    head->request = (struct car_http_request){.method = method, .verb = verb_of(method)};
    struct reading reading = {.head = head, .limits = limits};
    int status = run_llhttp(&reading, section, guard->method_len, why);
    head->request.headers = head->headers;
    if (status == 0) {
        status = car_http_target_read(&head->request, why);
    }
    if (status == 0) {
        status = car_http_framing_read(head, limits, why);
    }
    if (status != 0) {
        return status;
    }
    /* Two readers of the same headers have to agree on what is in them and where the message ends. */
    if (head->request.header_count != guard->lines || head->request.minor != guard->minor ||
        reading.chunked != (head->framing == HTTP_CHUNKED) || reading.length != head->length) {
        *why = "ambiguous request";
        return 400;
    }
    return 0;
}

static void move_span(struct car_span *span, struct car_span from, const char *to) {
    /* The path of "GET http://host" lies outside. */
    uintptr_t offset = (uintptr_t)span->ptr - (uintptr_t)from.ptr;
    if (span->ptr && offset < from.len) {
        span->ptr = to + offset;
    }
}

void car_http_head_move_line(struct car_http_request *request, struct car_span line, const char *to) {
    move_span(&request->method, line, to);
    move_span(&request->target, line, to);
    move_span(&request->path, line, to);
    move_span(&request->query, line, to);
    move_span(&request->host, line, to);
}

void car_http_head_move(struct http_head *head, struct car_span section, const char *to) {
    /* Host lies in the section, if not in its first line. */
    car_http_head_move_line(&head->request, section, to);
    for (size_t i = 0; i < head->request.header_count; i++) {
        move_span(&head->headers[i].name, section, to);
        move_span(&head->headers[i].value, section, to);
    }
}

void car_http_head_free(struct http_head *head) {
    free(head->headers);
    *head = (struct http_head){0};
}
