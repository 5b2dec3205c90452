#include "options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "marker.h"

enum kind { TEXT, COUNT, NUMBER, LIST };

struct option {
    const char *name;
    enum kind kind;
    unsigned modes;
    size_t offset;
    double min, max;
    const char *standard; /* NULL where there is none */
    const char *choices;  /* of a TEXT, a space around each; NULL where all are good */
};

#define AT(member) offsetof(struct options, member)

/* So many events may be in flight in a closed loop. */
#define FLIGHTS_MAX 1e6

enum { CONNECTING = MODE_RUN | MODE_IDLE };

static const struct option table[] = {
    {"target", TEXT, CONNECTING | MODE_PRESS, AT(target_text), 0, 0, NULL, NULL},
    {"what", TEXT, MODE_PRESS, AT(what), 0, 0, "flood", " flood stalled handshakes batches "},
    {"dialect", TEXT, CONNECTING | MODE_PRESS, AT(dialect), 0, 0, "carillon", " carillon socketio nchan "},
    {"subscribe", TEXT, CONNECTING, AT(subscribe), 0, 0, "ws", " ws sse "},
    {"publish", TEXT, MODE_RUN, AT(publish), 0, 0, "http", " http ws "},
    {"keys", TEXT, MODE_RUN, AT(keys), 0, 0, "", NULL},
    {"deflate", TEXT, MODE_RUN, AT(deflate), 0, 0, "no", " no "},
    {"tls", TEXT, CONNECTING, AT(tls_text), 0, 0, "no", " no yes "},
    {"tenants", COUNT, CONNECTING, AT(tenants), 1, 1e6, "1", NULL},
    {"sockets", COUNT, CONNECTING | MODE_FLOOR | MODE_PRESS, AT(sockets), 0, 1e6, "1000", NULL},
    {"publishers", COUNT, MODE_RUN | MODE_PRESS, AT(publishers), 1, 1e5, "1", NULL},
    {"depth", COUNT, MODE_RUN, AT(depth), 0, 1e5, "0", NULL},
    {"rate", NUMBER, MODE_RUN | MODE_PRESS, AT(rate), 0, 1e7, "0", NULL},
    {"events", COUNT, MODE_RUN, AT(events), 1, 1e8, "1000", NULL},
    {"warmup", COUNT, MODE_RUN, AT(warmup), 0, 1e8, "100", NULL},
    {"bytes", COUNT, MODE_RUN | MODE_FLOOR, AT(bytes), MARKER_SIZE, 65536, NULL, NULL},
    {"threads", COUNT, MODE_RUN, AT(threads), 1, 64, "1", NULL},
    {"sources", COUNT, CONNECTING, AT(sources), 1, 254, "1", NULL},
    {"stalled", COUNT, MODE_RUN, AT(stalled), 0, 1e5, "0", NULL},
    {"ahead", TEXT, MODE_RUN, AT(ahead_text), 0, 0, "no", " no yes "},
    {"inflight", COUNT, CONNECTING, AT(inflight), 1, 4096, "64", NULL},
    {"hold", NUMBER, MODE_IDLE, AT(hold), 0, 3600, "1", NULL},
    {"pids", LIST, CONNECTING | MODE_PRESS, AT(pids), 1, 4194304, "", NULL},
    {"timeout", NUMBER, CONNECTING | MODE_FLOOR | MODE_PRESS, AT(timeout), 0.1, 3600, "60", NULL},
    {"rounds", COUNT, MODE_FLOOR, AT(rounds), 1, 1e6, "20", NULL},
    {"batch", LIST, MODE_FLOOR, AT(batch), 1, 1024, "1,2,4,8,16,32,64", NULL},
};

enum { OPTIONS = sizeof table / sizeof *table };

static const struct {
    enum mode mode;
    const char *name, *bytes; /* a message's, or a frame's with all that is around it */
} modes[] = {
    {MODE_RUN, "run", "100"}, {MODE_IDLE, "idle", "100"}, {MODE_FLOOR, "floor", "330"}, {MODE_PRESS, "press", "100"}};

static void *member(struct options *options, const struct option *option) {
    return (char *)options + option->offset;
}

static const void *member_const(const struct options *options, const struct option *option) {
    return (const char *)options + option->offset;
}

static bool read_number(const struct option *option, const char *text, char **end, double *value) {
    errno = 0;
    *value = strtod(text, end);
    return *end != text && errno == 0 && *value >= option->min && *value <= option->max &&
           (option->kind == NUMBER || floor(*value) == *value);
}

