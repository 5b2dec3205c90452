#include "carillon/guard/peer.h"

#include <stdbool.h>
#include <string.h>

#include "carillon/base/err.h"

static const struct car_span FIELD = CAR_SPAN_INIT("X-Forwarded-For");

/* The walk through the field's lines, from the last to the first. */
struct walk {
    const struct car_cidr *trusted;
    size_t trusted_count;
    unsigned hops;
    struct car_address last; /* the last good one */
};

/* Takes the part behind the last comma off the end of *rest. *more says whether a comma stood before it. */
static struct car_span last_part(struct car_span *rest, bool *more) {
    const char *comma = rest->len ? memrchr(rest->ptr, ',', rest->len) : NULL;
    struct car_span part = comma ? car_span_of(comma + 1, (size_t)(rest->ptr + rest->len - comma) - 1) : *rest;
    *more = comma != NULL;
    rest->len = comma ? (size_t)(comma - rest->ptr) : 0;
    return car_span_trim(part);
}

/* Whether the walk goes on to the left of that line. */
static bool walk_line(struct walk *walk, struct car_span line) {
    bool more = true;
    while (more) {
        struct car_span part = last_part(&line, &more);
        if (walk->hops++ == CAR_PEER_HOPS_MAX || car_address_parse_with_port(part, &walk->last) != CAR_OK ||
            !car_cidr_any_has(walk->trusted, walk->trusted_count, &walk->last)) {
            return false;
        }
    }
    return true;
}

struct car_address car_peer_client(const struct car_cidr *trusted, size_t trusted_count, const struct car_address *peer,
                                   const struct car_http_request *req) {
    struct walk walk = {.trusted = trusted, .trusted_count = trusted_count, .last = *peer};
    if (!car_http_header_possible(req, FIELD.len) || !car_cidr_any_has(trusted, trusted_count, peer)) {
        return *peer;
    }
    for (size_t i = req->header_count; i-- > 0;) {
        const struct car_http_header *header = &req->headers[i];
        if (car_span_ieq(header->name, FIELD) && !walk_line(&walk, header->value)) {
            break;
        }
    }
    return walk.last;
}
