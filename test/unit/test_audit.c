#include "carillon/base/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/suite.h"
#include "carillon/base/err.h"
#include "carillon/base/utf8.h"

static char folder[] = "/tmp/test_audit.XXXXXX";
static char path[64], moved[64];
static char text[1 << 22];

/* What the file holds, in `text`. */
static size_t read_file(const char *name) {
    int fd = open(name, O_RDONLY);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    CU_ASSERT_TRUE_FATAL(got >= 0);
    text[got] = '\0';
    return (size_t)got;
}

/* Standard error goes to a memory file between capture and release. */
static int saved = -1;
static int captured = -1;

static void capture(void) {
    saved = dup(STDERR_FILENO);
    captured = memfd_create("log", 0);
    CU_ASSERT_TRUE_FATAL(saved >= 0 && captured >= 0);
    dup2(captured, STDERR_FILENO);
}

static void release(void) {
    dup2(saved, STDERR_FILENO);
    ssize_t got = pread(captured, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    close(captured);
    close(saved);
}

static void open_fresh(enum car_log_format format) {
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(car_audit_open(path, format), 0);
    CU_ASSERT_TRUE(car_audit_wants());
}

/* Writes one entry to a fresh file and leaves the line in `text`, whose length it returns. */
static size_t written(enum car_log_format format, const struct car_audit_entry *entry) {
    open_fresh(format);
    errno = ENOENT;
    car_audit(entry);
    CU_ASSERT_EQUAL(errno, ENOENT);
    car_audit_close();
    return read_file(path);
}

static struct car_audit_entry whole(void) {
    return (struct car_audit_entry){
        .act = "publish",
        .outcome = CAR_AUDIT_REFUSED,
        .status = 403,
        .tenant = CAR_SPAN("a"),
        .named = CAR_SPAN("b"),
        .subject = CAR_SPAN("ann of a"),
        .credential = CAR_SPAN("token"),
        .target = CAR_SPAN("k-1"),
        .request_id = CAR_SPAN("0d9e-1"),
        .peer = CAR_SPAN("[::1]:80"),
        .method = CAR_SPAN("POST"),
        .path = CAR_SPAN("/events"),
        .counts = {{"users", 0}, {"ended", UINT64_MAX}},
        .reason = "the credential is of another tenant",
    };
}

/* Whether `stamp` has the shape of `shape`, where a 9 stands for any digit. */
static bool has_shape(const char *stamp, const char *shape) {
    for (; *shape; shape++, stamp++) {
        if (*shape == '9' ? *stamp < '0' || *stamp > '9' : *stamp != *shape) {
            return false;
        }
    }
    return true;
}

#define STAMP "9999/99/99 99:99:99.999999 UTC audit: "

static void check_text(const char *rest) {
    CU_ASSERT_TRUE(has_shape(text, STAMP));
    CU_ASSERT_STRING_EQUAL(text + sizeof STAMP - 1, rest);
}

static void test_text(void) {
    struct car_audit_entry entry = whole();
    written(CAR_LOG_TEXT, &entry);
    check_text(
        "act=publish outcome=refused status=403 tenant=a named=b subject=\"ann of a\" credential=token "
        "target=k-1 request_id=0d9e-1 peer=\"[::1]:80\" method=POST path=/events users=0 ended=18446744073709551615 "
        "reason=\"the credential is of another tenant\"\n");
    entry = (struct car_audit_entry){.act = "x", .outcome = CAR_AUDIT_OK, .subject = CAR_SPAN("")};
    written(CAR_LOG_TEXT, &entry);
    check_text("act=x outcome=ok subject=\"\"\n");
}

static void check_member(json_t *line, const char *name, const char *value) {
    const char *is = json_string_value(json_object_get(line, name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(is);
    CU_ASSERT_STRING_EQUAL(is, value);
}

static void test_json(void) {
    struct car_audit_entry entry = whole();
    entry.counts[1].value = 3;
    size_t len = written(CAR_LOG_JSON, &entry);
    CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + len - 1);
    json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    CU_ASSERT_EQUAL(json_object_size(line), 16);
    CU_ASSERT_TRUE(has_shape(json_string_value(json_object_get(line, "time")), "9999-99-99T99:99:99.999999Z"));
    check_member(line, "act", "publish");
    check_member(line, "outcome", "refused");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "status")), 403);
    check_member(line, "tenant", "a");
    check_member(line, "named", "b");
    check_member(line, "subject", "ann of a");
    check_member(line, "credential", "token");
    check_member(line, "target", "k-1");
    check_member(line, "request_id", "0d9e-1");
    check_member(line, "peer", "[::1]:80");
    check_member(line, "method", "POST");
    check_member(line, "path", "/events");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "users")), 0);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "ended")), 3);
    check_member(line, "reason", "the credential is of another tenant");
    json_decref(line);
}

