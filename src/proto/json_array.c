#include "carillon/proto/json.h"
#include "json_chars.h"

/* Everything here walks text that has been validated, so it looks at quotes and brackets only; it stays inside the text
 * even where that was not so. */

/* `p` stands on the opening quote. */
static const char *skip_string(const char *p, const char *end) {
    p = car_bytes16_find(p + 1, end, json_delimiter);
    while (p < end && *p == '\\') {
        p += end - p >= 2 ? 2 : 1;
        p = car_bytes16_find(p, end, json_delimiter);
    }
    return p < end ? p + 1 : end;
}

static const char *skip_nested(const char *p, const char *end, unsigned *deepest) {
    size_t depth = 0;
    size_t most = 0;
    do {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            continue;
        case '[':
        case '{':
            depth++;
            most = depth > most ? depth : most;
            break;
        case ']':
        case '}':
            depth--;
            break;
        default:
            break;
        }
        p++;
    } while (p < end && depth > 0);
    *deepest = most < UINT32_MAX ? (unsigned)most : UINT32_MAX;
    return p;
}

/* A number or a literal name. */
static const char *skip_bare(const char *p, const char *end) {
    while (p < end && *p != ',' && *p != ']' && *p != '}' && !json_is_space(*p)) {
        p++;
    }
    return p;
}

static enum car_json_kind kind_at(const char *p) {
    switch (*p) {
    case '"':
        return CAR_JSON_STRING;
    case '[':
        return CAR_JSON_ARRAY;
    case '{':
        return CAR_JSON_OBJECT;
    case 't':
    case 'f':
        return CAR_JSON_BOOL;
    case 'n':
        return CAR_JSON_NULL;
    default:
        return CAR_JSON_NUMBER;
    }
}

/*
 * What *rest starts with tells where the iteration is: the bracket of the array at its start, then, after each element,
 * the comma or the closing bracket behind it, and nothing at its end.
 */
bool car_json_next(struct car_span *rest, struct car_json_value *element) {
    *element = (struct car_json_value){.kind = CAR_JSON_ABSENT};
    if (rest->len < 2) {
        *rest = car_span_of(NULL, 0);
        return false;
    }
    const char *end = rest->ptr + rest->len;
    const char *p = json_skip_space(rest->ptr + 1, end);
    if (rest->ptr[0] == ']' || p == end || *p == ']') {
        *rest = car_span_of(NULL, 0);
        return false;
    }
    const char *begin = p;
    element->kind = kind_at(begin);
    if (element->kind == CAR_JSON_STRING) {
        p = skip_string(p, end);
    } else if (element->kind == CAR_JSON_ARRAY || element->kind == CAR_JSON_OBJECT) {
        p = skip_nested(p, end, &element->depth);
    } else {
        p = skip_bare(p, end);
    }
    element->raw = car_span_of(begin, (size_t)(p - begin));
    p = json_skip_space(p, end);
    *rest = car_span_of(p, (size_t)(end - p));
    return true;
}
