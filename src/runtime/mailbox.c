#include "carillon/runtime/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "carillon/runtime/turn.h"

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

static void on_bell(uv_poll_t *door, int status, int events) {
    struct car_mailbox *box = door->data;
    uint64_t rings;
    (void)status;
    (void)events;
    ssize_t got = read(box->bell, &rings, sizeof rings);
    assert(got == sizeof rings || errno == EAGAIN);
    (void)got;
    car_turn_mark();
    atomic_exchange(&box->rung, false); /* partner: car_mailbox_ring */
    run_batch(box);
}

int car_mailbox_open(struct car_mailbox *box, uv_loop_t *loop, void *owner) {
    ck_stack_init(&box->stack);
    atomic_init(&box->rung, false);
    box->owner = owner;
    box->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->bell < 0) {
        return uv_translate_sys_error(errno);
    }
    int err = uv_poll_init(loop, &box->door, box->bell);
    if (err) {
        close(box->bell);
        return err;
    }
    box->door.data = box;
    err = uv_poll_start(&box->door, UV_READABLE, on_bell);
    assert(err == 0); /* it only links the handle into the loop */
    return err;
}

void car_mailbox_put(struct car_mailbox *box, struct car_note *note) {
    ck_stack_push_upmc(&box->stack, &note->link);
}

void car_mailbox_ring(struct car_mailbox *box) {
    static const uint64_t ONE = 1;
    if (!atomic_exchange(&box->rung, true)) { /* partner: on_bell */
        ssize_t written = write(box->bell, &ONE, sizeof ONE);
        assert(written == sizeof ONE);
        (void)written;
    }
}

void car_mailbox_post(struct car_mailbox *box, struct car_note *note) {
    car_mailbox_put(box, note);
    car_mailbox_ring(box);
}

void car_mailbox_close(struct car_mailbox *box) {
    while (run_batch(box)) {
        /* a note may post another one */
    }
    uv_close((uv_handle_t *)&box->door, NULL);
}

void car_mailbox_free(struct car_mailbox *box) {
    close(box->bell);
    box->bell = -1;
}
