#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "carillon/feed/event.h"
#include "carillon/feed/history.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/ring.h"
#include "carillon/feed/shares.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "race.h"
#include "suite.h"

/*
 * The whole feed under load: workers that publish to all tenants, and sessions on each of them that join, leave, refuse
 * and go on at random. Each session has to see its tenant's events in order, each once, from where it asked on, and
 * nobody else's; what it misses it is told. At the end everybody who has stayed gets up to the newest event, every
 * publish was answered once, nothing holds an event but the history, and that is what is counted as memory in use.
 */

#define WORKERS     4u
#define TENANTS_MAX 12u
#define SESSIONS    24u /* of each worker */
#define TURNS       20000u
#define PLAY_MS     3000u
#define SETTLE_MS   30000u

struct player {
    struct feed_subscriber s; /* first */
    bool joined;
    bool cursor;   /* joined with one */
    uint64_t from; /* the seq that has to come first, or to be told missing */
};

struct scene;

/* One worker's part: a task that plays a little in each turn of the loop. */
struct stage {
    struct scene *scene;
    struct car_worker *worker;
    struct car_task task;
    struct player players[SESSIONS];
    uint64_t dice;
    unsigned turns;
    unsigned long accepted, refused, joins, checked;
};

struct scene {
    struct feed_fixture f;
    struct car_tenant *tenants[TENANTS_MAX];
    /* the play */
    unsigned tenant_count;
    unsigned sessions;    /* of each worker that are used */
    unsigned leave;       /* one of so many acts is to leave */
    unsigned turns;       /* of each stage */
    unsigned burst;       /* events that are published at once now and then */
    bool crowded;         /* all workers on one processor */
    uint64_t budget;      /* of memory, of each tenant, which is lifted and set again all the time; 0: none */
    const char *database; /* where the log is; NULL: in memory */
    bool relaxed;
    uint64_t started_ms;
    unsigned time_ms;
    uint64_t dice;
    struct car_shares_cut cut;
    struct stage stages[WORKERS];
    atomic_uint finished;
    atomic_ulong faults;
    atomic_ulong gaps;
    atomic_uint lagging;
};

/* What the player has seen has to be one row from `from` on; gaps are in the row. */
static void check(struct scene *scene, const struct player *p) {
    const struct feed_subscriber *s = &p->s;
    uint64_t next = p->from;
    for (size_t i = 0; i < s->seen_count; i++) {
        if (s->seen[i].from != next || s->seen[i].to + 1 <= next) {
            scene->faults++;
            fprintf(stderr, "tenant %s, from %llu: %s\n", car_tenant_id(s->tenant).ptr, (unsigned long long)p->from,
                    feed_seen_text(s));
            break;
        }
        next = s->seen[i].to + 1;
        scene->gaps += s->seen[i].kind != FEED_EVENTS;
    }
    scene->faults += s->strangers + s->garbled;
}

static void player_leave(struct stage *stage, struct player *p) {
    check(stage->scene, p);
    stage->checked++;
    feed_leave(&p->s);
    p->joined = false;
}

static void player_join(struct stage *stage, struct player *p) {
    struct scene *scene = stage->scene;
    uint32_t dice = race_random(&stage->dice);
    struct car_tenant *tenant = scene->tenants[dice % scene->tenant_count];
    *p = (struct player){.joined = true};
    p->s.session.wire = (enum car_wire)((dice >> 8) % 8 == 0 ? CAR_WIRE_WS_DEFLATE
                                        : (dice >> 8) % 2    ? CAR_WIRE_WS
                                                             : CAR_WIRE_SSE);
    p->s.limited = (dice >> 12) % 8 == 0;
    p->cursor = (dice >> 16) % 2 == 0;
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t back = (dice >> 20) % 300;
    uint64_t since = newest > back ? newest - back : 0;
    int err = p->cursor ? feed_join_since(&p->s, stage->worker, tenant, since)
                        : feed_join(&p->s, stage->worker, tenant, NULL);
    scene->faults += err != 0 || p->s.joined_at < newest;
    p->from = (p->cursor ? since : p->s.joined_at) + 1;
    stage->joins++;
}

static void player_act(struct stage *stage, struct player *p) {
    uint32_t dice = race_random(&stage->dice);
    if (!p->joined) {
        player_join(stage, p);
    } else if (dice % stage->scene->leave == 0) {
        player_leave(stage, p);
    } else if (p->s.limited) {
        if (dice % 3 == 0) {
            feed_resume(&p->s);
        }
    } else if (dice % 8 == 1) {
        p->s.limited = true;
        p->s.budget = (dice >> 8) % 3;
    }
}

