#include "flags_table.h"

#include <stddef.h>

#include "flags.h"
#include "flags_check.h"
#include "rate_env.h"

#define MS(n)      UINT64_C(n)
#define SECONDS(n) (UINT64_C(n) * 1000)
#define HOURS(n)   (UINT64_C(n) * 3600 * 1000)
#define GIB(n)     (UINT64_C(n) << 30)

#define MEMORY_UNSET_TEXT "8192TiB" /* CAR_FLAGS_MEMORY_UNSET, as a flag has it */

#define PLACE(member)   .offset = offsetof(struct car_flags, member), .size = sizeof(((struct car_flags *)0)->member)
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

#define RATE "N/WINDOW, such as 10/5s or 100/15m; N to 1000000000, WINDOW from 1ms to 24h"

#define HANDSHAKES "N/WINDOW, such as 2000/1s; N to 1000000, WINDOW from 1ms to 24h"

/* clang-format off */
static const struct car_option ROWS[] = {
    {.group = "Listening", .name = "host", .arg = "ADDRESS", .kind = CAR_OPTION_STRING, FIELD(host),
     .def = "127.0.0.1", .check = car_flags_check_host, .allowed = "an IPv4 or IPv6 address or a host name",
     .help = "the address to listen on"},
    {.group = "Listening", .name = "port", .arg = "N", .kind = CAR_OPTION_INT, FIELD(port),
     .def = "8080", RANGE(0, 65535), ALIASES({"PORT", false}),
     .help = "the port to listen on; 0 picks a free one and prints it"},
    {.group = "Listening", .name = "threads", .arg = "N", .kind = CAR_OPTION_INT, FIELD(threads),
     .def_note = "one for each processor", RANGE(1, CAR_FLAGS_THREADS_MAX),
     .help = "worker threads"},
    {.group = "Listening", .name = "max-connections", .arg = "N", .kind = CAR_OPTION_INT, FIELD(max_connections),
     .def = "100000", RANGE(1, 10000000),
     .help = "open connections at a time; one more is answered 503"},
    {.group = "Listening", .name = "max-connections-per-tenant", .arg = "N", .kind = CAR_OPTION_INT,
     FIELD(max_connections_tenant), .def_note = "off", RANGE(0, 10000000),
     .help = "subscribers of one tenant at a time: WebSockets, event streams, Socket.IO sessions; one more is answered 429. A "
             "tenant's own limit beats it; 0: off"},
    {.group = "Listening", .name = "max-connections-per-ip", .arg = "N", .kind = CAR_OPTION_INT,
     FIELD(max_connections_ip), .def_note = "off", RANGE(0, 10000000),
     .help = "the same for one client's address, IPv6 by /64; 0: off"},
    {.group = "Listening", .name = "drain-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION,
     FIELD(drain_timeout_ms), .def = "10s", RANGE(0, HOURS(1)),
     .help = "how long a shutdown waits for connections to finish"},
    {.group = "Listening", .name = "upgrade-timeout", .arg = "TIME", .kind = CAR_OPTION_DURATION,
     FIELD(upgrade_timeout_ms), .def = "60s", RANGE(MS(100), HOURS(1)),
     .help = "how long the new program may take for each step of an upgrade (SIGUSR2), before this one goes on. As process 1, in a "
             "container, it does not upgrade: containers are replaced one after the other"},
    {.group = "Listening", .name = "pid-file", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(pid_file),
     .help = "where the number of the process that serves is written once it does: after an upgrade (SIGUSR2) the new one's"},
    {.group = "Listening", .name = "trusted-proxy", .arg = "CIDR", .kind = CAR_OPTION_LIST, FIELD(trusted_proxies),
     RANGE(1, 1000), .fails = true, .check = car_flags_check_cidr, .allowed = "an address or a range such as 10.0.0.0/8 or fd00::/8",
     .help = "a proxy in front, whose X-Forwarded-For says who the client is. Repeatable"},
    {.group = "Listening", .name = "proxy-protocol", .kind = CAR_OPTION_BOOL, FIELD(proxy_protocol),
     .help = "connections from a --trusted-proxy have to begin with a PROXY protocol header, version 2"},
    {.group = "Listening", .name = "tls-cert", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(tls_cert),
     .help = "the port speaks TLS, with this certificate and those that lead to its root, in PEM form. SIGHUP reads it "
             "again, and the next two; who is connected stays"},
    {.group = "Listening", .name = "tls-key", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(tls_key),
     .help = "its private key, in PEM form, not encrypted"},
    {.group = "Listening", .name = "tls-client-ca", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(tls_client_ca),
     .help = "who publishes has to show a certificate that one of these has signed, in PEM form; who reads need not"},

    {.group = "Access", .name = "auth", .arg = "MODE", .kind = CAR_OPTION_CHOICE, FIELD(auth),
     .def_note = "open on a loopback host, key on any other",
     WORDS({"open", CAR_AUTH_OPEN, false}, {"token", CAR_AUTH_TOKEN, false}, {"key", CAR_AUTH_KEY, false}),
     .help = "open: the tenant's name is enough, for trusted networks only. token: whoever shows the token of one of "
             "--users. key: whoever shows an API key of the tenant, or a JSON Web Token"},
    {.group = "Access", .name = "admin-key", .arg = "TEXT", .kind = CAR_OPTION_STRING, FIELD(admin_key), .secret = true,
     .check = car_flags_check_admin_key, .allowed = "visible ASCII without spaces",
     .def_note = "nobody's; in open mode on a loopback host everybody administers then",
     .help = "who shows it as Authorization: Bearer makes, changes and removes tenants and their keys. Better set in the "
             "environment: arguments are seen by everybody on the machine"},
    {.group = "Access", .name = "users", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(users),
     .help = "the users of --auth token, YAML or JSON: users: a list of maps with tenant, name, token or token_sha256, "
             "and scopes. SIGHUP reads it again"},
    {.group = "Access", .name = "jwt-public-key", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(jwt_public_key),
     .help = "whoever holds its private key makes JSON Web Tokens for --auth key: a PEM public key, RSA of 2048 bits or "
             "more (RS256) or EC P-256 (ES256). SIGHUP reads it again"},
    {.group = "Access", .name = "jwt-algorithm", .arg = "ALG", .kind = CAR_OPTION_CHOICE, FIELD(jwt_algorithm),
     .def_note = "what the key is for", WORDS({"RS256", CAR_JWT_RS256, false}, {"ES256", CAR_JWT_ES256, false}),
     .help = "how such tokens are signed; has to fit the key"},
    {.group = "Access", .name = "jwt-secret-file", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(jwt_secret_file),
     .def_note = "drawn at each start",
     .help = "the secret (HS256) of the tokens that the server makes itself, so that they outlive a restart, and may be "
             "made elsewhere with the same secret: 32 bytes or more; a newline at the end is no part of it. SIGHUP reads "
             "it again"},
    {.group = "Access", .name = "jwt-audience", .arg = "TEXT", .kind = CAR_OPTION_STRING, FIELD(jwt_audience),
     .check = car_flags_check_jwt_text, .allowed = "1 to 256 bytes of UTF-8 without control characters",
     .help = "a token has to have this as, or among, its aud"},
    {.group = "Access", .name = "jwt-issuer", .arg = "TEXT", .kind = CAR_OPTION_STRING, FIELD(jwt_issuer),
     .check = car_flags_check_jwt_text, .allowed = "1 to 256 bytes of UTF-8 without control characters",
     .help = "a token has to have this as its iss"},
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

    {.group = "Limits", .name = "rate-limit-tenant", .arg = "N/WINDOW", .kind = CAR_OPTION_STRING,
     FIELD(rate_limit_tenant.text), .def_note = "off", .check = car_flags_check_rate, .allowed = RATE,
     .help = "events that each tenant may publish, where it has no limit of its own: so many at once, refilled evenly over "
             "the window"},
    {.group = "Limits", .name = "handshake-rate", .arg = "N/WINDOW", .kind = CAR_OPTION_STRING, FIELD(handshake_rate.text),
     .def_note = "off", .check = car_flags_check_handshakes, .allowed = HANDSHAKES,
     .help = "subscribers that come in, of all tenants together: WebSockets, event streams, Socket.IO sessions. One more is "
             "answered 503 and told when to come back; when they are too many, each tenant gets its share"},
    {.group = "Limits", .name = "rate-limit-ip", .arg = "N/WINDOW", .kind = CAR_OPTION_STRING, FIELD(rate_limit_ip.text),
     .def_note = "off", ALIASES({CAR_RATE_ENV_NAME, false}), .check = car_flags_check_rate, .allowed = RATE,
     .help = "requests that each address may make of tenants' resources, and attempts to get in; of IPv6 each /64"},
    {.group = "Limits", .name = "rate-limit-user", .arg = "N/WINDOW", .kind = CAR_OPTION_STRING,
     FIELD(rate_limit_user.text), .def_note = "off", .check = car_flags_check_rate, .allowed = RATE,
     .help = "the same for each user, or API key, of a tenant"},

    {.group = "Limits", .name = "tenant-memory", .arg = "SIZE", .kind = CAR_OPTION_SIZE, FIELD(tenant_memory),
     .def_note = "off", RANGE(0, GIB(1024)),
     .help = "memory that each tenant may have in use: events in memory, what waits for those who read slowly, sessions. "
             "Near it events go from memory that a database has, then the most behind sessions (1013); beyond it its "
             "publishers get 503. 256KiB at least; 0: off"},
    {.group = "Limits", .name = "max-memory", .arg = "SIZE", .kind = CAR_OPTION_SIZE, FIELD(max_memory),
     .def = MEMORY_UNSET_TEXT, .def_note = "7/8 of the cgroup's memory.max, else off", RANGE(0, CAR_FLAGS_MEMORY_UNSET),
     .help = "memory that the process may have in use: near it new connections get 503, and the tenants that use most are "
             "cut as by --tenant-memory. 16MiB at least; 0: off"},

    {.group = "Events", .name = "store", .arg = "URI", .kind = CAR_OPTION_STRING, FIELD(store),
     .def = "sqlite:carillon.db", .check = car_flags_check_store, .allowed = "memory:, sqlite:PATH or postgres://HOST/DATABASE",
     .secret = true, .fails = true,
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
    {.group = "Logging", .name = "audit-log", .arg = "FILE", .kind = CAR_OPTION_STRING, FIELD(audit_log),
     .def = "stderr",
     .help = "where each administrative act, each act of authentication and each refusal gets a line: a file, which is "
             "appended to, and which SIGHUP opens anew; stderr; or off"},
    {.group = "Logging", .name = "audit-format", .arg = "FORMAT", .kind = CAR_OPTION_CHOICE, FIELD(audit_format),
     .def_note = "that of --log-format", WORDS({"text", CAR_AUDIT_TEXT, false}, {"json", CAR_AUDIT_JSON, false}),
     .help = "text or json"},

    {.group = "Metrics", .name = "metrics-tenants", .arg = "N", .kind = CAR_OPTION_INT, FIELD(metrics_tenants),
     .def = "100", RANGE(0, 1000),
     .help = "tenants that /metrics tells of by name, those with the most traffic; all others are \"_other\"; 0 for no "
             "tenant at all"},

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

const struct car_options CAR_FLAGS = {
    .rows = ROWS,
    .count = sizeof ROWS / sizeof *ROWS,
    .env_prefix = "CARILLON_",
    .command = "serve",
    .program = "carillon",
};
