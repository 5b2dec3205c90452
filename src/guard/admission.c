#include "carillon/guard/admission.h"

#include "carillon/base/crypto.h"
#include "carillon/guard/recent.h"

#define NS_PER_MS    UINT64_C(1000000)
#define NS_PER_S     UINT64_C(1000000000)
#define FAIR         2     /* times what is left: more is coarser, for what is left is counted in whole units */
#define REFUSED_MS   5000  /* lately, of those who were refused */
#define SPREAD_MAX_S 30    /* between two who were refused in the same second */
#define NEWS_MS      60000 /* between two lines of the log */

void car_admission_init(struct car_admission *admission, const struct car_rate_limit *limit) {
    admission->gcra = car_gcra_make(limit);
    admission->window_ms = limit->window_ms;
}

/* Those who were refused lately come again; they get in at the rate that there is. */
static unsigned spread_s(const struct car_admission *admission, uint64_t now_ms) {
    float refused = car_recent_read(&admission->refused, REFUSED_MS, now_ms);
    float seconds = refused * (float)admission->window_ms / 1000 / (float)admission->gcra.count;
    return seconds < 1 ? 1 : seconds < SPREAD_MAX_S ? (unsigned)seconds : SPREAD_MAX_S;
}

static unsigned retry_s(const struct car_admission *admission, const struct car_rate_state *how, uint64_t now_ms) {
    uint32_t random;
    car_random(&random, sizeof random);
    uint64_t first = (how->retry + NS_PER_S - 1) / NS_PER_S;
    return (unsigned)(first ? first : 1) + random % (spread_s(admission, now_ms) + 1);
}

bool car_admission_ask(struct car_admission *admission, _Atomic uint64_t *came, uint64_t now_ns, unsigned *retry) {
    const struct car_gcra *gcra = &admission->gcra;
    uint64_t now_ms = now_ns / NS_PER_MS;
    struct car_rate_state how;
    if (gcra->count == 0) {
        return true;
    }
    came = came ? came : &admission->nobody;
    (void)car_gcra_take(&admission->state, gcra, now_ns, 0, &how);
    float had = car_recent_read(came, admission->window_ms, now_ms);
    if (had + 1 <= FAIR * (float)how.remaining && car_gcra_take(&admission->state, gcra, now_ns, 1, &how) == 0) {
        car_recent_add(came, admission->window_ms, now_ms);
        return true;
    }
    car_recent_add(&admission->refused, REFUSED_MS, now_ms);
    *retry = retry_s(admission, &how, now_ms);
    return false;
}

bool car_admission_is_news(struct car_admission *admission, uint64_t now_ns) {
    uint64_t now_ms = now_ns / NS_PER_MS;
    uint64_t said = atomic_load_explicit(&admission->said_ms, memory_order_relaxed);
    return (said == 0 || now_ms - said > NEWS_MS) &&
           atomic_compare_exchange_strong_explicit(&admission->said_ms, &said, now_ms, memory_order_relaxed,
                                                   memory_order_relaxed);
}
