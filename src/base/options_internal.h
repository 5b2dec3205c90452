#ifndef CARILLON_BASE_OPTIONS_INTERNAL_H
#define CARILLON_BASE_OPTIONS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/base/buf.h"
#include "carillon/base/options.h"
#include "carillon/base/span.h"

/* The results of the engine's functions, which are exit codes at the same time. */
enum { OPTIONS_OK = 0, OPTIONS_UNREADABLE = 1, OPTIONS_FAILS = 1, OPTIONS_USAGE = 2 };

/* The longest name of a flag or of an environment variable, with its NUL. */
enum { OPTIONS_NAME_MAX = 96 };

/* Where a value stands: --name, NAME, or FILE:LINE: name. All borrowed. */
struct car_option_place {
    const char *file; /* NULL for flags and environment */
    size_t line;
    const char *prefix; /* "--" or "" */
    const char *name;
    bool bare_ms;
};

/* One parse. */
struct car_options_run {
    const struct car_options *options;
    char *const *envp;
    void *config;
    struct car_buf *error;
    unsigned char *state; /* for each row: RUN_… */
};

/* options_value.c: one value into one field. */

/* Frees and zeroes the field. */
void car_option_clear(const struct car_option *row, void *config);

/* Reads `value` into the field; of a LIST it appends the comma-separated items. OPTIONS_…, with `error` filled. */
int car_option_put(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                   void *config, struct car_buf *error);

/* Appends one item to a LIST. */
int car_option_put_item(const struct car_option *row, const struct car_option_place *place, struct car_span item,
                        void *config, struct car_buf *error);

/* Stores an unsigned number in the field. It fits, or the table is wrong. */
void car_option_store(const struct car_option *row, void *config, uint64_t number);

/* options_message.c: the wording. */

/* "<place>: '<value>' <wrong>; allowed: <…>", or "the value" where the row is secret. Returns OPTIONS_USAGE. */
int car_option_refuse(struct car_buf *error, const struct car_option *row, const struct car_option_place *place,
                      struct car_span value, const char *wrong);

/* "<place>: <wrong>; allowed: <…>". Returns OPTIONS_USAGE. */
int car_option_lacks(struct car_buf *error, const struct car_option *row, const struct car_option_place *place,
                     const char *wrong);

/* Replaces `error` by "out of memory". Returns OPTIONS_UNREADABLE. */
int car_options_no_memory(struct car_buf *error);

/* Appends `text` on one line: control characters and broken UTF-8 as \xNN, and an ellipsis where it is long. */
void car_options_put_visible(struct car_buf *out, struct car_span text);

/* Appends "; did you mean <prefix>NAME?", or "; see PROGRAM --help" where no name is near. */
void car_options_suggest(struct car_buf *error, const struct car_options *options, const char *prefix,
                         struct car_span typed);

/* "--name" to "CARILLON_NAME". */
void car_option_twin(const struct car_options *options, const struct car_option *row, char out[OPTIONS_NAME_MAX]);

/* Appends a number of the row as its user would write it: 20s, 1MiB, 500. */
void car_option_put_number(struct car_buf *out, const struct car_option *row, uint64_t number);

/* options_file.c */

/* Reads the YAML file into the fields. OPTIONS_…, with `error` filled. */
int car_options_read_file(struct car_options_run *run, const char *path);

/* options.c */

/* The row of that name, or NULL. */
const struct car_option *car_options_find(const struct car_options *options, struct car_span name);

#endif
