#ifndef CARILLON_BASE_CONFIG_H
#define CARILLON_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/log.h"
#include "carillon/base/options.h"

struct car_cidr;

/* Who may come in. Never zero once the flags were parsed. */
enum car_auth_mode {
    CAR_AUTH_UNSET, /* only while parsing: nobody named a mode */
    CAR_AUTH_OPEN,
    CAR_AUTH_TOKEN,
    CAR_AUTH_KEY,
};

/* What a token that is signed with --jwt-public-key may be signed by. */
enum car_jwt_algorithm {
    CAR_JWT_OF_KEY, /* what the key is for: its type leaves one */
    CAR_JWT_RS256,
    CAR_JWT_ES256,
};

enum car_durability {
    CAR_DURABILITY_COMMIT,  /* 201 means committed to disk */
    CAR_DURABILITY_RELAXED, /* 201 at once, disk within 100 ms */
};

/* The form of the audit log. Never zero once the flags were parsed. */
enum car_audit_format {
    CAR_AUDIT_AS_LOG, /* only while parsing: nobody named one, and it is that of --log-format */
    CAR_AUDIT_TEXT,
    CAR_AUDIT_JSON,
};

/* A limit of so many in so long a time. */
struct car_config_rate {
    char *text; /* as it was written; NULL where there is none */
    uint64_t count, window_ms;
};

/*
 * The settings of the process: plain data, filled by one thread before the others start, then read by all and changed
 * by none. A reload fills another one. Durations are milliseconds, sizes bytes. The struct owns its strings.
 */
struct car_config {
    /* Listening. */
    char *host;          /* an address or a name, without brackets; never NULL */
    uint16_t port;       /* 0: any free one */
    bool proxy_protocol; /* a trusted proxy begins each connection with a PROXY header */
    uint32_t threads;    /* workers, at least 1 */
    uint32_t max_connections;
    uint32_t max_connections_tenant; /* subscribers of each tenant whose own terms say nothing; 0: no limit */
    uint32_t max_connections_ip;     /* subscribers from each address, IPv6 by /64; 0: no limit */
    uint32_t drain_timeout_ms;       /* 0: do not wait */
    uint32_t upgrade_timeout_ms;
    char *pid_file;                     /* NULL where there is none */
    char *tls_cert;                     /* a PEM file; NULL where the port is in the clear */
    char *tls_key;                      /* another; NULL where there is no tls_cert */
    char *tls_client_ca;                /* who signs publishers' certificates; NULL where they need none */
    struct car_strings trusted_proxies; /* addresses and ranges; whose word on who their clients are is believed */
    struct car_cidr *trusted;           /* the same, read: as many; NULL where there are none */

    /* Who is asking. */
    enum car_auth_mode auth;
    enum car_jwt_algorithm jwt_algorithm; /* of jwt_public_key */
    char *admin_key;                      /* a secret; NULL where there is none */
    char *users;                          /* the file of CAR_AUTH_TOKEN; NULL where there is none */
    char *jwt_public_key;                 /* a PEM file; NULL where there is none, as for the next three */
    char *jwt_secret_file;
    char *jwt_audience;         /* 1 to 256 bytes of UTF-8 without control characters */
    char *jwt_issuer;           /* the same */
    struct car_strings tenants; /* valid ids, each once; those that exist from the start; may be empty */
    bool auto_tenants;
    uint32_t max_tenants;            /* at least tenants.count */
    struct car_strings cors_origins; /* "*", or lower-case scheme://host[:port] without the scheme's default port */

    /* How much anybody may ask for; see guard/rates.h. */
    struct car_config_rate rate_limit_tenant, rate_limit_ip, rate_limit_user;
    struct car_config_rate handshake_rate; /* of all tenants together; see guard/admission.h */

    /* Memory, in bytes. */
    size_t tenant_memory; /* of each tenant; 0: no budget (feed/memory.h) */
    size_t max_memory;    /* of the process; 0: no budget */

    /* Events. */
    char *store; /* "memory:", "sqlite:" and a path */
    enum car_durability durability;
    uint32_t buffer_size;       /* events kept in memory for each tenant, at least 1 */
    char *retention;            /* as it was written; NULL where there is none */
    uint64_t retention_ms;      /* of each tenant no older events are kept; 0: however old */
    uint64_t retention_count;   /* and no more than these; 0: however many */
    uint32_t max_message_chars; /* characters (code points), at least 1 */
    size_t max_body_bytes;      /* at least 1 */

    /* Connections. */
    uint32_t request_timeout_ms; /* a request's arrival, from its first byte to its last */
    uint32_t idle_timeout_ms;    /* a kept-alive connection between two requests */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t sse_keepalive_ms;
    char *sio_namespace;             /* of Socket.IO, beside "/"; begins with "/" */
    uint32_t sio_connect_timeout_ms; /* from the handshake to the first namespace */

    uint32_t metrics_tenants; /* that /metrics tells of by name; 0: none */

    /* The log. */
    enum car_log_format log_format;
    enum car_log_level log_level;
    bool log_payloads;
    char *audit_log; /* "stderr", "off" or a file; never NULL */
    enum car_audit_format audit_format;

    char *config_file; /* NULL where there is none */
};

/* Frees the strings and lists and zeroes the struct; a zeroed one is allowed. */
void car_config_free(struct car_config *config);

#endif
