#include "carillon/runtime/mailbox.h"

#include <stdatomic.h>

#include "race.h"
#include "suite.h"

#define POSTERS   3u
#define TEST_MS   4000u
#define LATE_MS   5000u /* a note that has not run by then was slept through */
#define NOTES     16u   /* that a poster keeps under way at most */
#define ROUNDS_MS 6000u
#define BURST     3u

/* A loop on a thread of its own, with as many mailboxes as posters. */
struct post_office {
    uv_loop_t loop;
    uv_thread_t thread;
    struct car_mailbox boxes[POSTERS];
    struct car_note stop;
    unsigned box_count;
    uint64_t idle_ns; /* that the loop slept in epoll; after the join */
};

static void close_boxes(struct car_note *note, void *owner) {
    (void)note;
    struct post_office *office = owner;
    office->idle_ns = uv_metrics_idle_time(&office->loop);
    for (unsigned i = 0; i < office->box_count; i++) {
        car_mailbox_close(&office->boxes[i]);
    }
}

static void run_loop(void *arg) {
    struct post_office *office = arg;
    race_pin(0);
    uv_run(&office->loop, UV_RUN_DEFAULT);
}

static void office_open(struct post_office *office, unsigned box_count) {
    uv_loop_init(&office->loop);
    uv_loop_configure(&office->loop, UV_METRICS_IDLE_TIME);
    office->box_count = box_count;
    for (unsigned i = 0; i < box_count; i++) {
        CU_ASSERT_EQUAL_FATAL(car_mailbox_open(&office->boxes[i], &office->loop, office), 0);
    }
    uv_thread_create(&office->thread, run_loop, office);
}

/* By a note, as everybody has to: the boxes are the loop's. */
static void office_close(struct post_office *office) {
    office->stop.run = close_boxes;
    car_mailbox_post(&office->boxes[0], &office->stop);
    uv_thread_join(&office->thread);
    for (unsigned i = 0; i < office->box_count; i++) {
        car_mailbox_free(&office->boxes[i]);
    }
    CU_ASSERT_EQUAL(uv_loop_close(&office->loop), 0);
}

/* What a poster sends round and round. Fields without `atomic` go from the poster to the loop and back with the note.
 */
struct letter {
    struct car_note note; /* first */
    struct sender *sender;
    unsigned number;
    atomic_bool back; /* the loop has run it, the poster may use it again */
};

struct sender {
    struct car_mailbox *box;
    pthread_barrier_t *start;
    unsigned index;
    unsigned rounds; /* wanted, then done */
    struct letter letters[NOTES];
    unsigned posted;

    /* the loop's thread */
    unsigned expected;
    unsigned long faults;
};

static void take_letter(struct car_note *note, void *owner) {
    (void)owner;
    struct letter *letter = (struct letter *)(void *)note;
    struct sender *sender = letter->sender;
    if (letter->number != sender->expected) {
        sender->faults++;
    }
    sender->expected = letter->number + 1;
    atomic_store_explicit(&letter->back, true, memory_order_release);
}

/* Waits for the note without ringing again: nothing else may save one that was slept through. */
static void wait_back(struct letter *letter) {
    uint64_t since = 0;
    for (unsigned spins = 1; !atomic_load_explicit(&letter->back, memory_order_acquire); spins++) {
        sched_yield();
        if (spins % 1024 == 0) {
            uint64_t now = race_now_ms();
            since = since ? since : now;
            if (now - since > LATE_MS) {
                race_fail("race_mailbox: a posted note does not run: its wake-up was lost");
            }
        }
    }
}

static void post_letter(struct sender *me, struct letter *letter) {
    atomic_store_explicit(&letter->back, false, memory_order_relaxed);
    letter->number = me->posted++;
    car_mailbox_post(me->box, &letter->note);
}

static void senders_init(struct sender *senders, unsigned count, unsigned rounds, pthread_barrier_t *start) {
    for (unsigned p = 0; p < count; p++) {
        senders[p] = (struct sender){.start = start, .index = p, .rounds = rounds};
        for (unsigned i = 0; i < NOTES; i++) {
            struct letter *letter = &senders[p].letters[i];
            letter->sender = &senders[p];
            letter->note.run = take_letter;
            atomic_init(&letter->back, true);
        }
    }
}

