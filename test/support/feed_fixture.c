#include "feed_fixture.h"

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "carillon/base/blob.h"
#include "carillon/feed/event.h"
#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/memory.h"
#include "carillon/store/postgres.h"
#include "carillon/store/sqlite.h"

#define TENANTS_MAX 4096
#define SETTLE_MAX  100000
#define SEEN_TEXT   4096

/* A test cannot go on without. */
static void must(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "feed fixture: %s\n", what);
        abort();
    }
}

/* The feed and its workers. */

static car_account_key_fn told;
static void *told_user;

void feed_tell_keys(car_account_key_fn key, void *user) {
    told = key;
    told_user = user;
}

/* All but the log. */
static void open_without_log(struct feed_fixture *f, unsigned workers, uint32_t keep) {
    *f = (struct feed_fixture){0};
    must(workers <= FEED_WORKERS_MAX, "too many workers");
    f->reclaim = car_reclaim_new();
    f->reader = f->reclaim ? car_reader_open(f->reclaim) : NULL;
    f->feed.registry = car_registry_new(TENANTS_MAX);
    f->feed.keep = keep;
    f->feed.key = told;
    f->feed.key_user = told_user;
    f->feed.named_head = CAR_SPAN(FEED_SIO_NAMED);
    must(f->reader && f->feed.registry, "no memory");
    f->feed.workers = f->workers;
    f->feed.worker_count = workers;
    for (unsigned i = 0; i < workers; i++) {
        must(car_worker_open(&f->workers[i], i, f->reclaim) == 0, "car_worker_open");
        must(car_feed_attach(&f->feed, f->workers[i]) == 0, "car_feed_attach");
    }
}

void feed_open(struct feed_fixture *f, unsigned workers, uint32_t keep) {
    open_without_log(f, workers, keep);
    f->feed.log = car_log_memory(&f->feed);
    must(f->feed.log != NULL, "no memory");
}

void feed_open_sqlite_with(struct feed_fixture *f, unsigned workers, uint32_t keep,
                           const struct car_sqlite_config *config) {
    char why[400];
    open_without_log(f, workers, keep);
    must(car_log_sqlite(&f->feed, f->reclaim, f->reader, config, &f->feed.log, why, sizeof why) == 0, why);
}

void feed_open_sqlite(struct feed_fixture *f, unsigned workers, uint32_t keep, const char *path, bool relaxed) {
    const struct car_sqlite_config config = {.path = path, .relaxed = relaxed};
    feed_open_sqlite_with(f, workers, keep, &config);
}

void feed_unlink_search(const char *path) {
    char search[200];
    snprintf(search, sizeof search, "%s-search", path);
    (void)unlink(search);
}

void feed_open_postgres(struct feed_fixture *f, unsigned workers, uint32_t keep, const char *uri, bool relaxed) {
    const struct car_postgres_config config = {.uri = uri, .relaxed = relaxed};
    feed_open_postgres_with(f, workers, keep, &config);
}

void feed_open_postgres_with(struct feed_fixture *f, unsigned workers, uint32_t keep,
                             const struct car_postgres_config *config) {
    char why[400];
    open_without_log(f, workers, keep);
    must(car_log_postgres(&f->feed, f->reclaim, f->reader, config, &f->feed.log, why, sizeof why) == 0, why);
}

static void stop(struct car_worker *worker, void *arg) {
    (void)arg;
    car_worker_stop(worker);
}

static void nothing(struct car_worker *worker, void *arg) {
    (void)worker;
    (void)arg;
}

void feed_barrier(struct feed_fixture *f) {
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        feed_call(f, i, nothing, NULL);
    }
}

/* What has been asked of the log comes back to workers that still turn. */
static void wait_for_answers(const struct feed_fixture *f) {
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        const struct car_feed_local *local = car_feed_local(f->workers[i]->feed);
        for (unsigned tries = 0; atomic_load(&local->publishing); tries++) {
            must(tries < 60000, "the log owes an answer");
            usleep(1000);
        }
    }
}

