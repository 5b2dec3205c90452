#ifndef CARILLON_APP_FLAGS_TABLE_H
#define CARILLON_APP_FLAGS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/config.h"
#include "carillon/base/options.h"

/* What flags there are, of one value each. What ties them to one another, and to the machine, is said in flags.c. */

/* Where the table's rows put their values: the configuration, and what is asked for instead of serving. */
struct car_flags {
    struct car_config config;
    int show; /* CAR_FLAGS_HELP or _VERSION, or 0 */
    bool check;
};

#define CAR_FLAGS_THREADS_MAX 1024

/* What --max-memory is until it is known that nobody has set it; more than there is. */
#define CAR_FLAGS_MEMORY_UNSET (UINT64_C(1) << 53)

/* Immutable. Its rows' places are in a struct car_flags. */
extern const struct car_options CAR_FLAGS;

#endif
