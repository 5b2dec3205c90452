#include "group_health.h"

#include "carillon/base/log.h"

#include "group.h"

bool car_group_said(struct car_log *log, const struct car_rows *rows, int err) {
    bool failing = err != 0;
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
