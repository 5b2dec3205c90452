#include "carillon/proto/ws.h"

#include <assert.h>
#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "deflate_scratch.h"
#include "ws_mask.h"

enum { FIN = 0x80, RSV1 = 0x40, RSV2_RSV3 = 0x30, OPCODE = 0x0f, CONTROL_BIT = 0x08, MASKED = 0x80, LEN7 = 0x7f };

/* What has arrived of a message, and of a control frame that may come in its middle. */
struct car_ws_assembly {
    struct car_buf message;
    size_t control_len;
    char control[CAR_WS_CONTROL_MAX];
};

/* One call of car_ws_parser_feed. */
struct feed {
    struct car_ws_parser *p;
    char *bytes;
    size_t len;
    size_t pos;
    struct car_inflater *inflater;
    const struct car_ws_callbacks *callbacks;
    void *user;
    const char *why;
};

static void drop_assembly(struct car_ws_assembly **assembly) {
    if (*assembly) {
        car_buf_free(&(*assembly)->message);
        free(*assembly);
        *assembly = NULL;
    }
}

void car_ws_parser_init(struct car_ws_parser *p, size_t max_message, bool deflate) {
    *p = (struct car_ws_parser){.max_message = max_message, .deflate = deflate};
}

void car_ws_parser_free(struct car_ws_parser *p) {
    drop_assembly(&p->assembly);
    p->dead = true;
}

void car_ws_parser_stop(struct car_ws_parser *p) {
    p->stopped = true;
}

bool car_ws_parser_midway(const struct car_ws_parser *p) {
    return !p->dead && (p->head_len > 0 || p->in_payload || p->message_op != CAR_WS_CONTINUATION);
}

size_t car_ws_parser_kept(const struct car_ws_parser *p) {
    return p->assembly ? p->assembly->message.len : 0;
}

size_t car_ws_parser_memory(const struct car_ws_parser *p) {
    return p->assembly ? sizeof *p->assembly + p->assembly->message.cap : 0;
}

static unsigned fail(struct feed *f, unsigned code, const char *why) {
    f->why = why;
    return code;
}

static unsigned protocol_error(struct feed *f, const char *why) {
    return fail(f, CAR_WS_PROTOCOL_ERROR, why);
}

static bool is_control(const struct car_ws_parser *p) {
    return p->head[0] & CONTROL_BIT;
}

/* FIN, RSV and opcode, the head's first byte. */
static unsigned check_first_byte(struct feed *f) {
    const struct car_ws_parser *p = f->p;
    unsigned first = p->head[0];
    if (first & RSV2_RSV3) {
        return protocol_error(f, "reserved bit set");
    }
    bool new_message = false;
    switch (first & OPCODE) {
    case CAR_WS_CONTINUATION:
        if (p->message_op == CAR_WS_CONTINUATION) {
            return protocol_error(f, "continuation without a message");
        }
        break;
    case CAR_WS_TEXT:
    case CAR_WS_BINARY:
        if (p->message_op != CAR_WS_CONTINUATION) {
            return protocol_error(f, "new message inside a fragmented one");
        }
        new_message = true;
        break;
    case CAR_WS_CLOSE:
    case CAR_WS_PING:
    case CAR_WS_PONG:
        if (!(first & FIN)) {
            return protocol_error(f, "fragmented control frame");
        }
        break;
    default:
        return protocol_error(f, "reserved opcode");
    }
    if ((first & RSV1) && !(new_message && p->deflate)) {
        return protocol_error(f, "unexpected compression bit");
    }
    return 0;
}

static unsigned check_second_byte(struct feed *f) {
    const struct car_ws_parser *p = f->p;
    if (!(p->head[1] & MASKED)) {
        return protocol_error(f, "unmasked frame");
    }
    if (is_control(p) && (p->head[1] & LEN7) > CAR_WS_CONTROL_MAX) {
        return protocol_error(f, "control frame too long");
    }
    return 0;
}

/*
 * How many payload bytes the frames of a message may have. What does not compress grows a little: zlib's bound for
 * any of its settings is an eighth more.
 */
static uint64_t payload_limit(const struct car_ws_parser *p, bool compressed) {
    uint64_t slack = compressed ? p->max_message / 8 + 256 : 0;
    return p->max_message > UINT64_MAX - slack ? UINT64_MAX : p->max_message + slack;
}

static unsigned check_message_size(struct feed *f) {
    struct car_ws_parser *p = f->p;
    bool first = (p->head[0] & OPCODE) != CAR_WS_CONTINUATION;
    uint64_t limit = payload_limit(p, first ? (p->head[0] & RSV1) != 0 : p->compressed);
    uint64_t before = p->assembly ? p->assembly->message.len : 0;
    if (p->frame_left > limit || before > limit - p->frame_left) {
        return fail(f, CAR_WS_TOO_BIG, "message too big");
    }
    if (p->frame_left == 0 && !(p->head[0] & FIN)) {
        uint32_t seen = first ? 0 : p->empty_fragments;
        if (seen == CAR_WS_EMPTY_FRAGMENTS_MAX) {
            return fail(f, CAR_WS_TOO_BIG, "too many empty fragments");
        }
    }
    return 0;
}

