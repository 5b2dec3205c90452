#include "postgres_uri.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "carillon/base/span.h"
#include "carillon/store/postgres.h"

/* Behind the scheme; NULL where it is another one. */
static const char *behind_scheme(const char *uri) {
    static const struct car_span SCHEMES[] = {CAR_SPAN_INIT("postgres://"), CAR_SPAN_INIT("postgresql://")};
    for (size_t i = 0; i < sizeof SCHEMES / sizeof *SCHEMES; i++) {
        if (strncmp(uri, SCHEMES[i].ptr, SCHEMES[i].len) == 0) {
            return uri + SCHEMES[i].len;
        }
    }
    return NULL;
}

/* A password that was not encoded makes libpq take a part of it for a host, a port or a database, and those it names in
 * its messages. */
static bool is_torn(const char *rest) {
    const char *at = memchr(rest, '@', strcspn(rest, "?"));
    return at && ((size_t)(at - rest) > strcspn(rest, "/") || memchr(at + 1, '@', strcspn(at + 1, "?")));
}

static const char *option(const PQconninfoOption *options, const char *keyword) {
    while (options->keyword && strcmp(options->keyword, keyword) != 0) {
        options++;
    }
    return options->keyword && options->val && options->val[0] ? options->val : NULL;
}

static bool is_port(const char *text) {
    return !text || text[strspn(text, "0123456789,")] == '\0';
}

const char *car_postgres_check(const char *uri) {
    const char *rest = behind_scheme(uri);
    if (!rest) {
        return "does not begin with postgres://";
    }
    if (is_torn(rest)) {
        return "has an @ or a / in its user or password, which is to be written as %40 or %2F";
    }
    PQconninfoOption *options = PQconninfoParse(uri, NULL); /* its messages repeat what they complain about */
    const char *wrong = !options                            ? "is not a PostgreSQL URI"
                        : !is_port(option(options, "port")) ? "has a port that is no number"
                                                            : NULL;
    PQconninfoFree(options);
    return wrong;
}

void car_pg_name(const char *uri, char *out, size_t size) {
    PQconninfoOption *options = PQconninfoParse(uri, NULL);
    const char *host = options ? option(options, "host") : NULL;
    const char *address = options ? option(options, "hostaddr") : NULL;
    const char *port = options ? option(options, "port") : NULL;
    const char *name = options ? option(options, "dbname") : NULL;
    host = host ? host : address;
    snprintf(out, size, "postgres://%s%s%s%s%s", host ? host : "", port ? ":" : "", port ? port : "", name ? "/" : "",
             name ? name : "");
    PQconninfoFree(options);
}
