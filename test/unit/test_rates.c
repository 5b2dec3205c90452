#include "carillon/guard/rates.h"

#include <stdio.h>

#include "carillon/base/err.h"
#include "carillon/runtime/reclaim.h"

#include "suite.h"

#define S UINT64_C(1000000000)

static uint64_t now_ns;
static struct car_reclaim *domain;
static struct car_reader *reader;
static struct car_rates rates;
static struct car_tenant *tenant, *other;
static struct car_takings takings;

static uint64_t fake_clock(void) {
    return now_ns;
}

static void open_rates(uint64_t ip, uint64_t user, uint64_t events) {
    now_ns = 1000 * S;
    domain = car_reclaim_new();
    reader = car_reader_open(domain);
    tenant = car_tenant_new(CAR_SPAN("a"));
    other = car_tenant_new(CAR_SPAN("b"));
    rates = (struct car_rates){.ip = {ip, ip ? 1000 : 0},
                               .user = {user, user ? 1000 : 0},
                               .tenant = {events, events ? 1000 : 0},
                               .clock = fake_clock};
    CU_ASSERT_EQUAL_FATAL(car_rates_open(&rates), 0);
}

static void close_rates(void) {
    car_rates_close(&rates);
    car_reader_close(&reader); /* frees what was retired */
    car_reclaim_free(&domain);
    car_tenant_free(&tenant);
    car_tenant_free(&other);
}

static void give_limits(uint64_t events, uint64_t window_ms, uint64_t bytes_s, const char *name) {
    struct car_tenant_terms terms = {.limits = {.events = events, .events_window_ms = window_ms, .bytes_s = bytes_s}};
    snprintf(terms.name, sizeof terms.name, "%s", name);
    CU_ASSERT_EQUAL_FATAL(car_tenant_set_terms(tenant, reader, &terms), 0);
    (void)car_reader_poll(reader);
}

static int take_ip_as(const char *text, bool guess) {
    struct car_address address;
    car_takings_init(&takings);
    CU_ASSERT_EQUAL_FATAL(car_address_parse(car_span_cstr(text), &address), 0);
    return car_rates_take_ip(&rates, reader, &address, guess, &takings);
}

static int take_ip(const char *text) {
    return take_ip_as(text, false);
}

static int take_user(struct car_tenant *of, struct car_grant *grant) {
    car_takings_init(&takings);
    int err = car_rates_take_user(&rates, reader, of, grant, &takings);
    car_grant_unref(&grant);
    return err;
}

static int take_subject(struct car_tenant *of, const char *subject) {
    return take_user(of, car_grant_new(of, car_span_cstr(subject), CAR_SCOPES_ALL));
}

static int take_key(struct car_tenant *of, const char *id) {
    return take_user(of, car_grant_new_of_key(of, id, CAR_SCOPES_ALL));
}

static int take_events(uint64_t events, uint64_t bytes) {
    car_takings_init(&takings);
    return car_rates_take_events(&rates, reader, tenant, events, bytes, &takings);
}

static void nothing_is_limited(void) {
    open_rates(0, 0, 0);
    give_limits(0, 0, 0, "called so");
    for (unsigned i = 0; i < 10000; i++) {
        CU_ASSERT_EQUAL(take_ip("192.0.2.1"), 0);
        CU_ASSERT_EQUAL(take_subject(tenant, "ann"), 0);
        CU_ASSERT_EQUAL(take_events(1000, 1 << 20), 0);
        CU_ASSERT_EQUAL(takings.count, 0);
    }
    close_rates();
}

static void addresses(void) {
    open_rates(2, 0, 0);
    CU_ASSERT_EQUAL(take_ip("192.0.2.1"), 0);
    CU_ASSERT_EQUAL(take_ip("::ffff:192.0.2.1"), 0);
    CU_ASSERT_EQUAL(take_ip("192.0.2.1"), CAR_EFULL);
    CU_ASSERT_TRUE(takings.refused);
    CU_ASSERT_EQUAL(car_takings_retry(&takings), S / 2);
    CU_ASSERT_EQUAL(take_ip("192.0.2.2"), 0);
    CU_ASSERT_EQUAL(take_ip("2001:db8::1"), 0);
    CU_ASSERT_EQUAL(take_ip("2001:db8::ffff:0:0:2"), 0);
    CU_ASSERT_EQUAL(take_ip("2001:db8::3"), CAR_EFULL);
    CU_ASSERT_EQUAL(take_ip("2001:db8:0:1::3"), 0);
    now_ns += S / 2;
    CU_ASSERT_EQUAL(take_ip("192.0.2.1"), 0);
    CU_ASSERT_EQUAL(take_ip("192.0.2.1"), CAR_EFULL);
    close_rates();
}