static size_t extended_len(const struct car_ws_parser *p) {
    unsigned len7 = p->head[1] & LEN7;
    return len7 < 126 ? 0 : len7 == 126 ? 2 : 8;
}

/* The payload's length, once the bytes ahead of the mask have come. */
static unsigned check_length(struct feed *f) {
    struct car_ws_parser *p = f->p;
    size_t extended = extended_len(p);
    uint64_t len = extended ? 0 : p->head[1] & LEN7;
    for (size_t i = 0; i < extended; i++) {
        len = len << 8 | p->head[2 + i];
    }
    if (len >> 63) {
        return protocol_error(f, "frame length of 64 bits");
    }
    if ((extended == 2 && len < 126) || (extended == 8 && len <= 0xffff)) {
        return protocol_error(f, "frame length not in its shortest form");
    }
    p->frame_left = len;
    return is_control(p) ? 0 : check_message_size(f);
}

static void begin_payload(struct car_ws_parser *p) {
    memcpy(p->mask, p->head + p->head_len - sizeof p->mask, sizeof p->mask);
    p->in_payload = true;
    unsigned op = p->head[0] & OPCODE;
    if (op == CAR_WS_TEXT || op == CAR_WS_BINARY) {
        p->message_op = (uint8_t)op;
        p->compressed = p->head[0] & RSV1;
        p->utf8 = (struct car_utf8){0};
        p->empty_fragments = 0;
    }
    if (!is_control(p) && p->frame_left == 0) {
        p->empty_fragments++;
    }
}

/* Takes bytes of the frame's head. Each byte is judged as soon as it is there, so that where the input was split makes
 * no difference to the verdict. */
static unsigned take_head(struct feed *f) {
    struct car_ws_parser *p = f->p;
    while (f->pos < f->len) {
        p->head[p->head_len++] = (uint8_t)f->bytes[f->pos++];
        unsigned code = 0;
        if (p->head_len == 1) {
            code = check_first_byte(f);
            if (code) {
                return code;
            }
            continue;
        }
        size_t ahead_of_mask = 2 + extended_len(p);
        if (p->head_len == 2) {
            code = check_second_byte(f);
        }
        if (!code && p->head_len == ahead_of_mask) {
            code = check_length(f);
        }
        if (code) {
            return code;
        }
        if (p->head_len == ahead_of_mask + sizeof p->mask) {
            begin_payload(p);
            return 0;
        }
    }
    return 0;
}

/* The same for a head that lies whole in the input, as most do: all its checks at once, in the same order. */
static unsigned take_whole_head(struct feed *f) {
    struct car_ws_parser *p = f->p;
    memcpy(p->head, f->bytes + f->pos, sizeof p->head);
    unsigned code = check_first_byte(f);
    code = code ? code : check_second_byte(f);
    code = code ? code : check_length(f);
    if (!code) {
        p->head_len = (uint8_t)(2 + extended_len(p) + sizeof p->mask);
        f->pos += p->head_len;
        begin_payload(p);
    }
    return code;
}

static struct car_ws_assembly *assembly(struct car_ws_parser *p) {
    if (!p->assembly) {
        p->assembly = calloc(1, sizeof *p->assembly);
    }
    return p->assembly;
}

static unsigned out_of_memory(struct feed *f) {
    return fail(f, CAR_WS_INTERNAL, "out of memory");
}

static void end_frame(struct car_ws_parser *p) {
    p->in_payload = false;
    p->head_len = 0;
}

static unsigned end_control(struct feed *f, const char *data, size_t len) {
    struct car_ws_parser *p = f->p;
    unsigned op = p->head[0] & OPCODE;
    end_frame(p);
    if (op == CAR_WS_PING) {
        f->callbacks->on_ping(f->user, data, len);
        return 0;
    }
    if (op == CAR_WS_PONG) {
        f->callbacks->on_pong(f->user, data, len);
        return 0;
    }
    unsigned code = CAR_WS_NO_STATUS;
    struct car_span reason = {NULL, 0};
    if (len == 1) {
        return protocol_error(f, "close frame with half a code");
    }
    if (len >= 2) {
        code = (unsigned)(uint8_t)data[0] << 8 | (uint8_t)data[1];
        reason = car_span_of(data + 2, len - 2);
        if (!car_ws_close_code_valid(code)) {
            return protocol_error(f, "close code that must not be sent");
        }
        if (!car_utf8_valid(reason.ptr, reason.len)) {
            return fail(f, CAR_WS_BAD_DATA, "close reason is not UTF-8");
        }
    }
    p->dead = true;
    f->callbacks->on_close(f->user, code, reason);
    return 0;
}

