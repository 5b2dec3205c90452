#include "api/refusals.h"

#include <stdio.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/audit.h"
#include "carillon/runtime/worker.h"

#include "feed_fixture.h"
#include "suite.h"

#define SECRET "car_0123456789012345678901234567890123456789abcd"

static struct feed_fixture f;
static struct car_refused got[CAR_REFUSALS_KEPT + 1];

static void open_worker(void) {
    feed_open(&f, 1, 500);
    CU_ASSERT_EQUAL_FATAL(car_api_attach(f.workers[0]), 0);
}

static void close_worker(void) {
    car_api_detach(f.workers[0]);
    feed_close(&f);
}

static void note(struct car_span path, struct car_span named, struct car_tenant *tenant, const char *request_id) {
    const struct car_audit_entry entry = {.act = "publish",
                                          .outcome = CAR_AUDIT_REFUSED,
                                          .status = 403,
                                          .tenant = named,
                                          .request_id = car_span_cstr(request_id),
                                          .peer = CAR_SPAN("192.0.2.1"),
                                          .method = CAR_SPAN("POST"),
                                          .path = path,
                                          .reason = "no"};
    car_refusals_note(f.workers[0], &entry, tenant);
}

static unsigned copy(unsigned max) {
    return car_refusals_copy(car_refusals_of(f.workers[0]), got, max);
}

static void test_newest_first(void) {
    open_worker();
    CU_ASSERT_EQUAL(copy(10), 0);
    note(CAR_SPAN("/events"), CAR_SPAN(""), NULL, "r-1");
    note(CAR_SPAN("/ws"), CAR_SPAN(""), NULL, "r-2");
    CU_ASSERT_EQUAL(copy(10), 2);
    CU_ASSERT_STRING_EQUAL(got[0].request_id, "r-2");
    CU_ASSERT_STRING_EQUAL(got[0].path, "/ws");
    CU_ASSERT_STRING_EQUAL(got[1].request_id, "r-1");
    CU_ASSERT_STRING_EQUAL(got[1].act, "publish");
    CU_ASSERT_STRING_EQUAL(got[1].method, "POST");
    CU_ASSERT_STRING_EQUAL(got[1].client, "192.0.2.1");
    CU_ASSERT_STRING_EQUAL(got[1].reason, "no");
    CU_ASSERT_EQUAL(got[1].status, 403);
    CU_ASSERT(got[1].at_ms > 0 && got[1].at_ms <= got[0].at_ms);
    CU_ASSERT_EQUAL(copy(1), 1);
    CU_ASSERT_STRING_EQUAL(got[0].request_id, "r-2");
    close_worker();
}

/* The ring holds the last of them, however many there were. */
static void test_wraps(void) {
    char id[16];
    open_worker();
    for (unsigned n = 1; n <= 3 * CAR_REFUSALS_KEPT + 7; n++) {
        snprintf(id, sizeof id, "r-%u", n);
        note(CAR_SPAN("/events"), CAR_SPAN(""), NULL, id);
    }
    CU_ASSERT_EQUAL(car_refusals_of(f.workers[0])->count, 3 * CAR_REFUSALS_KEPT + 7);
    CU_ASSERT_EQUAL_FATAL(copy(CAR_REFUSALS_KEPT + 1), CAR_REFUSALS_KEPT);
    for (unsigned i = 0; i < CAR_REFUSALS_KEPT; i++) {
        snprintf(id, sizeof id, "r-%u", 3 * CAR_REFUSALS_KEPT + 7 - i);
        CU_ASSERT_STRING_EQUAL(got[i].request_id, id);
    }
    close_worker();
}

/* What a client has put into a path, or into the place of a name, is not kept: it may be a secret. */
static void test_no_text_of_a_client(void) {
    open_worker();
    note(CAR_SPAN("/api/v1/tenants/" SECRET "/keys/" SECRET), CAR_SPAN(SECRET), NULL, "r-1");
    note(CAR_SPAN("/" SECRET), CAR_SPAN("<b>no id</b>"), NULL, "r-2");
    CU_ASSERT_EQUAL_FATAL(copy(2), 2);
    CU_ASSERT_STRING_EQUAL(got[1].path, "/api/v1/tenants/{id}/keys/{kid}");
    CU_ASSERT_STRING_EQUAL(got[1].tenant, "");
    CU_ASSERT_STRING_EQUAL(got[0].path, "");
    CU_ASSERT_STRING_EQUAL(got[0].tenant, "");
    const struct car_refusals *ring = car_refusals_of(f.workers[0]);
    CU_ASSERT_PTR_NULL(memmem(ring, sizeof *ring, SECRET + 4, 20));
    close_worker();
}

/* A tenant that is only named is told of, but what is refused is not counted as its own. */
static void test_whose(void) {
    open_worker();
    struct car_tenant *acme = feed_tenant(&f, "acme");
    note(CAR_SPAN("/events"), CAR_SPAN("acme"), NULL, "r-1");
    CU_ASSERT_EQUAL(car_tenant_refused(acme), 0);
    note(CAR_SPAN("/events"), CAR_SPAN(""), acme, "r-2");
    CU_ASSERT_EQUAL(car_tenant_refused(acme), 1);
    CU_ASSERT_EQUAL_FATAL(copy(2), 2);
    CU_ASSERT_STRING_EQUAL(got[0].tenant, "acme");
    CU_ASSERT_STRING_EQUAL(got[1].tenant, "acme");
    close_worker();
}

static void test_long_texts(void) {
    static char text[512];
    memset(text, 'x', sizeof text - 1);
    const struct car_audit_entry entry = {.act = "socketio",
                                          .outcome = CAR_AUDIT_REFUSED,
                                          .status = 401,
                                          .request_id = car_span_cstr(text),
                                          .peer = car_span_cstr(text),
                                          .path = car_span_cstr(text),
                                          .reason = text};
    open_worker();
    car_refusals_note(f.workers[0], &entry, NULL);
    CU_ASSERT_EQUAL_FATAL(copy(1), 1);
    CU_ASSERT_EQUAL(strlen(got[0].request_id), sizeof got[0].request_id - 1);
    CU_ASSERT_EQUAL(strlen(got[0].client), sizeof got[0].client - 1);
    CU_ASSERT_EQUAL(strlen(got[0].path), sizeof got[0].path - 1);
    CU_ASSERT_EQUAL(strlen(got[0].reason), sizeof got[0].reason - 1);
    CU_ASSERT_STRING_EQUAL(got[0].method, "");
    close_worker();
}

static const struct car_test TESTS[] = {
    {"newest first", test_newest_first},
    {"the ring wraps", test_wraps},
    {"no text of a client", test_no_text_of_a_client},
    {"whose it is", test_whose},
    {"long texts", test_long_texts},
};

int main(void) {
    return car_suite_main("refusals", TESTS, sizeof TESTS / sizeof *TESTS);
}
