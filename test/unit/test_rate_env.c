#include "../../src/app/rate_env.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/app/flags.h"
#include "../support/suite.h"

/* Limits as flags and variables have them, and the two names that one of the seeds has for an address's. */

#define NO_ARGS     ((char *[]){TEXT("carillon"), NULL})
#define ARGS(...)   ((char *[]){TEXT("carillon"), __VA_ARGS__, NULL})
#define ENV(...)    ((char *[]){__VA_ARGS__, NULL})
#define TEXT(value) ((char[]){value})

static struct car_config config;
static struct car_buf message;

static int load(char *const *argv, char *const *envp) {
    enum car_flags_action action;
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    car_config_free(&config);
    car_buf_free(&message);
    return car_flags_load(argc, argv, envp, &config, &action, &message);
}

static void is(const struct car_config_rate *rate, uint64_t count, uint64_t window_ms) {
    CU_ASSERT_EQUAL(rate->count, count);
    CU_ASSERT_EQUAL(rate->window_ms, window_ms);
}

static void refuses(char *const *argv, char *const *envp, const char *begins) {
    CU_ASSERT_EQUAL(load(argv, envp), 2);
    CU_ASSERT_TRUE(message.len > strlen(begins) && memcmp(message.data, begins, strlen(begins)) == 0);
    CU_ASSERT_PTR_NULL(memchr(message.data, '\n', message.len));
}

static void test_flags(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, NULL), 0);
    is(&config.rate_limit_tenant, 0, 0);
    is(&config.rate_limit_ip, 0, 0);
    is(&config.rate_limit_user, 0, 0);
    CU_ASSERT_EQUAL_FATAL(load(ARGS(TEXT("--rate-limit-tenant=10/5s"), TEXT("--rate-limit-ip=1/1ms"),
                                    TEXT("--rate-limit-user=1000000000/24h")),
                               NULL),
                          0);
    is(&config.rate_limit_tenant, 10, 5000);
    is(&config.rate_limit_ip, 1, 1);
    is(&config.rate_limit_user, 1000000000, 86400000);
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT("CARILLON_RATE_LIMIT_USER=3/1m"))), 0);
    is(&config.rate_limit_user, 3, 60000);
    refuses(ARGS(TEXT("--rate-limit-ip=10")), NULL, "--rate-limit-ip: '10' is not a limit; allowed: N/WINDOW");
    refuses(ARGS(TEXT("--rate-limit-user=0/5s")), NULL, "--rate-limit-user: '0/5s' is out of range");
    refuses(ARGS(TEXT("--rate-limit-tenant=1/25h")), NULL, "--rate-limit-tenant: '1/25h' is out of range");
    refuses(NO_ARGS, ENV(TEXT("CARILLON_RATE_LIMIT_TENANT=x")), "CARILLON_RATE_LIMIT_TENANT: 'x' is not a limit");
}

#define REQUESTS "RATE_LIMIT_MAX_REQUESTS="
#define WINDOW   "RATE_LIMIT_WINDOW_MS="

static void test_seeds_names(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT("A=1"), TEXT(REQUESTS "7"), TEXT(WINDOW "1500"), TEXT("PORT=99"))), 0);
    is(&config.rate_limit_ip, 7, 1500);
    CU_ASSERT_EQUAL(config.port, 99); /* the rest of the environment is still there */
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT(REQUESTS "7"))), 0);
    is(&config.rate_limit_ip, 7, 900000);
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT(WINDOW "1500"))), 0);
    is(&config.rate_limit_ip, 100, 1500);
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT(WINDOW), TEXT(REQUESTS))), 0);
    is(&config.rate_limit_ip, 0, 0);
    is(&config.rate_limit_tenant, 0, 0);
    is(&config.rate_limit_user, 0, 0);
    refuses(NO_ARGS, ENV(TEXT(REQUESTS "x")), CAR_RATE_ENV_NAME ": 'x/900000ms' is not a limit");
    refuses(NO_ARGS, ENV(TEXT(WINDOW "1h")), CAR_RATE_ENV_NAME ": '100/1hms' is not a limit");
    refuses(NO_ARGS, ENV(TEXT(WINDOW "0")), CAR_RATE_ENV_NAME ": '100/0ms' is out of range");
}

static void test_what_beats_them(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV(TEXT(REQUESTS "7"), TEXT("CARILLON_RATE_LIMIT_IP=3/5s"))), 0);
    is(&config.rate_limit_ip, 3, 5000);
    CU_ASSERT_EQUAL_FATAL(load(ARGS(TEXT("--rate-limit-ip=4/5s")), ENV(TEXT(REQUESTS "nonsense"))), 0);
    is(&config.rate_limit_ip, 4, 5000);
}

static void test_environments(void) {
    struct car_rate_env env;
    char *const with_none[] = {TEXT("RATE_LIMIT_MAX_REQUESTS_X=1"), TEXT("XRATE_LIMIT_WINDOW_MS=1"), NULL};
    CU_ASSERT_EQUAL(car_rate_env_open(&env, NULL), 0);
    CU_ASSERT_PTR_NULL(env.envp);
    car_rate_env_close(&env);
    CU_ASSERT_EQUAL(car_rate_env_open(&env, with_none), 0);
    CU_ASSERT_PTR_EQUAL(env.envp, with_none);
    car_rate_env_close(&env);
}

static const struct car_test TESTS[] = {
    {"flags", test_flags},
    {"the seed's names", test_seeds_names},
    {"what beats them", test_what_beats_them},
    {"environments", test_environments},
};

int main(void) {
    int code = car_suite_main("rate_env", TESTS, sizeof TESTS / sizeof *TESTS);
    car_config_free(&config);
    car_buf_free(&message);
    return code;
}
