#include "carillon/base/retain.h"

#include <stdbool.h>

#include "carillon/base/options.h"

/* A second to a thousand years, and a number that JSON can say. */
#define AGE_MIN   UINT64_C(1000)
#define AGE_MAX   (UINT64_C(1000) * 366 * 24 * 3600 * 1000)
#define COUNT_MAX (UINT64_C(1) << 53)

const char *car_retain_read(struct car_span text, uint64_t *ms, uint64_t *count) {
    const char *slash = memchr(text.ptr, '/', text.len);
    *ms = 0;
    *count = 0;
    if (!slash || text.len == 1) {
        return "is no retention";
    }
    struct car_span age = car_span_of(text.ptr, (size_t)(slash - text.ptr));
    struct car_span number = car_span_of(slash + 1, text.len - age.len - 1);
    if (age.len && car_option_read_duration(age, ms) != 0) {
        return "has no duration before the slash";
    }
    if (number.len && car_span_u64(number, UINT64_MAX, count) != 0) {
        return "has no number behind the slash";
    }
    bool fits = (!age.len || (*ms >= AGE_MIN && *ms <= AGE_MAX)) && (!number.len || (*count && *count <= COUNT_MAX));
    return fits ? NULL : "is out of range";
}
