#include "carillon/guard/rate_limit.h"

#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/options.h"
#include "carillon/base/span.h"

/* Digits alone; a number that is too long for 64 bits is a number still. */
static int read_count(struct car_span text, uint64_t *out) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return CAR_EINVAL;
        }
    }
    if (text.len == 0) {
        return CAR_EINVAL;
    }
    if (car_span_u64(text, UINT64_MAX, out) != 0) {
        *out = UINT64_MAX;
    }
    return 0;
}

int car_rate_limit_read(const char *text, struct car_rate_limit *out) {
    *out = (struct car_rate_limit){0};
    const char *slash = strchr(text, '/');
    uint64_t count = 0;
    uint64_t window_ms = 0;
    if (!slash || read_count(car_span_of(text, (size_t)(slash - text)), &count) != 0 ||
        car_option_read_duration(car_span_cstr(slash + 1), &window_ms) != 0) {
        return CAR_EINVAL;
    }
    if (count < 1 || count > CAR_RATE_COUNT_MAX || window_ms < 1 || window_ms > CAR_RATE_WINDOW_MS_MAX) {
        return CAR_ETOOBIG;
    }
    *out = (struct car_rate_limit){.count = count, .window_ms = window_ms};
    return 0;
}
