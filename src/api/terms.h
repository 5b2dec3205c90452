#ifndef CARILLON_API_TERMS_H
#define CARILLON_API_TERMS_H

#include <jansson.h>
#include <stdbool.h>

#include "carillon/feed/account.h"

#include "respond.h"

struct car_call;

/* Why a document is refused. */
struct car_terms_refusal {
    int status; /* 400 or 422 */
    struct car_field_error error;
};

/* Whether the request's body, if it has one, says that it is JSON: a page of another origin cannot send that without
 * being asked for leave (CORS). false where it was refused, and answered. */
bool car_terms_is_json(struct car_call *call);

/* Answers with it. */
void car_terms_refuse(struct car_call *call, const struct car_terms_refusal *refusal);

/* Reads a request's body: a JSON object with nothing but the members `allowed`, a NULL-terminated list; no body at all
 * is an empty one. The document, for the caller to free, or NULL and *refusal. */
json_t *car_terms_body(struct car_span body, const char *const *allowed, struct car_terms_refusal *refusal);

/*
 * Changes terms, and adds to `members` which of them (enum car_tenant_member), as a document's members say: `name`;
 * `limits`, of whose members each that is there is a whole number from 1 on, or null for the server's default;
 * `retention`, a text as of --retention, or null. 0; CAR_EINVAL and *refusal.
 */
int car_terms_change(struct car_tenant_terms *terms, unsigned *members, const json_t *document,
                     struct car_terms_refusal *refusal);

/* Which members these are, by name: "name,limits.history". `out` has CAR_TERMS_NAMES bytes; NUL-terminated. */
#define CAR_TERMS_NAMES 160
void car_terms_names(unsigned members, char out[CAR_TERMS_NAMES]);

/* The same as a document has them: {"limits":{…},"retention":…}. */
json_t *car_terms_limits(const struct car_tenant_limits *limits);
json_t *car_terms_retention(const struct car_tenant_limits *limits);

#endif
