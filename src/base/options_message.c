#include "options_internal.h"

#include <assert.h>
#include <string.h>

#include "carillon/base/utf8.h"

/* A message shows this much of a value. */
enum { SHOWN_MAX = 96 };

/* Names longer than this have no neighbours. */
enum { NEAR_MAX = 40 };

void car_options_put_visible(struct car_buf *out, struct car_span text) {
    bool utf8 = car_utf8_valid(text.ptr, text.len);
    size_t len = text.len < SHOWN_MAX ? text.len : SHOWN_MAX;
    while (utf8 && len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) {
        len--; /* a character is shown whole or not at all */
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8)) {
            car_buf_printf(out, "\\x%02X", c);
        } else {
            car_buf_char(out, (char)c);
        }
    }
    if (len < text.len) {
        CAR_BUF_LIT(out, "...");
    }
}

static void put_place(struct car_buf *error, const struct car_option_place *place) {
    if (place->file) {
        car_options_put_visible(error, car_span_cstr(place->file));
        car_buf_printf(error, ":%zu: ", place->line);
    }
    car_buf_printf(error, "%s%s: ", place->prefix, place->name);
}

void car_option_put_number(struct car_buf *out, const struct car_option *row, uint64_t number) {
    static const struct {
        enum car_option_kind kind;
        uint64_t factor;
        const char *unit;
    } UNITS[] = {
        {CAR_OPTION_SIZE, UINT64_C(1) << 40, "TiB"},   {CAR_OPTION_SIZE, UINT64_C(1) << 30, "GiB"},
        {CAR_OPTION_SIZE, UINT64_C(1) << 20, "MiB"},   {CAR_OPTION_SIZE, UINT64_C(1) << 10, "KiB"},
        {CAR_OPTION_DURATION, UINT64_C(3600000), "h"}, {CAR_OPTION_DURATION, UINT64_C(60000), "m"},
        {CAR_OPTION_DURATION, UINT64_C(1000), "s"},    {CAR_OPTION_DURATION, UINT64_C(1), "ms"},
    };
    for (size_t i = 0; number > 0 && i < sizeof UNITS / sizeof *UNITS; i++) {
        if (UNITS[i].kind == row->kind && number % UNITS[i].factor == 0) {
            car_buf_u64(out, number / UNITS[i].factor);
            car_buf_put(out, UNITS[i].unit, strlen(UNITS[i].unit));
            return;
        }
    }
    car_buf_u64(out, number);
}

/* "error, warn or info", without the words that this version refuses. */
static void put_words(struct car_buf *error, const struct car_option_word *words) {
    size_t left = 0;
    for (const struct car_option_word *word = words; word->word; word++) {
        left += !word->unavailable;
    }
    for (const struct car_option_word *word = words; word->word; word++) {
        if (!word->unavailable) {
            left--;
            car_buf_printf(error, "%s%s", word->word, left == 0 ? "" : left == 1 ? " or " : ", ");
        }
    }
}

static void put_allowed(struct car_buf *error, const struct car_option *row) {
    switch (row->kind) {
    case CAR_OPTION_BOOL:
        CAR_BUF_LIT(error, "; allowed: true or false");
        break;
    case CAR_OPTION_CHOICE:
        CAR_BUF_LIT(error, "; allowed: ");
        put_words(error, row->words);
        break;
    case CAR_OPTION_INT:
    case CAR_OPTION_SIZE:
    case CAR_OPTION_DURATION:
        CAR_BUF_LIT(error, "; allowed: ");
        car_option_put_number(error, row, row->min);
        CAR_BUF_LIT(error, " to ");
        car_option_put_number(error, row, row->max);
        if (row->kind == CAR_OPTION_SIZE) {
            CAR_BUF_LIT(error, ", written like 65536, 64K or 1MiB");
        } else if (row->kind == CAR_OPTION_DURATION) {
            CAR_BUF_LIT(error, ", written like 500ms, 20s, 5m or 24h");
        }
        break;
    default:
        if (row->allowed) {
            car_buf_printf(error, "; allowed: %s", row->allowed);
        }
    }
}

int car_option_refuse(struct car_buf *error, const struct car_option *row, const struct car_option_place *place,
                      struct car_span value, const char *wrong) {
    put_place(error, place);
    if (row->secret) {
        CAR_BUF_LIT(error, "the value");
    } else {
        car_buf_char(error, '\'');
        car_options_put_visible(error, value);
        car_buf_char(error, '\'');
    }
    car_buf_printf(error, " %s", wrong);
    put_allowed(error, row);
    return row->fails ? OPTIONS_FAILS : OPTIONS_USAGE;
}

int car_option_lacks(struct car_buf *error, const struct car_option *row, const struct car_option_place *place,
                     const char *wrong) {
    put_place(error, place);
    car_buf_put(error, wrong, strlen(wrong));
    put_allowed(error, row);
    return row->fails ? OPTIONS_FAILS : OPTIONS_USAGE;
}

int car_options_no_memory(struct car_buf *error) {
    error->len = 0;
    CAR_BUF_LIT(error, "out of memory");
    return OPTIONS_UNREADABLE;
}

void car_option_twin(const struct car_options *options, const struct car_option *row, char out[OPTIONS_NAME_MAX]) {
    size_t len = 0;
    for (const char *p = options->env_prefix; *p && len + 1 < OPTIONS_NAME_MAX; p++) {
        out[len++] = *p;
    }
    for (const char *p = row->name; *p && len + 1 < OPTIONS_NAME_MAX; p++) {
        out[len++] = (char)(*p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    }
    out[len] = '\0';
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* How many letters to add, drop, change or swap with a neighbour to make `a` of `b`; both at most NEAR_MAX long. */
static size_t edit_distance(struct car_span a, struct car_span b) {
    size_t rows[3][NEAR_MAX + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *here = rows[2];
    memset(rows, 0, sizeof rows);
    for (size_t j = 0; j <= b.len; j++) {
        above[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        here[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            here[j] = least(change, least(above[j], here[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1]) {
                here[j] = least(here[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = above;
        above = here;
        here = spare;
    }
    return above[b.len];
}

/* The beginning of a name is as near as one slip. */
static size_t distance_to(struct car_span typed, struct car_span name) {
    if (typed.len >= 3 && typed.len < name.len && memcmp(typed.ptr, name.ptr, typed.len) == 0) {
        return 1;
    }
    return name.len <= NEAR_MAX ? edit_distance(typed, name) : NEAR_MAX;
}

void car_options_suggest(struct car_buf *error, const struct car_options *options, const char *prefix,
                         struct car_span typed) {
    const char *best = NULL;
    size_t nearest = typed.len / 3 + 1;
    if (nearest > 4) {
        nearest = 4;
    }
    for (size_t i = 0; typed.len <= NEAR_MAX && i < options->count; i++) {
        size_t distance = distance_to(typed, car_span_cstr(options->rows[i].name));
        if (distance < nearest) {
            nearest = distance;
            best = options->rows[i].name;
        }
    }
    if (best) {
        car_buf_printf(error, "; did you mean %s%s?", prefix, best);
    } else {
        car_buf_printf(error, "; see %s --help", options->program);
    }
}
