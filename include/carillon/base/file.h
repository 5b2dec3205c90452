#ifndef CARILLON_BASE_FILE_H
#define CARILLON_BASE_FILE_H

#include <stddef.h>

#include "carillon/base/buf.h"

/* Appends all that the file has, which is `max` bytes at most: what keeps a wrong path from filling the memory.
 * A pipe or a device is not read, and not waited for. 0; CAR_ESYS (errno says why), CAR_ENOFILE, CAR_ETOOBIG,
 * CAR_ENOMEM. Blocks no longer than the disk does. */
int car_file_read(const char *path, size_t max, struct car_buf *out);

#endif
