#include "flags_check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "carillon/base/address.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/options.h"
#include "carillon/base/retain.h"
#include "carillon/base/span.h"
#include "carillon/base/utf8.h"
#include "carillon/guard/admission.h"
#include "carillon/guard/rate_limit.h"
#include "carillon/store/postgres.h"

enum { HOST_MAX = 253, TENANT_MAX = 64, NAMESPACE_MAX = 64, JWT_TEXT_MAX = 256 };

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c);
}

/* Whether the text is made of letters, digits and the characters of `more`. */
static bool has_only(struct car_span text, const char *more) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum(text.ptr[i]) && !strchr(more, text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* Labels of letters, digits, `-` and `_`, with single dots between them. */
static bool is_host_name(struct car_span text) {
    struct car_span rest = text;
    struct car_span label;
    bool good = text.len > 0 && text.len <= HOST_MAX && text.ptr[text.len - 1] != '.';
    while (good && car_span_next(&rest, '.', &label)) {
        good = label.len > 0 && has_only(label, "-_") && label.ptr[0] != '-';
    }
    return good;
}

static bool is_ipv6(struct car_span text) {
    char copy[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    if (text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

const char *car_flags_check_host(char *value) {
    size_t len = strlen(value); /* at least 1: the engine refuses what is empty */
    if (value[0] == '[' && value[len - 1] == ']') {
        memmove(value, value + 1, len - 2);
        value[len - 2] = '\0';
        return is_ipv6(car_span_cstr(value)) ? NULL : "is not an address";
    }
    struct car_span rest = car_span_cstr(value);
    struct car_span address = {0};
    (void)car_span_next(&rest, '%', &address);
    /* A zone ("fe80::1%eth0") is left to the system's resolver. */
    bool good = address.len < len ? is_ipv6(address) && rest.len > 0 && has_only(rest, ".-_")
                                  : is_ipv6(address) || is_host_name(address);
    return good ? NULL : "is not an address or a host name";
}

const char *car_flags_check_tenant(char *value) {
    struct car_span id = car_span_of(value, strlen(value));
    return is_alnum(value[0]) && id.len <= TENANT_MAX && has_only(id, "._-") ? NULL : "is not a tenant id";
}

const char *car_flags_check_cidr(char *value) {
    struct car_cidr cidr;
    return car_cidr_parse(car_span_cstr(value), &cidr) == 0 ? NULL : "is not an address or a range of them";
}

const char *car_flags_check_admin_key(char *value) {
    for (const char *p = value; *p; p++) {
        if (*p <= ' ' || *p > '~') {
            return "has a character that no header can carry";
        }
    }
    return NULL;
}

const char *car_flags_check_namespace(char *value) {
    struct car_span name = car_span_of(value, strlen(value));
    bool good = value[0] == '/' && name.len >= 2 && name.len <= NAMESPACE_MAX && has_only(name, "-._~/");
    return good ? NULL : "is not a namespace";
}

const char *car_flags_check_jwt_text(char *value) {
    struct car_span text = car_span_cstr(value);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7F) {
            return "has a control character";
        }
    }
    if (text.len > JWT_TEXT_MAX) {
        return "is too long";
    }
    return text.len && car_utf8_valid(value, text.len) ? NULL : "is not UTF-8";
}

/* 1 to 65535 without a leading zero; `text` begins behind the colon. */
static bool is_port(struct car_span text) {
    uint64_t port;
    return text.len > 0 && text.ptr[0] != '0' && car_span_u64(text, UINT16_MAX, &port) == 0;
}

/* Whether the text begins like a scheme does, and then has "://" (RFC 3986, section 3.1). */
static bool has_scheme(const char *text, size_t *scheme_len) {
    *scheme_len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    return is_lower(text[0]) && strncmp(text + *scheme_len, "://", 3) == 0;
}

const char *car_flags_check_origin(char *value) {
    static const char WRONG[] = "is not an origin";
    size_t scheme;
    if (strcmp(value, "*") == 0) {
        return NULL;
    }
    for (char *p = value; *p; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    }
    if (!has_scheme(value, &scheme)) {
        return WRONG;
    }
    char *host = value + scheme + 3;
    if (strpbrk(host, "/?#@")) {
        return "is not an origin, because it goes on after the host and port";
    }
    size_t host_len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (host_len > strlen(host)) {
        return WRONG;
    }
    bool good =
        host[0] == '[' ? is_ipv6(car_span_of(host + 1, host_len - 2)) : is_host_name(car_span_of(host, host_len));
    char *port = host + host_len;
    if (!good || (*port && (*port != ':' || !is_port(car_span_cstr(port + 1))))) {
        return WRONG;
    }
    if ((strncmp(value, "http://", 7) == 0 && strcmp(port, ":80") == 0) ||
        (strncmp(value, "https://", 8) == 0 && strcmp(port, ":443") == 0)) {
        *port = '\0';
    }
    return NULL;
}

/* Puts the scheme in lower case, which is how it is compared from here on. */
static void lower_scheme(char *value) {
    for (char *p = value; *p && *p != ':'; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    }
}

const char *car_flags_check_store(char *value) {
    lower_scheme(value);
    if (strcmp(value, "memory:") == 0) {
        return NULL;
    }
    if (strncmp(value, "sqlite:", 7) == 0) {
        return value[7] && value[7] != ':' ? NULL : "names no file";
    }
    if (strncmp(value, "postgres:", 9) == 0 || strncmp(value, "postgresql:", 11) == 0) {
        return car_postgres_check(value);
    }
    return "is not a store's URI";
}

const char *car_flags_check_retention(char *value) {
    uint64_t ms;
    uint64_t count;
    return car_retain_read(car_span_cstr(value), &ms, &count);
}

const char *car_flags_check_rate(char *value) {
    struct car_rate_limit limit;
    switch (car_rate_limit_read(value, &limit)) {
    case 0:
        return NULL;
    case CAR_ETOOBIG:
        return "is out of range";
    default:
        return "is not a limit";
    }
}

const char *car_flags_check_handshakes(char *value) {
    struct car_rate_limit limit;
    const char *why = car_flags_check_rate(value);
    if (!why && car_rate_limit_read(value, &limit) == 0 && limit.count > CAR_ADMISSION_COUNT_MAX) {
        why = "is out of range";
    }
    return why;
}

void car_flags_read_rate(struct car_config_rate *rate) {
    struct car_rate_limit limit = {0};
    if (rate->text) {
        (void)car_rate_limit_read(rate->text, &limit);
    }
    rate->count = limit.count;
    rate->window_ms = limit.window_ms;
}

void car_flags_read_retention(const char *value, uint64_t *ms, uint64_t *count) {
    (void)car_retain_read(car_span_cstr(value), ms, count);
}
