#include "options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "carillon/base/file.h"

/* More than any sane configuration. */
enum { FILE_MAX = 256 * 1024 };

struct reader {
    struct car_options_run *run;
    const char *path;
    struct car_span text;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    size_t *lines;      /* for each row: the line of its key, 0 where there was none */
};

static int unreadable(struct car_buf *error, const char *path, const char *why) {
    CAR_BUF_LIT(error, "cannot read the configuration file '");
    car_options_put_visible(error, car_span_cstr(path));
    car_buf_printf(error, "': %s", why);
    return OPTIONS_UNREADABLE;
}

static int read_whole(const char *path, struct car_buf *text, struct car_buf *error) {
    switch (car_file_read(path, FILE_MAX, text)) {
    case 0:
        return OPTIONS_OK;
    case CAR_ESYS:
        return unreadable(error, path, strerror(errno));
    case CAR_ENOFILE:
        return unreadable(error, path, "it is no regular file");
    case CAR_ETOOBIG:
        return unreadable(error, path, "it is larger than 256 KiB");
    default:
        return car_options_no_memory(error);
    }
}

/* Starts a message with FILE:LINE. */
static void put_line(struct reader *r, size_t line) {
    car_options_put_visible(r->run->error, car_span_cstr(r->path));
    car_buf_printf(r->run->error, ":%zu: ", line);
}

static size_t event_line(const struct reader *r) {
    return r->event.start_mark.line + 1;
}

static int malformed(struct reader *r) {
    if (r->parser.error == YAML_MEMORY_ERROR) {
        return car_options_no_memory(r->run->error);
    }
    size_t line = r->parser.problem_mark.line + 1;
    if (r->parser.error == YAML_READER_ERROR) {
        /* The reader (encodings) runs ahead of the marks and tells only the offset. */
        line = 1;
        for (size_t i = 0; i < r->parser.problem_offset && i < r->text.len; i++) {
            line += r->text.ptr[i] == '\n';
        }
    }
    put_line(r, line);
    car_buf_printf(r->run->error, "not valid YAML: %s", r->parser.problem ? r->parser.problem : "cannot be parsed");
    if (r->parser.context && strstr(r->parser.context, "alias")) {
        CAR_BUF_LIT(r->run->error, "; a value that begins with * has to be quoted");
    }
    return OPTIONS_USAGE;
}

/* Moves on to the next event. */
static int advance(struct reader *r) {
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof r->event);
    return yaml_parser_parse(&r->parser, &r->event) ? OPTIONS_OK : malformed(r);
}

static struct car_span scalar(const struct reader *r) {
    return car_span_of((const char *)r->event.data.scalar.value, r->event.data.scalar.length);
}

/* Whether the event is a value that was left out. */
static bool is_null(const struct reader *r) {
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};
    bool plain = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    for (size_t i = 0; plain && i < sizeof NULLS / sizeof *NULLS; i++) {
        if (car_span_eq(scalar(r), car_span_cstr(NULLS[i]))) {
            return true;
        }
    }
    return false;
}

/* What is wrong with the event as a single value; NULL where nothing is. */
static const char *not_a_value(const struct reader *r) {
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        return "a nested map cannot stand here";
    }
    if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        return "a list cannot stand here";
    }
    if (r->event.type != YAML_SCALAR_EVENT) {
        return "an alias cannot stand here";
    }
    if (is_null(r)) {
        return "has no value";
    }
    return scalar(r).len > 0 && memchr(scalar(r).ptr, 0, scalar(r).len) ? "the value has a NUL character in it" : NULL;
}

static int read_list(struct reader *r, const struct car_option *row, struct car_option_place *place) {
    int code = advance(r);
    while (code == OPTIONS_OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
        place->line = event_line(r);
        const char *wrong = not_a_value(r);
        code = wrong ? car_option_lacks(r->run->error, row, place, wrong)
                     : car_option_put_item(row, place, scalar(r), r->run->config, r->run->error);
        if (code == OPTIONS_OK) {
            code = advance(r);
        }
    }
    return code;
}

