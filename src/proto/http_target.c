#include <arpa/inet.h>

#include "http_chars.h"
#include "http_head.h"

static int bad(const char *reason, const char **why) {
    *why = reason;
    return 400;
}

/* 1*DIGIT up to 65535; an empty port is the scheme's own (RFC 3986, section 3.2.3). */
static bool is_port(struct car_span s) {
    unsigned port = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
        if (port > 65535) {
            return false;
        }
    }
    return true;
}

static bool is_ipv6(struct car_span s) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.len >= sizeof text || memchr(s.ptr, '\0', s.len)) {
        return false;
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Any name of RFC 3986: escapes have to be whole. */
static bool is_name(struct car_span s) {
    if (s.len == 0 || http_run(s.ptr, s.len, HTTP_REGNAME) < s.len) {
        return false;
    }
    const char *end = s.ptr + s.len;
    const char *p = s.ptr;
    while ((p = memchr(p, '%', (size_t)(end - p)))) {
        if (end - p < 3 || http_hex(p[1]) < 0 || http_hex(p[2]) < 0) {
            return false;
        }
        p += 3;
    }
    return true;
}

/* host [":" port], with a host in it, for an http URI without one is invalid (RFC 9110, section 4.2.1). */
static bool is_host(struct car_span s, bool port_wanted) {
    struct car_span host = s;
    if (s.len > 0 && s.ptr[0] == '[') {
        const char *end = memchr(s.ptr, ']', s.len);
        if (!end || !is_ipv6(car_span_of(s.ptr + 1, (size_t)(end - s.ptr) - 1))) {
            return false;
        }
        host.len = (size_t)(end - s.ptr) + 1;
    } else {
        const char *colon = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
        host.len = colon ? (size_t)(colon - s.ptr) : s.len;
        if (!is_name(host)) {
            return false;
        }
    }
    if (host.len == s.len) {
        return !port_wanted;
    }
    struct car_span port = car_span_of(s.ptr + host.len + 1, s.len - host.len - 1);
    return s.ptr[host.len] == ':' && is_port(port) && (port.len > 0 || !port_wanted);
}

static int read_host(struct car_http_request *request, const char **why) {
    size_t count = 0;
    request->host = car_http_header_get(request, "Host", &count);
    if (count == 0) {
        return request->minor == 0 ? 0 : bad("no Host header", why);
    }
    if (count > 1) {
        return bad("more than one Host header", why);
    }
    return is_host(request->host, false) ? 0 : bad("malformed Host header", why);
}

static void split_query(struct car_http_request *request, struct car_span s) {
    const char *mark = memchr(s.ptr, '?', s.len);
    request->path = s;
    if (mark) {
        request->path.len = (size_t)(mark - s.ptr);
        request->query = car_span_of(mark + 1, s.len - request->path.len - 1);
    }
}

/* "http://host:port/path?query"; the scheme without regard to case. */
static int read_absolute(struct car_http_request *request, const char **why) {
    struct car_span target = request->target;
    size_t scheme = 0;
    if (target.len > 7 && car_span_ieq(car_span_of(target.ptr, 7), CAR_SPAN("http://"))) {
        scheme = 7;
    } else if (target.len > 8 && car_span_ieq(car_span_of(target.ptr, 8), CAR_SPAN("https://"))) {
        scheme = 8;
    } else {
        return bad("malformed request target", why);
    }
    struct car_span rest = car_span_of(target.ptr + scheme, target.len - scheme);
    size_t authority = 0;
    while (authority < rest.len && rest.ptr[authority] != '/' && rest.ptr[authority] != '?') {
        authority++;
    }
    request->host = car_span_of(rest.ptr, authority);
    if (!is_host(request->host, false)) {
        return bad("malformed host in the request target", why); /* userinfo as well: RFC 9110, section 4.2.4 */
    }
    split_query(request, car_span_of(rest.ptr + authority, rest.len - authority));
    if (request->path.len == 0) {
        bool options = request->verb == CAR_HTTP_OPTIONS && !request->query.ptr;
        request->path = options ? CAR_SPAN("*") : CAR_SPAN("/");
    }
    return 0;
}

int car_http_target_read(struct car_http_request *request, const char **why) {
    /* Host is checked whatever the target's form, though the form decides whether it counts. */
    int status = read_host(request, why);
    if (status != 0) {
        return status;
    }
    struct car_span target = request->target;
    if (target.len == 0) {
        return bad("malformed request target", why);
    }
    if (car_span_eq(request->method, CAR_SPAN("CONNECT"))) {
        request->host = target;
        return is_host(target, true) ? 0 : bad("CONNECT wants host:port", why);
    }
    if (target.ptr[0] == '/') {
        split_query(request, target);
        return 0;
    }
    if (car_span_eq(target, CAR_SPAN("*"))) {
        request->path = target;
        return request->verb == CAR_HTTP_OPTIONS ? 0 : bad("only OPTIONS may ask for *", why);
    }
    return read_absolute(request, why);
}
