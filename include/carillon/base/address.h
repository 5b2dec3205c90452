#ifndef CARILLON_BASE_ADDRESS_H
#define CARILLON_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "carillon/base/span.h"

/*
 * An IP address, in network order and in IPv6's form: an IPv4 address is ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). So
 * one that came over a socket of either family, or was written in either way, is the same sixteen bytes; of which
 * family it is, car_address_is_v4 tells. All zeros is "::", which is nobody's. Plain data; any thread.
 */
struct car_address {
    uint8_t bytes[16];
};

/* Room for any address as text, with its NUL. */
#define CAR_ADDRESS_TEXT 46

bool car_address_is_v4(const struct car_address *address);
bool car_address_eq(const struct car_address *a, const struct car_address *b);

/* From four or sixteen bytes in network order. */
struct car_address car_address_of_v4(const uint8_t bytes[4]);
struct car_address car_address_of_v6(const uint8_t bytes[16]);

/* What inet_pton takes, the whole text: dotted decimal without leading zeros, or RFC 4291, section 2.2, without a zone.
 * CAR_EINVAL otherwise. */
int car_address_parse(struct car_span text, struct car_address *out);

/* The same, and what proxies write: "192.0.2.1:4711", "[2001:db8::1]", "[2001:db8::1]:4711". The port is looked at (1
 * to 65535, no leading zero) and dropped. */
int car_address_parse_with_port(struct car_span text, struct car_address *out);

/* CAR_EINVAL for a family other than AF_INET and AF_INET6, and where `len` is too short for it. */
int car_address_of_sockaddr(const struct sockaddr *from, socklen_t len, struct car_address *out);

/* Writes it as text with a NUL: dotted, or as RFC 5952 recommends. Returns the characters before the NUL. */
size_t car_address_write(const struct car_address *address, char out[CAR_ADDRESS_TEXT]);

/* What limits are counted by: an IPv4 address whole, an IPv6 address by its /64, which is what one subscriber has at
 * least (RFC 6177, section 2): the rest is zero. */
struct car_address car_address_key(const struct car_address *address);

/* A range of addresses (RFC 4632, section 3.1; RFC 4291, section 2.3). */
struct car_cidr {
    struct car_address base; /* zero behind the prefix */
    uint8_t bits;            /* of the sixteen bytes: 10.0.0.0/8 has 104 */
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone, which stands for itself. CAR_EINVAL where it is none of these,
 * the length is too long or has a leading zero, or bits are set behind the prefix: such a text means something else
 * than it says. */
int car_cidr_parse(struct car_span text, struct car_cidr *out);

/* Whether the address lies in the range. One of IPv4 lies in ranges of IPv4 only (in IPv6's form, too: ::ffff:0:0/96 is
 * all of them), not in ::/0. */
bool car_cidr_has(const struct car_cidr *cidr, const struct car_address *address);

/* Whether it lies in one of them. */
bool car_cidr_any_has(const struct car_cidr *cidrs, size_t count, const struct car_address *address);

#endif
