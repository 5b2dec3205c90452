#include "carillon/proto/socketio.h"

#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "support/suite.h"

#define ATTACHMENTS 10

static struct car_span exact(const char *text, size_t len) {
    char *copy = malloc(len ? len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, text, len);
    return car_span_of(copy, len);
}

static void release(struct car_span text) {
    free((char *)(uintptr_t)text.ptr);
}

struct row {
    const char *text;
    enum car_socketio_type type;
    const char *nsp, *query, *data;
    int64_t id; /* -1: none */
    unsigned attachments;
};

static const struct row GOOD[] = {
    {"0", CAR_SOCKETIO_CONNECT, "/", NULL, NULL, -1, 0},
    {"0{\"token\":\"123\"}", CAR_SOCKETIO_CONNECT, "/", NULL, "{\"token\":\"123\"}", -1, 0},
    {"0/events", CAR_SOCKETIO_CONNECT, "/events", NULL, NULL, -1, 0},
    {"0/events,", CAR_SOCKETIO_CONNECT, "/events", NULL, NULL, -1, 0},
    {"0/events?token=abc&x={1},{}", CAR_SOCKETIO_CONNECT, "/events", "token=abc&x={1}", "{}", -1, 0},
    {"0/?a", CAR_SOCKETIO_CONNECT, "/", "a", NULL, -1, 0},
    {"1", CAR_SOCKETIO_DISCONNECT, "/", NULL, NULL, -1, 0},
    {"1/admin,", CAR_SOCKETIO_DISCONNECT, "/admin", NULL, NULL, -1, 0},
    {"2[\"foo\"]", CAR_SOCKETIO_EVENT, "/", NULL, "[\"foo\"]", -1, 0},
    {"2[1,2]", CAR_SOCKETIO_EVENT, "/", NULL, "[1,2]", -1, 0},
    {"212[\"foo\",{\"a\":[1]}]", CAR_SOCKETIO_EVENT, "/", NULL, "[\"foo\",{\"a\":[1]}]", 12, 0},
    {"2/admin,456[\"project:delete\",123]", CAR_SOCKETIO_EVENT, "/admin", NULL, "[\"project:delete\",123]", 456, 0},
    {"29007199254740991[\"x\"]", CAR_SOCKETIO_EVENT, "/", NULL, "[\"x\"]", 9007199254740991, 0},
    {"3/admin,456[]", CAR_SOCKETIO_ACK, "/admin", NULL, "[]", 456, 0},
    {"4{\"message\":\"no\"}", CAR_SOCKETIO_CONNECT_ERROR, "/", NULL, "{\"message\":\"no\"}", -1, 0},
    {"4/x,\"no\"", CAR_SOCKETIO_CONNECT_ERROR, "/x", NULL, "\"no\"", -1, 0},
    {"51-[\"baz\",{\"_placeholder\":true,\"num\":0}]", CAR_SOCKETIO_BINARY_EVENT, "/", NULL,
     "[\"baz\",{\"_placeholder\":true,\"num\":0}]", -1, 1},
    {"52-/admin,7[\"baz\"]", CAR_SOCKETIO_BINARY_EVENT, "/admin", NULL, "[\"baz\"]", 7, 2},
    {"50-[\"baz\"]", CAR_SOCKETIO_BINARY_EVENT, "/", NULL, "[\"baz\"]", -1, 0},
    {"61-15[{\"_placeholder\":true,\"num\":0}]", CAR_SOCKETIO_BINARY_ACK, "/", NULL,
     "[{\"_placeholder\":true,\"num\":0}]", 15, 1},
};

static bool same(struct car_span span, const char *text) {
    return text ? car_span_eq(span, car_span_cstr(text)) : span.ptr == NULL;
}

static void test_good(void) {
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        const struct row *row = &GOOD[i];
        struct car_socketio_packet packet;
        struct car_span text = exact(row->text, strlen(row->text));
        CU_ASSERT_EQUAL_FATAL(car_socketio_read(text, ATTACHMENTS, &packet), 0);
        CU_ASSERT_EQUAL(packet.type, row->type);
        CU_ASSERT(same(packet.nsp, row->nsp) && same(packet.query, row->query) && same(packet.data.raw, row->data));
        CU_ASSERT(packet.has_id == (row->id >= 0) && (row->id < 0 || packet.id == (uint64_t)row->id));
        CU_ASSERT_EQUAL(packet.attachments, row->attachments);
        release(text);
    }
}

