#ifndef CARILLON_FEED_SESSION_H
#define CARILLON_FEED_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/wire.h"
#include "carillon/runtime/task.h"

struct car_address;
struct car_blob;
struct car_lane;
struct car_page;
struct car_session;
struct car_tenant;
struct car_worker;

/* Who is at the other end, as far as the transport knows. Borrowed from it. */
struct car_session_peer {
    const struct car_address *client; /* "::" where nobody knows */
    const char *request_id;           /* of its handshake */
};

/* How the feed sees a subscriber; the transport implements it. On the session's worker. None of them may leave the
 * session's lane at once: a connection that ends does so after the call. */
struct car_session_ops {
    /* Takes a reference to the bytes and returns true; or false where the peer reads too slowly to take more now: then
     * the transport calls car_session_resume when it can. */
    bool (*offer)(struct car_session *session, struct car_blob *bytes);
    /* The events from `from` to `to` were asked for and have been forgotten. */
    void (*gap)(struct car_session *session, uint64_t from, uint64_t to);
    /* The peer fell behind all that is kept. true where the transport told it of the gap and goes on; false where it
     * closes. */
    bool (*too_slow)(struct car_session *session, uint64_t from, uint64_t to);
    /* It was behind, and has been offered everything there is. May be NULL. */
    void (*caught_up)(struct car_session *session);
    /* What it is to read next cannot be read: it gets nothing more. The transport closes. */
    void (*failed)(struct car_session *session);
    /* How many bytes of memory wait for a peer that takes no more; what shed would let go of. Both may be NULL. */
    size_t (*held)(struct car_session *session);
    /* It gets nothing more, for its tenant has no memory left: lets go of what waits, and closes. */
    void (*shed)(struct car_session *session);
    /* For the administrator. May be NULL. */
    struct car_session_peer (*peer)(const struct car_session *session);
};

enum car_session_state {
    CAR_SESSION_DETACHED,
    CAR_SESSION_ATTACHED, /* of a lane, not started */
    CAR_SESSION_LIVE,     /* at the lane's position: fan-out serves it */
    CAR_SESSION_BEHIND,   /* reads from the history, and from the log, until it has caught up; or waits for the lane,
                             where that is behind what was the newest event when it joined */
    CAR_SESSION_ENDED,    /* still attached, gets nothing more */
};

/*
 * A subscriber: a position in its tenant's log. Embedded in a connection's state; belongs to the worker's thread, to
 * one tenant for life. Zero-initialised is detached.
 */
struct car_session {
    struct car_session *next, **pprev; /* among its lane's live sessions, or those that are behind */
    struct car_lane *lane;
    const struct car_session_ops *ops;
    uint64_t position; /* the last seq handed to the transport */
    struct car_task catch_up;
    struct car_page *page; /* that it waits for, or that has come; NULL while it reads from memory */
    enum car_wire wire : 8;
    enum car_session_state state : 8;
    bool paged : 1;    /* the page has come */
    bool joining : 1;  /* has not been live yet: what is missing was forgotten before the peer could be too slow */
    uint32_t behind_s; /* when it last fell behind, or joined so: whole seconds of car_turn_us */
};

/* Where a subscriber wants to begin. */
struct car_cursor {
    uint64_t seq; /* the last one it has */
    bool foreign; /* it is known to be another log's: there is a gap, then everything; so it is for a seq to come */
};

/* Joins the tenant's lane on this worker, creating it where this is the first. 0 and *newest, the seq that the session
 * is in step with; CAR_ENOMEM. Nothing is offered before car_session_start. */
int car_session_attach(struct car_session *session, struct car_worker *worker, struct car_tenant *tenant,
                       uint64_t *newest);

/* Begins: just after cursor->seq, or, where `cursor` is NULL, just after what it was in step with when it was attached,
 * which may have been long ago. */
void car_session_start(struct car_session *session, const struct car_cursor *cursor);

/* The transport can take more. */
void car_session_resume(struct car_session *session);

/* Leaves; the session offers nothing more and may be freed. Nothing where it is detached. */
void car_session_detach(struct car_session *session);

/* Whether there is something for it in the log that it has not been offered. */
static inline bool car_session_is_behind(const struct car_session *session) {
    return session->state == CAR_SESSION_BEHIND;
}

struct car_tenant *car_session_tenant(const struct car_session *session);

#endif
