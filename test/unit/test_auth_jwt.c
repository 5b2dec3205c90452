#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/keys.h"
#include "carillon/guard/tokens.h"
#include "carillon/runtime/reclaim.h"
#include "support/jwt_forge.h"
#include "support/jwt_keys.h"
#include "support/suite.h"

/* Whose a request is that shows a JSON Web Token, under CAR_AUTH_KEY. */

#define ADMIN "an administrator's key"

#define OTHER "another secret, and long enough, too"

static struct jwt_keys forge;
static char path[] = "/tmp/carillon-auth-jwt-XXXXXX";
static struct car_config config = {.jwt_secret_file = path};
static struct car_reclaim *domain;
static struct car_reader *reader;
static struct car_auth auth;
static struct car_tenant *a;
static struct car_buf token; /* the one at hand */
static char key[CAR_KEY_TEXT + 1];

static void write_secret(const char *secret) {
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(secret, file);
    fclose(file);
}

/* Reads the files again. What fails says why, and ends nothing. */
static int load(size_t *ended) {
    struct car_buf error = CAR_BUF_INIT;
    *ended = 0;
    int err = car_tokens_load(auth.tokens, reader, &config, ended, &error);
    CU_ASSERT_EQUAL(error.len > 0, err != 0);
    CU_ASSERT(err == 0 || *ended == 0);
    car_buf_free(&error);
    (void)car_reader_poll(reader);
    return err;
}

static void set_up(void) {
    size_t ended;
    struct car_tenant *b;
    struct car_key made;
    domain = car_reclaim_new();
    reader = car_reader_open(domain);
    auth = (struct car_auth){.mode = CAR_AUTH_KEY, .registry = car_registry_new(10), .keys = car_keys_new()};
    write_secret(JWT_SECRET);
    auth.tokens = car_tokens_new(auth.registry);
    CU_ASSERT_EQUAL_FATAL(load(&ended), 0);
    CU_ASSERT(ended == 0 && car_tokens_count(auth.tokens) == 1);
    auth.has_admin = true;
    car_sha256(ADMIN, strlen(ADMIN), auth.admin);
    CU_ASSERT_EQUAL_FATAL(car_registry_add(auth.registry, reader, CAR_SPAN("a"), &a), 0);
    CU_ASSERT_EQUAL_FATAL(car_registry_add(auth.registry, reader, CAR_SPAN("b"), &b), 0);
    car_key_make(&made, key);
    made.grant = car_grant_new(a, car_span_of(NULL, 0), CAR_SCOPES_ALL);
    CU_ASSERT_EQUAL_FATAL(car_keys_add(auth.keys, reader, &made), 0);
    car_grant_unref(&made.grant);
}

static void take_down(void) {
    car_keys_free(&auth.keys);
    car_tokens_free(&auth.tokens);
    car_reader_close(&reader);
    car_registry_free(&auth.registry);
    car_reclaim_free(&domain);
}

/* A token with such members, and `exp`, so many seconds from now. */
static struct car_span forged_with(const char *secret, const char *members, int seconds) {
    char payload[400];
    snprintf(payload, sizeof payload, "{%s,\"exp\":%lld}", members, (long long)(car_clock_wall_ms() / 1000 + seconds));
    token.len = 0;
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), car_span_cstr(payload), car_span_cstr(secret), &token);
    return car_buf_view(&token);
}

static struct car_span forged(const char *members, int seconds) {
    return forged_with(JWT_SECRET, members, seconds);
}

/* The status of a claim. Who is let in has all that the token says; who is not has nothing. */
static int ask(const struct car_claim *claim, const char **why) {
    struct car_identity who;
    *why = NULL;
    int status = car_auth_claim(&auth, reader, claim, &who, why);
    CU_ASSERT_EQUAL(status == 0, who.tenant != NULL);
    CU_ASSERT_EQUAL(status == 0, who.grant != NULL);
    CU_ASSERT_EQUAL(status != 0, *why != NULL);
    car_identity_drop(&who);
    return status;
}