/* What could forge a line or a member, turn the writing around, or speak to a terminal. */
static void test_hostile(void) {
    struct car_audit_entry entry = {.act = "x", .outcome = CAR_AUDIT_OK};
    entry.tenant = CAR_SPAN("a\n2026/11/20 audit: act=y\r\t\x1b[31m\x7f");
    entry.subject = CAR_SPAN("ann\" outcome=\"ok\\");
    entry.credential = CAR_SPAN("\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa6\xd8\x9c");
    entry.request_id = CAR_SPAN("\xff\xe2\x82 \xc3\xa9\xf0\x9f\x94\x94");
    entry.path = car_span_of("/a\0b=c", 6);
    written(CAR_LOG_TEXT, &entry);
    check_text("act=x outcome=ok tenant=\"a\\n2026/11/20 audit: act=y\\r\\t\\x1b[31m\\x7f\" "
               "subject=\"ann\\\" outcome=\\\"ok\\\\\" credential=\"\\u009b\\u2028\\u2029\\u202e\\u2066\\u061c\" "
               "request_id=\"\\xff\\xe2\\x82 \xc3\xa9\xf0\x9f\x94\x94\" path=\"/a\\x00b=c\"\n");
    size_t len = written(CAR_LOG_JSON, &entry);
    json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    check_member(line, "tenant", entry.tenant.ptr);
    check_member(line, "subject", entry.subject.ptr);
    check_member(line, "credential", entry.credential.ptr);
    check_member(line, "request_id", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xc3\xa9\xf0\x9f\x94\x94");
    CU_ASSERT_EQUAL(json_string_length(json_object_get(line, "path")), 6);
    json_decref(line);
}

/* Every text as long as can be, of bytes that grow when they are escaped, at every length: one whole line each. */
static void test_cut(void) {
    static const char *const FILLINGS[] = {"a", " ", "\x01", "\xff", "\"", "\xf0\x9f\x94\x94", "\xe2\x80\xa8"};
    static char long_text[20000];
    for (size_t f = 0; f < 2 * sizeof FILLINGS / sizeof *FILLINGS; f++) {
        bool json = f & 1;
        const char *filling = FILLINGS[f / 2];
        for (size_t i = 0; i < sizeof long_text; i++) {
            long_text[i] = filling[i % strlen(filling)];
        }
        for (size_t len = 0; len <= sizeof long_text; len += len < 600 ? 1 : 9700) {
            struct car_span span = car_span_of(long_text, len);
            struct car_audit_entry entry = {.act = "act",
                                            .outcome = CAR_AUDIT_OK,
                                            .status = 200,
                                            .tenant = span,
                                            .named = span,
                                            .subject = span,
                                            .credential = span,
                                            .target = span,
                                            .request_id = span,
                                            .peer = span,
                                            .method = span,
                                            .path = span,
                                            .counts = {{"a", INT64_MAX}, {"b", 1}},
                                            .reason = "why"};
            size_t wrote = written(json ? CAR_LOG_JSON : CAR_LOG_TEXT, &entry);
            CU_ASSERT_TRUE_FATAL(wrote < 4096);
            CU_ASSERT_PTR_EQUAL_FATAL(strchr(text, '\n'), text + wrote - 1);
            CU_ASSERT_TRUE_FATAL(car_utf8_valid(text, wrote));
            CU_ASSERT_PTR_NOT_NULL(strstr(text, json ? "\"reason\":\"why\"}\n" : " reason=why\n"));
            if (json) {
                json_t *line = json_loadb(text, wrote, 0, NULL);
                CU_ASSERT_PTR_NOT_NULL_FATAL(line);
                const char *tenant = json_string_value(json_object_get(line, "tenant"));
                const char *end = tenant + strlen(tenant);
                CU_ASSERT_TRUE(len <= 96 || (end - tenant <= 96 && memcmp(end - 3, "...", 3) == 0));
                CU_ASSERT_TRUE(len > 16 || strlen(tenant) >= len);
                json_decref(line);
            }
        }
    }
}

static void *write_many(void *arg) {
    const char *name = arg;
    for (int i = 0; i < 2000; i++) {
        struct car_audit_entry entry = {.act = "race", .outcome = CAR_AUDIT_OK, .status = i};
        entry.subject = car_span_of(name, 200);
        car_audit(&entry);
    }
    return NULL;
}

#define THREADS 4

static void run_threads(bool reopens) {
    pthread_t threads[THREADS];
    static char names[THREADS][200];
    for (int i = 0; i < THREADS; i++) {
        memset(names[i], 'a' + i, sizeof names[i]);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    }
    for (int i = 0; reopens && i < 200; i++) {
        CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* The lines of `text`: each is whole, and each thread's are in its order. */
static int count_lines(int next[THREADS]) {
    int lines = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        json_t *object = json_loadb(line, (size_t)(end - line), 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(object);
        const char *subject = json_string_value(json_object_get(object, "subject"));
        CU_ASSERT_TRUE_FATAL(subject && strlen(subject) == 200 && *subject >= 'a' && *subject < 'a' + THREADS);
        CU_ASSERT_TRUE(strspn(subject, (char[]){*subject, '\0'}) == 200);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "status")), next[*subject - 'a']++);
        json_decref(object);
    }
    return lines;
}

