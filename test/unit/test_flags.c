#include "../../src/app/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/address.h"

#include "../support/suite.h"

static struct car_config config;
static struct car_buf error;
static enum car_flags_action action;

#define ARGS(...) ((char *[]){"carillon", __VA_ARGS__, NULL})
#define NO_ARGS   ((char *[]){"carillon", NULL})
#define ENV(...)  ((char *[]){__VA_ARGS__, NULL})

static int count(char *const *argv) {
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    return argc;
}

/* Loads into `config` afresh. */
static int load(char *const *argv, char *const *envp) {
    car_config_free(&config);
    int code = car_flags_load(count(argv), argv, envp, &config, &action, &error);
    car_buf_char(&error, '\0');
    return code;
}

/* Asserts an error of that code, whose text begins so, and an empty configuration. */
static void ends_with(int code, char *const *argv, char *const *envp, const char *begin) {
    CU_ASSERT_EQUAL(load(argv, envp), code);
    CU_ASSERT_NSTRING_EQUAL(error.data, begin, strlen(begin));
    CU_ASSERT_PTR_NULL(config.host);
    CU_ASSERT_EQUAL(config.tenants.count, 0);
}

/* A misuse. */
static void refuses(char *const *argv, char *const *envp, const char *begin) {
    ends_with(2, argv, envp, begin);
}

/* A start that fails. */
static void fails(char *const *argv, char *const *envp, const char *begin) {
    ends_with(1, argv, envp, begin);
}

static void test_defaults(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, NULL), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_RUN);
    CU_ASSERT_STRING_EQUAL(config.host, "127.0.0.1");
    CU_ASSERT_EQUAL(config.port, 8080);
    CU_ASSERT(config.threads >= 1 && config.threads <= 1024);
    CU_ASSERT_EQUAL(config.max_connections, 100000);
    CU_ASSERT_EQUAL(config.drain_timeout_ms, 10000);
    CU_ASSERT_EQUAL(config.auth, CAR_AUTH_OPEN);
    CU_ASSERT_EQUAL_FATAL(config.tenants.count, 2);
    CU_ASSERT_STRING_EQUAL(config.tenants.items[0], "tenant_a");
    CU_ASSERT_STRING_EQUAL(config.tenants.items[1], "tenant_b");
    CU_ASSERT_FALSE(config.auto_tenants);
    CU_ASSERT_EQUAL(config.max_tenants, 10000);
    CU_ASSERT_EQUAL(config.cors_origins.count, 0);
    CU_ASSERT_EQUAL(config.trusted_proxies.count, 0);
    CU_ASSERT_PTR_NULL(config.trusted);
    CU_ASSERT_FALSE(config.proxy_protocol);
    CU_ASSERT_STRING_EQUAL(config.store, "sqlite:carillon.db");
    CU_ASSERT_EQUAL(config.durability, CAR_DURABILITY_COMMIT);
    CU_ASSERT_EQUAL(config.buffer_size, 500);
    CU_ASSERT_EQUAL(config.max_message_chars, 2048);
    CU_ASSERT_EQUAL(config.max_body_bytes, 1048576);
    CU_ASSERT_EQUAL(config.request_timeout_ms, 20000);
    CU_ASSERT_EQUAL(config.idle_timeout_ms, 75000);
    CU_ASSERT_EQUAL(config.ping_interval_ms, 25000);
    CU_ASSERT_EQUAL(config.ping_timeout_ms, 20000);
    CU_ASSERT_EQUAL(config.sse_keepalive_ms, 15000);
    CU_ASSERT_EQUAL(config.log_format, CAR_LOG_TEXT);
    CU_ASSERT_EQUAL(config.log_level, CAR_LOG_INFO);
    CU_ASSERT_FALSE(config.log_payloads);
    CU_ASSERT_STRING_EQUAL(config.audit_log, "stderr");
    CU_ASSERT_EQUAL(config.audit_format, CAR_AUDIT_TEXT);
    CU_ASSERT_PTR_NULL(config.config_file);
}

