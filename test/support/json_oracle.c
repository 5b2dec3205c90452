#include "json_oracle.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/utf8.h"
#include "carillon/proto/json.h"

enum { MOST_WANTED = 8 };

#define HOLDS(condition, text)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return (text);                                                                                             \
        }                                                                                                              \
    } while (0)

/* Integers are read as reals, since jansson's have 64 bits only. */
static json_t *load(struct car_span text, json_error_t *error) {
    return json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, error);
}

static bool has_no_opinion(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow || code == json_error_out_of_memory;
}

/* NULL where the texts of `value` and of `tree` mean the same. */
static const char *check_same(struct car_span raw, const json_t *tree, const char *otherwise) {
    json_error_t error;
    json_t *again = load(raw, &error);
    HOLDS(again, otherwise);
    bool same = json_equal(again, tree);
    json_decref(again);
    HOLDS(same, otherwise);
    return NULL;
}

static enum car_json_kind kind_of(const json_t *tree) {
    switch (json_typeof(tree)) {
    case JSON_NULL:
        return CAR_JSON_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return CAR_JSON_BOOL;
    case JSON_INTEGER:
    case JSON_REAL:
        return CAR_JSON_NUMBER;
    case JSON_STRING:
        return CAR_JSON_STRING;
    case JSON_ARRAY:
        return CAR_JSON_ARRAY;
    case JSON_OBJECT:
        return CAR_JSON_OBJECT;
    }
    return CAR_JSON_ABSENT;
}

/* The depth as a plain count of brackets, for text that is known to be JSON. */
static unsigned count_depth(struct car_span raw) {
    unsigned depth = 0;
    unsigned deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == '[' || c == '{')) {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if (!quoted && (c == ']' || c == '}')) {
            depth--;
        }
    }
    return deepest;
}

static bool is_safe(struct car_span text) {
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        const char *p = text.ptr + i;
        if (memchr("<>&", *p, 3) || (!quoted && memchr(" \t\r\n", *p, 4))) {
            return false;
        }
        if (text.len - i >= 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0)) {
            return false;
        }
        if (quoted && *p == '\\') {
            i++;
        } else if (*p == '"') {
            quoted = !quoted;
        }
    }
    return true;
}

/* What is decoded, written and decoded again stays the same, and is what jansson has. */
static const char *check_string(struct car_span raw, const json_t *tree) {
    struct car_buf text = CAR_BUF_INIT;
    struct car_buf literal = CAR_BUF_INIT;
    struct car_buf again = CAR_BUF_INIT;
    struct car_json_value value;
    const char *why = NULL;
    if (car_json_string_decode(raw, &text) != CAR_OK || !car_utf8_valid(text.data, text.len)) {
        why = "a string decodes to what is not UTF-8";
    } else if (text.len > raw.len) {
        why = "a string grows when decoded";
    } else if (car_json_string_chars(raw) != car_utf8_count(text.data, text.len)) {
        why = "a string's characters are miscounted";
    } else if (tree &&
               !car_span_eq(car_buf_view(&text), car_span_of(json_string_value(tree), json_string_length(tree)))) {
        why = "a string decodes to something else than jansson's";
    }
    car_json_write_string(&literal, car_buf_view(&text));
    if (!why && (car_json_pick(car_buf_view(&literal), NULL, 0, &value) != CAR_OK || value.kind != CAR_JSON_STRING)) {
        why = "a written string is no string";
    } else if (!why && !is_safe(car_buf_view(&literal))) {
        why = "a written string is not safe";
    } else if (!why && (car_json_string_decode(car_buf_view(&literal), &again) != CAR_OK ||
                        !car_span_eq(car_buf_view(&again), car_buf_view(&text)))) {
        why = "a written string means something else";
    }
    car_buf_free(&text);
    car_buf_free(&literal);
    car_buf_free(&again);
    return why;
}

static const char *check_rewritten(const struct car_json_value *whole, const json_t *tree, struct car_span once) {
    struct car_json_value value;
    HOLDS(once.len == car_json_rewritten_len(whole->raw), "rewritten_len differs from what rewrite writes");
    HOLDS(car_json_pick(once, NULL, 0, &value) == CAR_OK, "rewritten text is no JSON");
    HOLDS(value.kind == whole->kind && value.depth == whole->depth, "rewriting changed the kind or depth");
    HOLDS(is_safe(once), "rewritten text is not safe");
    HOLDS(car_json_rewritten_len(once) == once.len, "rewriting again changes the length");
    char *again = malloc(once.len);
    HOLDS(again, "out of memory");
    bool stable = car_json_rewrite_to(again, once) == again + once.len && memcmp(again, once.ptr, once.len) == 0;
    free(again);
    HOLDS(stable, "rewriting again changes the text");
    return tree ? check_same(once, tree, "rewritten text means something else") : NULL;
}

static const char *check_rewrite(const struct car_json_value *whole, const json_t *tree) {
    struct car_buf once = CAR_BUF_INIT;
    car_json_rewrite(&once, whole->raw);
    const char *why = check_rewritten(whole, tree, car_buf_view(&once));
    car_buf_free(&once);
    return why;
}

