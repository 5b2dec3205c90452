#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void) {
    fputs("carillon-load: out of memory\n", stderr);
    exit(2);
}

char *bytes_room(struct bytes *bytes, size_t len) {
    size_t needed = bytes->len + len;
    if (needed > bytes->capacity) {
        size_t capacity = bytes->capacity ? bytes->capacity : 256;
        while (capacity < needed) {
            capacity *= 2;
        }
        char *data = realloc(bytes->data, capacity);
        if (!data) {
            out_of_memory();
        }
        bytes->data = data;
        bytes->capacity = capacity;
    }
    return bytes->data + bytes->len;
}

void bytes_put(struct bytes *bytes, const void *data, size_t len) {
    if (len > 0) {
        memcpy(bytes_room(bytes, len), data, len);
        bytes->len += len;
    }
}

void bytes_text(struct bytes *bytes, const char *text) {
    bytes_put(bytes, text, strlen(text));
}

void bytes_print(struct bytes *bytes, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bytes_put(bytes, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

void bytes_drop(struct bytes *bytes, size_t len) {
    bytes->len -= len;
    if (bytes->len > 0) {
        memmove(bytes->data, bytes->data + len, bytes->len);
    }
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void *memory_zeroed(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        out_of_memory();
    }
    return memory;
}
