#include "stall.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

#define TICK (CLOCK_NS_PER_S / 200)

/* Less is how long it takes to get going, and to be moved aside for a moment by the server that one has just woken. */
#define STALL (CLOCK_NS_PER_S / 1000)

int stall_open(struct stall *stall) {
    stall->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    stall->tick = clock_now() + TICK;
    struct timespec first = {(time_t)(stall->tick / CLOCK_NS_PER_S), (long)(stall->tick % CLOCK_NS_PER_S)};
    struct itimerspec ticks = {.it_interval = {.tv_nsec = TICK}, .it_value = first};
    if (stall->timer < 0 || timerfd_settime(stall->timer, TFD_TIMER_ABSTIME, &ticks, NULL) != 0) {
        return -1;
    }
    return stall->timer;
}

void stall_close(struct stall *stall) {
    close(stall->timer);
}

void stall_before_wait(struct stall *stall, uint64_t now) {
    uint64_t ran = clock_read(CLOCK_THREAD_CPUTIME_ID) - stall->cpu;
    uint64_t wall = now - stall->wall;
    stall->lost = stall->wall > 0 && wall > ran ? wall - ran : 0;
    stall->asleep = now;
}

static void add(struct stall *stall, uint64_t ns) {
    if (ns > STALL) {
        uint64_t ticks = atomic_load_explicit(&stall->ticks, memory_order_relaxed);
        atomic_store_explicit(&stall->ticks, ticks + 1 + ns / TICK, memory_order_relaxed);
    }
    if (ns > atomic_load_explicit(&stall->longest, memory_order_relaxed)) {
        atomic_store_explicit(&stall->longest, ns, memory_order_relaxed);
    }
}

void stall_after_wait(struct stall *stall, uint64_t now) {
    if (now >= stall->tick) {
        /* Before its first wait, a thread had no timer to look at. */
        if (stall->wall > 0) {
            add(stall, stall->tick < stall->asleep ? stall->lost + (now - stall->asleep) : now - stall->tick);
        }
        stall->tick += ((now - stall->tick) / TICK + 1) * TICK;
    }
    stall->wall = now;
    stall->cpu = clock_read(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t stall_restart(struct stall *stall) {
    atomic_store_explicit(&stall->longest, 0, memory_order_relaxed);
    return atomic_load_explicit(&stall->ticks, memory_order_relaxed);
}

void stall_read(const struct stall *stall, uint64_t before, uint64_t ns, struct starvation *worst) {
    uint64_t ticks = atomic_load_explicit(&stall->ticks, memory_order_relaxed) - before;
    double share = (double)(ticks * TICK) / (double)ns;
    uint64_t longest = atomic_load_explicit(&stall->longest, memory_order_relaxed);
    worst->share = share > worst->share ? share : worst->share;
    worst->longest = longest > worst->longest ? longest : worst->longest;
}
