#include "carillon/base/config.h"

#include "backup.h"
#include "flags.h"
#include "server.h"

int main(int argc, char **argv) {
    struct car_config config = {0};
    if (car_backup_is_asked(argc, argv)) {
        return car_backup_main(argc, argv);
    }
    struct car_flags_result flags = car_flags_parse(argc, argv, &config);
    if (!flags.run) {
        return flags.exit_code;
    }
    int code = car_server_run(&config, car_flags_version());
    car_config_free(&config);
    return code;
}
