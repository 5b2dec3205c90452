#include "carillon/runtime/turn.h"

#include "carillon/base/clock.h"

static _Thread_local uint64_t marked_us;
static _Thread_local uint64_t first_us; /* of this turn */

uint64_t car_turn_mark(void) {
    marked_us = car_clock_mono_us();
    if (first_us == 0) {
        first_us = marked_us;
    }
    return marked_us;
}

uint64_t car_turn_us(void) {
    return marked_us;
}

struct car_turn car_turn_end(void) {
    struct car_turn turn = {.began_us = first_us};
    if (first_us) {
        turn.ended_us = car_clock_mono_us();
        first_us = 0;
    }
    return turn;
}
