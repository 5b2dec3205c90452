#ifndef CARILLON_API_CALL_H
#define CARILLON_API_CALL_H

#include "carillon/api/api.h"
#include "carillon/guard/auth.h"
#include "carillon/net/exchange.h"
#include "carillon/proto/http.h"

/* One request on its way through a resource; lives for the handler's call. What outlives it keeps the exchange. */
struct car_call {
    struct car_api *api;
    struct car_exchange *exchange; /* ends when it is answered */
    struct car_worker *worker;
    const struct car_http_request *req;
    struct car_span path;        /* decoded */
    struct car_span id, kid;     /* what stands for {id} and {kid} in the route's path; absent where it has none */
    struct car_identity who;     /* for routes that want a tenant */
    struct car_takings *takings; /* of the limits that it is held to */
    const char *act; /* of an administrative one: what the audit log calls it; static, the handler's to set */
};

/* A resource's function: answers the exchange, now or later. */
typedef void car_handler(struct car_call *call);

car_handler car_event_publish;
car_handler car_event_batch;

#define CAR_TYPE_NDJSON "application/x-ndjson"
#define CAR_BATCH_TYPES "a batch is published as application/json or " CAR_TYPE_NDJSON

/* Whether the request's body is declared as that type; parameters such as a charset are let pass. */
bool car_is_media(const struct car_http_request *req, const char *type);

car_handler car_event_list;
car_handler car_event_get;
car_handler car_event_stats;
car_handler car_event_stream;
car_handler car_live_open;
car_handler car_sio_request;
car_handler car_tenant_list;
car_handler car_tenant_create;
car_handler car_tenant_get;
car_handler car_tenant_patch;
car_handler car_tenant_delete;
car_handler car_tenant_key_create;
car_handler car_tenant_key_list;
car_handler car_tenant_key_delete;
car_handler car_tenant_token;
car_handler car_overview;
car_handler car_metrics;
car_handler car_settings;
car_handler car_health;
car_handler car_livez;
car_handler car_readyz;

/* Answers from the embedded files; false where there is none of that path. */
bool car_file_answer(struct car_call *call);

#endif
