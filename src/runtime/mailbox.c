#include "carillon/runtime/mailbox.h"

#include <ck_pr.h>
#include <stddef.h>

CK_STACK_CONTAINER(struct car_note, link, note_of)

/* Runs what lies in the box by now, in the order of posting; what arrives meanwhile rings again. Returns whether there
 * was anything. */
static bool run_batch(struct car_mailbox *box) {
    struct ck_stack_entry *newest = ck_stack_batch_pop_upmc(&box->stack);
    struct ck_stack_entry *oldest = NULL;
    while (newest) {
        struct ck_stack_entry *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    bool any = oldest != NULL;
    while (oldest) {
        struct car_note *note = note_of(oldest);
        oldest = oldest->next; /* from here on the note is its owner's again: `run` may free or post it */
        note->run(note, box->owner);
    }
    return any;
}

static void on_doorbell(uv_async_t *doorbell) {
    /* libuv has cleared the doorbell's flag by now. The fence keeps the look into the stack behind that; its partner is
     * in car_mailbox_post. */
    ck_pr_fence_memory();
    run_batch(doorbell->data);
}

int car_mailbox_open(struct car_mailbox *box, uv_loop_t *loop, void *owner) {
    ck_stack_init(&box->stack);
    box->owner = owner;
    box->doorbell.data = box;
    return uv_async_init(loop, &box->doorbell, on_doorbell);
}

void car_mailbox_post(struct car_mailbox *box, struct car_note *note) {
    ck_stack_push_upmc(&box->stack, &note->link);
    /* uv_async_send begins with a relaxed look at the doorbell's flag and does no more where it is up. That look must
     * not come before the push: the loop could clear the flag and find the stack empty in between, and sleep on the
     * note. Partner: on_doorbell.
     *
     * To skip the doorbell where the box was not empty would save nothing over that look, and would let this note wait
     * for another thread that was preempted between its push and its ring. */
    ck_pr_fence_memory();
    uv_async_send(&box->doorbell);
}

void car_mailbox_close(struct car_mailbox *box) {
    while (run_batch(box)) {
        /* a note may post another one */
    }
    uv_close((uv_handle_t *)&box->doorbell, NULL);
}
