#include "filter.h"

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/words.h"
#include "carillon/proto/http.h"

#include "query.h"

static int read_types(struct car_span query, struct car_buf *out, const char **why) {
    struct car_span rest = query;
    struct car_buf type = CAR_BUF_INIT;
    int err = 0;
    for (unsigned n = 0; !err; n++) {
        type.len = 0;
        err = car_http_param_next(&rest, "type", &type);
        if (!err && (n == CAR_FILTER_TYPES_MAX || !car_event_type_ok(car_buf_view(&type)))) {
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

static int read_words(struct car_span query, struct car_filter *filter, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "q", &text, why);
    struct car_span blank = car_span_trim(car_buf_view(&text));
    unsigned words = 0;
    if (!err && blank.len) {
        car_words_asked(blank, &filter->words);
        filter->nothing = filter->words.len == 0;
    }
    car_buf_free(&text);
    struct car_span rest = car_buf_view(&filter->words);
    for (struct car_span word; car_words_next(&rest, &word); words++) {
    }
    if (words > CAR_FILTER_WORDS_MAX) {
        *why = "q has more than 32 words";
        return CAR_EINVAL;
    }
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
    return err ? err : read_words(query, filter, why);
}