static void test_every_flag(void) {
    char *const argv[] = {
        "carillon",
        "serve",
        "--host",
        "::1",
        "--port=0",
        "--threads=3",
        "--auth=open",
        "--tenants",
        "x,y.z",
        "--auto-tenants",
        "--max-tenants=7",
        "--store=memory:",
        "--durability=relaxed",
        "--buffer-size=9",
        "--max-message-chars=500",
        "--max-body-bytes=64K",
        "--request-timeout=500ms",
        "--idle-timeout=1m",
        "--ping-interval=0.3",
        "--ping-timeout=200ms",
        "--sse-keepalive=1",
        "--cors-origin=*",
        "--cors-origin=https://a.example",
        "--max-connections=5",
        "--log-format=json",
        "--log-level=debug",
        "--log-payloads",
        "--audit-log=/var/log/audit.log",
        "--audit-format=text",
        "--drain-timeout=0",
        "--trusted-proxy=10.0.0.0/8,::1",
        "--proxy-protocol",
        NULL,
    };
    CU_ASSERT_EQUAL_FATAL(load(argv, NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.host, "::1");
    CU_ASSERT_EQUAL(config.port, 0);
    CU_ASSERT_EQUAL(config.threads, 3);
    CU_ASSERT_EQUAL(config.tenants.count, 2);
    CU_ASSERT_STRING_EQUAL(config.tenants.items[1], "y.z");
    CU_ASSERT_TRUE(config.auto_tenants);
    CU_ASSERT_EQUAL(config.max_tenants, 7);
    CU_ASSERT_EQUAL(config.durability, CAR_DURABILITY_RELAXED);
    CU_ASSERT_EQUAL(config.buffer_size, 9);
    CU_ASSERT_EQUAL(config.max_message_chars, 500);
    CU_ASSERT_EQUAL(config.max_body_bytes, 65536);
    CU_ASSERT_EQUAL(config.request_timeout_ms, 500);
    CU_ASSERT_EQUAL(config.idle_timeout_ms, 60000);
    CU_ASSERT_EQUAL(config.ping_interval_ms, 300);
    CU_ASSERT_EQUAL(config.ping_timeout_ms, 200);
    CU_ASSERT_EQUAL(config.sse_keepalive_ms, 1000);
    CU_ASSERT_EQUAL_FATAL(config.cors_origins.count, 2);
    CU_ASSERT_STRING_EQUAL(config.cors_origins.items[0], "*");
    CU_ASSERT_STRING_EQUAL(config.cors_origins.items[1], "https://a.example");
    CU_ASSERT_EQUAL(config.max_connections, 5);
    CU_ASSERT_EQUAL(config.log_format, CAR_LOG_JSON);
    CU_ASSERT_EQUAL(config.log_level, CAR_LOG_DEBUG);
    CU_ASSERT_TRUE(config.log_payloads);
    CU_ASSERT_STRING_EQUAL(config.audit_log, "/var/log/audit.log");
    CU_ASSERT_EQUAL(config.audit_format, CAR_AUDIT_TEXT);
    CU_ASSERT_EQUAL(config.drain_timeout_ms, 0);
    CU_ASSERT_EQUAL(config.trusted_proxies.count, 2);
    CU_ASSERT_TRUE(config.proxy_protocol);
}

static void test_seeds_variables(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV("PORT=3001", "CORS_ORIGIN=http://localhost:3000,https://x.example",
                                            "NB_BACKEND_EVENTS_BUFFER_SIZE=50", "NB_BACKEND_SIO_PING_INTERVAL=25000",
                                            "NB_BACKEND_SIO_PING_TIMEOUT=5000")),
                          0);
    CU_ASSERT_EQUAL(config.port, 3001);
    CU_ASSERT_EQUAL(config.cors_origins.count, 2);
    CU_ASSERT_EQUAL(config.buffer_size, 50);
    CU_ASSERT_EQUAL(config.ping_interval_ms, 25000);
    CU_ASSERT_EQUAL(config.ping_timeout_ms, 5000);
    CU_ASSERT_EQUAL(load(NO_ARGS, ENV("PORT=1", "CARILLON_PORT=2", "NB_BACKEND_SIO_PING_INTERVAL=1000",
                                      "CARILLON_PING_INTERVAL=9", "CARILLON_TENANTS=a,b,c")),
                    0);
    CU_ASSERT_EQUAL(config.port, 2);
    CU_ASSERT_EQUAL(config.ping_interval_ms, 9000);
    CU_ASSERT_EQUAL(config.tenants.count, 3);
    refuses(NO_ARGS, ENV("NB_BACKEND_SIO_PING_TIMEOUT=soon"),
            "NB_BACKEND_SIO_PING_TIMEOUT: 'soon' is not a duration; allowed: 10ms to 24h");
    CU_ASSERT_EQUAL(load(NO_ARGS, ENV("CARILLON_VERSION=0.1.0", "CARILLON_PORT=tcp://10.1.2.3:80")), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_RUN);
    CU_ASSERT_EQUAL(config.port, 8080);
}

