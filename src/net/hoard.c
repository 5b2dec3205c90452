#include "hoard.h"

#include <stdlib.h>

#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/net/net_metrics.h"
#include "carillon/runtime/worker.h"

#define AGAIN_MS 100

/* Each that is sent away is looked for among all: in one go so many are looked at, or those of so many looks. They are
 * to go faster than others come. */
#define LOOKS_MIN 8
#define SEEN_MAX  (1 << 16)

struct car_hoard {
    struct car_hoard *next, **pprev;
    struct car_keeping keeping;
    uint64_t since; /* the loop's milliseconds */
};

static struct car_net_local *local_of(struct car_hoards *hoards) {
    return (struct car_net_local *)((char *)hoards - offsetof(struct car_net_local, hoards));
}

static uint64_t now_of(const struct car_net_local *local) {
    return uv_now(&local->worker->loop);
}

static void count(const struct car_net_local *local, const void *owner, ptrdiff_t change) {
    const struct car_net_owners *owners = local->net->owners;
    if (change && owners && owners->kept) {
        owners->kept(local->worker, owner, change);
    }
}

static bool may_stay(const struct car_net_local *local, const struct car_hoard *hoard) {
    const struct car_keeping *keeping = &hoard->keeping;
    uint64_t age_ms = now_of(local) - hoard->since;
    return !local->net->owners->sheds(local->worker, keeping->owner, age_ms, keeping->input >= CAR_HOARD_MIN);
}

/* The more for the longer, the worse. A moment counts for all, so that of those that are new the largest is. */
static uint64_t weight_of(const struct car_net_local *local, const struct car_hoard *hoard) {
    return (hoard->keeping.input + hoard->keeping.output) * (now_of(local) - hoard->since + AGAIN_MS);
}

/* NULL where all may stay. */
static struct car_hoard *worst_of(const struct car_net_local *local, unsigned *seen) {
    struct car_hoard *worst = NULL;
    for (struct car_hoard *hoard = local->hoards.list; hoard; hoard = hoard->next) {
        ++*seen;
        if ((!worst || weight_of(local, hoard) > weight_of(local, worst)) && !may_stay(local, hoard)) {
            worst = hoard;
        }
    }
    return worst;
}

static void on_look(struct car_task *task) {
    struct car_hoards *hoards = (struct car_hoards *)((char *)task - offsetof(struct car_hoards, look));
    struct car_net_local *local = local_of(hoards);
    unsigned seen = 0;
    for (unsigned looks = 0; looks < LOOKS_MIN || seen < SEEN_MAX; looks++) {
        struct car_hoard *worst = worst_of(local, &seen);
        if (!worst) {
            return;
        }
        struct car_keeping keeping = worst->keeping;
        car_cell_add(&local->metrics->shed, 1);
        keeping.shed(keeping.holder); /* its hoard has gone with that */
    }
    car_task_yield(&local->worker->tasks, &hoards->look);
}

static void on_again(struct car_timer *timer) {
    struct car_hoards *hoards = (struct car_hoards *)((char *)timer - offsetof(struct car_hoards, again));
    struct car_net_local *local = local_of(hoards);
    if (hoards->list) {
        car_task_defer(&local->worker->tasks, &hoards->look);
        car_timer_set(local->worker->wheel, timer, AGAIN_MS);
    }
}

void car_hoards_init(struct car_hoards *hoards) {
    hoards->look.run = on_look;
    hoards->again.fire = on_again;
}

static struct car_hoard *begin(struct car_net_local *local) {
    struct car_hoard *hoard = calloc(1, sizeof *hoard);
    if (!hoard) {
        return NULL;
    }
    hoard->since = now_of(local);
    hoard->next = local->hoards.list;
    hoard->pprev = &local->hoards.list;
    if (hoard->next) {
        hoard->next->pprev = &hoard->next;
    }
    local->hoards.list = hoard;
    if (!car_timer_is_set(&local->hoards.again)) {
        car_timer_set(local->worker->wheel, &local->hoards.again, AGAIN_MS);
    }
    return hoard;
}

void car_hoard_drop(struct car_net_local *local, struct car_hoard **slot) {
    struct car_hoard *hoard = *slot;
    *slot = NULL;
    if (hoard) {
        count(local, hoard->keeping.owner, -(ptrdiff_t)hoard->keeping.input);
        *hoard->pprev = hoard->next;
        if (hoard->next) {
            hoard->next->pprev = hoard->pprev;
        }
        free(hoard);
    }
}

void car_hoard_set(struct car_net_local *local, struct car_hoard **slot, const struct car_keeping *now) {
    const struct car_net_owners *owners = local->net->owners;
    if (!owners || !owners->kept || now->input + now->output < CAR_HOARD_MIN) {
        car_hoard_drop(local, slot);
        return;
    }
    if (!*slot) {
        *slot = begin(local); /* without memory it is not looked after this time */
    }
    struct car_hoard *hoard = *slot;
    if (!hoard) {
        return;
    }
    struct car_keeping before = hoard->keeping;
    hoard->keeping = *now;
    if (before.owner == now->owner) {
        count(local, now->owner, (ptrdiff_t)now->input - (ptrdiff_t)before.input);
    } else {
        count(local, before.owner, -(ptrdiff_t)before.input);
        count(local, now->owner, (ptrdiff_t)now->input);
    }
    if (now->input + now->output > before.input + before.output && !may_stay(local, hoard)) {
        car_task_defer(&local->worker->tasks, &local->hoards.look);
    }
}

/* Of connections. */

static void shed(void *holder) {
    struct car_conn *conn = holder;
    if (!conn->closing) {
        conn->ops->shed(conn);
    }
    car_hoard_drop(car_net_local(conn->worker), &conn->hoard);
}

bool car_hoard_fits(const struct car_conn *conn) {
    const struct car_keeping *keeping = conn->hoard ? &conn->hoard->keeping : NULL;
    return !keeping || !keeping->owner ||
           car_net_local(conn->worker)->net->owners->fits(conn->worker, keeping->owner, keeping->input);
}

void car_hoard_look_at(struct car_conn *conn) {
    struct car_keeping now = {.holder = conn, .shed = shed, .owner = conn->owner};
    if (conn->ops->keeps && !conn->closing) {
        now.input = conn->held ? conn->held->cap : 0;
        conn->ops->keeps(conn, &now);
    }
    car_hoard_set(car_net_local(conn->worker), &conn->hoard, &now);
}
