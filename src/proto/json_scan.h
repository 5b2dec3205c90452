#ifndef CARILLON_SRC_PROTO_JSON_SCAN_H
#define CARILLON_SRC_PROTO_JSON_SCAN_H

#include <stdbool.h>

#include "carillon/proto/json.h"

/* Validates the string literal at `p`, which starts with its opening quote. Returns its end, NULL where it is none;
 * *escaped tells whether there is an escape in it. */
const char *json_scan_string(const char *p, const char *end, bool *escaped);

/* Validates the one value that starts at *p, without white space before it; fills *value and moves *p to its end.
 * CAR_EPROTO, CAR_ENOMEM. */
int json_scan_value(const char **p, const char *end, struct car_json_value *value);

#endif
