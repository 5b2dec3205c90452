#include "carillon/proto/ws_handshake.h"

#include <assert.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/proto/deflate.h"

enum { KEY_LEN = 24, KEY_DIGITS = 22 };

static bool is_base64_digit(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool car_ws_key_valid(struct car_span key) {
    if (key.len != KEY_LEN) {
        return false;
    }
    for (size_t i = 0; i < KEY_DIGITS; i++) {
        if (!is_base64_digit(key.ptr[i])) {
            return false;
        }
    }
    return key.ptr[KEY_DIGITS] == '=' && key.ptr[KEY_DIGITS + 1] == '=';
}

void car_ws_accept(struct car_span key, char out[CAR_WS_ACCEPT_LEN]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, section 1.3 */
    char text[KEY_LEN + sizeof guid - 1];
    uint8_t digest[20];
    assert(key.len == KEY_LEN);
    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof guid - 1);
    car_sha1(text, sizeof text, digest);
    size_t len = car_base64_write(digest, sizeof digest, out);
    assert(len == CAR_WS_ACCEPT_LEN);
    (void)len;
}

/* The parameters of permessage-deflate, as bits: what an offer has named so far. */
enum { SERVER_NO_TAKEOVER = 1, CLIENT_NO_TAKEOVER = 2, SERVER_BITS = 4, CLIENT_BITS = 8 };

/* A parameter's value with its quotes and escapes taken off. No value that matters is longer than two characters. */
struct value {
    bool present;
    char text[2];
    size_t len; /* may be more than what `text` holds */
};

struct offer {
    bool is_pmd;
    bool acceptable;
    unsigned seen;
    struct car_pmd_params params;
};

static bool is_token_char(char c) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return alnum || (c != '\0' && strchr(others, c));
}

static void advance(struct car_span *in, size_t n) {
    *in = car_span_of(in->ptr + n, in->len - n);
}

static bool next_is(const struct car_span *in, char c) {
    return in->len > 0 && in->ptr[0] == c;
}

static void skip_blanks(struct car_span *in) {
    while (next_is(in, ' ') || next_is(in, '\t')) {
        advance(in, 1);
    }
}

static int read_token(struct car_span *in, struct car_span *token) {
    size_t len = 0;
    while (len < in->len && is_token_char(in->ptr[len])) {
        len++;
    }
    *token = car_span_of(in->ptr, len);
    if (len == 0) {
        return CAR_EINVAL;
    }
    advance(in, len);
    return CAR_OK;
}

static void value_add(struct value *value, char c) {
    if (value->len < sizeof value->text) {
        value->text[value->len] = c;
    }
    value->len++;
}

/* A quoted-string whose content, once unescaped, has to be a token. */
static int read_quoted(struct car_span *in, struct value *value) {
    advance(in, 1);
    while (in->len > 0 && in->ptr[0] != '"') {
        if (in->ptr[0] == '\\') {
            advance(in, 1);
        }
        if (in->len == 0 || !is_token_char(in->ptr[0])) {
            return CAR_EINVAL;
        }
        value_add(value, in->ptr[0]);
        advance(in, 1);
    }
    if (in->len == 0 || value->len == 0) {
        return CAR_EINVAL;
    }
    advance(in, 1);
    return CAR_OK;
}

/* What follows a parameter's name: nothing, or "=" and a token or a quoted-string. */
static int read_value(struct car_span *in, struct value *value) {
    *value = (struct value){0};
    skip_blanks(in);
    if (!next_is(in, '=')) {
        return CAR_OK;
    }
    advance(in, 1);
    skip_blanks(in);
    value->present = true;
    if (next_is(in, '"')) {
        return read_quoted(in, value);
    }
    struct car_span token;
    int err = read_token(in, &token);
    for (size_t i = 0; i < token.len; i++) {
        value_add(value, token.ptr[i]);
    }
    return err;
}

