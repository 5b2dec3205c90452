#include "carillon/runtime/reclaim.h"

#include <stdatomic.h>

#include "race.h"
#include "suite.h"

#define READERS 3u
#define TEST_MS 4000u
#define LIVE    UINT64_C(0x11fe11fe11fe11fe)
#define DEAD    UINT64_C(0xdeaddeaddeaddead)
#define WORDS   8u

/* What readers look at: whole as long as they may see it, poisoned as soon as it is freed. */
struct object {
    struct car_retired retired; /* first */
    uint64_t generation;
    uint64_t words[WORDS];
    struct object *next_spare;
};

struct scene {
    struct car_reclaim *domain;
    _Atomic(struct object *) current;
    atomic_bool over;
    atomic_ulong looks;
    atomic_ulong faults;
    atomic_ulong freed;
    pthread_barrier_t start;
};

/* Freed objects are kept, so that a reader who is wrong meets the poison, or the next generation, and not the void.
 * With a sanitizer they are really freed: it sees more. Touched by the thread that retires only. */
static _Thread_local struct object *spare;
static _Thread_local atomic_ulong *freed_here;

#define KEEP_FREED (RACE_COST == 1)

static void poison(struct car_retired *retired) {
    struct object *object = (struct object *)(void *)retired;
    for (unsigned i = 0; i < WORDS; i++) {
        object->words[i] = DEAD;
    }
    atomic_fetch_add_explicit(freed_here, 1, memory_order_relaxed);
    if (KEEP_FREED) {
        object->next_spare = spare;
        spare = object;
    } else {
        free(object);
    }
}

static void drop_spare(void) {
    while (spare) {
        struct object *object = spare;
        spare = object->next_spare;
        free(object);
    }
}

static struct object *make_object(uint64_t generation) {
    struct object *object = spare;
    if (object) {
        spare = object->next_spare;
    } else {
        object = malloc(sizeof *object);
    }
    object->generation = generation;
    for (unsigned i = 0; i < WORDS; i++) {
        object->words[i] = LIVE ^ generation;
    }
    return object;
}

/* One look, inside a section: the object stays what it was from beginning to end. */
static void look(struct scene *s, uint64_t *dice) {
    const volatile struct object *object = atomic_load_explicit(&s->current, memory_order_acquire);
    uint64_t generation = object->generation;
    bool whole = true;
    for (unsigned i = 0; i < WORDS; i++) {
        whole = whole && object->words[i] == (LIVE ^ generation);
        if (i == WORDS / 2) {
            race_stall(dice);
        }
    }
    if (!whole || object->generation != generation) {
        atomic_fetch_add(&s->faults, 1);
    }
}

static void *read_on(void *arg) {
    struct scene *s = arg;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed((unsigned)(uintptr_t)reader);
    unsigned long looks = 0;
    pthread_barrier_wait(&s->start);
    do {
        car_reader_enter(reader);
        look(s, &dice);
        if (looks % 8 == 0) { /* a section within a section ends nothing */
            car_reader_enter(reader);
            look(s, &dice);
            car_reader_leave(reader);
            look(s, &dice);
        }
        car_reader_leave(reader);
        looks++;
    } while (!atomic_load_explicit(&s->over, memory_order_relaxed));
    atomic_fetch_add(&s->looks, looks);
    car_reader_close(&reader);
    return NULL;
}

static void scene_open(struct scene *s, unsigned parties) {
    *s = (struct scene){.domain = car_reclaim_new()};
    pthread_barrier_init(&s->start, NULL, parties);
}

static void scene_close(struct scene *s) {
    CU_ASSERT_EQUAL(atomic_load(&s->faults), 0);
    pthread_barrier_destroy(&s->start);
    car_reclaim_free(&s->domain);
    CU_ASSERT_PTR_NULL(s->domain);
}

static void one_writer(void) {
    struct scene s;
    scene_open(&s, READERS + 1);
    freed_here = &s.freed;
    uint64_t generation = 1;
    atomic_store(&s.current, make_object(generation));
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, read_on, &s);
    }
    struct car_reader *reader = car_reader_open(s.domain);
    uint64_t dice = race_seed(99);
    uint64_t started = race_now_ms();
    pthread_barrier_wait(&s.start);
    unsigned rounds = race_rounds(10000000);
    unsigned long freed_meanwhile = 0;
    for (unsigned i = 0; i < rounds && !race_time_up(started, TEST_MS, i); i++) {
        struct object *old = atomic_exchange_explicit(&s.current, make_object(++generation), memory_order_acq_rel);
        car_reader_retire(reader, &old->retired, poison);
        if (i % 4 == 0) {
            car_reader_poll(reader);
        }
        race_stall(&dice);
    }
    freed_meanwhile = atomic_load(&s.freed);
    atomic_store(&s.over, true);
    race_join(threads, READERS);
    car_reader_close(&reader);
    CU_ASSERT_PTR_NULL(reader);
    CU_ASSERT_EQUAL(atomic_load(&s.freed), generation - 1); /* close has freed the rest */
    CU_ASSERT(freed_meanwhile > 0);                         /* and poll did its part under way */
    CU_ASSERT(atomic_load(&s.looks) > 0);
    free(atomic_load(&s.current));
    drop_spare();
    scene_close(&s);
}

