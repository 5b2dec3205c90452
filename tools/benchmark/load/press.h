#ifndef CARILLON_LOAD_PRESS_H
#define CARILLON_LOAD_PRESS_H

struct options;

/* A tenant that takes all it can get, until standard input ends: a flood of events, a flood with a thousand readers
 * that stall, handshakes, or batches of some 0.9 MB, the next on each connection as soon as the last is answered. Ten
 * of its subscribers read on and have to stay, but for batches, which none could follow. Prints its document and
 * returns the exit code. */
int press_main(const struct options *options);

#endif
