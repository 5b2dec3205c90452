#include "floor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"
#include "clock.h"
#include "faults.h"
#include "json.h"
#include "load.h"
#include "options.h"
#include "report.h"
#include "sink.h"

/* The sizes take turns, so that whatever disturbs the machine for a while disturbs them all. The first turn warms up.
 */
#define REPETITIONS 7

struct floor {
    const struct options *options;
    struct sink sink;
    struct faults faults;
    char *message;
    uint64_t deadline;
    double event_us[OPTION_LIST_MAX][REPETITIONS]; /* processor time for each event */
};

static bool send_all(struct floor *floor, size_t len) {
    for (uint32_t i = 0; i < floor->sink.count; i++) {
        if (send(floor->sink.fds[i], floor->message, len, MSG_NOSIGNAL) != (ssize_t)len) {
            faults_add(&floor->faults, "%zu bytes could not be sent whole on socket %" PRIu32, len, i);
            return false;
        }
    }
    return true;
}

/* Sends `batch` events on each socket, round by round, each when the one before is read. Returns whether all went well.
 */
static bool repeat(struct floor *floor, uint32_t batch, double *event_us) {
    const struct options *options = floor->options;
    size_t len = (size_t)batch * options->bytes;
    uint64_t cpu = 0;
    for (uint32_t round = 0; round < options->rounds; round++) {
        uint64_t before = clock_read(CLOCK_THREAD_CPUTIME_ID);
        if (!send_all(floor, len)) {
            return false;
        }
        cpu += clock_read(CLOCK_THREAD_CPUTIME_ID) - before;
        if (!sink_wait(&floor->sink, len * floor->sink.count, floor->deadline)) {
            faults_add(&floor->faults, "timed out: a round of %" PRIu32 " events a socket was not read", batch);
            return false;
        }
    }
    *event_us = (double)cpu / 1e3 / ((double)options->rounds * floor->sink.count * batch);
    return true;
}

static void measure(struct floor *floor) {
    const struct option_list *batch = &floor->options->batch;
    double warm_up;
    for (int repetition = -1; repetition < REPETITIONS; repetition++) {
        for (unsigned i = 0; i < batch->count; i++) {
            if (!repeat(floor, batch->values[i], repetition < 0 ? &warm_up : &floor->event_us[i][repetition])) {
                return;
            }
        }
    }
}

static int compare(const void *a, const void *b) {
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

static void report(struct floor *floor) {
    const struct option_list *batch = &floor->options->batch;
    struct json json = {0};
    char key[OPTION_LIST_MAX][16];
    for (unsigned i = 0; i < batch->count; i++) {
        qsort(floor->event_us[i], REPETITIONS, sizeof *floor->event_us[i], compare);
        snprintf(key[i], sizeof key[i], "%" PRIu32, batch->values[i]);
    }
    json_open(&json, NULL, '{');
    report_head(&json, "floor", &floor->faults);
    options_json(floor->options, &json);
    json_open(&json, "send_us", '{');
    for (unsigned i = 0; i < batch->count; i++) {
        json_number(&json, key[i], floor->event_us[i][REPETITIONS / 2] * batch->values[i]);
    }
    json_close(&json, '}');
    json_open(&json, "event_us", '{');
    for (unsigned i = 0; i < batch->count; i++) {
        json_number(&json, key[i], floor->event_us[i][REPETITIONS / 2]);
    }
    json_close(&json, '}');
    json_open(&json, "spread", '{');
    for (unsigned i = 0; i < batch->count; i++) {
        json_open(&json, key[i], '{');
        json_number(&json, "min", floor->event_us[i][0]);
        json_number(&json, "max", floor->event_us[i][REPETITIONS - 1]);
        json_close(&json, '}');
    }
    json_close(&json, '}');
    json_close(&json, '}');
    putchar('\n');
}

static size_t longest(const struct options *options) {
    uint32_t most = 0;
    for (unsigned i = 0; i < options->batch.count; i++) {
        most = options->batch.values[i] > most ? options->batch.values[i] : most;
    }
    return (size_t)most * options->bytes;
}

int floor_main(const struct options *options) {
    struct floor floor = {.options = options, .deadline = clock_now() + clock_from_seconds(options->timeout)};
    int code = 2;
    faults_init(&floor.faults);
    if (load_raise_files(options->sockets) != 0) {
        return code;
    }
    if (sink_start(&floor.sink, options->sockets) == 0) {
        floor.message = memory_zeroed(1, longest(options));
        memset(floor.message, '.', longest(options));
        measure(&floor);
        report(&floor);
        code = atomic_load(&floor.faults.count) > 0;
    } else {
        fprintf(stderr, "carillon-load: no sink with %" PRIu32 " sockets: %s\n", options->sockets, strerror(errno));
    }
    sink_stop(&floor.sink);
    free(floor.message);
    return code;
}
