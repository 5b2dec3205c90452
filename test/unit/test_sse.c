#include "carillon/proto/sse.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "support/suite.h"

static const struct car_span NONE = {NULL, 0};

static void expect(struct car_buf *out, const char *want) {
    bool right = car_span_eq(car_buf_view(out), car_span_cstr(want));
    if (!right) {
        printf("\nwant %s\ngot  %.*s\n", want, (int)out->len, out->len ? out->data : "");
    }
    CU_ASSERT_TRUE(right);
    car_buf_free(out);
}

static void events(void) {
    static const struct {
        struct car_span id, event, data;
        const char *want;
    } ROWS[] = {
        {{"7", 1}, {"news", 4}, {"hello", 5}, "id: 7\nevent: news\ndata: hello\n\n"},
        {{NULL, 0}, {NULL, 0}, {"hello", 5}, "data: hello\n\n"},
        {{"", 0}, {"", 0}, {"", 0}, "id: \nevent: \ndata: \n\n"},
        {{"1-2", 3}, {NULL, 0}, {NULL, 0}, "id: 1-2\n\n"},
        {{NULL, 0}, {NULL, 0}, {" indented", 9}, "data:  indented\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\nb", 3}, "data: a\ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\rb", 3}, "data: a\ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\r\nb", 4}, "data: a\ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\n\rb", 4}, "data: a\ndata: \ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\n\nb", 4}, "data: a\ndata: \ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\r\r\nb", 5}, "data: a\ndata: \ndata: b\n\n"},
        {{NULL, 0}, {NULL, 0}, {"a\n", 2}, "data: a\ndata: \n\n"},
        {{NULL, 0}, {NULL, 0}, {"\r\n", 2}, "data: \ndata: \n\n"},
        {{NULL, 0}, {NULL, 0}, {"\r", 1}, "data: \ndata: \n\n"},
        {{NULL, 0},
         {NULL, 0},
         {"x\nevent: forged\n\nid: 9", 22},
         "data: x\ndata: event: forged\ndata: \ndata: id: 9\n\n"},
        {{"a:b", 3}, {":", 1}, {":c", 2}, "id: a:b\nevent: :\ndata: :c\n\n"},
        {{NULL, 0}, {NULL, 0}, {"\xe2\x80\xa8\xc2\x85\x0b", 6}, "data: \xe2\x80\xa8\xc2\x85\x0b\n\n"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf out = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_sse_event(&out, ROWS[i].id, ROWS[i].event, ROWS[i].data), 0);
        expect(&out, ROWS[i].want);
    }
}

/* Nothing that a client would take for a line of its own, or drop. */
static void refused(void) {
    static const struct {
        struct car_span id, event;
    } ROWS[] = {
        {{"1\n", 2}, {NULL, 0}},  {{"1\rdata: x", 9}, {NULL, 0}}, {{"1\0", 2}, {NULL, 0}}, {{"\r\n", 2}, {"x", 1}},
        {{NULL, 0}, {"a\nb", 3}}, {{NULL, 0}, {"a\r", 2}},        {{"1", 1}, {"\n", 1}},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf out = CAR_BUF_INIT;
        CAR_BUF_LIT(&out, "before");
        CU_ASSERT_EQUAL(car_sse_event(&out, ROWS[i].id, ROWS[i].event, CAR_SPAN("x")), CAR_EINVAL);
        expect(&out, "before");
    }
    struct car_buf failed = {.failed = true};
    CU_ASSERT_EQUAL(car_sse_event(&failed, NONE, NONE, CAR_SPAN("x")), CAR_ENOMEM);
}

static void comments(void) {
    struct car_buf out = CAR_BUF_INIT;
    car_sse_comment(&out, CAR_SPAN("ping"));
    expect(&out, ": ping\n\n");
    car_sse_comment(&out, NONE);
    expect(&out, ": \n\n");
    car_sse_comment(&out, CAR_SPAN("two\r\nlines\rdata: no\n"));
    expect(&out, ": two\n: lines\n: data: no\n: \n\n");
    car_sse_retry(&out, 0);
    expect(&out, "retry: 0\n\n");
    car_sse_retry(&out, 18446744073709551615u);
    expect(&out, "retry: 18446744073709551615\n\n");
}

/* The client's side of WHATWG HTML, section 9.2.6, as far as these streams need it: the data of the one event. */
static void read_stream(struct car_span stream, struct car_buf *data, unsigned *dispatched) {
    bool any = false;
    *dispatched = 0;
    while (stream.len > 0) {
        const char *end = memchr(stream.ptr, '\n', stream.len);
        if (!end) {
            CU_FAIL("a line without an end");
            return;
        }
        struct car_span line = car_span_of(stream.ptr, (size_t)(end - stream.ptr));
        CU_ASSERT_TRUE(line.len == 0 || !memchr(line.ptr, '\r', line.len));
        stream = car_span_of(end + 1, stream.len - line.len - 1);
        if (line.len == 0) {
            *dispatched += any;
            any = false;
        } else if (line.len >= 5 && memcmp(line.ptr, "data:", 5) == 0) {
            size_t skip = line.len > 5 && line.ptr[5] == ' ' ? 6 : 5;
            if (any) {
                car_buf_char(data, '\n');
            }
            car_buf_put(data, line.ptr + skip, line.len - skip);
            any = true;
        } else {
            CU_FAIL("a line that is no data");
        }
    }
}

/* Every text of up to six of these characters comes back with its line ends as LF. */
static void round_trips(void) {
    static const char ALPHABET[] = "a\r\n: ";
    for (unsigned number = 0; number < 5 * 5 * 5 * 5 * 5 * 5; number++) {
        char text[6];
        struct car_buf want = CAR_BUF_INIT;
        unsigned rest = number;
        for (size_t i = 0; i < sizeof text; i++, rest /= 5) {
            text[i] = ALPHABET[rest % 5];
        }
        size_t len = number % 7;
        for (size_t i = 0; i < len; i++) {
            if (text[i] == '\r') {
                car_buf_char(&want, '\n');
                i += i + 1 < len && text[i + 1] == '\n';
            } else {
                car_buf_char(&want, text[i]);
            }
        }
        struct car_buf out = CAR_BUF_INIT;
        struct car_buf got = CAR_BUF_INIT;
        unsigned dispatched = 0;
        CU_ASSERT_EQUAL(car_sse_event(&out, NONE, NONE, car_span_of(text, len)), 0);
        read_stream(car_buf_view(&out), &got, &dispatched);
        CU_ASSERT_EQUAL(dispatched, 1);
        CU_ASSERT_TRUE(car_span_eq(car_buf_view(&got), car_buf_view(&want)));
        car_buf_free(&out);
        car_buf_free(&got);
        car_buf_free(&want);
    }
}

static const struct car_test TESTS[] = {
    {"events", events},
    {"refused", refused},
    {"comments", comments},
    {"round trips", round_trips},
};

int main(void) {
    return car_suite_main("sse", TESTS, sizeof TESTS / sizeof *TESTS);
}