static void test_bad(void) {
    static const struct {
        const char *text;
        int err;
    } BAD[] = {
        {"", CAR_EPROTO},
        {"7[\"x\"]", CAR_EPROTO},
        {"a", CAR_EPROTO},
        {"0[]", CAR_EPROTO},
        {"0\"x\"", CAR_EPROTO},
        {"0{", CAR_EPROTO},
        {"1{}", CAR_EPROTO},
        {"2", CAR_EPROTO},
        {"2{}", CAR_EPROTO},
        {"2[]", CAR_EPROTO},
        {"2[{}]", CAR_EPROTO},
        {"2[null]", CAR_EPROTO},
        {"2[\"x\"", CAR_EPROTO},
        {"2[\"x\"]]", CAR_EPROTO},
        {"2abc[\"x\"]", CAR_EPROTO},
        {"2-1[\"x\"]", CAR_EPROTO},
        {"2/admin[\"x\"]", CAR_EPROTO},
        {"29007199254740992[\"x\"]", CAR_EPROTO},
        {"2999999999999999999999999[\"x\"]", CAR_EPROTO},
        {"2[\"connect\"]", CAR_EPROTO},
        {"2[\"connect_error\"]", CAR_EPROTO},
        {"2[\"disconnect\"]", CAR_EPROTO},
        {"2[\"\\u0064isconnecting\"]", CAR_EPROTO},
        {"2[\"newListener\"]", CAR_EPROTO},
        {"2[\"removeListener\"]", CAR_EPROTO},
        {"2[\"\xff\"]", CAR_EPROTO},
        {"3", CAR_EPROTO},
        {"31{}", CAR_EPROTO},
        {"4", CAR_EPROTO},
        {"41", CAR_EPROTO},
        {"5[\"x\"]", CAR_EPROTO},
        {"5-[\"x\"]", CAR_EPROTO},
        {"51[\"x\"]", CAR_EPROTO},
        {"51", CAR_EPROTO},
        {"5a-[\"x\"]", CAR_EPROTO},
        {"5-1-[\"x\"]", CAR_EPROTO},
        {"511-[\"x\"]", CAR_ETOOBIG},
        {"599999999999999999999999-[\"x\"]", CAR_ETOOBIG},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct car_socketio_packet packet;
        struct car_span text = exact(BAD[i].text, strlen(BAD[i].text));
        int err = car_socketio_read(text, ATTACHMENTS, &packet);
        if (err != BAD[i].err) {
            printf("%s: %d\n", BAD[i].text, err);
        }
        CU_ASSERT_EQUAL(err, BAD[i].err);
        release(text);
    }
}

/* Every front part of a packet is one of its own or refused, and nothing is read beyond it. */
static void test_cuts(void) {
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        for (size_t cut = 0; cut <= strlen(GOOD[i].text); cut++) {
            struct car_span text = exact(GOOD[i].text, cut);
            struct car_socketio_packet packet;
            int err = car_socketio_read(text, ATTACHMENTS, &packet);
            CU_ASSERT(err == 0 || err == CAR_EPROTO || err == CAR_ETOOBIG);
            CU_ASSERT(err || packet.data.raw.len <= cut);
            release(text);
        }
    }
}

/* What is written anew from what was read is the same packet. */
static void test_round_trip(void) {
    struct car_buf out = CAR_BUF_INIT;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct car_socketio_packet packet;
        struct car_socketio_packet again;
        CU_ASSERT_EQUAL_FATAL(car_socketio_read(car_span_cstr(GOOD[i].text), ATTACHMENTS, &packet), 0);
        out.len = 0;
        car_socketio_write_head(&out, packet.type, packet.attachments, packet.nsp, packet.has_id ? &packet.id : NULL);
        car_buf_span(&out, packet.data.raw);
        CU_ASSERT_EQUAL_FATAL(car_socketio_read(car_buf_view(&out), ATTACHMENTS, &again), 0);
        CU_ASSERT(again.type == packet.type && car_span_eq(again.nsp, packet.nsp) && again.id == packet.id);
        CU_ASSERT(again.has_id == packet.has_id && again.attachments == packet.attachments);
        CU_ASSERT(car_span_eq(again.data.raw, packet.data.raw));
    }
    car_buf_free(&out);
}

