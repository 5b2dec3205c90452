#include "../../src/api/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/api/call.h"
#include "../../src/api/refusals.h"
#include "../support/suite.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

static char path[] = "/tmp/test_audit_call.XXXXXX";
static char line[4096];
static struct car_tenant *tenant;
static struct car_grant *grant;
static struct car_api api;
static struct car_worker worker;
static struct car_exchange exchange = {.request_id = "r-1", .worker = &worker};
static const struct car_http_request REQ = {
    .method = CAR_SPAN_INIT("POST"), .path = CAR_SPAN_INIT("/x"), .query = CAR_SPAN_INIT("api_key=sesame")};

/* A call as it stands before a handler, of that identity. */
static struct car_call call_of(bool known) {
    return (struct car_call){.api = &api,
                             .exchange = &exchange,
                             .req = &REQ,
                             .who = {.tenant = known ? tenant : NULL, .grant = known ? grant : NULL}};
}

static void begin(void) {
    CU_ASSERT_EQUAL_FATAL(truncate(path, 0), 0);
    CU_ASSERT_EQUAL_FATAL(car_audit_open(path, CAR_LOG_TEXT), 0);
}

/* Ends the log and asserts what it has, behind its time. */
static void has(const char *rest) {
    car_audit_close();
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    fclose(file);
    const char *from = strstr(line, "audit: ");
    CU_ASSERT_STRING_EQUAL(from ? from : line, rest);
}

static void test_acts_of_the_administrator(void) {
    struct car_call call = call_of(false);
    api.auth = (struct car_auth){.mode = CAR_AUTH_KEY, .has_admin = true};
    begin();
    car_audit_act(&api, call.exchange, &call.who, "key_make", 201, CAR_SPAN("acme"), CAR_SPAN("k-1"));
    has("audit: act=key_make outcome=ok status=201 tenant=acme credential=admin target=k-1 request_id=r-1\n");
    api.auth = (struct car_auth){.mode = CAR_AUTH_OPEN, .admin_open = true};
    begin();
    car_audit_act(&api, call.exchange, &call.who, "tenant_make", 201, CAR_SPAN("acme"), car_span_of(NULL, 0));
    has("audit: act=tenant_make outcome=ok status=201 tenant=acme credential=open request_id=r-1\n");
}

static void test_acts_of_a_key(void) {
    struct car_call call = call_of(true);
    call.who.grant = car_grant_new_of_key(tenant, "k-9", CAR_SCOPES_ALL);
    api.auth = (struct car_auth){.mode = CAR_AUTH_KEY, .has_admin = true};
    begin();
    car_audit_act(&api, call.exchange, &call.who, "key_revoke", 204, car_tenant_id(tenant), CAR_SPAN("k-1"));
    has("audit: act=key_revoke outcome=ok status=204 tenant=a credential=key:k-9 target=k-1 request_id=r-1\n");
    car_grant_unref(&call.who.grant);
}

/* Who has mistaken a key for its id has it in no log. */
static void test_a_key_in_the_path(void) {
    struct car_http_request req = {
        .method = CAR_SPAN_INIT("DELETE"),
        .path = CAR_SPAN_INIT("/keys/car_0123456789012345678901234567890123456789abcd"),
    };
    struct car_call call = call_of(false);
    call.req = &req;
    api.auth = (struct car_auth){.mode = CAR_AUTH_KEY, .has_admin = true};
    begin();
    car_audit_call(&call, "administer", CAR_AUDIT_REFUSED, 401, "wrong");
    has("audit: act=administer outcome=refused status=401 request_id=r-1 method=DELETE path=/keys/car_ reason=wrong\n");
}

static void test_a_key_in_place_of_an_id(void) {
    static const struct car_span KEY = CAR_SPAN_INIT("car_0123456789012345678901234567890123456789abcd");
    struct car_call call = call_of(false);
    call.act = "key_revoke";
    api.auth = (struct car_auth){.mode = CAR_AUTH_KEY, .has_admin = true};
    for (int i = 0; i < 2; i++) {
        call.id = i ? KEY : CAR_SPAN("acme");
        call.kid = i ? CAR_SPAN("k-1") : KEY;
        begin();
        car_audit_act_failed(&call, 404);
        has(i ? "audit: act=key_revoke outcome=failed status=404 tenant=car_ credential=admin target=k-1 "
                "request_id=r-1\n"
              : "audit: act=key_revoke outcome=failed status=404 tenant=acme credential=admin target=car_ "
                "request_id=r-1\n");
    }
}

