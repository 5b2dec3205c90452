#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/app/flags.h"
#include "../../src/guard/jwt_internal.h"
#include "carillon/base/base64url.h"
#include "carillon/base/err.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/signer.h"
#include "support/jwt_forge.h"
#include "support/jwt_keys.h"
#include "support/suite.h"

/* Where keys come from, and the tokens that the server makes itself. */

static struct jwt_keys keys;
static struct car_buf error;
static char folder[] = "/tmp/carillon-jwt-XXXXXX";

/* Of a PEM text with some text before it. */
static int read_pem(const char *before, const struct car_buf *pem, enum car_jwt_algorithm wanted) {
    struct car_buf whole = CAR_BUF_INIT;
    struct car_jwt_verifier *verifier = NULL;
    error.len = 0;
    car_buf_span(&whole, car_span_cstr(before));
    car_buf_span(&whole, car_buf_view(pem));
    int err = car_jwt_verifier_of_pem(&verifier, "key.pem", car_buf_view(&whole), wanted, &error);
    CU_ASSERT_EQUAL(verifier != NULL, err == 0);
    CU_ASSERT_EQUAL(error.len > 0, err != 0);
    car_buf_char(&error, '\0');
    car_jwt_verifier_free(&verifier);
    CU_ASSERT_PTR_NULL(verifier);
    car_buf_free(&whole);
    return err;
}

static void refuses(const char *before, const struct car_buf *pem, const char *why) {
    CU_ASSERT_EQUAL(read_pem(before, pem, CAR_JWT_OF_KEY), CAR_EINVAL);
    if (strcmp(error.data, why) != 0) {
        CU_FAIL(why);
        fprintf(stderr, "%s\n%s\n", error.data, why);
    }
}

static void refuses_text(const char *pem, const char *why) {
    refuses(pem, &CAR_BUF_INIT, why);
}

static void refuses_key(EVP_PKEY *key, const char *why) {
    struct car_buf pem = CAR_BUF_INIT;
    jwt_forge_pem(key, &pem);
    refuses("", &pem, why);
    car_buf_free(&pem);
    EVP_PKEY_free(key);
}

static void test_pems(void) {
    CU_ASSERT_EQUAL(read_pem("", &keys.rsa_pem, CAR_JWT_OF_KEY), 0);
    CU_ASSERT_EQUAL(read_pem("", &keys.rsa_pem, CAR_JWT_RS256), 0);
    CU_ASSERT_EQUAL(read_pem("", &keys.ec_pem, CAR_JWT_OF_KEY), 0);
    CU_ASSERT_EQUAL(read_pem("", &keys.ec_pem, CAR_JWT_ES256), 0);
    CU_ASSERT_EQUAL(read_pem("of our provider\n\n", &keys.ec_pem, CAR_JWT_ES256), 0);
    CU_ASSERT_EQUAL(read_pem("", &keys.rsa_pem, CAR_JWT_ES256), CAR_EINVAL);
    CU_ASSERT_STRING_EQUAL(error.data, "key.pem:1: the key is RSA's, and --jwt-algorithm is not RS256");
    CU_ASSERT_EQUAL(read_pem("a\nb\n", &keys.ec_pem, CAR_JWT_RS256), CAR_EINVAL);
    CU_ASSERT_STRING_EQUAL(error.data, "key.pem:3: the key is EC's, and --jwt-algorithm is not ES256");
}

static void test_wrong_keys(void) {
    refuses_key(jwt_forge_rsa(1024), "key.pem:1: an RSA key has to have 2048 bits or more");
    refuses_key(jwt_forge_rsa(2047), "key.pem:1: an RSA key has to have 2048 bits or more");
    refuses_key(jwt_forge_ec("P-384"), "key.pem:1: an EC key has to be of the curve P-256 (prime256v1)");
    refuses_key(jwt_forge_ec("secp256k1"), "key.pem:1: an EC key has to be of the curve P-256 (prime256v1)");
    refuses_key(jwt_forge_ec("brainpoolP256r1"), "key.pem:1: an EC key has to be of the curve P-256 (prime256v1)");
    refuses_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "key.pem:1: a key has to be RSA, or EC of the curve P-256");
    refuses_key(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), "key.pem:1: a key has to be RSA, or EC of the curve P-256");
}

