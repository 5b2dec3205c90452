#include "carillon/feed/tenant.h"

#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/history.h"
#include "carillon/runtime/reclaim.h"
#include "feed/tenant_state.h"

#include "suite.h"

static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};

static void test_ids(void) {
    static const char *const good[] = {"a", "Z9", "0", "tenant_a", "a.b-c_d", "A..", "x-"};
    static const char *const bad[] = {"",     ".a",  "-a",  "_a",  "a b",      "a/b", "a:b",
                                      "a\"b", "a%b", "../", "a\n", "\xc3\xa9", "a,b", "tenant*"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT(car_tenant_id_ok(car_span_cstr(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_FALSE(car_tenant_id_ok(car_span_cstr(bad[i])));
    }
    for (unsigned c = 0; c < 256; c++) {
        char id[2] = {(char)c, (char)c};
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        CU_ASSERT_EQUAL(car_tenant_id_ok(car_span_of(id, 1)), alnum);
        id[0] = 'a';
        CU_ASSERT_EQUAL(car_tenant_id_ok(car_span_of(id, 2)), alnum || c == '.' || c == '_' || c == '-');
    }
    char text[CAR_TENANT_ID_MAX + 1];
    memset(text, 'x', sizeof text);
    CU_ASSERT(car_tenant_id_ok(car_span_of(text, CAR_TENANT_ID_MAX)));
    CU_ASSERT_FALSE(car_tenant_id_ok(car_span_of(text, CAR_TENANT_ID_MAX + 1)));
    CU_ASSERT_FALSE(car_tenant_id_ok(car_span_of(NULL, 0)));
}

static void test_new(void) {
    char id[CAR_TENANT_ID_MAX];
    memset(id, 'x', sizeof id);
    int64_t before = car_clock_wall_ms();
    struct car_tenant *t = car_tenant_new(car_span_of(id, sizeof id));
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT(car_span_eq(car_tenant_id(t), car_span_of(id, sizeof id)));
    CU_ASSERT_EQUAL(strlen(car_tenant_id(t).ptr), sizeof id);
    CU_ASSERT_PTR_NOT_EQUAL(car_tenant_id(t).ptr, id);
    CU_ASSERT(car_tenant_created_ms(t) >= before && car_tenant_created_ms(t) <= car_clock_wall_ms());
    CU_ASSERT_EQUAL(car_tenant_newest(t), 0);
    CU_ASSERT_EQUAL(car_tenant_connections(t), 0);
    CU_ASSERT_EQUAL(car_tenant_rate_1m(t, before), 0);
    CU_ASSERT_PTR_NULL(atomic_load(&t->inlet)); /* an idle one costs no ring */
    CU_ASSERT_PTR_NULL(atomic_load(&t->lanes));
    car_tenant_free(&t);
    CU_ASSERT_PTR_NULL(t);
    car_tenant_free(&t);
}

/* More may be held than `keep`; it is not to be seen. */
static void test_oldest(void) {
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_tenant *t = car_tenant_new(CAR_SPAN("a"));
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), 1);
    for (uint64_t seq = 1; seq <= 40; seq++) {
        struct car_event *event = car_event_new(t, &draft);
        car_event_seal(event, seq, 1, &ID_KEY);
        CU_ASSERT_EQUAL_FATAL(car_history_append(&t->history, reader, event), 0);
        CU_ASSERT_EQUAL(car_tenant_newest(t), seq);
        CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), seq > 10 ? seq - 9 : 1);
        CU_ASSERT_EQUAL(car_tenant_oldest(t, 1), seq);
        CU_ASSERT_EQUAL(car_tenant_oldest(t, UINT32_MAX), 1);
    }
    car_history_forget(&t->history, reader, 36);
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), 36);
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 3), 38);
    car_history_forget(&t->history, reader, 41);
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), 41);
    car_reader_close(&reader);
    car_tenant_free(&t);
    car_reclaim_free(&reclaim);
}

static void test_read(void) {
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_tenant *t = car_tenant_new(CAR_SPAN("a"));
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    struct car_event *event = car_event_new(t, &draft);
    car_event_seal(event, 1, 1, &ID_KEY);
    CU_ASSERT_EQUAL_FATAL(car_history_append(&t->history, reader, event), 0);
    struct car_event *got = NULL;
    CU_ASSERT_EQUAL(car_tenant_read(t, reader, 1, &got, 1), 1);
    CU_ASSERT_PTR_EQUAL(got, event);
    car_event_unref(&got);
    car_reader_close(&reader);
    car_tenant_free(&t);
    car_reclaim_free(&reclaim);
}

static void test_rate(void) {
    struct car_tenant *t = car_tenant_new(CAR_SPAN("a"));
    car_rate_add(&t->rate, 1000000, 30);
    CU_ASSERT_DOUBLE_EQUAL(car_tenant_rate_1m(t, 1000000), 0.5, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(car_tenant_rate_1m(t, 1100000), 0, 1e-9);
    car_tenant_free(&t);
}

static const struct car_test TESTS[] = {
    {"ids", test_ids},      {"a new tenant", test_new}, {"the oldest event to be seen", test_oldest},
    {"reading", test_read}, {"the rate", test_rate},
};

int main(void) {
    return car_suite_main("tenant", TESTS, sizeof TESTS / sizeof *TESTS);
}
