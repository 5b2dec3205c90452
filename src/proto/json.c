#include "carillon/proto/json.h"

#include "carillon/base/err.h"
#include "json_chars.h"
#include "json_scan.h"

/* Whether the body of a literal that has escapes stands for `name`. */
static bool decodes_to(struct car_span body, const char *name) {
    const char *p = body.ptr;
    const char *end = p + body.len;
    while (p < end) {
        char text[4];
        unsigned len = json_decode_unit(&p, end, text);
        for (unsigned i = 0; i < len; i++, name++) {
            if (*name == '\0' || *name != text[i]) {
                return false;
            }
        }
    }
    return *name == '\0';
}

/* An unescaped body has no NUL in it, so a shorter name stops the comparison. */
static inline bool is_named(struct car_span body, const char *name) {
    size_t same = 0;
    while (same < body.len && name[same] == body.ptr[same]) {
        same++;
    }
    return same == body.len && name[same] == '\0';
}

struct pick {
    struct car_json_member *wanted;
    size_t count;
    unsigned depth; /* of the deepest member so far */
};

/* The value of a member with that name, to those who want it. Most names differ in their first byte. */
static void give(struct pick *pick, struct car_span body, bool escaped, const struct car_json_value *value) {
    char first = body.len > 0 ? *body.ptr : '\0';
    for (size_t i = 0; i < pick->count; i++) {
        const char *name = pick->wanted[i].name;
        if (escaped ? decodes_to(body, name) : *name == first && is_named(body, name)) {
            pick->wanted[i].value = *value;
        }
    }
}

/* One member of the object at the top; *p stands where its name has to be, and is moved behind its value. */
static int pick_member(const char **p, const char *end, struct pick *pick) {
    const char *at = *p;
    bool escaped;
    if (at == end || *at != '"') {
        return CAR_EPROTO;
    }
    const char *behind = json_scan_string(at, end, &escaped);
    if (!behind) {
        return CAR_EPROTO;
    }
    struct car_span body = car_span_of(at + 1, (size_t)(behind - at) - 2);
    at = json_skip_space(behind, end);
    if (at == end || *at != ':') {
        return CAR_EPROTO;
    }
    at = json_skip_space(at + 1, end);
    struct car_json_value value;
    int err = json_scan_value(&at, end, &value);
    if (err != CAR_OK) {
        return err;
    }
    pick->depth = value.depth > pick->depth ? value.depth : pick->depth;
    give(pick, body, escaped, &value);
    *p = at;
    return CAR_OK;
}

/* `*p` stands on the opening brace. */
static int pick_object(const char **p, const char *end, struct pick *pick) {
    const char *at = json_skip_space(*p + 1, end);
    if (at < end && *at == '}') {
        *p = at + 1;
        return CAR_OK;
    }
    for (;;) {
        int err = pick_member(&at, end, pick);
        if (err != CAR_OK) {
            return err;
        }
        at = json_skip_space(at, end);
        if (at == end || (*at != ',' && *at != '}')) {
            return CAR_EPROTO;
        }
        if (*at == '}') {
            *p = at + 1;
            return CAR_OK;
        }
        at = json_skip_space(at + 1, end);
    }
}

/* The value that starts at *p, where no white space stands; *p is moved behind it. */
static int pick_value(const char **p, const char *end, struct pick *pick, struct car_json_value *value) {
    if (*p == end || **p != '{') {
        return json_scan_value(p, end, value);
    }
    const char *begin = *p;
    int err = pick_object(p, end, pick);
    if (err == CAR_OK) {
        unsigned depth = pick->depth < UINT32_MAX ? pick->depth + 1 : UINT32_MAX;
        *value = (struct car_json_value){CAR_JSON_OBJECT, car_span_of(begin, (size_t)(*p - begin)), depth};
    }
    return err;
}

static int pick_any(struct car_span text, struct pick *pick, struct car_json_value *value) {
    if (text.len == 0) {
        return CAR_EPROTO;
    }
    const char *end = text.ptr + text.len;
    const char *p = json_skip_space(text.ptr, end);
    int err = pick_value(&p, end, pick, value);
    if (err != CAR_OK) {
        return err;
    }
    return json_skip_space(p, end) == end ? CAR_OK : CAR_EPROTO;
}

static void forget(struct car_json_member *wanted, size_t count) {
    for (size_t i = 0; i < count; i++) {
        wanted[i].value = (struct car_json_value){0};
    }
}

int car_json_pick(struct car_span text, struct car_json_member *wanted, size_t count, struct car_json_value *whole) {
    struct pick pick = {.wanted = wanted, .count = count};
    struct car_json_value value;
    forget(wanted, count);
    int err = pick_any(text, &pick, &value);
    if (err != CAR_OK) {
        forget(wanted, count);
    }
    if (whole) {
        *whole = err == CAR_OK ? value : (struct car_json_value){0};
    }
    return err;
}

bool car_json_is_array(struct car_span text, struct car_span *rest) {
    *rest = text;
    if (text.len == 0) {
        return false; /* it may be NULL */
    }
    const char *end = text.ptr + text.len;
    const char *p = json_skip_space(text.ptr, end);
    *rest = car_span_of(p, (size_t)(end - p));
    return p < end && *p == '[';
}

/* Behind the array's last bracket there may be white space. */
static int end_steps(struct car_span *rest, const char *behind, const char *end) {
    *rest = car_span_of(end, 0);
    return json_skip_space(behind, end) == end ? CAR_ENOENT : CAR_EPROTO;
}

/* The next element, of which *p stands on the comma or the bracket before it; *p is moved to what stands behind it. */
static int step(const char **p, const char *end, struct pick *pick, struct car_json_value *element) {
    const char *at = json_skip_space(*p + 1, end);
    int err = pick_value(&at, end, pick, element);
    if (err != CAR_OK) {
        return err;
    }
    at = json_skip_space(at, end);
    *p = at;
    return at < end && (*at == ',' || *at == ']') ? CAR_OK : CAR_EPROTO;
}

int car_json_step(struct car_span *rest, struct car_json_member *wanted, size_t count, struct car_json_value *element) {
    struct pick pick = {.wanted = wanted, .count = count};
    const char *p = rest->ptr;
    const char *end = p + rest->len;
    forget(wanted, count);
    *element = (struct car_json_value){0};
    if (p == end) {
        return CAR_EPROTO;
    }
    const char *first = *p == '[' ? json_skip_space(p + 1, end) : p;
    if (first < end && *first == ']') {
        return end_steps(rest, first + 1, end);
    }
    int err = step(&p, end, &pick, element);
    *rest = car_span_of(p, (size_t)(end - p));
    if (err != CAR_OK) {
        forget(wanted, count);
        *element = (struct car_json_value){0};
    }
    return err;
}

int car_json_u64(const struct car_json_value *v, uint64_t max, uint64_t *out) {
    return v->kind == CAR_JSON_NUMBER ? car_span_u64(v->raw, max, out) : CAR_EINVAL;
}
