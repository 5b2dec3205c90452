#ifndef CARILLON_LOAD_IDLE_H
#define CARILLON_LOAD_IDLE_H

struct options;

/* What it takes to connect sockets that then say nothing, and to keep them. Prints its document and returns the exit
 * code. */
int idle_main(const struct options *options);

#endif
