#include "carillon/proto/ws_handshake.h"

#include "carillon/base/err.h"
#include "support/suite.h"

static void keys(void) {
    static const struct {
        const char *key;
        bool valid;
    } ROWS[] = {
        {"dGhlIHNhbXBsZSBub25jZQ==", true},
        {"AAAAAAAAAAAAAAAAAAAAAA==", true},
        {"//////////////////////==", true},
        {"++++++++++++++++++++++==", true},
        {"", false},
        {"=", false},
        {"dGhlIHNhbXBsZSBub25jZQ=", false},
        {"dGhlIHNhbXBsZSBub25jZQ", false},
        {"dGhlIHNhbXBsZSBub25jZQ===", false},
        {"dGhlIHNhbXBsZSBub25jZQ== ", false},
        {"dGhlIHNhbXBsZSBub25jZ===", false},
        {"dGhlIHNhbXBsZSBub25jZQA=", false},
        {"dGhlIHNhbXBsZSBub25jZQAA", false},
        {"dGhlIHNhbXBsZSBub 5jZQ==", false},
        {"dGhlIHNhbXBsZSBub-5jZQ==", false},
        {"dGhlIHNhbXBsZSBub_5jZQ==", false},
        {"=GhlIHNhbXBsZSBub25jZQ==", false},
        {"dGhlIHNhbXBsZSBub25jZQ=A", false},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        CU_ASSERT_EQUAL(car_ws_key_valid(car_span_cstr(ROWS[i].key)), ROWS[i].valid);
    }
    CU_ASSERT_FALSE(car_ws_key_valid((struct car_span){0}));
    CU_ASSERT_FALSE(car_ws_key_valid(car_span_of("dGhlIHNhbXBs\0SBub25jZQ==", 24)));
}

/* RFC 6455, section 1.3, and two more by Python's hashlib. */
static void accepts(void) {
    static const char *const ROWS[][2] = {
        {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"x3JHMbDL1EzLkh9GBhXDPw==", "BHX/XCSu8nXkTPopI696LpArPi0="},
        {"AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char out[CAR_WS_ACCEPT_LEN];
        car_ws_accept(car_span_cstr(ROWS[i][0]), out);
        CU_ASSERT_EQUAL(memcmp(out, ROWS[i][1], CAR_WS_ACCEPT_LEN), 0);
    }
}

#define PMD    "permessage-deflate"
#define AGREED PMD "; server_no_context_takeover; client_no_context_takeover"

struct row {
    const char *offers;
    const char *answer; /* "" where there is none, NULL where the field is malformed */
};

static void play(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct car_pmd_params params = {.on = true};
        int err = car_ws_negotiate(car_span_cstr(rows[i].offers), &params);
        struct car_buf out = CAR_BUF_INIT;
        car_ws_extension_write(&params, &out);
        const char *want = rows[i].answer ? rows[i].answer : "";
        bool right = err == (rows[i].answer ? CAR_OK : CAR_EINVAL) && params.on == (*want != '\0') &&
                     car_span_eq(car_buf_view(&out), car_span_cstr(want));
        if (!right) {
            printf("\n%s\n  gave %d: %.*s\n", rows[i].offers, err, (int)out.len, out.len ? out.data : "");
        }
        CU_ASSERT_TRUE(right);
        car_buf_free(&out);
    }
}
#define PLAY(rows) play(rows, sizeof(rows) / sizeof *(rows))

/* Offers as browsers and libraries make them, and as RFC 7692, section 7.1, allows. */
static void agreed(void) {
    static const struct row ROWS[] = {
        {PMD, AGREED},
        {PMD "; client_max_window_bits", AGREED},
        {PMD ";client_max_window_bits=15", AGREED "; client_max_window_bits=15"},
        {PMD "; client_max_window_bits=8", AGREED "; client_max_window_bits=8"},
        {PMD "; client_max_window_bits=9", AGREED "; client_max_window_bits=9"},
        {PMD "; server_max_window_bits=9", AGREED "; server_max_window_bits=9"},
        {PMD "; server_max_window_bits=15", AGREED "; server_max_window_bits=15"},
        {PMD "; server_max_window_bits=\"10\"", AGREED "; server_max_window_bits=10"},
        {PMD "; server_max_window_bits=\"1\\2\"", AGREED "; server_max_window_bits=12"},
        {PMD "; server_no_context_takeover", AGREED},
        {PMD "; client_no_context_takeover", AGREED},
        {PMD "; client_no_context_takeover; server_no_context_takeover", AGREED},
        {PMD "; client_max_window_bits=11; server_max_window_bits=12",
         AGREED "; server_max_window_bits=12; client_max_window_bits=11"},
        {PMD "; server_max_window_bits=10; client_max_window_bits", AGREED "; server_max_window_bits=10"},
        {" \t" PMD " \t; \tclient_max_window_bits \t=\t 10 \t", AGREED "; client_max_window_bits=10"},
        {"x-webkit-deflate-frame, " PMD, AGREED},
        {"x; a=\"b\"; a; c=d ," PMD "; client_max_window_bits", AGREED},
        {", ,," PMD ",,", AGREED},
        /* The first that can be met. */
        {PMD "; server_max_window_bits=10, " PMD, AGREED "; server_max_window_bits=10"},
        {PMD ", " PMD "; server_max_window_bits=10", AGREED},
        {PMD "; server_max_window_bits=8, " PMD "; client_max_window_bits", AGREED},
        {PMD "; unknown, " PMD "; server_max_window_bits=11", AGREED "; server_max_window_bits=11"},
        {PMD "; server_max_window_bits, " PMD, AGREED},
    };
    PLAY(ROWS);
}