static void test_event(void) {
    static const struct {
        const char *text, *name, *args;
    } ROWS[] = {{"2[\"a\"]", "\"a\"", NULL},
                {"2[ \"a\" , 1 ]", "\"a\"", "1 "},
                {"2[7,\"x\",{\"y\":[1,2]}]", "7", "\"x\",{\"y\":[1,2]}"}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_socketio_packet packet;
        struct car_json_value name;
        struct car_span args;
        CU_ASSERT_EQUAL_FATAL(car_socketio_read(car_span_cstr(ROWS[i].text), 0, &packet), 0);
        car_socketio_event(&packet, &name, &args);
        CU_ASSERT(same(name.raw, ROWS[i].name) && same(args, ROWS[i].args));
    }
}

static int feed(struct car_socketio_decoder *decoder, bool binary, const char *text, struct car_socketio_packet *packet,
                bool *whole) {
    const struct car_socketio_limits limits = {.attachments = ATTACHMENTS, .bytes = 200};
    struct car_span message = exact(text, strlen(text));
    int err = car_socketio_decode(decoder, &limits, binary, message, packet, whole);
    release(message);
    return err;
}

#define TWO "52-9[\"m\",{\"a\":[{\"_placeholder\":true,\"num\":1}]},{\"_placeholder\":true,\"num\":0}]"

static void test_decoder(void) {
    struct car_socketio_decoder decoder = {0};
    struct car_socketio_packet packet;
    bool whole;
    for (int round = 0; round < 3; round++) {
        CU_ASSERT(feed(&decoder, false, "2[\"x\"]", &packet, &whole) == 0 && whole);
        CU_ASSERT_PTR_NULL(decoder.pending);
        CU_ASSERT_EQUAL(car_socketio_decoder_kept(&decoder), 0);
        CU_ASSERT(feed(&decoder, false, TWO, &packet, &whole) == 0 && !whole);
        size_t text_only = car_socketio_decoder_kept(&decoder);
        CU_ASSERT(text_only >= strlen(TWO));
        CU_ASSERT(feed(&decoder, true, "first", &packet, &whole) == 0 && !whole);
        CU_ASSERT(car_socketio_decoder_kept(&decoder) >= text_only + 5);
        CU_ASSERT(feed(&decoder, true, "", &packet, &whole) == 0 && whole);
        CU_ASSERT(packet.attachments == 2 && packet.id == 9 && same(packet.data.raw, TWO + 4));
        CU_ASSERT(same(car_socketio_attachment(&decoder, 0), "first"));
        CU_ASSERT_EQUAL(car_socketio_attachment(&decoder, 1).len, 0);
    }
    CU_ASSERT(feed(&decoder, false, "50-[\"x\"]", &packet, &whole) == 0 && whole);
    car_socketio_decoder_free(&decoder);
    car_socketio_decoder_free(&decoder);
}

