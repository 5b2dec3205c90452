#include "api/command.h"

#include <string.h>

#include "api/api_metrics.h"
#include "api/join.h"
#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/guard/grant.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"
#include "support/suite.h"

/* What is read of a command, and what a subscriber is refused before anything is looked at that it sent. */

static struct car_net net;
static struct car_api api = {.net = &net};
static struct car_worker worker; /* only counts */
static struct car_refusal refusal;

static bool refused(int err, const char *code, const char *message) {
    return err == CAR_EINVAL && strcmp(refusal.code, code) == 0 && strcmp(refusal.message, message) == 0;
}

/* Its connection is about to be closed; until it is, nothing comes of it any more. */
static void test_ended(void) {
    const struct car_subscriber subscriber = {.api = &api, .worker = &worker, .scopes = CAR_SCOPES_ALL, .ended = true};
    const struct car_command command = {.type_name = "type"};
    struct car_post post;
    struct car_replay replay;
    CU_ASSERT(refused(car_command_post(&subscriber, &command, &post, &refusal), "unauthorized", CAR_REVOKED));
    CU_ASSERT(refused(car_command_replay(&subscriber, &command, &replay, &refusal), "unauthorized", CAR_REVOKED));
}

static void test_scopes(void) {
    const struct car_subscriber subscriber = {.api = &api, .worker = &worker, .scopes = CAR_SCOPE_SUBSCRIBE};
    const struct car_command command = {.type_name = "type"};
    struct car_post post;
    CU_ASSERT(refused(car_command_post(&subscriber, &command, &post, &refusal), "forbidden",
                      car_auth_lacks(CAR_SCOPE_PUBLISH)));
}

static void test_counted(void) {
    const struct car_api_metrics *metrics = car_api_metrics_of(&worker);
    CU_ASSERT_EQUAL(car_cell_get(&metrics->publishes[CAR_OUTCOME_UNAUTHORIZED - 1]), 1);
    CU_ASSERT_EQUAL(car_cell_get(&metrics->publishes[CAR_OUTCOME_FORBIDDEN - 1]), 1);
    CU_ASSERT_EQUAL(car_cell_get(&metrics->publishes[CAR_OUTCOME_ACCEPTED - 1]), 0);
}

static void test_read(void) {
    struct car_command command;
    struct car_json_value whole;
    CU_ASSERT_EQUAL(car_command_read(CAR_SPAN("{\"type\":\"replay\",\"sinceId\":7,\"ref\":[1]}"), &command, &whole), 0);
    CU_ASSERT_EQUAL(whole.kind, CAR_JSON_OBJECT);
    CU_ASSERT(car_span_eq(command.type.raw, CAR_SPAN("\"replay\"")));
    CU_ASSERT(car_span_eq(command.since_id.raw, CAR_SPAN("7")));
    CU_ASSERT(car_span_eq(command.ref.raw, CAR_SPAN("[1]")));
    CU_ASSERT_EQUAL(command.event_type.kind, CAR_JSON_ABSENT);
    CU_ASSERT_STRING_EQUAL(command.type_name, "event_type");
    CU_ASSERT_EQUAL(car_command_read(CAR_SPAN("[]"), &command, &whole), 0);
    CU_ASSERT_EQUAL(whole.kind, CAR_JSON_ARRAY);
    CU_ASSERT_EQUAL(command.type.kind, CAR_JSON_ABSENT);
    CU_ASSERT_EQUAL(car_command_read(CAR_SPAN("{"), &command, &whole), CAR_EPROTO);
}

/* The longer name beats the shorter one, and what is wrong with it is said of the one that is there. */
static void test_type(void) {
    struct car_command command;
    CU_ASSERT_EQUAL(car_command_read(CAR_SPAN("{\"type\":1,\"event_type\":2}"), &command, NULL), 0);
    car_command_type_is_event_type(&command);
    CU_ASSERT(car_span_eq(command.event_type.raw, CAR_SPAN("2")));
    CU_ASSERT_STRING_EQUAL(command.type_name, "event_type");
    CU_ASSERT_EQUAL(car_command_read(CAR_SPAN("{\"type\":1}"), &command, NULL), 0);
    car_command_type_is_event_type(&command);
    CU_ASSERT(car_span_eq(command.event_type.raw, CAR_SPAN("1")));
    CU_ASSERT_STRING_EQUAL(command.type_name, "type");
}

static const struct car_test TESTS[] = {
    {"ended", test_ended},
    {"scopes", test_scopes},
    {"both counted", test_counted},
    {"read", test_read},
    {"the two names of a type", test_type},
};

int main(void) {
    if (car_api_attach(&worker) != 0) {
        return 1;
    }
    int failed = car_suite_main("command", TESTS, sizeof TESTS / sizeof *TESTS);
    car_api_detach(&worker);
    return failed;
}
