#include "group_keys.h"

#include <assert.h>

#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/repeat.h"

/* How many of the keys that are too old go with each transaction that stores keys, beside two for each of those: so
 * they never become more. Where none are stored, they go with one transaction a minute. */
#define SWEEP    64
#define SWEEP_MS 60000

void car_group_keys_begin(struct car_group_keys *keys) {
    keys->asked_count = 0;
    keys->added = 0;
}

void car_group_keys_ask(struct car_group_keys *keys, struct car_publish *publish) {
    if (publish->key) {
        assert(keys->asked_count < CAR_GROUP_EVENTS);
        keys->asked[keys->asked_count++] = publish;
    }
}

int car_group_keys_recall(struct car_group_keys *keys, struct car_rows *rows) {
    if (keys->asked_count == 0) {
        return 0;
    }
    return rows->ops->recall(rows, keys->asked, keys->asked_count, car_clock_wall_ms() - CAR_REPEAT_MS);
}

void car_group_keys_add(struct car_group_keys *keys, const struct car_publish *publish) {
    if (publish->key) {
        assert(keys->owed + keys->added < CAR_GROUP_OWED);
        keys->rows[keys->owed + keys->added++] = (struct car_rows_key){
            .tenant = publish->tenant,
            .key = *publish->key,
            .first = publish->events[0]->seq,
            .count = publish->count,
            .at_ms = publish->events[0]->wall_ms,
        };
    }
}

int car_group_keys_store(struct car_group_keys *keys, struct car_rows *rows, int64_t now_ms) {
    int err = keys->added ? rows->ops->remember(rows, keys->rows + keys->owed, keys->added) : 0;
    if (!err && (keys->added || now_ms - keys->swept_ms >= SWEEP_MS)) {
        keys->swept_ms = now_ms;
        err = rows->ops->expire(rows, now_ms - CAR_REPEAT_MS, SWEEP + 2 * keys->added);
    }
    return err;
}

void car_group_keys_owe(struct car_group_keys *keys) {
    keys->owed += keys->added;
    keys->added = 0;
}

void car_group_keys_pay(struct car_group_keys *keys) {
    keys->owed = 0;
}

int car_group_keys_store_owed(struct car_group_keys *keys, struct car_rows *rows) {
    return keys->owed ? rows->ops->remember(rows, keys->rows, keys->owed) : 0;
}
