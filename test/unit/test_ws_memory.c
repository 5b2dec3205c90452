#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/deflate.h"
#include "carillon/proto/ws.h"
#include "support/suite.h"
#include "support/ws_client.h"

/* The Nth allocation fails, for each N: the codecs say so, hold nothing, and work again after. */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* Allocations until the one that fails; 0 while none shall. The suite has one thread. */
static unsigned long fail_in;
/* Allocations since it was last set to 0. */
static unsigned long calls;

#ifndef SANITIZED
static bool fails(void) {
    calls++;
    return fail_in > 0 && --fail_in == 0;
}

/* glibc's own, behind the names that the suite takes for itself. The sanitizers have taken them already. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size) {
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return fails() ? NULL : __libc_realloc(old, size);
}
#endif

struct seen {
    unsigned messages;
    unsigned pings;
};

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    struct seen *seen = user;
    (void)op, (void)data, (void)len;
    seen->messages++;
}

static void on_control(void *user, const char *data, size_t len) {
    struct seen *seen = user;
    (void)data, (void)len;
    seen->pings++;
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    (void)user, (void)code, (void)reason;
}

/* A compressed message in fragments with a ping between, all split, then a plain one. Returns the code it ends with. */
static unsigned play(const struct car_buf *wire, struct car_inflater *inflater, struct seen *seen) {
    static const struct car_ws_callbacks callbacks = {on_message, on_control, on_control, on_close};
    static char bytes[4096];
    struct car_ws_parser parser;
    unsigned code = 0;
    memcpy(bytes, wire->data, wire->len);
    car_ws_parser_init(&parser, 100000, true);
    for (size_t at = 0; at < wire->len && !code; at++) {
        size_t consumed = 0;
        const char *why = NULL;
        code = car_ws_parser_feed(&parser, bytes + at, 1, inflater, &callbacks, seen, &consumed, &why);
    }
    if (code) {
        CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
    }
    car_ws_parser_free(&parser);
    return code;
}

static void parser(void) {
    struct car_deflater *deflater = car_deflater_new(6);
    struct car_buf packed = CAR_BUF_INIT;
    struct car_buf wire = CAR_BUF_INIT;
    static char text[50000];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i % 17);
    }
    CU_ASSERT_EQUAL_FATAL(car_deflate(deflater, 15, car_span_of(text, sizeof text), &packed), 0);
    ws_client_fragments(&wire, WS_RSV1 | CAR_WS_TEXT, car_buf_view(&packed), 20);
    ws_client_send(&wire, WS_FIN | CAR_WS_PING, CAR_SPAN("ping"));
    ws_client_fragments(&wire, CAR_WS_TEXT, car_span_of(text, 300), 100);
    CU_ASSERT_TRUE_FATAL(wire.len <= 4096);
    unsigned long failures = 0;
    for (unsigned long n = 1;; n++) {
        struct car_inflater *inflater = car_inflater_new();
        struct seen seen = {0};
        fail_in = n;
        calls = 0;
        unsigned code = play(&wire, inflater, &seen);
        bool failed = calls >= n;
        fail_in = 0;
        CU_ASSERT_EQUAL(code, failed ? 1011 : 0);
        /* What failed leaves the inflater fit for the next. */
        seen = (struct seen){0};
        CU_ASSERT_EQUAL(play(&wire, inflater, &seen), 0);
        CU_ASSERT_EQUAL(seen.messages, 2);
        CU_ASSERT_EQUAL(seen.pings, 1);
        car_inflater_free(&inflater);
        if (!failed) {
            break;
        }
        failures++;
    }
#ifndef SANITIZED
    CU_ASSERT_TRUE(failures >= 5);
#endif
    car_deflater_free(&deflater);
    car_buf_free(&packed);
    car_buf_free(&wire);
}

static void deflater(void) {
    unsigned long failures = 0;
    for (unsigned long n = 1;; n++) {
        struct car_deflater *def = car_deflater_new(6);
        struct car_buf out = CAR_BUF_INIT;
        CAR_BUF_LIT(&out, "before");
        size_t memory = car_deflater_memory(def);
        /* Longer than the room that the buffer has. */
        char noise[512];
        uint64_t state = 99;
        for (size_t i = 0; i < sizeof noise; i++) {
            noise[i] = (char)ws_random(&state);
        }
        fail_in = n;
        calls = 0;
        int err = car_deflate(def, 12, car_span_of(noise, sizeof noise), &out);
        bool failed = calls >= n;
        fail_in = 0;
        CU_ASSERT_EQUAL(err, failed ? CAR_ENOMEM : 0);
        if (failed) {
            CU_ASSERT_EQUAL(out.len, 6);
            CU_ASSERT_TRUE(out.failed || car_deflater_memory(def) == memory);
        }
        struct car_buf again = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_deflate(def, 12, car_span_of(noise, sizeof noise), &again), 0);
        CU_ASSERT_TRUE(again.len > 500);
        car_buf_free(&again);
        car_buf_free(&out);
        car_deflater_free(&def);
        if (!failed) {
            break;
        }
        failures++;
    }
#ifndef SANITIZED
    CU_ASSERT_TRUE(failures >= 5);
#endif
}

static void makers(void) {
#ifndef SANITIZED
    fail_in = 1;
    CU_ASSERT_PTR_NULL(car_inflater_new());
    fail_in = 1;
    CU_ASSERT_PTR_NULL(car_deflater_new(6));
    fail_in = 0;
#endif
}

static const struct car_test TESTS[] = {
    {"parser", parser},
    {"deflater", deflater},
    {"makers", makers},
};

int main(void) {
    return car_suite_main("ws_memory", TESTS, sizeof TESTS / sizeof *TESTS);
}