static void declined(void) {
    static const struct row ROWS[] = {
        {"", ""},
        {" ", ""},
        {",", ""},
        {"x-webkit-deflate-frame", ""},
        {"permessage-bzip2; a=1", ""},
        {PMD "x", ""},
        {"Permessage-Deflate", ""},
        {PMD "; unknown", ""},
        {PMD "; unknown=1", ""},
        {PMD "; Client_max_window_bits", ""},
        {PMD "; server_max_window_bits=8", ""},
        {PMD "; server_max_window_bits=7", ""},
        {PMD "; server_max_window_bits=16", ""},
        {PMD "; server_max_window_bits=0", ""},
        {PMD "; server_max_window_bits=09", ""},
        {PMD "; server_max_window_bits=015", ""},
        {PMD "; server_max_window_bits=100", ""},
        {PMD "; server_max_window_bits=1000000000000000000000010", ""},
        {PMD "; server_max_window_bits=+9", ""},
        {PMD "; server_max_window_bits=9a", ""},
        {PMD "; server_max_window_bits=a", ""},
        {PMD "; server_max_window_bits", ""},
        {PMD "; server_max_window_bits=\"16\"", ""},
        {PMD "; client_max_window_bits=7", ""},
        {PMD "; client_max_window_bits=16", ""},
        {PMD "; client_max_window_bits=08", ""},
        {PMD "; client_max_window_bits=true", ""},
        {PMD "; server_no_context_takeover=1", ""},
        {PMD "; server_no_context_takeover=true", ""},
        {PMD "; client_no_context_takeover=\"x\"", ""},
        {PMD "; server_no_context_takeover; server_no_context_takeover", ""},
        {PMD "; client_no_context_takeover; client_no_context_takeover", ""},
        {PMD "; client_max_window_bits; client_max_window_bits", ""},
        {PMD "; client_max_window_bits=10; client_max_window_bits=10", ""},
        {PMD "; server_max_window_bits=10; server_max_window_bits=10", ""},
    };
    PLAY(ROWS);
}

/* Not what RFC 6455, section 9.1, allows: no extension, though a good offer stand before the flaw. */
static void malformed(void) {
    static const struct row ROWS[] = {
        {";", NULL},
        {"=", NULL},
        {"\"" PMD "\"", NULL},
        {PMD ";", NULL},
        {PMD "; ", NULL},
        {PMD "; ;client_max_window_bits", NULL},
        {PMD "; =10", NULL},
        {PMD "=1", NULL},
        {PMD " x", NULL},
        {PMD "; client_max_window_bits=", NULL},
        {PMD "; client_max_window_bits= ", NULL},
        {PMD "; client_max_window_bits=,", NULL},
        {PMD "; client_max_window_bits 10", NULL},
        {PMD "; client_max_window_bits==10", NULL},
        {PMD "; client_max_window_bits=\"10", NULL},
        {PMD "; client_max_window_bits=\"10\\", NULL},
        {PMD "; client_max_window_bits=\"10\\\"", NULL},
        {PMD "; client_max_window_bits=\"\"", NULL},
        {PMD "; client_max_window_bits=\" 10\"", NULL},
        {PMD "; client_max_window_bits=\"10\"0", NULL},
        {PMD "; client_max_window_bits=\"1,0\"", NULL},
        {PMD "; client_max_window_bits='10'\"", NULL},
        {PMD ", x y", NULL},
        {PMD ", (comment)", NULL},
        {PMD ", x;a=\"b", NULL},
        {PMD "; client_max_window_bits\r\n", NULL},
        {PMD "\x7f", NULL},
        {PMD "\xc3\xa9", NULL},
    };
    PLAY(ROWS);
    struct car_pmd_params params = {.on = true};
    CU_ASSERT_EQUAL(car_ws_negotiate(car_span_of(PMD "\0", sizeof PMD), &params), CAR_EINVAL);
    CU_ASSERT_FALSE(params.on);
}

static void params(void) {
    struct car_pmd_params p;
    CU_ASSERT_EQUAL(car_ws_negotiate(CAR_SPAN(PMD), &p), 0);
    CU_ASSERT_EQUAL(p.server_bits, 15);
    CU_ASSERT_EQUAL(p.client_bits, 15);
    CU_ASSERT_EQUAL(car_ws_negotiate(CAR_SPAN(PMD "; server_max_window_bits=9;client_max_window_bits=13"), &p), 0);
    CU_ASSERT_EQUAL(p.server_bits, 9);
    CU_ASSERT_EQUAL(p.client_bits, 13);
}

/* A value of a MiB costs its length. */
static void large(void) {
    struct car_buf offers = CAR_BUF_INIT;
    while (offers.len < 1 << 20) {
        CAR_BUF_LIT(&offers, PMD "; unknown=\"\\a\\b\"; a,,\t ");
    }
    CAR_BUF_LIT(&offers, PMD);
    struct car_pmd_params p;
    CU_ASSERT_EQUAL(car_ws_negotiate(car_buf_view(&offers), &p), 0);
    CU_ASSERT_TRUE(p.on);
    car_buf_free(&offers);
}

static const struct car_test TESTS[] = {
    {"keys", keys},           {"accepts", accepts}, {"agreed", agreed}, {"declined", declined},
    {"malformed", malformed}, {"params", params},   {"large", large},
};

int main(void) {
    return car_suite_main("ws_handshake", TESTS, sizeof TESTS / sizeof *TESTS);
}
