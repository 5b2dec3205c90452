#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/memory.h"
#include "carillon/proto/json.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "client.h"
#include "posted.h"
#include "posting.h"
#include "respond.h"

/* What is read in one go, before others have their turn: some 50 µs of work, and a quantum of the tenant's flow. */
#define SLICE_BYTES  (24u << 10)
#define SLICE_EVENTS 64u

/* What it costs beside its input, which was paid for when it came from the socket. */
#define BYTE_COST  2
#define EVENT_COST 512

/* Of an element, with the comma behind it. */
#define TEXT_MIN 2

/*
 * A body on its way to events: an array, or lines. It is read in slices; the first at once, the others each in a turn
 * of the tenant's flow. All of its events then go into the log with one publish. The worker's; while slices are to
 * come, the request counts as one that is being published, so that the server does not end before it is answered, and
 * its body as memory that the tenant uses.
 */
struct batch {
    struct car_task task; /* first */
    struct car_call call; /* a copy, with `req` and `takings` for what lives no longer than the handler's call */
    struct car_http_request req;
    struct car_takings takings;
    struct car_posting *posting;
    struct car_sha256 sha; /* of the body up to `hashed`; where the posting has a key */
    size_t hashed;
    struct car_buf body; /* where it is read in more than one slice */
    struct car_buf path;
    struct car_span rest; /* what has not been read: car_json_step's, or lines */
    uint32_t count;       /* events so far */
    unsigned line;        /* of the last that was read, from 1 on */
    bool lines;
    bool parked;                 /* slices are to come, or came */
    struct car_span traceparent; /* of each event; lies in `trace` */
    char trace[CAR_TRACEPARENT_LEN];
    /* Where `status` is not 0: why it is refused if the rest is valid JSON. */
    struct car_draft_refusal refusal;
    uint32_t refused_at;
};

