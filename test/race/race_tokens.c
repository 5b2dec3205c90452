#include "carillon/guard/tokens.h"

#include <malloc.h>
#include <stdatomic.h>

#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/grant.h"
#include "carillon/guard/jwt.h"
#include "carillon/runtime/reclaim.h"

#include "jwt_forge.h"
#include "jwt_keys.h"
#include "race.h"
#include "suite.h"

#define READERS 3u
#define KEYS    2u
#define TEST_MS 6000u

/* Tokens are read and made while their keys are replaced. The secret stays; two public keys take turns. */
struct scene {
    struct car_reclaim *domain;
    struct car_registry *registry;
    struct car_tokens *tokens;
    struct car_buf pem[KEYS], token[KEYS]; /* of the public keys, and a token of each */
    struct car_buf steady;                 /* a token by the secret */
    char secret[64], key[64];              /* files */
    struct car_config config;
    atomic_uint loads; /* twice the number of those that have ended, and one more while one goes on */
    atomic_bool over;
    atomic_ulong faults, good, refused;
};

static void expect(struct scene *s, bool good) {
    if (!good) {
        atomic_fetch_add(&s->faults, 1);
    }
}

static void write_file(const char *path, struct car_span text) {
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static int find(struct scene *s, struct car_reader *reader, const struct car_buf *token, struct car_grant **out) {
    const char *why = NULL;
    int status = car_tokens_find(s->tokens, reader, car_buf_view(token), out, &why);
    expect(s, status == 0 ? *out != NULL : status == 401 && !*out && why);
    return status;
}

/* The secret never goes, and neither do those whom it lets in. */
static void look_for_steady(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    struct car_grant *grant = NULL;
    struct car_buf made = CAR_BUF_INIT;
    struct car_jwt_order order = {.tenant = CAR_SPAN("t"), .scopes = CAR_SCOPE_SUBSCRIBE, .ttl_s = 600};
    int64_t expires_ms = 0;
    expect(s, find(s, reader, &s->steady, &grant) == 0);
    race_stall(dice);
    expect(s, !car_grant_ended(grant) && car_span_eq(car_grant_subject(grant), CAR_SPAN("ann")));
    car_grant_unref(&grant);
    expect(s, car_tokens_issue(s->tokens, reader, &order, car_clock_wall_ms(), &made, &expires_ms) == 0);
    expect(s, find(s, reader, &made, &grant) == 0 && grant->expires_ms == expires_ms);
    car_grant_unref(&grant);
    car_buf_free(&made);
}

/* Where no file is read meanwhile, the one key's token is good and the other's is not; and a grant whose key has gone
 * has ended. */
static void look_for_turns(struct scene *s, struct car_reader *reader, uint64_t *dice) {
    unsigned i = race_random(dice) % KEYS;
    struct car_grant *grant = NULL;
    unsigned before = atomic_load(&s->loads);
    bool good = find(s, reader, &s->token[i], &grant) == 0;
    bool ended = car_grant_ended(grant);
    unsigned after = atomic_load(&s->loads);
    if (before % 2 == 0 && after == before) {
        expect(s, good == (before / 2 % KEYS == i) && !ended);
        atomic_fetch_add_explicit(good ? &s->good : &s->refused, 1, memory_order_relaxed);
    }
    race_stall(dice);
    if (good && atomic_load(&s->loads) / 2 > after / 2 + 1) {
        expect(s, car_grant_ended(grant));
    }
    car_grant_unref(&grant);
}

static void *look(void *arg) {
    struct scene *s = arg;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed((unsigned)pthread_self());
    while (!atomic_load(&s->over)) {
        look_for_steady(s, reader, &dice);
        look_for_turns(s, reader, &dice);
        car_reader_poll(reader);
    }
    car_reader_close(&reader);
    return NULL;
}

/* After the load n, counted from 0, the key n % KEYS is there, and `loads` is 2 n. */
static void load(struct scene *s, struct car_reader *reader, unsigned round) {
    struct car_buf error = CAR_BUF_INIT;
    size_t ended = 0;
    write_file(s->key, car_buf_view(&s->pem[round % KEYS]));
    atomic_fetch_add(&s->loads, round > 0);
    expect(s, car_tokens_load(s->tokens, reader, &s->config, &ended, &error) == 0 && ended == (round > 0));
    atomic_fetch_add(&s->loads, round > 0);
    car_reader_poll(reader);
    car_buf_free(&error);
}

static void set_up(struct scene *s, struct car_reader **reader) {
    char payload[128];
    struct car_tenant *tenant;
    s->domain = car_reclaim_new();
    s->registry = car_registry_new(10);
    s->tokens = car_tokens_new(s->registry);
    *reader = car_reader_open(s->domain);
    CU_ASSERT_EQUAL_FATAL(car_registry_add(s->registry, *reader, CAR_SPAN("t"), &tenant), 0);
    snprintf(payload, sizeof payload, "{\"tenant\":\"t\",\"sub\":\"ann\",\"exp\":%lld}",
             (long long)(car_clock_wall_ms() / 1000 + 600));
    EVP_PKEY *keys[KEYS] = {jwt_forge_ec("P-256"), jwt_forge_rsa(2048)};
    const char *headers[KEYS] = {JWT_ES256, JWT_RS256};
    for (unsigned i = 0; i < KEYS; i++) {
        jwt_forge_pem(keys[i], &s->pem[i]);
        jwt_forge_signed(car_span_cstr(headers[i]), car_span_cstr(payload), keys[i], &s->token[i]);
        EVP_PKEY_free(keys[i]);
    }
    jwt_forge_hs256(CAR_SPAN(JWT_HS256), car_span_cstr(payload), CAR_SPAN(JWT_SECRET), &s->steady);
    snprintf(s->secret, sizeof s->secret, "/tmp/carillon-secret-%d", (int)getpid());
    snprintf(s->key, sizeof s->key, "/tmp/carillon-key-%d", (int)getpid());
    write_file(s->secret, CAR_SPAN(JWT_SECRET));
    s->config = (struct car_config){.jwt_secret_file = s->secret, .jwt_public_key = s->key};
    load(s, *reader, 0);
}

static void take_down(struct scene *s, struct car_reader **reader) {
    car_tokens_free(&s->tokens);
    car_registry_free(&s->registry);
    car_reader_close(reader);
    car_reclaim_free(&s->domain);
    for (unsigned i = 0; i < KEYS; i++) {
        car_buf_free(&s->pem[i]);
        car_buf_free(&s->token[i]);
    }
    car_buf_free(&s->steady);
    unlink(s->secret);
    unlink(s->key);
}

static void come_and_go(void) {
    static struct scene s;
    struct car_reader *reader;
    pthread_t threads[READERS];
    set_up(&s, &reader);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, look, &s);
    }
    unsigned rounds = race_rounds(20000);
    uint64_t started = race_now_ms();
    for (unsigned round = 1; round < rounds && !race_time_up(started, TEST_MS, round); round++) {
        load(&s, reader, round);
        if (round % 8 == 0) {
            usleep(2000); /* so that there are times without a load, which are looked at more strictly */
        }
    }
    atomic_store(&s.over, true);
    race_join(threads, READERS);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
    CU_ASSERT(atomic_load(&s.good) > 0 && atomic_load(&s.refused) > 0);
    take_down(&s, &reader);
}

static const struct car_test TESTS[] = {{"keys are read again while tokens come", come_and_go}};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5);
    return car_suite_main("race_tokens", TESTS, sizeof TESTS / sizeof *TESTS);
}
