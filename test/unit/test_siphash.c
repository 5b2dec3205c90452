#include "carillon/base/siphash.h"

#include <string.h>

#include "suite.h"

/* What CPython's hash() of bytes says, which is SipHash-1-3, with PYTHONHASHSEED=0: a key of zeros, on a machine whose
 * words begin with their least byte. The lengths are around a word's. */
static void test_vectors(void) {
    static const struct {
        const char *text;
        uint64_t hash;
    } VECTORS[] = {
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"abcdefg", UINT64_C(0x6db12aae9070f506)},
        {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
        {"abcdefghi", UINT64_C(0xf89b34a3d11eb6e5)},
        {"The quick brown fox jumps", UINT64_C(0x9e719c78716a132b)},
    };
    static const uint64_t zeros[2];
    for (size_t i = 0; i < sizeof VECTORS / sizeof *VECTORS; i++) {
        CU_ASSERT_EQUAL(car_siphash(zeros, VECTORS[i].text, strlen(VECTORS[i].text)), VECTORS[i].hash);
    }
}

static void test_key(void) {
    static const uint64_t keys[3][2] = {{0, 0}, {1, 0}, {0, 1}};
    uint64_t first = car_siphash(keys[0], "", 0);
    CU_ASSERT_NOT_EQUAL(car_siphash(keys[1], "", 0), first);
    CU_ASSERT_NOT_EQUAL(car_siphash(keys[2], "", 0), first);
}

int main(void) {
    static const struct car_test tests[] = {
        {"known hashes", test_vectors},
        {"another key, another hash", test_key},
    };
    return car_suite_main("siphash", tests, sizeof tests / sizeof *tests);
}
