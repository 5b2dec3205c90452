#include "filter.h"

#include <ctype.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/proto/http.h"
#include "carillon/proto/json.h"

#include "query.h"

#define TYPES_MAX 64

static int read_types(struct car_span query, struct car_buf *out, const char **why) {
    struct car_span rest = query;
    struct car_buf type = CAR_BUF_INIT;
    int err = 0;
    for (unsigned n = 0; !err; n++) {
        type.len = 0;
        err = car_http_param_next(&rest, "type", &type);
        if (!err && (n == TYPES_MAX || !car_event_type_ok(car_buf_view(&type)))) {
            err = CAR_EINVAL;
        }
        if (!err) {
            car_buf_span(out, car_buf_view(&type));
            car_buf_char(out, '\0');
        }
    }
    car_buf_free(&type);
    if (err == CAR_ENOENT) {
        return 0;
    }
    *why = "type is malformed, or given too often";
    return CAR_EINVAL;
}

/* The words of a search, lower case. */
static int read_words(struct car_span query, struct car_buf *out, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "q", &text, why);
    for (size_t i = 0; !err && i < text.len; i++) {
        char c = text.data[i];
        bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
        if (!blank) {
            car_buf_char(out, (char)tolower((unsigned char)c));
        } else if (out->len && out->data[out->len - 1] != '\0') {
            car_buf_char(out, '\0');
        }
    }
    if (!err && out->len && out->data[out->len - 1] != '\0') {
        car_buf_char(out, '\0');
    }
    car_buf_free(&text);
    return err == CAR_ENOENT ? 0 : err;
}

int car_filter_read(struct car_span query, struct car_filter *filter, const char **why) {
    int from = car_query_time(query, "from", &filter->from_ms, why);
    int to = car_query_time(query, "to", &filter->to_ms, why);
    filter->has_from = from == 0;
    filter->has_to = to == 0;
    if (from == CAR_EINVAL || to == CAR_EINVAL) {
        return CAR_EINVAL;
    }
    int err = read_types(query, &filter->types, why);
    return err ? err : read_words(query, &filter->words, why);
}

void car_filter_free(struct car_filter *filter) {
    car_buf_free(&filter->types);
    car_buf_free(&filter->words);
    car_buf_free(&filter->scratch);
}

static bool wanted_type(const struct car_buf *types, struct car_span type) {
    for (size_t at = 0; at < types->len; at += strlen(types->data + at) + 1) {
        if (car_span_eq(car_span_cstr(types->data + at), type)) {
            return true;
        }
    }
    return types->len == 0;
}

/* Appends a validated JSON value as a text to be searched: its names and strings decoded, numbers and words as they are
 * written, NULs between them. */
static void flatten(struct car_buf *out, struct car_span raw) {
    for (size_t at = 0; at < raw.len;) {
        if (raw.ptr[at] != '"') {
            char c = raw.ptr[at++];
            car_buf_char(out, strchr("{}[]:,", c) ? '\0' : c);
            continue;
        }
        size_t end = at + 1;
        while (raw.ptr[end] != '"') {
            end += raw.ptr[end] == '\\' ? 2 : 1;
        }
        (void)car_json_string_decode(car_span_of(raw.ptr + at, end + 1 - at), out);
        car_buf_char(out, '\0');
        at = end + 1;
    }
}

/* The text that a search looks at: message and metadata, lower case. */
static struct car_span searchable(struct car_buf *scratch, const struct car_event *event) {
    struct car_json_member members[] = {{.name = "message"}, {.name = "metadata"}};
    scratch->len = 0;
    if (car_json_pick(car_event_json(event), members, 2, NULL) == 0) {
        flatten(scratch, members[0].value.raw);
        flatten(scratch, members[1].value.raw);
    }
    for (size_t i = 0; i < scratch->len; i++) {
        scratch->data[i] = (char)tolower((unsigned char)scratch->data[i]);
    }
    return car_buf_view(scratch);
}

static bool has_words(struct car_filter *filter, const struct car_event *event) {
    if (filter->words.len == 0) {
        return true;
    }
    struct car_span text = searchable(&filter->scratch, event);
    size_t step;
    for (size_t at = 0; at < filter->words.len; at += step) {
        const char *word = filter->words.data + at;
        step = strlen(word) + 1;
        if (!text.ptr || !memmem(text.ptr, text.len, word, strlen(word))) {
            return false;
        }
    }
    return true;
}

bool car_filter_passes(struct car_filter *filter, const struct car_event *event) {
    return (!filter->has_from || event->wall_ms >= filter->from_ms) &&
           (!filter->has_to || event->wall_ms <= filter->to_ms) && wanted_type(&filter->types, car_event_type(event)) &&
           has_words(filter, event);
}
