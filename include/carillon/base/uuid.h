#ifndef CARILLON_BASE_UUID_H
#define CARILLON_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/span.h"

#define CAR_UUID_TEXT 36 /* characters of the textual form, without a NUL */

/* 128 bits (RFC 9562). */
struct car_uuid {
    uint8_t bytes[16];
};

/* A random (version 4) UUID. Random bytes come from libcrypto in blocks kept for each thread. Any thread. */
void car_uuid_make(struct car_uuid *out);

/* Writes exactly CAR_UUID_TEXT lower-case characters, no NUL. */
void car_uuid_write(const struct car_uuid *id, char *out);

/* Reads the 8-4-4-4-12 form, either case. CAR_EINVAL otherwise. */
int car_uuid_read(struct car_span text, struct car_uuid *out);

#endif
