#include "carillon/guard/jwt.h"

#include <stdio.h>
#include <string.h>

#include "support/jwt_forge.h"
#include "support/jwt_keys.h"
#include "support/suite.h"

/* What the header and the claims say, as of one moment, in tokens that are signed as they have to be. */

static struct jwt_keys keys;
static struct car_buf text; /* the token at hand */
static struct car_jwt_claims claims;

static enum car_jwt_result verify(const struct car_jwt *jwt, const struct car_buf *token) {
    return jwt_keys_verify(jwt, car_buf_view(token), &claims);
}

/* Of a token with this header and payload, signed JWT_HS256 as it has to be. */
static enum car_jwt_result result_of(const char *header, const char *payload) {
    text.len = 0;
    jwt_forge_hs256(car_span_cstr(header), car_span_cstr(payload), CAR_SPAN(JWT_SECRET), &text);
    return verify(&keys.jwt, &text);
}

struct row {
    const char *text;
    enum car_jwt_result result;
};

static void check(const struct row *row, enum car_jwt_result result) {
    if (result != row->result) {
        CU_FAIL(row->text);
        fprintf(stderr, "%s: %d, not %d\n", row->text, (int)result, (int)row->result);
    }
}

static void check_alice(void) {
    CU_ASSERT_STRING_EQUAL(claims.tenant, "tenant_a");
    CU_ASSERT_STRING_EQUAL(claims.subject, "alice");
    CU_ASSERT_EQUAL(claims.scopes, CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE);
    CU_ASSERT_EQUAL(claims.expires_ms, INT64_C(1800000060000));
}

static void test_good(void) {
    CU_ASSERT_EQUAL(result_of(JWT_HS256, JWT_PAYLOAD), CAR_JWT_GOOD);
    check_alice();
    text.len = 0;
    jwt_forge_signed(CAR_SPAN(JWT_RS256), CAR_SPAN(JWT_PAYLOAD), keys.rsa, &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_GOOD);
    check_alice();
    /* Often enough that R or S begins with a zero byte now and then. */
    for (int i = 0; i < 64; i++) {
        text.len = 0;
        jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN(JWT_PAYLOAD), keys.ec, &text);
        CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_GOOD);
        check_alice();
    }
}

static void test_headers(void) {
    static const struct row ROWS[] = {
        {JWT_HS256, CAR_JWT_GOOD},
        {"{\"alg\":\"HS256\"}", CAR_JWT_GOOD},
        {" {\"typ\":\"jwt\",\"alg\":\"\\u0048S256\"}\n", CAR_JWT_GOOD},
        {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\",\"jku\":\"http://127.0.0.1/\",\"jwk\":{\"kty\":\"oct\"}}",
         CAR_JWT_GOOD},
        {"{\"alg\":\"none\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"None\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"NONE\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"hs256\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"Hs256\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"HS256 \"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"HS384\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"HS512\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"PS256\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"ES384\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"EdDSA\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"\"}", CAR_JWT_ALGORITHM},
        {"{\"alg\":\"RS256\"}", CAR_JWT_SIGNATURE},
        {"{\"alg\":\"ES256\"}", CAR_JWT_SIGNATURE},
        {"{\"alg\":null}", CAR_JWT_MALFORMED},
        {"{\"alg\":[\"HS256\"]}", CAR_JWT_MALFORMED},
        {"{\"alg\":1}", CAR_JWT_MALFORMED},
        {"{}", CAR_JWT_MALFORMED},
        {"{\"ALG\":\"HS256\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"a\\u006cg\":\"none\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[]}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":null}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"JWE\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":7}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\\u0000\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\"}x", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\"", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",}", CAR_JWT_MALFORMED},
        {"[\"HS256\"]", CAR_JWT_MALFORMED},
        {"\"HS256\"", CAR_JWT_MALFORMED},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", CAR_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", CAR_JWT_MALFORMED},
        {" ", CAR_JWT_MALFORMED},
        {"", CAR_JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        check(&ROWS[i], result_of(ROWS[i].text, JWT_PAYLOAD));
    }
    /* A text that ends, for whoever reads C strings, before it does. */
    text.len = 0;
    jwt_forge_hs256(CAR_SPAN("{\"alg\":\"HS256\"}\0"), CAR_SPAN(JWT_PAYLOAD), CAR_SPAN(JWT_SECRET), &text);
    CU_ASSERT_EQUAL(verify(&keys.jwt, &text), CAR_JWT_MALFORMED);
}

