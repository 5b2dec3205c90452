#include "crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "load.h"

static void *work(void *user) {
    struct loop *loop = user;
    const struct load *load = loop->user;
    while (!atomic_load(&load->stop)) {
        loop_turn(loop, clock_now() + CLOCK_NS_PER_S);
    }
    return NULL;
}

void crew_start(struct load *load) {
    load->loops[0].thread = pthread_self();
    for (uint32_t i = 1; i < load->loop_count; i++) {
        struct loop *loop = &load->loops[i];
        loop->user = load;
        int error = pthread_create(&loop->thread, NULL, work, loop);
        if (error != 0) {
            fprintf(stderr, "carillon-load: no thread: %s\n", strerror(error));
            exit(2);
        }
    }
}

void crew_stop(struct load *load) {
    atomic_store(&load->stop, true);
    for (uint32_t i = 1; i < load->loop_count; i++) {
        loop_ring(&load->loops[i]);
        pthread_join(load->loops[i].thread, NULL);
    }
}

void crew_cpu(const struct load *load, uint64_t *ns) {
    for (uint32_t i = 0; i < load->loop_count; i++) {
        clockid_t clock;
        ns[i] = pthread_getcpuclockid(load->loops[i].thread, &clock) == 0 ? clock_read(clock) : 0;
    }
}
