#ifndef CARILLON_LOAD_FLOOR_H
#define CARILLON_LOAD_FLOOR_H

struct options;

/* What the kernel alone takes to send events over the loopback, one send() a socket: what no server can go below.
 * Prints its document and returns the exit code. */
int floor_main(const struct options *options);

#endif