/* Threads that read, write and retire all at once, and open and close their readers all the time. */
struct comer {
    struct scene *scene;
    unsigned index;
    unsigned long made;
    unsigned records; /* different readers seen */
};

static unsigned remember(struct car_reader **seen, unsigned count, unsigned max, struct car_reader *reader) {
    for (unsigned i = 0; i < count; i++) {
        if (seen[i] == reader) {
            return count;
        }
    }
    if (count < max) {
        seen[count] = reader;
    }
    return count + 1;
}

static void *come_and_go(void *arg) {
    struct comer *me = arg;
    struct scene *s = me->scene;
    struct car_reader *seen[64];
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    freed_here = &s->freed;
    pthread_barrier_wait(&s->start);
    unsigned rounds = race_rounds(600000);
    for (unsigned i = 0; i < rounds && !race_time_up(started, TEST_MS, i); i++) {
        struct car_reader *reader = car_reader_open(s->domain);
        me->records = remember(seen, me->records, 64, reader);
        for (unsigned k = race_random(&dice) % 4; k > 0; k--) {
            car_reader_enter(reader);
            look(s, &dice);
            struct object *fresh = make_object(((uint64_t)me->index << 56) + ++me->made);
            struct object *old = atomic_exchange_explicit(&s->current, fresh, memory_order_acq_rel);
            car_reader_retire(reader, &old->retired, poison); /* inside of a section */
            car_reader_leave(reader);
            car_reader_poll(reader);
        }
        car_reader_close(&reader);
    }
    drop_spare();
    return NULL;
}

static void readers_come_and_go(void) {
    struct scene s;
    scene_open(&s, READERS);
    atomic_store(&s.current, make_object(0));
    struct comer comers[READERS] = {0};
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        comers[i] = (struct comer){.scene = &s, .index = i};
        pthread_create(&threads[i], NULL, come_and_go, &comers[i]);
    }
    race_join(threads, READERS);
    unsigned long made = 0;
    for (unsigned i = 0; i < READERS; i++) {
        made += comers[i].made;
        CU_ASSERT(comers[i].records <= 4 * READERS); /* closed readers are used again */
    }
    CU_ASSERT_EQUAL(atomic_load(&s.freed), made);
    free(atomic_load(&s.current));
    scene_close(&s);
}

/* An open section holds back what was retired after it began, and nothing holds it back afterwards. */
static void section_holds(void) {
    struct scene s;
    scene_open(&s, 1);
    freed_here = &s.freed;
    struct car_reader *reading = car_reader_open(s.domain);
    struct car_reader *writing = car_reader_open(s.domain);
    CU_ASSERT_FALSE(car_reader_poll(writing));
    car_reader_enter(reading);
    car_reader_enter(reading);
    car_reader_retire(writing, &make_object(1)->retired, poison);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_TRUE(car_reader_poll(writing));
    }
    car_reader_leave(reading);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_TRUE(car_reader_poll(writing));
    }
    CU_ASSERT_EQUAL(atomic_load(&s.freed), 0);
    car_reader_leave(reading);
    CU_ASSERT_FALSE(car_reader_poll(writing));
    CU_ASSERT_EQUAL(atomic_load(&s.freed), 1);
    car_reader_retire(writing, &make_object(2)->retired, poison);
    struct car_reader *was = writing;
    car_reader_close(&writing);
    CU_ASSERT_EQUAL(atomic_load(&s.freed), 2);
    writing = car_reader_open(s.domain);
    CU_ASSERT_PTR_EQUAL(writing, was);
    car_reader_close(&writing);
    car_reader_close(&reading);
    drop_spare();
    scene_close(&s);
}

static const struct car_test TESTS[] = {
    {"a section holds back what was retired in it", section_holds},
    {"readers never see what a writer has freed", one_writer},
    {"readers that come and go, writers all of them", readers_come_and_go},
};

int main(void) {
    race_watch();
    return car_suite_main("race_reclaim", TESTS, sizeof TESTS / sizeof *TESTS);
}
