#include "draft.h"

#include <stdio.h>

#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"

#define METADATA_DEPTH_MAX 16

static int refuse(struct car_draft_refusal *refusal, int status, const char *field, const char *message) {
    refusal->status = status;
    refusal->field = field;
    snprintf(refusal->message, sizeof refusal->message, "%s", message);
    return CAR_EINVAL;
}

static int check_message(const struct car_config *config, const struct car_json_value *message,
                         struct car_draft_refusal *refusal) {
    if (message->kind == CAR_JSON_ABSENT) {
        return 0;
    }
    if (message->kind != CAR_JSON_STRING) {
        return refuse(refusal, 422, "message", "must be a string");
    }
    size_t chars = car_json_string_chars(message->raw);
    if (chars == 0) {
        return refuse(refusal, 422, "message", "must not be empty");
    }
    if (chars > config->max_message_chars) {
        refuse(refusal, 413, "message", "");
        snprintf(refusal->message, sizeof refusal->message, "has more than %u characters", config->max_message_chars);
        return CAR_EINVAL;
    }
    return 0;
}

static int check_metadata(const struct car_json_value *metadata, struct car_draft_refusal *refusal) {
    if (metadata->kind == CAR_JSON_ABSENT) {
        return 0;
    }
    if (metadata->kind != CAR_JSON_OBJECT) {
        return refuse(refusal, 422, "metadata", "must be an object");
    }
    if (metadata->depth > METADATA_DEPTH_MAX) {
        return refuse(refusal, 422, "metadata", "is nested deeper than 16 levels");
    }
    return 0;
}

static int check_type(const struct car_json_value *value, const char *name, struct car_draft_type *type,
                      struct car_span *out, struct car_draft_refusal *refusal) {
    *out = CAR_SPAN("message");
    if (value->kind == CAR_JSON_ABSENT) {
        return 0;
    }
    if (value->kind != CAR_JSON_STRING) {
        return refuse(refusal, 422, name, "must be a string");
    }
    struct car_buf text = CAR_BUF_INIT;
    int err = car_json_string_decode(value->raw, &text);
    if (err || !car_event_type_ok(car_buf_view(&text))) {
        err = refuse(refusal, 422, name, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first");
    } else {
        memcpy(type->text, text.data, text.len);
        *out = car_span_of(type->text, text.len);
    }
    car_buf_free(&text);
    return err;
}

/* The tenant's own limit. Both are what they should be. */
static int check_bytes(uint32_t max, const struct car_draft *draft, struct car_draft_refusal *refusal) {
    size_t message = draft->message.ptr ? draft->message.len - 2 : 0; /* its quotes are not counted */
    if (max && (message > max || draft->metadata.len > max - message)) {
        (void)refuse(refusal, 413, draft->message.ptr ? "message" : "metadata", "");
        snprintf(refusal->message, sizeof refusal->message, "has more than the tenant's %u bytes%s", max,
                 draft->message.ptr && draft->metadata.ptr ? ", with its metadata" : "");
        return CAR_EINVAL;
    }
    return 0;
}

int car_draft_check(const struct car_config *config, uint32_t bytes_max, const struct car_draft_members *members,
                    const char *type_name, struct car_draft_type *type, struct car_draft *draft,
                    struct car_draft_refusal *refusal) {
    *draft = (struct car_draft){.message = members->message.raw, .metadata = members->metadata.raw};
    int err = check_message(config, &members->message, refusal);
    if (!err) {
        err = check_metadata(&members->metadata, refusal);
    }
    if (!err) {
        err = check_bytes(bytes_max, draft, refusal);
    }
    if (!err) {
        err = check_type(&members->type, type_name, type, &draft->type, refusal);
    }
    if (!err && !draft->message.ptr && !draft->metadata.ptr) {
        err = refuse(refusal, 422, "message", "an event needs a message or metadata");
    }
    return err;
}
