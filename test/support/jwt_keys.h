#ifndef CARILLON_TEST_SUPPORT_JWT_KEYS_H
#define CARILLON_TEST_SUPPORT_JWT_KEYS_H

#include <openssl/evp.h>

#include "carillon/guard/jwt.h"

#define JWT_SECRET "0123456789abcdef0123456789abcdef"

/* A moment, and claims that are good then for a minute. */
#define JWT_NOW_MS  INT64_C(1800000000000)
#define JWT_EXP     "\"exp\":1800000060"
#define JWT_TENANT  "\"tenant\":\"tenant_a\""
#define JWT_PAYLOAD "{" JWT_TENANT ",\"sub\":\"alice\",\"scopes\":[\"publish\",\"subscribe\"]," JWT_EXP "}"

#define JWT_HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define JWT_RS256 "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
#define JWT_ES256 "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"

/* A key of each kind, and what takes tokens of all: the secret's first, then RSA's, then EC's. */
struct jwt_keys {
    EVP_PKEY *rsa, *ec;
    struct car_buf rsa_pem, ec_pem;
    struct car_jwt jwt;
};

/* New keys; aborts where there are none. */
void jwt_keys_make(struct jwt_keys *keys);
void jwt_keys_free(struct jwt_keys *keys);

/* A verifier; aborts where it is refused. */
struct car_jwt_verifier *jwt_verifier_of_pem(const struct car_buf *pem);
struct car_jwt_verifier *jwt_verifier_of_secret(const char *secret);

/* Verifies as of JWT_NOW_MS. Asserts that what is refused leaves nothing in *out. */
enum car_jwt_result jwt_keys_verify(const struct car_jwt *jwt, struct car_span token, struct car_jwt_claims *out);

#endif
