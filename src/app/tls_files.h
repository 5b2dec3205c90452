#ifndef CARILLON_APP_TLS_FILES_H
#define CARILLON_APP_TLS_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"

struct car_config;
struct car_net;
struct car_reader;

/* The files of --tls-cert, --tls-key and --tls-client-ca, as the process reads them. All on its main thread. */

/* Before the workers are made: the net speaks TLS, where the configuration has it. 0; else a CAR_E… code, and `error`
 * has a line that names the file. */
int car_tls_files_open(const struct car_config *config, struct car_net *net, struct car_reader *reader,
                       struct car_buf *error);

/* Only reads them, for --check-config. As car_tls_files_open. */
int car_tls_files_check(const struct car_config *config, struct car_buf *error);

/* Reads all of them again, for connections that begin from now on; where one is no good all stay as they were. Tells
 * the log and the audit log how it went, and warns as car_tls_files_warn does; nothing where there are none. */
void car_tls_files_reload(const struct car_config *config, struct car_net *net, struct car_reader *reader);

/* What there is to be said of a certificate that ends at `expires`, both in seconds since 1970: that it has, or will
 * within 14 days. false, and nothing is appended, where there is more time. */
bool car_tls_files_advice(const char *path, int64_t expires, int64_t now, struct car_buf *out);

/* Tells the log where that is so of the certificate in use. */
void car_tls_files_warn(const struct car_config *config, const struct car_net *net);

/* All threads have ended. */
void car_tls_files_close(struct car_net *net);

#endif
