#ifndef CARILLON_GUARD_USERS_TABLE_H
#define CARILLON_GUARD_USERS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/runtime/reclaim.h"

struct car_grant;
struct car_registry;

#define CAR_DIGEST_LEN 32 /* of SHA-256 */

struct car_user {
    uint8_t digest[CAR_DIGEST_LEN]; /* of the token */
    size_t line;                    /* where the file has it */
    struct car_grant *grant;        /* the table's reference */
};

/* The users that a file has. Once it is sorted any thread may look into it. */
struct car_user_table {
    struct car_retired retired; /* first */
    struct car_user *users;
    size_t count, room;
};

/* An empty one; NULL without memory. */
struct car_user_table *car_user_table_new(void);
void car_user_table_free(struct car_user_table *table);

/* Adds a user, and takes over the reference. 0 or CAR_ENOMEM, and the reference is dropped. */
int car_user_table_add(struct car_user_table *table, const uint8_t digest[CAR_DIGEST_LEN], size_t line,
                       struct car_grant *grant);

/* Puts them in the order in which they are found. */
void car_user_table_sort(struct car_user_table *table);

/* The user with that digest, of a sorted table; NULL where there is none. The digest of a secret tells nothing of it,
 * so that it does not matter how long a comparison takes. */
struct car_user *car_user_table_find(const struct car_user_table *table, const uint8_t digest[CAR_DIGEST_LEN]);

/* Adds what the file has; car_users_load says the rest. */
int car_user_table_read(struct car_user_table *table, const char *path, struct car_registry *registry,
                        struct car_reader *reader, struct car_buf *error);

#endif
