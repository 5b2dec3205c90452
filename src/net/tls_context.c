#include "tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/file.h"
#include "carillon/net/net.h"

#define FILE_MAX         (1u << 20)
#define SESSION_S        3600
#define CLIENT_CHAIN_MAX 32768 /* bytes of certificates that a client may show */

/* Each has a key of its own for every connection, and authenticates what it enciphers. TLS 1.3 has no others. */
static const char CIPHERS_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* A file that is being read, for what is told of it. */
struct file {
    const char *flag;
    const char *path;
    struct car_buf text;
    struct car_buf *error;
};

static int fail(const struct file *file, int err, const char *why) {
    car_buf_printf(file->error, "--%s: %s: %s", file->flag, file->path, why);
    return err;
}

/* As libssl says what is wrong; a reason, and nothing of the file's content. */
static int fail_as_told(const struct file *file, const char *otherwise) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return fail(file, CAR_EINVAL, reason ? reason : otherwise);
}

/* Whether reading has stopped because there is no further PEM block, and not at a broken one. */
static bool at_end(void) {
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* Nobody is there to be asked. */
static int no_password(char *buf, int size, int writing, void *asked) {
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

/* Reads one certificate after the other. */
static int take_each(SSL_CTX *ssl, const struct file *file, BIO *text,
                     bool (*take)(SSL_CTX *ssl, X509 *cert, unsigned nth)) {
    bool asked = false;
    unsigned count = 0;
    X509 *cert;
    while ((cert = PEM_read_bio_X509(text, NULL, no_password, &asked))) {
        bool good = take(ssl, cert, count);
        X509_free(cert);
        if (!good) {
            return fail_as_told(file, "a certificate cannot be used");
        }
        count++;
    }
    if (count == 0 && at_end()) {
        return fail(file, CAR_EINVAL, "there is no certificate in PEM form");
    }
    return at_end() ? 0 : fail_as_told(file, "a certificate is malformed");
}

static bool take_own(SSL_CTX *ssl, X509 *cert, unsigned nth) {
    return (nth == 0 ? SSL_CTX_use_certificate(ssl, cert) : SSL_CTX_add1_chain_cert(ssl, cert)) == 1;
}

static bool take_authority(SSL_CTX *ssl, X509 *cert, unsigned nth) {
    (void)nth;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), cert) == 1 && SSL_CTX_add_client_CA(ssl, cert) == 1;
}

static int use_chain(SSL_CTX *ssl, const struct file *file, BIO *text) {
    return take_each(ssl, file, text, take_own);
}

/* Whether some line says that it is one: what libssl says of a text that has none depends on its release. */
static bool has_key(const struct file *file) {
    static const char BEGINS[] = "PRIVATE KEY-----";
    return file->text.len && memmem(file->text.data, file->text.len, BEGINS, sizeof BEGINS - 1);
}

static int use_key(SSL_CTX *ssl, const struct file *file, BIO *text) {
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, no_password, &asked);
    if (!key) {
        return fail(file, CAR_EINVAL,
                    asked           ? "the key is encrypted, and nobody is there to be asked for its password"
                    : has_key(file) ? "the private key is malformed"
                                    : "there is no private key in PEM form");
    }
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) == 1;
    bool used = fits && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    if (!fits) {
        return fail(file, CAR_EINVAL, "the key is not that of the certificate of --tls-cert");
    }
    return used ? 0 : fail_as_told(file, "the key cannot be used");
}

/* A session says that its client's certificate was good, and so it is good for the same authorities only. Who shows no
 * certificate is let in, and does not publish. */
static int use_client_ca(SSL_CTX *ssl, const struct file *file, BIO *text) {
    uint8_t digest[32];
    int err = take_each(ssl, file, text, take_authority);
    car_sha256(file->text.data, file->text.len, digest);
    (void)SSL_CTX_set_session_id_context(ssl, digest, sizeof digest);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_max_cert_list(ssl, CLIENT_CHAIN_MAX);
    return err;
}

