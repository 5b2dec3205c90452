#include <stdlib.h>
#include <string.h>

#include "proto/ws_mask.h"
#include "support/suite.h"
#include "support/ws_client.h"

/* A head that lies whole in the input is read at once, others byte by byte: every first two bytes, with lengths at the
 * borders of each form, may make no difference to what is read and to what is refused. */
static void test_whole_and_in_bytes(void) {
    static const struct ws_server server = {.max_message = 200};
    static const char rests[][56] = {
        "\x01\x02\x03\x04 and more of it, so that the head is whole at once",
        "\x00\x7e\x03\x04\x05\x06 a length of 126",
        "\x00\x7d\x03\x04\x05\x06 a length of 125",
        "\x00\x00\x00\x00\x00\x01\x00\x00\x05\x06\x07\x08 a length of 65536",
        "\x80\x00\x00\x00\x00\x00\x00\x00\x05\x06\x07\x08 a length of 64 bits",
    };
    size_t wrong = 0;
    for (unsigned two = 0; two < 0x10000; two++) {
        unsigned len7 = two & 0x7f;
        size_t first = len7 == 126 ? 1 : len7 == 127 ? 3 : 0;
        size_t last = len7 == 126 ? 2 : len7 == 127 ? 4 : 0;
        for (size_t k = first; k <= last; k++) {
            char wire[80] = {(char)(two >> 8), (char)two};
            memcpy(wire + 2, rests[k], 40);
            char *whole = ws_server_play(&server, car_span_of(wire, 42), 42, 0);
            char *bytes = ws_server_play(&server, car_span_of(wire, 42), 1, 0);
            wrong += strcmp(whole, bytes) != 0;
            free(whole);
            free(bytes);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Every length in memory of its exact size, at every alignment, in two pieces: against the definition (RFC 6455,
 * section 5.3). */
static void test_unmask(void) {
    static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t wrong = 0;
    for (size_t len = 0; len <= 80; len++) {
        for (size_t alignment = 0; alignment < 16; alignment++) {
            char *memory = malloc(alignment + len + (alignment + len == 0));
            CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
            char *data = memory + alignment;
            for (size_t i = 0; i < len; i++) {
                data[i] = (char)(i ^ MASK[i & 3]);
            }
            uint8_t mask[4];
            memcpy(mask, MASK, sizeof mask);
            size_t cut = len * alignment / 16;
            car_ws_unmask(data, cut, mask);
            car_ws_unmask(data + cut, len - cut, mask);
            for (size_t i = 0; i < len; i++) {
                wrong += data[i] != (char)i;
            }
            for (size_t i = 0; i < sizeof mask; i++) {
                wrong += mask[i] != MASK[(len + i) & 3];
            }
            free(memory);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct car_test TESTS[] = {{"whole and in bytes", test_whole_and_in_bytes}, {"unmask", test_unmask}};

int main(void) {
    return car_suite_main("ws_head", TESTS, sizeof TESTS / sizeof *TESTS);
}
