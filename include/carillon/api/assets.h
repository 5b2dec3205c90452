#ifndef CARILLON_API_ASSETS_H
#define CARILLON_API_ASSETS_H

#include <stddef.h>

#include "carillon/base/span.h"

/* One representation of a file. `data` is NULL where there is no such representation; `etag` is a strong entity tag
 * with its quotes (RFC 9110, section 8.8.3), of these very bytes: two representations never share one. */
struct car_asset_body {
    const unsigned char *data;
    size_t len;
    const char *etag;
};

/* A file of static/, embedded at build time. Static storage, immutable, any thread. */
struct car_asset {
    const char *path; /* absolute URL path, "/js/main.js"; the start page is both "/" and "/index.html" */
    const char *type; /* value for Content-Type */
    struct car_asset_body identity;
    struct car_asset_body gzip; /* absent (data is NULL) where compressing gains nothing */
};

/* The asset at that URL path, byte for byte and without a query; NULL where there is none. Static storage; any
 * thread. */
const struct car_asset *car_asset_find(struct car_span path);

/* All of them in byte order of their paths, for whoever lists them: made by tools/embed. */
extern const struct car_asset car_assets[];
extern const size_t car_assets_count;

#endif
