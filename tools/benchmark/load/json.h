#ifndef CARILLON_LOAD_JSON_H
#define CARILLON_LOAD_JSON_H

#include <stdbool.h>
#include <stdint.h>

/* Writes one JSON document to stdout, in the order of the calls. A key is NULL inside of an array and at the top. */
struct json {
    bool begun; /* something stands before, at this level */
};

void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *text);
void json_count(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* null where the value is no finite number. */
void json_number(struct json *json, const char *key, double value);

#endif
