#ifndef CARILLON_GUARD_USERS_H
#define CARILLON_GUARD_USERS_H

#include <stddef.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_grant;
struct car_reader;
struct car_registry;

/*
 * The users of `--auth token`, by the SHA-256 of their token: a table that never changes, and is replaced as a whole.
 *
 * Owner and only writer: the thread that loads (the process's main one). Readers: any thread, inside a reader's
 * section. Ordering: a table is whole before it is stored (release), and read after it was loaded (acquire). One that
 * was replaced is retired through the loader's reader; its grants live on in the connections that have them.
 */
struct car_users;

/* No users yet. NULL without memory. */
struct car_users *car_users_new(struct car_registry *registry);

/* All threads have ended. Nulls the pointer; NULL inside is allowed. */
void car_users_free(struct car_users **users);

/*
 * Reads the file, YAML (JSON is some): `users`, a list of maps with `tenant`, `name`, `token` or `token_sha256`, and,
 * where they are not to have publish and subscribe, `scopes`. Its tenants are made where they are not there. On success
 * whoever is in it is let in from now on; the grants of those that it does not have any more, or has otherwise, have
 * ended, and *ended says how many these are. Else nothing changes, and `error` says why in one line that begins with
 * the file and, where there is one, the line's number; it has nothing of a token in it. 0, CAR_EINVAL, CAR_ESYS,
 * CAR_EFULL (too many tenants), CAR_ENOMEM. The loading thread only.
 */
int car_users_load(struct car_users *users, struct car_reader *reader, const char *path, size_t *ended,
                   struct car_buf *error);

/* How many there are. The loading thread only. */
size_t car_users_count(const struct car_users *users);

/* Whose token it is: a reference for the caller, or NULL. Any thread with a reader. No lock. */
struct car_grant *car_users_find(struct car_users *users, struct car_reader *reader, struct car_span token);

#endif
