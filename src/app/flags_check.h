#ifndef CARILLON_APP_FLAGS_CHECK_H
#define CARILLON_APP_FLAGS_CHECK_H

#include <stdint.h>

struct car_config_rate;

/*
 * What the flags' texts have to look like (car_option_check_fn): NULL where `value` is good, else what is wrong with
 * it. Some rewrite it into its canonical form, which is never longer.
 */

/* An IPv4 or IPv6 address or a host name; brackets around an IPv6 address are taken off. */
const char *car_flags_check_host(char *value);

/* A tenant's id: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
const char *car_flags_check_tenant(char *value);

/*
 * "*", or an origin as browsers send it (RFC 6454, section 6.2): scheme://host[:port]. Made lower-case, and the
 * scheme's default port is taken off.
 */
const char *car_flags_check_origin(char *value);

/* An address, or a range of them (car_cidr_parse). */
const char *car_flags_check_cidr(char *value);

/* What can be shown as a bearer's token (RFC 6750, section 2.1): visible ASCII. */
const char *car_flags_check_admin_key(char *value);

/* A namespace's name: a slash, and 1 to 63 characters that need no escaping anywhere. */
const char *car_flags_check_namespace(char *value);

/* What a token's aud or iss is compared with: 1 to 256 bytes of UTF-8 without control characters. */
const char *car_flags_check_jwt_text(char *value);

/* A store's URI that this version has: "memory:". */
const char *car_flags_check_store(char *value);

/* How long and how many events are kept: "AGE/COUNT", a duration and a number, either of which may be left out. */
const char *car_flags_check_retention(char *value);

/* A rate limit: "N/WINDOW" (car_rate_limit_read). */
const char *car_flags_check_rate(char *value);
const char *car_flags_check_handshakes(char *value);

/* Fills in what its text says, which was checked; no limit where there is none. */
void car_flags_read_rate(struct car_config_rate *rate);

/* What a text of retention says; 0 for what is left out. */
void car_flags_read_retention(const char *value, uint64_t *ms, uint64_t *count);

#endif
