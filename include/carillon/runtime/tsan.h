#ifndef CARILLON_RUNTIME_TSAN_H
#define CARILLON_RUNTIME_TSAN_H

#include <stdint.h>

/*
 * ThreadSanitizer does not see what the compiled part of Concurrency Kit (ck_hs, ck_epoch) does, so the order that it
 * gives between threads is told by hand: release before the library publishes, acquire after it has handed over. Both
 * vanish in any other build, and neither replaces a fence.
 */
#if defined(__SANITIZE_THREAD__)
#define CAR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAR_TSAN 1
#endif
#endif

#ifdef CAR_TSAN
#include <sanitizer/tsan_interface.h>
#define CAR_TSAN_RELEASE(addr) __tsan_release((void *)(uintptr_t)(addr))
#define CAR_TSAN_ACQUIRE(addr) __tsan_acquire((void *)(uintptr_t)(addr))
#else
#define CAR_TSAN_RELEASE(addr) ((void)(addr))
#define CAR_TSAN_ACQUIRE(addr) ((void)(addr))
#endif

#endif
