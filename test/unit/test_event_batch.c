#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/flow.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/worker.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* A batch is read in slices, between which other tenants have their turns. One worker, whose loop is turned by hand;
 * the requests have no connection: what is answered is what the application hears of it. */

#define EVENTS  1000
#define ELEMENT "{\"message\":\"01234567890123456789012345678901234567890123456789012345678901234567890123456789\"}"

static struct feed_fixture f;
static struct car_net net;
static struct car_config config;
static struct car_api api;
static struct car_tenant *loud, *quiet;
static struct car_buf text; /* of the body */
static const char *key;     /* the Idempotency-Key of what is posted; NULL where it has none */
static int status;          /* the answer's; 0: none as yet */
static unsigned answers;

static void on_answered(void *app, const struct car_exchange *exchange, int answered) {
    (void)app;
    (void)exchange;
    status = answered;
    answers++;
}

static const struct car_http_app APP = {.answered = on_answered};

/* The other tenant's work: a turn of its flow costs a quantum, and then it comes again. */
static struct {
    struct car_task task; /* first */
    unsigned turns;       /* before the batch was answered */
    unsigned published;   /* of those, after how many its events were in the log */
    unsigned waited_for;  /* how often an end would have waited */
    size_t memory;        /* that the batch's tenant used, when it was last looked at before the answer */
    unsigned drained;     /* in so many the batch was being numbered: read, and not in the log */
    bool removes;         /* the batch's tenant, then */
    bool adds;            /* an event of it, then */
    unsigned most;
} other;

static void on_turn(struct car_task *task) {
    struct car_flow *flow = car_flow_of(quiet, f.workers[0]);
    other.turns += status == 0;
    other.published += status == 0 && feed_publish(&f, 0, quiet, 1) == 1 && car_tenant_newest(loud) == 0;
    if (status == 0 && atomic_load(&loud->draining)) {
        other.drained++;
        atomic_store(&loud->removed, other.removes);
        CU_ASSERT_EQUAL(other.adds ? feed_publish(&f, 0, loud, 1) : 1, 1);
        other.adds = false;
    }
    other.waited_for += status == 0 && atomic_load(&car_feed_local(f.workers[0]->feed)->publishing) > 0;
    other.memory = status == 0 ? car_memory_used(loud) : other.memory;
    car_flow_charge(&f.workers[0]->tasks, flow, CAR_FLOW_QUANTUM);
    if (status == 0 && other.turns < other.most) {
        car_flow_defer(&f.workers[0]->tasks, flow, task);
    }
}

static void set_up(void) {
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_ERROR);
    feed_open(&f, 1, 5000);
    net = (struct car_net){.app = &APP, .request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&net, f.workers[0]), 0);
    config = (struct car_config){.max_message_chars = 1000};
    api = (struct car_api){.config = &config, .feed = &f.feed, .net = &net};
    loud = feed_tenant(&f, "loud");
    quiet = feed_tenant(&f, "quiet");
    memset(&other, 0, sizeof other);
    other.task.run = on_turn;
    other.most = 1000;
}

static void tear_down(void) {
    CU_ASSERT_EQUAL(answers, 1);
    CU_ASSERT_EQUAL(car_feed_local(f.workers[0]->feed)->publishing, 0);
    car_net_detach(f.workers[0]);
    feed_close(&f);
    car_buf_free(&text);
}

static void write_array(unsigned count, const char *element, const char *end) {
    text.len = 0;
    for (unsigned i = 0; i < count; i++) {
        car_buf_char(&text, i ? ',' : '[');
        car_buf_span(&text, car_span_cstr(element));
    }
    car_buf_span(&text, car_span_cstr(end));
}

static void write_lines(unsigned count) {
    text.len = 0;
    for (unsigned i = 0; i < count; i++) {
        CAR_BUF_LIT(&text, ELEMENT "\n");
    }
}

/* Posts the body. What a handler is lent is gone when it returns: so it is overwritten. `kept`: the body is in the
 * parser's memory, which can be taken over. */
