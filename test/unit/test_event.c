#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/feed/tenant.h"

#include "suite.h"

#define WALL_MS INT64_C(1795207000123) /* 2026-11-20T20:36:40.123Z */
#define WALL    "2026-11-20T20:36:40.123Z"
#define TRACE   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};
static struct car_tenant *tenant;

static struct car_event *sealed(const struct car_draft *draft, uint64_t seq) {
    struct car_event *event = car_event_new(tenant, draft);
    CU_ASSERT_PTR_NOT_NULL_FATAL(event);
    car_event_seal(event, seq, WALL_MS, &ID_KEY);
    return event;
}

static json_t *parsed(const struct car_event *event) {
    struct car_span text = car_event_json(event);
    json_error_t error;
    json_t *root =
        json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!root) {
        fprintf(stderr, "  %s: %.*s\n", error.text, (int)text.len, text.ptr);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    return root;
}

static void expect_string(const json_t *root, const char *key, struct car_span want) {
    const json_t *value = json_object_get(root, key);
    CU_ASSERT_FATAL(json_is_string(value));
    struct car_span is = car_span_of(json_string_value(value), json_string_length(value));
    CU_ASSERT(car_span_eq(is, want));
}

static void test_types(void) {
    static const char *const good[] = {"a", "Z", "0", "message", "a.b_c:d-e", "9..", "user.joined:v2"};
    static const char *const bad[] = {"", ".a", "-a", "_a", ":a", "a b", "a/b", "a\"", "\xc3\xa9", "a\n", "a,b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT(car_event_type_ok(car_span_cstr(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_FALSE(car_event_type_ok(car_span_cstr(bad[i])));
    }
    char text[65];
    memset(text, 'x', sizeof text);
    CU_ASSERT(car_event_type_ok(car_span_of(text, 64)));
    CU_ASSERT_FALSE(car_event_type_ok(car_span_of(text, 65)));
    CU_ASSERT_FALSE(car_event_type_ok(car_span_of("a\0b", 3)));
    CU_ASSERT_FALSE(car_event_type_ok(car_span_of(NULL, 0)));
}

/* Every combination of members. */
static void test_members(void) {
    for (unsigned with = 0; with < 16; with++) {
        struct car_draft draft = {.type = CAR_SPAN("greeting")};
        if (with & 1) {
            draft.message = CAR_SPAN("\"hello\"");
        }
        if (with & 2) {
            draft.metadata = CAR_SPAN("{ \"a\" : [1, 2.50, -0], \"b\" : { } }");
        }
        if (with & 4) {
            draft.author = CAR_SPAN("alice");
        }
        if (with & 8) {
            draft.traceparent = CAR_SPAN(TRACE);
        }
        struct car_event *event = sealed(&draft, 1042);
        json_t *root = parsed(event);
        expect_string(root, "id", car_event_id(event));
        expect_string(root, "tenant_id", CAR_SPAN("tenant_a"));
        CU_ASSERT_EQUAL(json_number_value(json_object_get(root, "seq")), 1042);
        expect_string(root, "type", CAR_SPAN("greeting"));
        expect_string(root, "timestamp", CAR_SPAN(WALL));
        size_t members = 5;
        if (with & 1) {
            expect_string(root, "message", CAR_SPAN("hello"));
            members++;
        }
        if (with & 2) {
            json_t *want = json_pack("{s:[f,f,f],s:{}}", "a", 1.0, 2.5, -0.0, "b");
            CU_ASSERT(json_equal(json_object_get(root, "metadata"), want));
            json_decref(want);
            members++;
        }
        if (with & 4) {
            expect_string(root, "author", CAR_SPAN("alice"));
            members++;
        }
        if (with & 8) {
            expect_string(root, "traceparent", CAR_SPAN(TRACE));
            members++;
        }
        CU_ASSERT_EQUAL(json_object_size(root), members);
        json_decref(root);
        car_event_unref(&event);
        CU_ASSERT_PTR_NULL(event);
    }
}

