#include "flags.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "carillon/base/address.h"
#include "carillon/base/cgroup.h"
#include "carillon/base/err.h"
#include "carillon/base/options.h"
#include "carillon/feed/memory.h"
#include "flags_check.h"
#include "flags_table.h"
#include "rate_env.h"

#ifndef CARILLON_VERSION
#define CARILLON_VERSION "0.1.0"
#endif

#define MAX_MEMORY_LEAST (16u << 20) /* bytes, where it is not off */

static const char HELP_HEAD[] =
    "Usage: carillon [serve] [flags]\n"
    "       carillon backup FILE [flags]\n"
    "       carillon hash-token\n"
    "       carillon health [--live] [--url URL | flags]\n"
    "\n"
    "A real-time event feed server for many tenants: REST in; WebSocket, Server-Sent\n"
    "Events and Socket.IO out.\n"
    "\n"
    "backup copies the database that --store names to a new file, also while a server uses it.\n"
    "hash-token reads a token from standard input and prints what stands for it in a users' file.\n"
    "health asks a running server whether it is ready, or with --live whether it is alive: the one at\n"
    "URL, or the one that the same flags, environment and file would start. Exits 0 or 1; one that has as\n"
    "many connections as it may is well.\n"
    "\n"
    "Write --flag value or --flag=value; --flag, --flag=false or --no-flag where no value is shown.\n"
    "A flag beats its environment variables, in the order shown, which beat the --config file.\n";

const char *car_flags_version(void) {
    return CARILLON_VERSION;
}

bool car_flags_is_loopback(const char *host) {
    static const uint8_t MAPPED[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127}; /* ::ffff:127.0.0.0/104 */
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1) {
        return address[0] == 127;
    }
    if (inet_pton(AF_INET6, host, address) == 1) {
        static const uint8_t ONE[16] = {[15] = 1};
        return memcmp(address, ONE, sizeof ONE) == 0 || memcmp(address, MAPPED, sizeof MAPPED) == 0;
    }
    return strcasecmp(host, "localhost") == 0;
}

/* Processors that this process may use. */
static uint32_t count_processors(void) {
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > CAR_FLAGS_THREADS_MAX ? CAR_FLAGS_THREADS_MAX : (uint32_t)count;
}

/* The ranges as they are compared. 0, or 1 where memory ran out. */
static int read_proxies(struct car_config *config, struct car_buf *error) {
    size_t count = config->trusted_proxies.count;
    if (count == 0) {
        return 0;
    }
    config->trusted = calloc(count, sizeof *config->trusted);
    if (!config->trusted) {
        car_buf_printf(error, "--trusted-proxy: %s", car_strerror(CAR_ENOMEM));
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        (void)car_cidr_parse(car_span_cstr(config->trusted_proxies.items[i]), &config->trusted[i]); /* checked before */
    }
    return 0;
}

/* One of the flags that are about tokens, that is given; NULL where none is. */
static const char *jwt_flag(const struct car_config *config) {
    return config->jwt_public_key    ? "jwt-public-key"
           : config->jwt_secret_file ? "jwt-secret-file"
           : config->jwt_audience    ? "jwt-audience"
           : config->jwt_issuer      ? "jwt-issuer"
                                     : NULL;
}

/* Budgets that nothing could be done with; 0 is none. 0 or 2. */
static int check_budgets(const struct car_config *config, struct car_buf *error) {
    if (config->tenant_memory && config->tenant_memory < CAR_MEMORY_LEAST) {
        car_buf_printf(error, "--tenant-memory: %zu bytes are too few: 0 for no limit, or 256KiB and more",
                       config->tenant_memory);
        return 2;
    }
    if (config->max_memory && config->max_memory < MAX_MEMORY_LEAST) {
        car_buf_printf(error, "--max-memory: %zu bytes are too few: 0 for no limit, or 16MiB and more",
                       config->max_memory);
        return 2;
    }
    return 0;
}

