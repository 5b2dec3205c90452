#include "carillon/proto/deflate.h"

#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include "carillon/base/err.h"
#include "support/suite.h"
#include "support/ws_client.h"

enum { PLENTY = 1 << 24 };

#define BYTES(lit)                                                                                                     \
    { lit, sizeof(lit) - 1 }

/* Payloads as RFC 7692, section 7.2.3 has them, and what else inflates or must not. */
static void vectors(void) {
    static const struct {
        const char *name;
        struct car_span in;
        int err;
        struct car_span out;
    } ROWS[] = {
        {"7.2.3.1", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, BYTES("Hello")},
        {"7.2.3.3, stored", BYTES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), 0, BYTES("Hello")},
        {"7.2.3.4, BFINAL", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 0, BYTES("Hello")},
        {"7.2.3.5, two blocks", BYTES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), 0, BYTES("Hello")},
        {"7.2.3.6, empty", BYTES("\x00"), 0, BYTES("")},
        {"empty by a fixed block", BYTES("\x02\x00"), 0, BYTES("")},
        {"BFINAL without the octet after", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00"), 0, BYTES("Hello")},
        {"two of BFINAL", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00"), 0, BYTES("HelloHello")},
        {"tail not removed", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"), 0, BYTES("Hello")},
        {"nothing at all", BYTES(""), 0, BYTES("")},
        {"reserved block type", BYTES("\x06"), CAR_EPROTO, BYTES("")},
        {"stored length wrong", BYTES("\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"), CAR_EPROTO, BYTES("")},
        {"stored cut short", BYTES("\x00\x05\x00\xfa\xff\x48\x65"), CAR_EPROTO, BYTES("")},
        {"cut within a block", BYTES("\xf2\x48\xcd\xc9"), CAR_EPROTO, BYTES("")},
        {"distance before the start", BYTES("\x02\x03\x02\x00"), CAR_EPROTO, BYTES("")},
        {"ends within a block's header", BYTES("\xfa\xff\xff\xff\x7f\xc0"), CAR_EPROTO, BYTES("")},
        {"the same, header of zeros", BYTES("\xfa\xff\xff\xff\x7f\x00"), CAR_EPROTO, BYTES("")},
        {"header of zeros over two bytes", BYTES("\xfa\xff\xff\xff\x7f\x00\x00"), 0, BYTES("\xff\xff\xff\xff")},
        {"noise", BYTES("\xff\xff\xff\xff\xff\xff"), CAR_EPROTO, BYTES("")},
    };
    struct car_inflater *inflater = car_inflater_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(inflater);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf out = CAR_BUF_INIT;
        CAR_BUF_LIT(&out, "before");
        int err = car_inflate(inflater, ROWS[i].in, PLENTY, &out);
        if (err != ROWS[i].err) {
            printf("\n%s: %s\n", ROWS[i].name, car_strerror(err));
        }
        CU_ASSERT_EQUAL(err, ROWS[i].err);
        CU_ASSERT_EQUAL(memcmp(out.data, "before", 6), 0);
        if (!err) {
            CU_ASSERT_TRUE(car_span_eq(car_span_of(out.data + 6, out.len - 6), ROWS[i].out));
        }
        car_buf_free(&out);
    }
    car_inflater_free(&inflater);
    CU_ASSERT_PTR_NULL(inflater);
}

/* Text that repeats itself, and noise, in turn. */
static char *mixture(size_t len) {
    char *bytes = malloc(len + 1);
    uint64_t state = 88172645463325252u;
    if (!bytes) {
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        bool noise = (i >> 14) & 1;
        bytes[i] = noise ? (char)ws_random(&state) : (i >> 9) % 3 == 0 ? 'x' : "{\"type\":\"event\",\"seq\":"[i % 21];
    }
    return bytes;
}

/* Any size through any window comes back, and without what came before: the streams keep no context. */
static void round_trips(void) {
    static const size_t SIZES[] = {0, 1, 2, 3, 100, 4095, 4096, 4097, 32768, 65535, 65536, 300000, 1 << 20};
    struct car_inflater *inflater = car_inflater_new();
    struct car_deflater *deflater = car_deflater_new(6);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inflater);
    CU_ASSERT_PTR_NOT_NULL_FATAL(deflater);
    char *bytes = mixture(1 << 20);
    for (unsigned bits = CAR_DEFLATE_BITS_MIN; bits <= CAR_DEFLATE_BITS_MAX; bits++) {
        for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
            struct car_span in = car_span_of(bytes, SIZES[i]);
            struct car_buf packed = CAR_BUF_INIT;
            struct car_buf again = CAR_BUF_INIT;
            struct car_buf out = CAR_BUF_INIT;
            CU_ASSERT_EQUAL(car_deflate(deflater, bits, in, &packed), 0);
            CU_ASSERT_EQUAL(car_deflate(deflater, bits, in, &again), 0);
            CU_ASSERT_TRUE(car_span_eq(car_buf_view(&packed), car_buf_view(&again)));
            CU_ASSERT_TRUE(packed.len < 4 || memcmp(packed.data + packed.len - 4, "\x00\x00\xff\xff", 4) != 0);
            CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&packed), SIZES[i], &out), 0);
            CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), in));
            car_buf_free(&packed);
            car_buf_free(&again);
            car_buf_free(&out);
        }
    }
    free(bytes);
    car_inflater_free(&inflater);
    car_deflater_free(&deflater);
}

