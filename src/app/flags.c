#include "flags.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "carillon/base/options.h"
#include "flags_check.h"

#ifndef CARILLON_VERSION
#define CARILLON_VERSION "0.1.0"
#endif

/* Where the table's rows put their values: the configuration, and what is asked for instead of serving. */
struct flags {
    struct car_config config;
    int show; /* CAR_FLAGS_HELP or _VERSION, or 0 */
    bool check;
};

enum { THREADS_MAX = 1024 };

#define MS(n)      UINT64_C(n)
#define SECONDS(n) (UINT64_C(n) * 1000)
#define HOURS(n)   (UINT64_C(n) * 3600 * 1000)
#define GIB(n)     (UINT64_C(n) << 30)

#define PLACE(member)   .offset = offsetof(struct flags, member), .size = sizeof(((struct flags *)0)->member)
#define FIELD(member)   PLACE(config.member)
#define RANGE(low, top) .min = (low), .max = (top)
#define ALIASES(...)                                                                                                   \
    .alias = (const struct car_option_alias[]) {                                                                       \
        __VA_ARGS__, {                                                                                                 \
            0                                                                                                          \
        }                                                                                                              \
    }
#define WORDS(...)                                                                                                     \
    .words = (const struct car_option_word[]) {                                                                        \
        __VA_ARGS__, {                                                                                                 \
            0                                                                                                          \
        }                                                                                                              \
    }

