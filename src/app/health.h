#ifndef CARILLON_APP_HEALTH_H
#define CARILLON_APP_HEALTH_H

#include <stdbool.h>

/* Whether the command line says `carillon health`. */
bool car_health_is_asked(int argc, char *const *argv);

/* Asks a running server whether it is ready, or, with --live, alive: that of --url, or the one that the same flags,
 * environment and file would start. The process's exit code, within four seconds: 0, and a line on standard output; or
 * 1, and a line on standard error says why. Never 2, which container engines keep for themselves. */
int car_health_main(int argc, char *const *argv);

#endif
