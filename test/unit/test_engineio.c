#include "carillon/proto/engineio.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "support/suite.h"

/* A copy in memory of its exact size, so that a read beyond it is seen. */
static struct car_span exact(struct car_span text) {
    char *copy = malloc(text.len ? text.len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    if (text.len) {
        memcpy(copy, text.ptr, text.len);
    }
    return car_span_of(copy, text.len);
}

static void release(struct car_span text) {
    free((char *)(uintptr_t)text.ptr);
}

static void test_read(void) {
    static const struct {
        struct car_span text;
        int err;
        enum car_engineio_type type;
        struct car_span data;
    } ROWS[] = {
        {CAR_SPAN_INIT("0{}"), 0, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("{}")},
        {CAR_SPAN_INIT("1"), 0, CAR_ENGINEIO_CLOSE, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("2probe"), 0, CAR_ENGINEIO_PING, CAR_SPAN_INIT("probe")},
        {CAR_SPAN_INIT("3"), 0, CAR_ENGINEIO_PONG, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("4hello \xe2\x82\xac"), 0, CAR_ENGINEIO_MESSAGE, CAR_SPAN_INIT("hello \xe2\x82\xac")},
        {CAR_SPAN_INIT("4\0x"), 0, CAR_ENGINEIO_MESSAGE, CAR_SPAN_INIT("\0x")},
        {CAR_SPAN_INIT("5"), 0, CAR_ENGINEIO_UPGRADE, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("6"), 0, CAR_ENGINEIO_NOOP, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT(""), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("7"), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("/"), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("abc"), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("bAAAA"), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
        {CAR_SPAN_INIT("\xff"), CAR_EPROTO, CAR_ENGINEIO_OPEN, CAR_SPAN_INIT("")},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_engineio_packet packet = {0};
        struct car_span text = exact(ROWS[i].text);
        CU_ASSERT_EQUAL(car_engineio_read(text, &packet), ROWS[i].err);
        if (!ROWS[i].err) {
            CU_ASSERT_EQUAL(packet.type, ROWS[i].type);
            CU_ASSERT(car_span_eq(packet.data, ROWS[i].data) && !packet.binary);
        }
        release(text);
    }
}

static void test_base64(void) {
    static const struct {
        const char *text;
        struct car_span bytes;
    } GOOD[] = {
        {"bAQIDBA==", CAR_SPAN_INIT("\1\2\3\4")}, {"b", CAR_SPAN_INIT("")}, {"b////", CAR_SPAN_INIT("\xff\xff\xff")}};
    static const char *const BAD[] = {"bA",     "bAA",   "bAAA",  "b=",      "b====",  "bA===",  "bAA=A",
                                      "bAAAA=", "bAA A", "b-_-_", "bAAAA\n", " bAAAA", "bAAAAA", "b\xc3\xa4\xc3\xa4"};
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_engineio_packet packet;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct car_span text = exact(car_span_cstr(GOOD[i].text));
        CU_ASSERT_EQUAL(car_engineio_read_polled(text, &scratch, &packet), 0);
        CU_ASSERT(packet.binary && packet.type == CAR_ENGINEIO_MESSAGE && car_span_eq(packet.data, GOOD[i].bytes));
        release(text);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct car_span text = exact(car_span_cstr(BAD[i]));
        CU_ASSERT_EQUAL(car_engineio_read_polled(text, &scratch, &packet), CAR_EPROTO);
        release(text);
    }
    car_buf_free(&scratch);
}

static size_t count(struct car_span payload, size_t *empty) {
    struct car_span text;
    size_t n = 0;
    *empty = 0;
    while (car_engineio_next(&payload, &text)) {
        n++;
        *empty += text.len == 0;
    }
    CU_ASSERT_PTR_NULL(payload.ptr);
    return n;
}

static void test_payload(void) {
    size_t empty;
    CU_ASSERT_EQUAL(count(CAR_SPAN("4a"), &empty), 1);
    CU_ASSERT_EQUAL(count(CAR_SPAN("4a\x1e"
                                   "4b\x1e"
                                   "2"),
                          &empty),
                    3);
    CU_ASSERT_EQUAL(empty, 0);
    CU_ASSERT_EQUAL(count(CAR_SPAN("4a\x1e"), &empty), 2);
    CU_ASSERT_EQUAL(empty, 1);
    CU_ASSERT_EQUAL(count(CAR_SPAN("\x1e\x1e"), &empty), 3);
    CU_ASSERT_EQUAL(empty, 3);
    CU_ASSERT_EQUAL(count(car_span_of(NULL, 0), &empty), 0);
}

/* What is written is read back, packet by packet, and every cut of it is read within its bounds. */
static void test_round_trip(void) {
    uint64_t random = 88172645463325252u;
    struct car_buf payload = CAR_BUF_INIT;
    struct car_buf scratch = CAR_BUF_INIT;
    for (unsigned round = 0; round < 300; round++) {
        struct {
            bool binary;
            enum car_engineio_type type;
            char data[40];
            size_t len;
        } packets[8];
        size_t n = 1 + round % 8;
        payload.len = 0;
        for (size_t i = 0; i < n; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            packets[i].binary = random % 3 == 0;
            packets[i].type = packets[i].binary ? CAR_ENGINEIO_MESSAGE : (enum car_engineio_type)(random / 3 % 7);
            packets[i].len = random / 64 % sizeof packets[i].data;
            for (size_t k = 0; k < packets[i].len; k++) {
                packets[i].data[k] = (char)(packets[i].binary ? random >> (k % 57) : 'a' + (random >> (k % 57)) % 26);
            }
            if (i) {
                car_buf_char(&payload, CAR_ENGINEIO_SEPARATOR);
            }
            struct car_span data = car_span_of(packets[i].data, packets[i].len);
            if (packets[i].binary) {
                car_engineio_write_base64(&payload, data);
            } else {
                car_engineio_write(&payload, packets[i].type, data);
            }
        }
        struct car_span rest = car_buf_view(&payload);
        struct car_span text;
        size_t seen = 0;
        while (car_engineio_next(&rest, &text)) {
            struct car_engineio_packet packet;
            CU_ASSERT_FATAL(seen < n && car_engineio_read_polled(text, &scratch, &packet) == 0);
            CU_ASSERT(packet.type == packets[seen].type && packet.binary == packets[seen].binary);
            CU_ASSERT(car_span_eq(packet.data, car_span_of(packets[seen].data, packets[seen].len)));
            seen++;
        }
        CU_ASSERT_EQUAL(seen, n);
        for (size_t cut = 0; cut <= payload.len; cut++) {
            struct car_span front = exact(car_span_of(payload.data, cut));
            rest = front;
            while (car_engineio_next(&rest, &text)) {
                struct car_engineio_packet packet;
                (void)car_engineio_read_polled(text, &scratch, &packet);
            }
            release(front);
        }
    }
    car_buf_free(&payload);
    car_buf_free(&scratch);
}

static void test_open_and_errors(void) {
    struct car_buf out = CAR_BUF_INIT;
    struct car_engineio_handshake handshake = {.sid = CAR_SPAN("abc"),
                                               .upgrades = true,
                                               .ping_interval_ms = 25000,
                                               .ping_timeout_ms = 20000,
                                               .max_payload = 1000000};
    car_engineio_write_open(&out, &handshake);
    CU_ASSERT(
        car_span_eq(car_buf_view(&out), CAR_SPAN("0{\"sid\":\"abc\",\"upgrades\":[\"websocket\"],\"pingInterval\":"
                                                 "25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")));
    out.len = 0;
    handshake.upgrades = false;
    car_engineio_write_open(&out, &handshake);
    CU_ASSERT_PTR_NOT_NULL(memmem(out.data, out.len, "\"upgrades\":[],", 14));
    CU_ASSERT(car_span_eq(car_engineio_error_json(CAR_ENGINEIO_UNSUPPORTED_VERSION),
                          CAR_SPAN("{\"code\":5,\"message\":\"Unsupported protocol version\"}")));
    car_buf_free(&out);
}

static const struct car_test TESTS[] = {
    {"packets", test_read},
    {"base64", test_base64},
    {"payloads", test_payload},
    {"round trip", test_round_trip},
    {"open and errors", test_open_and_errors},
};

int main(void) {
    return car_suite_main("engineio", TESTS, sizeof TESTS / sizeof *TESTS);
}
