#include "carillon/base/config.h"

#include <stdlib.h>

void car_config_free(struct car_config *config) {
    free(config->host);
    car_strings_free(&config->tenants);
    car_strings_free(&config->cors_origins);
    free(config->store);
    free(config->retention);
    free(config->sio_namespace);
    free(config->config_file);
    *config = (struct car_config){0};
}
