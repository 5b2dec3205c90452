#include "carillon/feed/history.h"

#include <assert.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"

#define SLOTS_MIN 16u

/* The event of seq stands in slot seq & mask, or the slot is NULL, or it holds another's: readers compare seq. */
struct car_history_slots {
    struct car_retired retired;
    uint64_t mask;
    _Atomic(struct car_event *) at[];
};

static struct car_history_slots *slots_new(uint64_t size) {
    struct car_history_slots *slots = calloc(1, sizeof *slots + size * sizeof slots->at[0]);
    if (slots) {
        slots->mask = size - 1;
    }
    return slots;
}

static void slots_retired(struct car_retired *retired) {
    free(retired); /* its first member */
}

static void event_retired(struct car_retired *retired) {
    struct car_event *event = (struct car_event *)retired; /* its first member */
    car_event_unref(&event);
}

void car_history_init(struct car_history *history, uint64_t newest) {
    atomic_init(&history->slots, NULL);
    atomic_init(&history->oldest, newest + 1);
    atomic_init(&history->newest, newest);
}

void car_history_free(struct car_history *history) {
    struct car_history_slots *slots = atomic_load_explicit(&history->slots, memory_order_acquire);
    if (!slots) {
        return;
    }
    uint64_t newest = car_history_newest(history);
    for (uint64_t seq = car_history_oldest(history); seq <= newest; seq++) {
        struct car_event *event = atomic_load_explicit(&slots->at[seq & slots->mask], memory_order_relaxed);
        car_event_unref(&event);
    }
    free(slots);
    car_history_init(history, newest);
}

/* Slots that hold what is kept and all up to `seq`: twice as many, or more, where they do not yet. Readers of the old
 * ones go on: what they hold stays right until it is retired, and nothing more is written into them. */
static struct car_history_slots *room_for(struct car_history *history, struct car_reader *reader, uint64_t seq) {
    struct car_history_slots *slots = atomic_load_explicit(&history->slots, memory_order_relaxed);
    uint64_t oldest = car_history_oldest(history);
    if (slots && seq - oldest <= slots->mask) {
        return slots;
    }
    uint64_t newest = car_history_newest(history);
    uint64_t size = slots ? (slots->mask + 1) * 2 : SLOTS_MIN;
    while (seq - oldest >= size) {
        size *= 2;
    }
    struct car_history_slots *wider = slots_new(size);
    if (!wider) {
        return NULL;
    }
    for (uint64_t i = oldest; slots && i <= newest; i++) {
        struct car_event *event = atomic_load_explicit(&slots->at[i & slots->mask], memory_order_relaxed);
        atomic_store_explicit(&wider->at[i & wider->mask], event, memory_order_relaxed);
    }
    atomic_store_explicit(&history->slots, wider, memory_order_release);
    if (slots) {
        car_reader_retire(reader, &slots->retired, slots_retired);
    }
    return wider;
}

int car_history_reserve(struct car_history *history, struct car_reader *reader, size_t count) {
    return count == 0 || room_for(history, reader, car_history_newest(history) + count) ? 0 : CAR_ENOMEM;
}

int car_history_append(struct car_history *history, struct car_reader *reader, struct car_event *event) {
    assert(event->seq == car_history_newest(history) + 1);
    struct car_history_slots *slots = room_for(history, reader, event->seq);
    if (!slots) {
        return CAR_ENOMEM;
    }
    atomic_store_explicit(&slots->at[event->seq & slots->mask], event, memory_order_release);
    atomic_store_explicit(&history->newest, event->seq, memory_order_release);
    return 0;
}

size_t car_history_forget(struct car_history *history, struct car_reader *reader, uint64_t seq) {
    struct car_history_slots *slots = atomic_load_explicit(&history->slots, memory_order_relaxed);
    uint64_t oldest = car_history_oldest(history);
    uint64_t end = car_history_newest(history) + 1;
    seq = seq < end ? seq : end;
    if (seq <= oldest) {
        return 0;
    }
    size_t bytes = 0;
    atomic_store_explicit(&history->oldest, seq, memory_order_release);
    for (; oldest < seq; oldest++) {
        _Atomic(struct car_event *) *slot = &slots->at[oldest & slots->mask];
        struct car_event *event = atomic_load_explicit(slot, memory_order_relaxed);
        atomic_store_explicit(slot, NULL, memory_order_relaxed);
        bytes += event->size;
        car_reader_retire(reader, &event->retired, event_retired);
    }
    return bytes;
}

size_t car_history_drop(struct car_history *history, struct car_reader *reader) {
    size_t bytes = car_history_forget(history, reader, car_history_newest(history) + 1);
    struct car_history_slots *slots = atomic_exchange(&history->slots, NULL);
    if (slots) {
        car_reader_retire(reader, &slots->retired, slots_retired);
    }
    return bytes;
}

static struct car_event *look(struct car_history_slots *slots, uint64_t seq) {
    struct car_event *event = atomic_load_explicit(&slots->at[seq & slots->mask], memory_order_acquire);
    return event && event->seq == seq ? event : NULL;
}

size_t car_history_read(struct car_history *history, struct car_reader *reader, uint64_t seq, struct car_event **out,
                        size_t max) {
    size_t n = 0;
    car_reader_enter(reader);
    uint64_t newest = car_history_newest(history); /* before slots: these then hold it, unless it was forgotten since */
    struct car_history_slots *slots = atomic_load_explicit(&history->slots, memory_order_acquire);
    while (slots && n < max) {
        uint64_t oldest = car_history_oldest(history);
        if (n == 0 && seq < oldest) {
            seq = oldest;
        }
        if (seq > newest) {
            break;
        }
        struct car_event *event = look(slots, seq);
        if (!event) {
            if (n > 0) {
                break; /* forgotten under our eyes: what was read so far is whole */
            }
            slots = atomic_load_explicit(&history->slots, memory_order_acquire);
            continue;
        }
        out[n++] = car_event_ref(event);
        seq++;
    }
    car_reader_leave(reader);
    return n;
}
