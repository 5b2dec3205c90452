#ifndef CARILLON_APP_SUCCESSOR_H
#define CARILLON_APP_SUCCESSOR_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The process that may take this one's place: this program as it now lies where this one was started from, with the
 * same arguments and environment. It is started by posix_spawn, which is safe where there are other threads, and gets
 * no descriptor but the three of the standard streams and those of takeover.h: all others are closed on exec. Main
 * thread.
 */
struct car_successor {
    pid_t pid; /* 0: there is none */
    int line;  /* to it; -1 */
    int status;
};

/* Remembers how this process was started: argv lives as long as it does. Before the working directory changes. */
void car_successor_remember(char *const *argv);

/* Starts it to look at the configuration only. 0, or an errno. */
int car_successor_check(struct car_successor *successor);

/* Starts it to take over that listening socket and that lock on the store (-1: none). 0, or an errno. */
int car_successor_start(struct car_successor *successor, int listening, int lock);

/* What it has said: a character; 0 where nothing as yet, or nothing more. */
char car_successor_hear(const struct car_successor *successor);

/* false: it does not listen any more. */
bool car_successor_tell(const struct car_successor *successor, char what);

/* Whether it has ended; `status` then is as waitpid has it. */
bool car_successor_has_ended(struct car_successor *successor);

/* Ends it as it is, and returns when it has surely ended: what it held is free. Harmless where there is none. */
void car_successor_kill(struct car_successor *successor);

/* Lets go of it: it goes on by itself. */
void car_successor_release(struct car_successor *successor);

#endif