/* clang-format off */
static const struct car_option ROWS[] = {
    {.group = "Listening", .name = "host", .arg = "ADDRESS", .kind = CAR_OPTION_STRING, FIELD(host),
     .def = "127.0.0.1", .check = car_flags_check_host, .allowed = "an IPv4 or IPv6 address or a host name",
     .help = "the address to listen on"},
    {.group = "Listening", .name = "port", .arg = "N", .kind = CAR_OPTION_INT, FIELD(port),
     .def = "8080", RANGE(0, 65535), ALIASES({"PORT", false}),
     .help = "the port to listen on; 0 picks a free one and prints it"},
    {.group = "Listening", .name = "threads", .arg = "N", .kind = CAR_OPTION_INT, FIELD(threads),
     .def_note = "one for each processor", RANGE(1, THREADS_MAX),
     .help = "worker threads"},
    {.group = "Listening", .name = "max-connections", .arg = "N", .kind = CAR_OPTION_INT, FIELD(max_connections),
     .def = "100000", RANGE(1, 10000000),
     .help = "open connections at a time; one more is answered 503"},
    {.group = "Listening", .name = "drain-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION,
     FIELD(drain_timeout_ms), .def = "10s", RANGE(0, HOURS(1)),
     .help = "how long a shutdown waits for connections to finish"},

    {.group = "Access", .name = "auth", .arg = "MODE", .kind = CAR_OPTION_CHOICE, FIELD(auth),
     .def_note = "open on a loopback host; has to be named on any other",
     WORDS({"open", CAR_AUTH_OPEN, false}, {"token", CAR_AUTH_TOKEN, true}, {"key", CAR_AUTH_KEY, true}),
     .help = "open: the tenant's name is enough, for trusted networks only. token and key are not available in this "
             "version"},
    {.group = "Access", .name = "tenants", .arg = "A,B,...", .kind = CAR_OPTION_LIST, FIELD(tenants),
     .def = "tenant_a,tenant_b", RANGE(0, 1000000), .check = car_flags_check_tenant,
     .allowed = "ids of 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first",
     .help = "the tenants that exist from the start"},
    {.group = "Access", .name = "auto-tenants", .kind = CAR_OPTION_BOOL, FIELD(auto_tenants),
     .help = "create an unknown tenant at its first use"},
    {.group = "Access", .name = "max-tenants", .arg = "N", .kind = CAR_OPTION_INT, FIELD(max_tenants),
     .def = "10000", RANGE(1, 1000000),
     .help = "tenants at a time, however they come to be"},
    {.group = "Access", .name = "cors-origin", .arg = "ORIGIN", .kind = CAR_OPTION_LIST, FIELD(cors_origins),
     RANGE(0, 1000), ALIASES({"CORS_ORIGIN", false}), .check = car_flags_check_origin,
     .allowed = "* or an origin such as https://example.org or http://localhost:3000",
     .help = "an origin whose pages may use the server: scheme://host[:port], or * for all. Repeatable"},

    {.group = "Events", .name = "store", .arg = "URI", .kind = CAR_OPTION_STRING, FIELD(store),
     .def = "sqlite:carillon.db", .check = car_flags_check_store, .allowed = "memory:, sqlite:PATH or postgres://HOST/DATABASE",
     .secret = true,
     .help = "where events are kept: sqlite:PATH is a database, made where there is none; memory: forgets them at exit; "
             "postgres://… is a PostgreSQL database's URI, as libpq reads it"},
    {.group = "Events", .name = "durability", .arg = "MODE", .kind = CAR_OPTION_CHOICE, FIELD(durability),
     .def = "commit",
     WORDS({"commit", CAR_DURABILITY_COMMIT, false}, {"relaxed", CAR_DURABILITY_RELAXED, false}),
     .help = "commit: 201 means that the store has committed the event. relaxed: 201 at once, on disk within 100 ms"},
    {.group = "Events", .name = "buffer-size", .arg = "N", .kind = CAR_OPTION_INT, FIELD(buffer_size),
     .def = "500", RANGE(1, 1000000), ALIASES({"NB_BACKEND_EVENTS_BUFFER_SIZE", false}),
     .help = "events kept in memory for each tenant"},
    {.group = "Events", .name = "retention", .arg = "AGE/COUNT", .kind = CAR_OPTION_STRING, FIELD(retention),
     .def_note = "unlimited", .check = car_flags_check_retention,
     .allowed = "AGE/COUNT, such as 24h/1000, 24h/ or /1000; AGE from 1s, COUNT from 1",
     .help = "what is kept of each tenant: events younger than AGE, and the newest COUNT; either may be left out. AGE "
             "counts in a database only"},
    {.group = "Events", .name = "max-message-chars", .arg = "N", .kind = CAR_OPTION_INT, FIELD(max_message_chars),
     .def = "2048", RANGE(1, 1000000),
     .help = "the longest message, in Unicode characters"},
    {.group = "Events", .name = "max-body-bytes", .arg = "SIZE", .kind = CAR_OPTION_SIZE, FIELD(max_body_bytes),
     .def = "1MiB", RANGE(1, GIB(1)),
     .help = "the longest request body and WebSocket message: 65536, 64K, 1MiB"},

    {.group = "Timing", .name = "request-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION,
     FIELD(request_timeout_ms), .def = "20s", RANGE(MS(10), HOURS(24)),
     .help = "how long a request may take to arrive whole; times are 500ms, 20s, 5m, 24h, or seconds"},
    {.group = "Timing", .name = "idle-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION, FIELD(idle_timeout_ms),
     .def = "75s", RANGE(MS(10), HOURS(24)),
     .help = "how long a connection may stay open between two requests"},
    {.group = "Timing", .name = "ping-interval", .arg = "TIME", .kind = CAR_OPTION_DURATION, FIELD(ping_interval_ms),
     .def = "25s", RANGE(MS(10), HOURS(24)), ALIASES({"NB_BACKEND_SIO_PING_INTERVAL", true}),
     .help = "time between two pings to a WebSocket or Socket.IO client"},
    {.group = "Timing", .name = "ping-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION, FIELD(ping_timeout_ms),
     .def = "20s", RANGE(MS(10), HOURS(24)), ALIASES({"NB_BACKEND_SIO_PING_TIMEOUT", true}),
     .help = "how long such a client may take to answer"},
    {.group = "Timing", .name = "sse-keepalive", .arg = "TIME", .kind = CAR_OPTION_DURATION, FIELD(sse_keepalive_ms),
     .def = "15s", RANGE(MS(10), HOURS(24)),
     .help = "time between two comment lines of a Server-Sent Events stream"},

    {.group = "Socket.IO", .name = "sio-namespace", .arg = "NAME", .kind = CAR_OPTION_STRING, FIELD(sio_namespace),
     .def = "/events", ALIASES({"NB_BACKEND_SIO_NAMESPACE", false}), .check = car_flags_check_namespace,
     .allowed = "a slash and 1 to 63 letters, digits and characters of -._~/",
     .help = "the namespace beside /"},
    {.group = "Socket.IO", .name = "sio-connect-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION,
     FIELD(sio_connect_timeout_ms), .def = "45s", RANGE(MS(10), HOURS(24)),
     .help = "how long a client may take to connect to its first namespace"},

    {.group = "Logging", .name = "log-format", .arg = "FORMAT", .kind = CAR_OPTION_CHOICE, FIELD(log_format),
     .def = "text", WORDS({"text", CAR_LOG_TEXT, false}, {"json", CAR_LOG_JSON, false}),
     .help = "text or json"},
    {.group = "Logging", .name = "log-level", .arg = "LEVEL", .kind = CAR_OPTION_CHOICE, FIELD(log_level),
     .def = "info",
     WORDS({"error", CAR_LOG_ERROR, false}, {"warn", CAR_LOG_WARN, false}, {"info", CAR_LOG_INFO, false},
           {"debug", CAR_LOG_DEBUG, false}),
     .help = "the least important entries to write: error, warn, info or debug"},
    {.group = "Logging", .name = "log-payloads", .kind = CAR_OPTION_BOOL, FIELD(log_payloads),
     .help = "let the content of events into the log"},

    {.group = "Configuration", .name = "config", .arg = "FILE", .kind = CAR_OPTION_CONFIG, FIELD(config_file),
     .help = "a YAML file of settings; its keys are the names of these flags"},
    {.group = "Configuration", .name = "check-config", .kind = CAR_OPTION_BOOL, PLACE(check), .not_in_file = true,
     .help = "only check the configuration: exit 0 where it is valid, else say why not"},
    {.group = "Configuration", .name = "version", .kind = CAR_OPTION_ACTION, PLACE(show), .action = CAR_FLAGS_VERSION,
     .help = "print the version"},
    {.group = "Configuration", .name = "help", .kind = CAR_OPTION_ACTION, PLACE(show), .action = CAR_FLAGS_HELP,
     .help = "print this text"},
};
/* clang-format on */