/* To the byte: no space, members in their order, numbers as they were sent. */
static void test_text(void) {
    struct car_draft draft = {.type = CAR_SPAN("t"),
                              .message = CAR_SPAN("\"hi\""),
                              .metadata = CAR_SPAN("{ \"n\" : 1e2 ,\n\t\"m\":-0.0 }"),
                              .author = CAR_SPAN("bob")};
    struct car_event *event = sealed(&draft, 7);
    struct car_span id = car_event_id(event);
    char want[400];
    snprintf(want, sizeof want,
             "{\"id\":\"%.*s\",\"tenant_id\":\"tenant_a\",\"seq\":7,\"type\":\"t\",\"message\":\"hi\","
             "\"metadata\":{\"n\":1e2,\"m\":-0.0},\"author\":\"bob\",\"timestamp\":\"" WALL "\"}",
             (int)id.len, id.ptr);
    CU_ASSERT(car_span_eq(car_event_json(event), car_span_cstr(want)));
    CU_ASSERT(car_span_eq(car_event_type(event), CAR_SPAN("t")));
    CU_ASSERT_PTR_EQUAL(event->tenant, tenant);
    CU_ASSERT_EQUAL(event->seq, 7);
    CU_ASSERT_EQUAL(event->wall_ms, WALL_MS);
    car_event_unref(&event);

    draft.traceparent = CAR_SPAN(TRACE);
    event = sealed(&draft, 7);
    id = car_event_id(event);
    size_t len = strlen(want);
    memcpy(want + 7, id.ptr, id.len);
    snprintf(want + len - 1, sizeof want - len, ",\"traceparent\":\"" TRACE "\"}");
    CU_ASSERT(car_span_eq(car_event_json(event), car_span_cstr(want)));
    car_event_unref(&event);
}

static void test_ids(void) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    struct car_event *events[100];
    for (size_t i = 0; i < 100; i++) {
        events[i] = sealed(&draft, i + 1);
        struct car_span id = car_event_id(events[i]);
        struct car_uuid uuid;
        CU_ASSERT_EQUAL(id.len, CAR_UUID_TEXT);
        CU_ASSERT_EQUAL(car_uuid_read(id, &uuid), 0);
        CU_ASSERT_EQUAL(uuid.bytes[6] >> 4, 4);
        CU_ASSERT_EQUAL(uuid.bytes[8] >> 6, 2);
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT_FALSE(car_span_eq(id, car_event_id(events[k])));
        }
    }
    for (size_t i = 0; i < 100; i++) {
        car_event_unref(&events[i]);
    }
}

/* The text is written before seq is known: whatever its length, nothing else moves out of place. */
static void test_seq_lengths(void) {
    static const char *const members[][2] = {{"\"m\"", NULL}, {NULL, "{}"}, {"\"\\u0000<\"", "{\"a\":\"&\"}"}};
    for (size_t kind = 0; kind < 3; kind++) {
        uint64_t seq = 1;
        for (unsigned digits = 1; digits <= 20; digits++, seq = seq > UINT64_MAX / 10 ? UINT64_MAX : seq * 10) {
            for (unsigned edge = 0; edge < 2; edge++) {
                uint64_t n = edge ? (digits == 20 ? UINT64_MAX : seq * 10 - 1) : seq;
                struct car_draft draft = {.type = CAR_SPAN("a.b"), .author = CAR_SPAN("me")};
                draft.message = car_span_cstr(members[kind][0]);
                draft.metadata = car_span_cstr(members[kind][1]);
                struct car_event *event = sealed(&draft, n);
                json_t *root = parsed(event);
                struct car_span text = car_event_json(event);
                char want[80];
                int len = snprintf(want, sizeof want, "\",\"tenant_id\":\"tenant_a\",\"seq\":%llu,\"type\":\"a.b\"",
                                   (unsigned long long)n);
                CU_ASSERT_PTR_NOT_NULL(memmem(text.ptr, text.len, want, (size_t)len));
                expect_string(root, "id", car_event_id(event));
                expect_string(root, "type", CAR_SPAN("a.b"));
                expect_string(root, "timestamp", CAR_SPAN(WALL));
                CU_ASSERT(car_span_eq(car_event_type(event), CAR_SPAN("a.b")));
                CU_ASSERT_EQUAL(json_object_size(root), kind == 2 ? 8 : 7);
                json_decref(root);
                car_event_unref(&event);
            }
        }
    }
}

/* What would end a script element or a line does not stand in the text; what was meant is unchanged. */
static void test_escapes(void) {
    struct car_draft draft = {
        .type = CAR_SPAN("t"),
        .message =
            CAR_SPAN("\"</script>&\xe2\x80\xa8\xe2\x80\xa9 \\\"q\\\" \\u003c \\\\ \xf0\x9f\x94\x94 \\ud83d\\udd14"
                     " \\u0000\""),
        .metadata = CAR_SPAN("{\"<k>\":\"\xe2\x80\xa8&\",\"\\n\":[\"\\t\"]}"),
        .author = CAR_SPAN("<\"O'Neil\\\n\x01&\xe2\x80\xa9>"),
    };
    struct car_event *event = sealed(&draft, 5);
    struct car_span text = car_event_json(event);
    for (size_t i = 0; i < text.len; i++) {
        CU_ASSERT((unsigned char)text.ptr[i] >= ' ' && !strchr("<>&", text.ptr[i]));
    }
    CU_ASSERT_PTR_NULL(memmem(text.ptr, text.len, "\xe2\x80\xa8", 3));
    CU_ASSERT_PTR_NULL(memmem(text.ptr, text.len, "\xe2\x80\xa9", 3));
    json_t *root = parsed(event);
    expect_string(root, "message",
                  CAR_SPAN("</script>&\xe2\x80\xa8\xe2\x80\xa9 \"q\" < \\ \xf0\x9f\x94\x94 \xf0\x9f\x94\x94 \0"));
    expect_string(root, "author", draft.author);
    const json_t *metadata = json_object_get(root, "metadata");
    expect_string(metadata, "<k>", CAR_SPAN("\xe2\x80\xa8&"));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(metadata, "\n"), 0)), "\t");
    json_decref(root);
    car_event_unref(&event);
}

