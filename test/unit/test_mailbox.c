#include "carillon/runtime/mailbox.h"

#include <stdbool.h>
#include <stdlib.h>

#include "suite.h"

#define MAX_RUNS 16

struct scene {
    uv_loop_t loop;
    struct car_mailbox box;
    unsigned runs;
    unsigned order[MAX_RUNS];
};

struct letter {
    struct car_note note; /* first */
    unsigned number;
    struct car_mailbox *again; /* where `run` posts `next` to */
    struct letter *next;
};

static void on_letter(struct car_note *note, void *owner) {
    struct scene *s = owner;
    struct letter *letter = (struct letter *)(void *)note;
    if (s->runs < MAX_RUNS) {
        s->order[s->runs++] = letter->number;
    }
    if (letter->again) {
        struct car_mailbox *to = letter->again;
        letter->again = NULL;
        car_mailbox_post(to, &letter->next->note);
    }
}

static void scene_open(struct scene *s) {
    *s = (struct scene){0};
    uv_loop_init(&s->loop);
    CU_ASSERT_EQUAL_FATAL(car_mailbox_open(&s->box, &s->loop, s), 0);
}

static void scene_close(struct scene *s) {
    car_mailbox_close(&s->box);
    CU_ASSERT_EQUAL(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
    car_mailbox_free(&s->box);
    CU_ASSERT_EQUAL(uv_loop_close(&s->loop), 0);
}

static struct letter letter_of(unsigned number) {
    return (struct letter){.note.run = on_letter, .number = number};
}

static void order_of_posting(void) {
    struct scene s;
    scene_open(&s);
    struct letter letters[5];
    for (unsigned i = 0; i < 5; i++) {
        letters[i] = letter_of(i);
        car_mailbox_post(&s.box, &letters[i].note);
    }
    CU_ASSERT_EQUAL(s.runs, 0); /* posting runs nothing, not even on the loop's own thread */
    uv_run(&s.loop, UV_RUN_ONCE);
    CU_ASSERT_EQUAL(s.runs, 5);
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(s.order[i], i);
    }
    scene_close(&s);
    CU_ASSERT_EQUAL(s.runs, 5);
}

static void posting_again(void) {
    struct scene s;
    scene_open(&s);
    struct letter itself = letter_of(1);
    itself.again = &s.box;
    itself.next = &itself; /* a note is its owner's again once `run` has begun */
    struct letter other = letter_of(2);
    car_mailbox_post(&s.box, &itself.note);
    car_mailbox_post(&s.box, &other.note);
    uv_run(&s.loop, UV_RUN_ONCE);
    CU_ASSERT_EQUAL(s.runs, 2); /* what is posted meanwhile waits for the loop's next turn */
    uv_run(&s.loop, UV_RUN_ONCE);
    CU_ASSERT_EQUAL(s.runs, 3);
    CU_ASSERT_EQUAL(s.order[0], 1);
    CU_ASSERT_EQUAL(s.order[1], 2);
    CU_ASSERT_EQUAL(s.order[2], 1);
    uv_run(&s.loop, UV_RUN_NOWAIT);
    CU_ASSERT_EQUAL(s.runs, 3);
    scene_close(&s);
}

static void on_freed(struct car_note *note, void *owner) {
    struct scene *s = owner;
    s->runs++;
    free(note);
}

static void freed_by_run(void) {
    struct scene s;
    scene_open(&s);
    for (unsigned i = 0; i < 3; i++) {
        struct car_note *note = malloc(sizeof *note);
        note->run = on_freed;
        car_mailbox_post(&s.box, note);
    }
    uv_run(&s.loop, UV_RUN_ONCE);
    CU_ASSERT_EQUAL(s.runs, 3);
    scene_close(&s);
}

static void close_runs_the_rest(void) {
    struct scene s;
    scene_open(&s);
    struct letter first = letter_of(1);
    struct letter second = letter_of(2);
    struct letter third = letter_of(3);
    first.again = &s.box;
    first.next = &third;
    car_mailbox_post(&s.box, &first.note);
    car_mailbox_post(&s.box, &second.note);
    scene_close(&s);
    CU_ASSERT_EQUAL(s.runs, 3);
    CU_ASSERT_EQUAL(s.order[0], 1);
    CU_ASSERT_EQUAL(s.order[1], 2);
    CU_ASSERT_EQUAL(s.order[2], 3);
}

static const struct car_test TESTS[] = {
    {"notes run in the order of posting, on the loop", order_of_posting},
    {"a note that runs may be posted again", posting_again},
    {"a note may be freed by its run", freed_by_run},
    {"closing runs what is left", close_runs_the_rest},
};

int main(void) {
    return car_suite_main("mailbox", TESTS, sizeof TESTS / sizeof *TESTS);
}