/* The rules that tie one flag to another, and the defaults that hang on the machine. 0, 1 or 2. */
static int settle(struct car_config *config, struct car_buf *error) {
    if ((config->auth == CAR_AUTH_TOKEN) != (config->users != NULL)) {
        car_buf_printf(error, config->users ? "--users: is for --auth token only"
                                            : "--auth token: --users has to name a file");
        return 2;
    }
    if (config->proxy_protocol && config->trusted_proxies.count == 0) {
        car_buf_printf(error, "--proxy-protocol: --trusted-proxy has to name the proxies that speak it");
        return 2;
    }
    if ((config->tls_cert != NULL) != (config->tls_key != NULL)) {
        car_buf_printf(error, config->tls_cert ? "--tls-cert: --tls-key has to name the file of its key"
                                               : "--tls-key: --tls-cert has to name the file of its certificate");
        return 2;
    }
    if (config->tls_client_ca && !config->tls_cert) {
        car_buf_printf(error, "--tls-client-ca: is for --tls-cert only");
        return 2;
    }
    if (config->jwt_algorithm != CAR_JWT_OF_KEY && !config->jwt_public_key) {
        car_buf_printf(error, "--jwt-algorithm: is for --jwt-public-key only");
        return 2;
    }
    if (config->auth == CAR_AUTH_UNSET) {
        config->auth = car_flags_is_loopback(config->host) ? CAR_AUTH_OPEN : CAR_AUTH_KEY;
    }
    if (config->auth != CAR_AUTH_KEY && jwt_flag(config)) {
        car_buf_printf(error, "--%s: is for --auth key only", jwt_flag(config));
        return 2;
    }
    if (config->tenants.count > config->max_tenants) {
        car_buf_printf(error, "--tenants: %zu tenants are more than --max-tenants, %u", config->tenants.count,
                       (unsigned)config->max_tenants);
        return 2;
    }
    if (check_budgets(config, error) != 0) {
        return 2;
    }
    if (config->audit_format == CAR_AUDIT_AS_LOG) {
        config->audit_format = config->log_format == CAR_LOG_JSON ? CAR_AUDIT_JSON : CAR_AUDIT_TEXT;
    }
    if (config->threads == 0) {
        config->threads = count_processors();
    }
    if (config->max_memory == CAR_FLAGS_MEMORY_UNSET) {
        config->max_memory = car_cgroup_memory_max() / 8 * 7; /* what the kernel keeps for sockets counts there */
    }
    if (config->retention) {
        car_flags_read_retention(config->retention, &config->retention_ms, &config->retention_count);
    }
    car_flags_read_rate(&config->rate_limit_tenant);
    car_flags_read_rate(&config->rate_limit_ip);
    car_flags_read_rate(&config->rate_limit_user);
    car_flags_read_rate(&config->handshake_rate);
    return read_proxies(config, error);
}

int car_flags_load(int argc, char *const *argv, char *const *envp, struct car_config *out,
                   enum car_flags_action *action, struct car_buf *error) {
    struct car_flags flags = {0};
    *out = (struct car_config){0};
    *action = CAR_FLAGS_RUN;
    struct car_rate_env env;
    int code = 1;
    if (car_rate_env_open(&env, envp) == 0) {
        code = car_options_parse(&CAR_FLAGS, argc, argv, env.envp, &flags, error);
    } else {
        car_buf_printf(error, "%s", car_strerror(CAR_ENOMEM));
    }
    car_rate_env_close(&env);
    if (code == 0 && flags.show == 0) {
        code = settle(&flags.config, error);
    }
    if (code != 0) {
        car_config_free(&flags.config);
        return code;
    }
    if (flags.show != 0) {
        *action = (enum car_flags_action)flags.show;
        return 0;
    }
    *action = flags.check ? CAR_FLAGS_CHECK : CAR_FLAGS_RUN;
    *out = flags.config;
    return 0;
}

static void put_help(struct car_buf *text) {
    CAR_BUF_LIT(text, HELP_HEAD);
    car_options_help(&CAR_FLAGS, text);
}

/* Writes the text; 0, or 1 where it could not be written whole. */
static int print(FILE *stream, const struct car_buf *text) {
    bool good = !text->failed && fwrite(text->data, 1, text->len, stream) == text->len;
    return fflush(stream) == 0 && good ? 0 : 1;
}

struct car_flags_result car_flags_parse(int argc, char *const *argv, car_flags_check_fn *check,
                                        struct car_config *out) {
    struct car_flags_result result = {0};
    struct car_buf text = CAR_BUF_INIT;
    struct car_buf error = CAR_BUF_INIT;
    enum car_flags_action action;
    result.exit_code = car_flags_load(argc, argv, environ, out, &action, &error);
    if (result.exit_code == 0 && action == CAR_FLAGS_CHECK && check) {
        int err = check(out, &error);
        if (err && error.len == 0) {
            car_buf_span(&error, car_span_cstr(car_strerror(err)));
        }
        result.exit_code = err ? 1 : 0;
    }
    if (result.exit_code != 0) {
        /* Where there was no memory for the message either, the line still says that something is wrong. */
        car_buf_printf(&text, "carillon: %.*s\n", (int)error.len, error.len ? error.data : "");
        (void)print(stderr, &text);
        car_config_free(out);
    } else if (action == CAR_FLAGS_RUN) {
        result.run = true;
    } else {
        if (action == CAR_FLAGS_HELP) {
            put_help(&text);
        } else if (action == CAR_FLAGS_VERSION) {
            car_buf_printf(&text, "carillon %s\n", car_flags_version());
        } else {
            CAR_BUF_LIT(&text, "configuration is valid\n");
        }
        car_config_free(out);
        result.exit_code = print(stdout, &text);
    }
    car_buf_free(&error);
    car_buf_free(&text);
    return result;
}
