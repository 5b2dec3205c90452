#include "event.h"

#include <string.h>

#include "load.h"

/* One more could be too much. */
#define NUMBER_DIGITS_MAX 19

/* Takes the digits that the text begins with; *number is UINT64_MAX where there are none or too many. */
static inline const char *digits(const char *at, const char *end, uint64_t *number) {
    const char *start = at;
    uint64_t value = 0;
    for (; at < end && (unsigned char)(*at - '0') < 10; at++) {
        value = value * 10 + (unsigned char)(*at - '0');
    }
    *number = at > start && at - start <= NUMBER_DIGITS_MAX ? value : UINT64_MAX;
    return at;
}

uint64_t number_read(const char *text, size_t len) {
    uint64_t number = UINT64_MAX;
    return len > 0 && digits(text, text + len, &number) == text + len ? number : UINT64_MAX;
}

/* Inline, for the compiler to compare texts whose length it knows. */
__attribute__((always_inline)) static inline bool skip(const char **at, const char *end, const char *text, size_t len) {
    if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0) {
        return false;
    }
    *at += len;
    return true;
}

#define SKIP(at, end, text) skip((at), (end), (text), sizeof(text) - 1)

/* Everything up to the message. */
static inline bool head_read(const char **text, const char *end, struct event *event) {
    const char *at = *text;
    if (!SKIP(&at, end, "{\"id\":\"") || !(at = memchr(at, '"', (size_t)(end - at))) ||
        !SKIP(&at, end, "\",\"tenant_id\":\"t")) {
        return false;
    }
    uint64_t tenant;
    at = digits(at, end, &tenant);
    if (!SKIP(&at, end, "\",\"seq\":")) {
        return false;
    }
    at = digits(at, end, &event->seq);
    event->tenant = tenant < UINT32_MAX ? (uint32_t)tenant : UINT32_MAX;
    *text = at;
    return SKIP(text, end, ",\"type\":\"message\",\"message\":\"");
}

bool event_read(const struct load *load, const char *text, size_t len, struct event *event) {
    const char *at = text;
    const char *end = text + len;
    bool bare = load->dialect->bare;
    if (!bare && !head_read(&at, end, event)) {
        return false;
    }
    if (end - at < MARKER_SIZE || !marker_read(at, &event->marker)) {
        return false;
    }
    const char *padding = at + MARKER_SIZE;
    size_t rest = (size_t)(end - padding);
    event->intact =
        (bare ? rest == load->padding_len : rest > load->padding_len && padding[load->padding_len] == '"') &&
        memcmp(padding, load->padding, load->padding_len) == 0;
    return true;
}
