#ifndef CARILLON_LOAD_BYTES_H
#define CARILLON_LOAD_BYTES_H

#include <stddef.h>

/* Bytes that grow at the end and leave at the front. Starts as zeros; memory is kept for the next use. Running out of
 * memory ends the process. */
struct bytes {
    char *data;
    size_t len, capacity;
};

/* Room for `len` more bytes, which become part of it when the caller adds them to bytes->len. */
char *bytes_room(struct bytes *bytes, size_t len);
void bytes_put(struct bytes *bytes, const void *data, size_t len);
void bytes_text(struct bytes *bytes, const char *text);
__attribute__((format(printf, 2, 3))) void bytes_print(struct bytes *bytes, const char *format, ...);

/* Removes `len` bytes from the front. */
void bytes_drop(struct bytes *bytes, size_t len);
void bytes_free(struct bytes *bytes);

/* Zeroed memory, or the end of the process. */
void *memory_zeroed(size_t count, size_t size);

#endif
