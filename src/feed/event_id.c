#include "carillon/feed/event_id.h"

#include <string.h>

#include "carillon/base/siphash.h"

/* A UUID without its version and variant, in two halves. Before it is ciphered `left` is the seq and random bits, and
 * `right` is random bits and the check. */
struct halves {
    uint64_t left, right;
};

#define HALF_BITS  61
#define HALF_MASK  ((UINT64_C(1) << HALF_BITS) - 1)
#define SEQ_BITS   44
#define CHECK_BITS 40
#define CHECK_MASK ((UINT64_C(1) << CHECK_BITS) - 1)
#define ROUNDS     4 /* a permutation that cannot be told from a random one (Luby and Rackoff, 1988) */

static uint64_t round_of(const struct car_event_key *key, uint64_t number, uint64_t half) {
    const uint64_t words[2] = {number, half};
    return car_siphash(key->rounds, words, sizeof words) & HALF_MASK;
}

static void cipher(const struct car_event_key *key, struct halves *h) {
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t left = h->left;
        h->left = h->right;
        h->right = left ^ round_of(key, i, h->right);
    }
}

static void decipher(const struct car_event_key *key, struct halves *h) {
    for (uint64_t i = ROUNDS; i-- > 0;) {
        uint64_t right = h->right;
        h->right = h->left;
        h->left = right ^ round_of(key, i, h->left);
    }
}

static uint64_t check_of(const struct car_event_key *key, struct car_span tenant, int64_t salt,
                         const struct halves *h) {
    const uint64_t words[3] = {h->left, h->right & ~CHECK_MASK,
                               car_siphash(key->check, tenant.ptr, tenant.len) ^ (uint64_t)salt};
    return car_siphash(key->check, words, sizeof words) & CHECK_MASK;
}

/* Where the bits of a UUID are: the version is the high half of byte 6, the variant the high two bits of byte 8 (RFC
 * 9562, section 5.4). Its first 64 bits hold 60 of ours, and its last 64 hold 62. */
static void pack(const struct halves *h, struct car_uuid *out) {
    uint64_t high = h->left >> 1;
    uint64_t low = (h->left & 1) << HALF_BITS | h->right;
    uint64_t words[2] = {__builtin_bswap64((high >> 12) << 16 | UINT64_C(0x4000) | (high & 0xfff)),
                         __builtin_bswap64(UINT64_C(1) << 63 | low)};
    memcpy(out->bytes, words, sizeof out->bytes);
}

static void unpack(const struct car_uuid *id, struct halves *h) {
    uint64_t words[2];
    memcpy(words, id->bytes, sizeof words);
    uint64_t high = __builtin_bswap64(words[0]);
    uint64_t low = __builtin_bswap64(words[1]);
    high = (high >> 16) << 12 | (high & 0xfff);
    h->left = high << 1 | ((low >> HALF_BITS) & 1);
    h->right = low & HALF_MASK;
}

static bool is_version_4(const struct car_uuid *id) {
    return id->bytes[6] >> 4 == 4 && id->bytes[8] >> 6 == 2;
}

void car_event_id_make(const struct car_event_key *key, struct car_span tenant, int64_t salt, uint64_t seq,
                       struct car_uuid *out) {
    struct halves h;
    car_uuid_make(out);
    unpack(out, &h);
    h.left = (h.left & (HALF_MASK >> SEQ_BITS)) | seq << (HALF_BITS - SEQ_BITS);
    h.right &= ~CHECK_MASK;
    h.right |= check_of(key, tenant, salt, &h);
    cipher(key, &h);
    pack(&h, out);
}

uint64_t car_event_id_seq(const struct car_event_key *key, struct car_span tenant, int64_t salt,
                          const struct car_uuid *id) {
    struct halves h;
    if (!is_version_4(id)) {
        return 0;
    }
    unpack(id, &h);
    decipher(key, &h);
    return (h.right & CHECK_MASK) == check_of(key, tenant, salt, &h) ? h.left >> (HALF_BITS - SEQ_BITS) : 0;
}
