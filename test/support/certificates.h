#ifndef CARILLON_TEST_SUPPORT_CERTIFICATES_H
#define CARILLON_TEST_SUPPORT_CERTIFICATES_H

/* Writes a new key on P-256 and a certificate that it has signed itself, as PEM files; the key encrypted where there is
 * a password. Aborts where that fails. */
void certificate_make(const char *cert_path, const char *key_path, const char *password);

/* The same with its end, in seconds since 1970; the other's is in an hour. */
void certificate_make_until(const char *cert_path, const char *key_path, const char *password, long long expires);

#endif
