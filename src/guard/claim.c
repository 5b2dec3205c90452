#include "carillon/guard/claim.h"

#include "carillon/base/err.h"
#include "carillon/proto/http.h"

/* A text that comes as a header or as a parameter. */
struct source {
    struct car_span header; /* measured once: looked for in each request */
    const char *parameter;
    const char *twice, *different; /* why it is refused */
    int status;                    /* where both are there and differ */
};

static const struct source TENANT = {CAR_SPAN_INIT("X-Tenant-ID"), "tenant",
                                     "X-Tenant-ID or the tenant parameter is given more than once",
                                     "X-Tenant-ID and the tenant parameter name different tenants", 403};
static const struct source TOKEN = {CAR_SPAN_INIT("X-User-Token"), "token",
                                    "X-User-Token or the token parameter is given more than once",
                                    "X-User-Token and the token parameter differ", 400};
static const struct source KEY = {CAR_SPAN_INIT("X-API-Key"), "api_key",
                                  "X-API-Key or the api_key parameter is given more than once",
                                  "X-API-Key and the api_key parameter differ", 400};

/* The parameter, at most once. 0, CAR_ENOENT, CAR_EPROTO, CAR_ENOMEM. */
static int parameter(const struct car_http_request *req, const char *name, struct car_buf *out) {
    struct car_span rest = req->query;
    struct car_buf again = CAR_BUF_INIT;
    int err = car_http_param_next(&rest, name, out);
    if (!err && car_http_param_next(&rest, name, &again) != CAR_ENOENT) {
        err = CAR_EPROTO;
    }
    car_buf_free(&again);
    return err;
}

static int read_text(const struct car_http_request *req, const struct source *source, struct car_buf *hold,
                     struct car_span *out, const char **why) {
    size_t count = 0;
    struct car_span header = {0};
    if (car_http_header_possible(req, source->header.len)) {
        header = car_http_header_find(req, source->header, &count);
    }
    int err = parameter(req, source->parameter, hold);
    if (err == CAR_ENOMEM) {
        *why = "out of memory";
        return 503;
    }
    if (count > 1 || err == CAR_EPROTO) {
        *why = source->twice;
        return 400;
    }
    if (count && !err && !car_span_eq(header, car_buf_view(hold))) {
        *why = source->different;
        return source->status;
    }
    if (count) {
        *out = header.ptr ? header : CAR_SPAN("");
    } else if (!err) {
        *out = hold->data ? car_buf_view(hold) : CAR_SPAN("");
    }
    return 0;
}

static int read_bearer(const struct car_http_request *req, struct car_span *out, const char **why) {
    size_t count = 0;
    struct car_span rest = car_http_header_get(req, "Authorization", &count);
    struct car_span scheme;
    if (count > 1) {
        *why = "Authorization is given more than once";
        return 400;
    }
    if (count && car_span_next(&rest, ' ', &scheme) && car_span_ieq(scheme, CAR_SPAN("Bearer"))) {
        rest = car_span_trim(rest);
        *out = rest.ptr ? rest : CAR_SPAN("");
    }
    return 0;
}

int car_claim_read(const struct car_http_request *req, bool credentials, struct car_claim *claim,
                   struct car_claim_texts *texts, const char **why) {
    *claim = (struct car_claim){0};
    *texts = (struct car_claim_texts){0};
    int status = read_text(req, &TENANT, &texts->tenant, &claim->tenant, why);
    if (status || !credentials) {
        return status;
    }
    status = read_text(req, &TOKEN, &texts->token, &claim->token, why);
    status = status ? status : read_text(req, &KEY, &texts->key, &claim->key, why);
    return status ? status : read_bearer(req, &claim->bearer, why);
}

void car_claim_free(struct car_claim_texts *texts) {
    car_buf_free(&texts->tenant);
    car_buf_free(&texts->token);
    car_buf_free(&texts->key);
}