/* What is deflated through a window of n bits inflates in a window of n bits, though longer distances would pay: in
 * room too small to reach back into but by the window. */
static void windows(void) {
    enum { PERIOD = 5000, LEN = 100000, ROOM = 64 };
    struct car_deflater *deflater = car_deflater_new(9);
    static char bytes[LEN];
    uint64_t state = 5;
    for (size_t i = 0; i < LEN; i++) {
        bytes[i] = i < PERIOD ? (char)ws_random(&state) : bytes[i - PERIOD];
    }
    for (unsigned bits = CAR_DEFLATE_BITS_MIN; bits <= CAR_DEFLATE_BITS_MAX; bits++) {
        struct car_buf packed = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_deflate(deflater, bits, car_span_of(bytes, LEN), &packed), 0);
        CU_ASSERT_EQUAL(packed.len<LEN / 4, 1u << bits> PERIOD);
        z_stream z = {0};
        CU_ASSERT_EQUAL_FATAL(inflateInit2(&z, -(int)bits), Z_OK);
        z.next_in = (Bytef *)packed.data;
        z.avail_in = (uInt)packed.len;
        size_t made = 0;
        int result = Z_OK;
        while (result == Z_OK && made < LEN) {
            char room[ROOM];
            z.next_out = (Bytef *)room;
            z.avail_out = ROOM;
            result = inflate(&z, Z_SYNC_FLUSH);
            size_t got = ROOM - z.avail_out;
            CU_ASSERT_TRUE(made + got <= LEN && memcmp(bytes + made, room, got) == 0);
            made += got;
        }
        CU_ASSERT_EQUAL(result, Z_OK);
        CU_ASSERT_EQUAL(made, LEN);
        inflateEnd(&z);
        car_buf_free(&packed);
    }
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_deflate(deflater, 8, CAR_SPAN("x"), &out), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_deflate(deflater, 16, CAR_SPAN("x"), &out), CAR_EINVAL);
    CU_ASSERT_EQUAL(out.len, 0);
    CU_ASSERT_EQUAL(car_deflate(deflater, 15, CAR_SPAN(""), &out), 0);
    CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), CAR_SPAN("\x00")));
    out.len = 0;
    CU_ASSERT_EQUAL(car_deflate(deflater, 15, CAR_SPAN("Hello"), &out), 0);
    CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), CAR_SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00")));
    car_buf_free(&out);
    car_deflater_free(&deflater);
}

/* Deflates all at once with zlib itself. `flush` ends it. */
static struct car_buf zlib_deflate(struct car_span in, int flush, struct car_span dictionary) {
    struct car_buf out = CAR_BUF_INIT;
    z_stream z = {0};
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    if (dictionary.len > 0) {
        deflateSetDictionary(&z, (const Bytef *)dictionary.ptr, (uInt)dictionary.len);
    }
    size_t room = deflateBound(&z, in.len) + 64;
    CU_ASSERT_EQUAL_FATAL(car_buf_reserve(&out, room), 0);
    struct car_buf copy = CAR_BUF_INIT;
    car_buf_span(&copy, in);
    z.next_in = (Bytef *)copy.data;
    z.avail_in = (uInt)in.len;
    z.next_out = (Bytef *)out.data;
    z.avail_out = (uInt)room;
    deflate(&z, flush);
    out.len = z.total_out;
    deflateEnd(&z);
    car_buf_free(&copy);
    return out;
}

/* The window reaches back over a block with BFINAL, to the message's start. */
static void distance_across_final(void) {
    struct car_span text = CAR_SPAN("a text that is long enough to be worth a reference back to it");
    struct car_inflater *inflater = car_inflater_new();
    struct car_buf wire = zlib_deflate(text, Z_FINISH, (struct car_span){0});
    struct car_buf second = zlib_deflate(text, Z_SYNC_FLUSH, text);
    CU_ASSERT_TRUE(second.len < 16);
    car_buf_span(&wire, car_buf_view(&second));
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&wire), PLENTY, &out), 0);
    CU_ASSERT_EQUAL(out.len, 2 * text.len);
    CU_ASSERT_EQUAL(memcmp(out.data, text.ptr, text.len), 0);
    CU_ASSERT_EQUAL(memcmp(out.data + text.len, text.ptr, text.len), 0);
    /* But not to the message before. */
    CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&second), PLENTY, &out), CAR_EPROTO);
    car_buf_free(&out);
    car_buf_free(&second);
    car_buf_free(&wire);
    car_inflater_free(&inflater);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 64 MiB of zeros in 64 KiB: cut off at the bound, with memory of the bound's order; to the byte. */
