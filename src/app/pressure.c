#include "pressure.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/shares.h"
#include "carillon/net/listener.h"

#include "resources.h"

/* In percent of the budget: where new connections are refused, and where tenants are cut, which is to bring it down to
 * CALM; and where all is well again. */
#define TIGHT 80
#define CUT   90
#define CALM  70

/* It is looked at when half of what is left has come (feed/filling.h), and what else fills it, at so many bytes a
 * millisecond, could have filled that. */
#define FILLED_PER_MS (1 << 20)
#define OFTEN_MS      5
#define SELDOM_MS     1000

/* Where little or nothing is left, so much of the budget may come between two looks: one in so many parts. */
#define PARTS 64

/* All threads that need memory wait while the heap is asked what it keeps, and gives it back: so many milliseconds lie
 * in between or, where tenants are cut, so many times what it took, with the walk over all tenants that may follow. */
#define HEAP_MS    100
#define HEAP_TIMES 4

#define MIB (1 << 20)

enum state { ALL_WELL, REFUSING, CUTTING };

static const char *const NAMES[] = {[ALL_WELL] = "enough: new connections are accepted, and no tenant is cut",
                                    [REFUSING] = "short: new connections are refused, of those who use most",
                                    [CUTTING] = "very short: the tenants that use most are cut"};

struct car_pressure {
    struct car_feed *feed;
    struct car_reader *reader;
    uint64_t budget, page;
    int statm; /* negative: it cannot be opened, and nothing is known */
    enum state state;
    bool settled; /* the heap has just given back what it does not use: all that is resident is somebody's */
    uint64_t settled_us, took_us; /* when it last was (car_clock_mono_us), and how long that took, with what followed */
    struct car_shares_cut cut;
};

static uint64_t greater(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

struct car_pressure *car_pressure_new(struct car_feed *feed, struct car_reader *reader, uint64_t budget) {
    struct car_pressure *pressure = calloc(1, sizeof *pressure);
    if (pressure) {
        pressure->feed = feed;
        pressure->reader = reader;
        pressure->budget = budget;
        pressure->page = (uint64_t)sysconf(_SC_PAGESIZE);
        pressure->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    }
    return pressure;
}

void car_pressure_free(struct car_pressure **pressure) {
    struct car_pressure *p = *pressure;
    *pressure = NULL;
    if (p && p->statm >= 0) {
        close(p->statm);
    }
    free(p);
}

/* Bytes that are resident; 0 where that cannot be known (proc_pid_statm(5)). */
static uint64_t resident(const struct car_pressure *pressure) {
    char text[128];
    ssize_t n = pread(pressure->statm, text, sizeof text - 1, 0);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * pressure->page : 0;
}

/* What is in use. The heap keeps what has been freed for a while: where it comes to matter, it is given back. */
static uint64_t in_use(struct car_pressure *pressure, uint64_t now_us) {
    uint64_t bytes = resident(pressure);
    bool cut = bytes >= pressure->budget / 100 * CUT;
    uint64_t apart_us = cut ? HEAP_TIMES * pressure->took_us : HEAP_MS * UINT64_C(1000);
    pressure->settled = false;
    if (bytes < pressure->budget / 100 * CALM || now_us - pressure->settled_us < apart_us) {
        return bytes;
    }
    pressure->settled = true;
    if (mallinfo2().fordblks > pressure->budget / 20) {
        (void)malloc_trim(0);
    }
    return resident(pressure);
}

static enum state judge(const struct car_pressure *pressure, uint64_t used) {
    uint64_t percent = used / (pressure->budget / 100);
    if (percent >= CUT) {
        return CUTTING;
    }
    if (percent < CALM) {
        return ALL_WELL;
    }
    return pressure->state == ALL_WELL && percent >= TIGHT ? REFUSING : pressure->state;
}

static void change(struct car_pressure *pressure, enum state state, uint64_t used) {
    char line[160];
    snprintf(line, sizeof line, "memory: %llu of %llu MiB in use: %s", (unsigned long long)(used / MIB),
             (unsigned long long)(pressure->budget / MIB), NAMES[state]);
    if (state == ALL_WELL) {
        car_log_info("%s", line);
    } else {
        car_log_warn("%s", line);
    }
    car_resources_spare(state != ALL_WELL);
    pressure->state = state;
}

uint64_t car_pressure_look(struct car_pressure *pressure, struct car_listener *listener) {
    uint64_t begun_us = car_clock_mono_us();
    uint64_t used = in_use(pressure, begun_us);
    enum state state = judge(pressure, used);
    bool begins = state == CUTTING && pressure->state != CUTTING;
    if (state != ALL_WELL && (state != pressure->state || pressure->settled)) {
        car_shares_admit(pressure->feed, used - pressure->budget / 100 * CALM);
    }
    if (state != pressure->state) {
        change(pressure, state, used);
        car_listener_refuse(listener, state != ALL_WELL);
    }
    if (state == ALL_WELL) {
        car_shares_lift(pressure->feed);
    } else if (used >= pressure->budget / 100 * CUT && (begins || pressure->settled)) {
        /* What tenants have let go of may be resident for a moment; those who have little must not pay for that. */
        car_shares_set(pressure->feed, pressure->reader, used - pressure->budget / 100 * CALM, &pressure->cut);
    }
    if (pressure->settled) {
        pressure->settled_us = car_clock_mono_us();
        pressure->took_us = pressure->settled_us - begun_us;
    }
    uint64_t cut = pressure->budget / 100 * CUT;
    car_filling_set(&pressure->feed->filling, greater(used < cut ? (cut - used) / 2 : 0, pressure->budget / PARTS));
    uint64_t left = used < pressure->budget ? (pressure->budget - used) / 2 : 0;
    uint64_t ms = left / FILLED_PER_MS;
    return ms < OFTEN_MS ? OFTEN_MS : ms > SELDOM_MS ? SELDOM_MS : ms;
}
