#ifndef CARILLON_RUNTIME_TSAN_CK_H
#define CARILLON_RUNTIME_TSAN_CK_H

/*
 * Included ahead of everything (-include) in builds with ThreadSanitizer, and in no other. The sanitizer does not see
 * into inline assembly, so the operations that Concurrency Kit's inline headers (ck_ring.h, ck_stack.h, ck_epoch.h) use
 * become builtins, with the order they have on x86-64: a load acquires, a store releases, the rest does both.
 *
 * Left alone on purpose:
 *   the copies into and out of a ring's slots: being plain memory to the sanitizer, they prove that p_tail and c_head
 *   order them (spsc and mpsc only; a taker that copies before it owns the slot, as mpmc does, would be reported);
 *   the fences: the sanitizer does not model them, and the real instructions do no harm.
 *
 * ck_pr.h comes first, so that what it defines itself keeps its meaning.
 */
#include <ck_pr.h>

#include "carillon/runtime/tsan.h"

#ifndef CAR_TSAN
#error "tsan_ck.h belongs into builds with -fsanitize=thread only"
#endif

static inline void *car_tsan_load_ptr(const void *src) {
    return __atomic_load_n((void *const *)src, __ATOMIC_ACQUIRE);
}

static inline void car_tsan_store_ptr(void *dst, const void *value) {
    __atomic_store_n((const void **)dst, value, __ATOMIC_RELEASE);
}

static inline void *car_tsan_fas_ptr(void *dst, void *value) {
    return __atomic_exchange_n((void **)dst, value, __ATOMIC_ACQ_REL);
}

static inline bool car_tsan_cas_ptr_value(void *dst, void *compare, void *set, void *seen) {
    bool won = __atomic_compare_exchange_n((void **)dst, &compare, set, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    *(void **)seen = compare;
    return won;
}

static inline bool car_tsan_cas_ptr(void *dst, void *compare, void *set) {
    return __atomic_compare_exchange_n((void **)dst, &compare, set, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline bool car_tsan_cas_uint_value(unsigned *dst, unsigned compare, unsigned set, unsigned *seen) {
    bool won = __atomic_compare_exchange_n(dst, &compare, set, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    *seen = compare;
    return won;
}

static inline bool car_tsan_cas_uint(unsigned *dst, unsigned compare, unsigned set) {
    return __atomic_compare_exchange_n(dst, &compare, set, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#undef ck_pr_load_ptr
#undef ck_pr_store_ptr
#undef ck_pr_load_uint
#undef ck_pr_store_uint

#define ck_pr_load_ptr(src)                     ((__typeof__(*(src)))car_tsan_load_ptr(src))
#define ck_pr_store_ptr(dst, value)             car_tsan_store_ptr((dst), (value))
#define ck_pr_fas_ptr(dst, value)               car_tsan_fas_ptr((dst), (value))
#define ck_pr_cas_ptr(dst, old, new)            car_tsan_cas_ptr((dst), (old), (new))
#define ck_pr_cas_ptr_value(dst, old, new, out) car_tsan_cas_ptr_value((dst), (old), (new), (out))

#define ck_pr_load_uint(src)                     __atomic_load_n((src), __ATOMIC_ACQUIRE)
#define ck_pr_store_uint(dst, value)             __atomic_store_n((dst), (value), __ATOMIC_RELEASE)
#define ck_pr_fas_uint(dst, value)               __atomic_exchange_n((dst), (value), __ATOMIC_ACQ_REL)
#define ck_pr_faa_uint(dst, value)               __atomic_fetch_add((dst), (value), __ATOMIC_ACQ_REL)
#define ck_pr_cas_uint(dst, old, new)            car_tsan_cas_uint((dst), (old), (new))
#define ck_pr_cas_uint_value(dst, old, new, out) car_tsan_cas_uint_value((dst), (old), (new), (out))
#define ck_pr_inc_uint(dst)                      ((void)__atomic_fetch_add((dst), 1u, __ATOMIC_ACQ_REL))
#define ck_pr_dec_uint(dst)                      ((void)__atomic_fetch_sub((dst), 1u, __ATOMIC_ACQ_REL))
#define ck_pr_add_uint(dst, value)               ((void)__atomic_fetch_add((dst), (value), __ATOMIC_ACQ_REL))
#define ck_pr_sub_uint(dst, value)               ((void)__atomic_fetch_sub((dst), (value), __ATOMIC_ACQ_REL))

#endif
