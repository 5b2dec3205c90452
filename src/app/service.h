#ifndef CARILLON_APP_SERVICE_H
#define CARILLON_APP_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "notify.h"

struct car_control;
struct car_pulse;
struct car_worker;

/*
 * The process as its service manager sees it (sd_notify(3), systemd.service(5), Type=notify): when it serves, reloads
 * and ends, and that it is alive. A manager that wants signs of life (WATCHDOG_USEC) gets them while every worker's
 * loop turns. Without a manager nothing of this does anything. The main thread's.
 */
struct car_service {
    struct car_notify notify;
    struct car_pulse *pulse;
    char status[300];
    bool stopping;
};

/* From the environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. What is wrong there is logged, and costs only the
 * notifications. */
void car_service_open(struct car_service *service);

/* Connections are accepted: `host` and `port` are what is told of it. The signs of life begin. */
void car_service_ready(struct car_service *service, struct car_control *control, struct car_worker *const *workers,
                       unsigned count, const char *host, unsigned port);

/* Around a reload. */
void car_service_reloading(struct car_service *service);
void car_service_reloaded(struct car_service *service);

/* No connections are accepted any more. */
void car_service_stopping(struct car_service *service, unsigned connections);

/* Another process serves in this one's place: from now on it is the one to be heard. */
void car_service_passed_on(struct car_service *service, long pid);

/* When the workers were joined, and before the control's loop goes. */
void car_service_close(struct car_service *service);

#endif
