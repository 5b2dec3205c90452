#include "carillon/base/crypto.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "carillon/base/err.h"
#include "suite.h"

static void check_hex(const uint8_t *bytes, size_t len, const char *want) {
    char text[65] = "";
    for (size_t i = 0; i < len && i < 32; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    CU_ASSERT_STRING_EQUAL(text, want);
}

/* FIPS 180-4, the examples. */
static void test_digests(void) {
    uint8_t sha1[20];
    uint8_t sha256[32];
    car_sha1("abc", 3, sha1);
    check_hex(sha1, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    car_sha1(NULL, 0, sha1);
    check_hex(sha1, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    car_sha256("abc", 3, sha256);
    check_hex(sha256, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    car_sha256("", 0, sha256);
    check_hex(sha256, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void *digest_by_turns(void *good) {
    for (int i = 0; i < 100; i++) {
        uint8_t out[64];
        char text[65] = "";
        bool first = i % 2 == 0;
        memset(out, '!', sizeof out);
        (first ? car_sha1 : car_sha256)("abc", 3, out);
        snprintf(text, sizeof text, "%02x%02x%02x%02x", out[0], out[1], out[2], out[first ? 19 : 31]);
        *(bool *)good =
            *(bool *)good && out[first ? 20 : 32] == '!' && strcmp(text, first ? "a9993e9d" : "ba7816ad") == 0;
    }
    return NULL;
}

/* Either digest after the other, on threads that come and go at once: what a thread keeps for them is its own, and goes
 * with it. */
static void test_digests_on_threads(void) {
    enum { THREADS = 4, ROUNDS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        bool good[THREADS];
        for (int i = 0; i < THREADS; i++) {
            good[i] = true;
            CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, digest_by_turns, &good[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            CU_ASSERT_TRUE(good[i]);
        }
    }
}

/* RFC 6455, section 1.3. */
static void test_websocket_accept(void) {
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t sha1[20];
    char text[29] = "";
    car_sha1(key, sizeof key - 1, sha1);
    CU_ASSERT_EQUAL(car_base64_write(sha1, sizeof sha1, text), 28);
    CU_ASSERT_STRING_EQUAL(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* RFC 4648, section 10. */
static void test_base64(void) {
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xef\xbe", "/+++"},
                                          {"\xff", "/w=="}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16];
        memset(text, '!', sizeof text);
        size_t len = strlen(rows[i][0]);
        size_t wrote = car_base64_write(rows[i][0], len, text);
        CU_ASSERT_EQUAL(wrote, 4 * ((len + 2) / 3));
        CU_ASSERT_EQUAL(wrote, strlen(rows[i][1]));
        CU_ASSERT_EQUAL(memcmp(text, rows[i][1], wrote), 0);
        CU_ASSERT_EQUAL(text[wrote], '!');
    }
}

/* What is written is read back, behind what is there. */
static void test_base64_read(void) {
    static const char *const BAD[] = {"A",     "AA",    "AAA",   "AAAAA",    "=",        "==",      "===",  "====",
                                      "A===",  "AA=A",  "=AAA",  "AAAA====", "AA==AAAA", "AAAA=",   "-_-_", " AAAA",
                                      "AAAA ", "AAA\n", "\nAAA", "AA A",     "AA\t=",    "AAA\xc3", "AA%3D"};
    uint8_t bytes[67];
    char text[92];
    struct car_buf out = CAR_BUF_INIT;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        car_random(bytes, len);
        size_t wrote = car_base64_write(bytes, len, text);
        out.len = 0;
        car_buf_char(&out, '!');
        CU_ASSERT_EQUAL(car_base64_read(car_span_of(text, wrote), &out), 0);
        CU_ASSERT(out.len == len + 1 && out.data[0] == '!' && memcmp(out.data + 1, bytes, len) == 0);
    }
    out.len = 1;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CU_ASSERT_EQUAL(car_base64_read(car_span_cstr(BAD[i]), &out), CAR_EINVAL);
        CU_ASSERT(out.len == 1 && out.data[0] == '!');
    }
    CU_ASSERT_EQUAL(car_base64_read(car_span_of("AA\0A", 4), &out), CAR_EINVAL);
    /* Bits that the padding leaves over are passed by. */
    CU_ASSERT_EQUAL(car_base64_read(CAR_SPAN("Zh=="), &out), 0);
    CU_ASSERT(out.len == 2 && out.data[1] == 'f');
    car_buf_free(&out);
}

static void test_random(void) {
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    car_random(a, sizeof a);
    car_random(b, sizeof b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    uint8_t guard[3] = {1, 2, 3};
    car_random(guard + 1, 0);
    CU_ASSERT_EQUAL(guard[1], 2);
}

static const struct car_test TESTS[] = {{"digests", test_digests},
                                        {"digests on threads", test_digests_on_threads},
                                        {"WebSocket accept", test_websocket_accept},
                                        {"base64", test_base64},
                                        {"base64, read", test_base64_read},
                                        {"random", test_random}};

int main(void) {
    return car_suite_main("crypto", TESTS, sizeof TESTS / sizeof *TESTS);
}
