#include "carillon/api/assets.h"

/* As memcmp on the common part, the shorter first: the order that tools/embed sorts by. */
static int compare(struct car_span path, const char *entry) {
    size_t len = strlen(entry);
    size_t common = path.len < len ? path.len : len;
    int order = common > 0 ? memcmp(path.ptr, entry, common) : 0;

    if (order == 0) {
        order = (path.len > len) - (path.len < len);
    }
    return order;
}

const struct car_asset *car_asset_find(struct car_span path) {
    size_t low = 0;
    size_t high = car_assets_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(path, car_assets[middle].path);

        if (order == 0) {
            return &car_assets[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
