#include "carillon/guard/keys.h"

#include <malloc.h>
#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/grant.h"

#include "race.h"
#include "suite.h"

#define READERS 3u
#define WRITERS 2u
#define STEADY  50u
#define SLOTS   16u /* of each writer: keys that come and go */
#define TEST_MS 6000u

/* A writer's key: its text is there to be read while `turn` is even. Every
 * second time it is in the set. */
struct slot {
    atomic_uint turn;
    _Atomic char text[CAR_KEY_TEXT];
};

struct scene {
    struct car_reclaim *domain;
    struct car_keys *keys;
    struct car_tenant *tenants[2];
    char steady[STEADY][CAR_KEY_TEXT];
    struct slot slots[WRITERS][SLOTS];
    atomic_uint writers_left;
    atomic_ulong faults, found, missed;
};

struct party {
    struct scene *scene;
    unsigned index;
};

static void expect(struct scene *s, bool good) {
    if (!good) {
        atomic_fetch_add(&s->faults, 1);
    }
}

static void make(struct scene *s, struct car_reader *reader, unsigned tenant, struct car_key *key, char *text) {
    car_key_make(key, text);
    key->account.created_ms = 1;
    key->grant = car_grant_new(s->tenants[tenant], car_span_of(NULL, 0), CAR_SCOPE_PUBLISH);
    expect(s, car_keys_add(s->keys, reader, key) == 0);
    car_grant_unref(&key->grant);
}

static void *come_and_go(void *arg) {
    struct party *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    struct car_key keys[SLOTS];
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    unsigned rounds = race_rounds(400000);
    for (unsigned round = 0; round < rounds && !race_time_up(started, TEST_MS, round); round++) {
        unsigned i = race_random(&dice) % SLOTS;
        struct slot *slot = &s->slots[me->index][i];
        char text[CAR_KEY_TEXT];
        unsigned turn = atomic_load(&slot->turn);
        atomic_store(&slot->turn, turn + 1);
        if (turn / 2 % 2 == 0) {
            make(s, reader, me->index, &keys[i], text);
            for (unsigned k = 0; k < CAR_KEY_TEXT; k++) {
                atomic_store_explicit(&slot->text[k], text[k], memory_order_relaxed);
            }
        } else {
            expect(s, car_keys_remove(s->keys, reader, s->tenants[me->index], car_span_cstr(keys[i].account.kid)) == 0);
        }
        atomic_store(&slot->turn, turn + 2);
        race_stall(&dice);
        car_reader_poll(reader);
    }
    atomic_fetch_sub(&s->writers_left, 1);
    car_reader_close(&reader);
    return NULL;
}

static void look_for_steady(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    unsigned i = race_random(dice) % STEADY;
    struct car_grant *grant = car_keys_find(s->keys, reader, car_span_of(s->steady[i], CAR_KEY_TEXT));
    race_stall(dice);
    expect(s, grant && grant->tenant == s->tenants[i % 2] && !car_grant_ended(grant));
    car_grant_unref(&grant);
}

static void look_for_slot(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    unsigned writer = race_random(dice) % WRITERS;
    struct slot *slot = &s->slots[writer][race_random(dice) % SLOTS];
    unsigned turn = atomic_load(&slot->turn);
    char text[CAR_KEY_TEXT];
    for (unsigned k = 0; k < CAR_KEY_TEXT; k++) {
        text[k] = atomic_load_explicit(&slot->text[k], memory_order_relaxed);
    }
    struct car_grant *grant = car_keys_find(s->keys, reader, car_span_of(text, CAR_KEY_TEXT));
    bool ended = car_grant_ended(grant);
    if (turn % 2 == 0 && turn && atomic_load(&slot->turn) == turn) {
        bool inside = turn / 2 % 2 == 1;
        expect(s, inside ? grant && !ended && grant->tenant == s->tenants[writer] : !grant);
        atomic_fetch_add_explicit(inside ? &s->found : &s->missed, 1, memory_order_relaxed);
    }
    car_grant_unref(&grant);
}

static void *look(void *arg) {
    struct party *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed(100 + me->index);
    while (atomic_load(&s->writers_left)) {
        look_for_steady(s, reader, &dice);
        look_for_slot(s, reader, &dice);
        car_reader_poll(reader);
    }
    car_reader_close(&reader);
    return NULL;
}

static void made_and_revoked(void) {
    static struct scene s;
    pthread_t threads[WRITERS + READERS];
    struct party parties[WRITERS + READERS];
    struct car_key key;
    s.domain = car_reclaim_new();
    s.keys = car_keys_new();
    s.tenants[0] = car_tenant_new(CAR_SPAN("a"));
    s.tenants[1] = car_tenant_new(CAR_SPAN("b"));
    struct car_reader *reader = car_reader_open(s.domain);
    for (unsigned i = 0; i < STEADY; i++) {
        make(&s, reader, i % 2, &key, s.steady[i]);
    }
    atomic_store(&s.writers_left, WRITERS);
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        parties[i] = (struct party){.scene = &s, .index = i};
        pthread_create(&threads[i], NULL, i < WRITERS ? come_and_go : look, &parties[i]);
    }
    race_join(threads, WRITERS + READERS);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
    CU_ASSERT(atomic_load(&s.found) > 0 && atomic_load(&s.missed) > 0);
    car_keys_free(&s.keys);
    car_reader_close(&reader);
    car_reclaim_free(&s.domain);
    car_tenant_free(&s.tenants[0]);
    car_tenant_free(&s.tenants[1]);
}

static const struct car_test TESTS[] = {{"keys are made and revoked while others use theirs", made_and_revoked}};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5);
    return car_suite_main("race_api_keys", TESTS, sizeof TESTS / sizeof *TESTS);
}