static const char *check_value(const struct car_json_value *value, const json_t *tree) {
    HOLDS(value->depth == count_depth(value->raw), "the depth is wrong");
    if (tree) {
        HOLDS(value->kind == kind_of(tree), "the kind is wrong");
    }
    return value->kind == CAR_JSON_STRING ? check_string(value->raw, tree) : NULL;
}

static const char *check_elements(const struct car_json_value *whole, const json_t *tree) {
    struct car_span rest = whole->raw;
    struct car_json_value element;
    size_t count = 0;
    unsigned deepest = 0;
    while (car_json_next(&rest, &element)) {
        const json_t *twin = tree ? json_array_get(tree, count) : NULL;
        HOLDS(!tree || twin, "there are more elements than jansson's");
        const char *why = check_value(&element, twin);
        if (!why && twin && count < MOST_WANTED) {
            why = check_same(element.raw, twin, "an element differs from jansson's");
        }
        HOLDS(!why, why);
        struct car_json_value alone;
        HOLDS(car_json_pick(element.raw, NULL, 0, &alone) == CAR_OK, "an element is no JSON of its own");
        HOLDS(alone.raw.len == element.raw.len && alone.kind == element.kind && alone.depth == element.depth,
              "an element alone is something else");
        deepest = element.depth > deepest ? element.depth : deepest;
        count++;
    }
    HOLDS(element.kind == CAR_JSON_ABSENT && !car_json_next(&rest, &element), "the iteration does not stay at its end");
    HOLDS(!tree || count == json_array_size(tree), "there are fewer elements than jansson's");
    HOLDS(whole->depth == deepest + 1, "the array's depth is not its elements' and one");
    return NULL;
}

static const char *check_members(struct car_span text, json_t *tree) {
    struct car_json_member wanted[MOST_WANTED] = {{.name = "not \x01 there"}};
    size_t count = 1;
    for (void *at = json_object_iter(tree); at && count < MOST_WANTED; at = json_object_iter_next(tree, at)) {
        wanted[count++].name = json_object_iter_key(at);
    }
    HOLDS(car_json_pick(text, wanted, count, NULL) == CAR_OK, "picking members changes the verdict");
    HOLDS(wanted[0].value.kind == CAR_JSON_ABSENT || json_object_get(tree, wanted[0].name),
          "a member that is not there was found");
    for (size_t i = 1; i < count; i++) {
        const json_t *twin = json_object_get(tree, wanted[i].name);
        HOLDS(wanted[i].value.kind != CAR_JSON_ABSENT, "a member was not found");
        const char *why = check_value(&wanted[i].value, twin);
        HOLDS(!why, why);
        why = check_same(wanted[i].value.raw, twin, "a member differs from jansson's");
        HOLDS(!why, why);
    }
    return NULL;
}

static const char *check_accepted(struct car_span text, const struct car_json_value *whole, json_t *tree) {
    HOLDS(whole->raw.ptr >= text.ptr && whole->raw.len > 0 && whole->raw.ptr + whole->raw.len <= text.ptr + text.len,
          "the value is not inside its text");
    const char *why = check_value(whole, tree);
    if (!why) {
        why = check_rewrite(whole, tree);
    }
    if (!why && whole->kind == CAR_JSON_ARRAY) {
        why = check_elements(whole, tree);
    }
    if (!why && whole->kind == CAR_JSON_OBJECT && tree) {
        why = check_members(text, tree);
    }
    return why;
}

/* The verdict on a text that lies alone in its memory. */
static int check_text(struct car_span text, const char **why) {
    struct car_json_value whole;
    json_error_t error;
    json_t *tree = load(text, &error);
    int err = car_json_pick(text, NULL, 0, &whole);
    *why = NULL;
    if (memchr(text.ptr, '\0', text.len)) {
        /* Never JSON; jansson drops one that comes right behind a number or a word. */
        *why = err == CAR_EPROTO ? NULL : "pick accepts a NUL";
    } else if (tree && err != CAR_OK) {
        *why = "jansson accepts what pick refuses";
    } else if (!tree && err == CAR_OK && !has_no_opinion(&error)) {
        *why = "pick accepts what jansson refuses";
    } else if (err == CAR_OK) {
        *why = check_accepted(text, &whole, tree);
    } else if (err != CAR_EPROTO || whole.kind != CAR_JSON_ABSENT) {
        *why = "a refusal is not CAR_EPROTO with no value";
    }
    json_decref(tree);
    return *why ? -1 : err == CAR_OK;
}

static void report(const char *why, struct car_span text) {
    fprintf(stderr, "json: %s: ", why);
    for (size_t i = 0; i < text.len && i < 200; i++) {
        unsigned c = (unsigned char)text.ptr[i];
        fprintf(stderr, c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    fputc('\n', stderr);
}

int json_oracle_check(const void *bytes, size_t len) {
    char *copy = calloc(len > 0 ? len : 1, 1);
    if (!copy) {
        return -1;
    }
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    struct car_span text = car_span_of(copy, len);
    const char *why;
    int verdict = check_text(text, &why);
    if (verdict < 0) {
        report(why, text);
    }
    free(copy);
    return verdict;
}
