#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/guard/signer.h"

#include "jwt_internal.h"

#define RSA_BITS_MIN 2048
#define P256         "prime256v1"

static const char BEGIN[] = "-----BEGIN ";
static const char END[] = "-----END PUBLIC KEY-----";

/* A PEM text on its way into a verifier. */
struct reading {
    const char *name;
    size_t line; /* of the BEGIN marker, 1 where there is none; or of what is wrong */
    struct car_buf *error;
};

static int wrong(const struct reading *r, const char *what) {
    car_buf_printf(r->error, "%s:%zu: %s", r->name, r->line, what);
    return CAR_EINVAL;
}

static int make(struct car_jwt_verifier **out, jwt_alg_t algorithm, struct car_span key) {
    struct car_jwt_verifier *verifier = malloc(sizeof *verifier + key.len);
    struct car_signer *signer = car_signer_new();
    if (!verifier || !signer) {
        free(verifier);
        car_signer_unref(&signer);
        return CAR_ENOMEM;
    }
    verifier->signer = signer;
    verifier->algorithm = algorithm;
    verifier->len = key.len;
    memcpy(verifier->key, key.ptr, key.len);
    *out = verifier;
    return 0;
}

int car_jwt_verifier_of_secret(struct car_jwt_verifier **out, struct car_span secret) {
    *out = NULL;
    if (secret.len < CAR_JWT_SECRET_MIN || secret.len > CAR_JWT_SECRET_MAX ||
        memmem(secret.ptr, secret.len, BEGIN, sizeof BEGIN - 1)) {
        return CAR_EINVAL;
    }
    return make(out, JWT_ALG_HS256, secret);
}

void car_jwt_verifier_free(struct car_jwt_verifier **verifier) {
    if (*verifier) {
        car_signer_unref(&(*verifier)->signer);
        explicit_bzero((*verifier)->key, (*verifier)->len);
        free(*verifier);
        *verifier = NULL;
    }
}

static bool begins(struct car_span line, const char *with) {
    size_t len = strlen(with);
    return line.len >= len && memcmp(line.ptr, with, len) == 0;
}

/* Finds the one BEGIN marker, and what it says that there is. */
static int find_marker(struct reading *r, struct car_span pem) {
    static const char PUBLIC[] = "-----BEGIN PUBLIC KEY-----";
    struct car_span rest = pem;
    struct car_span line;
    bool found = false;
    for (size_t number = 1; car_span_next(&rest, '\n', &line); number++) {
        if (!begins(line, BEGIN)) {
            continue;
        }
        r->line = number;
        if (found) {
            return wrong(r, "there has to be one key, and this is another");
        }
        if (memmem(line.ptr, line.len, "PRIVATE KEY", 11)) {
            return wrong(r, "this is a private key, and the public one is wanted ('openssl pkey -pubout' makes it)");
        }
        if (!begins(line, PUBLIC)) {
            return wrong(r, "this is no public key: its first line has to be '-----BEGIN PUBLIC KEY-----'");
        }
        found = true;
    }
    return found ? 0 : wrong(r, "there is no '-----BEGIN PUBLIC KEY-----'");
}

static struct car_span without_blanks(struct car_span line) {
    while (line.len && memchr(" \t\r", line.ptr[line.len - 1], 3)) {
        line.len--;
    }
    return line;
}

/* Digits, and then at most two '='. What is behind those, `padded` says, is none any more. */
static bool is_base64(struct car_span line, bool padded) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = line.len;
    while (digits && line.len - digits < 2 && line.ptr[digits - 1] == '=') {
        digits--;
    }
    for (size_t i = 0; i < digits; i++) {
        if (!memchr(DIGITS, line.ptr[i], sizeof DIGITS - 1)) {
            return false;
        }
    }
    return !padded || line.len == 0;
}

/* libcrypto does not say where a key is malformed: this finds the line, where one can be told. `rest` is what comes
 * after the BEGIN marker's. */