static void test_auth(void) {
    static char *const LOOPBACK[] = {"127.0.0.1", "127.255.3.4",     "::1", "[::1]", "localhost",
                                     "LocalHost", "::ffff:127.0.0.1"};
    for (size_t i = 0; i < sizeof LOOPBACK / sizeof *LOOPBACK; i++) {
        CU_ASSERT_EQUAL(load(ARGS("--host", LOOPBACK[i]), NULL), 0);
        CU_ASSERT_EQUAL(config.auth, CAR_AUTH_OPEN);
    }
    static char *const OTHERS[] = {"0.0.0.0",           "::",    "128.0.0.1",       "10.0.0.1",    "::2", "example.org",
                                   "localhost.example", "127.1", "::ffff:10.0.0.1", "fe80::1%eth0"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        CU_ASSERT_EQUAL(load(ARGS("--host", OTHERS[i]), NULL), 0);
        CU_ASSERT_EQUAL(config.auth, CAR_AUTH_KEY);
        CU_ASSERT_EQUAL(load(ARGS("--host", OTHERS[i], "--auth", "open"), NULL), 0);
        CU_ASSERT_EQUAL(config.auth, CAR_AUTH_OPEN);
        CU_ASSERT_EQUAL(load(ARGS("--host", OTHERS[i]), ENV("CARILLON_AUTH=open")), 0);
    }
    refuses(ARGS("--auth=token"), NULL, "--auth token: --users has to name a file");
    refuses(ARGS("--users=u.yaml"), NULL, "--users: is for --auth token only");
    CU_ASSERT_EQUAL(load(ARGS("--host", "0.0.0.0", "--auth=token", "--users=u.yaml"), NULL), 0);
    CU_ASSERT_EQUAL(config.auth, CAR_AUTH_TOKEN);
    CU_ASSERT_STRING_EQUAL(config.users, "u.yaml");
    CU_ASSERT_EQUAL(load(ARGS("--auth=key", "--admin-key=boss"), NULL), 0);
    CU_ASSERT_EQUAL(config.auth, CAR_AUTH_KEY);
    CU_ASSERT_STRING_EQUAL(config.admin_key, "boss");
    refuses(ARGS("--auth=none"), NULL, "--auth: 'none' is not known; allowed: open, token or key");
}

