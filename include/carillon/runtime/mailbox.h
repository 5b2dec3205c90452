#ifndef CARILLON_RUNTIME_MAILBOX_H
#define CARILLON_RUNTIME_MAILBOX_H

#include <ck_stack.h>
#include <stdatomic.h>
#include <uv.h>

/*
 * The one crossing between threads: any thread posts a note to a loop's mailbox, the loop's thread runs it. Notes are
 * intrusive, so posting never allocates and never fails; what bounds their number is whatever embeds them.
 *
 * Owner: the loop's thread. Writers: any thread (lock-free stack, taken as a whole and turned round, so the notes of
 * one thread run in the order it posted them). What the poster wrote before posting is visible to the note's `run`.
 *
 * Ordering: push, then turn `rung` to true, and ring where it was false; the loop turns it to false, then takes. Both
 * turns read and write at once, so one comes first: either the loop's, and the poster rings, or the poster's, and the
 * loop finds the note. (uv_async_t would serve as well, but its receiver spins while its sender is on the way back from
 * the system call, which is whenever the receiver is woken on the sender's processor.)
 */
struct car_note {
    struct ck_stack_entry link;
    void (*run)(struct car_note *note, void *owner);
};

struct car_mailbox {
    struct ck_stack stack;
    atomic_bool rung;
    int bell; /* an eventfd; open for as long as somebody may post */
    uv_poll_t door;
    void *owner;
};

/* Ties the mailbox to a loop; `owner` is handed to every note. 0 or a UV_E… code. On the loop's thread, or before it
 * runs. */
int car_mailbox_open(struct car_mailbox *box, uv_loop_t *loop, void *owner);

/* Hands a note over. The note belongs to the mailbox until its `run` begins; posting it again before is a fault. Any
 * thread. */
void car_mailbox_post(struct car_mailbox *box, struct car_note *note);

/* The two halves of posting, for who posts several notes before it rings once. The loop may sleep on a note until the
 * bell is rung, so whoever puts rings before sleeping (car_worker_post sees to it). Any thread. */
void car_mailbox_put(struct car_mailbox *box, struct car_note *note);
void car_mailbox_ring(struct car_mailbox *box);

/* Runs what is still inside, and nothing that comes later. On the loop's thread. */
void car_mailbox_close(struct car_mailbox *box);

/* Closes the bell of a box that was closed, once no thread can be on its way out of a post and the loop has run its
 * close callbacks. */
void car_mailbox_free(struct car_mailbox *box);

#endif
