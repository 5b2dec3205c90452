#include "query.h"

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/utf8.h"
#include "carillon/feed/feed.h"
#include "carillon/proto/http.h"

#include "call.h"

int car_query_text(struct car_span query, const char *name, struct car_buf *out, const char **why) {
    struct car_buf again = CAR_BUF_INIT;
    struct car_span rest = query;
    struct car_buf value = CAR_BUF_INIT;
    int err = car_http_param_next(&rest, name, &value);
    if (err == CAR_ENOENT) {
        return CAR_ENOENT;
    }
    bool text = !err && (value.len == 0 || car_utf8_valid(value.data, value.len));
    if (text) {
        car_buf_span(out, car_buf_view(&value));
    }
    car_buf_free(&value);
    if (!text) {
        *why = "a parameter is not percent-encoded UTF-8";
        return CAR_EINVAL;
    }
    err = car_http_param_next(&rest, name, &again);
    car_buf_free(&again);
    if (err != CAR_ENOENT) {
        *why = "a parameter is given more than once";
        return CAR_EINVAL;
    }
    return 0;
}

int car_query_u64(struct car_span query, const char *name, uint64_t min, uint64_t max, uint64_t *out,
                  const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, name, &text, why);
    if (!err) {
        uint64_t value;
        err = car_span_u64(car_buf_view(&text), max, &value);
        if (err || value < min) {
            *why = "a number is malformed or out of range";
            err = CAR_EINVAL;
        } else {
            *out = value;
        }
    }
    car_buf_free(&text);
    return err;
}

int car_query_time(struct car_span query, const char *name, int64_t *out, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, name, &text, why);
    if (!err && car_rfc3339_read(car_buf_view(&text), out) != 0) {
        *why = "a time is not of RFC 3339";
        err = CAR_EINVAL;
    }
    car_buf_free(&text);
    return err;
}

int car_query_epoch(struct car_call *call, bool *foreign, const char **why) {
    struct car_buf epoch = CAR_BUF_INIT;
    int err = car_query_text(call->req->query, "epoch", &epoch, why);
    char own[CAR_EPOCH_LEN + 1];
    car_feed_epoch(call->api->feed, call->who.tenant, own);
    *foreign = !err && !car_span_eq(car_buf_view(&epoch), car_span_cstr(own));
    car_buf_free(&epoch);
    return err;
}

static int since_id(struct car_call *call, uint64_t *out, const char **why) {
    struct car_buf id = CAR_BUF_INIT;
    int err = car_query_text(call->req->query, "sinceId", &id, why);
    if (!err) {
        *out = car_feed_seq_of(call->api->feed, call->who.tenant, car_buf_view(&id));
        if (*out == 0) {
            *why = "sinceId is no known event";
            err = CAR_EINVAL;
        }
    }
    car_buf_free(&id);
    return err;
}

int car_query_since(struct car_call *call, uint64_t *out, const char **why) {
    uint64_t seq = 0;
    uint64_t by_id = 0;
    int with_seq = car_query_u64(call->req->query, "since", 0, INT64_MAX, &seq, why);
    int with_id = with_seq == CAR_EINVAL ? CAR_ENOENT : since_id(call, &by_id, why);
    if (with_seq == CAR_EINVAL || with_id == CAR_EINVAL) {
        return CAR_EINVAL;
    }
    if (with_seq == 0 && with_id == 0) {
        *why = "since and sinceId cannot be given together";
        return CAR_EINVAL;
    }
    *out = with_seq == 0 ? seq : by_id;
    return with_seq == 0 ? 0 : with_id;
}
