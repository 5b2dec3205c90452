#include "carillon/feed/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/history.h"
#include "carillon/feed/log.h"
#include "carillon/feed/ring.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "feed/lane.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

#define KEEP       500
#define INLET_HOLD 1023 /* what an inlet of 1024 slots holds */

static struct feed_fixture f;

/* A publisher that notes what it was answered. */
struct ticket {
    struct car_publish publish;
    struct car_event *event;
    unsigned answers;
    uint64_t seq;  /* as answered */
    unsigned turn; /* how many had been answered before */
    struct car_worker *answered_on;
    void (*then)(struct ticket *ticket);
};

static unsigned turn_count;

static void on_done(struct car_publish *publish) {
    struct ticket *ticket = (struct ticket *)publish; /* its first member */
    ticket->answers++;
    ticket->seq = ticket->event->seq;
    ticket->turn = turn_count++;
    ticket->answered_on = car_worker_self();
    car_event_unref(&ticket->event);
    if (ticket->then) {
        ticket->then(ticket);
    }
}

static int post(struct ticket *ticket, struct car_tenant *tenant, unsigned worker) {
    *ticket = (struct ticket){.then = ticket->then};
    ticket->publish.tenant = tenant;
    ticket->event = feed_event(tenant, "t", "\"m\"");
    ticket->publish.events = &ticket->event;
    ticket->publish.count = 1;
    ticket->publish.done = on_done;
    ticket->publish.status = 1;
    return car_publish(&ticket->publish, f.workers[worker]);
}

static unsigned refs(struct car_tenant *tenant, uint64_t seq) {
    struct car_event *event = NULL;
    if (car_tenant_read(tenant, f.reader, seq, &event, 1) != 1) {
        return 0;
    }
    unsigned count = atomic_load(&event->refs) - 1; /* without the one just taken */
    CU_ASSERT_EQUAL(event->seq, seq);
    car_event_unref(&event);
    return count;
}

static void test_answered_at_once(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct ticket ticket = {0};
    for (uint64_t seq = 1; seq <= 5; seq++) {
        CU_ASSERT_EQUAL(post(&ticket, t, 0), 0);
        CU_ASSERT_EQUAL(ticket.answers, 1);
        CU_ASSERT_EQUAL(ticket.publish.status, 0);
        CU_ASSERT_EQUAL(ticket.seq, seq);
        CU_ASSERT_EQUAL(car_tenant_newest(t), seq);
        CU_ASSERT_EQUAL(refs(t, seq), 1); /* the history's */
    }
    CU_ASSERT_FALSE(atomic_load(&t->draining));
    CU_ASSERT_PTR_NULL(atomic_load(&t->lanes)); /* nobody subscribes */
    feed_settle(&f);
    CU_ASSERT_EQUAL(ticket.answers, 1);
    CU_ASSERT(car_tenant_rate_1m(t, car_tenant_created_ms(t)) > 0.08);
    feed_close(&f);
}

/* Each event counts its own tenant's seq. */
static void test_tenants_count_apart(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    struct ticket ticket = {0};
    for (unsigned i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL(post(&ticket, a, 0), 0);
        CU_ASSERT_EQUAL(ticket.seq, i);
        CU_ASSERT_EQUAL(post(&ticket, b, 0), 0);
        CU_ASSERT_EQUAL(ticket.seq, i);
    }
    feed_close(&f);
}

