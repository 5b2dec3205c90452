#ifndef CARILLON_RUNTIME_WHEEL_H
#define CARILLON_RUNTIME_WHEEL_H

#include "carillon/runtime/timer.h"

/* car_wheel_new with the number of slots (a power of two) to choose: a small wheel lets a test see many rounds. */
struct car_wheel *car_wheel_new_sized(uv_loop_t *loop, unsigned slots);

#endif
