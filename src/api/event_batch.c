#include <stdio.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/proto/json.h"

#include "call.h"
#include "posted.h"
#include "posting.h"
#include "respond.h"

/* A body on its way to events: an array, or lines. */
struct reading {
    struct car_call *call;
    bool lines;
    struct car_span rest; /* what has not been read: car_json_next's, or lines */
    unsigned line;        /* of the last that was read, from 1 on */
};

static bool is_blank(struct car_span line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The next element of the array, or the next line that is not blank. false at the end. */
static bool next(struct reading *reading, struct car_span *text) {
    struct car_json_value element;
    if (!reading->lines) {
        bool any = car_json_next(&reading->rest, &element);
        *text = element.raw;
        return any;
    }
    while (car_span_next(&reading->rest, '\n', text)) {
        reading->line++;
        if (!is_blank(*text)) {
            return true;
        }
    }
    return false;
}

static void refuse(struct reading *reading, int status, const char *detail, const char *field, const char *message) {
    struct car_field_error error = {field, message};
    car_respond_problem(reading->call->exchange, status, detail, field ? &error : NULL, NULL);
}

/* Looks at the type and the outline of the body. How many events it has; 0 where it was refused, and answered. */
static uint32_t begin(struct reading *reading) {
    struct car_http_request const *req = reading->call->req;
    struct car_json_value whole;
    struct car_span text;
    uint32_t count = 0;
    reading->lines = car_is_media(req, CAR_TYPE_NDJSON);
    reading->rest = req->body;
    if (!reading->lines) {
        if (!car_is_media(req, CAR_TYPE_JSON)) {
            refuse(reading, 415, CAR_BATCH_TYPES, NULL, NULL);
            return 0;
        }
        if (car_json_pick(req->body, NULL, 0, &whole) != 0) {
            refuse(reading, 400, "the body is not valid JSON", NULL, NULL);
            return 0;
        }
        if (whole.kind != CAR_JSON_ARRAY) {
            refuse(reading, 422, "a batch is an array of events", "", "must be an array");
            return 0;
        }
        reading->rest = whole.raw;
    }
    struct reading ahead = *reading;
    while (count <= CAR_PUBLISH_MAX && next(&ahead, &text)) {
        count++;
    }
    if (count == 0) {
        refuse(reading, 422, "a batch has at least one event", "", "must not be empty");
    } else if (count > CAR_PUBLISH_MAX) {
        refuse(reading, 413, "a batch has at most 1000 events", NULL, NULL);
        count = 0;
    }
    return count;
}

static void refuse_draft(struct reading *reading, uint32_t at, const struct car_draft_refusal *refusal) {
    char field[64];
    char detail[64];
    snprintf(field, sizeof field, "%u%s%s", at, refusal->field[0] ? "." : "", refusal->field);
    snprintf(detail, sizeof detail,
             refusal->status == 413 ? "the message of event %u is too long" : "event %u breaks a rule", at);
    refuse(reading, refusal->status, detail, field, refusal->message);
}

static void refuse_line(struct reading *reading) {
    char detail[64];
    snprintf(detail, sizeof detail, "line %u is not valid JSON", reading->line);
    refuse(reading, 400, detail, NULL, NULL);
}

/* Makes the event of one element, which is the batch's `at`th, from 0 on. NULL where it was refused, and answered. */
static struct car_event *read_event(struct reading *reading, uint32_t at, struct car_span text) {
    struct car_json_member wanted[] = CAR_POSTING_WANTED;
    struct car_json_value whole;
    struct car_draft draft;
    struct car_draft_type type;
    struct car_draft_refusal refusal = {.status = 422, .field = "", .message = "must be an object"};
    int err = car_json_pick(text, wanted, sizeof wanted / sizeof *wanted, &whole);
    if (err == CAR_ENOMEM) {
        car_posting_refuse(reading->call);
        return NULL;
    }
    if (err) {
        refuse_line(reading); /* an array has been validated as a whole */
        return NULL;
    }
    if (whole.kind != CAR_JSON_OBJECT || car_posting_check(reading->call, wanted, &type, &draft, &refusal) != 0) {
        refuse_draft(reading, at, &refusal);
        return NULL;
    }
    struct car_event *event = car_event_new(reading->call->who.tenant, &draft);
    if (!event) {
        car_posting_refuse(reading->call);
    }
    return event;
}

void car_event_batch(struct car_call *call) {
    struct reading reading = {.call = call};
    struct car_span text;
    uint64_t began = car_posted_begin();
    if (call->exchange->draining) {
        refuse(&reading, 503, "the server is going away", NULL, NULL);
        return;
    }
    uint32_t count = begin(&reading);
    if (count == 0) {
        return;
    }
    struct car_posting *posting = car_posting_new(call, count, true, began);
    if (!posting) {
        return;
    }
    for (uint32_t i = 0; i < count && next(&reading, &text); i++) {
        struct car_event *event = read_event(&reading, i, text);
        if (!event) {
            car_posting_free(posting);
            return;
        }
        car_posting_add(posting, event);
    }
    car_posting_send(posting, call);
}
