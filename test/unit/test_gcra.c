#include "carillon/guard/gcra.h"

#include <stdlib.h>

#include "carillon/base/err.h"

#include "suite.h"

#define MS      UINT64_C(1000000)
#define S       (1000 * MS)
#define DAY     (86400 * S)
#define YEAR    (365 * DAY)
#define LOG_MAX 20000

__extension__ typedef __int128 wide;

/* The last of those that are not exact, where a unit is less than 64 ns' worth of ticks. */
static const struct car_rate_limit LIMITS[] = {
    {10, 5000},
    {300, 1000},
    {7, 3000},
    {1, 86400000},
    {1, 1},
    {1000000, 1000},
    {100, 900000},
    {64, 1000},
    {65, 1000},
    {997, 1000},
    {777, 86399999},
    {123457, 3600000},
    {1000000000, 1000},
    {999999937, 86400000},
    {999999999, 1000},
    {1000000000, 86400000},
};
#define LIMITS_COUNT (sizeof LIMITS / sizeof *LIMITS)

static uint64_t random_below(uint64_t bound) {
    static uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D) % bound;
}

static uint64_t window_ns(const struct car_rate_limit *limit) {
    return limit->window_ms * MS;
}

static bool exact(const struct car_gcra *gcra, const struct car_rate_limit *limit) {
    return (wide)gcra->unit * (wide)limit->count == (wide)window_ns(limit) * (wide)gcra->per_ns;
}

/* The algorithm as it is in books, with moments in nanoseconds times `count`, which is exact. */
struct model {
    const struct car_rate_limit *limit;
    wide tat;
};

static wide model_ahead(const struct model *m, uint64_t now) {
    wide ahead = m->tat - (wide)now * (wide)m->limit->count;
    return ahead > 0 ? ahead : 0;
}

static wide model_room(const struct model *m, uint64_t now) {
    return (wide)m->limit->count * (wide)window_ns(m->limit) - model_ahead(m, now);
}

static bool model_take(struct model *m, uint64_t now, uint64_t cost) {
    wide price = (wide)cost * (wide)window_ns(m->limit);
    bool fits = price <= model_room(m, now);
    if (fits && cost) {
        m->tat = (wide)now * (wide)m->limit->count + model_ahead(m, now) + price;
    }
    return fits;
}

/* What was let through, in order of time. */
struct log {
    size_t count;
    struct {
        uint64_t at, cost;
        bool given_back;
    } takes[LOG_MAX];
};

/* Between any two takes no more than count + count * elapsed / window. */
static bool conforms(const struct log *log, const struct car_rate_limit *limit) {
    wide allowance = (wide)limit->count * (wide)window_ns(limit);
    wide sum = 0, worst = 0;
    bool any = false;
    for (size_t i = 0; i < log->count; i++) {
        if (log->takes[i].given_back) {
            continue;
        }
        wide moment = (wide)log->takes[i].at * (wide)limit->count;
        if (!any || moment - sum > worst) {
            worst = moment - sum;
            any = true;
        }
        sum += (wide)log->takes[i].cost * (wide)window_ns(limit);
        if (sum + worst - moment > allowance) {
            return false;
        }
    }
    return true;
}

static uint64_t random_cost(const struct car_rate_limit *limit) {
    uint64_t kind = random_below(10);
    return kind < 5   ? 1
           : kind < 8 ? random_below(limit->count < 20 ? limit->count + 2 : limit->count / 10)
                      : random_below(limit->count + 2);
}

static uint64_t random_step(const struct car_rate_limit *limit) {
    uint64_t kind = random_below(20);
    return kind < 6    ? 0
           : kind < 12 ? random_below(window_ns(limit) / limit->count + 2)
           : kind < 19 ? random_below(window_ns(limit) / 4)
                       : random_below(3 * window_ns(limit));
}

