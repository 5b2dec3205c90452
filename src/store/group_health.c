#include "group_health.h"

#include "carillon/base/log.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/runtime/turn.h"

#include "group.h"

bool car_group_said(struct car_log *log, const struct car_rows *rows, int err) {
    bool failing = err != 0;
    car_cell_add(&log->metrics->failures, failing);
    if (failing != car_group_is_failing(log)) {
        atomic_store_explicit(&log->failing, failing, memory_order_relaxed);
        if (failing) {
            car_log_error("store: publishers are refused: %s", rows->why);
        } else {
            car_log_warn("store: well again");
        }
    }
    return failing;
}

int car_group_commit(struct car_log *log, struct car_rows *rows) {
    uint64_t began = car_turn_mark();
    int err = rows->ops->commit(rows);
    car_histogram_add(&log->metrics->commit, car_turn_mark() - began, 1);
    return err;
}

void car_group_count(struct car_log *log, size_t events) {
    car_cell_add(&log->metrics->events, events);
    car_cell_add(&log->metrics->transactions, 1);
}

uint64_t car_group_transactions(const struct car_log *log) {
    return car_cell_get(&log->metrics->transactions);
}

int car_group_probe(struct car_rows *rows) {
    int err = rows->ops->begin(rows);
    if (!err) {
        err = rows->ops->probe(rows);
        err = err ? err : rows->ops->commit(rows);
        if (err) {
            rows->ops->rollback(rows);
        }
    }
    return err;
}
