#include <string.h>

#include "options_internal.h"

/* The help is at most this wide, and its texts start at this column. */
enum { WIDTH = 100, TEXT_COLUMN = 30 };

/* A text that is broken between words. */
struct wrap {
    struct car_buf *out;
    size_t column;
};

static void indent(struct wrap *w) {
    for (; w->column < TEXT_COLUMN; w->column++) {
        car_buf_char(w->out, ' ');
    }
}

static void new_line(struct wrap *w) {
    car_buf_char(w->out, '\n');
    w->column = 0;
}

static void put_word(struct wrap *w, struct car_span word) {
    if (w->column > TEXT_COLUMN && w->column + 1 + word.len > WIDTH) {
        new_line(w);
    }
    if (w->column > TEXT_COLUMN) {
        car_buf_char(w->out, ' ');
        w->column++;
    }
    indent(w);
    car_buf_span(w->out, word);
    w->column += word.len;
}

static void put_text(struct wrap *w, const char *text) {
    struct car_span rest = car_span_cstr(text);
    struct car_span word;
    while (car_span_next(&rest, ' ', &word)) {
        put_word(w, word);
    }
}

/* "default 8080; env CARILLON_PORT, PORT" */
static void put_note(struct wrap *w, const struct car_options *options, const struct car_option *row) {
    struct car_buf note = CAR_BUF_INIT;
    const char *def = row->def_note                  ? row->def_note
                      : row->def                     ? row->def
                      : row->kind == CAR_OPTION_BOOL ? "false"
                                                     : "none";
    char twin[OPTIONS_NAME_MAX];
    car_option_twin(options, row, twin);
    car_buf_printf(&note, "[default %s; env %s", *def ? def : "empty", twin);
    for (const struct car_option_alias *alias = row->alias; alias && alias->name; alias++) {
        car_buf_printf(&note, ", %s%s", alias->name, alias->bare_ms ? " (ms)" : "");
    }
    car_buf_put(&note, "]", 2); /* with its NUL */
    if (note.failed) {
        w->out->failed = true;
    } else {
        put_text(w, note.data);
    }
    car_buf_free(&note);
}

static void put_row(struct car_buf *out, const struct car_options *options, const struct car_option *row) {
    struct wrap w = {.out = out};
    car_buf_printf(out, "  --%s", row->name);
    w.column = 4 + strlen(row->name);
    if (row->arg) {
        car_buf_printf(out, " %s", row->arg);
        w.column += 1 + strlen(row->arg);
    }
    if (w.column + 2 > TEXT_COLUMN) {
        new_line(&w);
    }
    indent(&w);
    put_text(&w, row->help);
    if (row->kind != CAR_OPTION_ACTION) {
        new_line(&w);
        put_note(&w, options, row);
    }
    new_line(&w);
}

void car_options_help(const struct car_options *options, struct car_buf *out) {
    const char *group = NULL;
    for (size_t i = 0; i < options->count; i++) {
        const struct car_option *row = &options->rows[i];
        if (!group || strcmp(group, row->group) != 0) {
            group = row->group;
            car_buf_printf(out, "\n%s:\n", group);
        }
        put_row(out, options, row);
    }
}
