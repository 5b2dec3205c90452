#include "api/sio_pid.h"

#include "support/suite.h"

static const struct car_sio_realm REALM = {
    .tenant = CAR_SPAN_INIT("tenant_a"), .nsp = CAR_SPAN_INIT("/events"), .epoch = CAR_SPAN_INIT("0123456789abcdef")};

static struct car_span text_of(const struct car_sio_pid *pid) {
    return car_span_of(pid->text, sizeof pid->text);
}

static void test_good_for_its_realm_only(void) {
    struct car_sio_realm others[] = {REALM, REALM, REALM, REALM, REALM};
    struct car_sio_pid pid;
    struct car_sio_pid read;
    others[0].tenant = CAR_SPAN("tenant_b");
    others[1].subject = CAR_SPAN("alice");
    others[2].nsp = CAR_SPAN("/");
    others[3].epoch = CAR_SPAN("0123456789abcdee");
    others[4].tenant = CAR_SPAN("tenant_a0:7:"); /* the same letters, cut otherwise */
    for (int round = 0; round < 100; round++) {
        car_sio_pid_make(&REALM, &pid);
        CU_ASSERT(car_sio_pid_read(text_of(&pid), &REALM, &read));
        CU_ASSERT_EQUAL(memcmp(&pid, &read, sizeof pid), 0);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            CU_ASSERT_FALSE(car_sio_pid_read(text_of(&pid), &others[i], &read));
        }
    }
}

static void test_mangled(void) {
    struct car_sio_pid pid;
    struct car_sio_pid read;
    car_sio_pid_make(&REALM, &pid);
    for (size_t i = 0; i < sizeof pid.text; i++) {
        struct car_sio_pid other = pid;
        other.text[i] = other.text[i] == 'A' ? 'B' : 'A';
        CU_ASSERT_FALSE(car_sio_pid_read(text_of(&other), &REALM, &read));
        CU_ASSERT_FALSE(car_sio_pid_read(car_span_of(pid.text, i), &REALM, &read));
        other.text[i] = '+';
        CU_ASSERT_FALSE(car_sio_pid_read(text_of(&other), &REALM, &read));
    }
    char longer[CAR_SIO_PID_LEN + 4];
    memcpy(longer, pid.text, sizeof pid.text);
    memcpy(longer + sizeof pid.text, "AAAA", 4);
    CU_ASSERT_FALSE(car_sio_pid_read(car_span_of(longer, sizeof longer), &REALM, &read));
    CU_ASSERT_FALSE(car_sio_pid_read(car_span_of(NULL, 0), &REALM, &read));
}

static void test_sid(void) {
    struct car_sio_pid a;
    struct car_sio_pid b;
    char first[CAR_SIO_SID_LEN];
    char again[CAR_SIO_SID_LEN];
    char other[CAR_SIO_SID_LEN];
    car_sio_pid_make(&REALM, &a);
    car_sio_pid_make(&REALM, &b);
    car_sio_pid_sid(&a, first);
    car_sio_pid_sid(&a, again);
    car_sio_pid_sid(&b, other);
    CU_ASSERT_EQUAL(memcmp(first, again, sizeof first), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof first), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(first, a.text, sizeof first), 0);
}

static const struct car_test TESTS[] = {{"good for its realm only", test_good_for_its_realm_only},
                                        {"mangled", test_mangled},
                                        {"the id that everybody may know", test_sid}};

int main(void) {
    return car_suite_main("sio_pid", TESTS, sizeof TESTS / sizeof *TESTS);
}
