#include "carillon/feed/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/deflate.h"

#include "feed_fixture.h"
#include "suite.h"

#define WRAP (sizeof("{\"type\":\"event_created\",\"event\":}") - 1)

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-*/=?!.,;:_#~|(){}[]@$%^";

static struct car_tenant *tenant;
static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};
static struct car_deflater *deflater;
static struct car_wire_kit kit;

/* A sealed event whose message is `len` times `fill`; of random letters where `fill` is 0. */
static struct car_event *event_of(uint64_t seq, size_t len, char fill) {
    static uint64_t random = 88172645463325252u;
    char *message = malloc(len + 3);
    for (size_t i = 1; i <= len; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        message[i] = fill ? fill : LETTERS[random % (sizeof LETTERS - 1)];
    }
    message[0] = message[len + 1] = '"';
    message[len + 2] = '\0';
    struct car_event *event = feed_event(tenant, "t", message);
    car_event_seal(event, seq, 1, &ID_KEY);
    free(message);
    return event;
}

/* Encodes the events in that form, and reads them back. Returns the length of the whole. */
static size_t round_trip(enum car_wire wire, struct car_event *const *events, size_t count) {
    struct car_blob *blob = car_wire_events(wire, events, count, &kit);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    CU_ASSERT_PTR_EQUAL(blob->owner, tenant);
    struct car_span rest = car_span_of(blob->data, blob->len);
    struct car_buf json = CAR_BUF_INIT;
    bool bad = false;
    size_t n = 0;
    while (feed_wire_next(wire, &rest, &json, &bad)) {
        CU_ASSERT_FATAL(n < count);
        CU_ASSERT(car_span_eq(car_buf_view(&json), car_event_json(events[n])));
        n++;
    }
    CU_ASSERT_FALSE(bad);
    CU_ASSERT_EQUAL(n, count);
    CU_ASSERT_EQUAL(rest.len, 0);
    size_t len = blob->len;
    car_buf_free(&json);
    car_blob_unref(&blob);
    return len;
}

static void test_one_and_many(void) {
    struct car_event *events[100];
    for (size_t i = 0; i < 100; i++) {
        events[i] = event_of(i ? i * 977 : 1, i * 31, i % 3 ? 'a' : 0);
    }
    for (int wire = 0; wire < CAR_WIRES; wire++) {
        round_trip((enum car_wire)wire, events, 1);
        round_trip((enum car_wire)wire, events + 99, 1);
        round_trip((enum car_wire)wire, events, 2);
        round_trip((enum car_wire)wire, events, 100);
    }
    for (size_t i = 0; i < 100; i++) {
        car_event_unref(&events[i]);
    }
}

/* Payloads at the edges of a frame head's three forms. The reader insists on the shortest one. */
static void test_head_lengths(void) {
    static const size_t payloads[] = {125, 126, 127, 255, 256, 65534, 65535, 65536, 65537, 200000};
    struct car_event *probe = event_of(1, 0, 0);
    size_t least = car_event_json(probe).len + WRAP;
    car_event_unref(&probe);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        size_t payload = payloads[i] < least ? least : payloads[i];
        struct car_event *event = event_of(1, payload - least, 0);
        CU_ASSERT_EQUAL(car_event_json(event).len + WRAP, payload);
        size_t head = payload <= 125 ? 2 : payload <= 65535 ? 4 : 10;
        CU_ASSERT_EQUAL(round_trip(CAR_WIRE_WS, &event, 1), head + payload);
        CU_ASSERT(round_trip(CAR_WIRE_WS_DEFLATE, &event, 1) <= head + payload);
        round_trip(CAR_WIRE_SSE, &event, 1);
        car_event_unref(&event);
    }
}

/* No event is as short as 125 bytes; the form for that is in the codec's own tests. */
static void test_ws_bytes(void) {
    struct car_event *event = event_of(42, 1, 'x');
    struct car_blob *blob = car_wire_events(CAR_WIRE_WS, &event, 1, &kit);
    struct car_span json = car_event_json(event);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    const unsigned char *p = (const unsigned char *)blob->data;
    size_t payload = json.len + WRAP;
    CU_ASSERT_EQUAL(p[0], 0x81);
    CU_ASSERT_EQUAL(p[1], 126);
    CU_ASSERT_EQUAL((size_t)p[2] << 8 | p[3], payload);
    CU_ASSERT_EQUAL(blob->len, 4 + payload);
    CU_ASSERT_EQUAL(memcmp(blob->data + 4, "{\"type\":\"event_created\",\"event\":{\"id\":\"", 38), 0);
    CU_ASSERT_EQUAL(blob->data[blob->len - 1], '}');
    car_blob_unref(&blob);
    car_event_unref(&event);
}

static void test_sse_bytes(void) {
    struct car_event *events[2] = {event_of(UINT64_MAX, 3, 'x'), event_of(7, 3, 'y')};
    struct car_blob *blob = car_wire_events(CAR_WIRE_SSE, events, 2, &kit);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    char want[1000];
    struct car_span a = car_event_json(events[0]);
    struct car_span b = car_event_json(events[1]);
    int len = snprintf(want, sizeof want,
                       "id: 18446744073709551615\nevent: event_created\ndata: %.*s\n\n"
                       "id: 7\nevent: event_created\ndata: %.*s\n\n",
                       (int)a.len, a.ptr, (int)b.len, b.ptr);
    CU_ASSERT(car_span_eq(car_span_of(blob->data, blob->len), car_span_of(want, (size_t)len)));
    car_blob_unref(&blob);
    car_event_unref(&events[0]);
    car_event_unref(&events[1]);
}

