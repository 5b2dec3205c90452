#ifndef CARILLON_BASE_SPAN_H
#define CARILLON_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes: never owned, never NUL-terminated by contract. {NULL, 0} is the absent span. Whoever hands one out
 * says how long it lives. */
struct car_span {
    const char *ptr;
    size_t len;
};

/* A span over a string literal, and the same as the initializer of a constant. */
#define CAR_SPAN(lit) ((struct car_span)CAR_SPAN_INIT(lit))
#define CAR_SPAN_INIT(lit)                                                                                             \
    { .ptr = (lit), .len = sizeof(lit) - 1 }

static inline struct car_span car_span_of(const char *ptr, size_t len) {
    return (struct car_span){.ptr = ptr, .len = len};
}

static inline struct car_span car_span_cstr(const char *text) {
    return (struct car_span){.ptr = text, .len = text ? strlen(text) : 0};
}

static inline bool car_span_eq(struct car_span a, struct car_span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Equality without regard to ASCII case, of texts of the same length. */
bool car_span_folded_eq(const char *a, const char *b, size_t len);

/* Equality without regard to ASCII case. Most texts that differ do so in their length or first byte. */
static inline bool car_span_ieq(struct car_span a, struct car_span b) {
    if (a.len != b.len || a.len == 0) {
        return a.len == b.len;
    }
    return ((a.ptr[0] ^ b.ptr[0]) & ~0x20) == 0 && car_span_folded_eq(a.ptr, b.ptr, a.len);
}

/* The part of car_span_trim that takes something off. */
struct car_span car_span_trim_blanks(struct car_span s);

/* The span without spaces and tabs at its ends. */
static inline struct car_span car_span_trim(struct car_span s) {
    bool clean = s.len == 0 || ((unsigned char)s.ptr[0] > ' ' && (unsigned char)s.ptr[s.len - 1] > ' ');
    return clean ? s : car_span_trim_blanks(s);
}

/* Takes the part before the next `sep` off the front of *rest (all of it where there is none) and advances *rest past
 * the separator. false once *rest is used up: `while (car_span_next(&rest, ',', &item))`. An empty input has no part.
 */
bool car_span_next(struct car_span *rest, char sep, struct car_span *part);

/* A decimal number of 1 to 20 digits, no sign, no blanks, at most `max`. CAR_EINVAL otherwise. */
int car_span_u64(struct car_span s, uint64_t max, uint64_t *out);

#endif
