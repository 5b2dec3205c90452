#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/net/net.h"
#include "carillon/net/tls.h"
#include "carillon/runtime/reclaim.h"
#include "net/tls_context.h"

#include "certificates.h"
#include "suite.h"

static char folder[] = "/tmp/carillon-tls-XXXXXX";

static struct {
    char cert[64], key[64], other_cert[64], other_key[64], locked_cert[64], locked_key[64], scratch[64],
        scratch_key[64], none[64];
} paths;

static void put(char *path, const char *name) {
    snprintf(path, sizeof paths.cert, "%s/%s", folder, name);
}

static void write_scratch(const char *text, size_t len) {
    FILE *file = fopen(paths.scratch, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, len, file), len);
    fclose(file);
}

static size_t read_into(const char *path, char *out, size_t size) {
    FILE *file = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    fclose(file);
    return len;
}

/* What is said of these files; "" where they are good. */
static const char *said(const char *cert, const char *key, const char *client_ca) {
    static char text[512];
    struct car_tls_files files = {.cert = cert, .key = key, .client_ca = client_ca};
    struct car_tls_context *context = NULL;
    struct car_buf error = CAR_BUF_INIT;
    int err = car_tls_context_load(&files, NULL, &context, &error);
    CU_ASSERT_EQUAL(err == 0, context != NULL);
    CU_ASSERT_EQUAL(err == 0, error.len == 0);
    snprintf(text, sizeof text, "%.*s", (int)error.len, error.len ? error.data : "");
    CU_ASSERT_PTR_NULL(strchr(text, '\n'));
    car_tls_context_free(&context);
    car_buf_free(&error);
    return text;
}

#define SAYS(text, flag, path, why)                                                                                    \
    do {                                                                                                               \
        char expected[256];                                                                                            \
        snprintf(expected, sizeof expected, "--%s: %s: %s", flag, path, why);                                          \
        CU_ASSERT_STRING_EQUAL(text, expected);                                                                        \
    } while (0)

static void test_good(void) {
    CU_ASSERT_STRING_EQUAL(said(paths.cert, paths.key, NULL), "");
    CU_ASSERT_STRING_EQUAL(said(paths.cert, paths.key, paths.other_cert), "");
}

static void test_unreadable(void) {
    static const char MISSING[] = "No such file or directory";
    SAYS(said(paths.none, paths.key, NULL), "tls-cert", paths.none, MISSING);
    SAYS(said(paths.cert, paths.none, NULL), "tls-key", paths.none, MISSING);
    SAYS(said(paths.cert, paths.key, paths.none), "tls-client-ca", paths.none, MISSING);
    SAYS(said(folder, paths.key, NULL), "tls-cert", folder, "Is a directory");
    write_scratch("", 0);
    CU_ASSERT_EQUAL_FATAL(truncate(paths.scratch, 2 << 20), 0);
    SAYS(said(paths.scratch, paths.key, NULL), "tls-cert", paths.scratch, "the file has more than 1 MiB");
}

static void test_not_pem(void) {
    static const char *const TEXTS[] = {"", "nothing of use\n", "-----BEGIN"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        write_scratch(TEXTS[i], strlen(TEXTS[i]));
        SAYS(said(paths.scratch, paths.key, NULL), "tls-cert", paths.scratch, "there is no certificate in PEM form");
        SAYS(said(paths.cert, paths.scratch, NULL), "tls-key", paths.scratch, "there is no private key in PEM form");
        SAYS(said(paths.cert, paths.key, paths.scratch), "tls-client-ca", paths.scratch,
             "there is no certificate in PEM form");
    }
    SAYS(said(paths.key, paths.key, NULL), "tls-cert", paths.key, "there is no certificate in PEM form");
    SAYS(said(paths.cert, paths.cert, NULL), "tls-key", paths.cert, "there is no private key in PEM form");
}

/* Cut off at every place: an error that names the file, or, behind the last line, none. */
static void test_cut_off(void) {
    char text[4096];
    size_t len = read_into(paths.cert, text, sizeof text);
    size_t key_len = strlen("-----END CERTIFICATE-----\n");
    for (size_t n = 0; n + key_len < len; n++) {
        write_scratch(text, n);
        CU_ASSERT_EQUAL(strncmp(said(paths.scratch, paths.key, NULL), "--tls-cert: /tmp/", 17), 0);
    }
    len = read_into(paths.key, text, sizeof text);
    for (size_t n = 0; n + strlen("-----END PRIVATE KEY-----\n") < len; n++) {
        write_scratch(text, n);
        const char *why = said(paths.cert, paths.scratch, NULL);
        CU_ASSERT_EQUAL(strncmp(why, "--tls-key: /tmp/", 16), 0);
        CU_ASSERT_PTR_NULL(strstr(why, "BEGIN"));
    }
}

