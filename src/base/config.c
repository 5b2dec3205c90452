#include "carillon/base/config.h"

#include <stdlib.h>

void car_config_free(struct car_config *config) {
    free(config->host);
    free(config->pid_file);
    car_strings_free(&config->trusted_proxies);
    free(config->trusted);
    free(config->tls_cert);
    free(config->tls_key);
    free(config->tls_client_ca);
    car_strings_free(&config->tenants);
    car_strings_free(&config->cors_origins);
    free(config->store);
    free(config->retention);
    free(config->rate_limit_tenant.text);
    free(config->rate_limit_ip.text);
    free(config->rate_limit_user.text);
    free(config->handshake_rate.text);
    free(config->admin_key);
    free(config->users);
    free(config->jwt_public_key);
    free(config->jwt_secret_file);
    free(config->jwt_audience);
    free(config->jwt_issuer);
    free(config->sio_namespace);
    free(config->audit_log);
    free(config->config_file);
    *config = (struct car_config){0};
}
