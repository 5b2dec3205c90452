#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "http_trace.h"

/* Small limits, so that the fuzzer meets them. */
static const struct car_http_limits SMALL = {.header_bytes = 512, .header_count = 8, .body_bytes = 256};

static void put_trace(const struct http_trace_run *run, struct car_span input, http_trace_cut *cut, void *state,
                      struct car_buf *out) {
    out->len = 0;
    http_trace(run, input, cut, state, out);
}

/* What comes out may not depend on how the input is cut. */
static void check(const struct http_trace_run *run, struct car_span input, uint64_t seed) {
    struct car_buf whole = CAR_BUF_INIT;
    struct car_buf cut = CAR_BUF_INIT;
    put_trace(run, input, http_trace_whole, NULL, &whole);
    for (int i = 0; i < 4; i++) {
        put_trace(run, input, i == 0 ? http_trace_bytes : http_trace_random, &seed, &cut);
        if (!car_span_eq(car_buf_view(&whole), car_buf_view(&cut))) {
            fprintf(stderr, "http: whole:\n%.*s\ncut:\n%.*s\n", (int)whole.len, whole.data, (int)cut.len, cut.data);
            abort();
        }
    }
    car_buf_free(&whole);
    car_buf_free(&cut);
}

/* The input twice in a row, the second time with one byte of it another one: what follows its like may be read by means
 * of that. */
static void check_twice(const struct http_trace_run *run, struct car_span input, uint64_t seed) {
    struct car_buf twice = CAR_BUF_INIT;
    car_buf_span(&twice, input);
    car_buf_span(&twice, input);
    if (input.len > 0 && !twice.failed) {
        twice.data[input.len + seed % input.len] = (char)(seed >> 32);
    }
    check(run, car_buf_view(&twice), seed);
    car_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t seed = size;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 31 + data[i];
    }
    struct car_span input = car_span_of((const char *)data, size);
    check(&(struct http_trace_run){.limits = NULL}, input, seed);
    check_twice(&(struct http_trace_run){.limits = NULL}, input, seed);
    check(&(struct http_trace_run){.limits = &SMALL, .stop = true}, input, seed);
    return 0;
}
