#include "sse.h"

#include <string.h>

enum stage { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END };

static int hex(unsigned char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of what is between the data. Returns false where it can't stand there. */
static bool between(struct sse *sse, unsigned char c) {
    int digit = hex(c);
    if (sse->stage == CHUNK_END) {
        if (c == '\n') {
            sse->stage = CHUNK_SIZE;
            sse->left = 0;
        }
        return c == '\r' || c == '\n';
    }
    if (sse->stage == CHUNK_SIZE && digit >= 0) {
        sse->left = sse->left << 4 | (unsigned)digit;
        return sse->left < UINT32_MAX;
    }
    sse->stage = CHUNK_EXTENSION;
    if (c == '\n') {
        sse->stage = CHUNK_DATA;
        return sse->left > 0; /* 0 is the end of a stream that has none */
    }
    return true;
}

enum reading sse_decode(struct sse *sse, char *data, size_t *len) {
    if (!sse->chunked) {
        return READING_WHOLE;
    }
    size_t to = sse->decoded;
    for (size_t from = to; from < *len;) {
        if (sse->stage != CHUNK_DATA) {
            if (!between(sse, (unsigned char)data[from++])) {
                return READING_BROKEN;
            }
            sse->overhead++;
            continue;
        }
        size_t part = *len - from < sse->left ? *len - from : (size_t)sse->left;
        memmove(data + to, data + from, part);
        to += part;
        from += part;
        sse->left -= part;
        if (sse->left == 0) {
            sse->stage = CHUNK_END;
        }
    }
    *len = to;
    return READING_WHOLE;
}

static bool field(const char **line, const char *end, const char *name) {
    size_t len = strlen(name);
    if ((size_t)(end - *line) <= len || memcmp(*line, name, len) != 0) {
        return false;
    }
    *line += len;
    *line += *line < end && **line == ' ';
    return true;
}

enum reading sse_event_read(const char *data, size_t len, struct sse_event *event) {
    *event = (struct sse_event){.name = "message", .name_len = strlen("message")};
    const char *end = data + len;
    const char *line = data;
    const char *feed;
    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        const char *stop = feed > line && feed[-1] == '\r' ? feed - 1 : feed;
        if (stop == line) {
            event->size = (size_t)(feed + 1 - data);
            return READING_WHOLE;
        }
        if (field(&line, stop, "data:")) {
            event->data = event->data ? event->data : line;
            event->len = (size_t)(stop - event->data);
        } else if (field(&line, stop, "event:")) {
            event->name = line;
            event->name_len = (size_t)(stop - line);
        } else if (field(&line, stop, "id:")) {
            event->id = line;
            event->id_len = (size_t)(stop - line);
        }
        line = feed + 1;
    }
    return READING_MORE;
}
