#include "filling.h"

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"

bool car_filling_begin(struct car_filling *f, struct car_log_page *page, const struct car_place *place) {
    uint64_t first = page->first > place->forgotten ? page->first : place->forgotten + 1;
    uint64_t last = page->last;
    page->count = 0;
    page->seen = 0;
    page->forgotten = place->forgotten;
    if (last <= place->forgotten) {
        page->seen = page->last - page->first + 1;
        return false;
    }
    if ((page->descending ? last : first) > place->newest) {
        return false;
    }
    last = last < place->newest ? last : place->newest;
    if (first > last) {
        page->seen = page->last - page->first + 1; /* all of it has been forgotten */
        return false;
    }
    *f = (struct car_filling){
        .page = page, .place = place, .first = first, .last = last, .next = page->descending ? last : first};
    if (page->filter && page->filter->nothing) {
        f->next = car_filling_end(f);
    }
    return true;
}

bool car_filling_is_full(const struct car_filling *f) {
    return f->page->count == f->page->max_events || (f->page->count && f->bytes >= f->page->max_bytes);
}

uint64_t car_filling_end(const struct car_filling *f) {
    return f->page->descending ? f->first - 1 : f->last + 1;
}

int car_filling_take(struct car_filling *f, const struct car_event_row *row, struct car_buf *scratch) {
    struct car_log_page *page = f->page;
    f->next = page->descending ? row->seq - 1 : row->seq + 1;
    if (page->filter && !car_filter_admits(page->filter, row->type, row->wall_ms)) {
        return 0;
    }
    struct car_event *event = car_event_restore(page->ask.tenant, row);
    if (!event) {
        return CAR_ENOMEM;
    }
    if (page->filter && !car_filter_passes(page->filter, event, scratch)) {
        car_event_unref(&event);
        return 0;
    }
    f->bytes += car_event_json(event).len;
    page->events[page->count++] = event;
    return 0;
}

int car_filling_finish(struct car_filling *f, int err) {
    struct car_log_page *page = f->page;
    if (err) {
        car_filling_drop(page);
    } else if (page->descending && f->next <= f->place->forgotten) {
        page->seen = page->last - page->first + 1;
    } else {
        page->seen = page->descending ? page->last - f->next : f->next - page->first;
    }
    return err;
}

void car_filling_drop(struct car_log_page *page) {
    while (page->count) {
        car_event_unref(&page->events[--page->count]);
    }
}

void car_types_put(struct car_log_types *types, struct car_span type, int64_t count) {
    struct car_log_type *put = &types->types[types->count++];
    size_t len = type.len < sizeof put->type ? type.len : sizeof put->type - 1;
    memcpy(put->type, type.ptr, len);
    put->type[len] = '\0';
    put->count = (uint64_t)count;
}