static void test_sio_bytes(void) {
    struct car_event *events[2] = {event_of(UINT64_MAX, 3, 'x'), event_of(7, 3, 'y')};
    struct car_blob *root = car_wire_events(CAR_WIRE_SIO_ROOT, events, 2, &kit);
    struct car_blob *named = car_wire_events(CAR_WIRE_SIO_NAMED, events + 1, 1, &kit);
    struct car_blob *frame = car_wire_events(CAR_WIRE_SIO_NAMED_WS, events + 1, 1, &kit);
    CU_ASSERT_FATAL(root && named && frame);
    char want[1000];
    struct car_span a = car_event_json(events[0]);
    struct car_span b = car_event_json(events[1]);
    int len = snprintf(want, sizeof want,
                       "42[\"event_created\",%.*s,\"18446744073709551615\"]\x1e"
                       "42[\"event_created\",%.*s,\"7\"]",
                       (int)a.len, a.ptr, (int)b.len, b.ptr);
    CU_ASSERT(car_span_eq(car_span_of(root->data, root->len), car_span_of(want, (size_t)len)));
    len = snprintf(want, sizeof want, "42/events,[\"event_created\",%.*s,\"7\"]", (int)b.len, b.ptr);
    CU_ASSERT(car_span_eq(car_span_of(named->data, named->len), car_span_of(want, (size_t)len)));
    CU_ASSERT_EQUAL(frame->len, 4 + named->len);
    CU_ASSERT_EQUAL(memcmp(frame->data + 4, named->data, named->len), 0);
    car_blob_unref(&root);
    car_blob_unref(&named);
    car_blob_unref(&frame);
    car_event_unref(&events[0]);
    car_event_unref(&events[1]);
}

/* Compressed where it pays, and never at the cost of bytes. */
static void test_deflate_pays(void) {
    struct car_event *small = event_of(1, 100, 'a');
    struct car_event *large = event_of(2, 4000, 'a');
    struct car_event *noise = event_of(3, 300, 0);
    struct car_event *mixed[6] = {small, large, noise, large, small, large};
    CU_ASSERT_EQUAL(round_trip(CAR_WIRE_WS_DEFLATE, &small, 1), round_trip(CAR_WIRE_WS, &small, 1));
    CU_ASSERT(round_trip(CAR_WIRE_WS_DEFLATE, &large, 1) < 400);
    CU_ASSERT(round_trip(CAR_WIRE_WS_DEFLATE, &noise, 1) <= round_trip(CAR_WIRE_WS, &noise, 1));
    /* Without context: the same event is the same frame, whatever came before. */
    size_t alone = 0;
    for (size_t i = 0; i < 6; i++) {
        alone += round_trip(CAR_WIRE_WS_DEFLATE, &mixed[i], 1);
    }
    CU_ASSERT_EQUAL(round_trip(CAR_WIRE_WS_DEFLATE, mixed, 6), alone);
    struct car_blob *first = car_wire_events(CAR_WIRE_WS_DEFLATE, &large, 1, &kit);
    struct car_blob *again = car_wire_events(CAR_WIRE_WS_DEFLATE, &large, 1, &kit);
    CU_ASSERT(first->len == again->len && memcmp(first->data, again->data, first->len) == 0);
    CU_ASSERT_EQUAL((unsigned char)first->data[0], 0xc1);
    car_blob_unref(&first);
    car_blob_unref(&again);
    car_event_unref(&small);
    car_event_unref(&large);
    car_event_unref(&noise);
}

static void test_cut(void) {
    struct car_event *events[10];
    for (size_t i = 0; i < 10; i++) {
        events[i] = event_of(1, 1000, 'a');
    }
    size_t one = car_event_json(events[0]).len;
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, 0), 1); /* at least one */
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, one), 1);
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, 2 * one - 1), 1);
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, 2 * one), 2);
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, 9 * one + 1), 9);
    CU_ASSERT_EQUAL(car_wire_cut(events, 10, SIZE_MAX), 10);
    CU_ASSERT_EQUAL(car_wire_cut(events, 3, SIZE_MAX), 3);
    CU_ASSERT_EQUAL(car_wire_cut(events, 0, SIZE_MAX), 0);
    for (size_t i = 0; i < 10; i++) {
        car_event_unref(&events[i]);
    }
}

static const struct car_test TESTS[] = {
    {"one event and many, in each form", test_one_and_many},
    {"frame heads of each form", test_head_lengths},
    {"a WebSocket frame to the byte", test_ws_bytes},
    {"an event stream to the byte", test_sse_bytes},
    {"Socket.IO packets to the byte", test_sio_bytes},
    {"compression where it pays", test_deflate_pays},
    {"cutting by bytes", test_cut},
};

int main(void) {
    tenant = car_tenant_new(CAR_SPAN("tenant_a"));
    deflater = car_deflater_new(1);
    struct car_buf head = CAR_BUF_INIT;
    car_wire_named_head(&head, CAR_SPAN("/events"));
    kit = (struct car_wire_kit){.deflater = deflater, .named_head = car_buf_view(&head)};
    int code = car_suite_main("wire", TESTS, sizeof TESTS / sizeof *TESTS);
    car_buf_free(&head);
    car_deflater_free(&deflater);
    car_tenant_free(&tenant);
    return code;
}
