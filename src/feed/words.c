#include "carillon/feed/words.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>
#include <wctype.h>

#include "carillon/feed/event.h"
#include "carillon/proto/json.h"

#define PREFIX '*'

/* Unicode's letters and their cases, as the C library has them. Made once, never freed. */
static pthread_once_t scripts_once = PTHREAD_ONCE_INIT;
static locale_t scripts;

static void open_scripts(void) {
    scripts = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* A character of valid UTF-8; *at goes behind it. */
static wint_t next_char(struct car_span text, size_t *at) {
    unsigned char first = (unsigned char)text.ptr[(*at)++];
    unsigned more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    wint_t c = first < 0x80 ? first : first & (0x3fu >> more);
    for (; more && *at < text.len; more--) {
        c = c << 6 | ((unsigned char)text.ptr[(*at)++] & 0x3f);
    }
    return c;
}

static size_t put_char(wint_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)((0xf00u >> len & 0xf0) | c);
    return len;
}

/* A letter or digit, in lower case, and the same one for all that have one upper case; 0 for anything else. */
static wint_t fold(wint_t c) {
    if (c < 0x80) {
        bool small = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        return small ? c : c >= 'A' && c <= 'Z' ? c | 0x20 : 0;
    }
    pthread_once(&scripts_once, open_scripts);
    if (!scripts) {
        return c;
    }
    return iswalnum_l(c, scripts) ? towlower_l(towupper_l(c, scripts), scripts) : 0;
}

/* Splits valid UTF-8. `asked`: a star behind a word belongs to it. */
static void split(struct car_span text, bool asked, struct car_buf *out) {
    size_t start = out->len;
    for (size_t at = 0; at < text.len;) {
        char bytes[4];
        wint_t raw = next_char(text, &at);
        wint_t c = fold(raw);
        size_t len = c ? put_char(c, bytes) : 0;
        if (len && out->len - start + len <= CAR_WORD_MAX) {
            car_buf_put(out, bytes, len);
        } else if (!c && out->len > start) {
            if (asked && raw == PREFIX) {
                car_buf_char(out, PREFIX);
            }
            car_buf_char(out, '\0');
            start = out->len;
        }
    }
    if (out->len > start) {
        car_buf_char(out, '\0');
    }
}

/* A literal of a validated JSON text. */
static void split_literal(struct car_span literal, struct car_buf *out) {
    struct car_span inside = car_span_of(literal.ptr + 1, literal.len - 2);
    struct car_buf decoded = CAR_BUF_INIT;
    if (memchr(inside.ptr, '\\', inside.len)) {
        (void)car_json_string_decode(literal, &decoded);
        inside = car_buf_view(&decoded);
    }
    split(inside, false, out);
    car_buf_free(&decoded);
}

/* All that a validated JSON value holds. */
static void split_json(struct car_span raw, struct car_buf *out) {
    for (size_t at = 0; at < raw.len;) {
        size_t end = at;
        if (raw.ptr[at] == '"') {
            for (end++; raw.ptr[end] != '"'; end++) {
                end += raw.ptr[end] == '\\';
            }
            end++;
            split_literal(car_span_of(raw.ptr + at, end - at), out);
        } else {
            while (end < raw.len && raw.ptr[end] != '"') {
                end++;
            }
            split(car_span_of(raw.ptr + at, end - at), false, out);
        }
        at = end;
    }
}

void car_words_of(const struct car_event *event, struct car_buf *out) {
    struct car_json_member members[] = {{.name = "message"}, {.name = "metadata"}};
    if (car_json_pick(car_event_json(event), members, 2, NULL) == 0) {
        split_json(members[0].value.raw, out);
        split_json(members[1].value.raw, out);
    }
}

void car_words_asked(struct car_span text, struct car_buf *out) {
    split(text, true, out);
}

bool car_words_next(struct car_span *rest, struct car_span *word) {
    if (rest->len == 0) {
        return false;
    }
    *word = car_span_cstr(rest->ptr);
    *rest = car_span_of(rest->ptr + word->len + 1, rest->len - word->len - 1);
    return true;
}

static bool answers(struct car_span word, struct car_span asked) {
    bool prefix = asked.len && asked.ptr[asked.len - 1] == PREFIX;
    size_t len = asked.len - prefix;
    return (word.len == len || (prefix && word.len > len)) &&
           car_span_eq(car_span_of(word.ptr, len), car_span_of(asked.ptr, len));
}

bool car_words_have(struct car_span words, struct car_span asked) {
    struct car_span word;
    while (car_words_next(&words, &word)) {
        if (answers(word, asked)) {
            return true;
        }
    }
    return false;
}
