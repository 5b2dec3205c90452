#include "rate.h"

#include <stdio.h>

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "audit.h"
#include "call.h"
#include "client.h"
#include "command.h"
#include "respond.h"

#define GONE     "the connection has gone"
#define NS_PER_S UINT64_C(1000000000)

/* Has the answer say how the limits stand; again, where there is more to say. */
static void show(struct car_exchange *exchange, struct car_takings *takings) {
    struct car_buf *out = &exchange->headers;
    if (takings->shown) {
        out->len = takings->mark;
    }
    takings->mark = out->len;
    takings->shown = true;
    car_rate_fields_write(out, takings->fields, takings->count);
    if (takings->refused) {
        car_retry_after_write(out, car_takings_retry(takings));
    }
}

static int status_of(int err) {
    return err == CAR_ETOOBIG ? 413 : err ? 429 : 0;
}

/* What a take has come to, for the answer. */
static int settle(struct car_exchange *exchange, struct car_takings *takings, int err, const char **why) {
    if (takings->count) {
        show(exchange, takings);
    }
    if (err) {
        car_count_limit(exchange->worker, takings);
    }
    *why = err ? car_takings_why(takings) : NULL;
    return status_of(err);
}

int car_rate_before(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req,
                    enum car_asker asker, struct car_takings *takings, const char **why) {
    bool guess = asker == CAR_OF_ADMIN;
    if (!api->rates.ips || (guess && api->auth.admin_open)) {
        return 0;
    }
    if (car_client_find(api, exchange, req) != 0) {
        *why = GONE;
        return 503;
    }
    int err = car_rates_take_ip(&api->rates, exchange->worker->reader, &exchange->client, guess, takings);
    return settle(exchange, takings, err, why);
}

void car_rate_undo(const struct car_api *api, struct car_exchange *exchange, struct car_takings *takings) {
    if (takings->count) {
        car_rates_give_back(&api->rates, exchange->worker->reader, takings);
        exchange->headers.len = takings->mark;
        car_takings_init(takings);
    }
}

/* Answers a call that a limit refuses. false where it does. */
static bool passes(struct car_call *call, int status, const char *act, const char *why) {
    if (status) {
        car_audit_call(call, act, CAR_AUDIT_REFUSED, status, why);
        car_respond_problem(call->exchange, status, why, NULL, NULL);
    }
    return !status;
}

bool car_rate_asker(struct car_call *call, enum car_asker asker, const char *act) {
    const char *why = NULL;
    if (asker == CAR_ANYBODY || !call->api->rates.ips) {
        return true;
    }
    int status = car_rate_before(call->api, call->exchange, call->req, asker, call->takings, &why);
    return passes(call, status, act, why);
}

static int take_user(struct car_call *call, const struct car_identity *who, const char **why) {
    int err = car_rates_take_user(&call->api->rates, call->worker->reader, who->tenant, who->grant, call->takings);
    return settle(call->exchange, call->takings, err, why);
}

bool car_rate_known(struct car_call *call, enum car_asker asker, const char *act) {
    const char *why = NULL;
    if (asker == CAR_OF_ADMIN) {
        car_rate_undo(call->api, call->exchange, call->takings);
        return true;
    }
    if (asker == CAR_ANYBODY || !call->api->rates.users) {
        return true;
    }
    int status = take_user(call, &call->who, &why);
    return passes(call, status, act, why);
}

bool car_rate_session(struct car_call *call) {
    struct car_identity who = {0};
    const char *why = NULL;
    if (!car_rate_asker(call, CAR_OF_TENANT, "socketio")) {
        return false;
    }
    /* Who shows nothing good here is nobody as yet, and may say it with a namespace. */
    if (!call->api->rates.users || car_auth_request(&call->api->auth, call->worker->reader, call->req, &who, &why)) {
        return true;
    }
    int status = take_user(call, &who, &why);
    call->who = who;
    return passes(call, status, "socketio", why);
}

bool car_rate_publish(struct car_call *call, uint32_t events) {
    const char *why = NULL;
    int err = car_rates_take_events(&call->api->rates, call->worker->reader, call->who.tenant, events,
                                    call->takings->bytes, call->takings);
    int status = settle(call->exchange, call->takings, err, &why);
    return passes(call, status, "publish", why);
}

/* Commands. */

static int refuse(const struct car_worker *worker, const struct car_takings *takings, int err,
                  struct car_refusal *refusal) {
    char words[sizeof refusal->message];
    if (!err) {
        return 0;
    }
    car_count_limit(worker, takings);
    if (err == CAR_ETOOBIG) {
        return car_refuse(refusal, car_problem_code(413), NULL, car_takings_why(takings));
    }
    snprintf(words, sizeof words, "%s: try again in %llu s", car_takings_why(takings),
             (unsigned long long)((car_takings_retry(takings) + NS_PER_S - 1) / NS_PER_S));
    return car_refuse(refusal, car_problem_code(429), NULL, words);
}

int car_rate_command(const struct car_subscriber *subscriber, struct car_takings *takings,
                     struct car_refusal *refusal) {
    const struct car_rates *rates = &subscriber->api->rates;
    struct car_reader *reader = subscriber->worker->reader;
    int err = subscriber->client ? car_rates_take_ip(rates, reader, subscriber->client, false, takings) : 0;
    err = err ? err : car_rates_take_user(rates, reader, subscriber->tenant, subscriber->grant, takings);
    return refuse(subscriber->worker, takings, err, refusal);
}

int car_rate_event(const struct car_subscriber *subscriber, struct car_takings *takings, struct car_refusal *refusal) {
    int err = car_rates_take_events(&subscriber->api->rates, subscriber->worker->reader, subscriber->tenant, 1,
                                    takings->bytes, takings);
    return refuse(subscriber->worker, takings, err, refusal);
}

int car_rate_guess(const struct car_api *api, struct car_worker *worker, const struct car_address *client,
                   struct car_takings *takings, struct car_refusal *refusal) {
    return client
               ? refuse(worker, takings, car_rates_take_ip(&api->rates, worker->reader, client, true, takings), refusal)
               : 0;
}
