#ifndef CARILLON_APP_HTTP_ASK_H
#define CARILLON_APP_HTTP_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"

struct car_cidr;

/*
 * One GET to one server, in bounded time: what a command of a few lines needs, and no more. Blocks the calling thread,
 * in poll(2) only, but for the resolver's time where the host is a name. Over TLS nobody's certificate is looked at: it
 * is asked whether a server answers, not who it is, and nothing is told to it.
 */
struct car_http_question {
    const char *host; /* an address or a name, without brackets */
    uint16_t port;
    bool tls;
    const char *target;             /* of the request line: visible ASCII, a slash first */
    const struct car_cidr *proxies; /* connections from these have to begin with a PROXY header; NULL for none */
    size_t proxy_count;
    uint64_t deadline_us; /* of car_clock_mono_us */
};

#define CAR_HTTP_ANSWER_MAX 8192

struct car_http_answer {
    unsigned status;      /* 100 to 599 */
    struct car_span body; /* in `bytes`; not decoded, cut where it is longer */
    char bytes[CAR_HTTP_ANSWER_MAX];
};

/* Asks, with `Connection: close`, and reads until the server has closed. 0, or -1, and then `why` says it in a line. */
int car_http_ask(const struct car_http_question *question, struct car_http_answer *answer, char *why, size_t size);

#endif
