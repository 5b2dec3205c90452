#include "carillon/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "carillon/base/err.h"

#include "suite.h"

static struct car_address address_of(const char *text) {
    struct car_address address = {0};
    CU_ASSERT_EQUAL_FATAL(car_address_parse(car_span_cstr(text), &address), 0);
    return address;
}

/* What is read and written again, as `written`. */
static void reads_as(const char *text, const char *written, bool v4) {
    struct car_address address = address_of(text);
    char out[CAR_ADDRESS_TEXT];
    size_t len = car_address_write(&address, out);
    CU_ASSERT_STRING_EQUAL(out, written);
    CU_ASSERT_EQUAL(len, strlen(written));
    CU_ASSERT_EQUAL(car_address_is_v4(&address), v4);
}

static void test_text(void) {
    reads_as("0.0.0.0", "0.0.0.0", true);
    reads_as("192.0.2.1", "192.0.2.1", true);
    reads_as("255.255.255.255", "255.255.255.255", true);
    reads_as("::ffff:192.0.2.1", "192.0.2.1", true);
    reads_as("::FFFF:c000:201", "192.0.2.1", true);
    reads_as("::", "::", false);
    reads_as("::1", "::1", false);
    reads_as("2001:DB8:0:0:0:0:0:1", "2001:db8::1", false);
    reads_as("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false);
    struct car_address address = address_of("1.2.3.4");
    static const uint8_t BYTES[16] = {[10] = 0xFF, 0xFF, 1, 2, 3, 4};
    CU_ASSERT_EQUAL(memcmp(address.bytes, BYTES, sizeof BYTES), 0);
}

static const char *const NO_ADDRESSES[] = {
    "",
    " ",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4/8",
    "0x1.2.3.4",
    "16909060",
    "1.2.3.-4",
    "localhost",
    "unknown",
    "_hidden",
    ":",
    ":::",
    "1::2::3",
    "12345::",
    "::1%lo",
    "fe80::1%eth0",
    "1:2:3:4:5",
    "::g",
    "1:2:3:4:5:6:7:8:9",
    "::1.2.3",
    "\xd9\xa1.2.3.4",
    "1.2.3.4\n",
    "::ffff:1.2.3.4.5",
    "0000:0000:0000:0000:0000:0000:0000:0000000000000000000000000000000000000000000000",
};

static void test_no_text(void) {
    for (size_t i = 0; i < sizeof NO_ADDRESSES / sizeof *NO_ADDRESSES; i++) {
        struct car_address address;
        memset(&address, 7, sizeof address);
        struct car_address before = address;
        CU_ASSERT_EQUAL(car_address_parse(car_span_cstr(NO_ADDRESSES[i]), &address), CAR_EINVAL);
        CU_ASSERT_EQUAL(car_address_parse_with_port(car_span_cstr(NO_ADDRESSES[i]), &address), CAR_EINVAL);
        CU_ASSERT_TRUE(car_address_eq(&address, &before));
    }
    struct car_address address;
    CU_ASSERT_EQUAL(car_address_parse(car_span_of("1.2.3.4\0", 8), &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_parse(car_span_of("1.2.3\0.4", 8), &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_parse(car_span_of(NULL, 0), &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_parse(car_span_of("1.2.3.45", 7), &address), 0); /* no NUL is needed */
    CU_ASSERT_EQUAL(address.bytes[15], 4);
}

static void test_ports(void) {
    static const char *const GOOD[][2] = {
        {"1.2.3.4", "1.2.3.4"},
        {"1.2.3.4:1", "1.2.3.4"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"[::1]:65535", "::1"},
        {"2001:db8::1:80", "2001:db8::1:80"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"[::ffff:1.2.3.4]:8", "1.2.3.4"},
    };
    static const char *const WRONG[] = {
        "1.2.3.4:",   "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:01", "1.2.3.4:a",  "1.2.3.4:-1",
        "1.2.3.4: 1", "[1.2.3.4]", "[::1",          "[::1]:",     "[::1]:0",    "[::1]80",
        "[::1]]",     "[]",        "[]:80",         "[",          "]",          "[[::1]]",
        "::1]",       ":80",       "[::1]:80:80",   "[::1%1]",    "1.2.3.4::1", "1.2.3.4:999999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct car_address address;
        struct car_address expected = address_of(GOOD[i][1]);
        CU_ASSERT_EQUAL_FATAL(car_address_parse_with_port(car_span_cstr(GOOD[i][0]), &address), 0);
        CU_ASSERT_TRUE(car_address_eq(&address, &expected));
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        struct car_address address;
        if (car_address_parse_with_port(car_span_cstr(WRONG[i]), &address) != CAR_EINVAL) {
            CU_FAIL(WRONG[i]);
            fprintf(stderr, "taken: %s\n", WRONG[i]);
        }
    }
}

static void test_sockets(void) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0xC0000201)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_scope_id = 3};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct car_address expected = address_of("192.0.2.1");
    struct car_address address = {0};
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&v4, sizeof v4, &address), 0);
    CU_ASSERT_TRUE(car_address_eq(&address, &expected));
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
    memset(&address, 0, sizeof address);
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&v6, sizeof v6, &address), 0);
    CU_ASSERT_TRUE(car_address_eq(&address, &expected));
    inet_pton(AF_INET6, "fe80::7", &v6.sin6_addr);
    expected = address_of("fe80::7");
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&v6, sizeof v6, &address), 0);
    CU_ASSERT_TRUE(car_address_eq(&address, &expected));
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&v4, sizeof v4 - 1, &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&v6, sizeof v6 - 1, &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&un, sizeof un, &address), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_address_of_sockaddr((struct sockaddr *)&un, 0, &address), CAR_EINVAL);
}

