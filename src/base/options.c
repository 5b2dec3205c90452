#include "carillon/base/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"

/* Bits of car_options_run.state. */
enum { RUN_FLAGGED = 1 /* the command line sets the row */, RUN_REPLACED = 2 /* and weaker values are gone */ };

/* One flag of the command line. */
struct arg {
    const struct car_option *row;
    struct car_span value;
};

const struct car_option *car_options_find(const struct car_options *options, struct car_span name) {
    for (size_t i = 0; i < options->count; i++) {
        if (car_span_eq(name, car_span_cstr(options->rows[i].name))) {
            return &options->rows[i];
        }
    }
    return NULL;
}

static struct car_option_place flag_place(const struct car_option *row) {
    return (struct car_option_place){.prefix = "--", .name = row->name};
}

static void unexpected(struct car_options_run *run, const char *text) {
    CAR_BUF_LIT(run->error, "unexpected argument '");
    car_options_put_visible(run->error, car_span_cstr(text));
    car_buf_printf(run->error, "'; see %s --help", run->options->program);
}

/* Only the name is repeated: what follows a mistyped name may be a secret. */
static void unknown_flag(struct car_options_run *run, struct car_span typed) {
    CAR_BUF_LIT(run->error, "unknown flag ");
    car_options_put_visible(run->error, typed);
    while (typed.len > 0 && typed.ptr[0] == '-') {
        typed = car_span_of(typed.ptr + 1, typed.len - 1);
    }
    car_options_suggest(run->error, run->options, "--", typed);
}

/* The row of --no-NAME, or NULL. */
static const struct car_option *find_negated(const struct car_options *options, struct car_span name) {
    if (name.len <= 3 || memcmp(name.ptr, "no-", 3) != 0) {
        return NULL;
    }
    const struct car_option *row = car_options_find(options, car_span_of(name.ptr + 3, name.len - 3));
    return row && row->kind == CAR_OPTION_BOOL ? row : NULL;
}

/* Gives a flag that came without `=` its value: its own, or the next argument, which *at then skips. */
static int take_value(struct car_options_run *run, int argc, char *const *argv, int *at, struct arg *arg) {
    if (arg->row->kind == CAR_OPTION_BOOL) {
        arg->value = CAR_SPAN("true");
        return OPTIONS_OK;
    }
    if (arg->row->kind == CAR_OPTION_ACTION) {
        return OPTIONS_OK;
    }
    /* A forgotten value must not swallow the flag behind it. */
    if (*at >= argc || strncmp(argv[*at], "--", 2) == 0) {
        struct car_option_place place = flag_place(arg->row);
        (void)car_option_lacks(run->error, arg->row, &place, "needs a value");
        return OPTIONS_USAGE;
    }
    arg->value = car_span_cstr(argv[(*at)++]);
    return OPTIONS_OK;
}

/* Reads the flag at argv[*at] and moves *at past it and its value. */
static int read_arg(struct car_options_run *run, int argc, char *const *argv, int *at, struct arg *arg) {
    const char *text = argv[(*at)++];
    if (text[0] != '-' || strcmp(text, "-") == 0 || strcmp(text, "--") == 0) {
        unexpected(run, text);
        return OPTIONS_USAGE;
    }
    size_t typed_len = strcspn(text, "=");
    struct car_span typed = car_span_of(text, typed_len);
    bool has_value = text[typed_len] == '=';
    *arg = (struct arg){0};
    if (strncmp(text, "--", 2) == 0) {
        struct car_span name = car_span_of(text + 2, typed_len - 2);
        arg->row = car_options_find(run->options, name);
        const struct car_option *negated = arg->row ? NULL : find_negated(run->options, name);
        if (has_value && (negated || (arg->row && arg->row->kind == CAR_OPTION_ACTION))) {
            car_options_put_visible(run->error, typed);
            CAR_BUF_LIT(run->error, ": takes no value");
            return OPTIONS_USAGE;
        }
        if (negated) {
            *arg = (struct arg){.row = negated, .value = CAR_SPAN("false")};
            return OPTIONS_OK;
        }
    }
    if (!arg->row) {
        unknown_flag(run, typed);
        return OPTIONS_USAGE;
    }
    if (has_value) {
        arg->value = car_span_cstr(text + typed_len + 1);
        return OPTIONS_OK;
    }
    return take_value(run, argc, argv, at, arg);
}

/* The index of the first flag. */
static int first_arg(const struct car_options *options, int argc, char *const *argv) {
    return argc > 1 && options->command && strcmp(argv[1], options->command) == 0 ? 2 : 1;
}

/* Notes which rows the command line sets, and already takes the path of the file from it. *action: the ACTION's row. */
static int scan_args(struct car_options_run *run, int argc, char *const *argv, const struct car_option **action) {
    int at = first_arg(run->options, argc, argv);
    int code = OPTIONS_OK;
    while (code == OPTIONS_OK && at < argc && !*action) {
        struct arg arg;
        code = read_arg(run, argc, argv, &at, &arg);
        if (code != OPTIONS_OK) {
            break;
        }
        run->state[arg.row - run->options->rows] |= RUN_FLAGGED;
        if (arg.row->kind == CAR_OPTION_ACTION) {
            *action = arg.row;
        } else if (arg.row->kind == CAR_OPTION_CONFIG) {
            struct car_option_place place = flag_place(arg.row);
            code = car_option_put(arg.row, &place, arg.value, run->config, run->error);
        }
    }
    return code;
}

