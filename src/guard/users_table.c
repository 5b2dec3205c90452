#include "users_table.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/guard/grant.h"

struct car_user_table *car_user_table_new(void) {
    return calloc(1, sizeof(struct car_user_table));
}

void car_user_table_free(struct car_user_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        car_grant_unref(&table->users[i].grant);
    }
    free(table->users);
    free(table);
}

int car_user_table_add(struct car_user_table *table, const uint8_t digest[CAR_DIGEST_LEN], size_t line,
                       struct car_grant *grant) {
    if (table->count == table->room) {
        size_t room = table->room ? table->room * 2 : 16;
        struct car_user *more = reallocarray(table->users, room, sizeof *more);
        if (!more) {
            car_grant_unref(&grant);
            return CAR_ENOMEM;
        }
        table->users = more;
        table->room = room;
    }
    struct car_user *user = &table->users[table->count++];
    memcpy(user->digest, digest, CAR_DIGEST_LEN);
    user->line = line;
    user->grant = grant;
    return 0;
}

static int by_digest(const void *a, const void *b) {
    return memcmp(a, b, CAR_DIGEST_LEN); /* the first member */
}

void car_user_table_sort(struct car_user_table *table) {
    if (table->count) {
        qsort(table->users, table->count, sizeof *table->users, by_digest);
    }
}

struct car_user *car_user_table_find(const struct car_user_table *table, const uint8_t digest[CAR_DIGEST_LEN]) {
    return table->count ? bsearch(digest, table->users, table->count, sizeof *table->users, by_digest) : NULL;
}