static void post(const char *type, bool kept) {
    struct car_exchange *exchange = calloc(1, sizeof *exchange);
    struct car_http_header headers[] = {{CAR_SPAN("Content-Type"), car_span_cstr(type)},
                                        {CAR_SPAN("Idempotency-Key"), car_span_cstr(key ? key : "")}};
    struct car_buf body = CAR_BUF_INIT;
    struct car_takings takings;
    CU_ASSERT_PTR_NOT_NULL_FATAL(exchange);
    car_takings_init(&takings);
    car_buf_span(&body, car_buf_view(&text));
    struct car_http_request req = {
        .method = CAR_SPAN("POST"),
        .verb = CAR_HTTP_POST,
        .path = CAR_SPAN("/api/v1/events/batch"),
        .headers = headers,
        .header_count = key ? 2 : 1,
        .body = car_buf_view(&body),
        .kept = kept ? &body : NULL,
    };
    exchange->worker = f.workers[0];
    struct car_call call = {.api = &api,
                            .exchange = exchange,
                            .worker = f.workers[0],
                            .req = &req,
                            .path = req.path,
                            .who = {.tenant = loud},
                            .takings = &takings};
    status = 0;
    answers = 0;
    car_event_batch(&call);
    if (body.data) {
        memset(body.data, 'x', body.len);
    }
    memset(&takings, 'x', sizeof takings);
    memset(&req, 'x', sizeof req);
    car_buf_free(&body);
}

/* Until it is answered. */
static void turn(void) {
    for (unsigned i = 0; i < 10000 && status == 0; i++) {
        feed_turn(&f, 0);
    }
}

/* The others have a turn between any two slices, and what they publish is in the log before the batch is. */
static void expect_turns(unsigned slices) {
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(car_tenant_newest(loud), 0);
    CU_ASSERT(atomic_load(&car_feed_local(f.workers[0]->feed)->publishing) == 1); /* an end waits for it */
    CU_ASSERT(car_memory_used(loud) >= text.len);
    car_flow_defer(&f.workers[0]->tasks, car_flow_of(quiet, f.workers[0]), &other.task);
    turn();
    CU_ASSERT(other.published >= slices);
}

static void test_others_have_turns(void) {
    for (int kept = 0; kept < 2; kept++) {
        set_up();
        write_array(EVENTS, ELEMENT, "]");
        post("application/json", kept);
        expect_turns(10);
        CU_ASSERT_EQUAL(status, 201);
        CU_ASSERT_EQUAL(car_tenant_newest(loud), EVENTS);
        tear_down();
    }
}

static void test_lines(void) {
    set_up();
    write_lines(EVENTS);
    post("application/x-ndjson", true);
    expect_turns(10);
    CU_ASSERT_EQUAL(status, 201);
    CU_ASSERT_EQUAL(car_tenant_newest(loud), EVENTS);
    tear_down();
}

/* What is short is answered at once. */
static void test_short(void) {
    set_up();
    write_array(20, ELEMENT, "]");
    post("application/json", false);
    CU_ASSERT_EQUAL(status, 201);
    CU_ASSERT_EQUAL(car_tenant_newest(loud), 20);
    tear_down();
}

/* Which of its faults it is refused for is not a matter of which comes first: what is no JSON has no events. */
static void test_refusals(void) {
    static const struct {
        unsigned count;
        const char *element, *end;
        int status;
    } CASES[] = {
        {EVENTS, ELEMENT, ",]", 400},       {EVENTS, ELEMENT, "", 400},     {EVENTS, "7", "]]", 400},
        {EVENTS, ELEMENT, ",{}]", 413},     {EVENTS, "7", ",7]", 413},      {EVENTS, "7", "]", 422},
        {EVENTS - 1, ELEMENT, ",{}]", 422}, {4 * EVENTS, "{}", ",{]", 400},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        set_up();
        write_array(CASES[i].count, CASES[i].element, CASES[i].end);
        post("application/json", true);
        expect_turns(1);
        CU_ASSERT_EQUAL(status, CASES[i].status);
        CU_ASSERT_EQUAL(other.published, other.turns);
        CU_ASSERT_EQUAL(car_tenant_newest(loud), 0);
        CU_ASSERT_EQUAL(car_memory_used(loud), 0);
        tear_down();
    }
}

