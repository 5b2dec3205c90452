#ifndef CARILLON_PROTO_WS_HANDSHAKE_H
#define CARILLON_PROTO_WS_HANDSHAKE_H

#include <stdbool.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/* The values of the opening handshake's fields (RFC 6455, section 4.2; RFC 7692, section 7.1). Any thread. */

enum { CAR_WS_ACCEPT_LEN = 28 };

/* What was agreed on permessage-deflate. Neither side takes its context over. */
struct car_pmd_params {
    bool on;              /* the rest means something only then */
    bool server_answered; /* the answer names server_max_window_bits: it was offered */
    bool client_answered; /* the answer names client_max_window_bits: it was offered with a value */
    unsigned server_bits; /* 9 to 15: what the server compresses with */
    unsigned client_bits; /* 8 to 15: what the client stays within */
};

/* Whether a Sec-WebSocket-Key is base64 of 16 bytes: 22 characters of its alphabet and "==", no blanks. The four bits
 * that encode nothing are not looked at. */
bool car_ws_key_valid(struct car_span key);

/* The Sec-WebSocket-Accept for a valid key. No NUL. */
void car_ws_accept(struct car_span key, char out[CAR_WS_ACCEPT_LEN]);

/*
 * Reads the value of Sec-WebSocket-Extensions (RFC 6455, section 9.1; several fields joined by commas; empty where
 * there was none) and takes the first permessage-deflate offer that this server can meet. An offer with an unknown or
 * repeated parameter, a bad value, or a server_max_window_bits of 8 is passed over, as are other extensions: that never
 * makes the handshake fail.
 *
 * Returns 0; out->on says whether there is an agreement. CAR_EINVAL where the value does not follow the grammar: then
 * out->on is false, whatever came before the flaw, and the handshake should go on without the extension.
 */
int car_ws_negotiate(struct car_span offers, struct car_pmd_params *out);

/* Appends the answer's field value, such as "permessage-deflate; server_no_context_takeover;
 * client_no_context_takeover"; nothing unless params->on. */
void car_ws_extension_write(const struct car_pmd_params *params, struct car_buf *out);

#endif