static void play(struct car_task *task) {
    struct stage *stage = (struct stage *)((char *)task - offsetof(struct stage, task));
    struct scene *scene = stage->scene;
    for (unsigned i = 0; i < 3; i++) {
        player_act(stage, &stage->players[race_random(&stage->dice) % scene->sessions]);
    }
    uint32_t dice = race_random(&stage->dice);
    unsigned wanted = dice % 64 == 0 ? scene->burst : (dice >> 8) % 6;
    struct car_tenant *tenant = scene->tenants[(dice >> 16) % scene->tenant_count];
    unsigned accepted;
    if ((dice >> 24) % 8 == 0 && wanted) {
        accepted = feed_publish_batch(&scene->f, stage->worker->id, tenant, wanted) ? wanted : 0;
    } else {
        accepted = feed_publish(&scene->f, stage->worker->id, tenant, wanted);
    }
    stage->accepted += accepted;
    stage->refused += wanted - accepted;
    race_stall(&stage->dice);
    stage->turns++;
    bool over = stage->turns == scene->turns || race_time_up(scene->started_ms, scene->time_ms, stage->turns);
    if (over) {
        atomic_fetch_add(&scene->finished, 1);
    } else {
        car_task_yield(&stage->worker->tasks, &stage->task);
    }
}

static void stage_begin(struct car_worker *worker, void *arg) {
    struct scene *scene = arg;
    struct stage *stage = &scene->stages[worker->id];
    *stage = (struct stage){.scene = scene, .worker = worker, .dice = race_seed(worker->id), .task.run = play};
    if (scene->crowded) {
        race_pin(0);
    }
    car_task_defer(&worker->tasks, &stage->task);
}

/* The last act: everybody takes what comes. */
static void stage_resume(struct car_worker *worker, void *arg) {
    struct stage *stage = &((struct scene *)arg)->stages[worker->id];
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (stage->players[i].joined) {
            feed_resume(&stage->players[i].s);
        }
    }
}

static void stage_look(struct car_worker *worker, void *arg) {
    struct scene *scene = arg;
    struct stage *stage = &scene->stages[worker->id];
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct player *p = &stage->players[i];
        uint64_t newest = p->joined ? car_tenant_newest(p->s.tenant) : 0;
        scene->lagging += p->joined && (p->s.session.position != newest || p->s.session.state != CAR_SESSION_LIVE);
    }
}

static void stage_end(struct car_worker *worker, void *arg) {
    struct scene *scene = arg;
    struct stage *stage = &scene->stages[worker->id];
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct player *p = &stage->players[i];
        if (p->joined) {
            uint64_t last = p->s.seen_count ? feed_seen_last(&p->s) : p->from - 1;
            scene->faults += last != car_tenant_newest(p->s.tenant);
            player_leave(stage, p);
        }
    }
}

static void each_stage(struct scene *scene, void (*run)(struct car_worker *worker, void *arg)) {
    for (unsigned i = 0; i < WORKERS; i++) {
        feed_call(&scene->f, i, run, scene);
    }
}

static void wait_until_all_are_there(struct scene *scene) {
    uint64_t started = race_now_ms();
    do {
        usleep(2000);
        atomic_store(&scene->lagging, 0);
        each_stage(scene, stage_look);
    } while (atomic_load(&scene->lagging) > 0 && race_now_ms() - started < SETTLE_MS);
    CU_ASSERT_EQUAL(atomic_load(&scene->lagging), 0);
}

/* No seq is missing, and nothing but the history holds an event. */
static void check_tenant(struct scene *scene, struct car_tenant *tenant) {
    struct car_history *history = &tenant->history;
    uint64_t newest = car_history_newest(history);
    uint64_t oldest = car_history_oldest(history);
    CU_ASSERT_EQUAL(car_tenant_connections(tenant), 0);
    CU_ASSERT_FALSE(atomic_load(&tenant->draining));
    CU_ASSERT(!atomic_load(&tenant->inlet) || car_ring_count(atomic_load(&tenant->inlet)) == 0);
    bool whole = newest < scene->f.feed.keep || newest - oldest + 1 >= scene->f.feed.keep;
    CU_ASSERT(whole || (scene->budget && scene->database)); /* what a database has may go before */
    uint64_t bytes = 0;
    for (uint64_t seq = oldest; seq <= newest; seq++) {
        struct car_event *event = NULL;
        size_t n = car_history_read(history, scene->f.reader, seq, &event, 1);
        CU_ASSERT_EQUAL_FATAL(n, 1);
        CU_ASSERT_EQUAL(event->seq, seq);
        CU_ASSERT_EQUAL(atomic_load(&event->refs), 2); /* the history's and ours */
        bytes += event->size;
        car_event_unref(&event);
    }
    CU_ASSERT_EQUAL(car_memory_used(tenant), bytes);
}

