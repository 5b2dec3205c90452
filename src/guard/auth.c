#include "carillon/guard/auth.h"

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/feed/registry.h"
#include "carillon/proto/http.h"

#define ALL (CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE | CAR_SCOPE_ADMIN)

/* The `tenant` parameter, at most once. 0, CAR_ENOENT, or CAR_EPROTO. */
static int parameter(const struct car_http_request *req, struct car_buf *out) {
    struct car_span rest = req->query;
    struct car_buf again = CAR_BUF_INIT;
    int err = car_http_param_next(&rest, "tenant", out);
    if (!err && car_http_param_next(&rest, "tenant", &again) != CAR_ENOENT) {
        err = CAR_EPROTO;
    }
    car_buf_free(&again);
    return err;
}

int car_auth_tenant(const struct car_auth *auth, struct car_reader *reader, struct car_span id,
                    struct car_identity *out, const char **why) {
    *out = (struct car_identity){.named = true};
    out->tenant = car_registry_find(auth->registry, reader, id);
    if (!out->tenant && auth->auto_tenants && car_tenant_id_ok(id)) {
        int err = car_registry_add(auth->registry, reader, id, &out->tenant);
        if (err && err != CAR_EEXIST) {
            *why = "unknown tenant, and there is no room for another";
            return 401;
        }
    }
    if (!out->tenant) {
        *why = "unknown tenant";
        return 401;
    }
    out->scopes = ALL;
    return 0;
}

int car_auth_open(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                  struct car_identity *out, const char **why) {
    *out = (struct car_identity){0};
    size_t count = 0;
    struct car_span header = car_http_header_get(req, "X-Tenant-ID", &count);
    struct car_buf named = CAR_BUF_INIT;
    int err = parameter(req, &named);
    int status;
    out->named = count > 0 || err != CAR_ENOENT;
    if (count > 1) {
        *why = "X-Tenant-ID is given more than once";
        status = 400;
    } else if (err && err != CAR_ENOENT) {
        *why = "the tenant parameter is malformed or given more than once";
        status = 400;
    } else if (count == 0 && err == CAR_ENOENT) {
        *why = "no tenant is named: send X-Tenant-ID, or the tenant parameter";
        status = 401;
    } else if (count == 1 && !err && !car_span_eq(header, car_buf_view(&named))) {
        *why = "X-Tenant-ID and the tenant parameter name different tenants";
        status = 403;
    } else {
        status = car_auth_tenant(auth, reader, count ? header : car_buf_view(&named), out, why);
    }
    car_buf_free(&named);
    return status;
}
