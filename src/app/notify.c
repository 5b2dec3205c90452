#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"

#define LINES_MAX 1000
#define WAIT_US   200000

int car_notify_open(struct car_notify *notify, const char *address) {
    static const struct timeval WAIT = {.tv_usec = WAIT_US};
    size_t len = address ? strlen(address) : 0;
    *notify = (struct car_notify){.fd = -1, .to.sun_family = AF_UNIX};
    if (len == 0) {
        return 0;
    }
    if ((address[0] != '/' && address[0] != '@') || len < 2 || len >= sizeof notify->to.sun_path) {
        return CAR_EINVAL;
    }
    memcpy(notify->to.sun_path, address, len);
    if (address[0] == '@') {
        notify->to.sun_path[0] = '\0'; /* unix(7): an abstract name has a length and no end */
    }
    notify->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (address[0] == '/'));
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0) {
        return CAR_ESYS;
    }
    (void)setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &WAIT, sizeof WAIT);
    return 0;
}

void car_notify_close(struct car_notify *notify) {
    if (notify->fd >= 0) {
        close(notify->fd);
        notify->fd = -1;
    }
}

void car_notify_send(const struct car_notify *notify, const char *format, ...) {
    char lines[LINES_MAX + 1];
    va_list args;
    if (notify->fd < 0) {
        return;
    }
    va_start(args, format);
    int len = vsnprintf(lines, sizeof lines, format, args);
    va_end(args);
    size_t size = len < 0 ? 0 : (size_t)len > LINES_MAX ? LINES_MAX : (size_t)len;
    ssize_t sent;
    do {
        sent = sendto(notify->fd, lines, size, MSG_NOSIGNAL, (const struct sockaddr *)&notify->to, notify->to_len);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        car_log_warn("NOTIFY_SOCKET: %s", strerror(errno));
    }
}
