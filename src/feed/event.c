#include "carillon/feed/event.h"

#include <assert.h>

#include "carillon/base/block.h"
#include "carillon/base/clock.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/json.h"
#include "carillon/proto/traceparent.h"

#define SEQ_DIGITS_MAX 20
#define HEAD           "{\"id\":\""
#define TENANT         "\",\"tenant_id\":\""
#define SEQ            "\",\"seq\":"
#define TYPE           ",\"type\":\""
#define MESSAGE        "\",\"message\":"
#define METADATA       ",\"metadata\":"
#define AUTHOR         ",\"author\":"
#define TIMESTAMP      ",\"timestamp\":\""
#define TRACEPARENT    "\",\"traceparent\":\""
#define FOOT           "\"}"
#define LIT(s)         (sizeof(s) - 1)

static bool alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool car_event_type_ok(struct car_span type) {
    if (type.len < 1 || type.len > 64 || !alnum(type.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < type.len; i++) {
        char c = type.ptr[i];
        if (!alnum(c) && c != '.' && c != '_' && c != ':' && c != '-') {
            return false;
        }
    }
    return true;
}

static char *put(char *at, const char *bytes, size_t len) {
    memcpy(at, bytes, len);
    return at + len;
}

#define PUT(at, lit) put((at), (lit), LIT(lit))

/* What is behind the timestamp. */
static size_t rest_len(bool traced) {
    return (traced ? LIT(TRACEPARENT) + CAR_TRACEPARENT_LEN : 0) + LIT(FOOT);
}

/* The text from the timestamp's name on; it is left open. */
static size_t foot_len(bool traced) {
    return LIT(TIMESTAMP) + CAR_RFC3339_LEN + rest_len(traced);
}

static char *put_foot(struct car_event *event, char *at, struct car_span traceparent) {
    at = PUT(at, TIMESTAMP) + CAR_RFC3339_LEN;
    event->traced = traceparent.len > 0;
    if (traceparent.len) {
        at = PUT(at, TRACEPARENT);
        at = put(at, traceparent.ptr, CAR_TRACEPARENT_LEN);
    }
    return PUT(at, FOOT);
}

static void set_type(struct car_event *event, const char *at, size_t len) {
    event->type_at = (uint16_t)(at - event->text);
    event->type_len = len & 0x7f;
}

/* The text from seq's digits on, with the timestamp left open. */
static char *put_tail(struct car_event *event, char *at, const struct car_draft *draft, struct car_span author) {
    at = PUT(at, TYPE);
    set_type(event, at, draft->type.len);
    at = put(at, draft->type.ptr, draft->type.len);
    if (draft->message.ptr) {
        at = PUT(at, MESSAGE);
        at = car_json_rewrite_to(at, draft->message);
    } else {
        *at++ = '"';
    }
    if (draft->metadata.ptr) {
        at = PUT(at, METADATA);
        at = car_json_rewrite_to(at, draft->metadata);
    }
    if (author.len) {
        at = PUT(at, AUTHOR);
        at = put(at, author.ptr, author.len);
    }
    return put_foot(event, at, draft->traceparent);
}

static size_t head_len(struct car_span id) {
    return LIT(HEAD) + CAR_UUID_TEXT + LIT(TENANT) + id.len + LIT(SEQ);
}

static size_t tail_len_max(const struct car_draft *draft, struct car_span author) {
    size_t len = LIT(TYPE) + draft->type.len + LIT(MESSAGE) + foot_len(draft->traceparent.len > 0);
    len += draft->message.ptr ? car_json_rewritten_len(draft->message) : 0;
    len += draft->metadata.ptr ? LIT(METADATA) + car_json_rewritten_len(draft->metadata) : 0;
    return len + (author.len ? LIT(AUTHOR) + author.len : 0);
}

/* An event with its text up to `tail`, its id left open, and room for at most so many characters behind it. */
static struct car_event *begin(const struct car_tenant *tenant, size_t tail_len) {
    struct car_span id = car_tenant_id(tenant);
    size_t size = offsetof(struct car_event, text) + head_len(id) + SEQ_DIGITS_MAX + tail_len;
    struct car_event *event = size <= UINT32_MAX ? car_block_new(size) : NULL;
    if (!event) {
        return NULL;
    }
    event->tenant = tenant;
    event->size = (uint32_t)size;
    event->seq = 0;
    event->wall_ms = 0;
    atomic_init(&event->refs, 1);
    event->start = 0;
    event->came_us = 0;
    char *at = PUT(event->text, HEAD) + CAR_UUID_TEXT;
    at = PUT(at, TENANT);
    at = put(at, id.ptr, id.len);
    at = PUT(at, SEQ) + SEQ_DIGITS_MAX;
    event->tail = (uint32_t)(at - event->text);
    return event;
}

static struct car_event *build(const struct car_tenant *tenant, const struct car_draft *draft, struct car_span author) {
    struct car_event *event = begin(tenant, tail_len_max(draft, author));
    if (event) {
        event->end = (uint32_t)(put_tail(event, event->text + event->tail, draft, author) - event->text);
    }
    return event;
}

static void seal(struct car_event *event, uint64_t seq, int64_t wall_ms, const struct car_uuid *id) {
    assert(event->seq == 0 && seq > 0);
    event->seq = seq;
    event->wall_ms = wall_ms;
    char *digit = event->text + event->tail;
    do {
        *--digit = (char)('0' + seq % 10);
        seq /= 10;
    } while (seq);
    car_uuid_write(id, event->text + LIT(HEAD));
    size_t head = event->tail - SEQ_DIGITS_MAX;
    event->start = (uint32_t)((size_t)(digit - event->text) - head);
    memmove(event->text + event->start, event->text, head);
    car_rfc3339_write(wall_ms, event->text + event->end - rest_len(event->traced) - CAR_RFC3339_LEN);
}

void car_event_row(const struct car_event *event, struct car_event_row *row) {
    uint32_t content = event->type_at + event->type_len + 1u; /* behind the quote */
    row->seq = event->seq;
    row->wall_ms = event->wall_ms;
    (void)car_uuid_read(car_event_id(event), &row->id);
    row->type = car_event_type(event);
    row->content = car_span_of(event->text + content, event->end - foot_len(event->traced) - content);
    row->traceparent = (struct car_span){0};
    if (event->traced) {
        row->traceparent = car_span_of(event->text + event->end - LIT(FOOT) - CAR_TRACEPARENT_LEN, CAR_TRACEPARENT_LEN);
    }
}

struct car_event *car_event_restore(const struct car_tenant *tenant, const struct car_event_row *row) {
    struct car_event *event =
        begin(tenant, LIT(TYPE) + row->type.len + 1 + row->content.len + foot_len(row->traceparent.len > 0));
    if (event) {
        char *at = PUT(event->text + event->tail, TYPE);
        set_type(event, at, row->type.len);
        at = put(at, row->type.ptr, row->type.len);
        *at++ = '"';
        at = put(at, row->content.ptr, row->content.len);
        event->end = (uint32_t)(put_foot(event, at, row->traceparent) - event->text);
        seal(event, row->seq, row->wall_ms, &row->id);
    }
    return event;
}

struct car_event *car_event_new(const struct car_tenant *tenant, const struct car_draft *draft) {
    if (!draft->author.len) {
        return build(tenant, draft, draft->author);
    }
    struct car_buf author = CAR_BUF_INIT;
    car_json_write_string(&author, draft->author);
    struct car_event *event = author.failed ? NULL : build(tenant, draft, car_buf_view(&author));
    car_buf_free(&author);
    return event;
}

void car_event_seal(struct car_event *event, uint64_t seq, int64_t wall_ms, const struct car_event_key *key) {
    struct car_uuid id;
    car_event_id_make(key, car_tenant_id(event->tenant), car_tenant_salt(event->tenant), seq, &id);
    seal(event, seq, wall_ms, &id);
}

struct car_event *car_event_ref(struct car_event *event) {
    atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    return event;
}

void car_event_unref(struct car_event **event) {
    struct car_event *e = *event;
    *event = NULL;
    /* The release of every unref pairs with the acquire of the last one: nobody reads after the free. */
    if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        car_block_free(e, e->size);
    }
}

struct car_span car_event_json(const struct car_event *event) {
    return car_span_of(event->text + event->start, event->end - event->start);
}

struct car_span car_event_id(const struct car_event *event) {
    return car_span_of(event->text + event->start + LIT(HEAD), CAR_UUID_TEXT);
}

struct car_span car_event_type(const struct car_event *event) {
    return car_span_of(event->text + event->type_at, event->type_len);
}