static void test_let_in(void) {
    set_up();
    struct car_identity who;
    const char *why;
    int64_t from_ms = car_clock_wall_ms();
    struct car_span text = forged("\"tenant\":\"a\",\"sub\":\"ann\",\"scopes\":[\"subscribe\"]", 60);
    const struct car_claim claims[] = {
        {.bearer = text},
        {.token = text},
        {.bearer = text, .token = text},
        {.bearer = text, .tenant = CAR_SPAN("a")},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        CU_ASSERT_EQUAL_FATAL(car_auth_claim(&auth, reader, &claims[i], &who, &why), 0);
        CU_ASSERT_PTR_EQUAL(who.tenant, a);
        CU_ASSERT_EQUAL(who.scopes, CAR_SCOPE_SUBSCRIBE);
        CU_ASSERT(car_span_eq(car_identity_subject(&who), CAR_SPAN("ann")));
        CU_ASSERT(car_grant_is_token(who.grant) && who.grant->expires_ms > from_ms + 50000 &&
                  who.grant->expires_ms <= from_ms + 70000);
        CU_ASSERT_FALSE(car_grant_expired(who.grant, who.grant->expires_ms - 1));
        CU_ASSERT_TRUE(car_grant_expired(who.grant, who.grant->expires_ms));
        car_identity_drop(&who);
    }
    /* Nobody by name, and nothing that they may do. */
    CU_ASSERT_EQUAL_FATAL(
        car_auth_claim(&auth, reader, &(struct car_claim){.bearer = forged("\"tenant\":\"a\"", 60)}, &who, &why), 0);
    CU_ASSERT(!car_identity_subject(&who).ptr && who.scopes == 0);
    car_identity_drop(&who);
    /* A key is none. */
    CU_ASSERT_EQUAL_FATAL(
        car_auth_claim(&auth, reader, &(struct car_claim){.key = car_span_of(key, CAR_KEY_TEXT)}, &who, &why), 0);
    CU_ASSERT_FALSE(car_grant_is_token(who.grant) || car_grant_expired(who.grant, INT64_MAX));
    car_identity_drop(&who);
    take_down();
}

static void test_refused(void) {
    set_up();
    const char *why;
    static const struct {
        const char *members;
        int seconds;
        int status;
        const char *why;
    } ROWS[] = {
        {"\"tenant\":\"a\"", -1, 401, "the token has expired"},
        {"\"tenant\":\"a\",\"nbf\":253402300799", 60, 401, "the token is not valid yet"},
        {"\"tenant\":\"nobody\"", 60, 401, "the token's tenant is not known"},
        {"\"tenant\":\"a\",\"tenant_created\":1", 60, 401, "the token's tenant is not known"},
        {"\"tenant\":\"a\",\"tenant_created\":0", 60, 401, "a claim of the token is missing or wrong"},
        {"\"tenant\":\"a\",\"tenant_created\":\"1\"", 60, 401, "a claim of the token is missing or wrong"},
        {"\"tenant\":\"a\",\"tenant_created\":null", 60, 401, "a claim of the token is missing or wrong"},
        {"\"sub\":\"ann\"", 60, 401, "a claim of the token is missing or wrong"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_claim claim = {.bearer = forged(ROWS[i].members, ROWS[i].seconds)};
        CU_ASSERT_EQUAL(ask(&claim, &why), ROWS[i].status);
        CU_ASSERT_STRING_EQUAL(why, ROWS[i].why);
    }
    struct car_span text = forged("\"tenant\":\"a\"", 60);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.token = text, .tenant = CAR_SPAN("b")}, &why), 403);
    /* What is shown is one thing. */
    struct car_span api_key = car_span_of(key, CAR_KEY_TEXT);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = text, .key = api_key}, &why), 400);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.token = text, .key = api_key}, &why), 400);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = text, .token = CAR_SPAN("x")}, &why), 400);
    /* What is none, in the place of one. */
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = api_key}, &why), 401);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.key = text}, &why), 401);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = CAR_SPAN("")}, &why), 401);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.tenant = CAR_SPAN("a")}, &why), 401);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = CAR_SPAN(ADMIN)}, &why), 401);
    CU_ASSERT_STRING_EQUAL(why, "the administrator's key is of no tenant");
    car_tokens_free(&auth.tokens);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = text}, &why), 401);
    auth.tokens = car_tokens_new(auth.registry); /* without keys */
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = text}, &why), 401);
    CU_ASSERT_STRING_EQUAL(why, "the token's algorithm is not one that is taken here");
    take_down();
}

