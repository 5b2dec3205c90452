#include "carillon/base/clock.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "carillon/base/digits.h"
#include "carillon/base/err.h"

#define DAY_S   INT64_C(86400)
#define LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

int64_t car_clock_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t car_clock_mono_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t car_clock_mono_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The proleptic Gregorian date of a day since 1970, by years that start in March, so that a leap day ends a year. */
static void write_date(int64_t day, char *out) {
    int64_t shifted = day + 719468;
    int64_t era = shifted / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march_month = (5 * of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    unsigned civil_year = (unsigned)(year + era * 400 + (month <= 2));
    car_two_digits(out, civil_year / 100);
    car_two_digits(out + 2, civil_year % 100);
    out[4] = '-';
    car_two_digits(out + 5, (unsigned)month);
    out[7] = '-';
    car_two_digits(out + 8, (unsigned)(of_year - (153 * march_month + 2) / 5 + 1));
}

/* All of it but the digits of the fraction. */
static void write_second(int64_t seconds, char *out) {
    unsigned of_day = (unsigned)(seconds % DAY_S);
    write_date(seconds / DAY_S, out);
    out[10] = 'T';
    car_two_digits(out + 11, of_day / 3600);
    out[13] = ':';
    car_two_digits(out + 14, of_day / 60 % 60);
    out[16] = ':';
    car_two_digits(out + 17, of_day % 60);
    out[19] = '.';
    out[23] = 'Z';
}

void car_rfc3339_write(int64_t wall_ms, char *out) {
    /* The second that was written last; almost every call is for the same one. */
    static _Thread_local struct {
        int64_t start; /* in milliseconds */
        char text[CAR_RFC3339_LEN];
    } last = {-1000, ""};

    int64_t ms = wall_ms < 0 ? 0 : wall_ms > LAST_MS ? LAST_MS : wall_ms;
    if (ms - last.start >= 1000 || ms < last.start) {
        last.start = ms - ms % 1000;
        write_second(ms / 1000, last.text);
    }
    unsigned fraction = (unsigned)(ms - last.start);
    memcpy(out, last.text, sizeof last.text);
    out[20] = (char)('0' + fraction / 100);
    car_two_digits(out + 21, fraction % 100);
}

/* Takes exactly `count` digits off the front. */
static bool take_number(struct car_span *s, size_t count, int *out) {
    if (s->len < count) {
        return false;
    }
    int n = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)s->ptr[i] - (unsigned)'0';
        if (digit > 9) {
            return false;
        }
        n = n * 10 + (int)digit;
    }
    *s = car_span_of(s->ptr + count, s->len - count);
    *out = n;
    return true;
}

/* Takes one character of `set` off the front; 0 where another stands there. */
static char take_char(struct car_span *s, const char *set) {
    if (s->len == 0 || s->ptr[0] == '\0' || !strchr(set, s->ptr[0])) {
        return 0;
    }
    char c = s->ptr[0];
    *s = car_span_of(s->ptr + 1, s->len - 1);
    return c;
}

static int month_days(int year, int month) {
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int64_t days_since_1970(int year, int month, int day) {
    /* Counted from March of a year moved by 400 up, which keeps the division away from negative numbers. */
    int64_t y = (int64_t)year + 400 - (month <= 2);
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468 - 146097;
}

static bool take_date(struct car_span *s, int64_t *days) {
    int year;
    int month;
    int day;
    if (!take_number(s, 4, &year) || !take_char(s, "-") || !take_number(s, 2, &month) || !take_char(s, "-") ||
        !take_number(s, 2, &day)) {
        return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month)) {
        return false;
    }
    *days = days_since_1970(year, month, day);
    return true;
}

/* Digits beyond the milliseconds are read and dropped. */
static bool take_fraction(struct car_span *s, int *ms) {
    int scale = 100;
    int digit;
    *ms = 0;
    if (!take_number(s, 1, &digit)) {
        return false;
    }
    do {
        *ms += digit * scale;
        scale /= 10;
    } while (take_number(s, 1, &digit));
    return true;
}

static bool take_offset(struct car_span *s, int *minutes) {
    *minutes = 0;
    char sign = take_char(s, "Zz+-");
    if (sign == 'Z' || sign == 'z') {
        return true;
    }
    int hour;
    int minute;
    if (!sign || !take_number(s, 2, &hour) || !take_char(s, ":") || !take_number(s, 2, &minute) || hour > 23 ||
        minute > 59) {
        return false;
    }
    *minutes = sign == '-' ? -(hour * 60 + minute) : hour * 60 + minute;
    return true;
}

/* A second 60 is read as the instant after it, and only where a leap second can be: at the end of a UTC day. */
static bool is_leap_instant(int64_t seconds) {
    return seconds % 86400 == 0;
}

int car_rfc3339_read(struct car_span text, int64_t *wall_ms) {
    int64_t days;
    int hour;
    int minute;
    int second;
    int ms = 0;
    int offset;
    struct car_span s = text;
    if (!take_date(&s, &days) || !take_char(&s, "Tt ") || !take_number(&s, 2, &hour) || !take_char(&s, ":") ||
        !take_number(&s, 2, &minute) || !take_char(&s, ":") || !take_number(&s, 2, &second)) {
        return CAR_EINVAL;
    }
    if (take_char(&s, ".") && !take_fraction(&s, &ms)) {
        return CAR_EINVAL;
    }
    if (!take_offset(&s, &offset) || s.len > 0 || hour > 23 || minute > 59 || second > 60) {
        return CAR_EINVAL;
    }
    int64_t seconds = days * 86400 + hour * 3600 + (minute - offset) * 60 + second;
    if (second == 60 && !is_leap_instant(seconds)) {
        return CAR_EINVAL;
    }
    *wall_ms = seconds * 1000 + ms;
    return CAR_OK;
}
