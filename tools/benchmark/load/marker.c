#include "marker.h"

#include <string.h>

#define MAGIC     "~carload"
#define MAGIC_LEN (sizeof MAGIC - 1)

/* A word is eight letters, one for each four bits: 'a' is 0, 'p' is 15. */
enum { WORD_LEN = 8, WORDS = 7 };

_Static_assert(MAGIC_LEN + WORD_LEN * WORDS == MARKER_SIZE, "a marker is its magic and its words");

#define LETTERS UINT64_C(0x6161616161616161)

static char *word_write(char *at, uint64_t word) {
    word = (word | word << 16) & UINT64_C(0x0000ffff0000ffff);
    word = (word | word << 8) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word | word << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    word += LETTERS;
    memcpy(at, &word, WORD_LEN);
    return at + WORD_LEN;
}

/* Adds to *wrong what is no letter. */
static uint32_t word_read(const char *at, uint64_t *wrong) {
    uint64_t word;
    memcpy(&word, at, WORD_LEN);
    word -= LETTERS;
    *wrong |= word & UINT64_C(0xf0f0f0f0f0f0f0f0);
    word = (word | word >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word | word >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(word | word >> 16);
}

void marker_write(char *at, const struct marker *marker) {
    memcpy(at, MAGIC, MAGIC_LEN);
    at = word_write(at + MAGIC_LEN, marker->nonce);
    at = word_write(at, marker->tenant);
    at = word_write(at, marker->publisher);
    at = word_write(at, marker->counter);
    at = word_write(at, marker->flight);
    at = word_write(at, marker->due >> 32);
    word_write(at, marker->due & UINT32_MAX);
}

bool marker_read(const char *at, struct marker *marker) {
    uint64_t wrong = 0;
    if (memcmp(at, MAGIC, MAGIC_LEN) != 0) {
        return false;
    }
    at += MAGIC_LEN;
    marker->nonce = word_read(at, &wrong);
    marker->tenant = word_read(at += WORD_LEN, &wrong);
    marker->publisher = word_read(at += WORD_LEN, &wrong);
    marker->counter = word_read(at += WORD_LEN, &wrong);
    marker->flight = word_read(at += WORD_LEN, &wrong);
    marker->due = (uint64_t)word_read(at += WORD_LEN, &wrong) << 32;
    marker->due |= word_read(at + WORD_LEN, &wrong);
    return wrong == 0;
}