static void check_state(const struct car_gcra *gcra, const struct model *m, uint64_t now, uint64_t cost, bool took,
                        const struct car_rate_state *out) {
    wide per_unit = (wide)window_ns(m->limit);
    wide count = (wide)m->limit->count;
    wide room = model_room(m, now);
    CU_ASSERT_EQUAL(out->remaining, (uint64_t)(room / per_unit));
    CU_ASSERT_EQUAL(out->reset, (uint64_t)((model_ahead(m, now) + count - 1) / count));
    wide until_more = out->remaining < gcra->count ? ((wide)out->remaining + 1) * per_unit - room : per_unit;
    CU_ASSERT_EQUAL(out->next, (uint64_t)((until_more + count - 1) / count));
    if (took) {
        CU_ASSERT_EQUAL(out->retry, 0);
    } else if (cost > gcra->count) {
        CU_ASSERT_EQUAL(out->retry, CAR_RATE_NEVER);
    } else {
        CU_ASSERT_EQUAL(out->retry, (uint64_t)(((wide)cost * per_unit - room + count - 1) / count));
    }
}

static void play(const struct car_rate_limit *limit, uint64_t now) {
    static struct log log;
    struct car_gcra gcra = car_gcra_make(limit);
    struct model model = {.limit = limit, .tat = (wide)now * (wide)limit->count};
    _Atomic uint64_t state = car_gcra_fresh(&gcra, now);
    log.count = 0;
    for (unsigned i = 0; i < LOG_MAX; i++) {
        now += random_step(limit);
        uint64_t cost = random_cost(limit);
        struct car_rate_state out;
        int err = car_gcra_take(&state, &gcra, now, cost, &out);
        CU_ASSERT_EQUAL(err == CAR_ETOOBIG, cost > limit->count);
        CU_ASSERT_EQUAL(atomic_load(&state) % 2, 0);
        if (err == 0 && cost) {
            log.takes[log.count].at = now;
            log.takes[log.count].cost = cost;
            log.takes[log.count++].given_back = false;
        }
        if (exact(&gcra, limit)) {
            CU_ASSERT_EQUAL(err == 0, model_take(&model, now, cost));
            check_state(&gcra, &model, now, cost, err == 0, &out);
        } else if (err == CAR_EFULL) { /* what is promised holds, not a nanosecond later than it has to */
            struct car_rate_state later;
            _Atomic uint64_t copy = atomic_load(&state);
            CU_ASSERT_EQUAL(car_gcra_take(&copy, &gcra, now + out.retry - 1, cost, &later), CAR_EFULL);
            CU_ASSERT_EQUAL(car_gcra_take(&copy, &gcra, now + out.retry, cost, &later), 0);
        }
    }
    CU_ASSERT_TRUE(log.count > 100);
    CU_ASSERT_TRUE(conforms(&log, limit));
}

static void against_the_model(void) {
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        play(&LIMITS[i], 12345);
        play(&LIMITS[i], 9 * YEAR + random_below(YEAR));
    }
}

/* The ticks wrap under a state in use, and the limit is kept as ever. */
static void clock_times_ticks_wraps(void) {
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        struct car_gcra gcra = car_gcra_make(&LIMITS[i]);
        uint64_t wraps = UINT64_MAX / gcra.per_ns;
        if (gcra.per_ns > 2) {
            play(&LIMITS[i], wraps - window_ns(&LIMITS[i]) * 20);
            play(&LIMITS[i], wraps / 2 - window_ns(&LIMITS[i]) * 20);
        }
    }
}

static uint64_t take_all(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now) {
    struct car_rate_state out;
    uint64_t taken = 0;
    while (car_gcra_take(state, gcra, now, 1, &out) == 0) {
        taken++;
    }
    return taken;
}

/* From a used-up start, one at a time, whenever there is one: at least 98 % of the allowance, and never more. */
static void saturated(void) {
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        const struct car_rate_limit *limit = &LIMITS[i];
        struct car_gcra gcra = car_gcra_make(limit);
        struct car_rate_state out;
        uint64_t begun = YEAR + random_below(S);
        uint64_t now = begun;
        uint64_t taken = 0;
        uint64_t step = window_ns(limit) / limit->count * 3 / 2 + 7;
        _Atomic uint64_t state = car_gcra_fresh(&gcra, now);
        CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, now, limit->count, &out), 0);
        while (taken < 300000 && now - begun < 20 * YEAR &&
               (limit->count == 1 || step * 3 < window_ns(limit) || taken < 1000)) {
            now += limit->count == 1 ? window_ns(limit) : random_below(step) + 1;
            taken += take_all(&state, &gcra, now);
        }
        wide allowed = (wide)limit->count * (wide)(now - begun);
        CU_ASSERT_TRUE((wide)taken * (wide)window_ns(limit) <= allowed);
        CU_ASSERT_TRUE((wide)(taken + 1) * (wide)window_ns(limit) * 100 >= allowed * 98);
        if (exact(&gcra, limit)) {
            CU_ASSERT_EQUAL(taken, (uint64_t)(allowed / (wide)window_ns(limit)));
        }
    }
}