/* Numbering is work, too: the others have their turns before it is in the log, with a key or without one. */
static void test_numbered_in_turns(void) {
    for (unsigned i = 0; i < 2; i++) {
        set_up();
        key = i ? "k" : NULL;
        write_array(EVENTS, ELEMENT, "]");
        post("application/json", true);
        expect_turns(10);
        CU_ASSERT(other.drained >= 2);
        CU_ASSERT_EQUAL(status, 201);
        CU_ASSERT_EQUAL(car_tenant_newest(loud), EVENTS);
        post("application/json", true); /* again */
        turn();
        CU_ASSERT_EQUAL(status, 201);
        CU_ASSERT_EQUAL(car_tenant_newest(loud), i ? EVENTS : 2 * EVENTS);
        key = NULL;
        tear_down();
    }
}

/* Its tenant is removed while it is numbered: it is refused, and its key is not remembered. */
static void test_removed_while_numbered(void) {
    for (unsigned i = 0; i < 2; i++) {
        set_up();
        key = i ? "k" : NULL;
        other.removes = true;
        write_array(EVENTS, ELEMENT, "]");
        post("application/json", true);
        expect_turns(10);
        CU_ASSERT(other.drained >= 1);
        CU_ASSERT_EQUAL(status, 401);
        CU_ASSERT_EQUAL(car_tenant_newest(loud), 0);
        CU_ASSERT_EQUAL(car_memory_used(loud), 0);
        key = NULL;
        tear_down();
    }
}

/* What others of the tenant publish meanwhile waits, and comes behind it. */
static void test_published_while_numbered(void) {
    set_up();
    other.adds = true;
    write_array(EVENTS, ELEMENT, "]");
    post("application/json", true);
    expect_turns(10);
    CU_ASSERT_FALSE(other.adds);
    CU_ASSERT_EQUAL(status, 201);
    CU_ASSERT_EQUAL(car_tenant_newest(loud), EVENTS + 1);
    tear_down();
}

/* So is its answer, which is all of its events: the others have their turns between the log and the end of it, an end
 * of the server waits for it, and it counts as the tenant's memory. */
static void test_answer_in_turns(void) {
    set_up();
    write_array(EVENTS, ELEMENT, "]");
    post("application/json", true);
    expect_turns(10);
    CU_ASSERT_EQUAL(status, 201);
    CU_ASSERT(other.turns - other.published >= 5);
    CU_ASSERT_EQUAL(other.waited_for, other.turns);
    CU_ASSERT(other.memory > car_memory_used(loud) + EVENTS * strlen(ELEMENT));
    tear_down();
}

/* A line for each event is work, too: the others have their turns before it is answered. */
static void test_lines_of_the_log(void) {
    set_up();
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_INFO);
    write_array(EVENTS, ELEMENT, "]");
    post("application/json", true);
    car_flow_defer(&f.workers[0]->tasks, car_flow_of(quiet, f.workers[0]), &other.task);
    turn();
    CU_ASSERT(other.turns - other.published >= 10); /* since the batch was in the log */
    CU_ASSERT_EQUAL(status, 201);
    tear_down();
}

/* Its tenant is removed while it is read. */
static void test_removed(void) {
    set_up();
    write_array(EVENTS, ELEMENT, "]");
    post("application/json", true);
    atomic_store(&loud->removed, true);
    expect_turns(10);
    CU_ASSERT_EQUAL(status, 401);
    CU_ASSERT_EQUAL(car_memory_used(loud), 0);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"others have turns", test_others_have_turns},
    {"lines", test_lines},
    {"short", test_short},
    {"refusals", test_refusals},
    {"lines of the log", test_lines_of_the_log},
    {"numbered in turns", test_numbered_in_turns},
    {"removed while it is numbered", test_removed_while_numbered},
    {"published while it is numbered", test_published_while_numbered},
    {"the answer in turns", test_answer_in_turns},
    {"removed", test_removed},
};

int main(void) {
    return car_suite_main("event_batch", TESTS, sizeof TESTS / sizeof *TESTS);
}