static int read_file(SSL_CTX *ssl, struct file *file, int (*use)(SSL_CTX *ssl, const struct file *file, BIO *text)) {
    int err = car_file_read(file->path, FILE_MAX, &file->text);
    BIO *text = err ? NULL : BIO_new_mem_buf(file->text.data, (int)file->text.len);
    ERR_clear_error();
    if (text) {
        err = use(ssl, file, text);
    } else if (err == CAR_ETOOBIG) {
        err = fail(file, err, "the file has more than 1 MiB");
    } else {
        err = fail(file, err ? err : CAR_ENOMEM,
                   err == CAR_ESYS ? strerror(errno) : car_strerror(err ? err : CAR_ENOMEM));
    }
    BIO_free(text);
    if (file->text.data) {
        OPENSSL_cleanse(file->text.data, file->text.cap); /* whichever it is: keys are put into the wrong file */
    }
    car_buf_free(&file->text);
    return err;
}

/* RFC 7301, section 3.2. Who offers nothing gets HTTP/1.1. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                           unsigned len, void *user) {
    static const unsigned char OURS[] = "\x08http/1.1";
    (void)ssl;
    (void)user;
    unsigned char *chosen;
    int found = SSL_select_next_proto(&chosen, out_len, OURS, sizeof OURS - 1, offered, len);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Sessions are in the clients' tickets alone: a cache would be memory, and a lock. */
static bool set_terms(SSL_CTX *ssl, unsigned char *ticket_keys) {
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, SESSION_S);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_cipher_list(ssl, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"carillon", 8) == 1 &&
           SSL_CTX_set_tlsext_ticket_keys(ssl, ticket_keys, CAR_TLS_TICKET_KEYS) == 1;
}

/* RFC 5280, section 4.1.2.5: UTC, to the second. Never below 0. */
static int64_t end_of(const X509 *cert) {
    struct tm end;
    int64_t seconds = ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1 ? timegm(&end) : 0;
    return seconds > 0 ? seconds : 0;
}

static int fill(struct car_tls_context *context, const struct car_tls_files *files, struct car_buf *error) {
    context->ssl = SSL_CTX_new(TLS_server_method());
    if (!context->ssl || !set_terms(context->ssl, context->ticket_keys)) {
        car_buf_printf(error, "--tls-cert: %s: TLS cannot be set up", files->cert);
        return CAR_ENOMEM;
    }
    struct file cert = {.flag = "tls-cert", .path = files->cert, .error = error};
    struct file key = {.flag = "tls-key", .path = files->key, .error = error};
    struct file client_ca = {.flag = "tls-client-ca", .path = files->client_ca, .error = error};
    int err = read_file(context->ssl, &cert, use_chain);
    context->expires = err ? 0 : end_of(SSL_CTX_get0_certificate(context->ssl));
    err = err ? err : read_file(context->ssl, &key, use_key);
    return err || !files->client_ca ? err : read_file(context->ssl, &client_ca, use_client_ca);
}

int car_tls_context_load(const struct car_tls_files *files, const struct car_tls_context *former,
                         struct car_tls_context **out, struct car_buf *error) {
    struct car_tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        car_buf_printf(error, "--tls-cert: %s: %s", files->cert, car_strerror(CAR_ENOMEM));
        return CAR_ENOMEM;
    }
    if (former) {
        memcpy(context->ticket_keys, former->ticket_keys, sizeof context->ticket_keys);
    } else {
        car_random(context->ticket_keys, sizeof context->ticket_keys);
    }
    int err = fill(context, files, error);
    ERR_clear_error();
    if (err) {
        car_tls_context_free(&context);
    }
    *out = context;
    return err;
}

void car_tls_context_free(struct car_tls_context **context) {
    if (*context) {
        SSL_CTX_free((*context)->ssl);
        OPENSSL_cleanse((*context)->ticket_keys, sizeof(*context)->ticket_keys);
        free(*context);
        *context = NULL;
    }
}

static void free_retired(struct car_retired *retired) {
    struct car_tls_context *context = (struct car_tls_context *)retired; /* its first member */
    car_tls_context_free(&context);
}

void car_tls_use(struct car_net *net, struct car_reader *reader, struct car_tls_context *context) {
    struct car_tls_context *former = atomic_exchange(&net->tls, context);
    atomic_store(&net->tls_expires, context->expires);
    if (former) {
        car_reader_retire(reader, &former->retired, free_retired);
    }
}

SSL *car_tls_context_ssl(const struct car_net *net, struct car_reader *reader) {
    car_reader_enter(reader);
    SSL *ssl = SSL_new(atomic_load_explicit(&net->tls, memory_order_acquire)->ssl);
    car_reader_leave(reader);
    return ssl;
}
