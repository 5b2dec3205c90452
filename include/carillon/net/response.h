#ifndef CARILLON_NET_RESPONSE_H
#define CARILLON_NET_RESPONSE_H

#include <stdbool.h>

#include "carillon/base/span.h"

struct car_blob;
struct car_exchange;

#define CAR_TYPE_JSON "application/json"

/* An answer. `headers` are whole lines with their line ends, "" where there are none. */
struct car_response {
    int status;
    const char *type;     /* NULL where there is no content */
    struct car_span body; /* borrowed */
    struct car_blob
        *blob; /* the content where `body` has none: this connection's alone, and whole. Keeps a reference */
    const char *headers;
    bool endless;      /* HEAD of something whose length nobody knows */
    const void *owner; /* the tenant whose bytes the body holds; NULL where it holds no tenant's */
};

/* Answers and ends the exchange. */
void car_respond(struct car_exchange *exchange, const struct car_response *response);

#endif
