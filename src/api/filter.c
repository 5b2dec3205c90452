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
    for (unsigned n = 0;; n++) {
        size_t before = out->len;
        int err = car_http_param_next(&rest, "type", out);
        if (err == CAR_ENOENT) {
            return 0;
        }
        if (err || n == TYPES_MAX || !car_event_type_ok(car_span_of(out->data + before, out->len - before))) {
            *why = "type is malformed, or given too often";
            return CAR_EINVAL;
        }
        car_buf_char(out, '\0');
    }
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
    for (const char *at = types->data; at < types->data + types->len; at += strlen(at) + 1) {
        if (car_span_eq(car_span_cstr(at), type)) {
            return true;
        }
    }
    return types->len == 0;
}

/* The text that a search looks at: the message decoded, the metadata as it is written, lower case. */
static struct car_span searchable(struct car_buf *scratch, const struct car_event *event) {
    struct car_json_member members[] = {{.name = "message"}, {.name = "metadata"}};
    scratch->len = 0;
    if (car_json_pick(car_event_json(event), members, 2, NULL) == 0) {
        if (members[0].value.kind == CAR_JSON_STRING) {
            (void)car_json_string_decode(members[0].value.raw, scratch);
            car_buf_char(scratch, '\0');
        }
        car_buf_span(scratch, members[1].value.raw);
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
    const char *end = filter->words.data + filter->words.len;
    for (const char *word = filter->words.data; word < end; word += strlen(word) + 1) {
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
