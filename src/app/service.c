#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/base/span.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/pulse.h"

#define LOOKS_A_WATCHDOG 4 /* half the time is what the manual asks for: so one look may find a worker busy */

void car_service_open(struct car_service *service) {
    const char *address = getenv("NOTIFY_SOCKET");
    int err = car_notify_open(&service->notify, address);
    if (err) {
        car_log_warn("NOTIFY_SOCKET: %s: %s", address, car_strerror(err));
    }
}

static void on_beat(void *user) {
    const struct car_service *service = user;
    car_notify_send(&service->notify, "WATCHDOG=1");
}

static void on_silent(void *user, unsigned worker_id) {
    (void)user;
    car_log_warn("worker %u is busy or hangs: no sign of life to the watchdog", worker_id);
}

static const struct car_pulse_ops PULSE_OPS = {.beat = on_beat, .silent = on_silent};

/* Microseconds; 0 where nobody wants a sign of life from this process. */
static uint64_t watchdog_us(void) {
    uint64_t us = 0;
    uint64_t pid = 0;
    const char *text = getenv("WATCHDOG_USEC");
    const char *whose = getenv("WATCHDOG_PID");
    if (!text || (whose && (car_span_u64(car_span_cstr(whose), UINT32_MAX, &pid) != 0 || pid != (uint64_t)getpid()))) {
        return 0;
    }
    if (car_span_u64(car_span_cstr(text), UINT64_MAX / 2, &us) != 0) {
        car_log_warn("WATCHDOG_USEC: %s is no number of microseconds", text);
    }
    return us;
}

void car_service_ready(struct car_service *service, struct car_control *control, struct car_worker *const *workers,
                       unsigned count, const char *host, unsigned port) {
    if (service->notify.fd < 0) {
        return;
    }
    snprintf(service->status, sizeof service->status, "listening on %s port %u", host, port);
    car_service_reloaded(service);
    uint64_t every_ms = watchdog_us() / 1000 / LOOKS_A_WATCHDOG;
    if (every_ms && car_pulse_open(&service->pulse, car_control_loop(control), workers, count, every_ms, &PULSE_OPS,
                                   service) != 0) {
        abort(); /* out of memory before the process serves anybody */
    }
}

void car_service_reloading(struct car_service *service) {
    if (!service->stopping) {
        car_notify_send(&service->notify, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reading files again",
                        (unsigned long long)car_clock_mono_us());
    }
}

void car_service_reloaded(struct car_service *service) {
    if (!service->stopping) {
        car_notify_send(&service->notify, "READY=1\nSTATUS=%s", service->status);
    }
}

void car_service_stopping(struct car_service *service, unsigned connections) {
    service->stopping = true;
    car_notify_send(&service->notify, "STOPPING=1\nSTATUS=draining %u connections", connections);
}

void car_service_passed_on(struct car_service *service, long pid) {
    service->stopping = true;
    car_notify_send(&service->notify, "MAINPID=%ld\nREADY=1\nSTATUS=%s", pid, service->status);
}

void car_service_close(struct car_service *service) {
    car_pulse_close(&service->pulse);
    car_notify_close(&service->notify);
}
