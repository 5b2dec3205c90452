#include "carillon/base/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

/* What a module counts, as one would write it. */
struct block {
    car_cell plain, open, spent_us, by_kind[2];
    struct car_histogram took[2];
};

static const struct car_metric ROWS[] = {
    {.name = "plain_total", .help = "Plain.", .kind = CAR_METRIC_COUNTER, .offset = offsetof(struct block, plain)},
    {.name = "open", .help = "Open.", .kind = CAR_METRIC_GAUGE, .apart = true, .offset = offsetof(struct block, open)},
    {.name = "spent_seconds_total",
     .help = "Spent.",
     .kind = CAR_METRIC_COUNTER,
     .seconds = true,
     .offset = offsetof(struct block, spent_us)},
    {.name = "kinds_total",
     .help = "Kinds.",
     .kind = CAR_METRIC_COUNTER,
     CAR_METRIC_LABELS("kind=\"a\"", "kind=\"b\""),
     .offset = offsetof(struct block, by_kind)},
};

static const struct car_metric HISTOGRAM[] = {
    {.name = "took_seconds",
     .help = "Took.",
     .kind = CAR_METRIC_HISTOGRAM,
     CAR_METRIC_LABELS("of=\"x\"", "of=\"y\""),
     .offset = offsetof(struct block, took)},
};

static struct block *blocks[2];

static void open_blocks(void) {
    for (int i = 0; i < 2; i++) {
        blocks[i] = car_metrics_block(sizeof **blocks);
        CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[i]);
    }
}

static void close_blocks(void) {
    free(blocks[0]);
    free(blocks[1]);
}

static char *written(const struct car_metric *rows, size_t count) {
    struct car_buf out = CAR_BUF_INIT;
    const void *const all[] = {blocks[0], blocks[1]};
    car_metrics_write(&out, rows, count, all, 2);
    car_buf_char(&out, '\0');
    CU_ASSERT_FALSE_FATAL(out.failed);
    return out.data;
}

static void test_blocks(void) {
    open_blocks();
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL((uintptr_t)blocks[i] % CAR_METRICS_LINE, 0);
        CU_ASSERT_EQUAL(car_cell_get(&blocks[i]->took[1].sum_us), 0);
    }
    uintptr_t apart = (uintptr_t)blocks[0] > (uintptr_t)blocks[1] ? (uintptr_t)blocks[0] - (uintptr_t)blocks[1]
                                                                  : (uintptr_t)blocks[1] - (uintptr_t)blocks[0];
    CU_ASSERT(apart >= (sizeof(struct block) + CAR_METRICS_LINE - 1) / CAR_METRICS_LINE * CAR_METRICS_LINE);
    close_blocks();
}

static void test_sums(void) {
    open_blocks();
    car_cell_add(&blocks[0]->plain, 40);
    car_cell_add(&blocks[1]->plain, 2);
    car_cell_add(&blocks[1]->open, 3);
    car_cell_add(&blocks[1]->open, UINT64_MAX); /* one less */
    car_cell_add(&blocks[0]->spent_us, 1500000);
    car_cell_add(&blocks[1]->spent_us, 7);
    car_cell_add(&blocks[1]->by_kind[1], 5);
    char *text = written(ROWS, sizeof ROWS / sizeof *ROWS);
    CU_ASSERT_STRING_EQUAL(text, "# HELP plain_total Plain.\n"
                                 "# TYPE plain_total counter\n"
                                 "plain_total 42\n"
                                 "# HELP open Open.\n"
                                 "# TYPE open gauge\n"
                                 "open{worker=\"0\"} 0\n"
                                 "open{worker=\"1\"} 2\n"
                                 "# HELP spent_seconds_total Spent.\n"
                                 "# TYPE spent_seconds_total counter\n"
                                 "spent_seconds_total 1.500007\n"
                                 "# HELP kinds_total Kinds.\n"
                                 "# TYPE kinds_total counter\n"
                                 "kinds_total{kind=\"a\"} 0\n"
                                 "kinds_total{kind=\"b\"} 5\n");
    free(text);
    close_blocks();
}

/* Each duration is in the first bucket whose bound it does not exceed. */
static void test_bounds(void) {
    static const struct {
        uint64_t us;
        unsigned bucket;
    } CASES[] = {{0, 0},  {1, 0},         {31, 0},        {32, 0},        {33, 1},        {64, 1},
                 {65, 2}, {16777215, 19}, {16777216, 19}, {16777217, 20}, {1u << 30, 20}, {UINT64_MAX, 20}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct car_histogram histogram = {0};
        car_histogram_add(&histogram, CASES[i].us, 3);
        for (unsigned k = 0; k <= CAR_HISTOGRAM_BOUNDS; k++) {
            CU_ASSERT_EQUAL(car_cell_get(&histogram.counts[k]), k == CASES[i].bucket ? 3 : 0);
        }
    }
}

static void test_histogram(void) {
    open_blocks();
    car_histogram_add(&blocks[0]->took[0], 20, 1);
    car_histogram_add(&blocks[1]->took[0], 50, 2);
    car_histogram_add(&blocks[0]->took[0], 20000000, 1);
    char *text = written(HISTOGRAM, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "took_seconds_bucket{of=\"x\",le=\"0.000032\"} 1\n"
                                        "took_seconds_bucket{of=\"x\",le=\"0.000064\"} 3\n"
                                        "took_seconds_bucket{of=\"x\",le=\"0.000128\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "took_seconds_bucket{of=\"x\",le=\"16.777216\"} 3\n"
                                        "took_seconds_bucket{of=\"x\",le=\"+Inf\"} 4\n"
                                        "took_seconds_sum{of=\"x\"} 20.000120\n"
                                        "took_seconds_count{of=\"x\"} 4\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "took_seconds_count{of=\"y\"} 0\n"));
    free(text);
    close_blocks();
}

static void test_escapes(void) {
    static const struct car_metric ROW = {.name = "n", .help = "N.", .kind = CAR_METRIC_GAUGE};
    struct car_buf out = CAR_BUF_INIT;
    car_metrics_write_series(&out, &ROW, "l", CAR_SPAN("a\"b\\c\nd{}é"), 7);
    car_buf_char(&out, '\0');
    CU_ASSERT_STRING_EQUAL(out.data, "n{l=\"a\\\"b\\\\c\\nd{}é\"} 7\n");
    car_buf_free(&out);
}

static const struct car_test TESTS[] = {
    {"blocks on lines of their own", test_blocks}, {"sums over blocks", test_sums}, {"bounds", test_bounds},
    {"histogram is cumulative", test_histogram},   {"escapes", test_escapes},
};

int main(void) {
    return car_suite_main("metrics", TESTS, sizeof TESTS / sizeof *TESTS);
}
