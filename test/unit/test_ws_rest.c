#include <stdlib.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/proto/ws.h"

#include "suite.h"

/* Frames of every form of length, one after the other: at each byte that may have been written last, the rest leads to
 * the end of the frame that has been begun. */
static void test_every_byte(void) {
    static const size_t payloads[] = {0, 1, 125, 126, 300, 65535, 65536, 70000, 3};
    enum { FRAMES = sizeof payloads / sizeof *payloads };
    struct car_buf bytes = CAR_BUF_INIT;
    size_t ends[FRAMES];
    for (unsigned i = 0; i < FRAMES; i++) {
        char head[CAR_WS_HEADER_MAX];
        car_buf_put(&bytes, head, car_ws_header_write(head, CAR_WS_TEXT, true, i % 2, payloads[i]));
        char *payload = calloc(1, payloads[i] + 1);
        memset(payload, 0x7f, payloads[i]); /* as a head it would say 127 */
        car_buf_put(&bytes, payload, payloads[i]);
        free(payload);
        ends[i] = bytes.len;
    }
    CU_ASSERT_FALSE_FATAL(bytes.failed);
    unsigned frame = 0;
    size_t wrong = car_ws_frame_rest(bytes.data, bytes.len, 0);
    for (size_t written = 1; written <= bytes.len; written++) {
        while (written > ends[frame]) {
            frame++;
        }
        wrong += written + car_ws_frame_rest(bytes.data, bytes.len, written) != ends[frame];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    car_buf_free(&bytes);
}

int main(void) {
    static const struct car_test tests[] = {{"the rest of a frame, at every byte", test_every_byte}};
    return car_suite_main("ws_rest", tests, sizeof tests / sizeof *tests);
}
