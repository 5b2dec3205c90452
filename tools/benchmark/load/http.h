#ifndef CARILLON_LOAD_HTTP_H
#define CARILLON_LOAD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* How far a reader of a stream has come: a whole unit is there, or more is needed, or it is none at all. */
enum reading { READING_WHOLE, READING_MORE, READING_BROKEN };

struct http_head {
    unsigned status;
    size_t size; /* up to and with the empty line */
    size_t length;
    bool chunked;
};

/* Reads the head of a response. */
enum reading http_head_read(const char *data, size_t len, struct http_head *head);

/* Reads a response whole; *size is its length with all that belongs to it. */
enum reading http_response_read(const char *data, size_t len, struct http_head *head, size_t *size);

/* Whether the head has a line with that name (in lower case) and value; parameters may follow the value. */
bool http_head_has(const char *data, const struct http_head *head, const char *name, const char *value);

#endif
