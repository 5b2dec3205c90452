#include "net/tls_context.h"

#include <malloc.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"

#include "certificates.h"
#include "race.h"
#include "suite.h"

#define READERS 3u
#define ROUNDS  600u

/* Two certificates take turns under the connections that begin. */
struct scene {
    struct car_reclaim *domain;
    struct car_net net;
    char cert[2][64], key[2][64];
    atomic_bool over;
    atomic_ulong begun, faults;
};

static void *begin(void *arg) {
    struct scene *s = arg;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed((unsigned)(uintptr_t)pthread_self());
    while (!atomic_load(&s->over)) {
        SSL *ssl = car_tls_context_ssl(&s->net, reader);
        race_stall(&dice);
        /* The context may have been replaced, and freed, by now: what the connection has of it stays, and is of one. */
        bool good = ssl && X509_check_private_key(SSL_get_certificate(ssl), SSL_get_privatekey(ssl)) == 1;
        atomic_fetch_add(&s->faults, !good);
        atomic_fetch_add(&s->begun, 1);
        SSL_free(ssl);
        car_reader_poll(reader);
    }
    car_reader_close(&reader);
    return NULL;
}

static void replace(struct scene *s, struct car_reader *reader, unsigned round) {
    struct car_tls_files files = {.cert = s->cert[round % 2], .key = s->key[round % 2]};
    struct car_tls_context *context = NULL;
    struct car_buf error = CAR_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(car_tls_context_load(&files, atomic_load(&s->net.tls), &context, &error), 0);
    car_tls_use(&s->net, reader, context);
    (void)car_reader_poll(reader);
}

static void test_replaced_under_connections(void) {
    struct scene s = {.domain = car_reclaim_new()};
    char folder[] = "/tmp/carillon-race-XXXXXX";
    pthread_t threads[READERS];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(s.cert[i], sizeof s.cert[i], "%s/%u.pem", folder, i);
        snprintf(s.key[i], sizeof s.key[i], "%s/%u.key", folder, i);
        certificate_make(s.cert[i], s.key[i], NULL);
    }
    struct car_reader *reader = car_reader_open(s.domain);
    replace(&s, reader, 0);
    for (unsigned i = 0; i < READERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, begin, &s), 0);
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        replace(&s, reader, round);
    }
    while (atomic_load(&s.begun) < ROUNDS) {
        usleep(1000);
    }
    atomic_store(&s.over, true);
    race_join(threads, READERS);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
    struct car_tls_context *last = atomic_exchange(&s.net.tls, NULL);
    car_tls_context_free(&last);
    car_reader_close(&reader);
    car_reclaim_free(&s.domain);
    for (unsigned i = 0; i < 2; i++) {
        (void)unlink(s.cert[i]);
        (void)unlink(s.key[i]);
    }
    (void)rmdir(folder);
}

static const struct car_test TESTS[] = {{"replaced under connections", test_replaced_under_connections}};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5);
    return car_suite_main("tls_context", TESTS, sizeof TESTS / sizeof *TESTS);
}
