#include "carillon/proto/http.h"

struct car_span car_http_header_find(const struct car_http_request *req, struct car_span name, size_t *count) {
    struct car_span first = {0};
    size_t n = 0;
    const struct car_http_header *header = req->headers;
    for (size_t left = req->header_count; left > 0; left--, header++) {
        if (car_span_ieq(header->name, name) && n++ == 0) {
            first = header->value;
        }
    }
    if (count) {
        *count = n;
    }
    return first;
}

/* Whether a weight is 0: "0", "0.", "0.0", … (RFC 9110, section 12.4.2). */
static bool is_zero(struct car_span q) {
    if (q.len == 0 || q.ptr[0] != '0' || (q.len > 1 && q.ptr[1] != '.')) {
        return false;
    }
    for (size_t i = 2; i < q.len; i++) {
        if (q.ptr[i] != '0') {
            return false;
        }
    }
    return true;
}

static bool is_refused(struct car_span parameters) {
    struct car_span parameter;
    while (car_span_next(&parameters, ';', &parameter)) {
        parameter = car_span_trim(parameter);
        if (parameter.len >= 2 && (parameter.ptr[0] == 'q' || parameter.ptr[0] == 'Q') && parameter.ptr[1] == '=') {
            return is_zero(car_span_of(parameter.ptr + 2, parameter.len - 2));
        }
    }
    return false;
}

static bool has_element(struct car_span list, struct car_span token, bool weighted) {
    struct car_span element;
    while (car_span_next(&list, ',', &element)) {
        struct car_span rest = element;
        struct car_span value = element;
        if (weighted && !car_span_next(&rest, ';', &value)) {
            continue;
        }
        if (car_span_ieq(car_span_trim(value), token) && !(weighted && is_refused(rest))) {
            return true;
        }
    }
    return false;
}

bool car_http_header_find_element(const struct car_http_request *req, struct car_span name, const char *token,
                                  bool weighted) {
    struct car_span wanted = car_span_cstr(token);
    for (size_t i = 0; i < req->header_count; i++) {
        if (car_span_ieq(req->headers[i].name, name) && has_element(req->headers[i].value, wanted, weighted)) {
            return true;
        }
    }
    return false;
}