/* Somebody else is the drainer: what is enqueued waits for it, in order, up to what the inlet holds. */
static void test_inlet_full(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct ticket *tickets = calloc(INLET_HOLD + 2, sizeof *tickets);
    turn_count = 0;
    CU_ASSERT(car_drain_claim(t));
    CU_ASSERT_FALSE(car_drain_claim(t));
    for (unsigned i = 0; i < INLET_HOLD; i++) {
        CU_ASSERT_EQUAL(post(&tickets[i], t, i % 2), 0);
    }
    for (unsigned i = INLET_HOLD; i < INLET_HOLD + 2; i++) {
        CU_ASSERT_EQUAL(post(&tickets[i], t, 0), CAR_EFULL);
        CU_ASSERT_EQUAL(atomic_load(&tickets[i].event->refs), 1); /* nothing happened to it */
        CU_ASSERT_EQUAL(tickets[i].event->seq, 0);
        car_event_unref(&tickets[i].event);
    }
    feed_settle(&f);
    CU_ASSERT_EQUAL(turn_count, 0);
    f.feed.log->ops->ready(f.feed.log, t, f.workers[0]); /* as the drainer's log would */
    CU_ASSERT_FALSE(atomic_load(&t->draining));
    CU_ASSERT_EQUAL(car_tenant_newest(t), INLET_HOLD);
    CU_ASSERT_EQUAL(turn_count, (INLET_HOLD + 1) / 2); /* those of worker 0; the others' answers are in the mailbox */
    feed_settle(&f);
    CU_ASSERT_EQUAL(turn_count, INLET_HOLD);
    for (unsigned i = 0; i < INLET_HOLD; i++) {
        CU_ASSERT_EQUAL(tickets[i].answers, 1);
        CU_ASSERT_EQUAL(tickets[i].seq, i + 1);
        CU_ASSERT_EQUAL(tickets[i].turn, i % 2 ? (INLET_HOLD + 1) / 2 + i / 2 : i / 2);
        CU_ASSERT_EQUAL(tickets[i].publish.status, 0);
    }
    CU_ASSERT_EQUAL(tickets[INLET_HOLD].answers, 0);
    CU_ASSERT_EQUAL(post(&tickets[INLET_HOLD], t, 0), 0);
    CU_ASSERT_EQUAL(tickets[INLET_HOLD].answers, 1);
    free(tickets);
    feed_close(&f);
}

/* The drainer's steps one by one. */
static void test_drain_steps(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct car_publish *batch[CAR_DRAIN_BATCH];
    struct ticket tickets[5] = {0};
    CU_ASSERT(car_drain_claim(t));
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(post(&tickets[i], t, 0), 0);
    }
    CU_ASSERT_EQUAL_FATAL(car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, 3), 3);
    CU_ASSERT_PTR_EQUAL(batch[0], &tickets[0].publish);
    CU_ASSERT_PTR_EQUAL(batch[2], &tickets[2].publish);
    CU_ASSERT_EQUAL(car_tenant_newest(t), 0);
    car_drain_seal(&f.feed, t, batch, 3, f.reader, NULL); /* a thread that is no worker */
    CU_ASSERT_EQUAL(car_tenant_newest(t), 3);
    CU_ASSERT_EQUAL(tickets[0].answers, 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(tickets[2].answers, 1);
    CU_ASSERT(car_drain_finish(t)); /* one is left, so we go on */
    CU_ASSERT_FALSE(car_drain_claim(t));
    CU_ASSERT_EQUAL_FATAL(car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH), 1);
    car_drain_seal(&f.feed, t, batch, 1, f.reader, f.workers[0]);
    CU_ASSERT_EQUAL(tickets[3].answers, 1);
    CU_ASSERT_EQUAL(tickets[3].seq, 4);
    CU_ASSERT_FALSE(car_drain_finish(t));
    CU_ASSERT(car_drain_claim(t));
    CU_ASSERT_EQUAL(car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH), 0);
    CU_ASSERT_FALSE(car_drain_finish(t));
    feed_close(&f);
}

/* A publisher may publish again while it is answered. */

static struct car_tenant *again_tenant;
static unsigned again_left;

static void again(struct ticket *ticket) {
    if (again_left > 0) {
        again_left--;
        CU_ASSERT_EQUAL(post(ticket, again_tenant, 0), 0);
    }
}

