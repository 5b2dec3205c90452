#include "carillon/guard/lease.h"

#include <stdlib.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/grant.h"
#include "carillon/runtime/timer.h"
#include "carillon/runtime/worker.h"

/* Tells the holder when the grant's time is up. Of the few leases alone whose grants end by themselves. */
struct car_lease_end {
    struct car_timer timer; /* first; on the worker's wheel */
    struct car_lease *lease;
    struct car_worker *worker;
};

static struct car_lease_desk *desk_of(const struct car_worker *worker) {
    return worker->guard;
}

int car_lease_attach(struct car_worker *worker) {
    worker->guard = calloc(1, sizeof(struct car_lease_desk));
    return worker->guard ? 0 : CAR_ENOMEM;
}

void car_lease_detach(struct car_worker *worker) {
    free(worker->guard);
    worker->guard = NULL;
}

static bool is_over(const struct car_grant *grant) {
    return car_grant_ended(grant) || (car_grant_is_token(grant) && car_grant_expired(grant, car_clock_wall_ms()));
}

bool car_lease_has_ended(const struct car_lease *lease) {
    return lease && (!lease->ended || is_over(lease->grant));
}

static void tell(struct car_lease *lease) {
    void (*ended)(void *holder) = lease->ended;
    lease->ended = NULL;
    if (ended) {
        ended(lease->holder);
    }
}

static void wait_for_end(struct car_lease_end *end);

/* The wheel counts what has passed, the grant what the clock says, which may have been set back meanwhile. */
static void on_time(struct car_timer *timer) {
    struct car_lease_end *end = (struct car_lease_end *)timer; /* its first member */
    if (is_over(end->lease->grant)) {
        tell(end->lease);
    } else {
        wait_for_end(end);
    }
}

static void wait_for_end(struct car_lease_end *end) {
    int64_t left = end->lease->grant->expires_ms - car_clock_wall_ms();
    end->timer.fire = on_time;
    car_timer_set(end->worker->wheel, &end->timer, left > 0 ? (uint64_t)left : 0);
}

/* What has ended is seen here, or the lease is found by whoever looks after it has ended. */
int car_lease_take(struct car_lease **out, struct car_worker *worker, const struct car_identity *who,
                   void (*ended)(void *holder), void *holder) {
    *out = NULL;
    if (is_over(who->grant) || car_tenant_is_removed(who->tenant)) {
        return CAR_ECLOSED;
    }
    struct car_lease *lease = malloc(sizeof *lease);
    struct car_lease_end *end = lease && car_grant_is_token(who->grant) ? calloc(1, sizeof *end) : NULL;
    if (!lease || (!end && car_grant_is_token(who->grant))) {
        free(lease);
        return CAR_ENOMEM;
    }
    struct car_lease **first = &desk_of(worker)->leases;
    *lease = (struct car_lease){.next = *first,
                                .pprev = first,
                                .tenant = who->tenant,
                                .grant = car_grant_ref(who->grant),
                                .end = end,
                                .ended = ended,
                                .holder = holder};
    if (*first) {
        (*first)->pprev = &lease->next;
    }
    *first = lease;
    if (end) {
        end->lease = lease;
        end->worker = worker;
        wait_for_end(end);
    }
    *out = lease;
    return 0;
}

int car_lease_renew(struct car_lease *lease, const struct car_identity *who) {
    if (!car_lease_is_token(lease) || !car_grant_is_token(who->grant) || who->tenant != lease->tenant ||
        !car_span_eq(car_grant_subject(who->grant), car_grant_subject(lease->grant))) {
        return CAR_EINVAL;
    }
    if (car_lease_has_ended(lease) || is_over(who->grant) || car_tenant_is_removed(who->tenant)) {
        return CAR_ECLOSED;
    }
    struct car_grant *former = lease->grant;
    lease->grant = car_grant_ref(who->grant);
    car_grant_unref(&former);
    wait_for_end(lease->end);
    return 0;
}

void car_lease_drop(struct car_lease **lease) {
    struct car_lease *l = *lease;
    *lease = NULL;
    if (!l) {
        return;
    }
    *l->pprev = l->next;
    if (l->next) {
        l->next->pprev = l->pprev;
    }
    if (l->end) {
        car_timer_clear(l->end->worker->wheel, &l->end->timer);
        free(l->end);
    }
    car_grant_unref(&l->grant);
    free(l);
}

static void look(struct car_note *note, void *owner) {
    struct car_lease_desk *desk = desk_of(owner);
    (void)note;
    atomic_store(&desk->asked, false);
    for (struct car_lease *lease = desk->leases; lease; lease = lease->next) {
        if (car_grant_ended(lease->grant) || car_tenant_is_removed(lease->tenant)) {
            tell(lease);
        }
    }
}

void car_lease_look(struct car_worker *worker) {
    struct car_lease_desk *desk = desk_of(worker);
    if (!atomic_exchange(&desk->asked, true)) {
        desk->note.run = look;
        car_mailbox_post(&worker->mailbox, &desk->note);
    }
}
