#include "certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(int good) {
    if (!good) {
        abort();
    }
}

static X509 *make(EVP_PKEY *key, long long expires) {
    X509 *cert = X509_new();
    must(cert && X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -60) && ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)expires));
    X509_NAME *name = X509_get_subject_name(cert);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) &&
         X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()));
    return cert;
}

void certificate_make_until(const char *cert_path, const char *key_path, const char *password, long long expires) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *cert_file = fopen(cert_path, "we");
    FILE *key_file = fopen(key_path, "we");
    must(key && cert_file && key_file);
    X509 *cert = make(key, expires);
    must(PEM_write_X509(cert_file, cert));
    must(PEM_write_PrivateKey(key_file, key, password ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
                              (void *)(unsigned long)password));
    X509_free(cert);
    EVP_PKEY_free(key);
    must(fclose(cert_file) == 0 && fclose(key_file) == 0);
}

void certificate_make(const char *cert_path, const char *key_path, const char *password) {
    certificate_make_until(cert_path, key_path, password, (long long)time(NULL) + 3600);
}