static void guesses_are_apart(void) {
    open_rates(2, 0, 0);
    CU_ASSERT_EQUAL(take_ip_as("192.0.2.1", true), 0);
    CU_ASSERT_EQUAL(take_ip_as("192.0.2.1", true), 0);
    CU_ASSERT_EQUAL(take_ip_as("192.0.2.1", true), CAR_EFULL);
    CU_ASSERT_EQUAL(take_ip("192.0.2.1"), 0);
    now_ns += 10 * S;
    for (unsigned i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(take_ip_as("192.0.2.1", true), 0);
        car_rates_give_back(&rates, reader, &takings); /* it was right */
        CU_ASSERT_EQUAL(takings.fields[0].state.remaining, 2);
    }
    close_rates();
}

static void users(void) {
    char a[CAR_SUBJECT_MAX + 1] = {0};
    char b[CAR_SUBJECT_MAX + 1] = {0};
    open_rates(0, 1, 0);
    CU_ASSERT_EQUAL(take_subject(tenant, "ann"), 0);
    CU_ASSERT_EQUAL(take_subject(tenant, "ann"), CAR_EFULL);
    CU_ASSERT_EQUAL(take_subject(tenant, "bob"), 0);
    CU_ASSERT_EQUAL(take_subject(other, "ann"), 0);
    CU_ASSERT_EQUAL(take_key(tenant, "ann"), 0);
    CU_ASSERT_EQUAL(take_key(tenant, "ann"), CAR_EFULL);
    CU_ASSERT_EQUAL(take_key(other, "ann"), 0);
    memset(a, 'x', CAR_SUBJECT_MAX);
    memset(b, 'x', CAR_SUBJECT_MAX);
    b[CAR_SUBJECT_MAX - 1] = 'y'; /* told apart by the last character, too */
    CU_ASSERT_EQUAL(take_subject(tenant, a), 0);
    CU_ASSERT_EQUAL(take_subject(tenant, b), 0);
    for (unsigned i = 0; i < 10; i++) { /* nobody by name */
        CU_ASSERT_EQUAL(take_subject(tenant, ""), 0);
        CU_ASSERT_EQUAL(take_user(tenant, NULL), 0);
        CU_ASSERT_EQUAL(takings.count, 0);
    }
    close_rates();
}

static void events_of_a_tenant(void) {
    open_rates(0, 0, 5);
    CU_ASSERT_EQUAL(take_events(3, 1 << 30), 0);
    CU_ASSERT_EQUAL(take_events(3, 0), CAR_EFULL);
    CU_ASSERT_EQUAL(takings.fields[0].state.remaining, 2);
    CU_ASSERT_EQUAL(take_events(2, 0), 0);
    CU_ASSERT_EQUAL(take_events(6, 0), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(car_takings_retry(&takings), CAR_RATE_NEVER);
    CU_ASSERT_PTR_NOT_NULL(strstr(car_takings_why(&takings), "at once"));
    close_rates();
}

static void its_own_limit_beats_the_servers(void) {
    open_rates(0, 0, 2);
    CU_ASSERT_EQUAL(take_events(2, 1), 0);
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(10, 1000, 0, "");
    CU_ASSERT_EQUAL(take_events(10, 1), 0);
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(10, 1000, 0, "called otherwise"); /* nobody gets a fresh start by that */
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(10, 1000, 100, ""); /* nor by another limit */
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(10, 2000, 100, "");
    CU_ASSERT_EQUAL(take_events(10, 100), 0);
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(11, 2000, 100, "");
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL); /* the bytes */
    CU_ASSERT_EQUAL(takings.which[takings.count - 1], CAR_RATE_BYTES);
    give_limits(0, 0, 0, "");
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL); /* the server's, as it was left */
    now_ns += S;
    CU_ASSERT_EQUAL(take_events(2, 1), 0);
    close_rates();
}