static void test_publish_when_answered(void) {
    feed_open(&f, 1, KEEP);
    again_tenant = feed_tenant(&f, "a");
    again_left = 1000;
    struct ticket ticket = {.then = again};
    turn_count = 0;
    CU_ASSERT_EQUAL(post(&ticket, again_tenant, 0), 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(turn_count, 1001);
    CU_ASSERT_EQUAL(ticket.seq, 1001);
    feed_close(&f);
}

/* Whoever becomes the drainer serves the others too, but not without end: its own connections wait for it. Here the
 * inlet never runs dry while it drains. */
static void test_drainer_comes_back(void) {
    feed_open(&f, 1, KEEP);
    again_tenant = feed_tenant(&f, "a");
    again_left = 100000;
    struct ticket ticket = {.then = again};
    turn_count = 0;
    CU_ASSERT_EQUAL(post(&ticket, again_tenant, 0), 0);
    CU_ASSERT(turn_count < 50000);
    feed_settle(&f);
    CU_ASSERT_EQUAL(turn_count, 100001); /* and nothing is left behind */
    CU_ASSERT_EQUAL(car_tenant_newest(again_tenant), 100001);
    feed_close(&f);
}

/* What is kept. */

static void test_trimming(void) {
    feed_open(&f, 1, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct ticket ticket = {0};
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), 1);
    for (uint64_t seq = 1; seq <= 50; seq++) {
        CU_ASSERT_EQUAL(post(&ticket, t, 0), 0);
        CU_ASSERT_EQUAL(car_history_oldest(&t->history), seq > 10 ? seq - 9 : 1);
        CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), seq > 10 ? seq - 9 : 1);
    }
    feed_close(&f);
}

/* Several workers wait to be answered, in a batch larger than what is kept. */
static void test_trimming_in_one_batch(void) {
    feed_open(&f, 1, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct ticket *tickets = calloc(300, sizeof *tickets);
    CU_ASSERT(car_drain_claim(t));
    for (unsigned i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(post(&tickets[i], t, 0), 0);
    }
    f.feed.log->ops->ready(f.feed.log, t, f.workers[0]);
    for (unsigned i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(tickets[i].seq, i + 1); /* the answer holds the event, forgotten or not */
    }
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 291);
    free(tickets);
    feed_close(&f);
}

/* A worker that does not read. */

#define BEYOND 2000 /* publishers past what the lane may be behind */

static void stall(struct car_tenant *t) {
    unsigned accepted = feed_publish(&f, 0, t, CAR_LANE_LAG_MAX + BEYOND);
    CU_ASSERT_EQUAL(accepted, CAR_LANE_LAG_MAX + INLET_HOLD);
    CU_ASSERT_EQUAL(car_tenant_newest(t), CAR_LANE_LAG_MAX);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), CAR_LANE_LAG_MAX);
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 1);
    CU_ASSERT_EQUAL(car_tenant_oldest(t, KEEP), CAR_LANE_LAG_MAX - KEEP + 1);
    CU_ASSERT(atomic_load(&t->stalled));
    CU_ASSERT_FALSE(atomic_load(&t->draining));
}

static void check_all_in(struct car_tenant *t) {
    feed_settle(&f);
    CU_ASSERT_EQUAL(car_tenant_newest(t), CAR_LANE_LAG_MAX + INLET_HOLD);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), CAR_LANE_LAG_MAX + INLET_HOLD);
    CU_ASSERT_FALSE(atomic_load(&t->draining));
    CU_ASSERT_FALSE(atomic_load(&t->stalled));
    CU_ASSERT_EQUAL(car_ring_count(atomic_load(&t->inlet)), 0);
}

static void test_stalled_until_read(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    stall(t);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 1), 0);
    check_all_in(t);
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&s), "1-9215");
    /* What was held for the worker is let go when it has read it, and not with the next event only. */
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 9215 - KEEP + 1);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 1), 1);
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 9216 - KEEP + 1);
    feed_leave(&s);
    feed_close(&f);
}

/* Another tenant is not held up. */
static void test_stalled_alone(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct car_tenant *other = feed_tenant(&f, "b");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    struct ticket ticket = {0};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    stall(t);
    CU_ASSERT_EQUAL(post(&ticket, other, 0), 0);
    CU_ASSERT_EQUAL(ticket.answers, 1);
    check_all_in(t);
    feed_leave(&s);
    feed_close(&f);
}

static void test_stalled_until_left(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    stall(t);
    feed_leave(&s);
    check_all_in(t);
    feed_close(&f);
}

/* One that joins reads what its worker has not: that, too, lets the drainer go on. */
static void test_stalled_until_joined(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    struct feed_subscriber second = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    stall(t);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&second, f.workers[1], t, CAR_LANE_LAG_MAX), 0);
    check_all_in(t);
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&s), "1-9215");
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&second), "8193-9215");
    feed_leave(&s);
    feed_leave(&second);
    feed_close(&f);
}

