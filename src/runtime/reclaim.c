#include "carillon/runtime/reclaim.h"

#include <assert.h>
#include <ck_stack.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

#include "carillon/runtime/tsan.h"

struct car_reclaim {
    ck_epoch_t epoch;
};

/* The record's shared fields are written by its thread and read by all that reclaim, so each stands on cache lines of
 * its own (ck_epoch_record is aligned). ck_epoch never forgets a record: a closed reader is kept for the next
 * car_reader_open and freed with the domain. */
struct car_reader {
    ck_epoch_record_t record;
    struct car_reclaim *domain;
};

CK_STACK_CONTAINER(struct car_reader, record.record_next, reader_of_link)
CK_STACK_CONTAINER(struct ck_epoch_entry, stack_entry, entry_of_link)

struct car_reclaim *car_reclaim_new(void) {
    struct car_reclaim *domain = malloc(sizeof *domain);
    if (domain) {
        ck_epoch_init(&domain->epoch);
    }
    return domain;
}

void car_reclaim_free(struct car_reclaim **domain) {
    if (!*domain) {
        return;
    }
    struct ck_stack_entry *link = CK_STACK_FIRST(&(*domain)->epoch.records);
    while (link) {
        struct car_reader *reader = reader_of_link(link);
        link = CK_STACK_NEXT(link);
        free(reader);
    }
    free(*domain);
    *domain = NULL;
}

struct car_reader *car_reader_open(struct car_reclaim *domain) {
    ck_epoch_record_t *record = ck_epoch_recycle(&domain->epoch, NULL);
    if (record) {
        struct car_reader *reader = reader_of_link(&record->record_next);
        CAR_TSAN_ACQUIRE(reader);
        return reader;
    }
    struct car_reader *reader = aligned_alloc(_Alignof(struct car_reader), sizeof *reader);
    if (reader) {
        reader->domain = domain;
        ck_epoch_register(&domain->epoch, &reader->record, NULL);
    }
    return reader;
}

static void yield_while_waiting(ck_epoch_t *epoch, ck_epoch_record_t *record, void *user) {
    (void)epoch;
    (void)record;
    (void)user;
    sched_yield(); /* the section waited for may belong to a thread that was preempted on this very core */
}

void car_reader_close(struct car_reader **reader) {
    struct car_reader *r = *reader;
    *reader = NULL;
    assert(r->record.active == 0);
    while (r->record.n_pending > 0) { /* what is freed may retire something else */
        ck_epoch_synchronize_wait(&r->domain->epoch, yield_while_waiting, NULL);
        CAR_TSAN_ACQUIRE(r->domain);
        ck_epoch_reclaim(&r->record);
    }
    CAR_TSAN_RELEASE(r);
    ck_epoch_unregister(&r->record);
}

void car_reader_enter(struct car_reader *reader) {
    ck_epoch_begin(&reader->record, NULL);
}

void car_reader_leave(struct car_reader *reader) {
    assert(reader->record.active > 0);
    CAR_TSAN_RELEASE(reader->domain);
    ck_epoch_end(&reader->record, NULL);
}

static void free_retired(ck_epoch_entry_t *entry) {
    /* The entry is the first member, so that no pointer has to be computed. */
    struct car_retired *retired = (struct car_retired *)entry;
    retired->free(retired);
}

static_assert(offsetof(struct car_retired, entry) == 0, "free_retired casts");

void car_reader_retire(struct car_reader *reader, struct car_retired *retired, void (*free)(struct car_retired *)) {
    retired->free = free;
    /* ck_epoch_call dates the entry by the epoch it reads. Without a fence that read may come before the store that
     * took the object out has left this core's buffer; two ticks in that time, and the object would be freed under a
     * reader that found it at the later epoch. Partner: the fence in ck_epoch_begin. */
    ck_pr_fence_memory();
    ck_epoch_call(&reader->record, &retired->entry, free_retired);
}

bool car_reader_poll(struct car_reader *reader) {
    if (reader->record.n_pending == 0) {
        return false;
    }
    assert(reader->record.active == 0);
    ck_stack_t ripe = CK_STACK_INITIALIZER;
    ck_epoch_poll_deferred(&reader->record, &ripe);
    CAR_TSAN_ACQUIRE(reader->domain);
    struct ck_stack_entry *link = CK_STACK_FIRST(&ripe);
    while (link) {
        ck_epoch_entry_t *entry = entry_of_link(link);
        link = CK_STACK_NEXT(link);
        entry->function(entry);
    }
    return reader->record.n_pending > 0;
}