static void test_wrong_pems(void) {
    static const char NONE[] = "key.pem:1: there is no '-----BEGIN PUBLIC KEY-----'";
    static const char BAD[] = "key.pem:1: the key is malformed";
    static const char OPEN[] = "key.pem:1: the key has no '-----END PUBLIC KEY-----'";
    struct car_buf pem = CAR_BUF_INIT;
    refuses_text("", "key.pem:1: this is no PEM text");
    refuses_text("\n\n", NONE);
    refuses_text("ssh-rsa AAAAB3NzaC1yc2E= me", NONE);
    refuses_text("-----BEGIN PUBLIC KEY-----\n", OPEN);
    refuses_text("-----BEGIN PUBLIC KEY-----", OPEN);
    refuses_text("a\n-----BEGIN PUBLIC KEY-----\nAAAA\n", "key.pem:2: the key has no '-----END PUBLIC KEY-----'");
    refuses_text("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", BAD);
    refuses_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", BAD);
    refuses_text("-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----\n", "key.pem:2: this is not base64");
    refuses_text("-----BEGIN PUBLIC KEY-----\nAAAA\r\nAA A\n-----END PUBLIC KEY-----\n",
                 "key.pem:3: this is not base64");
    refuses_text("-----BEGIN PUBLIC KEY-----\nAA==\nAAAA\n-----END PUBLIC KEY-----\n", "key.pem:3: this is not base64");
    refuses_text("-----BEGIN PUBLIC KEY-----\nA===\n-----END PUBLIC KEY-----\n", "key.pem:2: this is not base64");
    refuses_text("-----BEGIN PUBLIC KEY-----\nAAAA\nAAA\nAAAA\nAA\n-----END PUBLIC KEY-----\n",
                 "key.pem:3: the base64 is not whole here");
    refuses_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
                 "key.pem:3: this has to be '-----END PUBLIC KEY-----'");
    refuses_text(
        "\n-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899aabbccddeeff"
        "\n\nAAAA\n-----END PUBLIC KEY-----\n",
        "key.pem:3: this is not base64");
    refuses_text("\n\n-----BEGIN CERTIFICATE-----\nAAAA\n",
                 "key.pem:3: this is no public key: its first line has to be '-----BEGIN PUBLIC KEY-----'");
    refuses_text("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n",
                 "key.pem:1: this is no public key: its first line has to be '-----BEGIN PUBLIC KEY-----'");
    jwt_forge_private_pem(keys.ec, &pem);
    refuses("\n", &pem,
            "key.pem:2: this is a private key, and the public one is wanted ('openssl pkey -pubout' makes it)");
    pem.len = 0;
    jwt_forge_pem(keys.ec, &pem);
    jwt_forge_pem(keys.rsa, &pem);
    refuses("", &pem, "key.pem:5: there has to be one key, and this is another");
    pem.len = 0;
    jwt_forge_pem(keys.rsa, &pem);
    pem.data[100] = '\0';
    refuses("", &pem, "key.pem:1: this is no PEM text");
    /* Whatever is cut off, or changed, in it: a verifier or one line, and no crash. */
    for (size_t i = 30; i + 30 < keys.rsa_pem.len; i++) {
        pem.len = 0;
        car_buf_put(&pem, keys.rsa_pem.data, i);
        CU_ASSERT_EQUAL(read_pem("", &pem, CAR_JWT_OF_KEY), CAR_EINVAL);
        CU_ASSERT(strcmp(error.data, OPEN) == 0 || i + sizeof "-----END PUBLIC KEY-----" >= keys.rsa_pem.len);
        car_buf_put(&pem, keys.rsa_pem.data + i, keys.rsa_pem.len - i);
        pem.data[i] ^= 1;
        (void)read_pem("", &pem, CAR_JWT_OF_KEY);
    }
    car_buf_free(&pem);
}