static void test_malformed_in_a_chain(void) {
    char text[8192];
    size_t len = read_into(paths.cert, text, sizeof text);
    static const char BAD[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    memcpy(text + len, BAD, sizeof BAD);
    write_scratch(text, len + sizeof BAD - 1);
    CU_ASSERT_EQUAL(strncmp(said(paths.scratch, paths.key, NULL), "--tls-cert: ", 12), 0);
    CU_ASSERT_EQUAL(strncmp(said(paths.cert, paths.key, paths.scratch), "--tls-client-ca: ", 17), 0);
}

static void test_key_of_another(void) {
    SAYS(said(paths.cert, paths.other_key, NULL), "tls-key", paths.other_key,
         "the key is not that of the certificate of --tls-cert");
}

static void test_encrypted_key(void) {
    SAYS(said(paths.locked_cert, paths.locked_key, NULL), "tls-key", paths.locked_key,
         "the key is encrypted, and nobody is there to be asked for its password");
}

/* Tickets outlive a reload; the former context does as long as a connection has it. */
static void test_replaced(void) {
    struct car_tls_files files = {.cert = paths.cert, .key = paths.key};
    struct car_tls_files others = {.cert = paths.other_cert, .key = paths.other_key};
    struct car_buf error = CAR_BUF_INIT;
    struct car_net net = {0};
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_tls_context *first = NULL, *second = NULL;
    CU_ASSERT_EQUAL_FATAL(car_tls_context_load(&files, NULL, &first, &error), 0);
    car_tls_use(&net, reader, first);
    SSL *ssl = SSL_new(atomic_load(&net.tls)->ssl);
    CU_ASSERT_EQUAL_FATAL(car_tls_context_load(&others, first, &second, &error), 0);
    CU_ASSERT_EQUAL(memcmp(first->ticket_keys, second->ticket_keys, sizeof first->ticket_keys), 0);
    car_tls_use(&net, reader, second);
    CU_ASSERT_PTR_EQUAL(atomic_load(&net.tls), second);
    for (int i = 0; i < 4 && car_reader_poll(reader); i++) {
    }
    CU_ASSERT_PTR_NOT_NULL(SSL_get_certificate(ssl));
    SSL_free(ssl);
    car_tls_context_free(&second);
    car_reader_close(&reader);
    car_reclaim_free(&reclaim);
}

/* 2050 is where another form of writing it begins (RFC 5280, section 4.1.2.5); 253402300799 is the last there is. */
static void test_expires(void) {
    static const int64_t ENDS[] = {1, 1700000000, 2524607999, 2524608000, 253402300799, -1, -1000000000};
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
        struct car_tls_files files = {.cert = paths.scratch, .key = paths.scratch_key};
        struct car_buf error = CAR_BUF_INIT;
        struct car_net net = {0};
        struct car_tls_context *context = NULL;
        certificate_make_until(paths.scratch, paths.scratch_key, NULL, ENDS[i]);
        CU_ASSERT_EQUAL_FATAL(car_tls_context_load(&files, NULL, &context, &error), 0);
        car_tls_use(&net, NULL, context); /* without a former one there is nothing to retire */
        CU_ASSERT_EQUAL(atomic_load(&net.tls_expires), ENDS[i] > 0 ? ENDS[i] : 0);
        car_tls_context_free(&context);
    }
}

static const struct car_test TESTS[] = {
    {"good", test_good},
    {"unreadable", test_unreadable},
    {"not PEM", test_not_pem},
    {"cut off", test_cut_off},
    {"malformed in a chain", test_malformed_in_a_chain},
    {"key of another", test_key_of_another},
    {"encrypted key", test_encrypted_key},
    {"replaced", test_replaced},
    {"expires", test_expires},
};

int main(void) {
    if (!mkdtemp(folder)) {
        return 1;
    }
    put(paths.cert, "cert.pem");
    put(paths.key, "key.pem");
    put(paths.other_cert, "other-cert.pem");
    put(paths.other_key, "other-key.pem");
    put(paths.locked_cert, "locked-cert.pem");
    put(paths.locked_key, "locked-key.pem");
    put(paths.scratch, "scratch.pem");
    put(paths.scratch_key, "scratch-key.pem");
    put(paths.none, "none.pem");
    certificate_make(paths.cert, paths.key, NULL);
    certificate_make(paths.other_cert, paths.other_key, NULL);
    certificate_make(paths.locked_cert, paths.locked_key, "password");
    int code = car_suite_main("tls_context", TESTS, sizeof TESTS / sizeof *TESTS);
    const char *const made[] = {paths.cert,        paths.key,        paths.other_cert, paths.other_key,
                                paths.locked_cert, paths.locked_key, paths.scratch,    paths.scratch_key};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        (void)unlink(made[i]);
    }
    (void)rmdir(folder);
    return code;
}
