#include "../../src/api/sio_claim.h"

#include <stdio.h>

#include "../../src/api/command.h"
#include "../../src/api/sio.h"
#include "../support/suite.h"
#include "carillon/api/api.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/keys.h"
#include "carillon/proto/json.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

/* Whose a namespace is, by what the handshake has shown and what the packet shows: never anybody's but theirs. */

enum { NONE, A, B, STRANGER }; /* tenants; the last is none that there is */

static const char *const NAMES[] = {NULL, "a", "b", "c"};

static struct car_reclaim *domain;
static struct car_worker worker;
static struct car_api api;
static struct car_tenant *tenants[3];
static char keys[3][CAR_KEY_TEXT + 1]; /* each tenant's; that of NONE is a's, which may not subscribe */
static struct car_grant *grants[3];

static void set_up(enum car_auth_mode mode) {
    domain = car_reclaim_new();
    worker = (struct car_worker){.reader = car_reader_open(domain)};
    api = (struct car_api){.auth = {.mode = mode, .registry = car_registry_new(10), .keys = car_keys_new()}};
    for (int i = A; i <= B; i++) {
        CU_ASSERT_EQUAL_FATAL(car_registry_add(api.auth.registry, worker.reader, car_span_cstr(NAMES[i]), &tenants[i]),
                              0);
    }
    for (int i = NONE; i <= B; i++) {
        struct car_key made;
        car_key_make(&made, keys[i]);
        grants[i] = car_grant_new(tenants[i == NONE ? A : i], car_span_of(NULL, 0),
                                  i == NONE ? CAR_SCOPE_PUBLISH : CAR_SCOPES_ALL);
        made.grant = car_grant_ref(grants[i]);
        CU_ASSERT_EQUAL_FATAL(car_keys_add(api.auth.keys, worker.reader, &made), 0);
        car_grant_unref(&made.grant);
    }
}

static void take_down(void) {
    for (int i = NONE; i <= B; i++) {
        car_grant_unref(&grants[i]);
    }
    car_keys_free(&api.auth.keys);
    car_reader_close(&worker.reader);
    car_registry_free(&api.auth.registry);
    car_reclaim_free(&domain);
}

/* The tenant that a client gets into, as its index, when it connects with that payload and query; else its refusal. */
static const char *connect_with(const struct car_sio *sio, const char *payload, const char *query) {
    enum { TENANT, TENANT_ID, TOKEN, KEY, MEMBERS };
    static struct car_refusal refusal;
    struct car_json_member m[MEMBERS] = {
        {.name = "tenant"}, {.name = "tenantId"}, {.name = "token"}, {.name = "apiKey"}};
    struct car_sio_claim claim = {0};
    CU_ASSERT_EQUAL_FATAL(car_json_pick(car_span_cstr(payload), m, MEMBERS, NULL), 0);
    const struct car_sio_shown shown = {
        .query = car_span_cstr(query), .tenant = &m[TENANT], .token = &m[TOKEN].value, .key = &m[KEY].value};
    refusal = (struct car_refusal){.code = "?"};
    const char *who = refusal.code;
    if (car_sio_claim_check(&claim, sio, &shown, &refusal) != 0) {
        CU_ASSERT(refusal.message[0] != '\0');
        who = refusal.code;
    } else {
        for (int i = A; i <= B; i++) {
            who = claim.who.tenant == tenants[i] ? NAMES[i] : who;
        }
        CU_ASSERT(claim.who.scopes & CAR_SCOPE_SUBSCRIBE);
    }
    car_sio_claim_free(&claim);
    return who;
}

/* A client whose handshake was good for a tenant, or for nobody. */
static struct car_sio asked(int tenant) {
    struct car_sio sio = {.api = &api, .eio = {.worker = &worker}};
    if (tenant == NONE) {
        sio.asked_status = 401;
        sio.asked_why = "nothing is shown";
    } else {
        sio.asked = tenants[tenant];
        sio.asked_named = true;
    }
    return sio;
}

static void test_by_name(void) {
    static const struct {
        int asked;
        const char *payload, *query, *who;
    } CASES[] = {
        {NONE, "null", "", "unauthorized"},
        {NONE, "{}", "", "unauthorized"},
        {NONE, "{\"tenant\":null}", "", "unauthorized"},
        {NONE, "{\"tenant\":\"\"}", "", "unauthorized"},
        {NONE, "{\"tenant\":7}", "", "unauthorized"},
        {NONE, "{\"tenantId\":[\"a\"]}", "", "unauthorized"},
        {NONE, "{\"tenant\":\"c\"}", "", "unauthorized"},
        {NONE, "{\"tenant\":\"a\"}", "", "a"},
        {NONE, "{\"tenantId\":\"a\"}", "", "a"},
        {NONE, "{\"tenant\":\"\\u0061\"}", "", "a"},
        {NONE, "null", "tenant=a", "a"},
        {NONE, "null", "tenantId=b", "b"},
        {NONE, "{\"tenant\":\"a\",\"tenantId\":\"a\"}", "tenant=a&tenantId=a", "a"},
        {NONE, "{\"tenant\":\"a\",\"tenantId\":\"b\"}", "", "forbidden"},
        {NONE, "{\"tenant\":\"a\"}", "tenant=b", "forbidden"},
        {NONE, "{\"tenant\":\"a\"}", "tenantId=b", "forbidden"},
        {NONE, "null", "tenant=a&tenantId=b", "forbidden"},
        {A, "null", "", "a"},
        {A, "{\"tenant\":\"a\"}", "", "a"},
        {A, "{\"tenant\":\"b\"}", "", "forbidden"},
        {A, "null", "tenant=b", "forbidden"},
        {A, "{\"tenant\":\"a\"}", "tenant=b", "forbidden"},
        {A, "{\"tenant\":true}", "", "unauthorized"},
        {B, "{\"tenant\":\"a\"}", "", "forbidden"},
        {B, "{\"tenantId\":\"b\"}", "", "b"},
    };
    set_up(CAR_AUTH_OPEN);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct car_sio sio = asked(CASES[i].asked);
        CU_ASSERT_STRING_EQUAL(connect_with(&sio, CASES[i].payload, CASES[i].query), CASES[i].who);
    }
    take_down();
}