static void *post_streams(void *arg) {
    struct sender *me = arg;
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    pthread_barrier_wait(me->start);
    unsigned i = 0;
    while (i < me->rounds && !race_time_up(started, TEST_MS, i)) {
        struct letter *letter = &me->letters[i++ % NOTES];
        wait_back(letter);
        post_letter(me, letter);
        race_stall(&dice);
    }
    for (unsigned n = 0; n < NOTES; n++) {
        wait_back(&me->letters[n]);
    }
    me->rounds = i;
    return NULL;
}

/* Many posters into one box: each note once, those of a poster in its order. */
static void streams(void) {
    static struct post_office office;
    static struct sender senders[POSTERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, POSTERS);
    office_open(&office, 1);
    senders_init(senders, POSTERS, race_rounds(500000), &start);
    pthread_t threads[POSTERS];
    for (unsigned p = 0; p < POSTERS; p++) {
        senders[p].box = &office.boxes[0];
        pthread_create(&threads[p], NULL, post_streams, &senders[p]);
    }
    race_join(threads, POSTERS);
    office_close(&office);
    for (unsigned p = 0; p < POSTERS; p++) {
        CU_ASSERT_EQUAL(senders[p].faults, 0);
        CU_ASSERT_EQUAL(senders[p].expected, senders[p].rounds);
        CU_ASSERT(senders[p].rounds > 0);
    }
    pthread_barrier_destroy(&start);
}

/* Pauses of all lengths: into the loop's way to sleep, its sleep, its waking up. */
static void pause_a_little(uint64_t *dice) {
    uint32_t r = race_random(dice);
    if (r % 512 == 0) {
        usleep(100);
    } else {
        for (volatile uint32_t i = r >> 8 & (r & 1 ? 63 : 4095); i > 0; i--) {
        }
    }
}

/* The first note of a burst finds the doorbell's flag down and wakes the loop; one of the others may find it still up
 * while the loop takes it down, and only the order of push and look saves that one. Nobody rings after the last. */
static void *post_and_wait(void *arg) {
    struct sender *me = arg;
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    pthread_barrier_wait(me->start);
    unsigned i = 0;
    race_pin(me->index);
    while (i < me->rounds && !race_time_up(started, ROUNDS_MS, i)) {
        unsigned burst = 1 + race_random(&dice) % BURST;
        for (unsigned n = 0; n < burst; n++) {
            post_letter(me, &me->letters[n]);
            pause_a_little(&dice);
        }
        for (unsigned n = 0; n < burst; n++) {
            wait_back(&me->letters[n]);
        }
        i++;
    }
    me->rounds = i;
    return NULL;
}

/* A poster posts a few notes and waits for them, again and again; in between the loop goes to sleep. With a box for
 * each, no other poster's ring can make up for one that was lost. The first poster is on the loop's processor, where
 * its ring lets the loop run before car_mailbox_post has returned; the others run beside it. */
static void sleeper(unsigned posters, bool share_box) {
    static struct post_office office;
    static struct sender senders[POSTERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, posters);
    office_open(&office, share_box ? 1 : posters);
    senders_init(senders, posters, race_rounds(share_box ? 60000 : 120000), &start);
    pthread_t threads[POSTERS];
    for (unsigned p = 0; p < posters; p++) {
        senders[p].box = &office.boxes[share_box ? 0 : p];
        pthread_create(&threads[p], NULL, post_and_wait, &senders[p]);
    }
    race_join(threads, posters);
    office_close(&office);
    for (unsigned p = 0; p < posters; p++) {
        CU_ASSERT_EQUAL(senders[p].faults, 0);
        CU_ASSERT_EQUAL(senders[p].expected, senders[p].posted);
        CU_ASSERT(senders[p].rounds > 0);
    }
    CU_ASSERT(office.idle_ns > 0); /* it did sleep */
    pthread_barrier_destroy(&start);
}

static void sleeper_own_boxes(void) {
    sleeper(2, false);
}

static void sleeper_shared_box(void) {
    sleeper(POSTERS, true);
}

static const struct car_test TESTS[] = {
    {"many posters: each note once, in its poster's order", streams},
    {"a sleeping loop wakes up for each note", sleeper_own_boxes},
    {"a sleeping loop wakes up, posters in one another's way", sleeper_shared_box},
};

int main(void) {
    race_watch();
    return car_suite_main("race_mailbox", TESTS, sizeof TESTS / sizeof *TESTS);
}