/* Whether a log that has yet to commit it, or a retired lane, holds an event beside the history. */
static bool is_held(struct scene *scene, struct car_tenant *tenant) {
    bool held = false;
    for (uint64_t seq = car_history_oldest(&tenant->history); seq <= car_tenant_newest(tenant) && !held; seq++) {
        struct car_event *event = NULL;
        if (car_history_read(&tenant->history, scene->f.reader, seq, &event, 1)) {
            held = atomic_load(&event->refs) > 2;
            car_event_unref(&event);
        }
    }
    return held;
}

static bool is_busy(struct scene *scene) {
    bool busy = false;
    for (unsigned i = 0; i < scene->tenant_count && !busy; i++) {
        busy = atomic_load(&scene->tenants[i]->draining) || is_held(scene, scene->tenants[i]);
    }
    return busy;
}

/* A log with a thread of its own comes to rest a moment after the last answer. */
static void wait_until_log_rests(struct scene *scene) {
    for (unsigned i = 0; i < 10000 && is_busy(scene); i++) {
        usleep(1000);
    }
}

static void poll_until_free(struct car_worker *worker, void *arg) {
    unsigned *waiting = arg;
    *waiting += car_reader_poll(worker->reader);
}

static void wait_until_reclaimed(struct scene *scene) {
    unsigned waiting = 1;
    for (unsigned i = 0; waiting && i < 1000; i++) {
        waiting = 0;
        for (unsigned w = 0; w < WORKERS; w++) {
            feed_call(&scene->f, w, poll_until_free, &waiting);
        }
    }
    CU_ASSERT_EQUAL(waiting, 0);
}

static struct scene scene;

/* How long a play may take, natively; CARILLON_SLOW=1 asks for more, and so do the sanitizers, for which a turn takes
 * longer than race_rounds assumes where the processors are few. */
static unsigned time_ms(void) {
    const char *slow = getenv("CARILLON_SLOW");
    return race_rounds(8) < 8 || (slow && *slow == '1') ? 4 * PLAY_MS : PLAY_MS;
}

/* As the main thread does when memory comes to be short, and is not any more. */
static void squeeze(struct scene *play) {
    if (play->budget && race_random(&play->dice) % 2) {
        car_shares_set(&play->f.feed, play->f.reader, 1u << 20, &play->cut);
    } else if (play->budget) {
        car_shares_lift(&play->f.feed);
    }
}

static void run(uint32_t keep, const struct scene *play) {
    scene = *play;
    scene.turns = race_rounds(TURNS);
    scene.dice = race_seed(99);
    scene.time_ms = time_ms();
    if (scene.database) {
        feed_open_sqlite(&scene.f, WORKERS, keep, scene.database, scene.relaxed);
    } else {
        feed_open(&scene.f, WORKERS, keep);
    }
    for (unsigned i = 0; i < scene.tenant_count; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%u", i);
        scene.tenants[i] = feed_tenant(&scene.f, id);
    }
    scene.f.feed.tenant_memory = scene.budget;
    feed_start(&scene.f);
    scene.started_ms = race_now_ms();
    each_stage(&scene, stage_begin);
    while (atomic_load(&scene.finished) < WORKERS) {
        squeeze(&scene);
        usleep(2000);
    }
    car_shares_lift(&scene.f.feed);
    feed_barrier(&scene.f);
    unsigned long accepted = 0;
    unsigned long newest = 0;
    unsigned long joins = 0;
    unsigned long refused = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        accepted += scene.stages[i].accepted;
        refused += scene.stages[i].refused;
        joins += scene.stages[i].joins;
    }
    each_stage(&scene, stage_resume);
    feed_wait_answers(&scene.f, accepted);
    wait_until_all_are_there(&scene);
    feed_barrier(&scene.f);
    each_stage(&scene, stage_end);
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL(scene.stages[i].joins, scene.stages[i].checked);
    }
    feed_barrier(&scene.f);
    wait_until_reclaimed(&scene);
    if (scene.database) {
        wait_until_log_rests(&scene);
    }
    for (unsigned i = 0; i < scene.tenant_count; i++) {
        newest += car_tenant_newest(scene.tenants[i]);
        check_tenant(&scene, scene.tenants[i]);
    }
    CU_ASSERT_EQUAL(atomic_load(&scene.f.answered), accepted);
    CU_ASSERT_EQUAL(newest, accepted);
    CU_ASSERT_EQUAL(atomic_load(&scene.f.failed), 0);
    CU_ASSERT_EQUAL(atomic_load(&scene.f.astray), 0);
    CU_ASSERT_EQUAL(atomic_load(&scene.faults), 0);
    CU_ASSERT(joins > 0);
    printf("  %lu events, %lu refused, %lu joins, %lu gaps, %llu ms\n", accepted, refused, joins,
           atomic_load(&scene.gaps), (unsigned long long)(race_now_ms() - scene.started_ms));
    feed_close(&scene.f);
}

