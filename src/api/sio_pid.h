#ifndef CARILLON_API_SIO_PID_H
#define CARILLON_API_SIO_PID_H

#include <stdbool.h>

#include "carillon/base/span.h"

#define CAR_SIO_PID_LEN 32
#define CAR_SIO_SID_LEN 20

/*
 * A session's name across reconnects, for connection state recovery. Nothing is kept for it: it is a random part, and a
 * digest of that with whose session it was, where, and of which log. So it is good for the same tenant and user, or API
 * key, in the same namespace, on the same log, on any worker and after a restart; for anybody else it is no pid. It
 * opens nothing by itself: who presents it presents a credential as well. Base64url.
 */
struct car_sio_pid {
    char text[CAR_SIO_PID_LEN];
};

/* What a pid is bound to. */
struct car_sio_realm {
    struct car_span tenant, subject, nsp;
    struct car_span epoch; /* car_feed_epoch: the pid of a tenant that had that id before is none */
};

void car_sio_pid_make(const struct car_sio_realm *realm, struct car_sio_pid *pid);

/* Whether the text is a pid of that realm; then *pid is it. */
bool car_sio_pid_read(struct car_span text, const struct car_sio_realm *realm, struct car_sio_pid *pid);

/* The socket's id, which everybody may know: it follows from the pid, and so is the same after a recovery; the pid does
 * not follow from it. */
void car_sio_pid_sid(const struct car_sio_pid *pid, char out[CAR_SIO_SID_LEN]);

#endif