static void bytes(void) {
    open_rates(0, 0, 0);
    give_limits(10, 1000, 100, "");
    CU_ASSERT_EQUAL(take_events(1, 60), 0);
    CU_ASSERT_EQUAL(takings.count, 2);
    CU_ASSERT_EQUAL(take_events(1, 60), CAR_EFULL);
    CU_ASSERT_EQUAL(takings.fields[0].state.remaining, 9); /* the event was given back */
    CU_ASSERT_EQUAL(takings.fields[1].state.remaining, 40);
    CU_ASSERT_EQUAL(car_takings_retry(&takings), S / 5);
    CU_ASSERT_EQUAL(take_events(1, 101), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(takings.fields[0].state.remaining, 9);
    CU_ASSERT_EQUAL(take_events(9, 40), 0);
    give_limits(0, 0, 100, "");
    CU_ASSERT_EQUAL(take_events(1000, 0), 0); /* no limit of events any more; of bytes, as it was */
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    close_rates();
}

/* What was taken of an address and a user is given back where a later limit refuses. */
static void all_or_none(void) {
    struct car_address address;
    (void)car_address_parse(CAR_SPAN("192.0.2.1"), &address);
    open_rates(5, 3, 1);
    struct car_grant *ann = car_grant_new(tenant, CAR_SPAN("ann"), CAR_SCOPES_ALL);
    for (unsigned i = 0; i < 20; i++) {
        car_takings_init(&takings);
        CU_ASSERT_EQUAL(car_rates_take_ip(&rates, reader, &address, false, &takings), 0);
        CU_ASSERT_EQUAL(car_rates_take_user(&rates, reader, tenant, ann, &takings), 0);
        CU_ASSERT_EQUAL(car_rates_take_events(&rates, reader, tenant, 1, 1, &takings), i ? CAR_EFULL : 0);
        CU_ASSERT_EQUAL(takings.count, 3);
        CU_ASSERT_EQUAL(takings.fields[0].state.remaining, 4);
        CU_ASSERT_EQUAL(takings.fields[1].state.remaining, 2);
        CU_ASSERT_EQUAL(takings.fields[2].state.remaining, 0);
    }
    for (unsigned i = 0; i < 10; i++) {
        car_takings_init(&takings);
        CU_ASSERT_EQUAL(car_rates_take_ip(&rates, reader, &address, false, &takings), 0);
        CU_ASSERT_EQUAL(car_rates_take_user(&rates, reader, tenant, ann, &takings), i < 2 ? 0 : CAR_EFULL);
        CU_ASSERT_EQUAL(takings.fields[0].state.remaining, i < 2 ? 3 - i : 2);
    }
    car_grant_unref(&ann);
    close_rates();
}

/* What a store says need not be within bounds. */
static void limits_out_of_bounds(void) {
    open_rates(0, 0, 0);
    give_limits(INT64_MAX, INT64_MAX, INT64_MAX, "");
    CU_ASSERT_EQUAL(take_events(CAR_RATE_COUNT_MAX, CAR_RATE_COUNT_MAX), 0);
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    give_limits(3, 0, 0, "");
    CU_ASSERT_EQUAL(take_events(3, 1), 0);
    CU_ASSERT_EQUAL(take_events(1, 1), CAR_EFULL);
    close_rates();
}

static const struct car_test TESTS[] = {
    {"nothing is limited", nothing_is_limited},
    {"addresses", addresses},
    {"guesses are apart", guesses_are_apart},
    {"users", users},
    {"events of a tenant", events_of_a_tenant},
    {"its own limit beats the server's", its_own_limit_beats_the_servers},
    {"bytes", bytes},
    {"all or none", all_or_none},
    {"limits out of bounds", limits_out_of_bounds},
};

int main(void) {
    return car_suite_main("rates", TESTS, sizeof TESTS / sizeof *TESTS);
}
