#include "carillon/feed/filter.h"

#include "carillon/feed/event.h"
#include "carillon/feed/words.h"

void car_filter_free(struct car_filter *filter) {
    car_buf_free(&filter->types);
    car_buf_free(&filter->words);
}

bool car_filter_is_empty(const struct car_filter *filter) {
    return !filter->types.len && !filter->words.len && !filter->has_from && !filter->has_to && !filter->nothing;
}

static bool has_type(const struct car_filter *filter, struct car_span type) {
    struct car_span rest = car_buf_view(&filter->types);
    struct car_span wanted;
    while (car_words_next(&rest, &wanted)) {
        if (car_span_eq(wanted, type)) {
            return true;
        }
    }
    return filter->types.len == 0;
}

static bool has_words(const struct car_filter *filter, const struct car_event *event, struct car_buf *scratch) {
    struct car_span rest = car_buf_view(&filter->words);
    struct car_span asked;
    scratch->len = 0;
    if (rest.len) {
        car_words_of(event, scratch);
    }
    while (car_words_next(&rest, &asked)) {
        if (!car_words_have(car_buf_view(scratch), asked)) {
            return false;
        }
    }
    return true;
}

bool car_filter_admits(const struct car_filter *filter, struct car_span type, int64_t wall_ms) {
    return !filter->nothing && (!filter->has_from || wall_ms >= filter->from_ms) &&
           (!filter->has_to || wall_ms <= filter->to_ms) && has_type(filter, type);
}

bool car_filter_passes(const struct car_filter *filter, const struct car_event *event, struct car_buf *scratch) {
    return car_filter_admits(filter, car_event_type(event), event->wall_ms) && has_words(filter, event, scratch);
}
