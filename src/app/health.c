#include "health.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/address.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/net/http_conn.h"
#include "carillon/proto/json.h"

#include "flags.h"
#include "http_ask.h"

#define COMMAND   "health"
#define PATIENCE  3 /* seconds for the question; the resolver, which takes no deadline, is cut off a second later */
#define HOST_MAX  256
#define SHOWN_MAX 160 /* of a reason that the server gives */

/* What the command line asks for. */
struct asked {
    bool live;
    const char *url; /* NULL: the server of the other flags */
    char **flags;    /* the other words, argv[0] first */
    int count;
};

bool car_health_is_asked(int argc, char *const *argv) {
    return argc > 1 && strcmp(argv[1], COMMAND) == 0;
}

static int refuse(const char *about, const char *what) {
    fprintf(stderr, "carillon: " COMMAND ": %s%s%s\n", about, *about ? ": " : "", what);
    return 1;
}

static void on_alarm(int number) {
    static const char LINE[] = "carillon: " COMMAND ": no answer in time\n";
    (void)number;
    (void)!write(STDERR_FILENO, LINE, sizeof LINE - 1);
    _exit(1);
}

/* --url and --live; all else is for the flags. false where a value is missing. */
static bool read_words(int argc, char *const *argv, struct asked *asked) {
    static const char URL[] = "--url=";
    asked->flags[asked->count++] = argv[0];
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--live") == 0) {
            asked->live = true;
        } else if (strncmp(argv[i], URL, sizeof URL - 1) == 0) {
            asked->url = argv[i] + sizeof URL - 1;
        } else if (strcmp(argv[i], "--url") == 0) {
            asked->url = argv[++i];
            if (!asked->url) {
                return false;
            }
        } else {
            asked->flags[asked->count++] = argv[i];
        }
    }
    return true;
}

/* http://HOST[:PORT][/PATH], or https (RFC 3986): what is not there stays as it is. NULL, or what is wrong. */
static const char *read_url(const char *url, char host[HOST_MAX], struct car_http_question *question) {
    static const char *const SCHEMES[] = {"http://", "https://"};
    static const char WRONG[] = "--url has to be http://HOST[:PORT][/PATH], or https://";
    question->tls = strncmp(url, SCHEMES[1], strlen(SCHEMES[1])) == 0;
    const char *scheme = SCHEMES[question->tls];
    if (strncmp(url, scheme, strlen(scheme)) != 0) {
        return WRONG;
    }
    const char *at = url + strlen(scheme);
    bool bracket = *at == '[';
    at += bracket;
    size_t len = strcspn(at, bracket ? "]" : ":/?#@");
    if (len == 0 || len >= HOST_MAX || (bracket && at[len] != ']')) {
        return WRONG;
    }
    memcpy(host, at, len);
    host[len] = '\0';
    at += len + bracket;
    question->host = host;
    question->port = question->tls ? 443 : 80;
    if (*at == ':') {
        uint64_t port = 0;
        size_t digits = strcspn(++at, "/");
        if (car_span_u64(car_span_of(at, digits), UINT16_MAX, &port) != 0 || port == 0) {
            return "--url: the port has to be a number from 1 to 65535";
        }
        question->port = (uint16_t)port;
        at += digits;
    }
    if (*at == '/' && at[1]) {
        question->target = at;
    }
    for (const char *c = at; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '#') {
            return WRONG;
        }
    }
    return *at == '/' || *at == '\0' ? NULL : WRONG;
}

