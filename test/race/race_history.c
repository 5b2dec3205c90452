#include "carillon/feed/history.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "race.h"
#include "suite.h"

/* One thread appends and forgets while others read ranges and look for ids. The slots grow from 16 on, again and again:
 * every generation of a history begins small. A reader that touched freed memory is the sanitizers' to see; here it
 * would find another event's seq or id. */

#define READERS   3u
#define ROUNDS    400u
#define PER_ROUND 600u
#define TEST_MS   6000u
#define CHUNK     48u

static const struct car_event_key ID_KEY = {{1, 2}, {3, 4}};

struct scene {
    struct car_reclaim *reclaim;
    struct car_tenant *tenant;
    struct car_history history;
    pthread_barrier_t turn; /* between two generations nobody reads */
    uint64_t end;           /* of this generation; changes between two */
    atomic_bool over;
    atomic_ulong faults;
    atomic_ulong reads;
};

static void owner_round(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"m\"")};
    uint64_t keep = 1 + race_random(dice) % 200;
    uint64_t first = car_history_newest(&s->history) + 1;
    for (uint64_t seq = first; seq < first + PER_ROUND; seq++) {
        struct car_event *event = car_event_new(s->tenant, &draft);
        car_event_seal(event, seq, 1, &ID_KEY);
        s->faults += car_history_append(&s->history, reader, event) != 0;
        if (race_random(dice) % 4 == 0 && seq > keep) {
            car_history_forget(&s->history, reader, seq - keep + 1);
            car_reader_poll(reader);
        }
        if (race_random(dice) % 64 == 0) {
            race_stall(dice);
        }
    }
}

static void check(struct scene *s, struct car_event *const *events, size_t n, uint64_t asked) {
    for (size_t i = 0; i < n; i++) {
        bool right = events[i]->seq == events[0]->seq + i && events[i]->seq >= asked && events[i]->wall_ms == 1 &&
                     events[i]->tenant == s->tenant && car_event_json(events[i]).ptr[0] == '{' &&
                     atomic_load(&events[i]->refs) > 0;
        s->faults += !right;
    }
}

static void read_once(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    struct car_event *events[CHUNK];
    uint64_t newest = car_history_newest(&s->history);
    uint64_t oldest = car_history_oldest(&s->history);
    uint64_t span = newest - (oldest < newest ? oldest : newest) + 40;
    uint64_t from = oldest + race_random(dice) % span;
    from = from > 20 ? from - 20 : 1;
    size_t n = car_history_read(&s->history, reader, from, events, 1 + race_random(dice) % CHUNK);
    check(s, events, n, from);
    s->reads += n;
    for (size_t i = 0; i < n; i++) {
        car_event_unref(&events[i]);
    }
}

static void *read_on(void *arg) {
    struct scene *s = arg;
    struct car_reader *reader = car_reader_open(s->reclaim);
    uint64_t dice = race_seed((unsigned)(uintptr_t)pthread_self());
    for (;;) {
        pthread_barrier_wait(&s->turn);
        if (atomic_load(&s->over)) {
            break;
        }
        while (car_history_newest(&s->history) < s->end) {
            read_once(s, reader, &dice);
        }
        read_once(s, reader, &dice);
        pthread_barrier_wait(&s->turn);
    }
    car_reader_close(&reader);
    return NULL;
}

static void test_readers(void) {
    static struct scene s;
    s = (struct scene){.reclaim = car_reclaim_new(), .tenant = car_tenant_new(CAR_SPAN("a"))};
    car_history_init(&s.history, 0);
    pthread_barrier_init(&s.turn, NULL, READERS + 1);
    struct car_reader *reader = car_reader_open(s.reclaim);
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, read_on, &s);
    }
    uint64_t dice = race_seed(99);
    uint64_t started = race_now_ms();
    for (unsigned round = race_rounds(ROUNDS); round > 0 && race_now_ms() - started < TEST_MS; round--) {
        s.end = car_history_newest(&s.history) + PER_ROUND;
        pthread_barrier_wait(&s.turn);
        owner_round(&s, reader, &dice);
        pthread_barrier_wait(&s.turn);
        uint64_t newest = car_history_newest(&s.history);
        car_history_free(&s.history); /* the next generation grows from the smallest slots */
        car_history_init(&s.history, newest);
    }
    atomic_store(&s.over, true);
    pthread_barrier_wait(&s.turn);
    race_join(threads, READERS);
    CU_ASSERT_EQUAL(s.faults, 0);
    CU_ASSERT(s.reads > 1000);
    car_history_free(&s.history);
    car_reader_close(&reader);
    car_tenant_free(&s.tenant);
    car_reclaim_free(&s.reclaim);
    pthread_barrier_destroy(&s.turn);
}

static const struct car_test TESTS[] = {{"readers beside one that appends and forgets", test_readers}};

int main(void) {
    race_watch();
    return car_suite_main("history", TESTS, sizeof TESTS / sizeof *TESTS);
}
