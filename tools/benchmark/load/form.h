#ifndef CARILLON_LOAD_FORM_H
#define CARILLON_LOAD_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct keys;

enum form_key { FORM_TENANT, FORM_API_KEY, FORM_REF };

/*
 * How one publish looks: head, key, middle, message, tail, where the key is the tenant's name, its API key, or
 * the number by which its acknowledgement refers to it. All messages of a run have the same length, so that everything
 * else stands fixed.
 */
struct form {
    enum form_key key;
    const struct keys *keys; /* of FORM_API_KEY; NULL where tenants are named */
    bool ws;                 /* a WebSocket message, else a whole HTTP request */
    struct bytes head, middle, tail;
    struct bytes scratch;
};

/* Appends one publish to what is to be sent. */
void form_write(struct form *form, struct bytes *out, uint32_t tenant, uint64_t ref, const char *message, size_t len);
void form_free(struct form *form);

#endif
