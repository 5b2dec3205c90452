#include "carillon/guard/rate_fields.h"

#include <stdbool.h>

#define NS_PER_S UINT64_C(1000000000)
#define MS_PER_S 1000
#define FORGIVEN UINT64_C(1000) /* nanoseconds */

static uint64_t to_seconds(uint64_t ns) {
    return ns / NS_PER_S + (ns % NS_PER_S > FORGIVEN);
}

static uint64_t at_least_1(uint64_t seconds) {
    return seconds ? seconds : 1;
}

static void put_parameter(struct car_buf *out, char name, uint64_t value) {
    car_buf_char(out, ';');
    car_buf_char(out, name);
    car_buf_char(out, '=');
    car_buf_u64(out, value);
}

static void put_policy(struct car_buf *out, const struct car_rate_field *field) {
    put_parameter(out, 'q', field->limit.count);
    put_parameter(out, 'w', at_least_1(field->limit.window_ms / MS_PER_S + (field->limit.window_ms % MS_PER_S != 0)));
    if (field->unit) {
        CAR_BUF_LIT(out, ";qu=\"");
        car_buf_span(out, car_span_cstr(field->unit));
        car_buf_char(out, '"');
    }
}

static void put_limit(struct car_buf *out, const struct car_rate_field *field) {
    put_parameter(out, 'r', field->state.remaining);
    put_parameter(out, 't', to_seconds(field->state.next));
}

static void put_list(struct car_buf *out, const char *name, const struct car_rate_field *fields, size_t count,
                     void (*put)(struct car_buf *out, const struct car_rate_field *field)) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].limit.count == 0) {
            continue;
        }
        car_buf_span(out, any ? CAR_SPAN(", ") : car_span_cstr(name));
        car_buf_char(out, '"');
        car_buf_span(out, car_span_cstr(fields[i].name));
        car_buf_char(out, '"');
        put(out, &fields[i]);
        any = true;
    }
    if (any) {
        CAR_BUF_LIT(out, "\r\n");
    }
}

void car_rate_fields_write(struct car_buf *out, const struct car_rate_field *fields, size_t count) {
    put_list(out, "RateLimit-Policy: ", fields, count, put_policy);
    put_list(out, "RateLimit: ", fields, count, put_limit);
}

void car_retry_after_write(struct car_buf *out, uint64_t retry_ns) {
    if (retry_ns != CAR_RATE_NEVER) {
        CAR_BUF_LIT(out, "Retry-After: ");
        car_buf_u64(out, at_least_1(to_seconds(retry_ns)));
        CAR_BUF_LIT(out, "\r\n");
    }
}