static void costs(void) {
    struct car_gcra gcra = car_gcra_make(&(struct car_rate_limit){10, 5000});
    _Atomic uint64_t state = car_gcra_fresh(&gcra, S);
    struct car_rate_state out;
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 0, &out), 0);
    CU_ASSERT_EQUAL(out.remaining, 10);
    CU_ASSERT_EQUAL(out.reset, 0);
    CU_ASSERT_EQUAL(out.next, S / 2);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 11, &out), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(out.retry, CAR_RATE_NEVER);
    CU_ASSERT_EQUAL(out.remaining, 10);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, UINT64_MAX, &out), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 7, &out), 0);
    CU_ASSERT_EQUAL(out.remaining, 3);
    CU_ASSERT_EQUAL(out.reset, 7 * S / 2);
    CU_ASSERT_EQUAL(out.next, S / 2);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 4, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(out.remaining, 3);
    CU_ASSERT_EQUAL(out.retry, S / 2);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 3, &out), 0);
    CU_ASSERT_EQUAL(out.remaining, 0);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S + S / 2 - 1, 1, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(out.retry, 1);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S + S / 2, 1, &out), 0);
}

static void no_limit(void) {
    struct car_gcra gcra = car_gcra_make(&(struct car_rate_limit){0});
    _Atomic uint64_t state = 0;
    struct car_rate_state out;
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, UINT64_MAX, &out), 0);
        CU_ASSERT_EQUAL(out.remaining, UINT64_MAX);
        CU_ASSERT_EQUAL(out.reset + out.next + out.retry, 0);
    }
}

/* A burst at one moment is the whole count, whatever a unit is rounded to; who comes with an older now finds no more.
 */
static void time_stands_still_or_is_late(void) {
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        if (LIMITS[i].count > 1000000) {
            continue;
        }
        struct car_gcra gcra = car_gcra_make(&LIMITS[i]);
        uint64_t now = YEAR;
        struct car_rate_state out;
        _Atomic uint64_t state = car_gcra_fresh(&gcra, now);
        CU_ASSERT_EQUAL(take_all(&state, &gcra, now), LIMITS[i].count);
        CU_ASSERT_EQUAL(take_all(&state, &gcra, now), 0);
        uint64_t before = now - 2 * window_ns(&LIMITS[i]) < now ? now - 2 * window_ns(&LIMITS[i]) : 0;
        CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, before, 1, &out), CAR_EFULL);
        CU_ASSERT_EQUAL(out.remaining, 0);
        CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, before + out.retry, 1, &out), 0);
        CU_ASSERT_EQUAL(take_all(&state, &gcra, now), 0);
    }
}

static uint64_t clock_now;

static uint64_t clock_read(void) {
    return clock_now;
}

static void give_back(void) {
    struct car_gcra gcra = car_gcra_make(&(struct car_rate_limit){10, 5000});
    struct car_rate_state out;
    clock_now = DAY;
    _Atomic uint64_t state = car_gcra_fresh(&gcra, clock_now);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now, 10, &out), 0);
    car_gcra_give_back(&state, &gcra, clock_now, 10, clock_read);
    CU_ASSERT_EQUAL(take_all(&state, &gcra, clock_now), 10);
    car_gcra_give_back(&state, &gcra, clock_now, 4, clock_read); /* of what others have added to since */
    CU_ASSERT_EQUAL(take_all(&state, &gcra, clock_now), 4);
    clock_now += S; /* 2 are there again; 1 of 3 is what the time has not refilled */
    car_gcra_give_back(&state, &gcra, clock_now - S, 3, clock_read);
    CU_ASSERT_EQUAL(take_all(&state, &gcra, clock_now), 3);
    clock_now += 5 * S;
    CU_ASSERT_EQUAL(take_all(&state, &gcra, clock_now), 10);
    car_gcra_give_back(&state, &gcra, clock_now - 6 * S, 10, clock_read); /* long refilled */
    car_gcra_give_back(&state, &gcra, clock_now, 11, clock_read);         /* was never taken */
    CU_ASSERT_EQUAL(take_all(&state, &gcra, clock_now), 0);
}

