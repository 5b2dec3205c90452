#include "jwt_forge.h"

#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"

#define P256_LEN 32

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

EVP_PKEY *jwt_forge_rsa(unsigned bits) {
    EVP_PKEY *key = EVP_RSA_gen(bits);
    require(key != NULL);
    return key;
}

EVP_PKEY *jwt_forge_ec(const char *curve) {
    EVP_PKEY *key = EVP_EC_gen(curve);
    require(key != NULL);
    return key;
}

static void take_bio(BIO *bio, struct car_buf *out) {
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    car_buf_put(out, text, (size_t)len);
    BIO_free(bio);
}

void jwt_forge_pem(EVP_PKEY *key, struct car_buf *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_PUBKEY(bio, key) == 1);
    take_bio(bio, out);
}

void jwt_forge_private_pem(EVP_PKEY *key, struct car_buf *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    take_bio(bio, out);
}

void jwt_forge_part(struct car_span bytes, struct car_buf *out) {
    size_t before = out->len;
    require(car_buf_reserve(out, 4 * (bytes.len / 3 + 1)) == 0);
    out->len += car_base64_write(bytes.ptr, bytes.len, out->data + out->len);
    while (out->len > before && out->data[out->len - 1] == '=') {
        out->len--;
    }
    for (size_t i = before; i < out->len; i++) {
        out->data[i] = (char)(out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i]);
    }
}

/* What is signed. */
static struct car_span put_head(struct car_span header, struct car_span payload, struct car_buf *out) {
    size_t before = out->len;
    jwt_forge_part(header, out);
    car_buf_char(out, '.');
    jwt_forge_part(payload, out);
    require(!out->failed);
    return car_span_of(out->data + before, out->len - before);
}

void jwt_forge_hs256(struct car_span header, struct car_span payload, struct car_span secret, struct car_buf *out) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct car_span head = put_head(header, payload, out);
    require(HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)head.ptr, head.len, mac, &len) !=
            NULL);
    car_buf_char(out, '.');
    jwt_forge_part(car_span_of((const char *)mac, len), out);
}

static void sign(struct car_span head, EVP_PKEY *key, struct car_buf *out) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = (size_t)EVP_PKEY_get_size(key);
    require(context && car_buf_reserve(out, len) == 0);
    require(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1);
    require(EVP_DigestSign(context, (unsigned char *)out->data, &len, (const unsigned char *)head.ptr, head.len) == 1);
    out->len = len;
    EVP_MD_CTX_free(context);
}

/* R and S, 32 bytes each (RFC 7518, section 3.4). */
static void make_raw(struct car_buf *signature) {
    const unsigned char *der = (const unsigned char *)signature->data;
    ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)signature->len);
    unsigned char raw[2 * P256_LEN];
    require(both && BN_bn2binpad(ECDSA_SIG_get0_r(both), raw, P256_LEN) == P256_LEN);
    require(BN_bn2binpad(ECDSA_SIG_get0_s(both), raw + P256_LEN, P256_LEN) == P256_LEN);
    ECDSA_SIG_free(both);
    signature->len = 0;
    car_buf_put(signature, raw, sizeof raw);
}

static void put_token(struct car_span header, struct car_span payload, EVP_PKEY *key, bool raw, struct car_buf *out) {
    struct car_buf signature = CAR_BUF_INIT;
    sign(put_head(header, payload, out), key, &signature);
    if (raw && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        make_raw(&signature);
    }
    car_buf_char(out, '.');
    jwt_forge_part(car_buf_view(&signature), out);
    car_buf_free(&signature);
}

void jwt_forge_signed(struct car_span header, struct car_span payload, EVP_PKEY *key, struct car_buf *out) {
    put_token(header, payload, key, true, out);
}

void jwt_forge_der(struct car_span header, struct car_span payload, EVP_PKEY *key, struct car_buf *out) {
    put_token(header, payload, key, false, out);
}