static void test_hosts(void) {
    CU_ASSERT_EQUAL(load(ARGS("--host=[::1]"), NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.host, "::1");
    static char *const WRONG[] = {"",   "[",        "[]",   "[::1", "[1.2.3.4]", "a b", "a..b",      ".a",     "a.",
                                  "-a", "http://x", "x:80", "a/b",  "::1%",      "::x", "host%eth0", "::1%a b"};
    for (size_t i = 1; i < sizeof WRONG / sizeof *WRONG; i++) {
        if (load(ARGS("--auth=open", "--host", WRONG[i]), NULL) != 2) {
            CU_FAIL(WRONG[i]);
        }
    }
    refuses(ARGS("--host="), NULL, "--host: the value is empty; allowed: an IPv4 or IPv6 address or a host name");
    refuses(ARGS("--host=a b"), NULL, "--host: 'a b' is not an address or a host name; allowed: an IPv4");
}

static void test_tenants(void) {
    char longest[80] = "--tenants=";
    memset(longest + 10, 'a', 65);
    longest[10 + 64] = '\0';
    CU_ASSERT_EQUAL(load(ARGS(longest), NULL), 0);
    longest[10 + 64] = 'a';
    CU_ASSERT_EQUAL(load(ARGS(longest), NULL), 2);
    CU_ASSERT_EQUAL(load(ARGS("--tenants=9", "--tenants=A-._b"), NULL), 0);
    CU_ASSERT_EQUAL(config.tenants.count, 2);
    CU_ASSERT_EQUAL(load(ARGS("--tenants="), NULL), 0);
    CU_ASSERT_EQUAL(config.tenants.count, 0);
    refuses(ARGS("--tenants=ok,_x"), NULL, "--tenants: '_x' is not a tenant id; allowed: ids of 1 to 64");
    refuses(ARGS("--tenants=a/b"), NULL, "--tenants: 'a/b' is not a tenant id");
    refuses(ARGS("--tenants=\xc3\xa9"), NULL, "--tenants: '\xc3\xa9' is not a tenant id");
    refuses(ARGS("--tenants=a,b,c", "--max-tenants=2"), NULL, "--tenants: 3 tenants are more than --max-tenants, 2");
}

static void test_origins(void) {
    static const struct {
        char *given;
        const char *kept;
    } GOOD[] = {
        {"*", "*"},
        {"http://localhost:3000", "http://localhost:3000"},
        {"HTTPS://Example.ORG", "https://example.org"},
        {"https://example.org:443", "https://example.org"},
        {"http://example.org:80", "http://example.org"},
        {"http://example.org:443", "http://example.org:443"},
        {"http://[::1]:8080", "http://[::1]:8080"},
        {"http://[::1]", "http://[::1]"},
        {"chrome-extension://abcdef", "chrome-extension://abcdef"},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        CU_ASSERT_EQUAL(load(ARGS("--cors-origin", GOOD[i].given), NULL), 0);
        CU_ASSERT_EQUAL_FATAL(config.cors_origins.count, 1);
        CU_ASSERT_STRING_EQUAL(config.cors_origins.items[0], GOOD[i].kept);
    }
    static char *const WRONG[] = {"example.org",  "http://",       "http://a/",   "http://a/b",   "http://a?",
                                  "http://a#",    "http://u@a",    "http://a:",   "http://a:0",   "http://a:65536",
                                  "http://a:080", "http://a:x",    "null",        "**",           "http://*.a",
                                  "http://[::1",  "http://[::1]x", "http://[]",   "://a",         "1a://b",
                                  "http:/a",      "http://a b",    "http://a..b", "http://a:1:2", "http://[x]"};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        if (load(ARGS("--cors-origin", WRONG[i]), NULL) != 2) {
            CU_FAIL(WRONG[i]);
        }
    }
    refuses(ARGS("--cors-origin=http://a/"), NULL,
            "--cors-origin: 'http://a/' is not an origin, because it goes on after the host and port; allowed: * or");
}

static void test_stores(void) {
    static char *const GOOD[][2] = {
        {"--store=Memory:", "memory:"},
        {"--store=SQLite:A.db", "sqlite:A.db"},
        {"--store=postgres://u:p@H/D", "postgres://u:p@H/D"},
        {"--store=PostgreSQL:///D", "postgresql:///D"},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        CU_ASSERT_EQUAL(load(ARGS(GOOD[i][0]), NULL), 0);
        CU_ASSERT_STRING_EQUAL(config.store, GOOD[i][1]);
    }
    fails(ARGS("--store=sqlite:"), NULL, "--store: the value names no file; allowed: memory:, sqlite:PATH or");
    fails(ARGS("--store=postgres://u:hush@1@h/db"), NULL, "--store: the value has an @ or a / in its user or password");
    CU_ASSERT_PTR_NULL(strstr(error.data, "hush"));
    fails(ARGS("--store=postgres://u:p@h:hush/db"), NULL, "--store: the value has a port that is no number");
    CU_ASSERT_PTR_NULL(strstr(error.data, "hush"));
    fails(ARGS("--store=mysql://u:hush@h/db"), NULL, "--store: the value is not a store's URI; allowed: memory:, ");
    CU_ASSERT_PTR_NULL(strstr(error.data, "hush"));
    fails(ARGS("--store="), NULL, "--store: the value is empty");
    refuses(ARGS("--store"), NULL, "--store: needs a value");
    refuses(ARGS("--trusted-proxy"), NULL, "--trusted-proxy: needs a value");
    fails(ARGS("--store=disk"), NULL, "--store: the value is not a store's URI; allowed: memory:, sqlite:PATH or");
}