/* Takes that are given back sooner or later, or never, and others between them: what stays keeps to the limit. */
static void give_back_at_random(void) {
    static struct log log;
    for (size_t i = 0; i < LIMITS_COUNT * 4; i++) {
        const struct car_rate_limit *limit = &LIMITS[i % LIMITS_COUNT];
        struct car_gcra gcra = car_gcra_make(limit);
        clock_now = DAY;
        _Atomic uint64_t state = car_gcra_fresh(&gcra, clock_now);
        log.count = 0;
        for (unsigned j = 0; j < LOG_MAX; j++) {
            clock_now += random_step(limit);
            uint64_t cost = random_cost(limit);
            struct car_rate_state out;
            if (random_below(3) == 0 && log.count) {
                size_t back = log.count - 1 - random_below(log.count < 6 ? log.count : 6);
                if (!log.takes[back].given_back) {
                    car_gcra_give_back(&state, &gcra, log.takes[back].at, log.takes[back].cost, clock_read);
                    log.takes[back].given_back = true;
                }
            } else if (car_gcra_take(&state, &gcra, clock_now, cost, &out) == 0 && cost) {
                log.takes[log.count].at = clock_now;
                log.takes[log.count].cost = cost;
                log.takes[log.count++].given_back = false;
            }
        }
        CU_ASSERT_TRUE(conforms(&log, limit));
    }
}

static void ends_when_full(void) {
    struct car_gcra gcra = car_gcra_make(&(struct car_rate_limit){7, 3000});
    struct car_rate_state out = {.remaining = 77};
    clock_now = DAY;
    _Atomic uint64_t state = car_gcra_fresh(&gcra, clock_now);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now, 7, &out), 0);
    CU_ASSERT_FALSE(car_gcra_end(&state, &gcra, clock_now));
    CU_ASSERT_FALSE(car_gcra_end(&state, &gcra, clock_now + 3 * S - 1));
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now + 3 * S - 1, 0, &out), 0);
    CU_ASSERT_TRUE(car_gcra_end(&state, &gcra, clock_now + 3 * S));
    CU_ASSERT_FALSE(car_gcra_end(&state, &gcra, clock_now + 3 * S));
    out.remaining = 77;
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now + 3 * S, 1, &out), CAR_ECLOSED);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now + DAY, 0, &out), CAR_ECLOSED);
    CU_ASSERT_EQUAL(out.remaining, 77);
    car_gcra_give_back(&state, &gcra, clock_now, 7, clock_read);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, clock_now, 1, &out), CAR_ECLOSED);
}

static void the_worse_of_two(void) {
    CU_ASSERT_EQUAL(car_gcra_worse(10, 20), 20);
    CU_ASSERT_EQUAL(car_gcra_worse(20, 10), 20);
    CU_ASSERT_EQUAL(car_gcra_worse(20, 20), 20);
    CU_ASSERT_EQUAL(car_gcra_worse(UINT64_MAX - 3, 10), 10); /* it has wrapped */
    CU_ASSERT_EQUAL(car_gcra_worse(10, UINT64_MAX - 3), 10);
}

static const struct car_test TESTS[] = {
    {"against the model", against_the_model},
    {"the clock times ticks wraps", clock_times_ticks_wraps},
    {"saturated", saturated},
    {"costs", costs},
    {"no limit", no_limit},
    {"time stands still, or is late", time_stands_still_or_is_late},
    {"a take given back", give_back},
    {"takes given back at random", give_back_at_random},
    {"ends when everything is there", ends_when_full},
    {"the worse of two", the_worse_of_two},
};

int main(void) {
    return car_suite_main("gcra", TESTS, sizeof TESTS / sizeof *TESTS);
}
