#ifndef CARILLON_APP_ACCESS_H
#define CARILLON_APP_ACCESS_H

#include "carillon/base/buf.h"
#include "carillon/guard/auth.h"

struct car_config;
struct car_feed;
struct car_reader;

/*
 * Who is let in, as the process sets it up: fills a struct car_auth from the configuration, and keeps what it points
 * to. Its members are borrowed. All on the process's main thread.
 */
struct car_access {
    struct car_auth *auth;
    const struct car_config *config;
    struct car_reader *reader;
};

/* Before the log is opened: the mode, the administrator's key, and a table that the log's keys go into as it is opened.
 * 0 or CAR_ENOMEM. */
int car_access_prepare(struct car_access *access, struct car_feed *feed);

/* When the log is open, and before the workers run: reads the files. On an error `error` has a line that names the
 * file, or is empty. 0 or a CAR_E… code. */
int car_access_open(struct car_access *access, struct car_buf *error);

/* Tells the log what is open and most likely not meant to be, of a server that serves. */
void car_access_advise(const struct car_access *access);

/* Only reads the files, for --check-config, and keeps nothing. 0; else as car_access_open. */
int car_access_check(const struct car_config *config, struct car_buf *error);

/* Reads again what can be read again, the users and the keys of tokens, each of which stays as it was where that fails,
 * and tells the log and the audit log how it went. Whether somebody has to leave (car_lease_look). */
bool car_access_reload(struct car_access *access);

/* All threads have ended; what was never prepared is allowed. */
void car_access_close(struct car_access *access);

#endif