static void test_secrets(void) {
    struct car_jwt_verifier *verifier = NULL;
    char bytes[CAR_JWT_SECRET_MAX + 1] = {0};
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_span_of(bytes, 31)), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_span_of(NULL, 0)), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_span_of(bytes, sizeof bytes)), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_buf_view(&keys.ec_pem)), CAR_EINVAL);
    CU_ASSERT_PTR_NULL(verifier);
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_span_of(bytes, 32)), 0);
    car_jwt_verifier_free(&verifier);
    CU_ASSERT_EQUAL(car_jwt_verifier_of_secret(&verifier, car_span_of(bytes, CAR_JWT_SECRET_MAX)), 0);
    car_jwt_verifier_free(&verifier);
}

/* A file in the folder; its path is good until the next call. */
static char *write_file(const char *name, struct car_span bytes) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    fclose(file);
    return path;
}

/* Loads; `error` is then a C string, without the folder's name. */
static int load(const struct car_config *config, struct car_jwt *jwt) {
    error.len = 0;
    int err = car_jwt_load(config, NULL, jwt, &error);
    CU_ASSERT_EQUAL(error.len > 0, err != 0);
    CU_ASSERT_EQUAL(jwt->count > 0, err == 0);
    if (error.len && memcmp(error.data, folder, sizeof folder - 1) == 0) {
        car_buf_consume(&error, sizeof folder);
    }
    car_buf_char(&error, '\0');
    return err;
}

/* Whether what the one makes is good for the other. */
static bool understands(const struct car_jwt *maker, const struct car_jwt *reader, struct car_jwt_claims *claims) {
    struct car_buf token = CAR_BUF_INIT;
    int64_t expires_ms = 0;
    struct car_jwt_order order = {.tenant = CAR_SPAN("acme"), .scopes = CAR_SCOPE_SUBSCRIBE, .ttl_s = 60};
    CU_ASSERT_EQUAL(car_jwt_issue(maker, &order, JWT_NOW_MS, &token, &expires_ms), 0);
    enum car_jwt_result result = jwt_keys_verify(reader, car_buf_view(&token), claims);
    car_buf_free(&token);
    return result == CAR_JWT_GOOD && claims->expires_ms == expires_ms;
}

static void test_load(void) {
    struct car_jwt a, b, c;
    struct car_jwt_claims claims;
    struct car_buf token = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(load(&(struct car_config){0}, &a), 0);
    CU_ASSERT_EQUAL(load(&(struct car_config){0}, &b), 0);
    CU_ASSERT(understands(&a, &a, &claims) && !understands(&a, &b, &claims));
    car_jwt_free(&a);
    car_jwt_free(&b);
    /* One secret, however its file ends; and a key. */
    char audience[] = "feed";
    char issuer[] = "me";
    struct car_config config = {.jwt_audience = audience, .jwt_issuer = issuer};
    char *path = write_file("key", car_buf_view(&keys.ec_pem));
    char key[128];
    memcpy(key, path, sizeof key);
    config.jwt_secret_file = write_file("secret", CAR_SPAN(JWT_SECRET));
    CU_ASSERT_EQUAL(load(&config, &a), 0);
    (void)write_file("secret", CAR_SPAN(JWT_SECRET "\r\n"));
    config.jwt_public_key = key;
    CU_ASSERT_EQUAL(load(&config, &b), 0);
    (void)write_file("secret", CAR_SPAN(JWT_SECRET "\n\n"));
    CU_ASSERT_EQUAL(load(&config, &c), 0);
    CU_ASSERT(understands(&a, &b, &claims) && understands(&b, &a, &claims) && !understands(&c, &a, &claims));
    CU_ASSERT_STRING_EQUAL(b.audience, "feed");
    CU_ASSERT_STRING_EQUAL(b.issuer, "me");
    jwt_forge_signed(CAR_SPAN(JWT_ES256), CAR_SPAN("{" JWT_TENANT "," JWT_EXP ",\"aud\":[\"feed\"],\"iss\":\"me\"}"),
                     keys.ec, &token);
    CU_ASSERT_EQUAL(jwt_keys_verify(&a, car_buf_view(&token), &claims), CAR_JWT_ALGORITHM);
    CU_ASSERT_EQUAL(jwt_keys_verify(&b, car_buf_view(&token), &claims), CAR_JWT_GOOD);
    car_buf_free(&token);
    car_jwt_free(&a);
    car_jwt_free(&b);
    car_jwt_free(&c);
    CU_ASSERT(a.count == 0 && !b.audience && !b.issuer);
    car_jwt_free(&a);
}

