#include "carillon/guard/peer.h"

#include <string.h>

#include "carillon/base/buf.h"

#include "suite.h"

enum { LINES_MAX = 100 };

static struct car_cidr trusted[2];

/* Whom a request is from that came from `peer` with these lines of X-Forwarded-For, others between them. */
static const char *client_of(const char *peer, size_t count, const struct car_span *lines) {
    static char text[CAR_ADDRESS_TEXT];
    struct car_http_header headers[2 * LINES_MAX + 1];
    struct car_http_request req = {.headers = headers};
    struct car_address address;
    CU_ASSERT_EQUAL_FATAL(car_cidr_parse(CAR_SPAN("10.0.0.0/8"), &trusted[0]), 0);
    CU_ASSERT_EQUAL_FATAL(car_cidr_parse(CAR_SPAN("fd00::/8"), &trusted[1]), 0);
    CU_ASSERT_EQUAL_FATAL(car_address_parse(car_span_cstr(peer), &address), 0);
    for (size_t i = 0; i < count; i++) {
        headers[req.header_count++] =
            (struct car_http_header){i % 2 ? CAR_SPAN("x-forwarded-for") : CAR_SPAN("X-Forwarded-For"), lines[i]};
        headers[req.header_count++] = (struct car_http_header){CAR_SPAN("X-Forwarded-Foo"), CAR_SPAN("6.6.6.6")};
    }
    struct car_address client = car_peer_client(trusted, 2, &address, &req);
    car_address_write(&client, text);
    return text;
}

#define CLIENT(peer, ...)                                                                                              \
    client_of((peer), sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                                          \
              spans((const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)))

static const struct car_span *spans(const char *const *texts, size_t count) {
    static struct car_span all[LINES_MAX];
    for (size_t i = 0; i < count; i++) {
        all[i] = car_span_cstr(texts[i]);
    }
    return all;
}

static void test_untrusted(void) {
    CU_ASSERT_STRING_EQUAL(client_of("192.0.2.9", 0, NULL), "192.0.2.9");
    CU_ASSERT_STRING_EQUAL(CLIENT("192.0.2.9", "1.2.3.4"), "192.0.2.9");
    CU_ASSERT_STRING_EQUAL(CLIENT("192.0.2.9", "10.0.0.1", "1.2.3.4, 10.0.0.1"), "192.0.2.9");
    CU_ASSERT_STRING_EQUAL(CLIENT("2001:db8::1", "1.2.3.4"), "2001:db8::1");
}

static void test_none_is_trusted(void) {
    struct car_http_header header = {CAR_SPAN("X-Forwarded-For"), CAR_SPAN("1.2.3.4")};
    struct car_http_request req = {.headers = &header, .header_count = 1};
    struct car_address peer;
    CU_ASSERT_EQUAL(car_address_parse(CAR_SPAN("10.0.0.1"), &peer), 0);
    struct car_address client = car_peer_client(NULL, 0, &peer, &req);
    CU_ASSERT_TRUE(car_address_eq(&client, &peer));
}

static void test_trusted(void) {
    CU_ASSERT_STRING_EQUAL(client_of("10.0.0.1", 0, NULL), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "1.2.3.4"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("::ffff:10.0.0.1", "1.2.3.4"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("fd00::1", "2001:db8::7"), "2001:db8::7");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "9.9.9.9, 1.2.3.4"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "9.9.9.9,1.2.3.4 ,\t10.2.0.1"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "9.9.9.9", "1.2.3.4", "10.2.0.1", "fd00::5,10.3.0.1"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "10.9.0.1, 10.8.0.1", "10.7.0.1"), "10.9.0.1"); /* all are */
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "1.2.3.4:4711"), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "1.2.3.4, [fd00::2]:80, 10.0.0.3:1"), "1.2.3.4");
}

/* Nothing to the left of what is no address is believed. */
static void test_no_address(void) {
    static const char *const WRONG[] = {"unknown",    "_gone",        "",
                                        " ",          "1.2.3",        "\"10.0.0.2\"",
                                        "[10.0.0.2]", "for=10.0.0.2", "10.0.0.2 10.0.0.3",
                                        "10.0.0.2;",  "fd00::1%eth0", "unix:"};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        struct car_buf line = CAR_BUF_INIT;
        car_buf_printf(&line, "9.9.9.9, %s, 10.5.0.1", WRONG[i]);
        struct car_span lines[2] = {car_buf_view(&line), car_span_cstr("10.6.0.1")};
        CU_ASSERT_STRING_EQUAL(client_of("10.0.0.1", 2, lines), "10.5.0.1");
        struct car_span alone[2] = {car_span_cstr("9.9.9.9"), car_span_cstr(WRONG[i])};
        CU_ASSERT_STRING_EQUAL(client_of("10.0.0.1", 2, alone), "10.0.0.1");
        car_buf_free(&line);
    }
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", "9.9.9.9,"), "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(CLIENT("10.0.0.1", ",1.2.3.4"), "1.2.3.4");
    struct car_span nul = car_span_of("1.2.3.4\0", 8);
    CU_ASSERT_STRING_EQUAL(client_of("10.0.0.1", 1, &nul), "10.0.0.1");
    struct car_span absent = {0};
    CU_ASSERT_STRING_EQUAL(client_of("10.0.0.1", 1, &absent), "10.0.0.1");
}

/* `hops` trusted ones, in `lines` lines, behind a client; the one nearest to it is 10.1.0.0. */
static const char *behind(unsigned hops, unsigned lines) {
    static struct car_buf bufs[LINES_MAX];
    struct car_span all[LINES_MAX];
    for (unsigned i = 0; i < lines; i++) {
        car_buf_free(&bufs[i]);
    }
    CAR_BUF_LIT(&bufs[0], "1.2.3.4");
    for (unsigned i = 0; i < hops; i++) {
        struct car_buf *buf = &bufs[lines == 1 ? 0 : i + 1];
        car_buf_printf(buf, "%s10.1.0.%u", buf->len ? ", " : "", i);
    }
    for (unsigned i = 0; i < lines; i++) {
        all[i] = car_buf_view(&bufs[i]);
    }
    const char *client = client_of("10.0.0.1", lines, all);
    for (unsigned i = 0; i < lines; i++) {
        car_buf_free(&bufs[i]);
    }
    return client;
}

static void test_bounded(void) {
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX - 1, 1), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX, 1), "10.1.0.0");
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX + 1, 1), "10.1.0.1");
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX - 1, CAR_PEER_HOPS_MAX), "1.2.3.4");
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX, CAR_PEER_HOPS_MAX + 1), "10.1.0.0");
    CU_ASSERT_STRING_EQUAL(behind(CAR_PEER_HOPS_MAX + 9, CAR_PEER_HOPS_MAX + 10), "10.1.0.9");
}

static const struct car_test TESTS[] = {
    {"untrusted", test_untrusted}, {"none is trusted", test_none_is_trusted},
    {"trusted", test_trusted},     {"no address", test_no_address},
    {"bounded", test_bounded},
};

int main(void) {
    return car_suite_main("peer", TESTS, sizeof TESTS / sizeof *TESTS);
}
