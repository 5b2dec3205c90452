#include "carillon/proto/http.h"

#include <time.h>

struct status {
    int code;
    const char *text;
    struct car_span line;
};

#define STATUS(code, text)                                                                                             \
    { code, text, CAR_SPAN_INIT("HTTP/1.1 " #code " " text "\r\n") }

/* RFC 9110, section 15; 428, 429, 431 and 511: RFC 6585. */
static const struct status STATUSES[] = {
    STATUS(100, "Continue"),
    STATUS(101, "Switching Protocols"),
    STATUS(200, "OK"),
    STATUS(201, "Created"),
    STATUS(202, "Accepted"),
    STATUS(204, "No Content"),
    STATUS(206, "Partial Content"),
    STATUS(301, "Moved Permanently"),
    STATUS(302, "Found"),
    STATUS(303, "See Other"),
    STATUS(304, "Not Modified"),
    STATUS(307, "Temporary Redirect"),
    STATUS(308, "Permanent Redirect"),
    STATUS(400, "Bad Request"),
    STATUS(401, "Unauthorized"),
    STATUS(403, "Forbidden"),
    STATUS(404, "Not Found"),
    STATUS(405, "Method Not Allowed"),
    STATUS(406, "Not Acceptable"),
    STATUS(408, "Request Timeout"),
    STATUS(409, "Conflict"),
    STATUS(410, "Gone"),
    STATUS(411, "Length Required"),
    STATUS(412, "Precondition Failed"),
    STATUS(413, "Content Too Large"),
    STATUS(414, "URI Too Long"),
    STATUS(415, "Unsupported Media Type"),
    STATUS(416, "Range Not Satisfiable"),
    STATUS(417, "Expectation Failed"),
    STATUS(421, "Misdirected Request"),
    STATUS(422, "Unprocessable Content"),
    STATUS(426, "Upgrade Required"),
    STATUS(428, "Precondition Required"),
    STATUS(429, "Too Many Requests"),
    STATUS(431, "Request Header Fields Too Large"),
    STATUS(500, "Internal Server Error"),
    STATUS(501, "Not Implemented"),
    STATUS(502, "Bad Gateway"),
    STATUS(503, "Service Unavailable"),
    STATUS(504, "Gateway Timeout"),
    STATUS(505, "HTTP Version Not Supported"),
    STATUS(507, "Insufficient Storage"),
};

static const struct status *find(int code) {
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        if (STATUSES[i].code == code) {
            return &STATUSES[i];
        }
    }
    return NULL;
}

const char *car_http_status_text(int status) {
    const struct status *found = find(status);
    return found ? found->text : "Unknown";
}

void car_http_status_line(struct car_buf *out, int status) {
    const struct status *found = find(status);
    if (found) {
        car_buf_span(out, found->line);
    } else {
        car_buf_printf(out, "HTTP/1.1 %d Unknown\r\n", status);
    }
}

static void put_digits(char *out, int value, int width) {
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void car_http_date(int64_t wall_ms, char *out) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int64_t last = 253402300799; /* the end of the year 9999 */
    int64_t seconds = wall_ms < 0 ? 0 : wall_ms / 1000;
    time_t when = (time_t)(seconds > last ? last : seconds);
    struct tm tm = {0};
    gmtime_r(&when, &tm);
    memcpy(out, "ddd, 00 mmm 0000 00:00:00 GMT", CAR_HTTP_DATE_LEN);
    memcpy(out, days + 3 * tm.tm_wday, 3);
    put_digits(out + 5, tm.tm_mday, 2);
    memcpy(out + 8, months + 3 * tm.tm_mon, 3);
    put_digits(out + 12, tm.tm_year + 1900, 4);
    put_digits(out + 17, tm.tm_hour, 2);
    put_digits(out + 20, tm.tm_min, 2);
    put_digits(out + 23, tm.tm_sec, 2);
}
