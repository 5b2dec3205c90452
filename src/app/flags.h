#ifndef CARILLON_APP_FLAGS_H
#define CARILLON_APP_FLAGS_H

#include "carillon/base/buf.h"
#include "carillon/base/config.h"

/* What the command line asks for. */
enum car_flags_action {
    CAR_FLAGS_RUN,     /* serve */
    CAR_FLAGS_HELP,    /* print the help */
    CAR_FLAGS_VERSION, /* print the version */
    CAR_FLAGS_CHECK,   /* only check the configuration, which was found valid */
};

/*
 * Reads argv, envp and the file they name into *out, whatever that held, and prints nothing: the form for a reload, and
 * for tests. envp may be NULL. 0: *out is whole (under HELP and VERSION: empty), to be freed with car_config_free. Else
 * the exit code, 2 or 1, with one line in `error` (without "carillon: " or a line end), and *out is empty. Keeps no
 * state: a reload calls it again, with the argv and envp of the start.
 */
int car_flags_load(int argc, char *const *argv, char *const *envp, struct car_config *out,
                   enum car_flags_action *action, struct car_buf *error);

/* The result of car_flags_parse: go on and serve, or exit with `exit_code`. */
struct car_flags_result {
    bool run;
    int exit_code;
};

/* What --check-config looks at beside the flags themselves. 0; or another code, and `error` has a line, or is empty. */
typedef int car_flags_check_fn(const struct car_config *config, struct car_buf *error);

/*
 * The form for main(): loads from argv and the process's environment, and itself prints help, version, the verdict of
 * --check-config (stdout; `check`, which may be NULL, has to agree) and errors (one line on stderr, `carillon: …`).
 * Where `run` is true *out is whole and belongs to the caller: car_config_free. Otherwise *out is empty.
 */
struct car_flags_result car_flags_parse(int argc, char *const *argv, car_flags_check_fn *check, struct car_config *out);

/* The version's text, "0.1.0". */
const char *car_flags_version(void);

/* Whether `host` is 127.0.0.0/8, ::1 or localhost. */
bool car_flags_is_loopback(const char *host);

#endif