static void bomb(void) {
    struct car_inflater *inflater = car_inflater_new();
    size_t size = 64 << 20;
    char *zeros = calloc(1, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(zeros);
    struct car_buf wire = zlib_deflate(car_span_of(zeros, size), Z_SYNC_FLUSH, (struct car_span){0});
    static const size_t BOUNDS[] = {0, 1, 4095, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof BOUNDS / sizeof *BOUNDS; i++) {
        struct car_buf out = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&wire), BOUNDS[i], &out), CAR_ETOOBIG);
        CU_ASSERT_TRUE(out.len <= BOUNDS[i] + 1);
        CU_ASSERT_TRUE(out.cap <= 4096 + 4 * BOUNDS[i]);
        car_buf_free(&out);
    }
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&wire), size - 1, &out), CAR_ETOOBIG);
    out.len = 0;
    CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&wire), size, &out), 0);
    CU_ASSERT_EQUAL(out.len, size);
    car_buf_free(&out);
    car_buf_free(&wire);
    free(zeros);
    car_inflater_free(&inflater);
}

/* A MiB of empty blocks, with BFINAL and without, yields nothing and costs little. */
static void empty_blocks(void) {
    struct car_inflater *inflater = car_inflater_new();
    struct car_buf wire = CAR_BUF_INIT;
    struct car_buf out = CAR_BUF_INIT;
    /* 32 KiB first, so that the window is full when the blocks come. */
    char *bytes = mixture(40000);
    for (int final = 0; final < 2; final++) {
        struct car_buf head = zlib_deflate(car_span_of(bytes, 40000), Z_SYNC_FLUSH, (struct car_span){0});
        wire.len = out.len = 0;
        car_buf_span(&wire, car_buf_view(&head));
        while (wire.len < 1 << 20) {
            car_buf_put(&wire, final ? "\x03\x00" : "\x00\x00\x00\xff\xff", final ? 2 : 5);
        }
        double start = seconds();
        CU_ASSERT_EQUAL(car_inflate(inflater, car_buf_view(&wire), 40000, &out), 0);
        CU_ASSERT_TRUE(seconds() - start < 5);
        CU_ASSERT_EQUAL(out.len, 40000);
        car_buf_free(&head);
    }
    free(bytes);
    car_buf_free(&wire);
    car_buf_free(&out);
    car_inflater_free(&inflater);
}

static void memory(void) {
    struct car_inflater *inflater = car_inflater_new();
    struct car_deflater *deflater = car_deflater_new(1);
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_TRUE(car_inflater_memory(inflater) < 512);
    CU_ASSERT_TRUE(car_deflater_memory(deflater) < 512);
    CU_ASSERT_EQUAL(car_deflate(deflater, 9, CAR_SPAN(""), &out), 0);
    CU_ASSERT_TRUE(car_deflater_memory(deflater) < 512);
    CU_ASSERT_EQUAL(car_deflate(deflater, 15, CAR_SPAN("Hello"), &out), 0);
    size_t one = car_deflater_memory(deflater);
    CU_ASSERT_TRUE(one > 200 * 1024 && one < 280 * 1024);
    CU_ASSERT_EQUAL(car_deflate(deflater, 15, CAR_SPAN("Hello again"), &out), 0);
    CU_ASSERT_EQUAL(car_deflater_memory(deflater), one);
    CU_ASSERT_EQUAL(car_deflate(deflater, 9, CAR_SPAN("Hello"), &out), 0);
    CU_ASSERT_TRUE(car_deflater_memory(deflater) > one);
    out.len = 0;
    CU_ASSERT_EQUAL(car_inflate(inflater, CAR_SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"), PLENTY, &out), 0);
    CU_ASSERT_TRUE(car_inflater_memory(inflater) > 5 * 1024 && car_inflater_memory(inflater) < 64 * 1024);
    car_buf_free(&out);
    car_inflater_free(&inflater);
    car_deflater_free(&deflater);
    car_inflater_free(&inflater);
    car_deflater_free(&deflater);
}

static const struct car_test TESTS[] = {
    {"vectors", vectors}, {"round trips", round_trips},
    {"windows", windows}, {"distance across BFINAL", distance_across_final},
    {"bomb", bomb},       {"empty blocks", empty_blocks},
    {"memory", memory},
};

int main(void) {
    return car_suite_main("deflate", TESTS, sizeof TESTS / sizeof *TESTS);
}
