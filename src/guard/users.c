#include "carillon/guard/users.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/guard/grant.h"
#include "carillon/runtime/reclaim.h"

#include "users_table.h"

struct car_users {
    struct car_registry *registry;
    _Atomic(struct car_user_table *) table; /* never NULL */
};

struct car_users *car_users_new(struct car_registry *registry) {
    struct car_users *users = calloc(1, sizeof *users);
    struct car_user_table *none = car_user_table_new();
    if (!users || !none) {
        free(users);
        free(none);
        return NULL;
    }
    users->registry = registry;
    atomic_init(&users->table, none);
    return users;
}

void car_users_free(struct car_users **users) {
    if (*users) {
        car_user_table_free(atomic_load(&(*users)->table));
        free(*users);
        *users = NULL;
    }
}

static void free_retired(struct car_retired *retired) {
    car_user_table_free((struct car_user_table *)retired); /* its first member */
}

int car_users_load(struct car_users *users, struct car_reader *reader, const char *path, size_t *ended,
                   struct car_buf *error) {
    struct car_user_table *old = atomic_load_explicit(&users->table, memory_order_relaxed);
    struct car_user_table *table = car_user_table_new();
    if (!table) {
        return CAR_ENOMEM;
    }
    int err = car_user_table_read(table, path, users->registry, reader, error);
    if (err) {
        car_user_table_free(table);
        return err;
    }
    car_user_table_sort(table);
    for (size_t i = 0; i < table->count; i++) {
        struct car_user *was = car_user_table_find(old, table->users[i].digest);
        if (was && car_grant_same(was->grant, table->users[i].grant)) {
            car_grant_unref(&table->users[i].grant);
            table->users[i].grant = car_grant_ref(was->grant);
        }
    }
    *ended = 0;
    for (size_t i = 0; i < old->count; i++) {
        struct car_user *is = car_user_table_find(table, old->users[i].digest);
        if (!is || is->grant != old->users[i].grant) {
            atomic_store_explicit(&old->users[i].grant->ended, true, memory_order_release);
            ++*ended;
        }
    }
    atomic_store_explicit(&users->table, table, memory_order_release);
    car_reader_retire(reader, &old->retired, free_retired);
    return 0;
}

size_t car_users_count(const struct car_users *users) {
    return atomic_load_explicit(&users->table, memory_order_relaxed)->count;
}

struct car_grant *car_users_find(struct car_users *users, struct car_reader *reader, struct car_span token) {
    uint8_t digest[CAR_DIGEST_LEN];
    car_sha256(token.ptr, token.len, digest);
    car_reader_enter(reader);
    struct car_user_table *table = atomic_load_explicit(&users->table, memory_order_acquire);
    struct car_user *user = car_user_table_find(table, digest);
    struct car_grant *grant = user ? car_grant_ref(user->grant) : NULL;
    car_reader_leave(reader);
    return grant;
}
