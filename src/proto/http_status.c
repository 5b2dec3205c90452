#include "carillon/proto/http.h"

#include <time.h>

const char *car_http_status_text(int status) {
    /* Ascending: RFC 9110, section 15; 428, 429, 431 and 511: RFC 6585. */
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

void car_http_status_line(struct car_buf *out, int status) {
    CAR_BUF_LIT(out, "HTTP/1.1 ");
    car_buf_u64(out, (uint64_t)status);
    car_buf_char(out, ' ');
    car_buf_span(out, car_span_cstr(car_http_status_text(status)));
    CAR_BUF_LIT(out, "\r\n");
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
