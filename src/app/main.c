#include <errno.h>
#include <string.h>

#include "carillon/base/audit.h"
#include "carillon/base/config.h"

#include "access.h"
#include "backup.h"
#include "flags.h"
#include "hash_token.h"
#include "health.h"
#include "server.h"
#include "successor.h"
#include "tls_files.h"

/* For --check-config: what the configuration names. */
static int check_files(const struct car_config *config, struct car_buf *error) {
    int err = car_audit_check(config->audit_log);
    if (err) {
        car_buf_printf(error, "--audit-log: %s: %s", config->audit_log, strerror(errno));
    }
    err = err ? err : car_access_check(config, error);
    return err ? err : car_tls_files_check(config, error);
}

int main(int argc, char **argv) {
    struct car_config config = {0};
    if (car_backup_is_asked(argc, argv)) {
        return car_backup_main(argc, argv);
    }
    if (car_hash_token_is_asked(argc, argv)) {
        return car_hash_token_main(argc, argv);
    }
    if (car_health_is_asked(argc, argv)) {
        return car_health_main(argc, argv);
    }
    car_successor_remember(argv);
    struct car_flags_result flags = car_flags_parse(argc, argv, check_files, &config);
    if (!flags.run) {
        return flags.exit_code;
    }
    int code = car_server_run(&config, car_flags_version());
    car_config_free(&config);
    return code;
}
