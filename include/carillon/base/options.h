#ifndef CARILLON_BASE_OPTIONS_H
#define CARILLON_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * Settings described by a table: each row is a flag, its environment twin, its key in the YAML file, its default, its
 * range, its line of help, and the place of its value in the caller's struct. The engine knows no flag of its own.
 *
 * Flag beats environment twin beats environment alias beats file beats default. A stronger list replaces a weaker one,
 * it does not add to it. The functions keep no state, so that a reload is nothing but another parse, into a fresh
 * struct, with the argv and envp of the start.
 */

/* Strings on the heap, owned with the list. {NULL, 0} is the empty list. */
struct car_strings {
    char **items;
    size_t count;
};

/* Frees the strings and the list, and leaves an empty list. */
void car_strings_free(struct car_strings *list);

enum car_option_kind {
    CAR_OPTION_BOOL,     /* bool: --flag, --flag=true|false, --no-flag */
    CAR_OPTION_INT,      /* an unsigned field of 1, 2, 4 or 8 bytes: a whole number, min to max */
    CAR_OPTION_SIZE,     /* the same, bytes: 65536, 64K, 1M, 1MiB (K, M, G, T are powers of 1024) */
    CAR_OPTION_DURATION, /* the same, milliseconds: 500ms, 1s, 5m, 24h, 0.5; a bare number is seconds */
    CAR_OPTION_CHOICE,   /* an enum: one of `words` */
    CAR_OPTION_STRING,   /* char *, heap, NULL where there is neither value nor default */
    CAR_OPTION_LIST,     /* struct car_strings: repeatable, each value comma-separated; a repeated item counts once */
    CAR_OPTION_CONFIG,   /* char *, heap: the path of the YAML file to read; at most one row. Not a key in that file */
    CAR_OPTION_ACTION,   /* an enum or int: the flag stores `action` there and ends the parse. Command line only */
};

/* A word of a CHOICE. The array ends with a row whose `word` is NULL. */
struct car_option_word {
    const char *word;
    int value;
    bool unavailable; /* known, but this version refuses it, and says so */
};

/* A weaker environment variable beside the twin. The array ends with a row whose `name` is NULL. */
struct car_option_alias {
    const char *name;
    bool bare_ms; /* for a DURATION: a bare number is milliseconds there */
};

/*
 * Judges a STRING or one item of a LIST. May rewrite it in place into its canonical form (never longer). NULL where it
 * is good, else what is wrong, to follow the value in a sentence: "is not a tenant id".
 */
typedef const char *car_option_check_fn(char *value);

/* A duration as a DURATION takes it, in milliseconds; UINT64_MAX where it is longer. CAR_EINVAL where it is none. */
int car_option_read_duration(struct car_span text, uint64_t *ms);

struct car_option {
    const char *name;  /* as in --name, and the key of the file */
    const char *group; /* heading in the help; rows of a group stand together */
    const char *arg;   /* what the help calls the value: "N", "ADDRESS"; NULL for BOOL and ACTION */
    const char *help;  /* a phrase, wrapped by the help */
    enum car_option_kind kind;
    size_t offset, size;  /* of the field */
    const char *def;      /* the default, as a user would write it; NULL leaves the field zero */
    const char *def_note; /* what the help says instead of `def`, where that needs words */
    uint64_t min, max;    /* INT, SIZE (bytes), DURATION (milliseconds), inclusive; max at most 2^53; LIST: items */
    const struct car_option_word *words;  /* CHOICE */
    const struct car_option_alias *alias; /* strongest first; NULL for none */
    car_option_check_fn *check;           /* STRING, LIST; NULL takes anything that is not empty */
    const char *allowed;                  /* STRING, LIST: what error messages say is allowed */
    int action;                           /* ACTION */
    bool secret;                          /* the value is never repeated in a message */
    bool not_in_file;                     /* the file may not set it */
    bool fails;                           /* a bad value is a start that fails, code 1, and no misuse */
};

struct car_options {
    const struct car_option *rows;
    size_t count;
    const char *env_prefix; /* "CARILLON_": the twin of --max-body is CARILLON_MAX_BODY */
    const char *command;    /* a word that may stand first in argv and means nothing, or NULL */
    const char *program;    /* for "see PROGRAM --help" */
};

/*
 * Fills the fields of `config`, a zeroed struct, from all sources. argv[0] is skipped; `envp` may be NULL.
 *
 * 0: done, or an ACTION's flag came first (its field is then `action`, every other one zero). 2: a usage
 * error, a bad value wherever it stands, a malformed file. 1: a bad value of a row that `fails`; the file cannot be
 * read; memory ran out. In both of those `error` holds one line without a program's name or line end, and every field
 * of the table is freed and zero.
 *
 * An environment variable that is empty counts as unset, and is not looked at where a flag (or the twin) overrides it.
 * The file is checked whole. Strings and lists belong to the caller: car_options_free, or its own function.
 */
int car_options_parse(const struct car_options *options, int argc, char *const *argv, char *const *envp, void *config,
                      struct car_buf *error);

/* Frees every string and list that the table places in `config`, and zeroes every field of the table. */
void car_options_free(const struct car_options *options, void *config);

/* Appends the table as help text: by groups, aligned, at most 100 columns, each with default and environment. */
void car_options_help(const struct car_options *options, struct car_buf *out);

#endif
