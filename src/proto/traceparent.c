#include "carillon/proto/traceparent.h"

#include <assert.h>

#define VERSION_LEN 2
#define TRACE_AT    3
#define TRACE_LEN   32
#define SPAN_AT     36
#define SPAN_LEN    16
#define FLAGS_AT    53
#define FLAGS_LEN   2
#define FLAGS_KNOWN 3 /* sampled (1), random-trace-id (2) */

static_assert(FLAGS_AT + FLAGS_LEN == CAR_TRACEPARENT_LEN, "the flags end it");

/* A digit's value; 16 for what is none. Those in upper case are none. */
static unsigned digit(char c) {
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static bool is_hex(struct car_span text, size_t at, size_t len) {
    for (size_t i = at; i < at + len; i++) {
        if (digit(text.ptr[i]) > 15) {
            return false;
        }
    }
    return true;
}

/* Digits that are not all 0. */
static bool is_id(struct car_span text, size_t at, size_t len) {
    bool some = false;
    for (size_t i = at; i < at + len; i++) {
        some = some || text.ptr[i] != '0';
    }
    return some && is_hex(text, at, len);
}

/* What every version begins with. */
static bool begins_well(struct car_span text) {
    return text.len >= CAR_TRACEPARENT_LEN && is_hex(text, 0, VERSION_LEN) && text.ptr[TRACE_AT - 1] == '-' &&
           is_id(text, TRACE_AT, TRACE_LEN) && text.ptr[SPAN_AT - 1] == '-' && is_id(text, SPAN_AT, SPAN_LEN) &&
           text.ptr[FLAGS_AT - 1] == '-' && is_hex(text, FLAGS_AT, FLAGS_LEN);
}

static bool is_version(struct car_span text, const char *version) {
    return text.ptr[0] == version[0] && text.ptr[1] == version[1];
}

bool car_traceparent_ok(struct car_span text) {
    return begins_well(text) && is_version(text, "00") && text.len == CAR_TRACEPARENT_LEN;
}

bool car_traceparent_read(struct car_span text, char out[CAR_TRACEPARENT_LEN]) {
    bool good = car_traceparent_ok(text);
    bool later = !good && begins_well(text) && !is_version(text, "00") && !is_version(text, "ff") &&
                 (text.len == CAR_TRACEPARENT_LEN || text.ptr[CAR_TRACEPARENT_LEN] == '-');
    if (good || later) {
        memcpy(out, text.ptr, CAR_TRACEPARENT_LEN);
    }
    if (later) {
        memcpy(out, "00", VERSION_LEN);
        out[FLAGS_AT] = '0';
        out[FLAGS_AT + 1] = (char)('0' + (digit(out[FLAGS_AT + 1]) & FLAGS_KNOWN));
    }
    return good || later;
}
