#include "options_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct car_option *row, void *config) {
    return (char *)config + row->offset;
}

void car_strings_free(struct car_strings *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct car_strings){0};
}

void car_option_clear(const struct car_option *row, void *config) {
    void *field = field_of(row, config);
    if (row->kind == CAR_OPTION_STRING || row->kind == CAR_OPTION_CONFIG) {
        char **text = field;
        free(*text);
        *text = NULL;
    } else if (row->kind == CAR_OPTION_LIST) {
        car_strings_free(field);
    } else {
        memset(field, 0, row->size);
    }
}

void car_option_store(const struct car_option *row, void *config, uint64_t number) {
    uint8_t n8 = (uint8_t)number;
    uint16_t n16 = (uint16_t)number;
    uint32_t n32 = (uint32_t)number;
    const void *from = row->size == 1 ? (void *)&n8 : row->size == 2 ? (void *)&n16 : (void *)&n32;
    uint64_t stored = row->size == 1 ? n8 : row->size == 2 ? n16 : n32;
    if (row->size == 8) {
        from = &number;
        stored = number;
    }
    assert(row->size == 1 || row->size == 2 || row->size == 4 || row->size == 8);
    assert(stored == number);
    memcpy(field_of(row, config), from, row->size);
}

/* The number of decimal digits that `text` begins with. */
static size_t count_digits(struct car_span text) {
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9') {
        n++;
    }
    return n;
}

static struct car_span skip(struct car_span text, size_t n) {
    return car_span_of(text.ptr + n, text.len - n);
}

/* A run of digits as a number that stops growing at UINT64_MAX. */
static uint64_t read_digits(struct car_span digits) {
    uint64_t number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)(digits.ptr[i] - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return UINT64_MAX;
        }
        number = number * 10 + digit;
    }
    return number;
}

