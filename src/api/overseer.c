#include "overseer.h"

#include "carillon/api/api.h"
#include "carillon/guard/auth.h"
#include "carillon/proto/http.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "rate.h"

bool car_may_know_tenants(const struct car_call *call) {
    const struct car_auth *auth = &call->api->auth;
    struct car_identity who;
    const char *why = NULL;
    size_t shown = 0;
    (void)car_http_header_get(call->req, "Authorization", &shown);
    if (auth->mode == CAR_AUTH_OPEN || !shown) {
        return auth->mode == CAR_AUTH_OPEN;
    }
    /* A guess is counted, and told of, though all else is answered. */
    int status = car_rate_before(call->api, call->exchange, call->req, CAR_OF_ADMIN, call->takings, &why);
    status =
        status ? status : car_auth_admin(auth, call->worker->reader, call->req, car_span_of(NULL, 0), 0, &who, &why);
    if (status) {
        car_audit_call(call, "administer", CAR_AUDIT_REFUSED, status, why);
    } else {
        car_rate_undo(call->api, call->exchange, call->takings);
    }
    return status == 0;
}
