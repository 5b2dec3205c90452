#ifndef CARILLON_API_CERTIFICATE_H
#define CARILLON_API_CERTIFICATE_H

#include <stdbool.h>

struct car_api;

/* Whether a connection may publish that has, or has not, shown a client's certificate: with --tls-client-ca it has to,
 * beside whatever else is wanted of it. Asked where the scope `publish` is, once for requests (router.c), and once for
 * what subscribers ask for over their connections (command.c). Any thread. */
bool car_may_publish(const struct car_api *api, bool certified);

/* Why it may not. */
#define CAR_NO_CERTIFICATE "publishing here takes a client certificate that the server trusts"

#endif
