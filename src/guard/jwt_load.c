#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/file.h"
#include "carillon/guard/signer.h"

#include "jwt_internal.h"

#define FILE_MAX 65536

void car_jwt_free(struct car_jwt *jwt) {
    for (size_t i = 0; i < jwt->count; i++) {
        car_jwt_verifier_free(&jwt->verifiers[i]);
    }
    free(jwt->audience);
    free(jwt->issuer);
    *jwt = (struct car_jwt){.count = 0};
}

static void wipe(struct car_buf *text) {
    if (text->data) {
        explicit_bzero(text->data, text->cap);
    }
    car_buf_free(text);
}

/* Puts the verifier among the others; there is room for all that a configuration can name. */
static void add(struct car_jwt *jwt, struct car_jwt_verifier *verifier) {
    jwt->verifiers[jwt->count++] = verifier;
}

static int read_file(const char *path, struct car_buf *text, struct car_buf *error) {
    int err = car_file_read(path, FILE_MAX, text);
    if (err == CAR_ETOOBIG) {
        car_buf_printf(error, "%s: the file has more than %d bytes", path, FILE_MAX);
    } else if (err) {
        car_buf_printf(error, "%s: %s", path, err == CAR_ESYS ? strerror(errno) : car_strerror(err));
    }
    return err;
}

static struct car_span without_newline(struct car_span text) {
    if (text.len && text.ptr[text.len - 1] == '\n') {
        text.len--;
        text.len -= text.len && text.ptr[text.len - 1] == '\r';
    }
    return text;
}

static int secret_of_file(const char *path, struct car_jwt_verifier **out, struct car_buf *error) {
    struct car_buf text = CAR_BUF_INIT;
    int err = read_file(path, &text, error);
    if (!err) {
        err = car_jwt_verifier_of_secret(out, without_newline(car_buf_view(&text)));
        if (err) {
            car_buf_printf(error, "%s:1: %s", path,
                           err == CAR_EINVAL ? "a secret has to be 32 to 4096 bytes, and no PEM text"
                                             : car_strerror(err));
        }
    }
    wipe(&text);
    return err;
}

/* Once drawn it is the process's: else every reload would end the tokens that the server has made. */
static int drawn_secret(const struct car_jwt *former, struct car_jwt_verifier **out, struct car_buf *error) {
    char bytes[CAR_JWT_SECRET_MIN];
    car_random(bytes, sizeof bytes);
    struct car_span secret = car_span_of(bytes, sizeof bytes);
    for (size_t i = 0; i < former->count; i++) {
        if (former->verifiers[i]->algorithm == JWT_ALG_HS256) {
            secret = car_span_of((const char *)former->verifiers[i]->key, former->verifiers[i]->len);
        }
    }
    int err = car_jwt_verifier_of_secret(out, secret);
    explicit_bzero(bytes, sizeof bytes);
    if (err) {
        car_buf_printf(error, "--jwt-secret-file: %s", car_strerror(err));
    }
    return err;
}

static int key_of_file(const char *path, enum car_jwt_algorithm wanted, struct car_jwt_verifier **out,
                       struct car_buf *error) {
    struct car_buf text = CAR_BUF_INIT;
    int err = read_file(path, &text, error);
    err = err ? err : car_jwt_verifier_of_pem(out, path, car_buf_view(&text), wanted, error);
    wipe(&text); /* it may have been the wrong one */
    return err;
}

static int copy_text(const char *text, char **out, struct car_buf *error) {
    *out = text ? strdup(text) : NULL;
    if (text && !*out) {
        car_buf_printf(error, "--jwt-audience and --jwt-issuer: %s", car_strerror(CAR_ENOMEM));
        return CAR_ENOMEM;
    }
    return 0;
}

static bool is_same_key(const struct car_jwt_verifier *a, const struct car_jwt_verifier *b) {
    return a->algorithm == b->algorithm && a->len == b->len && car_secret_eq(a->key, b->key, a->len);
}

/* Who signed with a key that stays has nothing to leave for. */
static void keep_signers(const struct car_jwt *former, struct car_jwt *jwt) {
    for (size_t i = 0; i < jwt->count; i++) {
        for (size_t k = 0; k < former->count; k++) {
            if (is_same_key(jwt->verifiers[i], former->verifiers[k])) {
                car_signer_unref(&jwt->verifiers[i]->signer);
                jwt->verifiers[i]->signer = car_signer_ref(former->verifiers[k]->signer);
            }
        }
    }
}

static bool has_signer(const struct car_jwt *jwt, const struct car_signer *signer) {
    for (size_t i = 0; i < jwt->count; i++) {
        if (jwt->verifiers[i]->signer == signer) {
            return true;
        }
    }
    return false;
}

size_t car_jwt_end_missing(const struct car_jwt *former, const struct car_jwt *now) {
    size_t ended = 0;
    for (size_t i = 0; i < former->count; i++) {
        if (!has_signer(now, former->verifiers[i]->signer)) {
            atomic_store_explicit(&former->verifiers[i]->signer->gone, true, memory_order_release);
            ended++;
        }
    }
    return ended;
}

int car_jwt_load(const struct car_config *config, const struct car_jwt *former, struct car_jwt *out,
                 struct car_buf *error) {
    static const struct car_jwt NONE;
    struct car_jwt_verifier *verifier = NULL;
    former = former ? former : &NONE;
    *out = (struct car_jwt){.count = 0};
    json_object_seed(0); /* the first time is before threads are there; jansson draws it once */
    int err = copy_text(config->jwt_audience, &out->audience, error);
    err = err ? err : copy_text(config->jwt_issuer, &out->issuer, error);
    if (!err) {
        err = config->jwt_secret_file ? secret_of_file(config->jwt_secret_file, &verifier, error)
                                      : drawn_secret(former, &verifier, error);
    }
    if (!err) {
        add(out, verifier);
    }
    if (!err && config->jwt_public_key) {
        err = key_of_file(config->jwt_public_key, config->jwt_algorithm, &verifier, error);
        if (!err) {
            add(out, verifier);
        }
    }
    if (err) {
        car_jwt_free(out);
    }
    keep_signers(former, out);
    return err;
}