/* Of two workers that are behind, the slower one counts. */
static void test_stalled_by_two(void) {
    feed_open(&f, 3, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    struct feed_subscriber slower = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(feed_join(&slower, f.workers[2], t, NULL), 0);
    stall(t);
    for (unsigned i = 0; i < 50; i++) {
        feed_turn(&f, 1);
        feed_turn(&f, 0);
    }
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&s), "1-8192");
    CU_ASSERT_EQUAL(car_tenant_newest(t), CAR_LANE_LAG_MAX);
    CU_ASSERT(atomic_load(&t->stalled));
    check_all_in(t);
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&s), "1-9215");
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&slower), "1-9215");
    feed_leave(&s);
    feed_leave(&slower);
    feed_close(&f);
}

/* The publisher's own worker is the one that does not read, being busy publishing. */
static void test_stalled_by_oneself(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[0], t, NULL), 0);
    stall(t);
    check_all_in(t);
    CU_ASSERT_STRING_EQUAL(feed_seen_text(&s), "1-9215");
    feed_leave(&s);
    feed_close(&f);
}

/* With threads: both publish at once, each is answered on its own. */

struct crowd {
    struct car_tenant *tenant;
    unsigned accepted;
};

static void publish_some(struct car_worker *worker, void *arg) {
    struct crowd *crowd = arg;
    crowd->accepted += feed_publish(&f, worker->id, crowd->tenant, 100);
}

struct round {
    struct car_note note;
    struct crowd *crowd;
    unsigned left;
    atomic_uint *finished;
};

static void on_round(struct car_note *note, void *owner) {
    struct round *round = (struct round *)note; /* its first member */
    struct car_worker *worker = owner;
    publish_some(worker, round->crowd);
    if (--round->left > 0) {
        car_mailbox_post(&worker->mailbox, note);
    } else {
        atomic_fetch_add(round->finished, 1);
    }
}

static void test_answered_on_own_thread(void) {
    feed_open(&f, 3, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct crowd crowds[3] = {{.tenant = t}, {.tenant = t}, {.tenant = t}};
    struct round rounds[3];
    atomic_uint finished = 0;
    feed_start(&f);
    for (unsigned i = 0; i < 3; i++) {
        rounds[i] = (struct round){.note.run = on_round, .crowd = &crowds[i], .left = 100, .finished = &finished};
        car_mailbox_post(&f.workers[i]->mailbox, &rounds[i].note);
    }
    for (int i = 0; i < 2000 && atomic_load(&finished) < 3; i++) {
        uv_sleep(5);
    }
    feed_barrier(&f);
    unsigned accepted = crowds[0].accepted + crowds[1].accepted + crowds[2].accepted;
    CU_ASSERT(accepted > 0);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), accepted);
    CU_ASSERT_EQUAL(car_tenant_newest(t), accepted);
    CU_ASSERT_EQUAL(atomic_load(&f.astray), 0);
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"unattended, a publish is answered at once", test_answered_at_once},
    {"tenants number their events apart", test_tenants_count_apart},
    {"a full inlet refuses, and keeps its order", test_inlet_full},
    {"the drainer's steps", test_drain_steps},
    {"publishing when answered", test_publish_when_answered},
    {"the drainer comes back", test_drainer_comes_back},
    {"what is not kept is forgotten", test_trimming},
    {"a batch larger than what is kept", test_trimming_in_one_batch},
    {"a drainer waits until a lane is read", test_stalled_until_read},
    {"a waiting drainer holds up no other tenant", test_stalled_alone},
    {"a drainer goes on when the lane goes", test_stalled_until_left},
    {"a drainer goes on when somebody joins", test_stalled_until_joined},
    {"a drainer waits for the slowest lane", test_stalled_by_two},
    {"a drainer waits for its own worker", test_stalled_by_oneself},
    {"answers come on the publisher's thread", test_answered_on_own_thread},
};

int main(void) {
    return car_suite_main("publish", TESTS, sizeof TESTS / sizeof *TESTS);
}
