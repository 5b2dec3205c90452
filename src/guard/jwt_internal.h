#ifndef CARILLON_GUARD_JWT_INTERNAL_H
#define CARILLON_GUARD_JWT_INTERNAL_H

#include <jansson.h>
#include <jwt.h>

#include "carillon/guard/jwt.h"

struct car_jwt_verifier {
    struct car_signer *signer; /* its reference */
    jwt_alg_t algorithm;
    size_t len;
    unsigned char key[]; /* as libjwt takes it: the secret, or the public key as PEM, written anew */
};

/* The last second that a date may be: the end of the year 9999. */
#define CAR_JWT_DATE_MAX INT64_C(253402300799)

/* What the payload of a token, whose signature is good, says. */
enum car_jwt_result car_jwt_claims_read(const struct car_jwt *jwt, const json_t *payload, int64_t now_ms,
                                        struct car_jwt_claims *out);

#endif
