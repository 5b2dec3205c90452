#ifndef CARILLON_PROTO_JSON_H
#define CARILLON_PROTO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * JSON (RFC 8259) without a tree: a value is a borrowed piece of the text it was read from, validated once and handed
 * on as bytes. Strict: UTF-8 only, no BOM, no lone surrogate escape, no control character inside a string, nothing
 * after the value but white space. NUL may stand in a string as \u0000.
 *
 * Nothing here recurses, so no nesting exhausts the stack. Memory is allocated only for text nested deeper than 1024
 * levels: one bit a level. All functions are pure but for what they are handed; any thread.
 */
enum car_json_kind {
    CAR_JSON_ABSENT,
    CAR_JSON_NULL,
    CAR_JSON_BOOL,
    CAR_JSON_NUMBER,
    CAR_JSON_STRING,
    CAR_JSON_ARRAY,
    CAR_JSON_OBJECT,
};

/* `raw` is the value's text, borrowed from the input and valid as long as that, quotes and brackets included, without
 * white space at its ends; `depth` its levels of nesting: 0 for a scalar, 1 for {} and []. Absent: {ABSENT, {NULL, 0},
 * 0}, which is what zero-initialising gives. */
struct car_json_value {
    enum car_json_kind kind;
    struct car_span raw;
    unsigned depth;
};

/* A member that car_json_pick is asked for: the caller sets `name` (decoded UTF-8, NUL-terminated), the call fills
 * `value` whatever was in it. */
struct car_json_member {
    const char *name;
    struct car_json_value value;
};

/*
 * Validates the whole of `text` as exactly one JSON value with optional white space around it. Where that is an object,
 * fills the members of its top level that are asked for; a name that is repeated yields its last value, names are
 * compared decoded ("\u0061" is "a"), and a wanted name that is not there is ABSENT. Linear in the text's length, times
 * `count` for the names.
 *
 * `whole` (may be NULL) receives the value itself; `wanted` may be NULL where `count` is 0. After an error every wanted
 * member and *whole are ABSENT.
 *
 * 0; CAR_EPROTO where the text is not JSON; CAR_ENOMEM where nesting beyond 1024 levels found no memory. Depth is no
 * error here: a caller with a limit compares value.depth.
 */
int car_json_pick(struct car_span text, struct car_json_member *wanted, size_t count, struct car_json_value *whole);

/*
 * Iterates over the elements of an array: *rest starts as the `raw` of a validated ARRAY value, and is the iterator's
 * own from then on. false after the last element, *element is then ABSENT:
 *     struct car_span rest = value.raw;
 *     while (car_json_next(&rest, &element)) …
 */
bool car_json_next(struct car_span *rest, struct car_json_value *element);

/* Whether the text begins as an array does, behind white space; then *rest is what car_json_step goes on with. */
bool car_json_is_array(struct car_span text, struct car_span *rest);

/*
 * Validates an array and reads its elements in one go each, so that a long one is read piece by piece, with time for
 * others in between: *rest is car_json_is_array's, and the iterator's own from then on. Each call does with one element
 * what car_json_pick does with a text: what comes behind it has not been looked at.
 *
 * 0 and *element; CAR_ENOENT behind the last one, where the whole text has turned out to be one valid array and nothing
 * but white space around it; CAR_EPROTO where it is none; CAR_ENOMEM. There is no step after one that is not 0.
 */
int car_json_step(struct car_span *rest, struct car_json_member *wanted, size_t count, struct car_json_value *element);

/* The number of Unicode characters of a validated string literal (quotes included in `raw`); an escaped surrogate pair
 * is one. */
size_t car_json_string_chars(struct car_span raw);

/* Appends the text that a validated string literal stands for, as UTF-8 (it may contain NUL). CAR_ENOMEM where `out`
 * has failed; never more bytes than the literal has. */
int car_json_string_decode(struct car_span raw, struct car_buf *out);

/* A number written as an integer, without sign, fraction and exponent, at most `max`. CAR_EINVAL for anything else,
 * ABSENT included. */
int car_json_u64(const struct car_json_value *v, uint64_t max, uint64_t *out);

/*
 * Appends `utf8` as a string literal with its quotes. Escaped: the quote, the backslash, control characters (\b \f \n
 * \r \t, the others as \u00XX), and < > & U+2028 U+2029 as \u00XX and \u20XX, so that the output is harmless inside
 * HTML and JavaScript. Hexadecimal digits are lower case. Bytes that are not UTF-8 become \ufffd, one for each.
 */
void car_json_write_string(struct car_buf *out, struct car_span utf8);

/*
 * Appends a validated JSON value without the white space outside its strings and with < > & U+2028 U+2029 inside them
 * escaped as above. Everything else stays byte for byte: numbers, escapes and the order of members as they were sent.
 */
void car_json_rewrite(struct car_buf *out, struct car_span raw);

/* The exact length of what car_json_rewrite appends, so that a caller can allocate once. */
size_t car_json_rewritten_len(struct car_span raw);

/* As car_json_rewrite, to memory with room for car_json_rewritten_len(raw) bytes. Returns the end of what it wrote. */
char *car_json_rewrite_to(char *dst, struct car_span raw);

#endif