/* What only looks like a placeholder is none, and nesting has a bound. */
static void test_placeholders(void) {
    static const char *const GOOD_ONES[] = {
        "51-[\"x\",{\"_placeholder\":false,\"num\":9}]",
        "51-[\"x\",{\"_placeholder\":\"true\",\"num\":9}]",
        "51-[\"x\",{\"_placeholder\":[true],\"num\":9}]",
        "51-[\"x\",[\"_placeholder\",true,\"num\",9]]",
        "51-[\"x\",{\"a\":\"_placeholder\",\"b\":\"\\\"{\",\"num\":9}]",
        "51-[\"x\",{\"_placeholder\":true,\"_placeholder\":null,\"num\":9}]",
        "51-[ \"x\" , { \"num\" : 0 , \"_placeholder\" : true } , 1e5 , {} , [] ]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":0},18446744073709551616,-1e400]",
        "51-[\"x\",{\"_placeholders\":true},{\"_placeholder\\u0000\":true},{\"_placeholde\":true},{\"\":true}]",
        "51-[\"x\",{\"a\":[{\"num\":7}],\"_placeholder\":true,\"b\":\"}]\\\"{\",\"\\u006eum\":0}]",
        "51-[1,{\"_placeholder\":{\"_placeholder\":true,\"num\":0},\"num\":5}]",
    };
    for (size_t i = 0; i < sizeof GOOD_ONES / sizeof *GOOD_ONES; i++) {
        struct car_socketio_decoder decoder = {0};
        struct car_socketio_packet packet;
        bool whole;
        CU_ASSERT_EQUAL(feed(&decoder, false, GOOD_ONES[i], &packet, &whole), 0);
        CU_ASSERT(feed(&decoder, true, "a", &packet, &whole) == 0 && whole);
        car_socketio_decoder_free(&decoder);
    }
    for (unsigned depth = 250; depth < 262; depth++) {
        const struct car_socketio_limits limits = {.attachments = 1, .bytes = 1000};
        struct car_socketio_decoder decoder = {0};
        struct car_socketio_packet packet;
        struct car_buf text = CAR_BUF_INIT;
        bool whole;
        car_buf_printf(&text, "51-[1,%0*d%0*d]", (int)depth - 1, 0, (int)depth - 1, 0);
        memset(text.data + 6, '[', depth - 1);
        memset(text.data + 6 + depth - 1, ']', depth - 1);
        int err = car_socketio_decode(&decoder, &limits, false, car_buf_view(&text), &packet, &whole);
        CU_ASSERT_EQUAL(err, depth <= 256 ? 0 : CAR_EPROTO);
        car_buf_free(&text);
        car_socketio_decoder_free(&decoder);
    }
}

/* Each is refused at its last message, and leaves the decoder empty. */
static void test_decoder_refuses(void) {
    static const struct {
        const char *first, *second; /* the second is binary where it begins with '#' */
        int err;
    } ROWS[] = {
        {NULL, "#alone", CAR_EPROTO},
        {TWO, "2[\"x\"]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true,\"num\":1}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true,\"num\":-1}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true,\"num\":0.5}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true}]", CAR_EPROTO},
        {NULL, "51-[\"x\",[[{\"q\":{\"_placeholder\":true,\"num\":\"0\"}}]]]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"num\":0,\"num\":1,\"_placeholder\":true}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"\\u005fplaceholder\":true,\"num\":[0]}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"num\":7,\"_placeholder\" : true , \"a\":\"}\"}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"num\":1,\"a\":{\"num\":0},\"_placeholder\":true}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true,\"a\":[{\"num\":0}]}]", CAR_EPROTO},
        {NULL, "51-[\"x\",{\"_placeholder\":true,\"num\":18446744073709551616}]", CAR_EPROTO},
        {NULL, "511-[\"x\"]", CAR_ETOOBIG},
        {"52-[\"x\"]",
         "#0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
         CAR_ETOOBIG},
        {NULL,
         "2[\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"]",
         CAR_ETOOBIG},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_socketio_decoder decoder = {0};
        struct car_socketio_packet packet;
        bool whole;
        CU_ASSERT(!ROWS[i].first || feed(&decoder, false, ROWS[i].first, &packet, &whole) == 0);
        bool binary = ROWS[i].second[0] == '#';
        CU_ASSERT_EQUAL(feed(&decoder, binary, ROWS[i].second + binary, &packet, &whole), ROWS[i].err);
        CU_ASSERT(!whole && decoder.pending == NULL);
    }
}