/* One that shows a key by its member, or as a token; `named` too, unless that is NONE. */
static const char *show(const struct car_sio *sio, const char *member, const char *key, int named) {
    char payload[200];
    int len = snprintf(payload, sizeof payload, "{\"%s\":\"%s\"", member, key);
    snprintf(payload + len, sizeof payload - (size_t)len, named ? ",\"tenant\":\"%s\"}" : "}", NAMES[named]);
    return connect_with(sio, payload, "");
}

static void test_by_key(void) {
    set_up(CAR_AUTH_KEY);
    struct car_sio nobody = asked(NONE);
    CU_ASSERT_STRING_EQUAL(connect_with(&nobody, "null", ""), "unauthorized");
    CU_ASSERT_STRING_EQUAL(connect_with(&nobody, "{\"tenant\":\"a\"}", "tenant=a"), "unauthorized");
    CU_ASSERT_STRING_EQUAL(connect_with(&nobody, "{\"apiKey\":7}", ""), "unauthorized");
    CU_ASSERT_STRING_EQUAL(connect_with(&nobody, "{\"token\":{}}", ""), "unauthorized");
    CU_ASSERT_STRING_EQUAL(show(&nobody, "apiKey", "car_wrong", NONE), "unauthorized");
    CU_ASSERT_STRING_EQUAL(show(&nobody, "apiKey", keys[NONE], NONE), "forbidden"); /* it may not subscribe */
    for (int i = A; i <= B; i++) {
        for (int named = NONE; named <= STRANGER; named++) {
            bool own = named == NONE || named == i;
            CU_ASSERT_STRING_EQUAL(show(&nobody, "apiKey", keys[i], named), own ? NAMES[i] : "forbidden");
        }
    }
    take_down();
}

/* The handshake was good for one: nothing that is shown later makes it another's. */
static void test_after_a_handshake(void) {
    set_up(CAR_AUTH_KEY);
    for (int i = A; i <= B; i++) {
        struct car_sio sio = asked(i);
        sio.asked_grant = grants[i];
        CU_ASSERT_STRING_EQUAL(connect_with(&sio, "null", ""), NAMES[i]);
        CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[i], NONE), NAMES[i]);
        CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[A + B - i], NONE), "forbidden");
        CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[i], A + B - i), "forbidden");
        CU_ASSERT_STRING_EQUAL(connect_with(&sio, i == A ? "{\"tenant\":\"b\"}" : "{\"tenant\":\"a\"}", ""),
                               "forbidden");
        CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", "car_wrong", NONE), "unauthorized");
    }
    struct car_sio sio = asked(A); /* one that may publish alone */
    sio.asked_grant = grants[NONE];
    CU_ASSERT_STRING_EQUAL(connect_with(&sio, "null", ""), "forbidden");
    take_down();
}

/* The connection is one's already, by its first namespace. */
static void test_the_second_namespace(void) {
    set_up(CAR_AUTH_KEY);
    struct car_sio sio = asked(NONE);
    sio.tenant = tenants[A];
    CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[A], NONE), "a");
    CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[B], NONE), "forbidden");
    CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[B], B), "forbidden");
    CU_ASSERT_STRING_EQUAL(connect_with(&sio, "null", ""), "unauthorized");
    take_down();
    set_up(CAR_AUTH_OPEN);
    sio = asked(NONE);
    sio.tenant = tenants[B];
    CU_ASSERT_STRING_EQUAL(connect_with(&sio, "{\"tenant\":\"a\"}", ""), "forbidden");
    CU_ASSERT_STRING_EQUAL(connect_with(&sio, "{\"tenant\":\"b\"}", ""), "b");
    take_down();
}

/* A handshake that names a tenant and shows nothing for it holds what is shown later to that name. */
static void test_a_name_in_the_handshake(void) {
    set_up(CAR_AUTH_KEY);
    struct car_sio sio = asked(NONE);
    char name[] = "a";
    sio.asked_named = true;
    sio.asked_name = name;
    CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[A], NONE), "a");
    CU_ASSERT_STRING_EQUAL(show(&sio, "apiKey", keys[B], NONE), "forbidden");
    take_down();
}

int main(void) {
    static const struct car_test tests[] = {
        {"by name", test_by_name},
        {"by key", test_by_key},
        {"after a handshake", test_after_a_handshake},
        {"the second namespace", test_the_second_namespace},
        {"a name in the handshake", test_a_name_in_the_handshake},
    };
    return car_suite_main("sio_claim", tests, sizeof tests / sizeof *tests);
}
