#ifndef CARILLON_API_COMMAND_H
#define CARILLON_API_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/scan.h"
#include "carillon/proto/json.h"

struct car_address;
struct car_api;
struct car_event;
struct car_grant;

/* What a subscriber asks for over its connection, whatever the transport: the values as they were sent, absent where
 * they were not. Borrowed from the text that they stand in. */
struct car_command {
    struct car_json_value type, ref;         /* which command it is, and what its answer is to say; over Socket.IO
                                                both are said elsewhere, and `type` is post_event's (below) */
    struct car_json_value message, metadata; /* post_event */
    struct car_json_value event_type;        /* post_event */
    const char *type_name;                   /* what that is called there */
    struct car_json_value traceparent;       /* post_event; what is none is passed over */
    struct car_json_value since, since_id;   /* replay, at most one of them */
    struct car_json_value limit, epoch;      /* replay */
    struct car_json_value token;             /* refresh */
};

/* Reads a command from a JSON object. `whole`, where not NULL, gets the value itself: where that is no object, all of
 * the command is absent. 0, or an error of car_json_pick. */
int car_command_read(struct car_span text, struct car_command *command, struct car_json_value *whole);

/* Where `event_type` is absent, `type` stands for it. */
void car_command_type_is_event_type(struct car_command *command);

/* On whose behalf. */
struct car_subscriber {
    const struct car_api *api;
    struct car_tenant *tenant;
    struct car_worker *worker;
    struct car_span name;             /* the author of what it publishes; absent where it is nobody by name */
    unsigned scopes;                  /* CAR_SCOPE_… */
    bool ended;                       /* what it was let in with is good no more, and it is about to be closed */
    bool certified;                   /* its connection has shown a client's certificate (car_may_publish) */
    const struct car_grant *grant;    /* what it was let in with; NULL where a name was enough */
    const struct car_address *client; /* where it is; NULL, or "::", where nobody knows */
    const char *request_id;           /* of its handshake */
};

/* So many of its replays may be read at a time: each may hold as much as an answer does. */
#define CAR_REPLAYS_MAX 8

/* Why it gets nothing: the contract's code, and words for its author. */
struct car_refusal {
    const char *code;
    char message[160];
};

/* An event that is on its way into the log. Embedded in what the transport needs for its answer. */
struct car_post {
    struct car_publish publish;
    struct car_event *event; /* its only one */
    const struct car_api *api;
    uint64_t began_us;
    /* Called once, on the subscriber's worker, perhaps before car_command_post returns: `event` is in the log, or NULL
     * where it never will be. Frees what embeds it. */
    void (*answer)(struct car_post *post, const struct car_event *event);
};

/* post_event. 0, and `answer` comes; or CAR_EINVAL and *refusal, and it does not. */
int car_command_post(const struct car_subscriber *subscriber, const struct car_command *command, struct car_post *post,
                     struct car_refusal *refusal);

/* Why `answer` has got no event. */
void car_post_refusal(const struct car_post *post, struct car_refusal *refusal);

/* A replay that is being read. Embedded in what the transport needs for its answer. */
struct car_replay {
    struct car_scan scan; /* first */
    /* Called once, on the subscriber's worker, perhaps before car_command_replay returns. Calls car_replay_write, and
     * frees what embeds it. */
    void (*answer)(struct car_replay *replay);
};

/* replay. 0, and `answer` comes; or CAR_EINVAL and *refusal, and it does not. */
int car_command_replay(const struct car_subscriber *subscriber, const struct car_command *command,
                       struct car_replay *replay, struct car_refusal *refusal);

/* Appends `"events":[…],"has_more":…`, and lets go of the events. 0; or CAR_EINVAL and *refusal, and nothing is
 * appended. */
int car_replay_write(struct car_replay *replay, struct car_buf *out, struct car_refusal *refusal);

/* Whether an epoch is given that is not the tenant's log's. */
bool car_command_is_foreign(const struct car_subscriber *subscriber, const struct car_json_value *epoch);

/* Reads where to begin: `since`, a seq, or `since_id`, an event's id, of which at most one is there; 0 where neither
 * is. 0; or CAR_EINVAL and *refusal. */
int car_command_since(const struct car_subscriber *subscriber, const struct car_json_value *since,
                      const struct car_json_value *since_id, uint64_t *out, struct car_refusal *refusal);

/* Fills *refusal; returns CAR_EINVAL. `what`, where not NULL, is the member that is to blame. */
int car_refuse(struct car_refusal *refusal, const char *code, const char *what, const char *message);

#endif
