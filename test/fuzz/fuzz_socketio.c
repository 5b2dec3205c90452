#include <jansson.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/socketio.h"
#include "proto/socketio_placeholders.h"

/* Messages of a connection, a line each; one that begins with '#' is binary. Each packet that comes out is written
 * anew, and has to read the same. */

enum { ATTACHMENTS = 4, BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool are_sound(json_t *value, unsigned attachments) {
    const char *key;
    size_t index;
    json_t *inner;
    bool sound = true;
    if (json_is_true(json_object_get(value, "_placeholder"))) {
        const json_t *num = json_object_get(value, "num");
        sound = json_is_integer(num) && json_integer_value(num) >= 0 && json_integer_value(num) < attachments;
    }
    json_array_foreach(value, index, inner) {
        sound = sound && are_sound(inner, attachments);
    }
    json_object_foreach(value, key, inner) {
        sound = sound && are_sound(inner, attachments);
    }
    return sound;
}

/* A member that is repeated is walked once by the tree, and a number may be more than it holds. */
static void second_opinion(const struct car_json_value *value) {
    bool sound = car_socketio_placeholders_sound(value, ATTACHMENTS);
    json_t *tree = json_loadb(value->raw.ptr, value->raw.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    if (tree && value->depth <= CAR_SOCKETIO_DEPTH_MAX && !memmem(value->raw.ptr, value->raw.len, "-0", 2)) {
        require(sound == are_sound(tree, ATTACHMENTS));
    }
    json_decref(tree);
}

static void check(const struct car_socketio_decoder *decoder, const struct car_socketio_packet *packet) {
    struct car_socketio_packet again;
    struct car_buf out = CAR_BUF_INIT;
    size_t bytes = 0;
    for (unsigned i = 0; i < packet->attachments; i++) {
        bytes += car_socketio_attachment(decoder, i).len;
    }
    require(packet->attachments <= ATTACHMENTS && bytes <= BYTES && packet->nsp.len > 0 && packet->nsp.ptr[0] == '/');
    require(!packet->has_id || packet->id <= CAR_SOCKETIO_ID_MAX);
    car_socketio_write_head(&out, packet->type, packet->attachments, packet->nsp, packet->has_id ? &packet->id : NULL);
    car_buf_span(&out, packet->data.raw);
    require(car_socketio_read(car_buf_view(&out), ATTACHMENTS, &again) == 0);
    require(again.type == packet->type && car_span_eq(again.nsp, packet->nsp));
    require(again.has_id == packet->has_id && again.id == packet->id && again.attachments == packet->attachments);
    require(car_span_eq(again.data.raw, packet->data.raw));
    if (packet->data.raw.len) {
        second_opinion(&packet->data);
    }
    if (packet->type == CAR_SOCKETIO_EVENT || packet->type == CAR_SOCKETIO_BINARY_EVENT) {
        struct car_json_value name;
        struct car_span args;
        car_socketio_event(packet, &name, &args);
        require(name.kind == CAR_JSON_STRING || name.kind == CAR_JSON_NUMBER);
        require(name.raw.len + args.len < packet->data.raw.len);
    }
    car_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct car_socketio_limits limits = {.attachments = ATTACHMENTS, .bytes = BYTES};
    struct car_socketio_decoder decoder = {0};
    struct car_span rest = car_span_of((const char *)data, size);
    struct car_span line;
    int err = 0;
    while (!err && car_span_next(&rest, '\n', &line)) {
        struct car_socketio_packet packet;
        bool whole;
        bool binary = line.len && line.ptr[0] == '#';
        size_t len = line.len - binary;
        char *copy = malloc(len ? len : 1);
        require(copy);
        memcpy(copy, line.ptr + binary, len);
        err = car_socketio_decode(&decoder, &limits, binary, car_span_of(copy, len), &packet, &whole);
        require(!err || err == CAR_EPROTO || err == CAR_ETOOBIG);
        require(!err || (!whole && !decoder.pending));
        if (whole) {
            check(&decoder, &packet);
        }
        free(copy);
    }
    car_socketio_decoder_free(&decoder);
    return 0;
}