static void test_load_refused(void) {
    struct car_jwt jwt;
    char audience[] = "feed";
    struct car_config config = {.jwt_audience = audience};
    char missing[] = "/nonexistent/secret";
    config.jwt_secret_file = missing;
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_ESYS);
    CU_ASSERT_STRING_EQUAL(error.data, "/nonexistent/secret: No such file or directory");
    config.jwt_secret_file = folder;
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_ESYS);
    char zeroes[] = "/dev/zero";
    config.jwt_secret_file = zeroes;
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_ENOFILE);
    /* What it had read before is let go of. */
    config.jwt_secret_file = NULL;
    config.jwt_public_key = missing;
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_ESYS);
    CU_ASSERT(!jwt.audience && jwt.count == 0);
    config.jwt_public_key = write_file("key", CAR_SPAN("\nnone\n"));
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_EINVAL);
    CU_ASSERT_STRING_EQUAL(error.data, "key:1: there is no '-----BEGIN PUBLIC KEY-----'");
    (void)write_file("key", car_buf_view(&keys.rsa_pem));
    config.jwt_algorithm = CAR_JWT_ES256;
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_EINVAL);
    static const char WHY[] = "secret:1: a secret has to be 32 to 4096 bytes, and no PEM text";
    config = (struct car_config){.jwt_secret_file = write_file("secret", CAR_SPAN("open sesame, open sesame, open\n"))};
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_EINVAL);
    CU_ASSERT_STRING_EQUAL(error.data, WHY);
    (void)write_file("secret", CAR_SPAN("\n"));
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_EINVAL);
    (void)write_file("secret", car_buf_view(&keys.rsa_pem));
    CU_ASSERT_EQUAL(load(&config, &jwt), CAR_EINVAL);
    CU_ASSERT_STRING_EQUAL(error.data, WHY);
}

/* The line that a key was changed in, wherever that is. */
static void test_wrong_lines(void) {
    struct car_buf pem = CAR_BUF_INIT;
    size_t line = 1;
    char why[64];
    for (size_t i = 0; i + sizeof "-----END PUBLIC KEY-----" < keys.rsa_pem.len; i++) {
        bool at_end = keys.rsa_pem.data[i] == '\n';
        if (line > 1 && !at_end) {
            pem.len = 0;
            car_buf_span(&pem, car_buf_view(&keys.rsa_pem));
            pem.data[i] = '*';
            snprintf(why, sizeof why, "key.pem:%zu: this is not base64", line);
            refuses("", &pem, why);
            pem.len = 0; /* and with that character left out */
            car_buf_put(&pem, keys.rsa_pem.data, i);
            car_buf_put(&pem, keys.rsa_pem.data + i + 1, keys.rsa_pem.len - i - 1);
            snprintf(why, sizeof why, "key.pem:%zu: the base64 is not whole here", line);
            refuses("", &pem, why);
        }
        line += at_end;
    }
    CU_ASSERT(line > 5);
    car_buf_free(&pem);
}

/* The next one of such a configuration, in the place of the former; how many keys have gone. */
static size_t follow(const struct car_config *config, struct car_jwt *jwt) {
    struct car_jwt next;
    error.len = 0;
    CU_ASSERT_EQUAL_FATAL(car_jwt_load(config, jwt, &next, &error), 0);
    size_t gone = car_jwt_end_missing(jwt, &next);
    car_jwt_free(jwt);
    *jwt = next;
    return gone;
}

