#include "terms.h"

#include <stdio.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/retain.h"

#include "audit.h"
#include "call.h"

#define IN "limits."

/* A limit, and its bounds. */
struct limit {
    const char *field; /* as a refusal has it */
    size_t offset;
    uint64_t max;
    enum car_tenant_member bit;
};

#define LIMIT(name, member, max, bit)                                                                                  \
    { IN name, offsetof(struct car_tenant_limits, member), max, bit }

static const struct limit LIMITS[] = {
    LIMIT("events_per_second", events, 1000000000, CAR_TENANT_LIMIT_EVENTS),
    LIMIT("bytes_per_second", bytes_s, 1000000000, CAR_TENANT_LIMIT_BYTES),
    LIMIT("connections", connections, 10000000, CAR_TENANT_LIMIT_CONNECTIONS),
    LIMIT("message_bytes", message_bytes, UINT64_C(1) << 30, CAR_TENANT_LIMIT_MESSAGE),
    LIMIT("history", buffer_events, 1000000, CAR_TENANT_LIMIT_BUFFER),
};

static const char *name_of(const struct limit *limit) {
    return limit->field + sizeof IN - 1;
}

static int refuse(struct car_terms_refusal *refusal, int status, const char *field, const char *message) {
    *refusal = (struct car_terms_refusal){.status = status, .error = {field, message}};
    return CAR_EINVAL;
}

bool car_terms_is_json(struct car_call *call) {
    bool good = call->req->body.len == 0 || car_is_media(call->req, CAR_TYPE_JSON);
    if (!good) {
        car_audit_act_refused(call, 415, "a tenant is described as application/json", NULL);
    }
    return good;
}

void car_terms_refuse(struct car_call *call, const struct car_terms_refusal *refusal) {
    const char *detail = refusal->status == 400 ? "the body is not valid JSON" : "the tenant breaks a rule";
    car_audit_act_refused(call, refusal->status, detail, refusal->status == 422 ? &refusal->error : NULL);
}

json_t *car_terms_body(struct car_span body, const char *const *allowed, struct car_terms_refusal *refusal) {
    body = body.len ? body : CAR_SPAN("{}");
    /* What is JSON, but no tenant, is told so. */
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *document = json_loadb(body.ptr, body.len, flags, NULL);
    const char *name;
    json_t *value;
    if (!document) {
        (void)refuse(refusal, 400, "", "is not valid JSON");
        return NULL;
    }
    if (!json_is_object(document)) {
        (void)refuse(refusal, 422, "", "must be an object");
        json_decref(document);
        return NULL;
    }
    json_object_foreach(document, name, value) {
        const char *const *known = allowed;
        while (*known && strcmp(*known, name) != 0) {
            known++;
        }
        if (!*known) {
            (void)refuse(refusal, 422, "", "has a member that is not known");
            json_decref(document);
            return NULL;
        }
    }
    return document;
}

static int change_name(struct car_tenant_terms *terms, const json_t *name, struct car_terms_refusal *refusal) {
    struct car_span text = car_span_of(json_string_value(name), json_string_length(name));
    if (!json_is_string(name) || text.len == 0 || !car_tenant_name_ok(text)) {
        return refuse(refusal, 422, "name", "must be 1 to 128 bytes of text without control characters");
    }
    memcpy(terms->name, text.ptr, text.len);
    terms->name[text.len] = '\0';
    return 0;
}

static int change_limit(struct car_tenant_limits *limits, unsigned *members, const char *name, const json_t *value,
                        struct car_terms_refusal *refusal) {
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        if (strcmp(name_of(&LIMITS[i]), name) != 0) {
            continue;
        }
        uint64_t number =
            json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
        if (!json_is_null(value) && (number == 0 || number > LIMITS[i].max)) {
            return refuse(refusal, 422, LIMITS[i].field, "must be a whole number from 1 on, within reason, or null");
        }
        memcpy((char *)limits + LIMITS[i].offset, &number, sizeof number);
        *members |= LIMITS[i].bit;
        return 0;
    }
    return refuse(refusal, 422, "limits", "has a member that is not known");
}

