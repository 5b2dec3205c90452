#ifndef CARILLON_GUARD_SIGNER_H
#define CARILLON_GUARD_SIGNER_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * A key of tokens, as their grants know it: whether tokens that it signed are taken still. Counted by reference: each
 * verifier that is for the key has one, and so has each grant of a token that was signed with it; the last one frees
 * it. Read by any thread; nothing changes but `gone`, which whoever loads keys turns on, once.
 */
struct car_signer {
    atomic_uint refs;
    atomic_bool gone;
};

/* One with one reference, the caller's. NULL without memory. */
struct car_signer *car_signer_new(void);

static inline struct car_signer *car_signer_ref(struct car_signer *signer) {
    if (signer) {
        atomic_fetch_add_explicit(&signer->refs, 1, memory_order_relaxed);
    }
    return signer;
}

/* Drops a reference and nulls the pointer; NULL inside is allowed. */
void car_signer_unref(struct car_signer **signer);

/* false of NULL. */
static inline bool car_signer_is_gone(const struct car_signer *signer) {
    return signer && atomic_load_explicit(&signer->gone, memory_order_acquire);
}

#endif