static int explain(struct reading *r, struct car_span rest) {
    size_t begin = r->line;
    size_t odd = 0; /* the first line that is no whole number of bytes: where something was left out */
    bool padded = false;
    struct car_span line;
    for (r->line++; car_span_next(&rest, '\n', &line); r->line++) {
        line = without_blanks(line);
        if (car_span_eq(line, car_span_cstr(END))) {
            r->line = odd ? odd : begin;
            return wrong(r, odd ? "the base64 is not whole here" : "the key is malformed");
        }
        if (begins(line, "-----")) {
            return wrong(r, "this has to be '-----END PUBLIC KEY-----'");
        }
        if (!is_base64(line, padded)) {
            return wrong(r, "this is not base64");
        }
        odd = !odd && line.len % 4 ? r->line : odd;
        padded = padded || (line.len && line.ptr[line.len - 1] == '=');
    }
    r->line = begin;
    return wrong(r, "the key has no '-----END PUBLIC KEY-----'");
}

/* libcrypto would ask at the terminal. */
static int no_password(char *text, int size, int writing, void *user) {
    (void)text, (void)size, (void)writing, (void)user;
    return -1;
}

/* What the key is for. Keys that only look like these, such as RSA-PSS's and other curves of 256 bits, are not. */
static int judge(const struct reading *r, EVP_PKEY *key, jwt_alg_t *out) {
    char group[32] = "";
    size_t len = 0;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    if (!context) {
        return CAR_ENOMEM;
    }
    bool sound = EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        *out = JWT_ALG_RS256;
        if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN) {
            return wrong(r, "an RSA key has to have 2048 bits or more");
        }
        break;
    case EVP_PKEY_EC:
        *out = JWT_ALG_ES256;
        if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1 || strcmp(group, P256) != 0) {
            return wrong(r, "an EC key has to be of the curve P-256 (prime256v1)");
        }
        break;
    default:
        return wrong(r, "a key has to be RSA, or EC of the curve P-256");
    }
    return sound ? 0 : wrong(r, "the key is not sound");
}

/* Writes the key anew: what libjwt reads for each token is then of one shape, whatever stood around it. */
static int write_key(EVP_PKEY *key, jwt_alg_t algorithm, struct car_jwt_verifier **out) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int err = CAR_ENOMEM;
    if (bio && PEM_write_bio_PUBKEY(bio, key) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        err = make(out, algorithm, car_span_of(text, (size_t)len));
    }
    BIO_free(bio);
    return err;
}

static int read_key(struct reading *r, struct car_span pem, enum car_jwt_algorithm wanted,
                    struct car_jwt_verifier **out) {
    jwt_alg_t algorithm = JWT_ALG_NONE;
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (!bio) {
        return CAR_ENOMEM;
    }
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (!key) {
        struct car_span line;
        for (size_t i = 0; i < r->line; i++) {
            (void)car_span_next(&pem, '\n', &line);
        }
        return explain(r, pem);
    }
    int err = judge(r, key, &algorithm);
    if (!err && wanted != CAR_JWT_OF_KEY && (wanted == CAR_JWT_RS256) != (algorithm == JWT_ALG_RS256)) {
        err = wrong(r, algorithm == JWT_ALG_RS256 ? "the key is RSA's, and --jwt-algorithm is not RS256"
                                                  : "the key is EC's, and --jwt-algorithm is not ES256");
    }
    err = err ? err : write_key(key, algorithm, out);
    EVP_PKEY_free(key);
    return err;
}

int car_jwt_verifier_of_pem(struct car_jwt_verifier **out, const char *name, struct car_span pem,
                            enum car_jwt_algorithm wanted, struct car_buf *error) {
    struct reading r = {.name = name, .line = 1, .error = error};
    *out = NULL;
    if (pem.len == 0 || memchr(pem.ptr, '\0', pem.len)) {
        return wrong(&r, "this is no PEM text");
    }
    int err = find_marker(&r, pem);
    err = err ? err : read_key(&r, pem, wanted, out);
    ERR_clear_error();
    if (err == CAR_ENOMEM) {
        car_buf_printf(error, "%s: %s", name, car_strerror(err));
    }
    return err;
}
