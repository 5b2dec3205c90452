#ifndef CARILLON_NET_TLS_H
#define CARILLON_NET_TLS_H

#include "carillon/base/buf.h"

struct car_net;
struct car_reader;
struct car_tls_context;

/* What TLS is set up from: names of PEM files, borrowed. */
struct car_tls_files {
    const char *cert;      /* the server's certificate and those that lead to its root, in this order */
    const char *key;       /* its private key, not encrypted */
    const char *client_ca; /* who signs clients' certificates; NULL: none are asked for */
};

/*
 * What the connections that begin from now on share: certificate, key, terms (TLS 1.2 and 1.3; ECDHE and AEAD), and the
 * keys of session tickets. Immutable. Each connection keeps what it began with, by libssl's own count of references.
 *
 * Reads the files. The tickets' keys are the `former` context's, so that sessions outlive a reload, or drawn where that
 * is NULL; sessions of another --tls-client-ca are not resumed, for they say whose certificate was good. 0; else
 * CAR_EINVAL, CAR_ESYS, CAR_ETOOBIG or CAR_ENOMEM, and `error` has a line that names the flag and the file, without a
 * line end and without anything of the key.
 */
int car_tls_context_load(const struct car_tls_files *files, const struct car_tls_context *former,
                         struct car_tls_context **out, struct car_buf *error);

/* Frees it, which no worker can find, and nulls the pointer; NULL inside is allowed. */
void car_tls_context_free(struct car_tls_context **context);

/* Has connections begin with this context from now on, and takes it over; the former one is retired. When its
 * certificate ends (RFC 5280, section 4.1.2.5) is in `net->tls_expires` from then on; what lies before 1970 is 0. On
 * the reader's thread, one at a time. The first is set before the workers run: car_net_attach prepares a worker for TLS
 * by it. */
void car_tls_use(struct car_net *net, struct car_reader *reader, struct car_tls_context *context);

#endif
