#ifndef CARILLON_FEED_SESSION_STATE_H
#define CARILLON_FEED_SESSION_STATE_H

#include <stdbool.h>

struct car_session;

/* Takes a live session off its lane's live list: it reads from the history from now on, as soon as the transport can
 * take more, or, where `soon`, in the next turn. */
void car_session_fall_behind(struct car_session *session, bool soon);

/* It gets nothing more, and is told to go because memory is short. */
void car_session_shed(struct car_session *session);

#endif
