#include "event_array.h"

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/scan.h"

#include "posted.h"

static void put_array(struct car_buf *out, const struct car_scan *scan, bool reversed) {
    car_buf_char(out, '[');
    for (uint32_t i = 0; i < scan->count; i++) {
        if (i) {
            car_buf_char(out, ',');
        }
        car_buf_span(out, car_event_json(scan->events[reversed ? scan->count - 1 - i : i]));
    }
    car_buf_char(out, ']');
}

void car_event_array(struct car_buf *out, const struct car_scan *scan) {
    put_array(out, scan, false);
}

void car_event_array_ascending(struct car_buf *out, const struct car_scan *scan) {
    put_array(out, scan, scan->descending);
}

const char *car_event_array_why(const struct car_scan *scan) {
    return scan->status == CAR_ENOMEM ? CAR_TENANT_NO_MEMORY
           : scan->status             ? "the log cannot be read"
                                      : "out of memory";
}
