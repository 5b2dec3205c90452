#include "json_scan.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "json_chars.h"

enum { LEVELS_AT_HAND = 1024, LEVELS_A_WORD = 64 };

/* Which of the open brackets are braces: one bit a level, the outermost first. */
struct levels {
    uint64_t at_hand[LEVELS_AT_HAND / LEVELS_A_WORD];
    uint64_t *words;
    size_t cap; /* levels that `words` has room for */
    size_t depth;
    size_t deepest;
};

static int grow(struct levels *l) {
    bool first = l->words == l->at_hand;
    size_t bytes = l->cap / LEVELS_A_WORD * sizeof *l->words;
    uint64_t *words = realloc(first ? NULL : l->words, bytes * 2);
    if (!words) {
        return CAR_ENOMEM;
    }
    if (first) {
        memcpy(words, l->at_hand, bytes);
    }
    l->words = words;
    l->cap *= 2;
    return CAR_OK;
}

static inline int push(struct levels *l, bool brace) {
    if (l->depth == l->cap && grow(l) != CAR_OK) {
        return CAR_ENOMEM;
    }
    uint64_t *word = &l->words[l->depth / LEVELS_A_WORD];
    unsigned bit = (unsigned)(l->depth % LEVELS_A_WORD);
    uint64_t below = bit ? *word & (UINT64_MAX >> (LEVELS_A_WORD - bit)) : 0;
    *word = below | (uint64_t)brace << bit;
    l->depth++;
    if (l->depth > l->deepest) {
        l->deepest = l->depth;
    }
    return CAR_OK;
}

static inline bool top_is_brace(const struct levels *l) {
    size_t at = l->depth - 1;
    return l->words[at / LEVELS_A_WORD] >> (at % LEVELS_A_WORD) & 1;
}

/* `p` stands behind the backslash. */
static const char *scan_escape(const char *p, const char *end) {
    if (p == end) {
        return NULL;
    }
    switch (*p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        break;
    default:
        return NULL;
    }
    int unit = json_hex4(p + 1, end);
    p += 5;
    if (unit < 0 || json_is_low_surrogate(unit)) {
        return NULL;
    }
    if (!json_is_high_surrogate(unit)) {
        return p;
    }
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !json_is_low_surrogate(json_hex4(p + 2, end))) {
        return NULL;
    }
    return p + 6;
}

const char *json_scan_string(const char *p, const char *end, bool *escaped) {
    *escaped = false;
    p++;
    for (;;) {
        p = car_bytes16_find(p, end, json_no_plain);
        if (p == end) {
            return NULL;
        }
        if (*p == '"') {
            return p + 1;
        }
        if (*p == '\\') {
            *escaped = true;
            p = scan_escape(p + 1, end);
            if (!p) {
                return NULL;
            }
            continue;
        }
        while (p < end && (unsigned char)*p >= 0x80) {
            unsigned len = json_wide_len(p, end);
            if (len == 0) {
                return NULL;
            }
            p += len;
        }
        if (p < end && (unsigned char)*p < 0x20) {
            return NULL;
        }
    }
}

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* One digit at least. */
static const char *scan_digits(const char *p, const char *end) {
    if (p == end || !is_digit(*p)) {
        return NULL;
    }
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p;
}

/* RFC 8259, section 6. */
static const char *scan_number(const char *p, const char *end) {
    if (*p == '-') {
        p++;
    }
    if (p < end && *p == '0') {
        p++;
    } else {
        p = scan_digits(p, end);
    }
    if (p && p < end && *p == '.') {
        p = scan_digits(p + 1, end);
    }
    if (p && p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        p = scan_digits(p, end);
    }
    return p;
}

static const char *scan_word(const char *p, const char *end, const char *word, size_t len) {
    return (size_t)(end - p) >= len && memcmp(p, word, len) == 0 ? p + len : NULL;
}

