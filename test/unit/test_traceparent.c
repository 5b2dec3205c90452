#include "carillon/proto/traceparent.h"

#include <stdio.h>
#include <stdlib.h>

#include "suite.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ "b7ad6b7169203331"
#define IDS   TRACE "-" SPAN_

/* What is read, and what comes of it; NULL: it is none. W3C Trace Context, Level 2, section 3.2. */
static const struct {
    const char *text, *want;
} ROWS[] = {
    {"00-" IDS "-01", "00-" IDS "-01"},
    {"00-" IDS "-00", "00-" IDS "-00"},
    {"00-" IDS "-03", "00-" IDS "-03"},
    {"00-" IDS "-ff", "00-" IDS "-ff"}, /* flags without a meaning yet are the sender's */
    {"00-00000000000000000000000000000001-0000000000000001-01",
     "00-00000000000000000000000000000001-0000000000000001-01"},
    {"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
     "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01"},

    /* ids of nothing but zeros */
    {"00-00000000000000000000000000000000-" SPAN_ "-01", NULL},
    {"00-" TRACE "-0000000000000000-01", NULL},
    {"cc-00000000000000000000000000000000-" SPAN_ "-01", NULL},
    {"cc-" TRACE "-0000000000000000-01", NULL},

    /* lengths */
    {"", NULL},
    {"0", NULL},
    {"00", NULL},
    {"00-" IDS "-0", NULL},
    {"00-" IDS "-011", NULL},
    {"00-" IDS "-01-", NULL},
    {"00-" IDS "-01-x", NULL},
    {"00-" IDS "-01 ", NULL},
    {" 00-" IDS "-01", NULL},
    {"00-" TRACE "0-" SPAN_ "-1", NULL},
    {"0-" IDS "-01x", NULL},
    {"000-" IDS "-1", NULL},

    /* no lower-case hex */
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN_ "-01", NULL},
    {"00-" TRACE "-B7AD6B7169203331-01", NULL},
    {"00-" IDS "-0A", NULL},
    {"0A-" IDS "-01", NULL},
    {"00-" IDS "-g1", NULL},
    {"00-" IDS "-1g", NULL},
    {"g0-" IDS "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319g-" SPAN_ "-01", NULL},
    {"00-gaf7651916cd43dd8448eb211c80319c-" SPAN_ "-01", NULL},
    {"00-" TRACE "-b7ad6b716920333/-01", NULL},
    {"00-" TRACE "-:7ad6b7169203331-01", NULL},
    {"00-" TRACE "-`7ad6b7169203331-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319\"-" SPAN_ "-01", NULL},

    /* what is between */
    {"00_" IDS "-01", NULL},
    {"00-" TRACE "_" SPAN_ "-01", NULL},
    {"00-" IDS "_01", NULL},
    {"00 " IDS "-01", NULL},
    {"00-" IDS "-01,00-" IDS "-01", NULL}, /* two, in one line */

    /* later versions: what this one knows, as this one writes it */
    {"01-" IDS "-01", "00-" IDS "-01"},
    {"cc-" IDS "-00", "00-" IDS "-00"},
    {"fe-" IDS "-02", "00-" IDS "-02"},
    {"cc-" IDS "-01-what-the-future-will-be-like", "00-" IDS "-01"},
    {"cc-" IDS "-01-", "00-" IDS "-01"},
    {"cc-" IDS "-ff", "00-" IDS "-03"},
    {"cc-" IDS "-fd", "00-" IDS "-01"},
    {"cc-" IDS "-fc-x", "00-" IDS "-00"},
    {"cc-" IDS "-01.what-the-future-will-not-be-like", NULL},
    {"cc-" IDS "-011", NULL},
    {"cc-" IDS "-0", NULL},
    {"cc-" IDS, NULL},
    {"ff-" IDS "-01", NULL}, /* no version */
    {"ff-" IDS "-01-x", NULL},
};

/* The text in memory of its own length: the sanitizers see what is read beyond it. */
static struct car_span lone(const char *text, size_t len) {
    char *copy = malloc(len ? len : 1);
    if (!copy) {
        abort();
    }
    memcpy(copy, text, len);
    return car_span_of(copy, len);
}

static void let_go(struct car_span text) {
    free((void *)(uintptr_t)text.ptr);
}

static void test_table(void) {
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char out[CAR_TRACEPARENT_LEN];
        struct car_span text = lone(ROWS[i].text, strlen(ROWS[i].text));
        bool is = car_traceparent_read(text, out);
        bool right = is == (ROWS[i].want != NULL) && (!is || memcmp(out, ROWS[i].want, sizeof out) == 0);
        if (!right) {
            fprintf(stderr, "  %s: %.*s\n", ROWS[i].text, is ? (int)sizeof out : 4, is ? out : "none");
        }
        CU_ASSERT(right);
        CU_ASSERT_EQUAL(car_traceparent_ok(text), ROWS[i].want && strcmp(ROWS[i].text, ROWS[i].want) == 0);
        CU_ASSERT(!is || car_traceparent_ok(car_span_of(out, sizeof out)));
        let_go(text);
    }
}

/* With any byte of a good one another one: it is read exactly where that is a digit, and no id gets zero. */
static void test_each_byte(void) {
    static const char GOOD[] = "00-" IDS "-01";
    for (size_t at = 0; at < CAR_TRACEPARENT_LEN; at++) {
        for (int c = 0; c < 256; c++) {
            char out[CAR_TRACEPARENT_LEN];
            char text[CAR_TRACEPARENT_LEN];
            memcpy(text, GOOD, sizeof text);
            text[at] = (char)c;
            bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            bool want = GOOD[at] == '-' ? c == '-' : hex;
            CU_ASSERT_EQUAL(car_traceparent_read(car_span_of(text, sizeof text), out), want);
        }
    }
}

static void test_cut(void) {
    static const char GOOD[] = "00-" IDS "-01";
    for (size_t len = 0; len <= CAR_TRACEPARENT_LEN; len++) {
        char out[CAR_TRACEPARENT_LEN];
        struct car_span text = lone(GOOD, len);
        CU_ASSERT_EQUAL(car_traceparent_read(text, out), len == CAR_TRACEPARENT_LEN);
        let_go(text);
    }
    CU_ASSERT_FALSE(car_traceparent_ok(car_span_of(NULL, 0)));
}

static const struct car_test TESTS[] = {
    {"what is one", test_table},
    {"each byte", test_each_byte},
    {"cut off", test_cut},
};

int main(void) {
    return car_suite_main("traceparent", TESTS, sizeof TESTS / sizeof *TESTS);
}
