#include "carillon/guard/rooms.h"

#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"

#include "race.h"
#include "suite.h"

#define THREADS   4u
#define TENANTS   2u
#define ADDRESSES 3u
#define LIMIT     3u
#define HELD      4u /* by each thread, at most */
#define TEST_MS   4000u

static struct {
    struct car_reclaim *domain;
    struct car_rooms *rooms;
    struct car_tenant *tenants[TENANTS];
    /* Counted by the threads themselves: after a take, and before giving back. So they are never more than is held. */
    atomic_uint of_tenant[TENANTS], of_address[ADDRESSES];
    atomic_uint begun, let_in;
    atomic_ulong faults, taken, refused;
} s;

struct worker {
    unsigned index;
    uint64_t dice;
};

struct held {
    struct car_room room;
    unsigned tenant, address;
};

static struct car_address address_of(unsigned number) {
    return car_address_of_v4((const uint8_t[]){192, 0, 2, (uint8_t)number});
}

static void give(struct held *held) {
    atomic_fetch_sub(&s.of_tenant[held->tenant], 1);
    atomic_fetch_sub(&s.of_address[held->address], 1);
    car_rooms_drop(s.rooms, &held->room);
}

static bool take(struct worker *me, struct car_reader *reader, struct held *held) {
    const char *why = NULL;
    held->room = (struct car_room){0};
    held->tenant = race_random(&me->dice) % TENANTS;
    held->address = race_random(&me->dice) % ADDRESSES;
    struct car_address from = address_of(held->address);
    int err;
    if (race_random(&me->dice) % 4 == 0) { /* as a Socket.IO session: the tenant when it is known */
        err = car_rooms_take(s.rooms, reader, NULL, &from, &held->room, &why);
        race_stall(&me->dice);
        if (!err) {
            err = car_rooms_take(s.rooms, reader, s.tenants[held->tenant], NULL, &held->room, &why);
        }
        if (err) {
            car_rooms_drop(s.rooms, &held->room);
        }
    } else {
        err = car_rooms_take(s.rooms, reader, s.tenants[held->tenant], &from, &held->room, &why);
    }
    if (err) {
        atomic_fetch_add(&s.faults, err != CAR_EFULL || !why);
        atomic_fetch_add(&s.refused, 1);
        return false;
    }
    atomic_fetch_add(&s.taken, 1);
    bool over = atomic_fetch_add(&s.of_tenant[held->tenant], 1) >= LIMIT;
    over = atomic_fetch_add(&s.of_address[held->address], 1) >= LIMIT || over;
    atomic_fetch_add(&s.faults, over);
    return true;
}

static void *come_and_go(void *arg) {
    struct worker *me = arg;
    struct car_reader *reader = car_reader_open(s.domain);
    struct held held[HELD];
    unsigned count = 0;
    uint64_t started = race_now_ms();
    race_pin(me->index);
    for (unsigned round = 0; round < race_rounds(200000) && !race_time_up(started, TEST_MS, round); round++) {
        if (count < HELD && race_random(&me->dice) % 2) {
            count += take(me, reader, &held[count]);
        } else if (count > 0) {
            give(&held[--count]);
        }
        race_stall(&me->dice);
        if (me->index == 0 && round % 512 == 0) { /* other terms with the same limit, under those who read them */
            (void)car_tenant_set_terms(s.tenants[0], reader, &(struct car_tenant_terms){.limits.connections = LIMIT});
        }
        car_reader_poll(reader);
    }
    while (count > 0) {
        give(&held[--count]);
    }
    car_reader_close(&reader);
    return NULL;
}

static void play(void *(*run)(void *)) {
    pthread_t threads[THREADS];
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.index = i, .dice = race_seed(i)};
        pthread_create(&threads[i], NULL, run, &workers[i]);
    }
    race_join(threads, THREADS);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
}

static void scene_open(void) {
    memset(&s, 0, sizeof s);
    s.domain = car_reclaim_new();
    s.rooms = car_rooms_new(LIMIT, LIMIT);
    for (unsigned i = 0; i < TENANTS; i++) {
        s.tenants[i] = car_tenant_new(car_span_of(&"tu"[i], 1));
    }
}

static void scene_close(void) {
    CU_ASSERT_EQUAL(car_rooms_addresses(s.rooms), 0);
    car_rooms_free(&s.rooms);
    for (unsigned i = 0; i < TENANTS; i++) {
        CU_ASSERT_EQUAL(car_tenant_guests(s.tenants[i]), 0);
        car_tenant_free(&s.tenants[i]);
    }
    car_reclaim_free(&s.domain);
}

static void never_one_too_many(void) {
    scene_open();
    play(come_and_go);
    CU_ASSERT(atomic_load(&s.taken) > 0);
    CU_ASSERT(atomic_load(&s.refused) > 0);
    scene_close();
}

/*
 * All at once at one door, round after round: four threads, two takes each, for the same tenant and from the same
 * address. Nobody leaves before all have asked, so as many come in as may, to the connection.
 */
static void meet(unsigned *met) {
    atomic_fetch_add(&s.begun, 1);
    *met += THREADS;
    while (atomic_load(&s.begun) < *met) {
        sched_yield();
    }
}

static void *rush(void *arg) {
    struct worker *me = arg;
    struct car_reader *reader = car_reader_open(s.domain);
    struct car_address from = address_of(1);
    unsigned met = 0;
    for (unsigned round = 0; round < race_rounds(4000); round++) {
        struct car_room rooms[2] = {{0}};
        meet(&met);
        for (unsigned i = 0; i < 2; i++) {
            const char *why = NULL;
            int err = car_rooms_take(s.rooms, reader, s.tenants[0], &from, &rooms[i], &why);
            atomic_fetch_add(&s.let_in, err == 0);
        }
        meet(&met);
        if (me->index == 0) {
            atomic_fetch_add(&s.faults, atomic_load(&s.let_in) != LIMIT);
            atomic_store(&s.let_in, 0);
        }
        car_rooms_drop(s.rooms, &rooms[0]);
        car_rooms_drop(s.rooms, &rooms[1]);
        meet(&met); /* all have left before the next rush */
    }
    car_reader_close(&reader);
    return NULL;
}

static void none_too_few(void) {
    scene_open();
    play(rush);
    scene_close();
}

static const struct car_test TESTS[] = {{"never one too many", never_one_too_many}, {"none too few", none_too_few}};

int main(void) {
    race_watch();
    return car_suite_main("race_rooms", TESTS, sizeof TESTS / sizeof *TESTS);
}
