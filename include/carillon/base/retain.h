#ifndef CARILLON_BASE_RETAIN_H
#define CARILLON_BASE_RETAIN_H

#include <stdint.h>

#include "carillon/base/span.h"

/* Reads what is kept of a tenant's events, "AGE/COUNT": a duration and a number, either of which may be left out, and
 * is then 0. NULL; or what is wrong with it, static, to follow the text in a sentence. Any thread. */
const char *car_retain_read(struct car_span text, uint64_t *ms, uint64_t *count);

#endif
