#ifndef CARILLON_PROTO_PROXY_H
#define CARILLON_PROTO_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/address.h"

/*
 * The header that a proxy sends before the first byte of a connection, to say whose connection it is: PROXY protocol,
 * version 2 (haproxy's doc/proxy-protocol.txt, section 2.2). Version 1, a line of text, is refused.
 *
 * What follows the addresses (section 2.2.1) has to be well-formed; of its kinds only the checksum is looked at
 * (CRC32c, section 2.2.3), where there is one. Where the addresses are not those of TCP over IP (LOCAL, UNSPEC, UNIX,
 * UDP), the socket's own count, and the rest of the header is passed over unread, as the protocol wants.
 */

#define CAR_PROXY_HEAD      16   /* bytes before the addresses: signature, version and command, family, length */
#define CAR_PROXY_ADDRESSES 36   /* bytes of addresses and ports, of IPv6 */
#define CAR_PROXY_REST_MAX  4096 /* bytes behind the head: a header that says it has more is refused */

/* One header being read. Zeroed to begin with. Belongs to whoever feeds it; holds no memory of its own. */
struct car_proxy {
    bool done;
    bool has_addresses; /* else the socket's own count */
    uint16_t source_port, destination_port;
    struct car_address source, destination;

    /* The parser's. */
    uint16_t at;  /* bytes taken */
    uint16_t end; /* bytes of the header, once its head is in */
    uint16_t addresses_end;
    uint16_t tlv_at, tlv_len; /* in the element that is being read: bytes taken; bytes of its value */
    uint8_t tlv_type;
    bool summed;        /* it has told its checksum */
    uint32_t sum, told; /* CRC32c */
    uint8_t head[CAR_PROXY_HEAD + CAR_PROXY_ADDRESSES];
};

/*
 * Feeds bytes, in pieces of any length. 0: fine; *consumed is `len`, but less where the header ended before (`done`):
 * what follows it is not looked at. CAR_EPROTO where the bytes are no such header, as soon as that shows; CAR_ETOOBIG
 * where it is longer than CAR_PROXY_REST_MAX allows. After an error, or after `done`, it is not fed again.
 */
int car_proxy_feed(struct car_proxy *proxy, const char *bytes, size_t len, size_t *consumed);

#endif