static bool is_blank(struct car_span line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The next line that is not blank. false at the end. */
static bool next_line(struct car_span *rest, unsigned *line, struct car_span *text) {
    while (car_span_next(rest, '\n', text)) {
        ++*line;
        if (!is_blank(*text)) {
            return true;
        }
    }
    return false;
}

static void refuse(struct car_call *call, int status, const char *detail, const char *field, const char *message) {
    struct car_field_error error = {field, message};
    car_respond_problem(call->exchange, status, detail, field ? &error : NULL, NULL);
}

static void refuse_count(struct car_call *call, uint32_t count) {
    if (count) {
        refuse(call, 413, "a batch has at most 1000 events", NULL, NULL);
    } else {
        refuse(call, 422, "a batch has at least one event", "", "must not be empty");
    }
}

static void refuse_draft(struct batch *batch) {
    const struct car_draft_refusal *refusal = &batch->refusal;
    char field[64];
    char detail[64];
    snprintf(field, sizeof field, "%u%s%s", batch->refused_at, refusal->field[0] ? "." : "", refusal->field);
    snprintf(detail, sizeof detail,
             refusal->status == 413 ? "the message of event %u is too long" : "event %u breaks a rule",
             batch->refused_at);
    if (refusal->status == 413) {
        car_audit_call(&batch->call, "publish", CAR_AUDIT_REFUSED, 413, refusal->message);
    }
    refuse(&batch->call, refusal->status, detail, field, refusal->message);
}

static void refuse_line(struct batch *batch) {
    char detail[64];
    snprintf(detail, sizeof detail, "line %u is not valid JSON", batch->line);
    refuse(&batch->call, 400, detail, NULL, NULL);
}

static struct car_tenant *tenant_of(const struct batch *batch) {
    return batch->call.who.tenant;
}

/* What was said of it while it was parked is so no longer. */
static void unpark(struct batch *batch) {
    if (batch->parked) {
        batch->parked = false;
        car_memory_count(tenant_of(batch), -(int64_t)batch->req.body.len);
        car_feed_publishing(car_feed_local(batch->call.worker->feed), -1);
    }
}

static void batch_free(struct batch *batch) {
    unpark(batch);
    if (batch->posting) {
        car_posting_free(batch->posting);
    }
    car_identity_drop(&batch->call.who);
    car_buf_free(&batch->body);
    car_buf_free(&batch->path);
    free(batch);
}

/* Makes the event of what was read, where it is none too many, and none before it was refused. false where the batch
 * was refused at once, and answered. */
static bool take(struct batch *batch, const struct car_json_member *picked, const struct car_json_value *whole) {
    struct car_draft draft;
    struct car_draft_type type;
    uint32_t at = batch->count++;
    if (at >= CAR_PUBLISH_MAX || batch->refusal.status) {
        return true;
    }
    struct car_draft_refusal refusal = {.status = 422, .field = "", .message = "must be an object"};
    if (whole->kind != CAR_JSON_OBJECT || car_posting_check(&batch->call, picked, &type, &draft, &refusal) != 0) {
        batch->refusal = refusal;
        batch->refused_at = at;
        return true;
    }
    draft.traceparent = batch->traceparent;
    struct car_event *event = car_event_new(tenant_of(batch), &draft);
    if (!event) {
        car_posting_refuse(&batch->call);
        return false;
    }
    car_posting_add(batch->posting, event);
    return true;
}

/* Where a batch stands. */
enum stage { GOING, READ, ANSWERED };

static enum stage read_element(struct batch *batch) {
    struct car_json_member wanted[] = CAR_POSTING_WANTED;
    struct car_json_value element;
    int err = car_json_step(&batch->rest, wanted, sizeof wanted / sizeof *wanted, &element);
    if (err == CAR_ENOENT) {
        return READ;
    }
    if (err == CAR_ENOMEM) {
        car_posting_refuse(&batch->call);
    } else if (err) {
        refuse(&batch->call, 400, "the body is not valid JSON", NULL, NULL);
    }
    return !err && take(batch, wanted, &element) ? GOING : ANSWERED;
}

static enum stage read_line(struct batch *batch) {
    struct car_json_member wanted[] = CAR_POSTING_WANTED;
    struct car_json_value whole;
    struct car_span text;
    if (!next_line(&batch->rest, &batch->line, &text)) {
        return READ;
    }
    int err = car_json_pick(text, wanted, sizeof wanted / sizeof *wanted, &whole);
    if (err == CAR_ENOMEM) {
        car_posting_refuse(&batch->call);
    } else if (err) {
        refuse_line(batch);
    }
    if (err || !take(batch, wanted, &whole)) {
        return ANSWERED;
    }
    return batch->refusal.status ? READ : GOING;
}

static size_t bytes_read(const struct batch *batch) {
    return batch->rest.ptr ? (size_t)(batch->rest.ptr - batch->req.body.ptr) : batch->req.body.len;
}

static void hash(struct batch *batch, size_t upto) {
    if (batch->posting->publish.key) {
        car_sha256_add(&batch->sha, batch->req.body.ptr + batch->hashed, upto - batch->hashed);
        batch->hashed = upto;
    }
}

/* Reads some, and has the tenant pay for it. */
static enum stage read_slice(struct batch *batch) {
    struct car_worker *worker = batch->call.worker;
    enum stage stage = GOING;
    size_t from = bytes_read(batch);
    uint32_t before = batch->count;
    while (stage == GOING && bytes_read(batch) - from < SLICE_BYTES && batch->count - before < SLICE_EVENTS) {
        stage = batch->lines ? read_line(batch) : read_element(batch);
    }
    size_t upto = bytes_read(batch);
    hash(batch, stage == READ ? batch->req.body.len : upto);
    car_flow_charge(&worker->tasks, car_flow_of(tenant_of(batch), worker),
                    (upto - from) * BYTE_COST + (uint64_t)(batch->count - before) * EVENT_COST);
    return stage;
}

/* All of it has been read. */
static void publish(struct batch *batch) {
    unpark(batch); /* what is published is counted as that */
    if (batch->count == 0 || batch->count > CAR_PUBLISH_MAX) {
        refuse_count(&batch->call, batch->count);
    } else if (batch->refusal.status) {
        refuse_draft(batch);
    } else {
        struct car_posting *posting = batch->posting;
        if (posting->publish.key) {
            uint8_t sha[32];
            car_sha256_end(&batch->sha, sha);
            car_posting_body(posting, sha);
        }
        batch->posting = NULL;
        car_posting_send(posting, &batch->call);
    }
}

/* Keeps what the handler's call has lent. false where there is no memory. */
static bool park(struct batch *batch) {
    struct car_call *call = &batch->call;
    const struct car_http_request *req = call->req;
    size_t read = bytes_read(batch);
    (void)car_client_find(call->api, call->exchange, req); /* for the audit log */
    car_buf_span(&batch->path, req->path);
    if (req->kept) {
        batch->body = *req->kept;
        *req->kept = CAR_BUF_INIT;
    } else {
        car_buf_span(&batch->body, req->body);
    }
    if (batch->path.failed || batch->body.failed) {
        return false;
    }
    batch->req.body = car_buf_view(&batch->body);
    batch->req.path = car_buf_view(&batch->path);
    batch->req.method = CAR_SPAN("POST");
    batch->rest = car_span_of(batch->req.body.ptr + read, batch->rest.len);
    call->req = &batch->req;
    batch->parked = true;
    car_memory_count(tenant_of(batch), (int64_t)batch->req.body.len);
    car_feed_publishing(car_feed_local(call->worker->feed), 1);
    return true;
}

static void go_on(struct batch *batch);

static void on_turn(struct car_task *task) {
    go_on((struct batch *)task); /* its first member */
}

static void go_on(struct batch *batch) {
    struct car_worker *worker = batch->call.worker;
    enum stage stage = read_slice(batch);
    if (stage == GOING && !batch->parked && !park(batch)) {
        car_posting_refuse(&batch->call);
        stage = ANSWERED;
    }
    if (stage == GOING) {
        car_flow_defer(&worker->tasks, car_flow_of(tenant_of(batch), worker), &batch->task);
        return;
    }
    if (stage == READ) {
        publish(batch);
    }
    batch_free(batch);
}

static uint32_t count_lines(struct car_span rest) {
    struct car_span text;
    unsigned line = 0;
    uint32_t count = 0;
    while (count <= CAR_PUBLISH_MAX && next_line(&rest, &line, &text)) {
        count++;
    }
    return count;
}

/* Looks at the type and the beginning of the body: *room is for how many events there may be. false where it was
 * refused, and answered. */
static bool begin(struct car_call *call, bool *lines, struct car_span *rest, uint32_t *room) {
    struct car_span body = call->req->body;
    *lines = car_is_media(call->req, CAR_TYPE_NDJSON);
    if (*lines) {
        *rest = body;
        *room = count_lines(body);
        if (*room == 0 || *room > CAR_PUBLISH_MAX) {
            refuse_count(call, *room);
            return false;
        }
        return true;
    }
    if (!car_is_media(call->req, CAR_TYPE_JSON)) {
        refuse(call, 415, CAR_BATCH_TYPES, NULL, NULL);
        return false;
    }
    if (!car_json_is_array(body, rest)) {
        bool valid = car_json_pick(body, NULL, 0, NULL) == 0;
        refuse(call, valid ? 422 : 400, valid ? "a batch is an array of events" : "the body is not valid JSON",
               valid ? "" : NULL, "must be an array");
        return false;
    }
    *room = body.len / TEXT_MIN < CAR_PUBLISH_MAX ? (uint32_t)(body.len / TEXT_MIN) : CAR_PUBLISH_MAX;
    return true;
}

/* Whether what can be said before it is read is good. */
static bool is_taken(struct car_call *call) {
    if (call->exchange->draining) {
        refuse(call, 503, "the server is going away", NULL, NULL);
        return false;
    }
    if (!car_publish_has_room(call->who.tenant, call->worker, call->req->body.len)) {
        refuse(call, 503, CAR_TENANT_NO_MEMORY, NULL, NULL);
        return false;
    }
    return true;
}

void car_event_batch(struct car_call *call) {
    uint64_t began = car_posted_begin();
    bool lines;
    struct car_span rest;
    uint32_t room;
    if (!is_taken(call) || !begin(call, &lines, &rest, &room)) {
        return;
    }
    struct car_posting *posting = car_posting_new(call, room, true, began);
    if (!posting) {
        return;
    }
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        car_posting_free(posting);
        car_posting_refuse(call);
        return;
    }
    batch->task.run = on_turn;
    batch->posting = posting;
    batch->lines = lines;
    batch->rest = rest;
    batch->takings = *call->takings;
    batch->call = *call;
    batch->call.takings = &batch->takings;
    batch->traceparent = car_posting_traceparent(call, batch->trace);
    batch->req = (struct car_http_request){.body = call->req->body};
    call->who = (struct car_identity){0}; /* the batch's now */
    car_sha256_begin(&batch->sha);
    go_on(batch);
}
