#ifndef CARILLON_NET_TLS_CONTEXT_H
#define CARILLON_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "carillon/net/tls.h"
#include "carillon/runtime/reclaim.h"

#define CAR_TLS_TICKET_KEYS 80 /* a name, a key of AES and one of HMAC: SSL_CTX_set_tlsext_ticket_keys(3) */

/* Immutable; who replaces it, with release, retires it, and a reader's section keeps what it has loaded, with acquire.
 */
struct car_tls_context {
    struct car_retired retired; /* first */
    SSL_CTX *ssl;
    int64_t expires; /* its certificate, in seconds since 1970 */
    unsigned char ticket_keys[CAR_TLS_TICKET_KEYS];
};

/* A connection's, of the context that there is now, which it holds from then on. NULL without memory. Any thread with a
 * reader. */
SSL *car_tls_context_ssl(const struct car_net *net, struct car_reader *reader);

#endif
