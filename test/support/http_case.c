#include "http_case.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

static bool is_trace(struct car_span got, const char *wanted) {
    size_t len = strlen(wanted);
    bool open = len >= 5 && wanted[len - 5] == '!';
    if (!open) {
        return car_span_eq(got, car_span_cstr(wanted));
    }
    return got.len > len && memcmp(got.ptr, wanted, len) == 0 && got.ptr[len] == ' ' &&
           memchr(got.ptr + len, '\n', got.len - len) == got.ptr + got.len - 1;
}

/* Whether it passed: one failure a case is told. */
static bool check_cut(const struct http_trace_run *run, const struct http_case *c, http_trace_cut *cut, void *state,
                      const char *how, size_t where) {
    struct car_buf got = CAR_BUF_INIT;
    http_trace(run, c->input, cut, state, &got);
    bool same = is_trace(car_buf_view(&got), c->trace);
    if (!same) {
        fprintf(stderr, "%s (%s %zu)\nwanted:\n%s\ngot:\n%.*s\n", c->name, how, where, c->trace, (int)got.len,
                got.data);
    }
    CU_ASSERT_TRUE(same);
    car_buf_free(&got);
    return same;
}

void http_case_check(const struct http_trace_run *run, const struct http_case *c) {
    bool good = check_cut(run, c, http_trace_whole, NULL, "whole", c->input.len) &&
                check_cut(run, c, http_trace_bytes, NULL, "by", 1);
    size_t step = c->input.len < 2000 ? 1 : c->input.len / 200; /* long inputs: a sample of the offsets */
    for (size_t at = 1; good && at < c->input.len; at += step) {
        good = check_cut(run, c, http_trace_at, &at, "cut at", at);
    }
    for (uint64_t seed = 1; good && seed <= 20; seed++) {
        uint64_t state = seed;
        good = check_cut(run, c, http_trace_random, &state, "random", (size_t)seed);
    }
}

void http_cases_check(const struct http_trace_run *run, const struct http_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        http_case_check(run, &cases[i]);
    }
}
