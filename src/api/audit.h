#ifndef CARILLON_API_AUDIT_H
#define CARILLON_API_AUDIT_H

#include "carillon/base/audit.h"

struct car_address;
struct car_api;
struct car_call;
struct car_claim;
struct car_exchange;
struct car_field_error;
struct car_http_request;
struct car_identity;
struct car_refusal;
struct car_subscriber;
struct car_worker;

/*
 * Lines of the audit log (base/audit.h), told in this floor's terms. The acts: `publish`, `read`, `websocket`, `sse`,
 * `socketio`, `replay`. All on the worker's thread.
 */

/* How a call went: before it is answered, for that takes the request away. One that is refused, where nobody is known
 * by it, is told with what its request says, and only where that is for who asks, or how much (401, 403, 413, 429,
 * 503). */
void car_audit_call(const struct car_call *call, const char *act, const char *outcome, int status, const char *why);

/* An administrative act: before its exchange is answered. `who` is nobody where the administrator did it; `tenant` is
 * whose it is that it was done to, `target` what, or absent. */
void car_audit_act(const struct car_api *api, const struct car_exchange *exchange, const struct car_identity *who,
                   const char *act, int status, struct car_span tenant, struct car_span target);

/* An administrative call, `act` being set, fails with that status: before it is answered. */
void car_audit_act_failed(const struct car_call *call, int status);

/* Answers an administrative call, `act` being set, with a problem, and tells that it failed. `error` may be NULL. */
void car_audit_act_refused(struct car_call *call, int status, const char *detail, const struct car_field_error *error);

/* An administrative call only reads: a line where that is not everybody's right. */
void car_audit_act_read(const struct car_call *call);

/* A request is refused for what it shows of who asks. */
void car_audit_claim(const struct car_api *api, const struct car_exchange *exchange, const struct car_http_request *req,
                     const char *act, int status, const char *why);

/* A connection is refused, whoever it is, for there is no room (503). */
void car_audit_turned_away(const struct car_exchange *exchange, const char *why);

/* A request is to be refused: a line where that is for who asks, or how much (401, 403, 413, 429, 503). */
void car_audit_request(const struct car_api *api, const struct car_exchange *exchange,
                       const struct car_http_request *req, const char *act, int status, const char *why);

/* A namespace is refused to a client, which is nobody's subscriber as yet; a line where that is for who asks, or how
 * often. `who` may be nobody. */
void car_audit_namespace(const struct car_subscriber *subscriber, const struct car_identity *who,
                         const struct car_claim *claim, struct car_span nsp, const struct car_refusal *refusal);

/* What a subscriber asks for over its connection is refused: a line where that is for who asks, or how often. */
void car_audit_refusal(const struct car_subscriber *subscriber, const char *act, const struct car_refusal *refusal);

/* A subscriber is let in, or has to leave. `path` may be absent, `why` NULL. */
void car_audit_subscriber(const struct car_subscriber *subscriber, const char *act, const char *outcome,
                          struct car_span path, const char *why);

#endif
