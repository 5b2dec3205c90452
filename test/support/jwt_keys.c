#include "jwt_keys.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "jwt_forge.h"

struct car_jwt_verifier *jwt_verifier_of_pem(const struct car_buf *pem) {
    struct car_jwt_verifier *verifier = NULL;
    struct car_buf error = CAR_BUF_INIT;
    if (car_jwt_verifier_of_pem(&verifier, "key.pem", car_buf_view(pem), CAR_JWT_OF_KEY, &error) != 0) {
        abort();
    }
    return verifier;
}

struct car_jwt_verifier *jwt_verifier_of_secret(const char *secret) {
    struct car_jwt_verifier *verifier = NULL;
    if (car_jwt_verifier_of_secret(&verifier, car_span_cstr(secret)) != 0) {
        abort();
    }
    return verifier;
}

void jwt_keys_make(struct jwt_keys *keys) {
    *keys = (struct jwt_keys){.rsa = jwt_forge_rsa(2048), .ec = jwt_forge_ec("P-256")};
    jwt_forge_pem(keys->rsa, &keys->rsa_pem);
    jwt_forge_pem(keys->ec, &keys->ec_pem);
    keys->jwt.verifiers[0] = jwt_verifier_of_secret(JWT_SECRET);
    keys->jwt.verifiers[1] = jwt_verifier_of_pem(&keys->rsa_pem);
    keys->jwt.verifiers[2] = jwt_verifier_of_pem(&keys->ec_pem);
    keys->jwt.count = 3;
}

void jwt_keys_free(struct jwt_keys *keys) {
    car_jwt_free(&keys->jwt);
    car_buf_free(&keys->rsa_pem);
    car_buf_free(&keys->ec_pem);
    EVP_PKEY_free(keys->rsa);
    EVP_PKEY_free(keys->ec);
}

enum car_jwt_result jwt_keys_verify(const struct car_jwt *jwt, struct car_span token, struct car_jwt_claims *out) {
    memset(out, 0x5a, sizeof *out);
    enum car_jwt_result result = car_jwt_verify(jwt, token, JWT_NOW_MS, out);
    if (result != CAR_JWT_GOOD) {
        CU_ASSERT(!out->tenant[0] && !out->subject[0] && !out->scopes && !out->expires_ms);
    }
    return result;
}