/* The last of the repeated flags counts, except in a list, where they add up. */
static int apply_args(struct car_options_run *run, int argc, char *const *argv) {
    int at = first_arg(run->options, argc, argv);
    int code = OPTIONS_OK;
    while (code == OPTIONS_OK && at < argc) {
        struct arg arg;
        code = read_arg(run, argc, argv, &at, &arg);
        if (code == OPTIONS_OK) {
            struct car_option_place place = flag_place(arg.row);
            unsigned char *state = &run->state[arg.row - run->options->rows];
            if (!(*state & RUN_REPLACED)) {
                *state |= RUN_REPLACED;
                car_option_clear(arg.row, run->config);
            }
            code = car_option_put(arg.row, &place, arg.value, run->config, run->error);
        }
    }
    return code;
}

/* The value of a variable; NULL where it is unset or empty. */
static const char *find_variable(char *const *envp, const char *name) {
    size_t len = strlen(name);
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            return (*envp)[len + 1] ? *envp + len + 1 : NULL;
        }
    }
    return NULL;
}

/* Kubernetes gives each pod NAME_PORT=tcp://10.0.0.1:8080 for every service of its namespace, so that a service called
 * like the program would set --port. Such a value was never meant as a number. */
static bool is_service_link(const struct car_option *row, const char *value) {
    return row->kind == CAR_OPTION_INT &&
           (strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0 || strncmp(value, "sctp://", 7) == 0);
}

/* Sets a row from its twin, or else from the first of its aliases that is set. */
static int apply_env(struct car_options_run *run, const struct car_option *row) {
    char twin[OPTIONS_NAME_MAX];
    car_option_twin(run->options, row, twin);
    struct car_option_place place = {.prefix = "", .name = twin};
    const char *value = find_variable(run->envp, twin);
    if (value && is_service_link(row, value)) {
        value = NULL;
    }
    for (const struct car_option_alias *alias = row->alias; !value && alias && alias->name; alias++) {
        value = find_variable(run->envp, alias->name);
        place.name = alias->name;
        place.bare_ms = alias->bare_ms;
    }
    if (!value || row->kind == CAR_OPTION_ACTION) {
        return OPTIONS_OK;
    }
    car_option_clear(row, run->config);
    return car_option_put(row, &place, car_span_cstr(value), run->config, run->error);
}

static int apply_default(struct car_options_run *run, const struct car_option *row) {
    struct car_option_place place = {.prefix = "default of --", .name = row->name};
    car_option_clear(row, run->config);
    return row->def ? car_option_put(row, &place, car_span_cstr(row->def), run->config, run->error) : OPTIONS_OK;
}

/* Every source weaker than the command line, from the weakest up. */
static int apply_weaker(struct car_options_run *run) {
    const struct car_options *options = run->options;
    const char *path = NULL;
    int code = OPTIONS_OK;
    for (size_t i = 0; code == OPTIONS_OK && i < options->count; i++) {
        const struct car_option *row = &options->rows[i];
        if (row->kind == CAR_OPTION_CONFIG) {
            code = run->state[i] & RUN_FLAGGED ? OPTIONS_OK : apply_env(run, row);
            path = *(char **)(void *)((char *)run->config + row->offset);
        }
    }
    if (code == OPTIONS_OK && path) {
        code = car_options_read_file(run, path);
    }
    for (size_t i = 0; code == OPTIONS_OK && i < options->count; i++) {
        const struct car_option *row = &options->rows[i];
        if (!(run->state[i] & RUN_FLAGGED) && row->kind != CAR_OPTION_CONFIG) {
            code = apply_env(run, row);
        }
    }
    return code;
}

static int apply_all(struct car_options_run *run, int argc, char *const *argv) {
    const struct car_option *action = NULL;
    int code = OPTIONS_OK;
    for (size_t i = 0; code == OPTIONS_OK && i < run->options->count; i++) {
        code = apply_default(run, &run->options->rows[i]);
    }
    if (code == OPTIONS_OK) {
        code = scan_args(run, argc, argv, &action);
    }
    if (code == OPTIONS_OK && action) {
        car_options_free(run->options, run->config);
        car_option_store(action, run->config, (uint64_t)action->action);
        return OPTIONS_OK;
    }
    if (code == OPTIONS_OK) {
        code = apply_weaker(run);
    }
    return code == OPTIONS_OK ? apply_args(run, argc, argv) : code;
}

int car_options_parse(const struct car_options *options, int argc, char *const *argv, char *const *envp, void *config,
                      struct car_buf *error) {
    struct car_options_run run = {.options = options, .envp = envp, .config = config, .error = error};
    error->len = 0;
    run.state = calloc(options->count + 1, sizeof *run.state);
    int code = run.state ? apply_all(&run, argc, argv) : car_options_no_memory(error);
    free(run.state);
    if (code != OPTIONS_OK) {
        car_options_free(options, config);
    }
    return code;
}

void car_options_free(const struct car_options *options, void *config) {
    for (size_t i = 0; i < options->count; i++) {
        car_option_clear(&options->rows[i], config);
    }
}
