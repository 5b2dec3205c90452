#ifndef CARILLON_API_DRAFT_H
#define CARILLON_API_DRAFT_H

#include "carillon/base/span.h"
#include "carillon/feed/event.h"
#include "carillon/proto/json.h"

#include "respond.h"

struct car_config;

/* What a body or a command says about a new event, before it has been checked. */
struct car_draft_members {
    struct car_json_value message;
    struct car_json_value metadata;
    struct car_json_value type;
};

/* Why a draft is refused: a status, and which field is to blame. */
struct car_draft_refusal {
    int status; /* 413 or 422 */
    const char *field;
    char message[96];
};

/* The storage that a draft's type is decoded into. */
struct car_draft_type {
    char text[64];
};

/*
 * Checks the members against the contract's rules and fills the draft, whose spans are borrowed from the members and
 * from `type`. `type_name` is what the type is called where it came from. `bytes_max` is the tenant's own limit
 * (car_tenant_message_bytes; 0: none): the bytes of the message between its quotes and those of the metadata, both as
 * they were sent, together. 0, or CAR_EINVAL and *refusal.
 */
int car_draft_check(const struct car_config *config, uint32_t bytes_max, const struct car_draft_members *members,
                    const char *type_name, struct car_draft_type *type, struct car_draft *draft,
                    struct car_draft_refusal *refusal);

#endif