/* The event is the value of the row's key. */
static int read_value(struct reader *r, const struct car_option *row) {
    struct car_option_place place = {.file = r->path, .line = event_line(r), .prefix = "", .name = row->name};
    car_option_clear(row, r->run->config);
    if (r->event.type == YAML_SEQUENCE_START_EVENT && row->kind == CAR_OPTION_LIST) {
        return read_list(r, row, &place);
    }
    const char *wrong = not_a_value(r);
    return wrong ? car_option_lacks(r->run->error, row, &place, wrong)
                 : car_option_put(row, &place, scalar(r), r->run->config, r->run->error);
}

/* The event is a key. */
static int read_key(struct reader *r, const struct car_option **row) {
    struct car_buf *error = r->run->error;
    const struct car_options *options = r->run->options;
    size_t line = event_line(r);
    if (r->event.type != YAML_SCALAR_EVENT) {
        put_line(r, line);
        CAR_BUF_LIT(error, "a key has to be the name of a flag");
        return OPTIONS_USAGE;
    }
    *row = car_options_find(options, scalar(r));
    if (*row && !(*row)->not_in_file && (*row)->kind != CAR_OPTION_CONFIG && (*row)->kind != CAR_OPTION_ACTION) {
        size_t *first = &r->lines[*row - options->rows];
        if (*first == 0) {
            *first = line;
            return OPTIONS_OK;
        }
        put_line(r, line);
        car_buf_printf(error, "%s: is set twice, first in line %zu", (*row)->name, *first);
        return OPTIONS_USAGE;
    }
    put_line(r, line);
    if (*row) {
        car_buf_printf(error, "%s: cannot be set in a file", (*row)->name);
        return OPTIONS_USAGE;
    }
    CAR_BUF_LIT(error, "unknown key '");
    car_options_put_visible(error, scalar(r));
    car_buf_char(error, '\'');
    car_options_suggest(error, options, "", scalar(r));
    return OPTIONS_USAGE;
}

static int read_map(struct reader *r) {
    int code = advance(r);
    while (code == OPTIONS_OK && r->event.type != YAML_MAPPING_END_EVENT) {
        const struct car_option *row = NULL;
        code = read_key(r, &row);
        if (code == OPTIONS_OK) {
            code = advance(r);
        }
        if (code == OPTIONS_OK) {
            code = read_value(r, row);
        }
        if (code == OPTIONS_OK) {
            code = advance(r);
        }
    }
    return code;
}

static int refuse_shape(struct reader *r, const char *wrong) {
    put_line(r, event_line(r));
    car_buf_put(r->run->error, wrong, strlen(wrong));
    return OPTIONS_USAGE;
}

/* One document with one map, or nothing at all. */
static int read_stream(struct reader *r) {
    int code = advance(r); /* the stream's start */
    if (code == OPTIONS_OK) {
        code = advance(r);
    }
    if (code != OPTIONS_OK || r->event.type == YAML_STREAM_END_EVENT) {
        return code;
    }
    code = advance(r); /* past the document's start */
    if (code == OPTIONS_OK && r->event.type == YAML_MAPPING_START_EVENT) {
        code = read_map(r);
    } else if (code == OPTIONS_OK && !is_null(r)) {
        code = refuse_shape(r, "the file has to be a map of flags' names to values, such as `port: 8080`");
    }
    for (int i = 0; i < 2 && code == OPTIONS_OK; i++) {
        code = advance(r); /* the document's end, then the stream's */
    }
    if (code == OPTIONS_OK && r->event.type != YAML_STREAM_END_EVENT) {
        code = refuse_shape(r, "a second document cannot stand here");
    }
    return code;
}

int car_options_read_file(struct car_options_run *run, const char *path) {
    struct reader r = {.run = run, .path = path};
    struct car_buf text = CAR_BUF_INIT;
    int code = read_whole(path, &text, run->error);
    if (code == OPTIONS_OK) {
        r.text = car_buf_view(&text);
        r.lines = calloc(run->options->count + 1, sizeof *r.lines);
        if (!r.lines || !yaml_parser_initialize(&r.parser)) {
            code = car_options_no_memory(run->error);
        } else {
            yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.data, text.len);
            code = read_stream(&r);
            yaml_event_delete(&r.event);
            yaml_parser_delete(&r.parser);
        }
        free(r.lines);
    }
    car_buf_free(&text);
    return code;
}
