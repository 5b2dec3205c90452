#ifndef CARILLON_API_RESPOND_H
#define CARILLON_API_RESPOND_H

#include <jansson.h>
#include <stdbool.h>

#include "carillon/base/span.h"

struct car_exchange;

#define CAR_TYPE_JSON    "application/json"
#define CAR_TYPE_PROBLEM "application/problem+json"

/* An answer. `headers` are whole lines with their line ends, "" where there are none. */
struct car_response {
    int status;
    const char *type;     /* NULL where there is no content */
    struct car_span body; /* borrowed */
    const char *headers;
    bool endless;      /* HEAD of something whose length nobody knows */
    const void *owner; /* the tenant whose bytes the body holds; NULL where it holds no tenant's */
};

/* Answers and ends the exchange. */
void car_respond(struct car_exchange *exchange, const struct car_response *response);

/* The same with a JSON document, which it takes over; NULL answers 500. */
void car_respond_json(struct car_exchange *exchange, int status, json_t *document);

/* What is wrong with a field, for a problem's `errors`. */
struct car_field_error {
    const char *field;
    const char *message;
};

/* Answers with a problem (RFC 9457). `detail` and `field` may be NULL. Adds the headers that the status asks for: Allow
 * is the caller's business, in `headers`. */
void car_respond_problem(struct car_exchange *exchange, int status, const char *detail,
                         const struct car_field_error *field, const char *headers);

/* The contract's word for a status: "bad_request" for 400. */
const char *car_problem_code(int status);

#endif