static void test_load_again(void) {
    struct car_jwt first, jwt;
    struct car_jwt_claims claims;
    struct car_config config = {0};
    CU_ASSERT_EQUAL_FATAL(load(&config, &jwt), 0);
    CU_ASSERT_EQUAL_FATAL(car_jwt_load(&config, &jwt, &first, &error), 0);
    struct car_signer *drawn = car_signer_ref(jwt.verifiers[0]->signer);
    CU_ASSERT_EQUAL(follow(&config, &jwt), 0); /* what was drawn is kept, */
    CU_ASSERT(understands(&first, &jwt, &claims) && claims.signer == drawn && !car_signer_is_gone(drawn));
    char key[128];
    memcpy(key, write_file("key", car_buf_view(&keys.ec_pem)), sizeof key);
    config.jwt_public_key = key;
    CU_ASSERT_EQUAL(follow(&config, &jwt), 0);
    CU_ASSERT_EQUAL_FATAL(jwt.count, 2);
    struct car_signer *ec = car_signer_ref(jwt.verifiers[1]->signer);
    CU_ASSERT(ec != drawn);
    struct car_buf noted = CAR_BUF_INIT; /* as long as the key is the same, */
    car_buf_span(&noted, CAR_SPAN("the same key\n"));
    car_buf_span(&noted, car_buf_view(&keys.ec_pem));
    (void)write_file("key", car_buf_view(&noted));
    CU_ASSERT_EQUAL(follow(&config, &jwt), 0);
    CU_ASSERT_PTR_EQUAL(jwt.verifiers[1]->signer, ec);
    (void)write_file("key", car_buf_view(&keys.rsa_pem)); /* and not with another. */
    CU_ASSERT_EQUAL(follow(&config, &jwt), 1);
    CU_ASSERT(car_signer_is_gone(ec) && !car_signer_is_gone(drawn) && !car_signer_is_gone(jwt.verifiers[1]->signer));
    config.jwt_secret_file = write_file("secret", CAR_SPAN(JWT_SECRET));
    CU_ASSERT_EQUAL(follow(&config, &jwt), 1);
    CU_ASSERT(car_signer_is_gone(drawn) && !understands(&first, &jwt, &claims));
    CU_ASSERT(understands(&jwt, &jwt, &claims) && claims.signer == jwt.verifiers[0]->signer);
    car_signer_unref(&drawn);
    car_signer_unref(&ec);
    CU_ASSERT(!drawn && !ec);
    car_jwt_free(&first);
    car_jwt_free(&jwt);
    car_buf_free(&noted);
}

