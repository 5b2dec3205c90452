#ifndef CARILLON_APP_NOTIFY_H
#define CARILLON_APP_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

/*
 * What the process that started this one is told, by the protocol of sd_notify(3): datagrams of NAME=VALUE lines to the
 * socket that NOTIFY_SOCKET names, a path, or '@' and a name of the abstract namespace. On `app`, for only who knows
 * the whole knows when it is ready. Any thread, once it is open.
 */
struct car_notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un to;
    socklen_t to_len;
};

/* `address` may be NULL or empty, for nobody. 0; CAR_EINVAL where it is none, CAR_ESYS and errno; then nobody is told.
 * The variable stays in the environment, for a program that this one makes its successor (MAINPID=). */
int car_notify_open(struct car_notify *notify, const char *address);
void car_notify_close(struct car_notify *notify);

/* Sends the lines, no newline at the end: 1000 bytes at most. Waits for a receiver that does not read, but no longer
 * than a fifth of a second. */
void car_notify_send(const struct car_notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
