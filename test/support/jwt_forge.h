#ifndef CARILLON_TEST_SUPPORT_JWT_FORGE_H
#define CARILLON_TEST_SUPPORT_JWT_FORGE_H

#include <openssl/evp.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * JSON Web Tokens of any header and payload, right ones and wrong ones, made with libcrypto alone: what reads them in
 * the server has another library's hand in it. All of these abort where libcrypto fails.
 */

/* New keys. EVP_PKEY_free ends them. */
EVP_PKEY *jwt_forge_rsa(unsigned bits);
EVP_PKEY *jwt_forge_ec(const char *curve);

/* Appends the public key as PEM; and the private one. */
void jwt_forge_pem(EVP_PKEY *key, struct car_buf *out);
void jwt_forge_private_pem(EVP_PKEY *key, struct car_buf *out);

/* Appends base64url without padding. */
void jwt_forge_part(struct car_span bytes, struct car_buf *out);

/* Appends a token with the header and the payload as they are, signed HS256; RS256, or ES256, as the key has it. */
void jwt_forge_hs256(struct car_span header, struct car_span payload, struct car_span secret, struct car_buf *out);
void jwt_forge_signed(struct car_span header, struct car_span payload, EVP_PKEY *key, struct car_buf *out);

/* The same, with an ES256 signature in the DER form that libcrypto makes. */
void jwt_forge_der(struct car_span header, struct car_span payload, EVP_PKEY *key, struct car_buf *out);

#endif