static void test_issue(void) {
    struct car_jwt_claims claims;
    struct car_buf token = CAR_BUF_INIT;
    int64_t expires_ms = 0;
    struct car_jwt_order order = {.tenant = CAR_SPAN("acme"),
                                  .subject = CAR_SPAN("\xc3\xa4 <\"\\>\xf0\x9f\x94\x94"),
                                  .scopes = CAR_SCOPES_ALL,
                                  .ttl_s = 1};
    for (unsigned scopes = 0; scopes <= CAR_SCOPES_ALL; scopes++) {
        order.scopes = scopes;
        order.tenant_created_ms = scopes * INT64_C(1000000000000);
        token.len = 0;
        CU_ASSERT_EQUAL(car_jwt_issue(&keys.jwt, &order, JWT_NOW_MS + 999, &token, &expires_ms), 0);
        CU_ASSERT_EQUAL(expires_ms, JWT_NOW_MS + 1000);
        CU_ASSERT_EQUAL(jwt_keys_verify(&keys.jwt, car_buf_view(&token), &claims), CAR_JWT_GOOD);
        CU_ASSERT_STRING_EQUAL(claims.tenant, "acme");
        CU_ASSERT_STRING_EQUAL(claims.subject, order.subject.ptr);
        CU_ASSERT_EQUAL(claims.scopes, scopes);
        CU_ASSERT_EQUAL(claims.tenant_created_ms, order.tenant_created_ms);
        CU_ASSERT_EQUAL(claims.expires_ms, expires_ms);
    }
    CU_ASSERT_EQUAL(car_jwt_verify(&keys.jwt, car_buf_view(&token), expires_ms - 1, &claims), CAR_JWT_GOOD);
    CU_ASSERT_EQUAL(car_jwt_verify(&keys.jwt, car_buf_view(&token), expires_ms, &claims), CAR_JWT_EXPIRED);
    /* It says what it has to, in the form that everybody reads, behind what was there. */
    order = (struct car_jwt_order){.tenant = CAR_SPAN("a"), .scopes = CAR_SCOPE_PUBLISH, .ttl_s = 60};
    char audience[] = "feed";
    struct car_jwt with = {
        .verifiers = {keys.jwt.verifiers[1], keys.jwt.verifiers[0]}, .count = 2, .audience = audience};
    token.len = 0;
    car_buf_char(&token, '!');
    CU_ASSERT_EQUAL(car_jwt_issue(&with, &order, JWT_NOW_MS, &token, &expires_ms), 0);
    uint8_t bytes[512];
    size_t len = 0;
    struct car_span rest = car_span_of(token.data + 1, token.len - 1);
    struct car_span part;
    static const char *const SAYS[] = {"\"typ\":\"JWT\"", "\"aud\":\"feed\"", NULL};
    for (size_t i = 0; SAYS[i] && car_span_next(&rest, '.', &part); i++) {
        CU_ASSERT_EQUAL(car_base64url_decode(part, bytes, &len), 0);
        CU_ASSERT_PTR_NOT_NULL(memmem(bytes, len, SAYS[i], strlen(SAYS[i])));
    }
    CU_ASSERT_PTR_NOT_NULL(memmem(bytes, len, "\"exp\":1800000060", 16));
    CU_ASSERT_PTR_NOT_NULL(memmem(bytes, len, "\"iat\":1800000000", 16));
    CU_ASSERT_PTR_NULL(memmem(bytes, len, "\"sub\"", 5));
    car_buf_free(&token);
}

static void test_issue_refused(void) {
    struct car_buf token = CAR_BUF_INIT;
    int64_t expires_ms = 7;
    char name[CAR_SUBJECT_MAX + 1];
    memset(name, 'n', sizeof name);
    const struct car_jwt_order orders[] = {
        {.tenant = CAR_SPAN(""), .ttl_s = 60},
        {.tenant = CAR_SPAN("a b"), .ttl_s = 60},
        {.tenant = CAR_SPAN("a"), .ttl_s = 0},
        {.tenant = CAR_SPAN("a"), .ttl_s = 60, .scopes = CAR_SCOPES_ALL + 1},
        {.tenant = CAR_SPAN("a"), .ttl_s = 60, .subject = CAR_SPAN("a\n")},
        {.tenant = CAR_SPAN("a"), .ttl_s = 60, .subject = CAR_SPAN("\xff")},
        {.tenant = CAR_SPAN("a"), .ttl_s = 60, .subject = {name, sizeof name}},
    };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        CU_ASSERT_EQUAL(car_jwt_issue(&keys.jwt, &orders[i], JWT_NOW_MS, &token, &expires_ms), CAR_EINVAL);
    }
    struct car_jwt_order order = {.tenant = CAR_SPAN("a"), .tenant_created_ms = -1, .ttl_s = 1};
    CU_ASSERT_EQUAL(car_jwt_issue(&keys.jwt, &order, JWT_NOW_MS, &token, &expires_ms), CAR_EINVAL);
    order.tenant_created_ms = 0;
    CU_ASSERT_EQUAL(car_jwt_issue(&keys.jwt, &order, -1, &token, &expires_ms), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_jwt_issue(&keys.jwt, &order, INT64_C(253402300799000), &token, &expires_ms), CAR_EINVAL);
    struct car_jwt none = {.verifiers = {keys.jwt.verifiers[1]}, .count = 1};
    CU_ASSERT_EQUAL(car_jwt_issue(&none, &order, JWT_NOW_MS, &token, &expires_ms), CAR_ENOENT);
    CU_ASSERT(token.len == 0 && expires_ms == 7);
    car_buf_free(&token);
}