/* Every limit: its two ends pass, and one step beyond is refused. */
static void test_ranges(void) {
    static const struct {
        char *good[2], *bad[2];
    } LIMITS[] = {
        {{"--port=0", "--port=65535"}, {"--port=-1", "--port=65536"}},
        {{"--threads=1", "--threads=1024"}, {"--threads=0", "--threads=1025"}},
        {{"--max-tenants=2", "--max-tenants=1000000"}, {"--max-tenants=0", "--max-tenants=1000001"}},
        {{"--buffer-size=1", "--buffer-size=1000000"}, {"--buffer-size=0", "--buffer-size=1000001"}},
        {{"--max-message-chars=1", "--max-message-chars=1000000"},
         {"--max-message-chars=0", "--max-message-chars=1000001"}},
        {{"--max-body-bytes=1", "--max-body-bytes=1G"}, {"--max-body-bytes=0", "--max-body-bytes=1073741825"}},
        {{"--request-timeout=10ms", "--request-timeout=24h"}, {"--request-timeout=0", "--request-timeout=86401"}},
        {{"--idle-timeout=10ms", "--idle-timeout=24h"}, {"--idle-timeout=9ms", "--idle-timeout=25h"}},
        {{"--ping-interval=10ms", "--ping-interval=24h"}, {"--ping-interval=0", "--ping-interval=25h"}},
        {{"--ping-timeout=10ms", "--ping-timeout=24h"}, {"--ping-timeout=0", "--ping-timeout=25h"}},
        {{"--sse-keepalive=10ms", "--sse-keepalive=24h"}, {"--sse-keepalive=0", "--sse-keepalive=25h"}},
        {{"--max-connections=1", "--max-connections=10000000"}, {"--max-connections=0", "--max-connections=10000001"}},
        {{"--drain-timeout=0", "--drain-timeout=1h"}, {"--drain-timeout=-1", "--drain-timeout=61m"}},
    };
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        for (size_t end = 0; end < 2; end++) {
            if (load(ARGS(LIMITS[i].good[end]), NULL) != 0) {
                CU_FAIL(LIMITS[i].good[end]);
            }
            if (load(ARGS(LIMITS[i].bad[end]), NULL) != 2 || !strstr(error.data, "is out of range; allowed: ")) {
                CU_FAIL(LIMITS[i].bad[end]);
            }
        }
    }
}

static void test_file(void) {
    static const char YAML[] =
        "host: 0.0.0.0\nauth: open\ntenants: [a, b]\ncors-origin:\n  - '*'\nauto-tenants: true\n";
    char path[] = "/tmp/test_flags.XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, YAML, sizeof YAML - 1), (ssize_t)sizeof YAML - 1);
    CU_ASSERT_EQUAL(load(ARGS("--config", path), NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.host, "0.0.0.0");
    CU_ASSERT_EQUAL(config.auth, CAR_AUTH_OPEN);
    CU_ASSERT_STRING_EQUAL(config.tenants.items[0], "a");
    CU_ASSERT_STRING_EQUAL(config.cors_origins.items[0], "*");
    CU_ASSERT_TRUE(config.auto_tenants);
    CU_ASSERT_STRING_EQUAL(config.config_file, path);
    /* A reload: the file changed, argv did not. */
    CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
    CU_ASSERT_EQUAL(pwrite(fd, "check-config: true\n", 19, 0), 19);
    CU_ASSERT_EQUAL(load(ARGS("--config", path), NULL), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.data, ":1: check-config: cannot be set in a file"));
    close(fd);
    unlink(path);
    CU_ASSERT_EQUAL(load(ARGS("--config", path), NULL), 1);
    CU_ASSERT_PTR_NULL(config.host);
}

static void test_actions(void) {
    CU_ASSERT_EQUAL(load(ARGS("--help", "--host=0.0.0.0"), NULL), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_HELP);
    CU_ASSERT_PTR_NULL(config.host);
    CU_ASSERT_EQUAL(load(ARGS("serve", "--version"), NULL), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_VERSION);
    CU_ASSERT_EQUAL(load(ARGS("--check-config"), NULL), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_CHECK);
    CU_ASSERT_EQUAL(load(ARGS("--check-config", "--no-check-config"), NULL), 0);
    CU_ASSERT_EQUAL(action, CAR_FLAGS_RUN);
    refuses(ARGS("--check-config", "--port=x"), NULL, "--port: 'x' is not a whole number; allowed: 0 to 65535");
    refuses(ARGS("--max-conections=1"), NULL, "unknown flag --max-conections; did you mean --max-connections?");
    refuses(ARGS("server"), NULL, "unexpected argument 'server'; see carillon --help");
}

