#include "carillon/base/uuid.h"

#include <pthread.h>
#include <string.h>

#include "carillon/base/crypto.h"
#include "carillon/base/digits.h"
#include "carillon/base/err.h"

enum { BLOCK = 4096 };

/* Random bytes not yet handed out, of the calling thread alone. `left` counts from the end; 0 asks for a new block. */
static _Thread_local struct {
    uint8_t bytes[BLOCK];
    size_t left;
} pool;

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* A forked child would hand out the same ids as its parent. */
static void drop_pool(void) {
    pool.left = 0;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, drop_pool);
}

static void refill(void) {
    pthread_once(&fork_once, watch_forks);
    car_random(pool.bytes, sizeof pool.bytes);
    pool.left = sizeof pool.bytes;
}

void car_uuid_make(struct car_uuid *out) {
    if (pool.left < sizeof out->bytes) {
        refill();
    }
    memcpy(out->bytes, pool.bytes + (sizeof pool.bytes - pool.left), sizeof out->bytes);
    pool.left -= sizeof out->bytes;
    out->bytes[6] = (uint8_t)((out->bytes[6] & 0x0f) | 0x40);
    out->bytes[8] = (uint8_t)((out->bytes[8] & 0x3f) | 0x80);
}

/* Whether a dash stands before this byte in the textual form. */
static bool after_dash(size_t byte) {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void car_uuid_write(const struct car_uuid *id, char *out) {
    /* Where the byte of that number stands: 8-4-4-4-12. Unrolled, so that no branch asks for the dashes. */
    static const uint8_t at[] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
#pragma GCC unroll 16
    for (size_t i = 0; i < sizeof at; i++) {
        car_hex_byte(out + at[i], id->bytes[i]);
    }
    out[8] = out[13] = out[18] = out[23] = '-';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int car_uuid_read(struct car_span text, struct car_uuid *out) {
    if (text.len != CAR_UUID_TEXT) {
        return CAR_EINVAL;
    }
    struct car_uuid id;
    const char *p = text.ptr;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (after_dash(i) && *p++ != '-') {
            return CAR_EINVAL;
        }
        int high = hex_digit(p[0]);
        int low = hex_digit(p[1]);
        if (high < 0 || low < 0) {
            return CAR_EINVAL;
        }
        id.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *out = id;
    return CAR_OK;
}