static bool same_key(const char *a, const char *b) {
    struct car_address one = address_of(a);
    struct car_address other = address_of(b);
    one = car_address_key(&one);
    other = car_address_key(&other);
    return car_address_eq(&one, &other);
}

static void test_keys(void) {
    CU_ASSERT_TRUE(same_key("1.2.3.4", "::ffff:1.2.3.4"));
    CU_ASSERT_FALSE(same_key("1.2.3.4", "1.2.3.5"));
    CU_ASSERT_TRUE(same_key("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    CU_ASSERT_FALSE(same_key("2001:db8:1:2::1", "2001:db8:1:3::1"));
    CU_ASSERT_FALSE(same_key("1.2.3.4", "::"));
}

static struct car_cidr cidr_of(const char *text) {
    struct car_cidr cidr = {0};
    if (car_cidr_parse(car_span_cstr(text), &cidr) != 0) {
        CU_FAIL_FATAL("no range");
    }
    return cidr;
}

static bool has(const char *range, const char *text) {
    struct car_cidr cidr = cidr_of(range);
    struct car_address address = address_of(text);
    return car_cidr_has(&cidr, &address);
}

static void test_ranges(void) {
    CU_ASSERT_TRUE(has("10.0.0.0/8", "10.0.0.0"));
    CU_ASSERT_TRUE(has("10.0.0.0/8", "10.255.255.255"));
    CU_ASSERT_TRUE(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    CU_ASSERT_FALSE(has("10.0.0.0/8", "11.0.0.0"));
    CU_ASSERT_FALSE(has("10.0.0.0/8", "9.255.255.255"));
    CU_ASSERT_FALSE(has("10.0.0.0/8", "a00::"));
    CU_ASSERT_TRUE(has("::ffff:10.0.0.0/104", "10.1.2.3"));
    CU_ASSERT_TRUE(has("192.0.2.7", "192.0.2.7"));
    CU_ASSERT_FALSE(has("192.0.2.7", "192.0.2.6"));
    CU_ASSERT_TRUE(has("0.0.0.0/0", "255.1.2.3"));
    CU_ASSERT_FALSE(has("0.0.0.0/0", "::1"));
    CU_ASSERT_TRUE(has("::1", "::1"));
    CU_ASSERT_TRUE(has("::1/128", "::1"));
    CU_ASSERT_FALSE(has("::1/128", "::"));
    CU_ASSERT_TRUE(has("::/0", "2001:db8::1"));
    CU_ASSERT_FALSE(has("::/0", "10.0.0.1"));
    CU_ASSERT_FALSE(has("::/80", "10.0.0.1"));
    CU_ASSERT_TRUE(has("::ffff:0:0/96", "10.0.0.1"));
    CU_ASSERT_TRUE(has("2001:db8:8000::/33", "2001:db8:ffff::"));
    CU_ASSERT_FALSE(has("2001:db8:8000::/33", "2001:db8:7fff::"));
}

/* Each length has the addresses that differ behind it, and none that differ in its last bit. */
static void test_every_length(void) {
    for (unsigned bits = 0; bits <= 32; bits++) {
        char text[32];
        struct car_cidr cidr;
        uint32_t base = 0xAAAAAAAAu & (bits ? 0xFFFFFFFFu << (32 - bits) : 0);
        uint32_t last = base | (bits < 32 ? 0xFFFFFFFFu >> bits : 0);
        uint32_t all[] = {htonl(base), htonl(last), htonl(base ^ (bits ? 1u << (32 - bits) : 0))};
        struct in_addr in = {all[0]};
        snprintf(text, sizeof text, "%s/%u", inet_ntoa(in), bits);
        CU_ASSERT_EQUAL_FATAL(car_cidr_parse(car_span_cstr(text), &cidr), 0);
        for (unsigned i = 0; i < 3; i++) {
            uint8_t bytes[4];
            memcpy(bytes, &all[i], 4);
            struct car_address address = car_address_of_v4(bytes);
            CU_ASSERT_EQUAL(car_cidr_has(&cidr, &address), i < 2 || bits == 0);
        }
    }
}

static void test_no_ranges(void) {
    static const char *const WRONG[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.1/8",
        "10.0.0.0/6",
        "10.0.0/8",
        "10/8",
        "0.0.0.1/0",
        "::1/127",
        "::/129",
        "::1/0",
        "2001:db8::/31x",
        "2001:db8::1/64",
        "[::1]/128",
        "::ffff:10.0.0.0/8",
        "::ffff:10.0.0.1/104",
        "10.0.0.0:80/8",
        "all",
        "*",
        "10.0.0.0/255.0.0.0",
        "::/99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        struct car_cidr cidr;
        if (car_cidr_parse(car_span_cstr(WRONG[i]), &cidr) != CAR_EINVAL) {
            CU_FAIL(WRONG[i]);
            fprintf(stderr, "taken: %s\n", WRONG[i]);
        }
    }
}

static void test_any(void) {
    struct car_cidr cidrs[] = {cidr_of("10.0.0.0/8"), cidr_of("fd00::/8"), cidr_of("192.0.2.1")};
    struct car_address in = address_of("fd12::1");
    struct car_address last = address_of("192.0.2.1");
    struct car_address out = address_of("fe80::1");
    CU_ASSERT_TRUE(car_cidr_any_has(cidrs, 3, &in));
    CU_ASSERT_TRUE(car_cidr_any_has(cidrs, 3, &last));
    CU_ASSERT_FALSE(car_cidr_any_has(cidrs, 2, &last));
    CU_ASSERT_FALSE(car_cidr_any_has(cidrs, 3, &out));
    CU_ASSERT_FALSE(car_cidr_any_has(NULL, 0, &in));
}

static const struct car_test TESTS[] = {
    {"text", test_text},
    {"no text", test_no_text},
    {"ports", test_ports},
    {"sockets", test_sockets},
    {"keys", test_keys},
    {"ranges", test_ranges},
    {"every length", test_every_length},
    {"no ranges", test_no_ranges},
    {"any", test_any},
};

int main(void) {
    return car_suite_main("address", TESTS, sizeof TESTS / sizeof *TESTS);
}
