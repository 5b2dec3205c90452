#ifndef CARILLON_GUARD_ADMISSION_H
#define CARILLON_GUARD_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/guard/gcra.h"
#include "carillon/guard/rate_limit.h"

#define CAR_ADMISSION_COUNT_MAX 1000000 /* of its limit */

/*
 * How fast subscribers come in, of all tenants together, and whose turn it is when they are too many.
 *
 * The limit itself is one GCRA state for all. What keeps a tenant that storms from taking all of it is a dynamic
 * threshold (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998): a tenant
 * is let in only while what it has had lately is at most FAIR times what is left for everybody. A tenant that is alone
 * gets the whole rate, and of what may come at once all but 1 / (FAIR + 1); of k that storm each gets the k-th part;
 * and whoever comes next finds room at once, for as many as the others have, without anybody counting who is there.
 *
 * Any thread, without a lock: the state, and the count of the tenant, are changed by compare-and-swap. The look at what
 * is left and the take are two steps, so a tenant may get ahead of its share by as many as there are threads; nobody
 * ever gets ahead of the limit.
 */
struct car_admission {
    struct car_gcra gcra; /* count 0: no limit, everybody is let in */
    uint64_t window_ms;
    _Atomic uint64_t state;
    _Atomic uint64_t refused; /* lately: recent.h */
    _Atomic uint64_t nobody;  /* those who have not said yet whose they are */
    _Atomic uint64_t said_ms; /* when the log had it last; 0: never */
};

/* Before any thread uses it. `limit` with a count of CAR_ADMISSION_COUNT_MAX at most. */
void car_admission_init(struct car_admission *admission, const struct car_rate_limit *limit);

/* Whether one more may come in whose tenant has had `came` lately: a recent.h state, NULL for nobody's. Where not, when
 * it shall come back, in seconds: no sooner than there is room, and the later, and the more spread, the more there are.
 */
bool car_admission_ask(struct car_admission *admission, _Atomic uint64_t *came, uint64_t now_ns, unsigned *retry_s);

/* Whether the log should have it that somebody was refused: once a minute. */
bool car_admission_is_news(struct car_admission *admission, uint64_t now_ns);

#endif