void feed_close(struct feed_fixture *f) {
    if (f->running) {
        wait_for_answers(f);
        /* Whatever a worker has begun, another may have an answer of: nobody ends before all of that has arrived. */
        feed_barrier(f);
        feed_barrier(f);
        for (unsigned i = 0; i < f->feed.worker_count; i++) {
            feed_call(f, i, stop, NULL);
        }
    } else {
        feed_settle(f);
    }
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        car_worker_join(f->workers[i]);
    }
    f->feed.log->ops->close(&f->feed.log);
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        car_feed_detach(f->workers[i]);
        car_worker_close(&f->workers[i]);
    }
    car_reader_close(&f->reader);
    car_registry_free(&f->feed.registry);
    car_reclaim_free(&f->reclaim);
}

struct car_tenant *feed_tenant(struct feed_fixture *f, const char *id) {
    struct car_tenant *tenant = NULL;
    must(car_registry_add(f->feed.registry, f->reader, car_span_cstr(id), &tenant) == 0, "car_registry_add");
    return tenant;
}

struct car_tenant *feed_tenant_find(struct feed_fixture *f, const char *id) {
    return car_registry_find(f->feed.registry, f->reader, car_span_cstr(id));
}

void feed_wait_answers(struct feed_fixture *f, unsigned long count) {
    for (unsigned i = 0; atomic_load(&f->answered) + atomic_load(&f->failed) < count; i++) {
        must(i < 60000, "no answers come");
        usleep(1000);
    }
}

void feed_turn(struct feed_fixture *f, unsigned worker) {
    must(!f->running, "its thread turns this loop");
    uv_run(&f->workers[worker]->loop, UV_RUN_NOWAIT);
}

static bool idle(const struct feed_fixture *f) {
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        const struct car_worker *worker = f->workers[i];
        if (!car_tasks_are_done(&worker->tasks) || __atomic_load_n(&worker->mailbox.stack.head, __ATOMIC_RELAXED)) {
            return false;
        }
    }
    return true;
}

void feed_settle(struct feed_fixture *f) {
    for (unsigned round = 0; round < SETTLE_MAX; round++) {
        for (unsigned i = 0; i < f->feed.worker_count; i++) {
            feed_turn(f, i);
        }
        if (idle(f)) {
            return;
        }
    }
    must(false, "the loops do not come to rest");
}

void feed_start(struct feed_fixture *f) {
    for (unsigned i = 0; i < f->feed.worker_count; i++) {
        must(car_worker_start(f->workers[i]) == 0, "car_worker_start");
    }
    f->running = true;
}

struct call {
    struct car_note note;
    void (*run)(struct car_worker *worker, void *arg);
    void *arg;
    sem_t returned;
};

static void on_call(struct car_note *note, void *owner) {
    struct call *call = (struct call *)note; /* its first member */
    call->run(owner, call->arg);
    sem_post(&call->returned);
}

void feed_call(struct feed_fixture *f, unsigned worker, void (*run)(struct car_worker *worker, void *arg), void *arg) {
    if (!f->running) {
        run(f->workers[worker], arg);
        return;
    }
    struct call *call = calloc(1, sizeof *call);
    must(call != NULL, "no memory");
    call->note.run = on_call;
    call->run = run;
    call->arg = arg;
    sem_init(&call->returned, 0, 0);
    car_mailbox_post(&f->workers[worker]->mailbox, &call->note);
    while (sem_wait(&call->returned) != 0) {
        /* interrupted */
    }
    sem_destroy(&call->returned);
    free(call);
}

/* Publishing. */

struct posted {
    struct car_publish publish;
    struct feed_fixture *f;
    struct car_event *events[];
};

static void posted_free(struct posted *posted) {
    for (uint32_t i = 0; i < posted->publish.count; i++) {
        car_event_unref(&posted->events[i]);
    }
    free(posted);
}

static void on_done(struct car_publish *publish) {
    struct posted *posted = (struct posted *)publish; /* its first member */
    struct feed_fixture *f = posted->f;
    if (f->running && car_worker_self() != publish->worker) {
        atomic_fetch_add(&f->astray, 1);
    }
    for (uint32_t i = 1; i < publish->count && publish->status == 0; i++) {
        must(posted->events[i]->seq == posted->events[0]->seq + i, "a batch has a hole");
    }
    atomic_fetch_add(publish->status ? &f->failed : &f->answered, publish->count);
    posted_free(posted);
}