static int flags(char *const *argv, struct car_config *config) {
    enum car_flags_action action;
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    error.len = 0;
    int code = car_flags_load(argc, argv, NULL, config, &action, &error);
    car_buf_char(&error, '\0');
    return code;
}

#define ARGS(...) ((char *[]){"carillon", __VA_ARGS__, NULL})

static void test_flags(void) {
    struct car_config config;
    CU_ASSERT_EQUAL_FATAL(flags(ARGS("--port=1"), &config), 0);
    CU_ASSERT(!config.jwt_public_key && !config.jwt_secret_file && !config.jwt_audience && !config.jwt_issuer);
    CU_ASSERT_EQUAL(config.jwt_algorithm, CAR_JWT_OF_KEY);
    car_config_free(&config);
    CU_ASSERT_EQUAL_FATAL(flags(ARGS("--auth=key", "--jwt-public-key=k", "--jwt-algorithm=ES256", "--jwt-secret-file=s",
                                     "--jwt-audience=https://a.example/", "--jwt-issuer=i"),
                                &config),
                          0);
    CU_ASSERT_STRING_EQUAL(config.jwt_public_key, "k");
    CU_ASSERT_STRING_EQUAL(config.jwt_secret_file, "s");
    CU_ASSERT_STRING_EQUAL(config.jwt_audience, "https://a.example/");
    CU_ASSERT_STRING_EQUAL(config.jwt_issuer, "i");
    CU_ASSERT_EQUAL(config.jwt_algorithm, CAR_JWT_ES256);
    car_config_free(&config);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-algorithm=RS256"), &config), 2);
    CU_ASSERT_STRING_EQUAL(error.data, "--jwt-algorithm: is for --jwt-public-key only");
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-public-key=k", "--jwt-algorithm=HS256"), &config), 2);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-issuer="), &config), 2);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-issuer=a\nb"), &config), 2);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-audience=\xff"), &config), 2);
    char longest[300] = "--jwt-audience=";
    memset(longest + 15, 'a', 256);
    CU_ASSERT_EQUAL(flags(ARGS("--auth=key", longest), &config), 0);
    car_config_free(&config);
    longest[15 + 256] = 'a';
    CU_ASSERT_EQUAL(flags(ARGS(longest), &config), 2);
    /* On an address that is not loopback keys are what is asked for. */
    CU_ASSERT_EQUAL(flags(ARGS("--host=192.0.2.1", "--jwt-issuer=i"), &config), 0);
    car_config_free(&config);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-issuer=i"), &config), 2);
    CU_ASSERT_STRING_EQUAL(error.data, "--jwt-issuer: is for --auth key only");
    CU_ASSERT_EQUAL(flags(ARGS("--auth=token", "--users=u", "--jwt-public-key=k"), &config), 2);
    CU_ASSERT_STRING_EQUAL(error.data, "--jwt-public-key: is for --auth key only");
    CU_ASSERT_EQUAL(flags(ARGS("--auth=open", "--jwt-secret-file=s"), &config), 2);
    CU_ASSERT_EQUAL(flags(ARGS("--jwt-audience=s"), &config), 2);
}

static const struct car_test TESTS[] = {
    {"PEM texts", test_pems},
    {"wrong keys", test_wrong_keys},
    {"wrong PEM texts", test_wrong_pems},
    {"wrong lines of PEM texts", test_wrong_lines},
    {"secrets", test_secrets},
    {"load", test_load},
    {"load refused", test_load_refused},
    {"load again", test_load_again},
    {"issue", test_issue},
    {"issue refused", test_issue_refused},
    {"flags", test_flags},
};

static void clean_up(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

int main(void) {
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    jwt_keys_make(&keys);
    int code = car_suite_main("jwt_keys", TESTS, sizeof TESTS / sizeof *TESTS);
    jwt_keys_free(&keys);
    car_buf_free(&error);
    clean_up("key");
    clean_up("secret");
    rmdir(folder);
    return code;
}
