/*
 * The load generator of the benchmark: it publishes events, receives them on many sockets, checks each of them, and
 * tells in one JSON document on stdout what the server took for it. See tools/bench for how it is used.
 *
 * Modes: run.c, idle.c, floor.c (with sink.c, the process that reads), press.c (a tenant that takes all it can get);
 * report.c writes the document of a run. Sockets: load.c makes them, connecting.c and client.c connect them, loop.c
 * reads, conn.c writes; crew.c has the threads. Out: publishing.c says when, form.c writes, keys.c has what to show,
 * posts.c waits for the acknowledgements that poster.c finds. In: client.c takes frames apart, dialect*.c tell what
 * they are, event.c reads events and delivery.c checks them, flights.c counts them off. Bytes: http.c, ws.c, sse.c,
 * marker.c. Figures: process.c, histogram.c, clock.h; stall.c and strain.c tell whether the load itself was the limit.
 */
#include <sys/prctl.h>

#include "floor.h"
#include "idle.h"
#include "options.h"
#include "press.h"
#include "run.h"

int main(int argc, char **argv) {
    struct options options;
    if (options_parse(&options, argc, argv) != 0) {
        return 2;
    }
    /* Timeouts are to end when they say, not when it suits: the standard allows 50 microseconds. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    switch (options.mode) {
    case MODE_RUN:
        return run_main(&options);
    case MODE_IDLE:
        return idle_main(&options);
    case MODE_FLOOR:
        return floor_main(&options);
    case MODE_PRESS:
        return press_main(&options);
    }
    return 2;
}