/* Escapes that are half of a pair become U+FFFD, and the packet says so; nothing else is mended. */
static void test_mended(void) {
    static const struct {
        const char *text, *data; /* NULL: refused */
    } ROWS[] = {
        {"2[\"x\",\"a\\ud83d\"]", "[\"x\",\"a\\ufffd\"]"},
        {"2[\"x\",\"\\uDC00\"]", "[\"x\",\"\\ufffd\"]"},
        {"2/n,7[\"x\",\"\\udbff\\udbff\\udfff\\udfff\"]", "[\"x\",\"\\ufffd\\udbff\\udfff\\ufffd\"]"},
        {"2[\"x\",\"\\\\\\ud83dx\",\"\\\\ud83d\"]", "[\"x\",\"\\\\\\ufffdx\",\"\\\\ud83d\"]"},
        {"3[\"\\ud800\\n\\udc00\"]", "[\"\\ufffd\\n\\ufffd\"]"},
        {"0{\"\\ud800\":1}", "{\"\\ufffd\":1}"},
        {"50-[\"\\ud83d\"]", "[\"\\ufffd\"]"},
        {"2[\"x\",\"\\ud83\"]", NULL},
        {"2[\"x\",\"\\ud83d\"", NULL},
        {"2[\"x\",\"\\ud83d\\", NULL},
        {"2[\"x\",\\ud83d]", NULL},
        {"2{\"x\":\"\\ud83d\"}", NULL},
        {"1[\"\\ud83d\"]", NULL},
        {"", NULL},
    };
    struct car_socketio_decoder decoder = {0};
    struct car_socketio_packet packet;
    bool whole;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        int err = feed(&decoder, false, ROWS[i].text, &packet, &whole);
        CU_ASSERT_EQUAL(err, ROWS[i].data ? 0 : CAR_EPROTO);
        CU_ASSERT_EQUAL(whole, ROWS[i].data != NULL);
        CU_ASSERT(!whole || (packet.mended && same(packet.data.raw, ROWS[i].data)));
        CU_ASSERT(whole || decoder.pending == NULL);
    }
    CU_ASSERT(feed(&decoder, false, "2/n,7[\"\\ud83d\"]", &packet, &whole) == 0 && whole && packet.id == 7);
    CU_ASSERT(same(packet.nsp, "/n"));
    CU_ASSERT(feed(&decoder, false, "51-[\"\\ud83d\",{\"_placeholder\":true,\"num\":0}]", &packet, &whole) == 0);
    CU_ASSERT(!whole && feed(&decoder, true, "a", &packet, &whole) == 0 && whole && packet.mended);
    CU_ASSERT(same(car_socketio_attachment(&decoder, 0), "a"));
    CU_ASSERT_EQUAL(feed(&decoder, false, "51-[\"\\ud83d\",{\"_placeholder\":true,\"num\":1}]", &packet, &whole),
                    CAR_EPROTO);
    CU_ASSERT_PTR_NULL(decoder.pending);
    CU_ASSERT(feed(&decoder, false, "2[\"\\ud83d\\ude00\"]", &packet, &whole) == 0 && !packet.mended);
    CU_ASSERT_PTR_NULL(decoder.pending);
}

/* Cut off at any message, a stream leaves no memory behind: the leak checker looks on. */
static void test_cut_off(void) {
    static const char *const STREAM[] = {"2[\"x\"]", TWO, "#a", "#b", "3[1]", TWO, "#c"};
    for (size_t cut = 0; cut <= sizeof STREAM / sizeof *STREAM; cut++) {
        struct car_socketio_decoder decoder = {0};
        for (size_t i = 0; i < cut; i++) {
            struct car_socketio_packet packet;
            bool whole;
            bool binary = STREAM[i][0] == '#';
            CU_ASSERT_EQUAL(feed(&decoder, binary, STREAM[i] + binary, &packet, &whole), 0);
        }
        car_socketio_decoder_free(&decoder);
    }
}

static const struct car_test TESTS[] = {
    {"sound packets", test_good},
    {"unsound packets", test_bad},
    {"cut at every byte", test_cuts},
    {"round trip", test_round_trip},
    {"events", test_event},
    {"attachments", test_decoder},
    {"placeholders", test_placeholders},
    {"attachments, unsound", test_decoder_refuses},
    {"mended", test_mended},
    {"cut off between messages", test_cut_off},
};

int main(void) {
    return car_suite_main("socketio", TESTS, sizeof TESTS / sizeof *TESTS);
}