static void test_payloads(void) {
    static const struct row ROWS[] = {
        {"{" JWT_TENANT "," JWT_EXP "}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"iat\":\"yesterday\",\"aud\":7,\"iss\":{},\"jti\":[]}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":1800000001}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":1800000001.9}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":1.8000001e9}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":253402300799}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":253402300799.5}", CAR_JWT_GOOD},
        {"{" JWT_TENANT ",\"exp\":1800000000}", CAR_JWT_EXPIRED},
        {"{" JWT_TENANT ",\"exp\":1800000000.999}", CAR_JWT_EXPIRED},
        {"{" JWT_TENANT ",\"exp\":0}", CAR_JWT_EXPIRED},
        {"{" JWT_TENANT ",\"exp\":0.5}", CAR_JWT_EXPIRED},
        {"{" JWT_TENANT ",\"exp\":-0.0}", CAR_JWT_EXPIRED},
        {"{" JWT_TENANT "}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":-1}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":-0.5}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":253402300800}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":253402300800.0}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":9223372036854775807}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":1e300}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":-1e300}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":9223372036854775808}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT ",\"exp\":99999999999999999999999999999999999999}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT ",\"exp\":1e999}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT ",\"exp\":01}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT ",\"exp\":NaN}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT ",\"exp\":\"1800000060\"}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":null}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":true}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT ",\"exp\":[1800000060]}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":1800000030}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":1800000030.5}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":0}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":1800000031}", CAR_JWT_EARLY},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":-1}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":\"0\"}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"nbf\":null}", CAR_JWT_CLAIMS},
        {"{" JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":null," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":7," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":[\"tenant_a\"]," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"-a\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"a/b\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"a b\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"a\\n\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant\":\"tenant_a\\u0000x\"," JWT_EXP "}", CAR_JWT_MALFORMED},
        {"{\"tenant\":\"\xc3\xa4\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{\"tenant_id\":\"tenant_a\"," JWT_EXP "}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"\"}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"\\u00e4\xf0\x9f\x94\x94\"}", CAR_JWT_GOOD},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":null}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":7}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"a\\nb\"}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"a\\u007f\"}", CAR_JWT_CLAIMS},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"\\ud800\"}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT "," JWT_EXP ",\"sub\":\"\xff\"}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT "," JWT_TENANT "," JWT_EXP "}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT "," JWT_EXP "," JWT_EXP "}", CAR_JWT_MALFORMED},
        {"{" JWT_TENANT "," JWT_EXP ",\"x\":{\"y\":1,\"\\u0079\":1}}", CAR_JWT_MALFORMED},
        {"[" JWT_EXP "]", CAR_JWT_MALFORMED},
        {"null", CAR_JWT_MALFORMED},
        {"", CAR_JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        check(&ROWS[i], result_of(JWT_HS256, ROWS[i].text));
    }
    CU_ASSERT_EQUAL(result_of(JWT_HS256, "{" JWT_TENANT ",\"exp\":1800000001.9}"), CAR_JWT_GOOD);
    CU_ASSERT_EQUAL(claims.expires_ms, INT64_C(1800000001000));
}

static void test_lengths(void) {
    char tenant[80];
    char sub[160];
    struct car_buf payload = CAR_BUF_INIT;
    memset(tenant, 'a', sizeof tenant);
    memset(sub, 'b', sizeof sub);
    for (size_t over = 0; over < 4; over++) {
        payload.len = 0;
        car_buf_printf(&payload, "{\"tenant\":\"%.*s\",\"sub\":\"%.*s\"," JWT_EXP "}", (int)(64 + over % 2), tenant,
                       (int)(128 + over / 2), sub);
        text.len = 0;
        jwt_forge_hs256(CAR_SPAN(JWT_HS256), car_buf_view(&payload), CAR_SPAN(JWT_SECRET), &text);
        CU_ASSERT_EQUAL(verify(&keys.jwt, &text), over ? CAR_JWT_CLAIMS : CAR_JWT_GOOD);
        CU_ASSERT_EQUAL(strlen(claims.tenant), over ? 0 : 64);
        CU_ASSERT_EQUAL(strlen(claims.subject), over ? 0 : 128);
    }
    car_buf_free(&payload);
}

