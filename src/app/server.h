#ifndef CARILLON_APP_SERVER_H
#define CARILLON_APP_SERVER_H

struct car_config;

/* Serves until a signal ends it; sets everything up and takes everything down. The process's exit code: 0 after a
 * drain, 1 where it could not start (and stderr says why). */
int car_server_run(const struct car_config *config, const char *version);

#endif
