#include "carillon/base/metrics.h"

#include <stdlib.h>

#define US_PER_S 1000000u

void *car_metrics_block(size_t size) {
    size_t whole = (size + CAR_METRICS_LINE - 1) / CAR_METRICS_LINE * CAR_METRICS_LINE;
    void *block = aligned_alloc(CAR_METRICS_LINE, whole);
    if (block) {
        memset(block, 0, whole);
    }
    return block;
}

/* Blocks, and where in them. */
struct source {
    const void *const *blocks;
    size_t first, end;
};

static uint64_t sum(const struct source *source, size_t offset) {
    uint64_t n = 0;
    for (size_t i = source->first; i < source->end; i++) {
        n += car_cell_get((const car_cell *)((const char *)source->blocks[i] + offset));
    }
    return n;
}

/* Microseconds, as seconds. */
static void write_seconds(struct car_buf *out, uint64_t us) {
    car_buf_printf(out, "%llu.%06llu", (unsigned long long)(us / US_PER_S), (unsigned long long)(us % US_PER_S));
}

static void write_number(struct car_buf *out, const struct car_metric *row, uint64_t n) {
    if (row->seconds) {
        write_seconds(out, n);
    } else {
        car_buf_u64(out, n);
    }
    car_buf_char(out, '\n');
}

/* A label that comes last; `more` where others stand before it. */
static void write_bound(struct car_buf *out, bool more, unsigned bucket) {
    car_buf_span(out, more ? CAR_SPAN(",le=\"") : CAR_SPAN("le=\""));
    if (bucket < CAR_HISTOGRAM_BOUNDS) {
        write_seconds(out, UINT64_C(1) << (CAR_HISTOGRAM_FIRST + bucket));
    } else {
        CAR_BUF_LIT(out, "+Inf");
    }
    CAR_BUF_LIT(out, "\"");
}

/* One line without its number. `bucket` is negative where it is no bucket's. */
static void write_name(struct car_buf *out, const struct car_metric *row, const char *suffix, struct car_span labels,
                       int bucket) {
    car_buf_span(out, car_span_cstr(row->name));
    car_buf_span(out, car_span_cstr(suffix));
    if (labels.len || bucket >= 0) {
        car_buf_char(out, '{');
        car_buf_span(out, labels);
        if (bucket >= 0) {
            write_bound(out, labels.len > 0, (unsigned)bucket);
        }
        car_buf_char(out, '}');
    }
    car_buf_char(out, ' ');
}

static void write_histogram(struct car_buf *out, const struct car_metric *row, const struct source *source,
                            size_t offset, struct car_span labels) {
    uint64_t count = 0;
    for (unsigned i = 0; i <= CAR_HISTOGRAM_BOUNDS; i++) {
        count += sum(source, offset + offsetof(struct car_histogram, counts) + i * sizeof(car_cell));
        write_name(out, row, "_bucket", labels, (int)i);
        car_buf_u64(out, count);
        car_buf_char(out, '\n');
    }
    write_name(out, row, "_sum", labels, -1);
    write_seconds(out, sum(source, offset + offsetof(struct car_histogram, sum_us)));
    CAR_BUF_LIT(out, "\n");
    write_name(out, row, "_count", labels, -1);
    car_buf_u64(out, count);
    car_buf_char(out, '\n');
}

static void write_one(struct car_buf *out, const struct car_metric *row, const struct source *source, size_t offset,
                      struct car_span labels) {
    if (row->kind == CAR_METRIC_HISTOGRAM) {
        write_histogram(out, row, source, offset, labels);
    } else {
        write_name(out, row, "", labels, -1);
        write_number(out, row, sum(source, offset));
    }
}

static void write_all(struct car_buf *out, const struct car_metric *row, const struct source *source,
                      struct car_span worker) {
    size_t step = row->kind == CAR_METRIC_HISTOGRAM ? sizeof(struct car_histogram) : sizeof(car_cell);
    struct car_buf labels = CAR_BUF_INIT;
    for (unsigned i = 0; i < (row->series ? row->series : 1); i++) {
        labels.len = 0;
        car_buf_span(&labels, worker);
        if (worker.len && row->labels) {
            car_buf_char(&labels, ',');
        }
        car_buf_span(&labels, row->labels ? car_span_cstr(row->labels[i]) : car_span_of(NULL, 0));
        out->failed = out->failed || labels.failed;
        write_one(out, row, source, row->offset + i * step, car_buf_view(&labels));
    }
    car_buf_free(&labels);
}

void car_metrics_write_head(struct car_buf *out, const struct car_metric *row) {
    static const char *const KINDS[] = {"counter", "gauge", "histogram"};
    car_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, KINDS[row->kind]);
}

void car_metrics_write(struct car_buf *out, const struct car_metric *rows, size_t count, const void *const *blocks,
                       size_t block_count) {
    for (size_t i = 0; i < count; i++) {
        struct source source = {.blocks = blocks, .end = block_count};
        car_metrics_write_head(out, &rows[i]);
        if (!rows[i].apart) {
            write_all(out, &rows[i], &source, car_span_of(NULL, 0));
            continue;
        }
        for (size_t worker = 0; worker < block_count; worker++) {
            struct car_buf label = CAR_BUF_INIT;
            car_buf_printf(&label, "worker=\"%zu\"", worker);
            source.first = worker;
            source.end = worker + 1;
            write_all(out, &rows[i], &source, car_buf_view(&label));
            car_buf_free(&label);
        }
    }
}

void car_metrics_write_series(struct car_buf *out, const struct car_metric *row, const char *label,
                              struct car_span value, uint64_t n) {
    car_buf_printf(out, "%s{%s=\"", row->name, label);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n') {
            CAR_BUF_LIT(out, "\\n");
            continue;
        }
        if (c == '\\' || c == '"') {
            car_buf_char(out, '\\');
        }
        car_buf_char(out, c);
    }
    CAR_BUF_LIT(out, "\"} ");
    write_number(out, row, n);
}
