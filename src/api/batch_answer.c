#include "batch_answer.h"

#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/memory.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/response.h"
#include "carillon/runtime/worker.h"

#include "posting.h"

/* What is copied in one go, before others have their turn: some 10 µs of work, most of it the kernel's, whose pages
 * these are. */
#define SLICE_BYTES  (32u << 10)
#define SLICE_EVENTS 128u

/* What it costs beside its bytes: an event may be let go of. */
#define EVENT_COST 128

#define HEAD "{\"events\":["
#define FOOT "]}"

/* With the commas between the events. */
static size_t length(const struct car_posting *posting) {
    size_t len = sizeof HEAD - 1 + sizeof FOOT - 1 + posting->publish.count - 1;
    for (uint32_t i = 0; i < posting->publish.count; i++) {
        len += car_event_json(posting->events[i]).len;
    }
    return len;
}

/* Appends to the answer, which has room for all of it. */
static void put(struct car_blob *blob, struct car_span text) {
    memcpy(blob->data + blob->len, text.ptr, text.len);
    blob->len += text.len;
    blob->room -= (uint32_t)text.len;
}

/* Copies some events, and lets go of them. Returns what that costs. */
static uint64_t copy_some(struct car_posting *posting) {
    struct car_blob *blob = posting->answer;
    size_t before = blob->len;
    uint32_t first = posting->told;
    while (posting->told < posting->publish.count && blob->len - before < SLICE_BYTES &&
           posting->told - first < SLICE_EVENTS) {
        struct car_event **event = &posting->events[posting->told];
        put(blob, posting->told++ ? CAR_SPAN(",") : CAR_SPAN(HEAD));
        put(blob, car_event_json(*event));
        car_event_unref(event);
    }
    return blob->len - before + (uint64_t)(posting->told - first) * EVENT_COST;
}

static void answer(struct car_posting *posting) {
    put(posting->answer, CAR_SPAN(FOOT));
    struct car_response response = {
        .status = 201,
        .type = CAR_TYPE_JSON,
        .blob = posting->answer,
        .headers = posting->publish.replayed ? CAR_POSTING_REPLAYED : "",
        .owner = posting->publish.tenant,
    };
    car_respond(posting->exchange, &response);
    car_blob_unref(&posting->answer);
    car_posting_free(posting);
}

/* Begins to be on the way in turns, or ends it. */
static void count(const struct car_posting *posting, int change) {
    int64_t bytes = (int64_t)(posting->answer->len + posting->answer->room);
    car_memory_count(posting->publish.tenant, change * bytes);
    car_feed_publishing(car_feed_local(posting->exchange->worker->feed), change);
}

static void go_on(struct car_posting *posting) {
    struct car_worker *worker = posting->exchange->worker;
    struct car_flow *flow = car_flow_of(posting->publish.tenant, worker);
    car_flow_charge(&worker->tasks, flow, copy_some(posting));
    car_flow_defer(&worker->tasks, flow, &posting->task);
}

static void on_turn(struct car_task *task) {
    struct car_posting *posting = (struct car_posting *)((char *)task - offsetof(struct car_posting, task));
    if (posting->told < posting->publish.count) {
        go_on(posting);
    } else {
        count(posting, -1);
        answer(posting);
    }
}

void car_batch_answer(struct car_posting *posting) {
    size_t len = length(posting);
    posting->answer = len <= UINT32_MAX ? car_blob_new(posting->publish.tenant, len) : NULL;
    if (!posting->answer) {
        car_exchange_abort(posting->exchange);
        car_posting_free(posting);
        return;
    }
    posting->answer->len = 0;
    posting->answer->room = (uint32_t)len;
    posting->task.run = on_turn;
    if (len <= SLICE_BYTES && posting->publish.count <= SLICE_EVENTS) {
        (void)copy_some(posting);
        answer(posting);
    } else {
        count(posting, 1);
        go_on(posting);
    }
}
