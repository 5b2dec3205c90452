#ifndef CARILLON_STORE_PAGES_H
#define CARILLON_STORE_PAGES_H

struct car_log_ask;
struct car_log_page;
struct car_log_types;
struct car_pages;
struct car_reclaim;

/*
 * Answering questions to a log: threads of their own, each with what it reads with, so that neither a loop nor a commit
 * waits for an answer. A tenant's questions are answered by one of them, in the order in which they came.
 */

/* On the thread that `reader` was made for. Each returns 0, or the answer's status (log.h), and then has left nothing
 * behind in it. */
struct car_reader_ops {
    int (*page)(void *reader, struct car_log_page *page);
    int (*types)(void *reader, struct car_log_types *types);
    void (*free)(void *reader); /* the thread has ended */
};

/* Starts a thread for each of the readers, which it takes over. NULL without memory or threads: then the readers are
 * still the caller's. */
struct car_pages *car_pages_open(struct car_reclaim *reclaim, const struct car_reader_ops *ops, void *const *readers,
                                 unsigned count);

/* Has the question answered, and its `done` called. On the question's worker. */
void car_pages_ask(struct car_pages *pages, struct car_log_ask *ask);

/* All that was asked has been answered. Nulls the pointer. */
void car_pages_close(struct car_pages **pages);

#endif
