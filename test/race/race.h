#ifndef CARILLON_TEST_RACE_RACE_H
#define CARILLON_TEST_RACE_RACE_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "carillon/runtime/tsan.h"

/* What the race tests share: how long to run, an end for what hangs, random stalls, a start that is really at once. */

#define RACE_WATCHDOG_S 150u

/* What a sanitizer costs, about; 1 without one. */
#if defined(CAR_TSAN)
#define RACE_COST 8u
#elif defined(__SANITIZE_ADDRESS__)
#define RACE_COST 2u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RACE_COST 2u
#endif
#endif
#ifndef RACE_COST
#define RACE_COST 1u
#endif

/* Scales a number of rounds down where each costs much more than natively. CARILLON_RACE_DIVISOR divides further. */
static inline unsigned race_rounds(unsigned natively) {
    unsigned divisor = RACE_COST;
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload")) {
        divisor = 200; /* valgrind, which also runs one thread at a time */
    }
    const char *wanted = getenv("CARILLON_RACE_DIVISOR");
    if (wanted && strtoul(wanted, NULL, 10) > 0) {
        divisor *= (unsigned)strtoul(wanted, NULL, 10);
    }
    return natively / divisor > 0 ? natively / divisor : 1;
}

/* Milliseconds of a clock that never goes back. */
static inline uint64_t race_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A machine that is busy with other things gets through fewer rounds: none of the tests goes on past `ms` for their
 * sake. `round` is only there so that the clock is not read in each. */
static inline bool race_time_up(uint64_t started_ms, unsigned ms, unsigned round) {
    return round % 64 == 63 && race_now_ms() - started_ms > ms;
}

static inline void race_fail(const char *what) {
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(EXIT_FAILURE);
}

static inline void race_on_alarm(int signal) {
    (void)signal;
    race_fail("race: hung, the watchdog ends it");
}

/* Ends the process with a failure where the whole suite takes longer than RACE_WATCHDOG_S. */
static inline void race_watch(void) {
    signal(SIGALRM, race_on_alarm);
    alarm(RACE_WATCHDOG_S);
}

/* xorshift64*: one state a thread, never 0. */
static inline uint32_t race_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

static inline uint64_t race_seed(unsigned thread) {
    return UINT64_C(0x9E3779B97F4A7C15) * (thread + 1);
}

/* Mostly nothing, sometimes some hundred cycles, seldom the rest of the time slice, hardly ever a real sleep: so that
 * threads meet in ever new ways. */
static inline void race_stall(uint64_t *state) {
    uint32_t dice = race_random(state) & 4095;
    if (dice < 512) {
        for (volatile uint32_t i = 0; i < dice; i++) {
        }
    } else if (dice < 544) {
        sched_yield();
    } else if (dice < 546) {
        usleep(50);
    }
}

/* Keeps the calling thread on the n-th processor that the process may use, counted round: a busy scheduler likes to put
 * threads that wait for one another on one processor, and there nothing races. */
static inline void race_pin(unsigned n) {
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) || CPU_COUNT(&usable) == 0) {
        return;
    }
    n %= (unsigned)CPU_COUNT(&usable);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &usable) && n-- == 0) {
            CPU_ZERO(&usable);
            CPU_SET(cpu, &usable);
            pthread_setaffinity_np(pthread_self(), sizeof usable, &usable);
            return;
        }
    }
}

static inline void race_join(const pthread_t *threads, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

#endif