/* What one run of car_flags_parse printed. */
struct printed {
    int exit_code;
    bool ran;
    char out[16384], err[1024];
};

static void read_back(FILE *file, int stream, int saved, char *text, size_t room) {
    dup2(saved, stream);
    close(saved);
    rewind(file);
    text[fread(text, 1, room - 1, file)] = '\0';
    fclose(file);
}

static void run(char *const *argv, struct printed *printed) {
    FILE *files[2] = {tmpfile(), tmpfile()};
    int saved[2];
    CU_ASSERT_FATAL(files[0] && files[1]);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        saved[i] = dup(i + 1);
        dup2(fileno(files[i]), i + 1);
    }
    car_config_free(&config);
    struct car_flags_result result = car_flags_parse(count(argv), argv, NULL, &config);
    fflush(NULL);
    printed->ran = result.run;
    printed->exit_code = result.exit_code;
    read_back(files[0], 1, saved[0], printed->out, sizeof printed->out);
    read_back(files[1], 2, saved[1], printed->err, sizeof printed->err);
}

static void prints(char *const *argv, int exit_code, const char *out, const char *err) {
    static struct printed p;
    run(argv, &p);
    CU_ASSERT_FALSE(p.ran);
    CU_ASSERT_EQUAL(p.exit_code, exit_code);
    CU_ASSERT_STRING_EQUAL(p.out, out);
    CU_ASSERT_STRING_EQUAL(p.err, err);
}

static void test_printing(void) {
    static struct printed p;
    char version[64];
    snprintf(version, sizeof version, "carillon %s\n", car_flags_version());
    prints(ARGS("--version"), 0, version, "");
    prints(ARGS("--check-config"), 0, "configuration is valid\n", "");
    prints(ARGS("--port=x"), 2, "", "carillon: --port: 'x' is not a whole number; allowed: 0 to 65535\n");
    prints(ARGS("--config=/nonexistent"), 1, "",
           "carillon: cannot read the configuration file '/nonexistent': No such file or directory\n");
    run(ARGS("--port=0"), &p);
    CU_ASSERT_TRUE(p.ran);
    CU_ASSERT_EQUAL(config.port, 0);
    CU_ASSERT_STRING_EQUAL(p.out, "");
    CU_ASSERT_STRING_EQUAL(p.err, "");
}

static void test_help(void) {
    static struct printed p;
    run(ARGS("--help"), &p);
    CU_ASSERT_EQUAL(p.exit_code, 0);
    CU_ASSERT_STRING_EQUAL(p.err, "");
    CU_ASSERT_NSTRING_EQUAL(p.out, "Usage: carillon [serve] [flags]\n", 32);
    CU_ASSERT_PTR_NOT_NULL(strstr(p.out, "\n  --port N "));
    CU_ASSERT_PTR_NOT_NULL(strstr(p.out, "[default 8080; env CARILLON_PORT, PORT]"));
    size_t lines = 0;
    struct car_span rest = car_span_cstr(p.out);
    struct car_span line;
    while (car_span_next(&rest, '\n', &line)) {
        lines++;
        CU_ASSERT(line.len <= 100);
        CU_ASSERT(line.len == 0 || line.ptr[line.len - 1] != ' ');
    }
    CU_ASSERT(lines > 60);
}

static void test_retention(void) {
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, NULL), 0);
    CU_ASSERT_PTR_NULL(config.retention);
    CU_ASSERT_EQUAL(config.retention_ms, 0);
    CU_ASSERT_EQUAL(config.retention_count, 0);
    CU_ASSERT_EQUAL_FATAL(load(ARGS("--retention", "24h/1000"), NULL), 0);
    CU_ASSERT_EQUAL(config.retention_ms, 86400000);
    CU_ASSERT_EQUAL(config.retention_count, 1000);
    CU_ASSERT_EQUAL_FATAL(load(ARGS("--retention", "90/"), NULL), 0);
    CU_ASSERT_EQUAL(config.retention_ms, 90000);
    CU_ASSERT_EQUAL(config.retention_count, 0);
    CU_ASSERT_EQUAL_FATAL(load(NO_ARGS, ENV("CARILLON_RETENTION=/1")), 0);
    CU_ASSERT_EQUAL(config.retention_ms, 0);
    CU_ASSERT_EQUAL(config.retention_count, 1);
    refuses(ARGS("--retention", "/"), NULL, "--retention: '/' is no retention; allowed: ");
    refuses(ARGS("--retention", "24h"), NULL, "--retention: '24h' is no retention");
    refuses(ARGS("--retention", "7d/"), NULL, "--retention: '7d/' has no duration before the slash");
    refuses(ARGS("--retention", "1h/x"), NULL, "--retention: '1h/x' has no number behind the slash");
    refuses(ARGS("--retention", "1h/0"), NULL, "--retention: '1h/0' is out of range");
    refuses(ARGS("--retention", "10ms/"), NULL, "--retention: '10ms/' is out of range");
    refuses(ARGS("--retention", "1h/99999999999999999999999"), NULL, "--retention: ");
}

