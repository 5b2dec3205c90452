#include "posted.h"

#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/tenant.h"

uint64_t car_posted_begin(void) {
    return car_log_wants(CAR_LOG_INFO) ? car_clock_mono_us() : 0;
}

void car_posted_log(const struct car_config *config, const struct car_event *event, uint64_t began_us) {
    if (!car_log_wants(CAR_LOG_INFO)) {
        return;
    }
    unsigned long long took = car_clock_mono_us() - began_us;
    struct car_span tenant = car_tenant_id(event->tenant);
    struct car_span id = car_event_id(event);
    struct car_span json = car_event_json(event);
    car_log_info("tenant %.*s: event posted: %.*s (took %llu\u00b5s)%s%.*s", (int)tenant.len, tenant.ptr, (int)id.len,
                 id.ptr, took, config->log_payloads ? " " : "", config->log_payloads ? (int)json.len : 0, json.ptr);
}
