#include <pthread.h>
#include <string.h>

#include "carillon/guard/jwt.h"
#include "support/jwt_forge.h"
#include "support/jwt_keys.h"
#include "support/suite.h"

/* Signatures, keys, and a token's form as a text. */

enum { THREADS = 4, ROUNDS = 24 };

static struct jwt_keys keys;
static struct car_buf text; /* the token at hand */
static struct car_jwt_claims claims;

static enum car_jwt_result verify(const struct car_jwt *jwt, const struct car_buf *token) {
    return jwt_keys_verify(jwt, car_buf_view(token), &claims);
}

/* RFC 8725, section 2.1: a key that everybody has is no secret. */
static void test_confusion(void) {
    struct car_jwt only_keys = {.verifiers = {keys.jwt.verifiers[1], keys.jwt.verifiers[2]}, .count = 2};
    struct car_jwt only_secret = {.verifiers = {keys.jwt.verifiers[0]}, .count = 1};
    const struct car_buf *const pems[] = {&keys.rsa_pem, &keys.ec_pem};
    for (size_t i = 0; i < 2; i++) {
        struct car_span pem = car_buf_view(pems[i]);
        for (size_t cut = 0; cut < 2; cut++) { /* with its newline at the end, and without */
            text.len = 0;
            jwt_forge_hs256(CAR_SPAN(JWT_HS256), CAR_SPAN(JWT_PAYLOAD), car_span_of(pem.ptr, pem.len - cut), &text);
            CU_ASSERT_EQUAL(verify(&only_keys, &text), CAR_JWT_ALGORITHM);
            CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
            text.len = 0;
            jwt_forge_hs256(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), car_span_of(pem.ptr, pem.len - cut), &text);
            CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
        }
    }
    /* A good signature, and a header that says another kind. */
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), keys.rsa, &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), keys.ec, &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), keys.rsa, &text);
    CU_ASSERT_EQUAL(verify(&only_keys, &text), CAR_JWT_GOOD);
    CU_ASSERT_EQUAL(verify(&only_secret, &text), CAR_JWT_ALGORITHM);
    CU_ASSERT_EQUAL(verify(&(struct car_jwt){.count = 0}, &text), CAR_JWT_ALGORITHM);
    text.len = 0;
    jwt_forge_der(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), keys.ec, &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
}

/* Keys that are not ours, and several of one algorithm. */
static void test_other_keys(void) {
    EVP_PKEY *other = jwt_forge_ec("P-256");
    struct car_buf pem = CAR_BUF_INIT;
    jwt_forge_pem(other, &pem);
    struct car_jwt_verifier *verifier = jwt_verifier_of_pem(&pem);
    struct car_jwt_verifier *secret = jwt_verifier_of_secret("another secret, and long enough, too");
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), other, &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_SIGNATURE);
    struct car_jwt both = {.verifiers = {keys.jwt.verifiers[2], secret, verifier, keys.jwt.verifiers[0]}, .count = 4};
    CU_ASSERT_EQUAL(verify(&both, &text), CAR_JWT_GOOD);
    text.len = 0;
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), CAR_SPAN(JWT_PAYLOAD), CAR_SPAN(JWT_SECRET), &text);
    CU_ASSERT_EQUAL(verify(&both, &text), CAR_JWT_GOOD);
    text.len = 0;
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), CAR_SPAN(JWT_PAYLOAD), CAR_SPAN(JWT_SECRET "0"), &text);
    CU_ASSERT_EQUAL(verify(&both, &text), CAR_JWT_SIGNATURE);
    car_jwt_verifier_free(&verifier);
    car_jwt_verifier_free(&secret);
    car_buf_free(&pem);
    EVP_PKEY_free(other);
}

/* Every character of a good token replaced, one at a time, by its neighbours: whatever it then is, it is not good. */
static void tamper(void) {
    static const char OTHERS[] = "Aw_.=\n";
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_GOOD);
    for (size_t i = 0; i < text.len; i++) {
        char was = text.data[i];
        char others[sizeof OTHERS + 2];
        memcpy(others, OTHERS, sizeof OTHERS - 1);
        others[sizeof OTHERS - 1] = (char)(was ^ 1);
        others[sizeof OTHERS] = (char)(was ^ 2);
        others[sizeof OTHERS + 1] = (char)(was ^ 0x80);
        for (size_t k = 0; k < sizeof others; k++) {
            text.data[i] = others[k];
            if (others[k] != was &&
                car_jwt_verify(&keys.jwt, car_buf_view(&text), JWT_NOW_MS, &claims) == CAR_JWT_GOOD) {
                CU_FAIL("a token that was tampered with is taken");
            }
        }
        text.data[i] = was;
    }
    /* And every length but its own. */
    for (size_t len = 0; len < text.len; len++) {
        CU_ASSERT_NOT_EQUAL(car_jwt_verify(&keys.jwt, car_span_of(text.data, len), JWT_NOW_MS, &claims), CAR_JWT_GOOD);
    }
    static const char *const MORE[] = {"=", "==", "A", "AA", "AAA", "AAAA", ".", ".AAAA", " ", "\n", "\0"};
    size_t len = text.len;
    for (size_t i = 0; i < sizeof MORE / sizeof *MORE; i++) {
        text.len = len;
        car_buf_put(&text, MORE[i], MORE[i][0] ? strlen(MORE[i]) : 1);
        CU_ASSERT_NOT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_GOOD);
    }
}

static void test_tampered(void) {
    text.len = 0;
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), CAR_SPAN(JWT_PAYLOAD), CAR_SPAN(JWT_SECRET), &text);
    tamper();
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), keys.rsa, &text);
    tamper();
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), keys.ec, &text);
    tamper();
}