/* An author is plain bytes: those that are no UTF-8 must not make the text invalid. */
static void test_author_bytes(void) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\""), .author = CAR_SPAN("a\xff\xc0z")};
    struct car_event *event = sealed(&draft, 5);
    json_t *root = parsed(event);
    expect_string(root, "author", CAR_SPAN("a\xef\xbf\xbd\xef\xbf\xbdz"));
    json_decref(root);
    car_event_unref(&event);
    draft.author = CAR_SPAN("");
    event = sealed(&draft, 5);
    root = parsed(event);
    CU_ASSERT_PTR_NULL(json_object_get(root, "author"));
    json_decref(root);
    car_event_unref(&event);
}

/* The size is reckoned exactly: the sanitizers watch the writing. */
static void test_sizes(void) {
    char *message = malloc(70002);
    for (size_t len = 0; len < 70000; len = len < 64 ? len + 1 : len * 2 + 1) {
        memset(message, len % 2 ? '<' : 'm', len + 2);
        message[0] = message[len + 1] = '"';
        struct car_draft draft = {.type = CAR_SPAN("t"), .message = car_span_of(message, len + 2)};
        struct car_event *event = sealed(&draft, UINT64_MAX);
        json_t *root = parsed(event);
        expect_string(root, "message", car_span_of(message + 1, len));
        json_decref(root);
        car_event_unref(&event);
    }
    free(message);
}

/* From what a store keeps comes the same text. */
static void test_rows(void) {
    for (unsigned with = 0; with < 16; with++) {
        struct car_draft draft = {.type = CAR_SPAN("greeting")};
        draft.message = with & 1 ? CAR_SPAN("\"<hello>\"") : draft.message;
        draft.metadata = with & 2 ? CAR_SPAN("{\"a\": [1]}") : draft.metadata;
        draft.author = with & 4 ? CAR_SPAN("alice") : draft.author;
        draft.traceparent = with & 8 ? CAR_SPAN(TRACE) : draft.traceparent;
        struct car_event *event = sealed(&draft, 1042);
        struct car_event_row row;
        car_event_row(event, &row);
        CU_ASSERT(car_span_eq(row.traceparent, draft.traceparent));
        CU_ASSERT(car_span_eq(row.type, CAR_SPAN("greeting")));
        struct car_event *again = car_event_restore(tenant, &row);
        CU_ASSERT_PTR_NOT_NULL_FATAL(again);
        CU_ASSERT(car_span_eq(car_event_json(again), car_event_json(event)));
        CU_ASSERT_EQUAL(again->wall_ms, WALL_MS);
        car_event_row(again, &row);
        CU_ASSERT(car_span_eq(row.traceparent, draft.traceparent));
        car_event_unref(&again);
        car_event_unref(&event);
    }
}

static void test_refs(void) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    struct car_event *event = sealed(&draft, 1);
    struct car_event *second = car_event_ref(event);
    CU_ASSERT_PTR_EQUAL(second, event);
    CU_ASSERT_EQUAL(atomic_load(&event->refs), 2);
    car_event_unref(&event);
    CU_ASSERT_PTR_NULL(event);
    CU_ASSERT_EQUAL(atomic_load(&second->refs), 1);
    CU_ASSERT_EQUAL(second->seq, 1);
    car_event_unref(&second);
    car_event_unref(&second); /* of nothing: nothing */
    struct car_event *unsealed = car_event_new(tenant, &draft);
    CU_ASSERT_EQUAL(unsealed->seq, 0);
    car_event_unref(&unsealed);
}

static const struct car_test TESTS[] = {
    {"types", test_types},
    {"each combination of members", test_members},
    {"the text to the byte", test_text},
    {"ids", test_ids},
    {"a seq of 1 to 20 digits", test_seq_lengths},
    {"escapes", test_escapes},
    {"an author of any bytes", test_author_bytes},
    {"messages of many lengths", test_sizes},
    {"rows", test_rows},
    {"references", test_refs},
};

int main(void) {
    tenant = car_tenant_new(CAR_SPAN("tenant_a"));
    int code = car_suite_main("event", TESTS, sizeof TESTS / sizeof *TESTS);
    car_tenant_free(&tenant);
    return code;
}
