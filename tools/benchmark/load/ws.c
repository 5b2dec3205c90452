#include "ws.h"

#include <string.h>

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LEN_2 = 126, LEN_8 = 127 };

static uint64_t big_endian(const unsigned char *at, unsigned count) {
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

enum reading ws_frame_read(char *data, size_t len, struct ws_frame *frame) {
    const unsigned char *head = (const unsigned char *)data;
    if (len < 2) {
        return READING_MORE;
    }
    unsigned opcode = head[0] & OPCODE;
    if ((head[0] & (FIN | RESERVED)) != FIN || (head[1] & MASKED) || opcode == 0 || opcode > WS_PONG ||
        (opcode > WS_BINARY && opcode < WS_CLOSE)) {
        return READING_BROKEN;
    }
    size_t header = head[1] == LEN_8 ? 10 : head[1] == LEN_2 ? 4 : 2;
    if (len < header) {
        return READING_MORE;
    }
    uint64_t payload = header == 2 ? head[1] : big_endian(head + 2, (unsigned)header - 2);
    if (payload > len - header) {
        return READING_MORE;
    }
    *frame = (struct ws_frame){(enum ws_opcode)opcode, data + header, (size_t)payload, header + (size_t)payload};
    return READING_WHOLE;
}

/* A mask has to change from frame to frame; nobody on the way has to be kept from guessing it here. */
static uint32_t next_mask(void) {
    static _Thread_local uint32_t state = 0x9e3779b9;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

void ws_frame_write(struct bytes *out, enum ws_opcode opcode, const char *payload, size_t len) {
    unsigned char *at = (unsigned char *)bytes_room(out, len + 14);
    unsigned char *start = at;
    unsigned extended = len < LEN_2 ? 0 : len <= UINT16_MAX ? 2 : 8;
    *at++ = (unsigned char)(FIN | opcode);
    *at++ = (unsigned char)(MASKED | (extended == 0 ? len : extended == 2 ? LEN_2 : LEN_8));
    for (unsigned i = extended; i > 0; i--) {
        *at++ = (unsigned char)((uint64_t)len >> (8 * (i - 1)));
    }
    uint32_t mask = next_mask();
    memcpy(at, &mask, sizeof mask);
    const unsigned char *key = at;
    at += sizeof mask;
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t i = 0;
    for (; i + sizeof wide <= len; i += sizeof wide) {
        uint64_t word;
        memcpy(&word, payload + i, sizeof word);
        word ^= wide;
        memcpy(at + i, &word, sizeof word);
    }
    for (; i < len; i++) {
        at[i] = (unsigned char)payload[i] ^ key[i % 4];
    }
    out->len += (size_t)(at + len - start);
}

unsigned ws_close_code(const struct ws_frame *frame) {
    return frame->len < 2 ? 1005 : (unsigned)big_endian((const unsigned char *)frame->payload, 2);
}