static void test_acts_of_a_tenant(void) {
    struct car_call call = call_of(true);
    api.auth = (struct car_auth){.mode = CAR_AUTH_TOKEN, .has_admin = true};
    begin();
    car_audit_act(&api, call.exchange, &call.who, "key_revoke", 204, car_tenant_id(tenant), CAR_SPAN("k-1"));
    has("audit: act=key_revoke outcome=ok status=204 tenant=a subject=ann credential=token target=k-1 "
        "request_id=r-1\n");
}

/* A limit is met by somebody who is known: nothing is looked up any more. */
static void test_limits(void) {
    struct car_call call = call_of(true);
    api.auth = (struct car_auth){.mode = CAR_AUTH_TOKEN};
    begin();
    car_audit_call(&call, "publish", CAR_AUDIT_REFUSED, 429, "too many at a time");
    has("audit: act=publish outcome=refused status=429 tenant=a subject=ann credential=token request_id=r-1 "
        "method=POST "
        "path=/x reason=\"too many at a time\"\n");
}

static void test_what_is_not_told(void) {
    struct car_call call = call_of(false);
    api.auth = (struct car_auth){.mode = CAR_AUTH_OPEN};
    begin();
    for (int status = 400; status < 600; status++) {
        if (status != 401 && status != 403 && status != 413 && status != 429 && status != 503) {
            car_audit_call(&call, "publish", CAR_AUDIT_REFUSED, status, "wrong");
        }
    }
    has("");
    car_audit_act(&api, call.exchange, &call.who, "tenant_make", 201, CAR_SPAN("acme"),
                  car_span_of(NULL, 0)); /* there is no log */
    car_audit_call(&call, "publish", CAR_AUDIT_REFUSED, 401, "wrong");
    has("");
}

/* What the administrator is told of does not depend on a log. */
static void test_refusals_without_a_log(void) {
    struct car_call call = call_of(true);
    struct car_refused refused;
    const struct car_refusals *refusals = car_refusals_of(&worker);
    uint64_t before = refusals->count;
    uint64_t own = car_tenant_refused(tenant);
    api.auth = (struct car_auth){.mode = CAR_AUTH_TOKEN};
    car_audit_call(&call, "publish", CAR_AUDIT_REFUSED, 429, "too many at a time");
    car_audit_call(&call, "publish", CAR_AUDIT_REFUSED, 422, "wrong");
    car_audit_call(&call, "sse", CAR_AUDIT_OK, 200, NULL);
    CU_ASSERT_EQUAL(refusals->count, before + 1);
    CU_ASSERT_EQUAL(car_tenant_refused(tenant), own + 1);
    CU_ASSERT_EQUAL_FATAL(car_refusals_copy(refusals, &refused, 1), 1);
    CU_ASSERT_EQUAL(refused.status, 429);
    CU_ASSERT_STRING_EQUAL(refused.tenant, "a");
    CU_ASSERT_STRING_EQUAL(refused.reason, "too many at a time");
    CU_ASSERT_STRING_EQUAL(refused.request_id, "r-1");
    CU_ASSERT_STRING_EQUAL(refused.path, ""); /* /x is no route */
}

static const struct car_test TESTS[] = {
    {"acts of the administrator", test_acts_of_the_administrator},
    {"acts of a key", test_acts_of_a_key},
    {"a key in the path", test_a_key_in_the_path},
    {"a key in place of an id", test_a_key_in_place_of_an_id},
    {"acts of a tenant", test_acts_of_a_tenant},
    {"limits", test_limits},
    {"what is not told", test_what_is_not_told},
    {"refusals without a log", test_refusals_without_a_log},
};

int main(void) {
    int fd = mkstemp(path);
    tenant = car_tenant_new(CAR_SPAN("a"));
    grant = car_grant_new(tenant, CAR_SPAN("ann"), CAR_SCOPES_ALL);
    if (fd < 0 || !tenant || !grant || car_api_attach(&worker) != 0) {
        return 1;
    }
    int code = car_suite_main("audit_call", TESTS, sizeof TESTS / sizeof *TESTS);
    car_api_detach(&worker);
    car_grant_unref(&grant);
    car_tenant_free(&tenant);
    close(fd);
    unlink(path);
    return code;
}
