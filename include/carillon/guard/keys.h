#ifndef CARILLON_GUARD_KEYS_H
#define CARILLON_GUARD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/feed/account.h"
#include "carillon/runtime/reclaim.h"

struct car_grant;
struct car_tenant;

/*
 * An API key: "car_", so that secret scanners know it, and 44 characters of base64url, which are 264 random bits. The
 * text is shown once, to whom it was made for; what is kept is its SHA-256.
 */
#define CAR_KEY_SCHEME "car_"
#define CAR_KEY_TEXT   48
#define CAR_KEY_PREFIX 12 /* of the text, by which people tell their keys: 48 bits of the 264 */
#define CAR_KEY_ID     20 /* characters of base64url */
#define CAR_KEY_DIGEST 32

/* A key that is good. Never changes. */
struct car_key {
    struct car_account_key account; /* `tenant` in it is not looked at */
    struct car_grant *grant;        /* the key's reference; its tenant is whose the key is */
    struct car_retired retired;
};

/*
 * The keys of all tenants: a ck_hs by digest. Readers: any thread, inside a reader's section, no lock. Writers: one at
 * a time, behind a mutex; they are rare. Ordering: a key is whole before ck_hs_put stores the pointer to it. A key that
 * was taken out is retired by whoever did, and so is a table that was outgrown.
 */
struct car_keys;

/* NULL without memory. */
struct car_keys *car_keys_new(void);

/* All threads have ended. Nulls the pointer; NULL inside is allowed. */
void car_keys_free(struct car_keys **keys);

/* Makes a key's text, id and digest, all of them new. `text` has room for CAR_KEY_TEXT characters, and no NUL. */
void car_key_make(struct car_key *key, char *text);

/* Adds a copy of the key, with a reference of its own to the grant. 0; CAR_EEXIST (its digest is there),
 * CAR_ENOMEM. Any thread with a reader. */
int car_keys_add(struct car_keys *keys, struct car_reader *reader, const struct car_key *key);

/* Takes a tenant's key out, and ends its grant: nobody is let in with it any more. 0; CAR_ENOENT. Any thread with a
 * reader. */
int car_keys_remove(struct car_keys *keys, struct car_reader *reader, const struct car_tenant *tenant,
                    struct car_span id);

/* Does that with all keys of a tenant, and returns how many they were. */
size_t car_keys_remove_all(struct car_keys *keys, struct car_reader *reader, const struct car_tenant *tenant);

/* Whether the tenant has a key of that id. Takes the writers' mutex. */
bool car_keys_has(struct car_keys *keys, const struct car_tenant *tenant, struct car_span id);

/* Calls `visit` for each key of the tenant, in no particular order. It must not add or remove. Takes the writers'
 * mutex. */
void car_keys_each(struct car_keys *keys, const struct car_tenant *tenant,
                   void (*visit)(const struct car_key *key, void *user), void *user);

/* Whose key it is: a reference for the caller, or NULL. Any thread with a reader. No lock. */
struct car_grant *car_keys_find(struct car_keys *keys, struct car_reader *reader, struct car_span text);

#endif
