#include "carillon/feed/repeat.h"

#include <assert.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"

bool car_repeat_any(struct car_publish *const *batch, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (batch[i]->key) {
            return true;
        }
    }
    return false;
}

bool car_repeat_fits(struct car_publish *publish, const uint8_t *body, uint32_t count) {
    bool same = count == publish->count && memcmp(body, publish->key->body, sizeof publish->key->body) == 0;
    if (!same) {
        publish->status = CAR_EEXIST;
    }
    return same;
}

void car_repeat_replay(struct car_publish *publish, struct car_event *const *events) {
    for (uint32_t i = 0; i < publish->count; i++) {
        car_event_unref(&publish->events[i]);
        publish->events[i] = car_event_ref(events[i]);
    }
    publish->replayed = true;
}

/* One of these, which are to be stored, that has the same key. */
static struct car_publish *twin_of(struct car_publish *const *front, size_t count, const struct car_publish *publish) {
    for (size_t i = 0; i < count; i++) {
        const struct car_publish_key *key = front[i]->key;
        if (key && memcmp(key->key, publish->key->key, sizeof key->key) == 0) {
            return front[i];
        }
    }
    return NULL;
}

size_t car_repeat_sort(struct car_publish **batch, size_t count) {
    struct car_publish *others[CAR_DRAIN_BATCH];
    size_t front = 0;
    size_t rest = 0;
    assert(count <= CAR_DRAIN_BATCH);
    for (size_t i = 0; i < count; i++) {
        struct car_publish *publish = batch[i];
        bool open = publish->status == 0 && !publish->replayed;
        publish->twin = open && publish->key ? twin_of(batch, front, publish) : NULL;
        if (open && !publish->twin) {
            batch[front++] = publish;
        } else {
            others[rest++] = publish;
        }
    }
    if (rest) {
        memcpy(batch + front, others, rest * sizeof *others);
    }
    return front;
}

void car_repeat_settle(struct car_publish **others, size_t count, int status) {
    for (size_t i = 0; i < count; i++) {
        struct car_publish *publish = others[i];
        const struct car_publish *twin = publish->twin;
        if (twin && status) {
            publish->status = status;
        } else if (twin && car_repeat_fits(publish, twin->key->body, twin->count)) {
            car_repeat_replay(publish, twin->events);
        }
    }
}
