#include "admission.h"

#include <stdatomic.h>
#include <stdio.h>

#include "carillon/base/clock.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/session.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/admission.h"
#include "carillon/net/net.h"

#include "api_metrics.h"
#include "call.h"
#include "respond.h"

static bool is_not_too_fast(const struct car_api *api, struct car_exchange *exchange, struct car_tenant *tenant) {
    char headers[40];
    unsigned retry_s = 0;
    if (api->admission->gcra.count == 0) {
        return true; /* the clock is not read for nothing */
    }
    uint64_t now = car_clock_mono_ns();
    if (car_admission_ask(api->admission, tenant ? car_tenant_came(tenant) : NULL, now, &retry_s)) {
        return true;
    }
    if (car_admission_is_news(api->admission, now)) {
        car_log_warn("subscribers come faster than --handshake-rate lets them in: some are told to come back later");
    }
    car_count_handshakes(exchange->worker);
    snprintf(headers, sizeof headers, "Retry-After: %u\r\n", retry_s);
    car_respond_problem(exchange, 503, "too many subscribers are coming at the moment", NULL, headers);
    return false;
}

static bool refuse_as_late(struct car_exchange *exchange) {
    car_respond_problem(exchange, 503, "the server is going away", NULL, NULL);
    return false;
}

bool car_admission_passes_as(const struct car_api *api, struct car_exchange *exchange, struct car_tenant *tenant) {
    return exchange->draining ? refuse_as_late(exchange) : is_not_too_fast(api, exchange, tenant);
}

/* Where another process takes over, nobody who connects is refused: whose connection has been accepted here comes in,
 * and is then told to come back as all others are; but who has heard the other process already goes on there. A session
 * of Engine.IO would not be found there. */
static bool is_late(const struct car_call *call, const struct car_cursor *since) {
    bool stays = call->exchange->first && atomic_load(&call->api->net->succeeded) &&
                 (!since || since->seq <= car_tenant_newest(call->who.tenant));
    return call->exchange->draining && !stays;
}

bool car_admission_passes(struct car_call *call, const struct car_cursor *since) {
    return is_late(call, since) ? refuse_as_late(call->exchange)
                                : is_not_too_fast(call->api, call->exchange, call->who.tenant);
}

bool car_admission_reads(const struct car_call *call) {
    bool is_old = call->exchange->draining && atomic_load(&call->api->net->succeeded);
    return is_old ? refuse_as_late(call->exchange) : true;
}