static void test_threads(void) {
    int next[THREADS] = {0};
    open_fresh(CAR_LOG_JSON);
    run_threads(false);
    car_audit_close();
    read_file(path);
    CU_ASSERT_EQUAL(count_lines(next), THREADS * 2000);
}

/* While it is opened anew all the time: no line is lost, and none is mixed. */
static void test_threads_reopening(void) {
    int next[THREADS] = {0};
    open_fresh(CAR_LOG_JSON);
    run_threads(true);
    car_audit_close();
    read_file(path);
    CU_ASSERT_EQUAL(count_lines(next), THREADS * 2000);
}

static void act(const char *what) {
    struct car_audit_entry entry = {.act = what, .outcome = CAR_AUDIT_OK};
    car_audit(&entry);
}

static void test_reopening(void) {
    struct stat about;
    open_fresh(CAR_LOG_TEXT);
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 0137, 0);
    act("first");
    CU_ASSERT_EQUAL(rename(path, moved), 0);
    act("second");
    CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    act("third");
    /* What cannot be opened leaves it as it was. */
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    errno = 0;
    CU_ASSERT_EQUAL(car_audit_reopen(), CAR_ESYS);
    CU_ASSERT_EQUAL(errno, EISDIR);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    act("fourth");
    car_audit_close();
    CU_ASSERT_FALSE(car_audit_wants());
    act("fifth");
    read_file(moved);
    CU_ASSERT_TRUE(strstr(text, "act=first ") && strstr(text, "act=second ") && !strstr(text, "act=third "));
    read_file(path);
    check_text("act=fourth outcome=ok\n");
    /* What is there is added to. */
    CU_ASSERT_EQUAL(car_audit_open(path, CAR_LOG_TEXT), 0);
    act("sixth");
    car_audit_close();
    read_file(path);
    CU_ASSERT_TRUE(strstr(text, "act=fourth ") && strstr(text, "act=fourth ") < strstr(text, "act=sixth "));
}

static void test_opening(void) {
    CU_ASSERT_EQUAL(car_audit_open("/nonexistent/audit.log", CAR_LOG_TEXT), CAR_ESYS);
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_FALSE(car_audit_wants());
    CU_ASSERT_EQUAL(car_audit_open("off", CAR_LOG_TEXT), 0);
    CU_ASSERT_FALSE(car_audit_wants());
    CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    act("unheard");
    car_audit_close();
    capture();
    CU_ASSERT_EQUAL(car_audit_open("stderr", CAR_LOG_TEXT), 0);
    CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    act("heard");
    car_audit_close();
    release();
    check_text("act=heard outcome=ok\n");
}