struct car_event *feed_event(struct car_tenant *tenant, const char *type, const char *message_literal) {
    struct car_draft draft = {.type = car_span_cstr(type), .message = car_span_cstr(message_literal)};
    struct car_event *event = car_event_new(tenant, &draft);
    must(event != NULL, "car_event_new");
    return event;
}

/* Its events are to be filled in. */
static struct posted *posted_new(struct feed_fixture *f, struct car_tenant *tenant, uint32_t count) {
    struct posted *posted = calloc(1, sizeof *posted + count * sizeof posted->events[0]);
    must(posted != NULL, "no memory");
    posted->f = f;
    posted->publish = (struct car_publish){.tenant = tenant, .events = posted->events, .count = count, .done = on_done};
    return posted;
}

static int hand_in(struct posted *posted, unsigned worker) {
    int err = car_publish(&posted->publish, posted->f->workers[worker]);
    if (err) {
        posted_free(posted);
    }
    return err;
}

static int post(struct feed_fixture *f, unsigned worker, struct car_event *event) {
    struct posted *posted = posted_new(f, (struct car_tenant *)(uintptr_t)event->tenant, 1);
    posted->events[0] = event;
    return hand_in(posted, worker);
}

bool feed_publish_batch(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count) {
    struct posted *posted = posted_new(f, tenant, count);
    for (unsigned i = 0; i < count; i++) {
        posted->events[i] = feed_event(tenant, "message", "\"batch\"");
    }
    return hand_in(posted, worker) == 0;
}

void feed_publish_event(struct feed_fixture *f, unsigned worker, struct car_event *event) {
    must(post(f, worker, event) == 0, "an event is not accepted");
}

unsigned feed_publish_sized(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count,
                            size_t len) {
    char *message = malloc(len + 3);
    must(message != NULL, "no memory");
    memset(message, 'm', len + 2);
    message[0] = message[len + 1] = '"';
    message[len + 2] = '\0';
    unsigned accepted = 0;
    while (accepted < count && post(f, worker, feed_event(tenant, "message", message)) == 0) {
        accepted++;
    }
    free(message);
    return accepted;
}

unsigned feed_publish(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count) {
    return feed_publish_sized(f, worker, tenant, count, 5);
}

struct batch {
    struct feed_fixture *f;
    unsigned worker;
    struct car_tenant *tenant;
    unsigned count;
    size_t len;
};

static void publish_batch(struct car_worker *worker, void *arg) {
    const struct batch *b = arg;
    (void)worker;
    must(feed_publish_sized(b->f, b->worker, b->tenant, b->count, b->len) == b->count, "events are not accepted");
}

void feed_publish_from(struct feed_fixture *f, unsigned worker, struct car_tenant *tenant, unsigned count, size_t len) {
    struct batch batch = {f, worker, tenant, count, len};
    feed_call(f, worker, publish_batch, &batch);
}

void feed_publish_and_wait(struct feed_fixture *f, struct car_tenant *tenant, unsigned count) {
    unsigned long before = atomic_load(&f->answered);
    feed_publish_from(f, 0, tenant, count, 5);
    feed_wait_answers(f, before + count);
}

/* Subscribers. */

static void see(struct feed_subscriber *s, enum feed_seen_kind kind, uint64_t from, uint64_t to) {
    struct feed_seen *last = s->seen_count ? &s->seen[s->seen_count - 1] : NULL;
    if (kind == FEED_EVENTS && last && last->kind == FEED_EVENTS && last->to + 1 == from) {
        last->to = to;
        return;
    }
    if (s->seen_count == s->seen_cap) {
        s->seen_cap = s->seen_cap ? s->seen_cap * 2 : 8;
        s->seen = realloc(s->seen, s->seen_cap * sizeof *s->seen);
        must(s->seen != NULL, "no memory");
    }
    s->seen[s->seen_count++] = (struct feed_seen){kind, from, to};
}

