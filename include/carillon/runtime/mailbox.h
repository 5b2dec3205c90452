#ifndef CARILLON_RUNTIME_MAILBOX_H
#define CARILLON_RUNTIME_MAILBOX_H

#include <ck_stack.h>
#include <uv.h>

/*
 * The one crossing between threads: any thread posts a note to a loop's mailbox, the loop's thread runs it. Notes are
 * intrusive, so posting never allocates and never fails; what bounds their number is whatever embeds them.
 *
 * Owner: the loop's thread. Writers: any thread (lock-free stack, taken as a whole and turned round, so the notes of
 * one thread run in the order it posted them). Ordering: DESIGN's invariant 6: push, full fence, doorbell; in the
 * callback full fence, then take. What the poster wrote before posting is visible to the note's `run`.
 */
struct car_note {
    struct ck_stack_entry link;
    void (*run)(struct car_note *note, void *owner);
};

struct car_mailbox {
    struct ck_stack stack;
    uv_async_t doorbell;
    void *owner;
};

/* Ties the mailbox to a loop; `owner` is handed to every note. 0 or a UV_E… code. On the loop's thread, or before it
 * runs. */
int car_mailbox_open(struct car_mailbox *box, uv_loop_t *loop, void *owner);

/* Hands a note over. The note belongs to the mailbox until its `run` begins; posting it again before is a fault. Any
 * thread. */
void car_mailbox_post(struct car_mailbox *box, struct car_note *note);

/* Runs what is still inside and closes the doorbell; the box's memory is free to go once the loop has run its close
 * callbacks. Nobody may post any more. On the loop's thread. */
void car_mailbox_close(struct car_mailbox *box);

#endif