static unsigned take_control(struct feed *f, const char *data, size_t len) {
    struct car_ws_parser *p = f->p;
    bool gathered = p->assembly && p->assembly->control_len > 0;
    if (p->frame_left == 0 && !gathered) {
        return end_control(f, data, len);
    }
    struct car_ws_assembly *a = assembly(p);
    if (!a) {
        return out_of_memory(f);
    }
    assert(len <= sizeof a->control - a->control_len);
    memcpy(a->control + a->control_len, data, len);
    a->control_len += len;
    if (p->frame_left > 0) {
        return 0;
    }
    /* Off the parser before the callback, which may free what the parser holds. */
    char whole[CAR_WS_CONTROL_MAX];
    size_t whole_len = a->control_len;
    memcpy(whole, a->control, whole_len);
    a->control_len = 0;
    if (a->message.len == 0) {
        drop_assembly(&p->assembly);
    }
    return end_control(f, whole, whole_len);
}

static unsigned hand_out_inflated(struct feed *f, enum car_ws_opcode op, struct car_span in) {
    struct car_buf out = car_inflater_take_scratch(f->inflater);
    unsigned code = 0;
    switch (car_inflate(f->inflater, in, (size_t)f->p->max_message, &out)) {
    case CAR_OK:
        break;
    case CAR_ETOOBIG:
        code = fail(f, CAR_WS_TOO_BIG, "message too big");
        break;
    case CAR_EPROTO:
        code = fail(f, CAR_WS_BAD_DATA, "broken compressed data");
        break;
    default:
        code = out_of_memory(f);
    }
    if (!code && op == CAR_WS_TEXT && !car_utf8_valid(out.data, out.len)) {
        code = fail(f, CAR_WS_BAD_DATA, "text is not UTF-8");
    }
    if (!code) {
        char none = 0;
        f->callbacks->on_message(f->user, op, out.data ? out.data : &none, out.len);
    }
    car_inflater_give_scratch(f->inflater, &out);
    return code;
}

static unsigned end_message(struct feed *f, char *data, size_t len) {
    struct car_ws_parser *p = f->p;
    enum car_ws_opcode op = (enum car_ws_opcode)p->message_op;
    p->message_op = CAR_WS_CONTINUATION;
    end_frame(p);
    if (p->compressed) {
        return hand_out_inflated(f, op, car_span_of(data, len));
    }
    if (op == CAR_WS_TEXT && !car_utf8_done(&p->utf8)) {
        return fail(f, CAR_WS_BAD_DATA, "text ends within a character");
    }
    f->callbacks->on_message(f->user, op, data, len);
    return 0;
}

static unsigned assemble(struct feed *f, const char *data, size_t len) {
    struct car_ws_assembly *a = assembly(f->p);
    if (!a) {
        return out_of_memory(f);
    }
    car_buf_put(&a->message, data, len);
    return a->message.failed ? out_of_memory(f) : 0;
}

static unsigned take_data(struct feed *f, char *data, size_t len) {
    struct car_ws_parser *p = f->p;
    if (p->message_op == CAR_WS_TEXT && !p->compressed && !car_utf8_feed(&p->utf8, data, len)) {
        return fail(f, CAR_WS_BAD_DATA, "text is not UTF-8");
    }
    bool whole = p->frame_left == 0 && (p->head[0] & FIN);
    if (whole && !p->assembly) {
        return end_message(f, data, len);
    }
    unsigned code = len > 0 ? assemble(f, data, len) : 0;
    if (code) {
        return code;
    }
    if (whole) {
        /* Off the parser before the callback, which may free what the parser holds. */
        struct car_ws_assembly *held = p->assembly;
        p->assembly = NULL;
        code = end_message(f, held->message.data, held->message.len);
        drop_assembly(&held);
    } else if (p->frame_left == 0) {
        end_frame(p);
    }
    return code;
}

static unsigned take_payload(struct feed *f) {
    struct car_ws_parser *p = f->p;
    char *data = f->bytes + f->pos;
    size_t len = f->len - f->pos;
    if (len > p->frame_left) {
        len = (size_t)p->frame_left;
    }
    car_ws_unmask(data, len, p->mask);
    f->pos += len;
    p->frame_left -= len;
    return is_control(p) ? take_control(f, data, len) : take_data(f, data, len);
}

/* One step: what is there of a frame's head, or of its payload. A frame without payload needs no further byte. */
static unsigned step(struct feed *f) {
    struct car_ws_parser *p = f->p;
    if (!p->in_payload) {
        bool at_hand = p->head_len == 0 && f->len - f->pos >= sizeof p->head;
        unsigned code = at_hand ? take_whole_head(f) : take_head(f);
        if (code || !p->in_payload) {
            return code;
        }
    }
    return f->pos < f->len || p->frame_left == 0 ? take_payload(f) : 0;
}

unsigned car_ws_parser_feed(struct car_ws_parser *p, char *bytes, size_t len, struct car_inflater *inflater,
                            const struct car_ws_callbacks *callbacks, void *user, size_t *consumed, const char **why) {
    assert(inflater || !p->deflate);
    struct feed f = {.p = p, .bytes = bytes, .len = len, .inflater = inflater, .callbacks = callbacks, .user = user};
    unsigned code = 0;
    p->stopped = false;
    while (!p->dead && !p->stopped && f.pos < f.len && !code) {
        code = step(&f);
    }
    if (code) {
        p->dead = true;
        *why = f.why;
    }
    if (p->dead) {
        drop_assembly(&p->assembly);
        f.pos = f.len;
    }
    *consumed = f.pos;
    return code;
}
