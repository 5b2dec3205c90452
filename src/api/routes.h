#ifndef CARILLON_API_ROUTES_H
#define CARILLON_API_ROUTES_H

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/proto/http.h"

#include "call.h"

/* Who may ask for a resource. */
enum car_asker {
    CAR_ANYBODY,
    CAR_OF_TENANT, /* a tenant's credential */
    CAR_OF_ADMIN, /* the administrator; and where the path names a tenant, its credential with the scope `admin`, but to
                     change or remove the tenant itself */
    CAR_OF_EITHER, /* the administrator, or any credential of the tenant that the path names */
};

/* What can stand for a segment of a path, where the resource's path has a name in braces. */
struct car_route_segments {
    struct car_span id, kid;
};

/* A resource: where it lives, and what answers for it. */
struct car_route {
    struct car_span path; /* {id} and {kid} stand for one segment each; a path that is spelled out comes first */
    car_handler *get, *post, *patch, *del;
    enum car_asker asker;
    bool any; /* `get` answers whatever the method */
};

/* The resource at a decoded path; NULL where there is none. *segments borrows from the path. */
const struct car_route *car_route_find(struct car_span path, struct car_route_segments *segments);

/* What answers the method there; NULL where nothing does. */
car_handler *car_route_handler(const struct car_route *route, enum car_http_method verb);

/* Appends the header line that tells the methods (RFC 9110, section 10.2.1); of what is no resource, a file's. */
void car_route_allow(const struct car_route *route, struct car_buf *out);

#endif