static void test_many_tenants(void) {
    run(200, &(struct scene){.tenant_count = TENANTS_MAX, .sessions = SESSIONS, .leave = 24, .burst = 150});
}

/* Everybody meets in one tenant. */
static void test_one_tenant(void) {
    run(500, &(struct scene){.tenant_count = 1, .sessions = SESSIONS, .leave = 24, .burst = 150});
}

/* Next to nothing is kept, so that a moment's lag is a gap. */
static void test_short_memory(void) {
    run(8, &(struct scene){.tenant_count = 3, .sessions = SESSIONS, .leave = 24, .burst = 300});
}

/* The log has a thread of its own, which commits before it publishes, or after. */
static void test_database(void) {
    char folder[] = "/tmp/carillon-race-XXXXXX";
    char path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%u.db", folder, i);
        run(200, &(struct scene){.tenant_count = TENANTS_MAX,
                                 .sessions = SESSIONS,
                                 .leave = 24,
                                 .burst = 150,
                                 .database = path,
                                 .relaxed = i == 1});
        CU_ASSERT_EQUAL(unlink(path), 0);
        feed_unlink_search(path);
    }
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

/* Budgets of memory that come and go, where history has to be kept and where it has not: some are refused. */
static void test_budget(void) {
    char folder[] = "/tmp/carillon-race-XXXXXX";
    char path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.db", folder);
    struct scene play = {.tenant_count = 3, .sessions = SESSIONS, .leave = 24, .burst = 300, .budget = 100000};
    run(200, &play);
    play.database = path;
    run(200, &play);
    CU_ASSERT_EQUAL(unlink(path), 0);
    feed_unlink_search(path);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

/* Few sessions that do not stay: with most of them the lane goes. */
static void test_lanes_come_and_go(void) {
    run(100, &(struct scene){.tenant_count = 2, .sessions = 2, .leave = 2, .burst = 100});
}

/* More workers than processors, all busy with one tenant. */
static void test_one_processor(void) {
    run(500, &(struct scene){.tenant_count = 1, .sessions = 1, .leave = 24, .burst = 500, .crowded = true});
}

/* A put that is preempted half done holds up the others no longer than until it runs again. Where each that waits burns
 * its time slice, and is preempted with its own half done, four putters on two processors get some hundred through in a
 * second of processor time; as it is, some hundred thousand. */

#define PUTTERS    4u
#define PUTS       50000u
#define PUTS_CPU_S 60

struct crowd {
    struct car_ring *ring;
    atomic_bool draining;
    atomic_uint taken;
    unsigned puts;
    clock_t started;
};

static bool out_of_time(const struct crowd *crowd, unsigned round) {
    return round % 64 == 63 && (clock() - crowd->started) / CLOCKS_PER_SEC >= PUTS_CPU_S;
}

static void *put_and_drain(void *arg) {
    struct crowd *crowd = arg;
    for (unsigned n = 0; n < crowd->puts && !out_of_time(crowd, n);) {
        n += car_ring_put_mpsc(crowd->ring, crowd);
        while (car_ring_count(crowd->ring) > 0 && !atomic_exchange(&crowd->draining, true)) {
            while (car_ring_take_mpsc(crowd->ring)) {
                atomic_fetch_add(&crowd->taken, 1);
            }
            atomic_exchange(&crowd->draining, false);
        }
    }
    return NULL;
}

static void test_crowd_at_the_inlet(void) {
    struct crowd crowd = {.ring = car_ring_new(1024), .puts = race_rounds(PUTS), .started = clock()};
    pthread_t threads[PUTTERS];
    for (unsigned i = 0; i < PUTTERS; i++) {
        pthread_create(&threads[i], NULL, put_and_drain, &crowd);
    }
    race_join(threads, PUTTERS);
    CU_ASSERT_EQUAL(atomic_load(&crowd.taken), PUTTERS * crowd.puts);
    printf("(%.2f s of processor time) ", (double)(clock() - crowd.started) / CLOCKS_PER_SEC);
    car_ring_free(&crowd.ring);
}

/*
 * Somebody is the first to join on his worker in the very moment in which another worker publishes: either the drainer
 * finds the new lane, or the joining session is told of the event as the newest. Both sides store and then look, so
 * each needs its fence.
 */

#define MEETINGS   60000u
#define MEETING_MS 8000u

struct meeting {
    struct feed_fixture f;
    struct car_tenant *tenant;
    struct feed_subscriber s;
    struct car_note publish;
    atomic_uint arrived;
    uint64_t dice[2];
};

/* Both threads are in a note when they meet, and go on as good as at once, so that what they do overlaps in ever new
 * ways. A barrier that sleeps would wake them much too far apart. */
static void meet(struct meeting *m, unsigned side) {
    atomic_fetch_add(&m->arrived, 1);
    for (unsigned spins = 1; atomic_load(&m->arrived) < 2; spins++) {
        if (spins % 4096 == 0) {
            sched_yield();
        }
    }
    for (volatile uint32_t i = race_random(&m->dice[side]) % 1024; i > 0; i--) {
    }
}

static void meet_and_publish(struct car_note *note, void *owner) {
    struct meeting *m = (struct meeting *)((char *)note - offsetof(struct meeting, publish));
    struct car_worker *worker = owner;
    meet(m, 0);
    CU_ASSERT_EQUAL(feed_publish(&m->f, worker->id, m->tenant, 1), 1);
}

static void meet_and_join(struct car_worker *worker, void *arg) {
    struct meeting *m = arg;
    meet(m, 1);
    CU_ASSERT_EQUAL(feed_join(&m->s, worker, m->tenant, NULL), 0);
}

static void part(struct car_worker *worker, void *arg) {
    struct meeting *m = arg;
    (void)worker;
    uint64_t newest = car_tenant_newest(m->tenant);
    uint64_t last = m->s.seen_count ? feed_seen_last(&m->s) : m->s.joined_at;
    CU_ASSERT_EQUAL(last, newest);
    feed_leave(&m->s);
}

static void test_first_to_join(void) {
    static struct meeting m;
    m = (struct meeting){.dice = {race_seed(1), race_seed(2)}};
    feed_open(&m.f, 2, 10);
    m.tenant = feed_tenant(&m.f, "a");
    feed_start(&m.f);
    uint64_t started = race_now_ms();
    for (unsigned i = 0; i < race_rounds(MEETINGS) && !race_time_up(started, MEETING_MS, i); i++) {
        m.s = (struct feed_subscriber){.session.wire = CAR_WIRE_SSE};
        m.publish.run = meet_and_publish;
        atomic_store(&m.arrived, 0);
        car_mailbox_post(&m.f.workers[0]->mailbox, &m.publish);
        feed_call(&m.f, 1, meet_and_join, &m);
        feed_barrier(&m.f); /* worker 0 has published, and worker 1 has been woken by it, if it was */
        feed_call(&m.f, 1, part, &m);
    }
    feed_close(&m.f);
}

static const struct car_test TESTS[] = {
    {"many tenants", test_many_tenants},
    {"a database", test_database},
    {"one tenant", test_one_tenant},
    {"a short memory", test_short_memory},
    {"budgets of memory", test_budget},
    {"lanes come and go", test_lanes_come_and_go},
    {"more workers than processors", test_one_processor},
    {"a crowd at the inlet", test_crowd_at_the_inlet},
    {"the first to join", test_first_to_join},
};

int main(void) {
    race_watch();
    return car_suite_main("feed", TESTS, sizeof TESTS / sizeof *TESTS);
}