static int change_limits(struct car_tenant_limits *limits, unsigned *members, json_t *document,
                         struct car_terms_refusal *refusal) {
    const char *name;
    json_t *value;
    int err = 0;
    if (!json_is_object(document)) {
        return refuse(refusal, 422, "limits", "must be an object");
    }
    json_object_foreach(document, name, value) {
        err = err ? err : change_limit(limits, members, name, value, refusal);
    }
    limits->events_window_ms = limits->events ? 1000 : 0;
    return err;
}

static int change_retention(struct car_tenant_limits *limits, const json_t *value, struct car_terms_refusal *refusal) {
    const char *text = json_string_value(value);
    if (json_is_null(value)) {
        limits->retention_ms = limits->retention_count = 0;
        return 0;
    }
    if (!text || strlen(text) != json_string_length(value) ||
        car_retain_read(car_span_cstr(text), &limits->retention_ms, &limits->retention_count)) {
        return refuse(refusal, 422, "retention", "must be AGE/COUNT, such as 24h/1000, 24h/ or /1000, or null");
    }
    return 0;
}

int car_terms_change(struct car_tenant_terms *terms, unsigned *members, const json_t *document,
                     struct car_terms_refusal *refusal) {
    json_t *name = json_object_get(document, "name");
    json_t *limits = json_object_get(document, "limits");
    json_t *retention = json_object_get(document, "retention");
    *members |= (name ? CAR_TENANT_NAME : 0u) | (retention ? CAR_TENANT_RETENTION : 0u);
    int err = name ? change_name(terms, name, refusal) : 0;
    err = err || !limits ? err : change_limits(&terms->limits, members, limits, refusal);
    return err || !retention ? err : change_retention(&terms->limits, retention, refusal);
}

static void add_name(char out[CAR_TERMS_NAMES], const char *name) {
    size_t len = strlen(out);
    (void)snprintf(out + len, CAR_TERMS_NAMES - len, "%s%s", len ? "," : "", name);
}

void car_terms_names(unsigned members, char out[CAR_TERMS_NAMES]) {
    out[0] = '\0';
    if (members & CAR_TENANT_NAME) {
        add_name(out, "name");
    }
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        if (members & LIMITS[i].bit) {
            add_name(out, LIMITS[i].field);
        }
    }
    if (members & CAR_TENANT_RETENTION) {
        add_name(out, "retention");
    }
}

static json_t *number_or_null(uint64_t number) {
    return number ? json_integer((json_int_t)number) : json_null();
}

json_t *car_terms_limits(const struct car_tenant_limits *limits) {
    json_t *document = json_object();
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        uint64_t number;
        memcpy(&number, (const char *)limits + LIMITS[i].offset, sizeof number);
        json_object_set_new(document, name_of(&LIMITS[i]), number_or_null(number));
    }
    return document;
}

json_t *car_terms_retention(const struct car_tenant_limits *limits) {
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{UINT64_C(3600) * 1000, "h"}, {UINT64_C(60) * 1000, "m"}, {1000, "s"}, {1, "ms"}};
    char text[64];
    size_t at = 0;
    size_t unit = 0;
    if (!limits->retention_ms && !limits->retention_count) {
        return json_null();
    }
    if (limits->retention_ms) {
        while (limits->retention_ms % units[unit].ms != 0) {
            unit++; /* ends with the last: it divides everything */
        }
        at += (size_t)snprintf(text, sizeof text, "%llu%s", (unsigned long long)(limits->retention_ms / units[unit].ms),
                               units[unit].name);
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "/");
    if (limits->retention_count) {
        snprintf(text + at, sizeof text - at, "%llu", (unsigned long long)limits->retention_count);
    }
    return json_string(text);
}
