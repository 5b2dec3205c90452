#ifndef CARILLON_LOAD_RUN_H
#define CARILLON_LOAD_RUN_H

struct options;

/* Each mode prints its document and returns the exit code: 0, 1 where a check failed, 2 where it could not begin. */
int run_main(const struct options *options);

#endif
