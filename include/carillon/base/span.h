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

/* A span over a string literal. */
#define CAR_SPAN(lit) ((struct car_span){.ptr = (lit), .len = sizeof(lit) - 1})

static inline struct car_span car_span_of(const char *ptr, size_t len) {
    return (struct car_span){.ptr = ptr, .len = len};
}

static inline struct car_span car_span_cstr(const char *text) {
    return (struct car_span){.ptr = text, .len = text ? strlen(text) : 0};
}

static inline bool car_span_eq(struct car_span a, struct car_span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Equality without regard to ASCII case. */
bool car_span_ieq(struct car_span a, struct car_span b);

/* The span without spaces and tabs at its ends. */
struct car_span car_span_trim(struct car_span s);

/* Takes the part before the next `sep` off the front of *rest (all of it where there is none) and advances *rest past
 * the separator. false once *rest is used up: `while (car_span_next(&rest, ',', &item))`. An empty input has no part.
 */
bool car_span_next(struct car_span *rest, char sep, struct car_span *part);

/* A decimal number of 1 to 20 digits, no sign, no blanks, at most `max`. CAR_EINVAL otherwise. */
int car_span_u64(struct car_span s, uint64_t max, uint64_t *out);

#endif
