#include "carillon/base/config.h"

#include "access.h"
#include "backup.h"
#include "flags.h"
#include "hash_token.h"
#include "server.h"

int main(int argc, char **argv) {
    struct car_config config = {0};
    if (car_backup_is_asked(argc, argv)) {
        return car_backup_main(argc, argv);
    }
    if (car_hash_token_is_asked(argc, argv)) {
        return car_hash_token_main(argc, argv);
    }
    struct car_flags_result flags = car_flags_parse(argc, argv, car_access_check, &config);
    if (!flags.run) {
        return flags.exit_code;
    }
    int code = car_server_run(&config, car_flags_version());
    car_config_free(&config);
    return code;
}
