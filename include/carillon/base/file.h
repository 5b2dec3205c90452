#ifndef CARILLON_BASE_FILE_H
#define CARILLON_BASE_FILE_H

#include <stddef.h>

#include "carillon/base/buf.h"

/* Appends all that the file has, which is `max` bytes at most: what keeps a wrong path (/dev/zero) from filling the
 * memory. 0; CAR_ESYS (errno says why), CAR_ETOOBIG, CAR_ENOMEM. May block. */
int car_file_read(const char *path, size_t max, struct car_buf *out);

#endif