static size_t count(const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

/* A disk that takes nothing: nobody waits, the log is told once, and once more when it is well. */
static void test_full_disk(void) {
    char link[80];
    snprintf(link, sizeof link, "%s/full", folder);
    CU_ASSERT_EQUAL_FATAL(symlink("/dev/full", link), 0);
    capture();
    CU_ASSERT_EQUAL_FATAL(car_audit_open(link, CAR_LOG_TEXT), 0);
    errno = ENOENT;
    for (int i = 0; i < 100; i++) {
        act("dropped");
    }
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_EQUAL(unlink(link), 0);
    CU_ASSERT_EQUAL(symlink(path, link), 0);
    unlink(path);
    CU_ASSERT_EQUAL(car_audit_reopen(), 0);
    act("kept");
    act("kept");
    car_audit_close();
    unlink(link);
    release();
    CU_ASSERT_EQUAL(count("error: the audit log cannot be written, its lines are dropped: No space left on device\n"),
                    1);
    CU_ASSERT_EQUAL(count("warning: the audit log is written again; 100 of its lines were dropped\n"), 1);
    CU_ASSERT_EQUAL(count("\n"), 2);
    read_file(path);
    CU_ASSERT_EQUAL(count("act=kept"), 2);
    CU_ASSERT_EQUAL(count("\n"), 2);
}

/* A disk with room for half a line: the next one that is written begins on a line of its own. */
static void test_torn(void) {
    struct rlimit before;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    open_fresh(CAR_LOG_TEXT);
    act("one");
    size_t len = read_file(path);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit narrow = {.rlim_cur = len + len / 2, .rlim_max = before.rlim_max};
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &narrow), 0);
    capture();
    act("two");
    act("three");
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    act("four");
    release();
    car_audit_close();
    (void)signal(SIGXFSZ, handler);
    read_file(path);
    CU_ASSERT_EQUAL(count("\n"), 3);
    const char *last = strstr(text + len, "\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(last);
    CU_ASSERT_PTR_EQUAL(last, text + len + len / 2);
    CU_ASSERT_TRUE(has_shape(last + 1, STAMP));
    CU_ASSERT_PTR_NOT_NULL(strstr(last, "act=four "));
}

/* A pipe that nobody reads: refused at the start, and lines are dropped once it is full. */
static void test_pipe(void) {
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    CU_ASSERT_EQUAL(car_audit_open(path, CAR_LOG_TEXT), CAR_ESYS);
    CU_ASSERT_EQUAL(errno, ENXIO);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    CU_ASSERT_TRUE_FATAL(reader >= 0);
    CU_ASSERT_EQUAL_FATAL(car_audit_open(path, CAR_LOG_TEXT), 0);
    capture();
    for (int i = 0; i < 5000; i++) {
        act("a_line_that_nobody_reads");
    }
    release();
    ssize_t got = read(reader, text, sizeof text - 1);
    CU_ASSERT_TRUE_FATAL(got > 0);
    CU_ASSERT_EQUAL(text[got - 1], '\n');
    car_audit_close();
    close(reader);
    unlink(path);
}

static const struct car_test TESTS[] = {
    {"text", test_text},
    {"json", test_json},
    {"hostile texts", test_hostile},
    {"long texts", test_cut},
    {"threads", test_threads},
    {"threads, opened anew", test_threads_reopening},
    {"opened anew", test_reopening},
    {"opening", test_opening},
    {"a full disk", test_full_disk},
    {"half a line", test_torn},
    {"a pipe", test_pipe},
};

int main(void) {
    if (!mkdtemp(folder)) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/audit.log", folder);
    snprintf(moved, sizeof moved, "%s/audit.log.1", folder);
    int code = car_suite_main("audit", TESTS, sizeof TESTS / sizeof *TESTS);
    unlink(path);
    unlink(moved);
    rmdir(folder);
    return code;
}
