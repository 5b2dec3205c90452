#include "certificate.h"

#include "carillon/api/api.h"
#include "carillon/base/config.h"

bool car_may_publish(const struct car_api *api, bool certified) {
    return certified || !api->config->tls_client_ca;
}