/* The server's own tokens are of one tenant, and not of the next one that has its name. */
static void test_a_tenant_of_the_same_name(void) {
    set_up();
    const char *why;
    struct car_jwt_order order = {.tenant = CAR_SPAN("a"), .scopes = CAR_SCOPE_PUBLISH, .ttl_s = 60};
    int64_t expires_ms;
    for (int64_t off = -1; off <= 1; off++) {
        order.tenant_created_ms = car_tenant_created_ms(a) + off;
        token.len = 0;
        CU_ASSERT_EQUAL_FATAL(car_jwt_issue(&forge.jwt, &order, car_clock_wall_ms(), &token, &expires_ms), 0);
        CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = car_buf_view(&token)}, &why), off ? 401 : 0);
    }
    car_registry_remove(auth.registry, reader, a);
    order.tenant_created_ms = car_tenant_created_ms(a);
    token.len = 0;
    CU_ASSERT_EQUAL_FATAL(car_jwt_issue(&forge.jwt, &order, car_clock_wall_ms(), &token, &expires_ms), 0);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = car_buf_view(&token)}, &why), 401);
    take_down();
}

/* Whose key goes is refused, and has to leave; whose key stays does not. */
static void test_other_keys(void) {
    set_up();
    const char *why;
    struct car_identity first, second;
    size_t ended;
    static const char MEMBERS[] = "\"tenant\":\"a\",\"sub\":\"ann\"";
    CU_ASSERT_EQUAL_FATAL(
        car_auth_claim(&auth, reader, &(struct car_claim){.bearer = forged(MEMBERS, 60)}, &first, &why), 0);
    CU_ASSERT_EQUAL(load(&ended), 0);
    CU_ASSERT(ended == 0 && !car_grant_ended(first.grant));
    /* What cannot be read changes nothing. */
    write_secret("open sesame");
    CU_ASSERT_EQUAL(load(&ended), CAR_EINVAL);
    unlink(path);
    CU_ASSERT_EQUAL(load(&ended), CAR_ESYS);
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = forged(MEMBERS, 60)}, &why), 0);
    CU_ASSERT_FALSE(car_grant_ended(first.grant));
    write_secret(OTHER);
    CU_ASSERT_EQUAL(load(&ended), 0);
    CU_ASSERT(ended == 1 && car_tokens_count(auth.tokens) == 1);
    CU_ASSERT_TRUE(car_grant_ended(first.grant));
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = forged(MEMBERS, 60)}, &why), 401);
    CU_ASSERT_STRING_EQUAL(why, "the token's signature is wrong");
    CU_ASSERT_EQUAL_FATAL(
        car_auth_claim(&auth, reader, &(struct car_claim){.bearer = forged_with(OTHER, MEMBERS, 60)}, &second, &why),
        0);
    CU_ASSERT_FALSE(car_grant_ended(second.grant));
    /* The first one comes back, and who had left does not. */
    write_secret(JWT_SECRET);
    CU_ASSERT_EQUAL(load(&ended), 0);
    CU_ASSERT(ended == 1 && car_grant_ended(first.grant) && car_grant_ended(second.grant));
    CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = forged(MEMBERS, 60)}, &why), 0);
    take_down();
    car_identity_drop(&first); /* a grant outlives the keys */
    car_identity_drop(&second);
}

/* What the server makes, it takes. */
static void test_issued(void) {
    set_up();
    const char *why;
    int64_t expires_ms;
    size_t ended;
    struct car_jwt_order order = {.tenant = CAR_SPAN("a"), .scopes = CAR_SCOPE_PUBLISH, .ttl_s = 60};
    for (int round = 0; round < 2; round++) {
        token.len = 0;
        CU_ASSERT_EQUAL_FATAL(car_tokens_issue(auth.tokens, reader, &order, car_clock_wall_ms(), &token, &expires_ms),
                              0);
        CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = car_buf_view(&token)}, &why), 0);
        write_secret(OTHER);
        CU_ASSERT_EQUAL(load(&ended), 0);
        CU_ASSERT_EQUAL(ask(&(struct car_claim){.bearer = car_buf_view(&token)}, &why), round == 0 ? 401 : 0);
    }
    take_down();
}

static const struct car_test TESTS[] = {
    {"let in", test_let_in},
    {"refused", test_refused},
    {"a tenant of the same name", test_a_tenant_of_the_same_name},
    {"other keys", test_other_keys},
    {"issued", test_issued},
};

int main(void) {
    int fd = mkstemp(path);
    if (fd < 0) {
        return EXIT_FAILURE;
    }
    close(fd);
    jwt_keys_make(&forge);
    int code = car_suite_main("auth_jwt", TESTS, sizeof TESTS / sizeof *TESTS);
    jwt_keys_free(&forge);
    car_buf_free(&token);
    unlink(path);
    return code;
}