/* The reason that the server gives (RFC 9457), as JSON writes it: so nothing of it controls a terminal. */
static int tell(const char *name, const struct car_http_answer *answer) {
    static const char FULL[] = CAR_HTTP_FULL;
    struct car_json_member detail = {.name = "detail"};
    struct car_span why = {0};
    if (car_json_pick(answer->body, &detail, 1, NULL) == 0 && detail.value.kind == CAR_JSON_STRING) {
        why = car_span_of(detail.value.raw.ptr + 1, detail.value.raw.len - 2); /* without its quotes */
        why.len = why.len < SHOWN_MAX ? why.len : SHOWN_MAX;
    }
    char what[SHOWN_MAX + 32];
    snprintf(what, sizeof what, "%u%s%.*s", answer->status, why.len ? ", " : "", (int)why.len, why.len ? why.ptr : "");
    /* One that is full serves those whom it has: whoever ended it for that would send them all away. */
    bool full = answer->status == 503 && why.len >= sizeof FULL - 1 && memcmp(why.ptr, FULL, sizeof FULL - 1) == 0;
    if (answer->status != 200 && !full) {
        return refuse(name, what);
    }
    printf("%s: %s\n", name, what);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int ask(const struct car_http_question *question, const char *other_host) {
    static struct car_http_answer answer; /* too large for a stack that may be small */
    struct car_http_question one = *question;
    char why[200] = "";
    char name[HOST_MAX + 600];
    int err = car_http_ask(&one, &answer, why, sizeof why);
    if (err && other_host) {
        one.host = other_host;
        err = car_http_ask(&one, &answer, why, sizeof why);
    }
    bool v6 = strchr(one.host, ':') != NULL;
    snprintf(name, sizeof name, "http%s://%s%s%s:%u%.500s", one.tls ? "s" : "", v6 ? "[" : "", one.host, v6 ? "]" : "",
             one.port, one.target);
    return err ? refuse(name, why) : tell(name, &answer);
}

/* Who listens on every address is asked over loopback; one that listens on "::" may be on a machine where only IPv4 has
 * one. */
static int ask_configured(const struct car_config *config, struct car_http_question *question) {
    static const uint8_t NOBODY_V4[4];
    static const struct car_address NOBODY;
    struct car_address every_v4 = car_address_of_v4(NOBODY_V4);
    struct car_address host;
    const char *other = NULL;
    question->host = config->host;
    question->port = config->port;
    question->tls = config->tls_cert != NULL;
    if (config->port == 0) {
        return refuse("", "--port is 0, so which port it is has to be said: --url http://HOST:PORT");
    }
    if (car_address_parse(car_span_cstr(config->host), &host) == 0) {
        if (car_address_eq(&host, &NOBODY)) {
            question->host = "::1";
            other = "127.0.0.1";
        } else if (car_address_eq(&host, &every_v4)) {
            question->host = "127.0.0.1";
        }
    }
    if (config->proxy_protocol) {
        question->proxies = config->trusted;
        question->proxy_count = config->trusted_proxies.count;
    }
    return ask(question, other);
}

static int run(const struct asked *asked) {
    struct car_config config = {0};
    struct car_http_question question = {.target = asked->live ? "/livez" : "/readyz"};
    char host[HOST_MAX];
    question.deadline_us = car_clock_mono_us() + PATIENCE * UINT64_C(1000000);
    if (asked->url && asked->count > 1) {
        return refuse("", "--url says it all: no other flag goes with it but --live");
    }
    if (asked->url) {
        const char *wrong = read_url(asked->url, host, &question);
        return wrong ? refuse("", wrong) : ask(&question, NULL);
    }
    struct car_flags_result result = car_flags_parse(asked->count, asked->flags, NULL, &config);
    if (!result.run) {
        return result.exit_code ? 1 : 0;
    }
    int code = ask_configured(&config, &question);
    car_config_free(&config);
    return code;
}

int car_health_main(int argc, char *const *argv) {
    struct asked asked = {.flags = calloc((size_t)argc + 1, sizeof *asked.flags)};
    if (!asked.flags) {
        return refuse("", "out of memory");
    }
    const struct sigaction action = {.sa_handler = on_alarm};
    (void)sigaction(SIGALRM, &action, NULL);
    alarm(PATIENCE + 1);
    int code = read_words(argc, argv, &asked) ? run(&asked) : refuse("", "--url has to be followed by a URL");
    free(asked.flags);
    return code;
}