static uint64_t multiply(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* The readers below return NULL and a number (UINT64_MAX where it is huge), or what is wrong. */

static const char *read_int(struct car_span value, uint64_t *number) {
    if (value.len == 0 || count_digits(value) != value.len) {
        return "is not a whole number";
    }
    *number = read_digits(value);
    return NULL;
}

static const char *read_size(struct car_span value, uint64_t *number) {
    static const struct {
        struct car_span unit;
        uint64_t bytes;
    } UNITS[] = {
        {{"", 0}, 1},
        {{"B", 1}, 1},
        {{"K", 1}, 1U << 10},
        {{"KiB", 3}, 1U << 10},
        {{"M", 1}, 1U << 20},
        {{"MiB", 3}, 1U << 20},
        {{"G", 1}, 1U << 30},
        {{"GiB", 3}, 1U << 30},
        {{"T", 1}, UINT64_C(1) << 40},
        {{"TiB", 3}, UINT64_C(1) << 40},
    };
    size_t digits = count_digits(value);
    struct car_span unit = skip(value, digits);
    for (size_t i = 0; digits > 0 && i < sizeof UNITS / sizeof *UNITS; i++) {
        if (car_span_ieq(unit, UNITS[i].unit)) {
            *number = multiply(read_digits(car_span_of(value.ptr, digits)), UNITS[i].bytes);
            return NULL;
        }
    }
    return "is not a size";
}

static uint64_t duration_unit(struct car_span unit, bool bare_ms) {
    if (unit.len == 0) {
        return bare_ms ? 1 : 1000;
    }
    return car_span_eq(unit, CAR_SPAN("ms"))  ? 1
           : car_span_eq(unit, CAR_SPAN("s")) ? 1000
           : car_span_eq(unit, CAR_SPAN("m")) ? UINT64_C(60) * 1000
           : car_span_eq(unit, CAR_SPAN("h")) ? UINT64_C(3600) * 1000
                                              : 0;
}

/* What lies below a millisecond is cut off. */
static const char *read_duration(struct car_span value, bool bare_ms, uint64_t *ms) {
    static const char WRONG[] = "is not a duration";
    size_t digits = count_digits(value);
    struct car_span whole = car_span_of(value.ptr, digits);
    struct car_span rest = skip(value, digits);
    struct car_span fraction = {0};
    if (rest.len > 0 && rest.ptr[0] == '.') {
        fraction = skip(rest, 1);
        fraction.len = count_digits(fraction);
        rest = skip(rest, 1 + fraction.len);
        if (fraction.len == 0) {
            return WRONG;
        }
    }
    uint64_t unit = duration_unit(rest, bare_ms);
    if (whole.len == 0 || unit == 0) {
        return WRONG;
    }
    uint64_t part = 0;
    uint64_t scale = 1;
    for (size_t i = 0; i < fraction.len && i < 9; i++) {
        part = part * 10 + (uint64_t)(fraction.ptr[i] - '0');
        scale *= 10;
    }
    part = part * unit / scale;
    *ms = multiply(read_digits(whole), unit);
    *ms = *ms > UINT64_MAX - part ? UINT64_MAX : *ms + part;
    return NULL;
}

int car_option_read_duration(struct car_span text, uint64_t *ms) {
    return read_duration(text, false, ms) ? CAR_EINVAL : 0;
}

static bool is_negative(struct car_span value) {
    return value.len > 1 && value.ptr[0] == '-' && count_digits(skip(value, 1)) > 0;
}

static int put_number(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                      void *config, struct car_buf *error) {
    uint64_t number = 0;
    const char *wrong = row->kind == CAR_OPTION_INT    ? read_int(value, &number)
                        : row->kind == CAR_OPTION_SIZE ? read_size(value, &number)
                                                       : read_duration(value, place->bare_ms, &number);
    if (is_negative(value) || (!wrong && (number < row->min || number > row->max))) {
        wrong = "is out of range";
    }
    if (wrong) {
        return car_option_refuse(error, row, place, value, wrong);
    }
    car_option_store(row, config, number);
    return OPTIONS_OK;
}

static int put_bool(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                    void *config, struct car_buf *error) {
    static const char *const YES[] = {"true", "yes", "on", "1"};
    static const char *const NO[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof YES / sizeof *YES; i++) {
        bool yes = car_span_ieq(value, car_span_cstr(YES[i]));
        if (yes || car_span_ieq(value, car_span_cstr(NO[i]))) {
            car_option_store(row, config, yes);
            return OPTIONS_OK;
        }
    }
    return car_option_refuse(error, row, place, value, "is not a yes or no");
}

static int put_choice(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                      void *config, struct car_buf *error) {
    for (const struct car_option_word *word = row->words; word->word; word++) {
        if (!car_span_ieq(value, car_span_cstr(word->word))) {
            continue;
        }
        if (word->unavailable) {
            return car_option_refuse(error, row, place, value, "is not available in this version");
        }
        car_option_store(row, config, (uint64_t)word->value);
        return OPTIONS_OK;
    }
    return car_option_refuse(error, row, place, value, "is not known");
}

/* A heap copy of `value`, judged. The caller frees it, also where it is refused; NULL where memory ran out. */
static char *copy_checked(const struct car_option *row, struct car_span value, const char **wrong) {
    char *copy = malloc(value.len + 1);
    if (copy) {
        memcpy(copy, value.ptr, value.len);
        copy[value.len] = '\0';
        *wrong = row->check ? row->check(copy) : NULL;
    }
    return copy;
}

static int put_string(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                      void *config, struct car_buf *error) {
    if (value.len == 0) {
        return car_option_lacks(error, row, place, "the value is empty");
    }
    const char *wrong = NULL;
    char *copy = copy_checked(row, value, &wrong);
    if (!copy) {
        return car_options_no_memory(error);
    }
    if (wrong) {
        free(copy);
        return car_option_refuse(error, row, place, value, wrong);
    }
    char **text = field_of(row, config);
    free(*text);
    *text = copy;
    return OPTIONS_OK;
}

/* Takes `item` over; an item that is there already is dropped. false where memory ran out. */
static bool list_add(struct car_strings *list, char *item) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], item) == 0) {
            free(item);
            return true;
        }
    }
    /* Room grows at the powers of two, so that it needs no field of its own. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count == 0 ? 1 : 2 * list->count;
        char **items = realloc(list->items, room * sizeof *items);
        if (!items) {
            free(item);
            return false;
        }
        list->items = items;
    }
    list->items[list->count++] = item;
    return true;
}

int car_option_put_item(const struct car_option *row, const struct car_option_place *place, struct car_span item,
                        void *config, struct car_buf *error) {
    struct car_strings *list = field_of(row, config);
    if (item.len == 0) {
        return car_option_lacks(error, row, place, "an item of the list is empty");
    }
    const char *wrong = NULL;
    char *copy = copy_checked(row, item, &wrong);
    if (!copy) {
        return car_options_no_memory(error);
    }
    if (!wrong && list->count >= row->max) {
        wrong = "is one item too many for the list";
    }
    if (wrong) {
        free(copy);
        return car_option_refuse(error, row, place, item, wrong);
    }
    return list_add(list, copy) ? OPTIONS_OK : car_options_no_memory(error);
}

static int put_list(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                    void *config, struct car_buf *error) {
    struct car_span item;
    int code = value.len == 0 && row->min > 0 ? car_option_lacks(error, row, place, "the value is empty") : OPTIONS_OK;
    while (code == OPTIONS_OK && car_span_next(&value, ',', &item)) {
        code = car_option_put_item(row, place, car_span_trim(item), config, error);
    }
    return code;
}

int car_option_put(const struct car_option *row, const struct car_option_place *place, struct car_span value,
                   void *config, struct car_buf *error) {
    assert(row->kind != CAR_OPTION_ACTION);
    switch (row->kind) {
    case CAR_OPTION_BOOL:
        return put_bool(row, place, value, config, error);
    case CAR_OPTION_INT:
    case CAR_OPTION_SIZE:
    case CAR_OPTION_DURATION:
        return put_number(row, place, value, config, error);
    case CAR_OPTION_CHOICE:
        return put_choice(row, place, value, config, error);
    case CAR_OPTION_STRING:
    case CAR_OPTION_CONFIG:
        return put_string(row, place, value, config, error);
    case CAR_OPTION_LIST:
        return put_list(row, place, value, config, error);
    case CAR_OPTION_ACTION:
        break;
    }
    return OPTIONS_USAGE; /* not reached */
}
