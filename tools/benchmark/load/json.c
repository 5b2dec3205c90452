#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void put_string(const char *text) {
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < ' ' || c > '~') {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void begin(struct json *json, const char *key) {
    if (json->begun) {
        putchar(',');
    }
    json->begun = true;
    if (key) {
        put_string(key);
        putchar(':');
    }
}

void json_open(struct json *json, const char *key, char bracket) {
    begin(json, key);
    putchar(bracket);
    json->begun = false;
}

void json_close(struct json *json, char bracket) {
    putchar(bracket);
    json->begun = true;
}

void json_text(struct json *json, const char *key, const char *text) {
    begin(json, key);
    put_string(text);
}

void json_count(struct json *json, const char *key, uint64_t value) {
    begin(json, key);
    printf("%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value) {
    begin(json, key);
    printf("%" PRId64, value);
}

void json_bool(struct json *json, const char *key, bool value) {
    begin(json, key);
    fputs(value ? "true" : "false", stdout);
}

void json_null(struct json *json, const char *key) {
    begin(json, key);
    fputs("null", stdout);
}

void json_number(struct json *json, const char *key, double value) {
    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    begin(json, key);
    printf("%.10g", value);
}
