#include "http.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define VERSION     "HTTP/1.1 "
#define VERSION_LEN (sizeof VERSION - 1)

/* The value where the line is the header of that name (in lower case), else NULL. */
static const char *value_of(const char *line, const char *end, const char *name) {
    size_t len = strlen(name);
    /* The colon stands elsewhere in almost all of the others: it is looked at first. */
    if ((size_t)(end - line) <= len || line[len] != ':' || strncasecmp(line, name, len) != 0) {
        return NULL;
    }
    for (line += len + 1; line < end && *line == ' '; line++) {
    }
    return line;
}

/* The number that the text begins with: 0 where it begins with none, SIZE_MAX / 4 where that is too large. */
static size_t number_read(const char *at, const char *end, unsigned base, const char **after) {
    size_t number = 0;
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        unsigned digit = c <= '9' ? c - 0u - '0' : (c | 0x20u) - 'a' + 10;
        if (digit >= base) {
            break;
        }
        number = number < SIZE_MAX / 64 ? number * base + digit : SIZE_MAX / 4;
    }
    *after = at;
    return number;
}

static enum reading status_read(const char *line, const char *end, struct http_head *head) {
    if ((size_t)(end - line) < VERSION_LEN || memcmp(line, VERSION, VERSION_LEN) != 0) {
        return READING_BROKEN;
    }
    head->status = (unsigned)number_read(line + VERSION_LEN, end, 10, &line);
    return head->status >= 100 && head->status < 600 ? READING_WHOLE : READING_BROKEN;
}

/* The two headers that say where the response ends, and no other. */
static void framing_read(const char *line, const char *end, struct http_head *head) {
    const char *length = value_of(line, end, "content-length");
    const char *after;
    if (length) {
        head->length = number_read(length, end, 10, &after);
    } else if (value_of(line, end, "transfer-encoding")) {
        head->chunked = true;
    }
}

enum reading http_head_read(const char *data, size_t len, struct http_head *head) {
    *head = (struct http_head){0};
    const char *end = data + len;
    const char *line = data;
    const char *feed;
    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        if (line == data) {
            if (status_read(line, feed, head) == READING_BROKEN) {
                return READING_BROKEN;
            }
        } else if (feed - line <= 1) {
            head->size = (size_t)(feed + 1 - data);
            return READING_WHOLE;
        } else {
            framing_read(line, feed, head);
        }
        line = feed + 1;
    }
    return READING_MORE;
}

bool http_head_has(const char *data, const struct http_head *head, const char *name, const char *value) {
    const char *end = data + head->size;
    const char *feed;
    for (const char *line = data; (feed = memchr(line, '\n', (size_t)(end - line))); line = feed + 1) {
        const char *found = value_of(line, feed, name);
        size_t len = strlen(value);
        if (found && (size_t)(feed - found) > len && strncasecmp(found, value, len) == 0 &&
            (found[len] == '\r' || found[len] == ';')) {
            return true;
        }
    }
    return false;
}

/* The length of a chunked body with its sizes and its end. */
static enum reading chunks_read(const char *data, size_t len, size_t *size) {
    const char *end = data + len;
    const char *line = data;
    const char *feed;
    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        const char *after;
        size_t chunk = number_read(line, feed, 16, &after);
        if (after == line) {
            return READING_BROKEN;
        }
        /* The line feed after the data, or, of the last chunk, the empty line: trailers are nobody's here. */
        if ((size_t)(end - feed) < chunk + 3) {
            return READING_MORE;
        }
        line = feed + 1 + chunk + 2;
        if (chunk == 0) {
            *size = (size_t)(line - data);
            return line[-1] == '\n' ? READING_WHOLE : READING_BROKEN;
        }
    }
    return READING_MORE;
}

enum reading http_response_read(const char *data, size_t len, struct http_head *head, size_t *size) {
    enum reading reading = http_head_read(data, len, head);
    if (reading != READING_WHOLE) {
        return reading;
    }
    size_t body = head->length;
    if (head->status == 204 || head->status == 304 || head->status < 200) {
        body = 0;
    } else if (head->chunked && (reading = chunks_read(data + head->size, len - head->size, &body)) != READING_WHOLE) {
        return reading;
    }
    *size = head->size + body;
    return *size <= len ? READING_WHOLE : READING_MORE;
}
