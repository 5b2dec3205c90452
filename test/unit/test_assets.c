#include "carillon/api/assets.h"
#include "carillon/base/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "suite.h"

static const struct car_asset *find(const char *path) {
    return car_asset_find(car_span_cstr(path));
}

/* A copy, for tests that go on to read it; empty where there is none. */
static struct car_asset take(const char *path) {
    const struct car_asset *asset = find(path);

    CU_ASSERT_PTR_NOT_NULL(asset);
    return asset ? *asset : (struct car_asset){.type = ""};
}

/* Whether the gzip member in `gzip` unpacks to just the bytes of `identity`. */
static bool gunzips_to(const struct car_asset_body *gzip, const struct car_asset_body *identity) {
    unsigned char *input = malloc(gzip->len);
    unsigned char *output = malloc(identity->len + 1);
    z_stream z = {.avail_in = (uInt)gzip->len, .avail_out = (uInt)(identity->len + 1)};
    bool same = false;

    if (input != NULL && output != NULL && inflateInit2(&z, 15 + 16) == Z_OK) {
        memcpy(input, gzip->data, gzip->len); /* zlib's next_in is not const */
        z.next_in = input;
        z.next_out = output;
        same = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0 && z.total_out == identity->len &&
               memcmp(output, identity->data, identity->len) == 0;
        inflateEnd(&z);
    }
    free(output);
    free(input);
    return same;
}

static bool etag_is_of(const struct car_asset_body *body) {
    char want[2 + 32 + 1];
    uint8_t digest[32];
    size_t at = 0;

    car_sha256(body->data, body->len, digest);
    want[at++] = '"';
    for (size_t i = 0; i < 16; i++) {
        at += (size_t)snprintf(want + at, sizeof want - at, "%02x", (unsigned)digest[i]);
    }
    want[at++] = '"';
    return car_span_eq(car_span_cstr(body->etag), car_span_of(want, at));
}

static void every_asset_is_found(void) {
    CU_ASSERT_TRUE_FATAL(car_assets_count >= 2);
    for (size_t i = 0; i < car_assets_count; i++) {
        const struct car_asset *asset = &car_assets[i];

        CU_ASSERT_PTR_EQUAL(find(asset->path), asset);
        CU_ASSERT_EQUAL(asset->path[0], '/');
        CU_ASSERT_PTR_NOT_NULL(strchr(asset->type, '/'));
        CU_ASSERT_PTR_NOT_NULL(asset->identity.data);
        if (i > 0) {
            CU_ASSERT_TRUE(strcmp(car_assets[i - 1].path, asset->path) < 0);
        }
    }
}

static void gzip_is_smaller_and_the_same(void) {
    size_t compressed = 0;

    for (size_t i = 0; i < car_assets_count; i++) {
        const struct car_asset *asset = &car_assets[i];

        if (asset->gzip.data != NULL) {
            compressed++;
            CU_ASSERT_TRUE(asset->gzip.len < asset->identity.len);
            CU_ASSERT_TRUE(gunzips_to(&asset->gzip, &asset->identity));
        }
    }
    CU_ASSERT_TRUE(compressed > 0);
}

static void entity_tags_are_of_the_bytes(void) {
    for (size_t i = 0; i < car_assets_count; i++) {
        const struct car_asset *asset = &car_assets[i];

        CU_ASSERT_TRUE(etag_is_of(&asset->identity));
        if (asset->gzip.data != NULL) {
            CU_ASSERT_TRUE(etag_is_of(&asset->gzip));
            CU_ASSERT_STRING_NOT_EQUAL(asset->gzip.etag, asset->identity.etag);
        } else {
            CU_ASSERT_PTR_NULL(asset->gzip.etag);
        }
    }
}

static void the_start_page_has_two_paths(void) {
    static const char doctype[] = "<!doctype html>";
    struct car_asset slash = take("/");
    struct car_asset index = take("/index.html");

    CU_ASSERT_PTR_EQUAL(slash.identity.data, index.identity.data);
    CU_ASSERT_PTR_EQUAL(slash.gzip.data, index.gzip.data);
    CU_ASSERT_STRING_EQUAL(slash.type, "text/html; charset=utf-8");
    CU_ASSERT_TRUE(slash.identity.len > sizeof doctype);
    if (slash.identity.len > sizeof doctype) {
        CU_ASSERT_EQUAL(memcmp(slash.identity.data, doctype, sizeof doctype - 1), 0);
    }
}

static void types_follow_the_ending(void) {
    CU_ASSERT_STRING_EQUAL(take("/js/main.js").type, "text/javascript; charset=utf-8");
    CU_ASSERT_STRING_EQUAL(take("/css/page.css").type, "text/css; charset=utf-8");
    CU_ASSERT_STRING_EQUAL(take("/favicon.svg").type, "image/svg+xml");
}

static void unknown_paths_are_null(void) {
    static const char *const unknown[] = {"",
                                          "index.html",
                                          "//",
                                          "/index",
                                          "/index.htm",
                                          "/index.html/",
                                          "/index.html?x",
                                          "/INDEX.HTML",
                                          "/js",
                                          "/js/",
                                          "/../static/index.html",
                                          "/js/../index.html",
                                          "/%69ndex.html",
                                          "/zzz",
                                          "\xff"};

    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        CU_ASSERT_PTR_NULL(find(unknown[i]));
    }
    CU_ASSERT_PTR_NULL(car_asset_find((struct car_span){0}));
    CU_ASSERT_PTR_NULL(car_asset_find(CAR_SPAN("/\0")));
    CU_ASSERT_PTR_NULL(car_asset_find(CAR_SPAN("/index.html\0")));
    CU_ASSERT_PTR_NULL(car_asset_find(CAR_SPAN("/index.html\0.js")));
}

/* A span is not NUL-terminated: what stands behind it does not count. */
static void only_the_span_counts(void) {
    static const char line[] = "/index.html HTTP/1.1";

    CU_ASSERT_PTR_EQUAL(car_asset_find(car_span_of(line, strlen("/index.html"))), find("/index.html"));
    CU_ASSERT_PTR_EQUAL(car_asset_find(car_span_of(line, 1)), find("/"));
    CU_ASSERT_PTR_NULL(car_asset_find(car_span_of(line, sizeof line - 1)));
}

static const struct car_test TESTS[] = {
    {"every asset is found by its path", every_asset_is_found},
    {"gzip is smaller and unpacks to the same bytes", gzip_is_smaller_and_the_same},
    {"entity tags are of the bytes", entity_tags_are_of_the_bytes},
    {"the start page has two paths", the_start_page_has_two_paths},
    {"types follow the ending", types_follow_the_ending},
    {"unknown paths are NULL", unknown_paths_are_null},
    {"only the span counts", only_the_span_counts},
};

int main(void) {
    return car_suite_main("assets", TESTS, sizeof TESTS / sizeof *TESTS);
}
