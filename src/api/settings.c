#include <jansson.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"

#include "call.h"
#include "respond.h"

static const char *const AUTH_NAMES[] = {[CAR_AUTH_OPEN] = "open", [CAR_AUTH_TOKEN] = "token", [CAR_AUTH_KEY] = "key"};

/* What a client wants to know before it shows a credential, or lets somebody write what would be refused. */
void car_settings(struct car_call *call) {
    const struct car_config *config = call->api->config;
    json_t *document =
        json_pack("{s:s,s:I,s:I}", "auth", AUTH_NAMES[call->api->auth.mode], "max_message_chars",
                  (json_int_t)config->max_message_chars, "max_body_bytes", (json_int_t)config->max_body_bytes);
    car_respond_json(call->exchange, 200, document);
}