static void test_scopes(void) {
    static const struct {
        const char *text;
        unsigned scopes;
    } ROWS[] = {
        {"", 0},
        {",\"scopes\":[]", 0},
        {",\"scopes\":\"\"", 0},
        {",\"scopes\":[\"subscribe\"]", CAR_SCOPE_SUBSCRIBE},
        {",\"scopes\":[\"publish\",\"publish\",\"read:all\",\"\"]", CAR_SCOPE_PUBLISH},
        {",\"scopes\":\"admin  publish openid \"", CAR_SCOPE_PUBLISH | CAR_SCOPE_ADMIN},
        {",\"scope\":\"openid subscribe\"", CAR_SCOPE_SUBSCRIBE},
        {",\"scope\":\"publish,subscribe\"", 0},
        {",\"scopes\":[\"Publish\",\"publish subscribe\"]", 0},
        /* One of the two, and not what only the other has. */
        {",\"scope\":\"admin\",\"scopes\":[\"publish\"]", CAR_SCOPE_PUBLISH},
        {",\"scope\":\"admin\",\"scopes\":[]", 0},
    };
    static const char *const WRONG[] = {",\"scopes\":null", ",\"scopes\":7",
                                        ",\"scopes\":{}",   ",\"scopes\":[\"publish\",7]",
                                        ",\"scopes\":[[]]", ",\"scope\":[\"publish\"]",
                                        ",\"scope\":null",  ",\"scopes\":true,\"scope\":\"publish\""};
    char payload[256];
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        snprintf(payload, sizeof payload, "{" JWT_TENANT "," JWT_EXP "%s}", ROWS[i].text);
        CU_ASSERT_EQUAL(result_of(JWT_HS256, payload), CAR_JWT_GOOD);
        CU_ASSERT_EQUAL(claims.scopes, ROWS[i].scopes);
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        snprintf(payload, sizeof payload, "{" JWT_TENANT "," JWT_EXP "%s}", WRONG[i]);
        CU_ASSERT_EQUAL(result_of(JWT_HS256, payload), CAR_JWT_CLAIMS);
    }
}

static void test_audience_and_issuer(void) {
    static const struct row ROWS[] = {
        {",\"aud\":\"feed\",\"iss\":\"me\"", CAR_JWT_GOOD},
        {",\"aud\":[\"feed\"],\"iss\":\"me\"", CAR_JWT_GOOD},
        {",\"aud\":[\"x\",\"feed\",\"y\"],\"iss\":\"me\"", CAR_JWT_GOOD},
        {",\"aud\":\"Feed\",\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":\"feed2\",\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":\"fee\",\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":\"\",\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":[],\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":[\"x\",\"y\"],\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"iss\":\"me\"", CAR_JWT_AUDIENCE},
        {",\"aud\":null,\"iss\":\"me\"", CAR_JWT_CLAIMS},
        {",\"aud\":{\"feed\":1},\"iss\":\"me\"", CAR_JWT_CLAIMS},
        {",\"aud\":[\"feed\",7],\"iss\":\"me\"", CAR_JWT_CLAIMS},
        {",\"aud\":[[\"feed\"]],\"iss\":\"me\"", CAR_JWT_CLAIMS},
        {",\"aud\":\"feed\"", CAR_JWT_ISSUER},
        {",\"aud\":\"feed\",\"iss\":\"\"", CAR_JWT_ISSUER},
        {",\"aud\":\"feed\",\"iss\":\"me/\"", CAR_JWT_ISSUER},
        {",\"aud\":\"feed\",\"iss\":[\"me\"]", CAR_JWT_CLAIMS},
    };
    char audience[] = "feed";
    char issuer[] = "me";
    char payload[256];
    keys.jwt.audience = audience;
    keys.jwt.issuer = issuer;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        snprintf(payload, sizeof payload, "{" JWT_TENANT "," JWT_EXP "%s}", ROWS[i].text);
        check(&ROWS[i], result_of(JWT_HS256, payload));
    }
    keys.jwt.audience = NULL;
    keys.jwt.issuer = NULL;
}

static void test_reasons(void) {
    for (int i = CAR_JWT_GOOD; i <= CAR_JWT_NOMEM + 1; i++) {
        const char *reason = car_jwt_reason((enum car_jwt_result)i);
        CU_ASSERT(reason && *reason);
        for (int k = CAR_JWT_GOOD; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(reason, car_jwt_reason((enum car_jwt_result)k));
        }
    }
}

static const struct car_test TESTS[] = {
    {"good", test_good},       {"headers", test_headers}, {"payloads", test_payloads},
    {"lengths", test_lengths}, {"scopes", test_scopes},   {"audience and issuer", test_audience_and_issuer},
    {"reasons", test_reasons},
};

int main(void) {
    jwt_keys_make(&keys);
    int code = car_suite_main("jwt", TESTS, sizeof TESTS / sizeof *TESTS);
    jwt_keys_free(&keys);
    car_buf_free(&text);
    return code;
}
