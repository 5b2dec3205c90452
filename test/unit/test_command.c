#include "api/command.h"

#include <string.h>

#include "api/join.h"
#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/guard/grant.h"
#include "carillon/net/net.h"
#include "support/suite.h"

/* What a subscriber is refused before anything is looked at that it sent. */

static struct car_net net;
static struct car_api api = {.net = &net};
static struct car_refusal refusal;

static bool refused(int err, const char *code, const char *message) {
    return err == CAR_EINVAL && strcmp(refusal.code, code) == 0 && strcmp(refusal.message, message) == 0;
}

/* Its connection is about to be closed; until it is, nothing comes of it any more. */
static void test_ended(void) {
    const struct car_subscriber subscriber = {.api = &api, .scopes = CAR_SCOPES_ALL, .ended = true};
    const struct car_command command = {.type_name = "type"};
    struct car_post post;
    struct car_replay replay;
    CU_ASSERT(refused(car_command_post(&subscriber, &command, &post, &refusal), "unauthorized", CAR_REVOKED));
    CU_ASSERT(refused(car_command_replay(&subscriber, &command, &replay, &refusal), "unauthorized", CAR_REVOKED));
}

static void test_scopes(void) {
    const struct car_subscriber subscriber = {.api = &api, .scopes = CAR_SCOPE_SUBSCRIBE};
    const struct car_command command = {.type_name = "type"};
    struct car_post post;
    CU_ASSERT(refused(car_command_post(&subscriber, &command, &post, &refusal), "forbidden",
                      car_auth_lacks(CAR_SCOPE_PUBLISH)));
}

static const struct car_test TESTS[] = {
    {"ended", test_ended},
    {"scopes", test_scopes},
};

int main(void) {
    return car_suite_main("command", TESTS, sizeof TESTS / sizeof *TESTS);
}
