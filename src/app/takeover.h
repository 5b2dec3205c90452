#ifndef CARILLON_APP_TAKEOVER_H
#define CARILLON_APP_TAKEOVER_H

#include <stdbool.h>

/*
 * What a process gets from the one that started it: a listening socket, and, where a former server hands over
 * (upgrade.h), its lock on the store and a line to it. Main thread.
 *
 * A supervisor passes a socket as sd_listen_fds(3) says: descriptor 3, LISTEN_PID and LISTEN_FDS. A former server says
 * in CARILLON_HANDOVER which ones they are, as it cannot know the process's number before that has an environment.
 */
struct car_takeover {
    int listening; /* a listening socket; 0: none, and one is to be made */
    int line;      /* to the former server; 0: there is none */
    int lock;      /* on its store; 0: that has none which could be inherited */
};

#define CAR_TAKEOVER_ENV    "CARILLON_HANDOVER"
#define CAR_TAKEOVER_LISTEN 3
#define CAR_TAKEOVER_LINE   4
#define CAR_TAKEOVER_LOCK   5

/* What is said on the line. */
#define CAR_TAKEOVER_PREPARED 'P' /* the new one: all is done that needs no store */
#define CAR_TAKEOVER_GO       'G' /* the former one: the store is free */
#define CAR_TAKEOVER_READY    'R' /* the new one: it could serve */
#define CAR_TAKEOVER_SERVE    'S' /* the former one: it is the new one that serves from now on */

/* Looks at the environment. false where what was passed is not what it is said to be; `why` then has a line. */
bool car_takeover_read(struct car_takeover *takeover, const char **why);

/* Tells the former server that all is prepared, and waits until the store is free. false: it has gone, or does not want
 * it any more. Without one: true, at once. */
bool car_takeover_wait(const struct car_takeover *takeover);

/* Tells the former server that this one could serve, and waits until it is to: until then nobody may be accepted, for
 * the former one may think better of it, and end this process as it is. One that has gone meanwhile has left it all to
 * this one. */
void car_takeover_ready(struct car_takeover *takeover);

#endif