static const struct car_options FLAGS = {
    .rows = ROWS,
    .count = sizeof ROWS / sizeof *ROWS,
    .env_prefix = "CARILLON_",
    .command = "serve",
    .program = "carillon",
};

static const char HELP_HEAD[] =
    "Usage: carillon [serve] [flags]\n"
    "       carillon backup FILE [flags]\n"
    "\n"
    "A real-time event feed server for many tenants: REST in; WebSocket, Server-Sent\n"
    "Events and Socket.IO out.\n"
    "\n"
    "backup copies the database that --store names to a new file, also while a server uses it.\n"
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
    return count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : (uint32_t)count;
}

/* The rules that tie one flag to another, and the defaults that hang on the machine. 0 or 2. */
static int settle(struct car_config *config, struct car_buf *error) {
    if (config->auth == CAR_AUTH_UNSET && !car_flags_is_loopback(config->host)) {
        car_buf_printf(error,
                       "--host: '%s' is not a loopback address, so --auth has to be named; allowed: --auth open, which "
                       "lets in everybody who can reach it",
                       config->host);
        return 2;
    }
    if (config->tenants.count > config->max_tenants) {
        car_buf_printf(error, "--tenants: %zu tenants are more than --max-tenants, %u", config->tenants.count,
                       (unsigned)config->max_tenants);
        return 2;
    }
    if (config->auth == CAR_AUTH_UNSET) {
        config->auth = CAR_AUTH_OPEN;
    }
    if (config->threads == 0) {
        config->threads = count_processors();
    }
    if (config->retention) {
        car_flags_read_retention(config->retention, &config->retention_ms, &config->retention_count);
    }
    return 0;
}

int car_flags_load(int argc, char *const *argv, char *const *envp, struct car_config *out,
                   enum car_flags_action *action, struct car_buf *error) {
    struct flags flags = {0};
    *out = (struct car_config){0};
    *action = CAR_FLAGS_RUN;
    int code = car_options_parse(&FLAGS, argc, argv, envp, &flags, error);
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
    car_options_help(&FLAGS, text);
}

/* Writes the text; 0, or 1 where it could not be written whole. */
static int print(FILE *stream, const struct car_buf *text) {
    bool good = !text->failed && fwrite(text->data, 1, text->len, stream) == text->len;
    return fflush(stream) == 0 && good ? 0 : 1;
}

/* A store that is none is a start that fails, as one that cannot be opened; all else is how the command is used. */
static int exit_code_of(int code, const struct car_buf *error) {
    static const char ABOUT_STORE[] = "store: the value";
    for (size_t at = 0; code == 2 && at + sizeof ABOUT_STORE - 1 <= error->len; at++) {
        if (strncasecmp(error->data + at, ABOUT_STORE, sizeof ABOUT_STORE - 1) == 0) {
            return 1;
        }
    }
    return code;
}

struct car_flags_result car_flags_parse(int argc, char *const *argv, struct car_config *out) {
    struct car_flags_result result = {0};
    struct car_buf text = CAR_BUF_INIT;
    struct car_buf error = CAR_BUF_INIT;
    enum car_flags_action action;
    result.exit_code = exit_code_of(car_flags_load(argc, argv, environ, out, &action, &error), &error);
    if (result.exit_code != 0) {
        /* Where there was no memory for the message either, the line still says that something is wrong. */
        car_buf_printf(&text, "carillon: %.*s\n", (int)error.len, error.len ? error.data : "");
        (void)print(stderr, &text);
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
