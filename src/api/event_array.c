#include "event_array.h"

#include "carillon/feed/event.h"
#include "carillon/feed/tenant.h"

#define PIECE 64

struct car_event_range car_event_array(struct car_buf *out, struct car_tenant *tenant, struct car_reader *reader,
                                       uint64_t first, uint64_t last, uint64_t limit) {
    struct car_event *events[PIECE];
    struct car_event_range range = {first, first};
    size_t start = out->len;
    bool full = false;
    car_buf_char(out, '[');
    while (range.next <= last && !full) {
        size_t n = car_tenant_read(tenant, reader, range.next, events, PIECE);
        for (size_t i = 0; i < n; i++) {
            bool any = range.next > range.first;
            if (!any) {
                range.first = range.next = events[i]->seq;
            }
            full = full || events[i]->seq != range.next || events[i]->seq > last || range.next - range.first == limit ||
                   out->len - start > CAR_EVENT_ARRAY_BYTES;
            if (!full) {
                if (any) {
                    car_buf_char(out, ',');
                }
                car_buf_span(out, car_event_json(events[i]));
                range.next++;
            }
            car_event_unref(&events[i]);
        }
        if (n == 0) {
            break;
        }
    }
    car_buf_char(out, ']');
    return range;
}

/* The lowest seq from which on the events are not too many bytes. */
static uint64_t fitting(struct car_tenant *tenant, struct car_reader *reader, uint64_t first, uint64_t last) {
    size_t bytes = 0;
    uint64_t from = last + 1;
    while (from > first) {
        struct car_event *event = NULL;
        if (car_tenant_read(tenant, reader, from - 1, &event, 1) == 1) {
            bytes += event->seq == from - 1 ? car_event_json(event).len : CAR_EVENT_ARRAY_BYTES + 1;
            car_event_unref(&event);
        }
        if (bytes > CAR_EVENT_ARRAY_BYTES && from <= last) {
            break;
        }
        from--;
    }
    return from;
}

void car_event_array_latest(struct car_buf *out, struct car_tenant *tenant, struct car_reader *reader, uint64_t first,
                            uint64_t last) {
    (void)car_event_array(out, tenant, reader, fitting(tenant, reader, first, last), last, UINT64_MAX);
}