/* Whether the text has the event's tenant where it belongs; *seq is what it says. */
static bool read_event(const struct feed_subscriber *s, struct car_span json, uint64_t *seq) {
    struct car_span id = car_tenant_id(s->tenant);
    if (!feed_take_lit(&json, "{\"id\":\"") || json.len < CAR_UUID_TEXT) {
        return false;
    }
    json = car_span_of(json.ptr + CAR_UUID_TEXT, json.len - CAR_UUID_TEXT);
    if (!feed_take_lit(&json, "\",\"tenant_id\":\"") || !feed_take_lit(&json, id.ptr) ||
        !feed_take_lit(&json, "\",\"seq\":")) {
        return false;
    }
    struct car_span digits;
    return car_span_next(&json, ',', &digits) && car_span_u64(digits, UINT64_MAX, seq) == 0;
}

static bool on_offer(struct car_session *session, struct car_blob *bytes) {
    struct feed_subscriber *s = (struct feed_subscriber *)session; /* its first member */
    if (s->limited && s->budget == 0) {
        s->refusals++;
        return false;
    }
    s->budget -= s->limited;
    s->offers++;
    s->last_blob = bytes;
    s->largest = s->largest > bytes->len ? s->largest : bytes->len;
    s->strangers += bytes->owner != s->tenant;
    struct car_span rest = car_span_of(bytes->data, bytes->len);
    struct car_buf json = CAR_BUF_INIT;
    bool bad;
    while (feed_wire_next(session->wire, &rest, &json, &bad)) {
        uint64_t seq = 0;
        if (read_event(s, car_buf_view(&json), &seq)) {
            see(s, FEED_EVENTS, seq, seq);
            s->events++;
        } else {
            s->strangers++;
        }
    }
    s->garbled += bad;
    car_buf_free(&json);
    if (s->on_offer) {
        s->on_offer(s);
    }
    return true;
}

static void on_gap(struct car_session *session, uint64_t from, uint64_t to) {
    see((struct feed_subscriber *)session, FEED_GAP, from, to);
}

static bool on_too_slow(struct car_session *session, uint64_t from, uint64_t to) {
    struct feed_subscriber *s = (struct feed_subscriber *)session;
    see(s, FEED_SLOW, from, to);
    return !s->ends_when_slow;
}

static void on_failed(struct car_session *session) {
    see((struct feed_subscriber *)session, FEED_FAILED, 0, 0);
}

static const struct car_session_ops OPS = {
    .offer = on_offer, .gap = on_gap, .too_slow = on_too_slow, .failed = on_failed};

int feed_join(struct feed_subscriber *s, struct car_worker *worker, struct car_tenant *tenant,
              const struct car_cursor *cursor) {
    s->tenant = tenant;
    s->session.ops = &OPS;
    int err = car_session_attach(&s->session, worker, tenant, &s->joined_at);
    if (!err) {
        car_session_start(&s->session, cursor);
    }
    return err;
}

int feed_join_since(struct feed_subscriber *s, struct car_worker *worker, struct car_tenant *tenant, uint64_t seq) {
    return feed_join(s, worker, tenant, &(struct car_cursor){.seq = seq});
}

void feed_resume(struct feed_subscriber *s) {
    s->limited = false;
    car_session_resume(&s->session);
}

void feed_leave(struct feed_subscriber *s) {
    car_session_detach(&s->session);
    free(s->seen);
    s->seen = NULL;
    s->seen_count = s->seen_cap = 0;
}

const char *feed_seen_text(const struct feed_subscriber *s) {
    static _Thread_local char text[SEEN_TEXT];
    static const char *const names[] = {
        [FEED_EVENTS] = "", [FEED_GAP] = "gap ", [FEED_SLOW] = "slow ", [FEED_FAILED] = "failed "};
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < s->seen_count && at < sizeof text - 64; i++) {
        const struct feed_seen *seen = &s->seen[i];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%llu-%llu", i ? " " : "", names[seen->kind],
                               (unsigned long long)seen->from, (unsigned long long)seen->to);
    }
    return text;
}

uint64_t feed_seen_last(const struct feed_subscriber *s) {
    return s->seen_count ? s->seen[s->seen_count - 1].to : 0;
}
