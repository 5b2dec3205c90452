#include "flags_check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "carillon/base/options.h"
#include "carillon/base/span.h"
#include "carillon/store/postgres.h"

/* Limits of what is kept: a second to a thousand years, and a number that JSON can say. */
#define AGE_MIN   UINT64_C(1000)
#define AGE_MAX   (UINT64_C(1000) * 366 * 24 * 3600 * 1000)
#define COUNT_MAX (UINT64_C(1) << 53)

enum { HOST_MAX = 253, TENANT_MAX = 64, NAMESPACE_MAX = 64 };

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

const char *car_flags_check_namespace(char *value) {
    struct car_span name = car_span_of(value, strlen(value));
    bool good = value[0] == '/' && name.len >= 2 && name.len <= NAMESPACE_MAX && has_only(name, "-._~/");
    return good ? NULL : "is not a namespace";
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

/* What is wrong with the text, if anything. */
static const char *read_retention(struct car_span text, uint64_t *ms, uint64_t *count) {
    const char *slash = memchr(text.ptr, '/', text.len);
    *ms = 0;
    *count = 0;
    if (!slash || text.len == 1) {
        return "is no retention";
    }
    struct car_span age = car_span_of(text.ptr, (size_t)(slash - text.ptr));
    struct car_span number = car_span_of(slash + 1, text.len - age.len - 1);
    if (age.len && car_option_read_duration(age, ms) != 0) {
        return "has no duration before the slash";
    }
    if (number.len && car_span_u64(number, UINT64_MAX, count) != 0) {
        return "has no number behind the slash";
    }
    bool fits = (!age.len || (*ms >= AGE_MIN && *ms <= AGE_MAX)) && (!number.len || (*count && *count <= COUNT_MAX));
    return fits ? NULL : "is out of range";
}

const char *car_flags_check_retention(char *value) {
    uint64_t ms;
    uint64_t count;
    return read_retention(car_span_cstr(value), &ms, &count);
}

void car_flags_read_retention(const char *value, uint64_t *ms, uint64_t *count) {
    (void)read_retention(car_span_cstr(value), ms, count);
}