/* `p` is before `end`. NULL where no scalar starts there. */
static inline const char *scan_scalar(const char *p, const char *end, enum car_json_kind *kind) {
    bool escaped;
    switch (*p) {
    case '"':
        *kind = CAR_JSON_STRING;
        return json_scan_string(p, end, &escaped);
    case 't':
        *kind = CAR_JSON_BOOL;
        return scan_word(p, end, "true", 4);
    case 'f':
        *kind = CAR_JSON_BOOL;
        return scan_word(p, end, "false", 5);
    case 'n':
        *kind = CAR_JSON_NULL;
        return scan_word(p, end, "null", 4);
    default:
        *kind = CAR_JSON_NUMBER;
        return scan_number(p, end);
    }
}

/* A member's name and the colon, up to where its value starts. */
static const char *scan_name(const char *p, const char *end) {
    bool escaped;
    if (p == end || *p != '"') {
        return NULL;
    }
    p = json_scan_string(p, end, &escaped);
    if (!p) {
        return NULL;
    }
    p = json_skip_space(p, end);
    return p < end && *p == ':' ? json_skip_space(p + 1, end) : NULL;
}

/* Moves behind a value over the brackets that close there, to where the next value starts; *p is then before that, or
 * behind everything with l->depth 0. */
static bool scan_behind(const char **p, const char *end, struct levels *l) {
    while (l->depth > 0) {
        const char *at = json_skip_space(*p, end);
        if (at == end) {
            return false;
        }
        bool brace = top_is_brace(l);
        if (*at == ',') {
            at = json_skip_space(at + 1, end);
            *p = brace ? scan_name(at, end) : at;
            return *p && *p < end;
        }
        if (*at != (brace ? '}' : ']')) {
            return false;
        }
        l->depth--;
        *p = at + 1;
    }
    return true;
}

/* An array or object: `*p` stands on its bracket. */
static int scan_nested(const char **p, const char *end, struct levels *l) {
    const char *at = *p;
    do {
        if (*at == '[' || *at == '{') {
            bool brace = *at == '{';
            if (push(l, brace) != CAR_OK) {
                return CAR_ENOMEM;
            }
            at = json_skip_space(at + 1, end);
            if (at < end && *at != (brace ? '}' : ']')) {
                at = brace ? scan_name(at, end) : at;
                if (!at || at == end) {
                    return CAR_EPROTO;
                }
                continue;
            }
        } else {
            enum car_json_kind kind;
            at = scan_scalar(at, end, &kind);
            if (!at) {
                return CAR_EPROTO;
            }
        }
        if (!scan_behind(&at, end, l)) {
            return CAR_EPROTO;
        }
    } while (l->depth > 0);
    *p = at;
    return CAR_OK;
}

/* Apart from json_scan_value, so that a scalar does not pay for the levels' room on the stack. */
static __attribute__((noinline)) int scan_container(const char **p, const char *end, struct car_json_value *value) {
    struct levels l;
    l.words = l.at_hand;
    l.cap = LEVELS_AT_HAND;
    l.depth = 0;
    l.deepest = 0;
    value->kind = **p == '[' ? CAR_JSON_ARRAY : CAR_JSON_OBJECT;
    int err = scan_nested(p, end, &l);
    if (l.words != l.at_hand) {
        free(l.words);
    }
    value->depth = l.deepest < UINT32_MAX ? (unsigned)l.deepest : UINT32_MAX;
    return err;
}

int json_scan_value(const char **p, const char *end, struct car_json_value *value) {
    const char *begin = *p;
    if (begin == end) {
        return CAR_EPROTO;
    }
    if (*begin == '[' || *begin == '{') {
        int err = scan_container(p, end, value);
        if (err != CAR_OK) {
            return err;
        }
    } else {
        value->depth = 0;
        *p = scan_scalar(begin, end, &value->kind);
        if (!*p) {
            return CAR_EPROTO;
        }
    }
    value->raw = car_span_of(begin, (size_t)(*p - begin));
    return CAR_OK;
}