static void test_proxies(void) {
    CU_ASSERT_EQUAL_FATAL(load(ARGS("--trusted-proxy=10.0.0.0/8,fd00::/8", "--trusted-proxy", "192.0.2.1"), NULL), 0);
    CU_ASSERT_EQUAL_FATAL(config.trusted_proxies.count, 3);
    CU_ASSERT_STRING_EQUAL(config.trusted_proxies.items[1], "fd00::/8");
    CU_ASSERT_FALSE(config.proxy_protocol);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config.trusted);
    static const char *const IN[] = {"10.1.2.3", "fd12::1", "192.0.2.1"};
    for (size_t i = 0; i < 3; i++) {
        struct car_address address;
        CU_ASSERT_EQUAL(car_address_parse(car_span_cstr(IN[i]), &address), 0);
        for (size_t j = 0; j < 3; j++) {
            CU_ASSERT_EQUAL(car_cidr_has(&config.trusted[j], &address), i == j);
        }
    }
    CU_ASSERT_EQUAL(load(NO_ARGS, ENV("CARILLON_TRUSTED_PROXY=::1", "CARILLON_PROXY_PROTOCOL=true")), 0);
    CU_ASSERT_TRUE(config.proxy_protocol);
    refuses(ARGS("--proxy-protocol"), NULL, "--proxy-protocol: --trusted-proxy has to name the proxies that speak it");
    fails(ARGS("--trusted-proxy=10.0.0.1/8"), NULL,
          "--trusted-proxy: '10.0.0.1/8' is not an address or a range of them; allowed: an address or a range such as");
    fails(ARGS("--trusted-proxy=proxy.example"), NULL, "--trusted-proxy: 'proxy.example' is not an address");
    fails(ARGS("--trusted-proxy="), ENV("CARILLON_PROXY_PROTOCOL=1"),
          "--trusted-proxy: the value is empty; allowed: an address");
}

static void test_audit(void) {
    CU_ASSERT_EQUAL_FATAL(load(ARGS("--audit-log=off", "--log-format=json"), NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.audit_log, "off");
    CU_ASSERT_EQUAL(config.audit_format, CAR_AUDIT_JSON);
    CU_ASSERT_EQUAL_FATAL(load(ARGS("--audit-format=json"), ENV("CARILLON_AUDIT_LOG=a.log")), 0);
    CU_ASSERT_STRING_EQUAL(config.audit_log, "a.log");
    CU_ASSERT_EQUAL(config.audit_format, CAR_AUDIT_JSON);
    CU_ASSERT_EQUAL(config.log_format, CAR_LOG_TEXT);
    refuses(ARGS("--audit-log="), NULL, "--audit-log: the value is empty");
    refuses(ARGS("--audit-format=xml"), NULL, "--audit-format: 'xml' is not known; allowed: text or json");
}

static const struct car_test TESTS[] = {
    {"defaults", test_defaults}, {"every flag", test_every_flag}, {"seeds' variables", test_seeds_variables},
    {"auth", test_auth},         {"hosts", test_hosts},           {"tenants", test_tenants},
    {"origins", test_origins},   {"stores", test_stores},         {"ranges", test_ranges},
    {"file", test_file},         {"actions", test_actions},       {"printing", test_printing},
    {"help", test_help},         {"retention", test_retention},   {"proxies", test_proxies},
    {"audit", test_audit},
};

int main(void) {
    clearenv(); /* the machine's own PORT would be read */
    int code = car_suite_main("flags", TESTS, sizeof TESTS / sizeof *TESTS);
    car_config_free(&config);
    car_buf_free(&error);
    return code;
}
