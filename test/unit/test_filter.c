#include "carillon/feed/filter.h"

#include <stdio.h>
#include <string.h>

#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/tenant.h"
#include "carillon/feed/words.h"

#include "suite.h"

#define WALL_MS 1000

static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};
static struct car_tenant *tenant;

static struct car_event *event_of(const char *message, const char *metadata) {
    struct car_draft draft = {
        .type = CAR_SPAN("order.created"),
        .message = car_span_cstr(message),
        .metadata = car_span_cstr(metadata),
        .author = CAR_SPAN("writer"),
    };
    struct car_event *event = car_event_new(tenant, &draft);
    CU_ASSERT_PTR_NOT_NULL_FATAL(event);
    car_event_seal(event, 1, WALL_MS, &ID_KEY);
    return event;
}

/* The words, with a blank between two. */
static void expect_words(const char *message, const char *metadata, const char *want) {
    struct car_event *event = event_of(message, metadata);
    struct car_buf words = CAR_BUF_INIT;
    car_words_of(event, &words);
    for (size_t i = 0; i + 1 < words.len; i++) {
        words.data[i] = words.data[i] ? words.data[i] : ' ';
    }
    CU_ASSERT_STRING_EQUAL(words.len ? words.data : "", want);
    car_buf_free(&words);
    car_event_unref(&event);
}

static void test_words(void) {
    expect_words("\"Hello, World\"", NULL, "hello world");
    expect_words("\"a-b_c 12.5\"", NULL, "a b c 12 5");
    expect_words("\"tab\\tnew\\u0041line\"", NULL, "tab newaline");
    expect_words("\"\\u003cb\\u003e\"", NULL, "b");
    expect_words("\"\xc3\x84pfel \xce\xa3\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x82\"", NULL,
                 "\xc3\xa4pfel \xcf\x83\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x83");
    expect_words("\"caf\xc3\xa9\xe2\x80\x94ok \xe6\x9d\xb1\xe4\xba\xac \xf0\x9f\x94\x94\"", NULL,
                 "caf\xc3\xa9 ok \xe6\x9d\xb1\xe4\xba\xac");
    expect_words(NULL, "{\"Key\":\"Some Value\",\"n\":[1,-2.5,true,null],\"o\":{\"in\\\"ner\":\"x\"}}",
                 "key some value n 1 2 5 true null o in ner x");
    expect_words("\"m\"", "{\"a\":\"b\"}", "m a b");
    expect_words("\"...\"", NULL, "");
}

static void test_long_words(void) {
    char message[210];
    char want[CAR_WORD_MAX + 3];
    memset(message, 'x', sizeof message);
    message[0] = message[200] = '"';
    message[100] = ' ';
    message[101] = 'y';
    message[102] = ' ';
    message[201] = '\0';
    memset(want, 'x', CAR_WORD_MAX);
    snprintf(want + CAR_WORD_MAX, 3, " y");
    struct car_event *event = event_of(message, NULL);
    struct car_buf words = CAR_BUF_INIT;
    car_words_of(event, &words);
    CU_ASSERT_EQUAL(words.len, 2 * (CAR_WORD_MAX + 1) + 2);
    CU_ASSERT_EQUAL(memcmp(words.data, want, CAR_WORD_MAX), 0);
    CU_ASSERT_STRING_EQUAL(words.data + CAR_WORD_MAX + 1, "y");
    car_buf_free(&words);
    car_event_unref(&event);
}

static bool finds(const char *asked, const char *message) {
    struct car_filter filter = {0};
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_event *event = event_of(message, "{\"k\":\"deep\"}");
    car_words_asked(car_span_cstr(asked), &filter.words);
    bool found = car_filter_passes(&filter, event, &scratch);
    car_event_unref(&event);
    car_buf_free(&scratch);
    car_filter_free(&filter);
    return found;
}

static void test_search(void) {
    CU_ASSERT(finds("needle", "\"a Needle, here\""));
    CU_ASSERT(finds("NEEDLE here", "\"a needle, here\""));
    CU_ASSERT(finds("deep needle k", "\"a needle, here\""));
    CU_ASSERT(finds("need*", "\"a needle, here\""));
    CU_ASSERT(finds("needle*", "\"a needle, here\""));
    CU_ASSERT_FALSE(finds("need", "\"a needle, here\""));
    CU_ASSERT_FALSE(finds("needles*", "\"a needle, here\""));
    CU_ASSERT_FALSE(finds("needle there", "\"a needle, here\""));
    CU_ASSERT_FALSE(finds("writer", "\"a needle\""));
    CU_ASSERT_FALSE(finds("order", "\"a needle\""));
    CU_ASSERT(finds("* a", "\"a needle\""));
    CU_ASSERT(finds("\xc3\x84*", "\"\xc3\xa4pfel\""));
}

static void test_the_rest(void) {
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_event *event = event_of("\"m\"", NULL);
    struct car_filter filter = {0};
    CU_ASSERT(car_filter_is_empty(&filter));
    CU_ASSERT(car_filter_passes(&filter, event, &scratch));
    car_buf_put(&filter.types, "other\0order.created", 20);
    CU_ASSERT_FALSE(car_filter_is_empty(&filter));
    CU_ASSERT(car_filter_passes(&filter, event, &scratch));
    filter.types.len = 6;
    CU_ASSERT_FALSE(car_filter_passes(&filter, event, &scratch));
    filter.types.len = 0;
    filter.has_from = filter.has_to = true;
    for (int64_t from = WALL_MS - 1; from <= WALL_MS + 1; from++) {
        for (int64_t to = WALL_MS - 1; to <= WALL_MS + 1; to++) {
            filter.from_ms = from;
            filter.to_ms = to;
            CU_ASSERT_EQUAL(car_filter_passes(&filter, event, &scratch), from <= WALL_MS && to >= WALL_MS);
        }
    }
    filter = (struct car_filter){.types = filter.types, .nothing = true};
    CU_ASSERT_FALSE(car_filter_is_empty(&filter));
    CU_ASSERT_FALSE(car_filter_passes(&filter, event, &scratch));
    car_filter_free(&filter);
    car_buf_free(&scratch);
    car_event_unref(&event);
}

static const struct car_test TESTS[] = {
    {"words", test_words},
    {"long words", test_long_words},
    {"search", test_search},
    {"types and times", test_the_rest},
};

int main(void) {
    tenant = car_tenant_new(CAR_SPAN("a"));
    int failed = car_suite_main("filter", TESTS, sizeof TESTS / sizeof *TESTS);
    car_tenant_free(&tenant);
    return failed;
}
