#include "carillon/guard/users.h"

#include <malloc.h>
#include <stdatomic.h>

#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/grant.h"
#include "carillon/runtime/reclaim.h"

#include "race.h"
#include "suite.h"

#define READERS 3u
#define STEADY  20u /* users that every file has */
#define TEST_MS 6000u

/* The files take turns: the even ones have a guest, the odd ones have not. */
struct scene {
    struct car_reclaim *domain;
    struct car_registry *registry;
    struct car_users *users;
    char path[2][64];
    atomic_uint loads; /* twice the number of those that have ended, and one more while one goes on */
    atomic_bool over;
    atomic_ulong faults, steady, guests, strangers;
};

static void write_file(const char *path, bool guest) {
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file, "users:\n");
    for (unsigned i = 0; i < STEADY; i++) {
        fprintf(file, "- {tenant: t%u, name: user-%u, token: token-%u}\n", i % 4, i, i);
    }
    if (guest) {
        fprintf(file, "- {tenant: t0, name: guest, token: guest}\n");
    }
    fclose(file);
}

static void expect(struct scene *s, bool good) {
    if (!good) {
        atomic_fetch_add(&s->faults, 1);
    }
}

/* Who is in every file is let in all the time, and its grant never ends. */
static void look_for_steady(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    char token[32];
    char name[32];
    unsigned i = race_random(dice) % STEADY;
    struct car_span text = car_span_of(token, (size_t)snprintf(token, sizeof token, "token-%u", i));
    struct car_span want = car_span_of(name, (size_t)snprintf(name, sizeof name, "user-%u", i));
    struct car_grant *grant = car_users_find(s->users, reader, text);
    race_stall(dice);
    expect(s, grant && car_span_eq(car_grant_subject(grant), want) && !car_grant_ended(grant) &&
                  car_tenant_id(grant->tenant).ptr[1] == (char)('0' + i % 4));
    car_grant_unref(&grant);
    atomic_fetch_add_explicit(&s->steady, 1, memory_order_relaxed);
}

/* Where no file is read meanwhile, it is as the last one says. */
static void look_for_guest(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    unsigned before = atomic_load(&s->loads);
    struct car_grant *grant = car_users_find(s->users, reader, CAR_SPAN("guest"));
    bool ended = car_grant_ended(grant);
    unsigned after = atomic_load(&s->loads);
    if (before % 2 == 0 && after == before) {
        expect(s, before / 2 % 2 ? grant && !ended : !grant);
        atomic_fetch_add_explicit(grant ? &s->guests : &s->strangers, 1, memory_order_relaxed);
    }
    race_stall(dice);
    if (grant && atomic_load(&s->loads) / 2 > after / 2 + 1) {
        expect(s, car_grant_ended(grant)); /* it was let in with another one's */
    }
    car_grant_unref(&grant);
}

static void *look(void *arg) {
    struct scene *s = arg;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed((unsigned)pthread_self());
    while (!atomic_load(&s->over)) {
        look_for_steady(s, reader, &dice);
        look_for_guest(s, reader, &dice);
        expect(s, !car_users_find(s->users, reader, CAR_SPAN("nobody")));
        car_reader_poll(reader);
    }
    car_reader_close(&reader);
    return NULL;
}

static void load(struct scene *s, struct car_reader *reader, unsigned round) {
    struct car_buf error = CAR_BUF_INIT;
    size_t ended = 0;
    atomic_fetch_add(&s->loads, 1);
    expect(s, car_users_load(s->users, reader, s->path[round % 2], &ended, &error) == 0 && ended == round % 2);
    atomic_fetch_add(&s->loads, 1);
    car_reader_poll(reader);
    car_buf_free(&error);
}

static void come_and_go(void) {
    static struct scene s;
    pthread_t threads[READERS];
    s.domain = car_reclaim_new();
    s.registry = car_registry_new(10);
    s.users = car_users_new(s.registry);
    struct car_reader *reader = car_reader_open(s.domain);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(s.path[i], sizeof s.path[i], "/tmp/carillon-users-%u-%d", i, (int)getpid());
        write_file(s.path[i], i == 0);
    }
    load(&s, reader, 0);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, look, &s);
    }
    unsigned rounds = race_rounds(40000);
    uint64_t started = race_now_ms();
    for (unsigned round = 1; round < rounds && !race_time_up(started, TEST_MS, round); round++) {
        load(&s, reader, round);
    }
    atomic_store(&s.over, true);
    race_join(threads, READERS);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
    CU_ASSERT(atomic_load(&s.steady) > 0 && atomic_load(&s.guests) + atomic_load(&s.strangers) > 0);
    car_users_free(&s.users);
    car_registry_free(&s.registry);
    car_reader_close(&reader);
    car_reclaim_free(&s.domain);
    for (unsigned i = 0; i < 2; i++) {
        unlink(s.path[i]);
    }
}

static const struct car_test TESTS[] = {{"a file is read again while users come", come_and_go}};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5);
    return car_suite_main("race_users", TESTS, sizeof TESTS / sizeof *TESTS);
}
