#include "carillon/feed/history.h"

#include <stdlib.h>

#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"

#include "suite.h"

#define MANY 3000

static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};
static struct car_tenant *tenant;
static struct car_reclaim *reclaim;
static struct car_reader *reader;
static struct car_history h;

/* Appends an event; returns it with a reference more, where that is wanted. */
static struct car_event *append(bool keep) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    struct car_event *event = car_event_new(tenant, &draft);
    car_event_seal(event, car_history_newest(&h) + 1, 1, &ID_KEY);
    struct car_event *again = keep ? car_event_ref(event) : NULL;
    CU_ASSERT_EQUAL_FATAL(car_history_append(&h, reader, event), 0);
    return again;
}

/* Asks for events and gives their references back. Returns how many there were, *first the seq of the first. */
static size_t ask(uint64_t seq, size_t max, uint64_t *first) {
    static struct car_event *out[MANY];
    size_t n = car_history_read(&h, reader, seq, out, max);
    *first = n ? out[0]->seq : 0;
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(out[i]->seq, *first + i);
        car_event_unref(&out[i]);
    }
    return n;
}

static void expect(uint64_t seq, size_t max, size_t count, uint64_t first) {
    uint64_t got = 0;
    CU_ASSERT_EQUAL(ask(seq, max, &got), count);
    CU_ASSERT_EQUAL(got, first);
}

static void drop_retired(void) {
    for (unsigned i = 0; i < 10; i++) {
        car_reader_poll(reader);
    }
    CU_ASSERT_FALSE(car_reader_poll(reader));
}

static void test_empty(void) {
    car_history_init(&h, 0);
    CU_ASSERT_EQUAL(car_history_newest(&h), 0);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 1);
    expect(0, 10, 0, 0);
    expect(1, 10, 0, 0);
    expect(UINT64_MAX, 10, 0, 0);
    car_history_forget(&h, reader, 100);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 1);
    car_history_free(&h);
}

static void test_append_and_read(void) {
    car_history_init(&h, 0);
    for (unsigned i = 0; i < 10; i++) {
        append(false);
    }
    CU_ASSERT_EQUAL(car_history_newest(&h), 10);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 1);
    expect(1, 100, 10, 1);
    expect(0, 100, 10, 1); /* there is no seq 0: from the first on */
    expect(4, 3, 3, 4);
    expect(9, 3, 2, 9);
    expect(10, 1, 1, 10);
    expect(11, 1, 0, 0);
    expect(1, 0, 0, 0);
    car_history_free(&h);
    CU_ASSERT_EQUAL(car_history_newest(&h), 10);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 11);
}

/* The slots double, whatever part of them is taken at that time. */
static void test_growth(void) {
    for (unsigned forget = 0; forget < 40; forget += 3) {
        car_history_init(&h, 0);
        for (uint64_t seq = 1; seq <= MANY; seq++) {
            append(false);
            if (seq == 20 || seq == 900) {
                car_history_forget(&h, reader, forget);
            }
            if (seq < 70 || seq % 251 == 0 || seq == MANY) {
                uint64_t oldest = car_history_oldest(&h);
                CU_ASSERT_EQUAL(oldest, seq >= 20 && forget > 0 ? (forget < 21  ? forget
                                                                   : seq >= 900 ? forget
                                                                                : 21)
                                                                : 1);
                expect(oldest, MANY, seq - oldest + 1, oldest <= seq ? oldest : 0);
            }
            if (seq % 100 == 0) {
                car_reader_poll(reader);
            }
        }
        car_history_free(&h);
        drop_retired();
    }
}

/* A window of constant size runs round the same slots. */
static void test_window(void) {
    car_history_init(&h, 0);
    for (uint64_t seq = 1; seq <= MANY; seq++) {
        append(false);
        uint64_t keep = seq > 12 ? seq - 11 : 1;
        car_history_forget(&h, reader, keep);
        CU_ASSERT_EQUAL(car_history_oldest(&h), keep);
        expect(keep, 100, (size_t)(seq - keep + 1), keep);
        expect(1, 5, seq < 5 ? (size_t)seq : 5, keep); /* forgotten: from the first kept on */
    }
    car_history_free(&h);
    drop_retired();
}

static void test_forget(void) {
    car_history_init(&h, 0);
    for (unsigned i = 0; i < 30; i++) {
        append(false);
    }
    car_history_forget(&h, reader, 10);
    expect(1, 100, 21, 10);
    car_history_forget(&h, reader, 5); /* less than before: nothing */
    CU_ASSERT_EQUAL(car_history_oldest(&h), 10);
    car_history_forget(&h, reader, 1000); /* all, and no more than all */
    CU_ASSERT_EQUAL(car_history_oldest(&h), 31);
    expect(1, 100, 0, 0);
    append(false);
    expect(1, 100, 1, 31);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 31);
    car_history_free(&h);
    drop_retired();
}

/* What a reader took stays with it; what is forgotten goes when nobody can be looking. */
static void test_references(void) {
    car_history_init(&h, 0);
    struct car_event *event = append(true);
    CU_ASSERT_EQUAL(atomic_load(&event->refs), 2);
    struct car_event *taken = NULL;
    CU_ASSERT_EQUAL_FATAL(car_history_read(&h, reader, 1, &taken, 1), 1);
    CU_ASSERT_PTR_EQUAL(taken, event);
    CU_ASSERT_EQUAL(atomic_load(&event->refs), 3);
    struct car_reader *other = car_reader_open(reclaim);
    car_reader_enter(other);
    car_history_forget(&h, reader, 2);
    for (unsigned i = 0; i < 10; i++) {
        car_reader_poll(reader);
    }
    CU_ASSERT_EQUAL(atomic_load(&event->refs), 3); /* `other` may be about to take one */
    car_reader_leave(other);
    drop_retired();
    CU_ASSERT_EQUAL(atomic_load(&event->refs), 2);
    car_event_unref(&taken);
    CU_ASSERT_EQUAL(event->seq, 1);
    car_event_unref(&event);
    car_reader_close(&other);
    car_history_free(&h);
}

static void test_begins_later(void) {
    car_history_init(&h, 1000000);
    CU_ASSERT_EQUAL(car_history_newest(&h), 1000000);
    CU_ASSERT_EQUAL(car_history_oldest(&h), 1000001);
    expect(1, 10, 0, 0);
    for (unsigned i = 0; i < 40; i++) {
        append(false);
    }
    expect(1, 100, 40, 1000001);
    expect(1000001, 100, 40, 1000001);
    car_history_free(&h);
    drop_retired();
}

static const struct car_test TESTS[] = {
    {"nothing yet", test_empty},
    {"append and read", test_append_and_read},
    {"growth by doubling", test_growth},
    {"a window that moves on", test_window},
    {"forgetting", test_forget},
    {"references", test_references},
    {"a history that begins later", test_begins_later},
};

int main(void) {
    tenant = car_tenant_new(CAR_SPAN("a"));
    reclaim = car_reclaim_new();
    reader = car_reader_open(reclaim);
    int code = car_suite_main("history", TESTS, sizeof TESTS / sizeof *TESTS);
    car_reader_close(&reader);
    car_reclaim_free(&reclaim);
    car_tenant_free(&tenant);
    return code;
}
