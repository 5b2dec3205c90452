#include "carillon/base/utf8.h"

#include <string.h>

#include "carillon/base/bytes16.h"

/*
 * The state between two bytes: how many continuation bytes are missing, and the range that the next of them has to be
 * in (narrower than 80..BF after E0, ED, F0 and F4, which is what shuts out overlong forms, surrogates and what lies
 * above U+10FFFF: RFC 3629, section 4). 0 is a character's end.
 */
#define STATE(need, lo, hi) ((uint32_t)(need) | (uint32_t)(lo) << 8 | (uint32_t)(hi) << 16)
#define SPENT               STATE(0xff, 0xff, 0)

static uint32_t after_lead(unsigned char c) {
    if (c < 0x80) {
        return 0;
    }
    if (c < 0xc2) {
        return SPENT;
    }
    if (c < 0xe0) {
        return STATE(1, 0x80, 0xbf);
    }
    if (c < 0xf0) {
        return STATE(2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    }
    if (c < 0xf5) {
        return STATE(3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    }
    return SPENT;
}

static car_bytes16 not_ascii(car_bytes16 b) {
    return b; /* it is the top bit that marks */
}

static const unsigned char *skip_ascii(const unsigned char *p, const unsigned char *end) {
    return (const unsigned char *)car_bytes16_find((const char *)p, (const char *)end, not_ascii);
}

bool car_utf8_feed(struct car_utf8 *u, const void *bytes, size_t len) {
    const unsigned char *p = bytes;
    uint32_t state = u->state;
    if (len == 0) {
        return state != SPENT;
    }
    const unsigned char *end = p + len;
    while (p < end) {
        if (state == 0) {
            p = skip_ascii(p, end);
            if (p == end) {
                break;
            }
            state = after_lead(*p++);
        } else {
            unsigned char c = *p++;
            uint32_t need = state & 0xff;
            bool fits = c >= (state >> 8 & 0xff) && c <= (state >> 16 & 0xff);
            if (!fits) {
                state = SPENT;
            } else {
                state = need == 1 ? 0 : STATE(need - 1, 0x80, 0xbf);
            }
        }
        if (state == SPENT) {
            u->state = SPENT;
            return false;
        }
    }
    u->state = state;
    return true;
}

bool car_utf8_done(const struct car_utf8 *u) {
    return u->state == 0;
}

bool car_utf8_valid(const void *bytes, size_t len) {
    struct car_utf8 u = {0};
    return car_utf8_feed(&u, bytes, len) && car_utf8_done(&u);
}

size_t car_utf8_count(const void *bytes, size_t len) {
    if (len == 0) {
        return 0;
    }
    const unsigned char *end = (const unsigned char *)bytes + len;
    const unsigned char *p = skip_ascii(bytes, end);
    size_t continuations = 0;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        /* One bit for each byte of the form 10xxxxxx; the product sums the eight bits up in the top byte. */
        uint64_t bits = word >> 7 & ~(word >> 6) & UINT64_C(0x0101010101010101);
        continuations += (size_t)(bits * UINT64_C(0x0101010101010101) >> 56);
    }
    for (; p < end; p++) {
        continuations += (*p & 0xc0) == 0x80;
    }
    return len - continuations;
}
