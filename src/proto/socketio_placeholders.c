#include "socketio_placeholders.h"

/* What a member of an object is for. */
enum member { OTHER, PLACEHOLDER, NUM, UNKNOWN /* memory ran out */ };

/* An array or object that is open. */
struct level {
    bool is_object;
    bool wants_name; /* the next string is a member's name */
    bool placeholder, num;
    enum member member; /* whose value comes next */
};

struct walk {
    struct car_span rest;
    unsigned attachments;
    unsigned depth; /* levels[depth - 1] is the innermost */
    struct level levels[CAR_SOCKETIO_DEPTH_MAX];
};

/* Takes a token off the front: a string, or what stands before the next delimiter. */
static struct car_span take_token(struct walk *walk) {
    const char *start = walk->rest.ptr;
    size_t n = 1;
    if (start[0] == '"') {
        while (start[n] != '"') {
            n += start[n] == '\\' ? 2 : 1;
        }
        n++;
    } else {
        while (n < walk->rest.len && !memchr(",]} \t\r\n", start[n], 7)) {
            n++;
        }
    }
    walk->rest = car_span_of(start + n, walk->rest.len - n);
    return car_span_of(start, n);
}

static enum member member_of(struct car_span literal) {
    static const char *const NAMES[] = {[PLACEHOLDER] = "_placeholder", [NUM] = "num"};
    struct car_buf decoded = CAR_BUF_INIT;
    struct car_span name = car_span_of(literal.ptr + 1, literal.len - 2);
    if (name.len && memchr(name.ptr, '\\', name.len)) {
        if (car_json_string_decode(literal, &decoded) != 0) {
            car_buf_free(&decoded);
            return UNKNOWN;
        }
        name = car_buf_view(&decoded);
    }
    enum member member = car_span_eq(name, car_span_cstr(NAMES[PLACEHOLDER])) ? PLACEHOLDER
                         : car_span_eq(name, car_span_cstr(NAMES[NUM]))       ? NUM
                                                                              : OTHER;
    car_buf_free(&decoded);
    return member;
}

/* A member's value, or an array's element. */
static void take_value(struct walk *walk, struct level *level, struct car_span token) {
    uint64_t number;
    if (level->member == PLACEHOLDER) {
        level->placeholder = car_span_eq(token, CAR_SPAN("true"));
    } else if (level->member == NUM) {
        level->num = car_span_u64(token, walk->attachments - 1, &number) == 0;
    }
    level->member = OTHER;
}

/* false where there is no room for another level. */
static bool open_level(struct walk *walk, char bracket) {
    if (walk->depth == CAR_SOCKETIO_DEPTH_MAX) {
        return false;
    }
    if (walk->depth) {
        take_value(walk, &walk->levels[walk->depth - 1], car_span_of(NULL, 0));
    }
    walk->levels[walk->depth++] = (struct level){.is_object = bracket == '{', .wants_name = bracket == '{'};
    return true;
}

static bool close_level(struct walk *walk) {
    const struct level *level = &walk->levels[--walk->depth];
    return !level->placeholder || level->num;
}

/* One step. false where something is unsound. */
static bool step(struct walk *walk) {
    struct level *level = walk->depth ? &walk->levels[walk->depth - 1] : NULL;
    char c = walk->rest.ptr[0];
    if (c != '"' && memchr("{}[]:, \t\r\n", c, 10)) {
        walk->rest = car_span_of(walk->rest.ptr + 1, walk->rest.len - 1);
        if (c == '{' || c == '[') {
            return open_level(walk, c);
        }
        if (c == ',' && level) {
            level->wants_name = level->is_object;
        }
        return (c != '}' && c != ']') || close_level(walk);
    }
    struct car_span token = take_token(walk);
    if (level && level->wants_name) {
        level->member = member_of(token);
        level->wants_name = false;
        return level->member != UNKNOWN;
    } else if (level) {
        take_value(walk, level, token);
    }
    return true;
}

bool car_socketio_placeholders_sound(const struct car_json_value *value, unsigned attachments) {
    struct walk walk = {.rest = value->raw, .attachments = attachments};
    bool sound = attachments > 0;
    while (sound && walk.rest.len) {
        sound = step(&walk);
    }
    return sound;
}
