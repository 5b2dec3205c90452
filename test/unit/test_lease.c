#include "carillon/guard/lease.h"

#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/auth.h"
#include "carillon/runtime/worker.h"
#include "support/feed_fixture.h"
#include "support/suite.h"

/* Leases on a worker whose loop is turned by hand. */

#define SOON_MS    60
#define LATER_MS   3600000
#define PATIENCE_S 20

static struct feed_fixture f;
static struct car_worker *worker;
static struct car_tenant *a, *b;

/* A holder, and when it was told. */
struct holder {
    struct car_lease *lease;
    unsigned told;
    int64_t at_ms;
};

static void on_ended(void *user) {
    struct holder *holder = user;
    holder->told++;
    holder->at_ms = car_clock_wall_ms();
}

static void set_up(void) {
    feed_open(&f, 1, 10);
    worker = f.workers[0];
    a = feed_tenant(&f, "a");
    b = feed_tenant(&f, "b");
    CU_ASSERT_EQUAL_FATAL(car_lease_attach(worker), 0);
}

static void take_down(void) {
    CU_ASSERT_PTR_NULL(((struct car_lease_desk *)worker->guard)->leases);
    car_lease_detach(worker);
    feed_close(&f);
}

/* Whom a token lets in for so long; 0: a credential that never ends by itself. */
static struct car_identity who(struct car_tenant *tenant, const char *subject, int64_t for_ms) {
    struct car_grant *grant = car_grant_new(tenant, car_span_cstr(subject), CAR_SCOPES_ALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(grant);
    grant->expires_ms = for_ms ? car_clock_wall_ms() + for_ms : 0;
    return (struct car_identity){.tenant = tenant, .grant = grant, .scopes = grant->scopes};
}

/* Ann of a, by a token of that key. */
static struct car_identity signed_by(struct car_signer *signer) {
    struct car_identity id = who(a, "ann", LATER_MS);
    id.grant->signer = car_signer_ref(signer);
    return id;
}

static int take(struct holder *holder, struct car_identity id) {
    *holder = (struct holder){0};
    int err = car_lease_take(&holder->lease, worker, &id, on_ended, holder);
    CU_ASSERT_EQUAL(holder->lease != NULL, err == 0);
    car_identity_drop(&id);
    return err;
}

static int renew(struct holder *holder, struct car_identity id) {
    int err = car_lease_renew(holder->lease, &id);
    car_identity_drop(&id);
    return err;
}

/* Turns the loop until it is past that moment by the clock, and once more for what was due then. */
static void turn_until(int64_t at_ms) {
    while (car_clock_wall_ms() <= at_ms + (int64_t)4 * CAR_TIMER_TICK_MS) {
        feed_turn(&f, 0);
        usleep(1000);
    }
    feed_turn(&f, 0);
}

static void turn_until_told(const struct holder *holder) {
    int64_t patience = car_clock_wall_ms() + (int64_t)PATIENCE_S * 1000;
    while (!holder->told && car_clock_wall_ms() < patience) {
        feed_turn(&f, 0);
        usleep(1000);
    }
}

static void test_ends_by_itself(void) {
    set_up();
    struct holder soon, later, never;
    struct car_identity id = who(a, "ann", SOON_MS);
    int64_t end_ms = id.grant->expires_ms;
    CU_ASSERT_EQUAL(take(&soon, id), 0);
    CU_ASSERT_EQUAL(take(&later, who(a, "ann", LATER_MS)), 0);
    CU_ASSERT_EQUAL(take(&never, who(a, "ann", 0)), 0);
    CU_ASSERT(car_lease_is_token(soon.lease) && car_lease_is_token(later.lease) && !car_lease_is_token(never.lease));
    turn_until_told(&soon);
    CU_ASSERT(soon.told == 1 && soon.at_ms >= end_ms);
    CU_ASSERT_TRUE(car_lease_has_ended(soon.lease));
    /* Once, whoever looks. */
    car_lease_look(worker);
    feed_settle(&f);
    turn_until(end_ms);
    CU_ASSERT(soon.told == 1 && later.told == 0 && never.told == 0);
    CU_ASSERT_FALSE(car_lease_has_ended(later.lease) || car_lease_has_ended(never.lease) || car_lease_has_ended(NULL));
    car_lease_drop(&soon.lease);
    car_lease_drop(&later.lease);
    car_lease_drop(&never.lease);
    take_down();
}

/* Who was let in by a key that goes is told when somebody has the worker look; but not who has refreshed by another. */
static void test_its_key_goes(void) {
    set_up();
    struct holder gone, stays, refreshed;
    struct car_signer *former = car_signer_new(), *next = car_signer_new();
    struct car_identity of_former = signed_by(former), of_next = signed_by(next);
    CU_ASSERT_EQUAL(take(&gone, of_former), 0);
    CU_ASSERT_EQUAL(take(&stays, of_next), 0);
    CU_ASSERT_EQUAL(take(&refreshed, signed_by(former)), 0);
    CU_ASSERT_EQUAL(renew(&refreshed, signed_by(next)), 0);
    struct car_identity late = signed_by(former);
    atomic_store(&former->gone, true);
    CU_ASSERT(car_lease_has_ended(gone.lease) && gone.told == 0);
    CU_ASSERT_EQUAL(renew(&refreshed, signed_by(former)), CAR_ECLOSED);
    CU_ASSERT_EQUAL(take(&(struct holder){0}, late), CAR_ECLOSED);
    for (int i = 0; i < 2; i++) {
        car_lease_look(worker);
        feed_settle(&f);
        CU_ASSERT(gone.told == 1 && stays.told == 0 && refreshed.told == 0);
    }
    CU_ASSERT_FALSE(car_lease_has_ended(stays.lease) || car_lease_has_ended(refreshed.lease));
    car_signer_unref(&former);
    car_signer_unref(&next);
    car_lease_drop(&gone.lease);
    car_lease_drop(&stays.lease);
    car_lease_drop(&refreshed.lease);
    take_down();
}

/* By the clock it is over at once, whatever the loop is busy with. */
static void test_over_before_it_is_told(void) {
    set_up();
    struct holder holder;
    CU_ASSERT_EQUAL(take(&holder, who(a, "ann", SOON_MS)), 0);
    usleep((SOON_MS + 5) * 1000);
    CU_ASSERT(car_lease_has_ended(holder.lease) && holder.told == 0);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", LATER_MS)), CAR_ECLOSED);
    turn_until_told(&holder);
    CU_ASSERT_EQUAL(holder.told, 1);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", LATER_MS)), CAR_ECLOSED);
    car_lease_drop(&holder.lease);
    take_down();
}

static void test_not_taken(void) {
    set_up();
    struct holder holder;
    struct car_identity ended = who(a, "ann", LATER_MS);
    atomic_store(&ended.grant->ended, true);
    CU_ASSERT_EQUAL(take(&holder, ended), CAR_ECLOSED);
    CU_ASSERT_EQUAL(take(&holder, who(a, "ann", -1)), CAR_ECLOSED);
    car_registry_remove(f.feed.registry, f.reader, b);
    CU_ASSERT_EQUAL(take(&holder, who(b, "ann", LATER_MS)), CAR_ECLOSED);
    take_down();
}

static void test_dropped(void) {
    set_up();
    struct holder holder;
    CU_ASSERT_EQUAL(take(&holder, who(a, "ann", SOON_MS)), 0);
    int64_t end_ms = holder.lease->grant->expires_ms;
    car_lease_drop(&holder.lease);
    turn_until(end_ms);
    CU_ASSERT_EQUAL(holder.told, 0);
    take_down();
}

static void test_renewed(void) {
    set_up();
    struct holder holder;
    CU_ASSERT_EQUAL(take(&holder, who(a, "ann", SOON_MS)), 0);
    int64_t first_ms = holder.lease->grant->expires_ms;
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", LATER_MS)), 0);
    CU_ASSERT(holder.lease->grant->expires_ms > first_ms + LATER_MS / 2);
    turn_until(first_ms);
    CU_ASSERT(holder.told == 0 && !car_lease_has_ended(holder.lease));
    CU_ASSERT(car_span_eq(car_lease_name(holder.lease), CAR_SPAN("ann")));
    /* The next one may be shorter. */
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", SOON_MS)), 0);
    turn_until_told(&holder);
    CU_ASSERT_EQUAL(holder.told, 1);
    car_lease_drop(&holder.lease);
    take_down();
}

static void test_not_renewed(void) {
    set_up();
    struct holder holder, key;
    CU_ASSERT_EQUAL(take(&holder, who(a, "ann", LATER_MS)), 0);
    const struct car_grant *grant = holder.lease->grant;
    CU_ASSERT_EQUAL(renew(&holder, who(b, "ann", LATER_MS)), CAR_EINVAL);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "bob", LATER_MS)), CAR_EINVAL);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "", LATER_MS)), CAR_EINVAL);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", 0)), CAR_EINVAL);
    CU_ASSERT_EQUAL(renew(&holder, (struct car_identity){.tenant = a}), CAR_EINVAL);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", -1)), CAR_ECLOSED);
    CU_ASSERT_PTR_EQUAL(holder.lease->grant, grant);
    /* What was never on a token does not come to be. */
    CU_ASSERT_EQUAL(take(&key, who(a, "ann", 0)), 0);
    CU_ASSERT_EQUAL(renew(&key, who(a, "ann", LATER_MS)), CAR_EINVAL);
    CU_ASSERT(holder.told == 0 && key.told == 0);
    /* Its tenant goes. */
    car_registry_remove(f.feed.registry, f.reader, a);
    CU_ASSERT_EQUAL(renew(&holder, who(a, "ann", LATER_MS)), CAR_ECLOSED);
    car_lease_look(worker);
    feed_settle(&f);
    CU_ASSERT(holder.told == 1 && key.told == 1);
    car_lease_drop(&holder.lease);
    car_lease_drop(&key.lease);
    take_down();
}

static const struct car_test TESTS[] = {
    {"ends by itself", test_ends_by_itself},
    {"its key goes", test_its_key_goes},
    {"over before it is told", test_over_before_it_is_told},
    {"not taken", test_not_taken},
    {"dropped", test_dropped},
    {"renewed", test_renewed},
    {"not renewed", test_not_renewed},
};

int main(void) {
    return car_suite_main("lease", TESTS, sizeof TESTS / sizeof *TESTS);
}
