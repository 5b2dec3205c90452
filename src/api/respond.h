#ifndef CARILLON_API_RESPOND_H
#define CARILLON_API_RESPOND_H

#include <jansson.h>
#include <stdbool.h>

#include "carillon/base/span.h"
#include "carillon/net/response.h"

struct car_exchange;

#define CAR_TYPE_PROBLEM "application/problem+json"

/* Answers with a JSON document, which it takes over; NULL answers 500. */
void car_respond_json(struct car_exchange *exchange, int status, json_t *document);

/* What is wrong with a field, for a problem's `errors`. */
struct car_field_error {
    const char *field;
    const char *message;
};

/* Answers with a problem (RFC 9457). `detail` and `field` may be NULL. Adds the headers that the status asks for: Allow
 * is the caller's business, in `headers`, and so is Retry-After where another one is meant than the usual. */
void car_respond_problem(struct car_exchange *exchange, int status, const char *detail,
                         const struct car_field_error *field, const char *headers);

/* The contract's word for a status: "bad_request" for 400. */
const char *car_problem_code(int status);

#endif
