#include "postgres_words.h"

#include "carillon/base/utf8.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/words.h"

/* Bytes of lexemes that an event may have. A tsvector has room for 1 MiB, but neither it nor its index is quick then.
 */
#define LEXEMES_MAX (256u << 10)

#define ALL_WORDS '*'

static void put_head(struct car_buf *out, int64_t tenant, char mark) {
    car_buf_u64(out, (uint64_t)tenant);
    car_buf_char(out, mark);
}

void car_pg_lexemes(int64_t tenant, const struct car_event *event, struct car_buf *scratch, struct car_buf *out) {
    struct car_span word;
    size_t start = out->len;
    put_head(out, tenant, '=');
    car_buf_span(out, car_event_type(event));
    size_t words_at = out->len;
    scratch->len = 0;
    car_words_of(event, scratch);
    struct car_span rest = car_buf_view(scratch);
    bool whole = !scratch->failed;
    while (whole && car_words_next(&rest, &word)) {
        car_buf_char(out, ' ');
        put_head(out, tenant, '_');
        car_buf_span(out, word);
        whole = out->len - start <= LEXEMES_MAX && car_utf8_valid(word.ptr, word.len);
    }
    if (!whole) {
        out->len = words_at;
        car_buf_char(out, ' ');
        put_head(out, tenant, ALL_WORDS);
    }
    if (scratch->failed) {
        car_buf_free(scratch);
    }
}

/* A quoted lexeme of a tsquery. */
static void quote(struct car_buf *out, int64_t tenant, char mark, struct car_span text, bool prefix) {
    car_buf_char(out, '\'');
    put_head(out, tenant, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'' || text.ptr[i] == '\\') {
            car_buf_char(out, text.ptr[i]);
        }
        car_buf_char(out, text.ptr[i]);
    }
    car_buf_char(out, '\'');
    if (prefix) {
        CAR_BUF_LIT(out, ":*");
    }
}

static void put_types(struct car_buf *out, int64_t tenant, struct car_span types) {
    struct car_span type;
    for (char join = '('; car_words_next(&types, &type); join = '|') {
        car_buf_char(out, join);
        quote(out, tenant, '=', type, false);
    }
    car_buf_char(out, ')');
}

static void put_words(struct car_buf *out, int64_t tenant, struct car_span words) {
    struct car_span word;
    CAR_BUF_LIT(out, "(");
    quote(out, tenant, ALL_WORDS, CAR_SPAN(""), false);
    for (const char *join = "|("; car_words_next(&words, &word); join = "&") {
        bool prefix = word.ptr[word.len - 1] == '*';
        car_buf_span(out, car_span_cstr(join));
        quote(out, tenant, '_', car_span_of(word.ptr, word.len - prefix), prefix);
    }
    CAR_BUF_LIT(out, "))");
}

bool car_pg_lexemes_asked(int64_t tenant, const struct car_filter *filter, struct car_buf *out) {
    if (filter->types.len) {
        put_types(out, tenant, car_buf_view(&filter->types));
    }
    if (filter->types.len && filter->words.len) {
        car_buf_char(out, '&');
    }
    if (filter->words.len) {
        put_words(out, tenant, car_buf_view(&filter->words));
    }
    car_buf_char(out, '\0');
    return filter->types.len || filter->words.len;
}