/* 8 to 15 without a leading zero (RFC 7692, section 7.1.2); 0 for anything else. */
static unsigned window_bits(const struct value *value) {
    uint64_t bits = 0;
    if (value->len > sizeof value->text || value->text[0] == '0' ||
        car_span_u64(car_span_of(value->text, value->len), CAR_DEFLATE_BITS_MAX, &bits) != CAR_OK) {
        return 0;
    }
    return bits >= 8 ? (unsigned)bits : 0;
}

static unsigned parameter_bit(struct car_span name) {
    if (car_span_eq(name, CAR_SPAN("server_no_context_takeover"))) {
        return SERVER_NO_TAKEOVER;
    }
    if (car_span_eq(name, CAR_SPAN("client_no_context_takeover"))) {
        return CLIENT_NO_TAKEOVER;
    }
    if (car_span_eq(name, CAR_SPAN("server_max_window_bits"))) {
        return SERVER_BITS;
    }
    return car_span_eq(name, CAR_SPAN("client_max_window_bits")) ? CLIENT_BITS : 0;
}

/* Takes one parameter of a permessage-deflate offer. false where it makes the offer unacceptable. */
static bool take_parameter(struct offer *offer, struct car_span name, const struct value *value) {
    unsigned bit = parameter_bit(name);
    if (bit == 0 || (offer->seen & bit)) {
        return false;
    }
    offer->seen |= bit;
    switch (bit) {
    case SERVER_BITS:
        offer->params.server_answered = true;
        offer->params.server_bits = window_bits(value);
        return offer->params.server_bits >= CAR_DEFLATE_BITS_MIN;
    case CLIENT_BITS:
        if (!value->present) {
            return true;
        }
        offer->params.client_answered = true;
        offer->params.client_bits = window_bits(value);
        return offer->params.client_bits > 0;
    default:
        return !value->present;
    }
}

static int read_offer(struct car_span *in, struct offer *offer) {
    struct car_span name;
    *offer = (struct offer){
        .acceptable = true,
        .params = {.on = true, .server_bits = CAR_DEFLATE_BITS_MAX, .client_bits = CAR_DEFLATE_BITS_MAX},
    };
    int err = read_token(in, &name);
    if (err) {
        return err;
    }
    offer->is_pmd = car_span_eq(name, CAR_SPAN("permessage-deflate"));
    for (skip_blanks(in); next_is(in, ';'); skip_blanks(in)) {
        struct value value;
        advance(in, 1);
        skip_blanks(in);
        err = read_token(in, &name);
        if (!err) {
            err = read_value(in, &value);
        }
        if (err) {
            return err;
        }
        if (offer->is_pmd && !take_parameter(offer, name, &value)) {
            offer->acceptable = false;
        }
    }
    return CAR_OK;
}

int car_ws_negotiate(struct car_span offers, struct car_pmd_params *out) {
    struct car_pmd_params chosen = {0};
    *out = chosen;
    for (;;) {
        /* HTTP's lists may have empty elements (RFC 2616, section 2.1, which RFC 6455 builds on). */
        skip_blanks(&offers);
        while (next_is(&offers, ',')) {
            advance(&offers, 1);
            skip_blanks(&offers);
        }
        if (offers.len == 0) {
            break;
        }
        struct offer offer;
        int err = read_offer(&offers, &offer);
        if (err || (offers.len > 0 && !next_is(&offers, ','))) {
            return CAR_EINVAL;
        }
        if (offer.is_pmd && offer.acceptable && !chosen.on) {
            chosen = offer.params;
        }
    }
    *out = chosen;
    return CAR_OK;
}

void car_ws_extension_write(const struct car_pmd_params *params, struct car_buf *out) {
    if (!params->on) {
        return;
    }
    CAR_BUF_LIT(out, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    if (params->server_answered) {
        CAR_BUF_LIT(out, "; server_max_window_bits=");
        car_buf_u64(out, params->server_bits);
    }
    if (params->client_answered) {
        CAR_BUF_LIT(out, "; client_max_window_bits=");
        car_buf_u64(out, params->client_bits);
    }
}