static bool read_list(const struct option *option, const char *text, struct option_list *list) {
    list->count = 0;
    while (*text) {
        char *end;
        double value;
        if (list->count == OPTION_LIST_MAX || !read_number(option, text, &end, &value) || (*end && *end != ',')) {
            return false;
        }
        list->values[list->count++] = (uint32_t)value;
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool read_choice(const struct option *option, const char *text) {
    const char *found = option->choices ? strstr(option->choices, text) : NULL;
    return !option->choices || (found && *text && found[-1] == ' ' && found[strlen(text)] == ' ');
}

static bool read_option(struct options *options, const struct option *option, const char *text) {
    double value;
    char *end;
    switch (option->kind) {
    case TEXT:
        *(const char **)member(options, option) = text;
        return read_choice(option, text);
    case LIST:
        return read_list(option, text, member(options, option));
    case COUNT:
        if (!read_number(option, text, &end, &value) || *end) {
            return false;
        }
        *(uint32_t *)member(options, option) = (uint32_t)value;
        return true;
    case NUMBER:
        return read_number(option, text, &end, member(options, option)) && !*end;
    }
    return false;
}

static int fail(const char *what, const char *text) {
    fprintf(stderr, "carillon-load: %s%s\n", what, text);
    return -1;
}

static int fail_unknown(const struct options *options, const char *argument) {
    fail("no such option here: ", argument);
    fputs("there are", stderr);
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (table[i].modes & options->mode) {
            fprintf(stderr, " --%s", table[i].name);
        }
    }
    fputc('\n', stderr);
    return -1;
}

/* Keys are shown by those who publish over HTTP; who subscribes names its tenant, which is not enough then. */
static bool publishes_by_key(const struct options *options) {
    return strcmp(options->dialect, "carillon") == 0 && !options->publish_ws && options->sockets == 0 &&
           options->stalled == 0;
}

static int check(struct options *options) {
    if (options->mode == MODE_FLOOR) {
        return options->sockets > 0 && options->batch.count > 0 ? 0 : fail("floor wants --sockets and --batch", "");
    }
    if (!options->target_text || !target_parse(&options->target, options->target_text)) {
        return fail("--target wants 127.x.x.x:PORT or [::1]:PORT", "");
    }
    if (options->mode == MODE_PRESS) {
        return 0;
    }
    options->sse = strcmp(options->subscribe, "sse") == 0;
    options->ahead = options->rate > 0 || (options->ahead_text && strcmp(options->ahead_text, "yes") == 0);
    options->tls = strcmp(options->tls_text, "yes") == 0;
    options->publish_ws = options->publish && strcmp(options->publish, "ws") == 0;
    if (options->sse && strcmp(options->dialect, "socketio") == 0) {
        return fail("socketio has no --subscribe sse", "");
    }
    if (options->publish_ws && strcmp(options->dialect, "nchan") == 0) {
        return fail("nchan has no --publish ws", "");
    }
    if (options->keys && *options->keys && !publishes_by_key(options)) {
        return fail("--keys wants --dialect carillon, --publish http, and neither --sockets nor --stalled", "");
    }
    if (options->target.address.any.sa_family == AF_INET6 && options->sources > 1) {
        return fail("::1 is the only address of its kind: --sources must be 1", "");
    }
    if (options->mode == MODE_RUN && (options->depth > 0) == (options->rate > 0)) {
        return fail("run wants either --depth or --rate", "");
    }
    if ((double)options->depth * options->publishers > FLIGHTS_MAX) {
        return fail("--depth times --publishers is too much", "");
    }
    return 0;
}

static const struct option *find(const struct options *options, const char *argument) {
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, table[i].name) == 0 &&
            (table[i].modes & options->mode)) {
            return &table[i];
        }
    }
    return NULL;
}

int options_parse(struct options *options, int argc, char **argv) {
    memset(options, 0, sizeof *options);
    const char *bytes = NULL;
    for (unsigned i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            options->mode = modes[i].mode;
            bytes = modes[i].bytes;
        }
    }
    if (!bytes) {
        return fail("usage: carillon-load run|idle|floor|press [--OPTION VALUE]...", "");
    }
    for (unsigned i = 0; i < OPTIONS; i++) {
        const char *standard = table[i].offset == AT(bytes) ? bytes : table[i].standard;
        if (standard && (table[i].modes & options->mode)) {
            read_option(options, &table[i], standard);
        }
    }
    for (int i = 2; i < argc; i += 2) {
        const struct option *option = find(options, argv[i]);
        if (!option) {
            return fail_unknown(options, argv[i]);
        }
        if (i + 1 == argc || !read_option(options, option, argv[i + 1])) {
            return fail("not a value for ", argv[i]);
        }
    }
    return check(options);
}

static void option_json(const struct options *options, const struct option *option, struct json *json) {
    const struct option_list *list;
    switch (option->kind) {
    case TEXT:
        json_text(json, option->name, *(const char *const *)member_const(options, option));
        break;
    case COUNT:
        json_count(json, option->name, *(const uint32_t *)member_const(options, option));
        break;
    case NUMBER:
        json_number(json, option->name, *(const double *)member_const(options, option));
        break;
    case LIST:
        list = member_const(options, option);
        json_open(json, option->name, '[');
        for (unsigned i = 0; i < list->count; i++) {
            json_count(json, NULL, list->values[i]);
        }
        json_close(json, ']');
        break;
    }
}

void options_json(const struct options *options, struct json *json) {
    json_open(json, "config", '{');
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (table[i].modes & options->mode) {
            option_json(options, &table[i], json);
        }
    }
    json_close(json, '}');
}