static void test_shapes(void) {
    static const char *const BAD[] = {"",
                                      ".",
                                      "..",
                                      "...",
                                      "a",
                                      "a.b",
                                      "a.b.c",
                                      "AAAA.AAAA.AAAA",
                                      "eyJhbGciOiJub25lIn0..",
                                      "eyJhbGciOiJIUzI1NiJ9.e30.",
                                      ".e30.AAAA",
                                      "eyJhbGciOiJIUzI1NiJ9..AAAA",
                                      "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA",
                                      "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
                                      "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA",
                                      "eyJhbGciOiJIUzI1NiJ9.e31.AAAA", /* a bit over */
                                      "eyJhbGciOiJIUzI1NiJ9.e30.AAAAA",
                                      "{\"alg\":\"HS256\"}.{}.x"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CU_ASSERT_EQUAL(jwt_keys_verify(&keys.jwt, car_span_cstr(BAD[i]), &claims), CAR_JWT_MALFORMED);
    }
    CU_ASSERT_EQUAL(jwt_keys_verify(&keys.jwt, car_span_cstr("eyJhbGciOiJIUzI1NiJ9.e30.AAAA"), &claims),
                    CAR_JWT_SIGNATURE);
    CU_ASSERT_EQUAL(jwt_keys_verify(&keys.jwt, car_span_cstr("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"), &claims),
                    CAR_JWT_SIGNATURE);
    CU_ASSERT_EQUAL(jwt_keys_verify(&keys.jwt, car_span_cstr("eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), &claims),
                    CAR_JWT_SIGNATURE);
    CU_ASSERT_EQUAL(car_jwt_verify(&keys.jwt, car_span_of(NULL, 0), JWT_NOW_MS, &claims), CAR_JWT_MALFORMED);
}

/* A token that is nested `n` levels deeper than an object. */
static void put_nested(struct car_buf *payload, size_t n) {
    payload->len = 0;
    car_buf_printf(payload, "{" JWT_TENANT "," JWT_EXP ",\"x\":");
    for (size_t i = 0; i < n; i++) {
        car_buf_span(payload, CAR_SPAN("["));
    }
    for (size_t i = 0; i < n; i++) {
        car_buf_span(payload, CAR_SPAN("]"));
    }
    car_buf_char(payload, '}');
    text.len = 0;
    jwt_forge_hs256(CAR_SPAN("{\"alg\":\"HS256\"}"), car_buf_view(payload), CAR_SPAN(JWT_SECRET), &text);
}

static void test_limits(void) {
    struct car_buf payload = CAR_BUF_INIT;
    put_nested(&payload, 15);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_GOOD);
    put_nested(&payload, 16);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_MALFORMED);
    put_nested(&payload, 2900);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_MALFORMED);
    CU_ASSERT(text.len < CAR_JWT_TOKEN_MAX);
    /* Up to the longest that is read, and one more. */
    text.len = 0;
    for (int n = 5950; text.len <= CAR_JWT_TOKEN_MAX; n++) {
        payload.len = 0;
        car_buf_printf(&payload, "{" JWT_TENANT "," JWT_EXP ",\"x\":\"%0*d\"}", n, 0);
        text.len = 0;
        jwt_forge_hs256(CAR_SPAN("{\"alg\":\"HS256\"}"), car_buf_view(&payload), CAR_SPAN(JWT_SECRET), &text);
        CU_ASSERT_EQUAL(verify(&keys.jwt, &text), text.len <= CAR_JWT_TOKEN_MAX ? CAR_JWT_GOOD : CAR_JWT_MALFORMED);
    }
    CU_ASSERT(text.len <= CAR_JWT_TOKEN_MAX + 2);
    car_buf_free(&payload);
}

static void *verify_often(void *arg) {
    const struct car_buf *tokens = arg;
    size_t good = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct car_jwt_claims mine;
        good += car_jwt_verify(&keys.jwt, car_buf_view(&tokens[i % 3]), JWT_NOW_MS, &mine) == CAR_JWT_GOOD &&
                strcmp(mine.subject, "alice") == 0;
        struct car_span cut = car_span_of(tokens[i % 3].data, tokens[i % 3].len - 4);
        good += car_jwt_verify(&keys.jwt, cut, JWT_NOW_MS, &mine) != CAR_JWT_GOOD;
    }
    return good == (size_t)2 * ROUNDS ? arg : NULL;
}

/* What workers share is read only. */
static void test_threads(void) {
    pthread_t threads[THREADS];
    struct car_buf tokens[3] = {CAR_BUF_INIT};
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), CAR_SPAN(JWT_PAYLOAD), CAR_SPAN(JWT_SECRET), &tokens[0]);
    jwt_forge_signed(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), keys.rsa, &tokens[1]);
    jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), keys.ec, &tokens[2]);
    for (size_t i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, verify_often, tokens), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *good = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &good), 0);
        CU_ASSERT_PTR_NOT_NULL(good);
    }
    for (size_t i = 0; i < 3; i++) {
        car_buf_free(&tokens[i]);
    }
}

static const struct car_test TESTS[] = {
    {"confusion", test_confusion}, {"other keys", test_other_keys}, {"tampered", test_tampered},
    {"shapes", test_shapes},       {"limits", test_limits},         {"threads", test_threads},
};

int main(void) {
    jwt_keys_make(&keys);
    int code = car_suite_main("jwt_signature", TESTS, sizeof TESTS / sizeof *TESTS);
    jwt_keys_free(&keys);
    car_buf_free(&text);
    return code;
}
