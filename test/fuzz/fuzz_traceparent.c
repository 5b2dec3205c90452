#include <stdint.h>
#include <stdlib.h>

#include "carillon/proto/traceparent.h"

static void insist(bool good) {
    if (!good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is one of version 00, stays what it is when it is read again, and holds nothing that JSON would have to
 * escape. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char out[CAR_TRACEPARENT_LEN];
    char again[CAR_TRACEPARENT_LEN];
    struct car_span input = car_span_of((const char *)data, size);
    bool is = car_traceparent_read(input, out);
    insist(is || !car_traceparent_ok(input));
    if (is) {
        insist(car_traceparent_ok(car_span_of(out, sizeof out)));
        insist(car_traceparent_read(car_span_of(out, sizeof out), again));
        insist(memcmp(out, again, sizeof out) == 0);
        insist(memcmp(out + 3, data + 3, 50) == 0); /* the ids are the sender's */
        insist(!car_traceparent_ok(input) || memcmp(out, data, sizeof out) == 0);
        for (size_t i = 0; i < sizeof out; i++) {
            insist(memchr("0123456789abcdef-", out[i], 17) != NULL);
        }
    }
    return 0;
}
