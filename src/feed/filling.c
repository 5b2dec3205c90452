#include "carillon/feed/filling.h"

void car_filling_set(struct car_filling *filling, uint64_t room) {
    atomic_store_explicit(&filling->room, room < INT64_MAX ? (int64_t)room : INT64_MAX, memory_order_relaxed);
}

void car_filling_add(struct car_filling *filling, uint64_t bytes) {
    if (!filling->ask) {
        return;
    }
    int64_t before = atomic_fetch_sub_explicit(&filling->room, (int64_t)bytes, memory_order_relaxed);
    if (before > 0 && before <= (int64_t)bytes) {
        filling->ask(filling->user);
    }
}
