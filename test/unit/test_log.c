#include "carillon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

/* Standard error goes to a memory file between capture and release. */
static int saved = -1;
static int file = -1;
static char text[1 << 21];

static void capture(void) {
    saved = dup(STDERR_FILENO);
    file = memfd_create("log", 0);
    CU_ASSERT_TRUE_FATAL(saved >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
}

/* Leaves what was written in `text` and returns its length. */
static size_t release(void) {
    dup2(saved, STDERR_FILENO);
    ssize_t got = pread(file, text, sizeof text - 1, 0);
    CU_ASSERT_TRUE_FATAL(got >= 0);
    text[got] = '\0';
    close(file);
    close(saved);
    return (size_t)got;
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

static void check_text(const char *message) {
    static const char shape[] = "9999/99/99 99:99:99.999999 UTC ";
    CU_ASSERT_TRUE(has_shape(text, shape));
    CU_ASSERT_STRING_EQUAL(text + sizeof shape - 1, message);
}

static void test_text(void) {
    capture();
    car_log_info("listening on :%d", 8080);
    release();
    check_text("listening on :8080\n");
    capture();
    car_log_error("no %s", "store");
    release();
    check_text("error: no store\n");
    capture();
    car_log_warn("slow");
    release();
    check_text("warning: slow\n");
}

static void test_levels(void) {
    CU_ASSERT_FALSE(car_log_wants(CAR_LOG_DEBUG));
    CU_ASSERT_TRUE(car_log_wants(CAR_LOG_INFO));
    capture();
    car_log_debug("not wanted");
    CU_ASSERT_EQUAL(release(), 0);
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_DEBUG);
    capture();
    car_log_debug("wanted");
    release();
    check_text("debug: wanted\n");
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_ERROR);
    CU_ASSERT_FALSE(car_log_wants(CAR_LOG_WARN));
    CU_ASSERT_TRUE(car_log_wants(CAR_LOG_ERROR));
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_INFO);
}

static void test_text_escapes(void) {
    capture();
    car_log_info("a\nb\r\tc\x1b[31m\x7f \"q\" \\ \xc3\xa9 \xc2\x9b \xff\xe2\x82 \xe2\x82\xac");
    release();
    check_text("a\\nb\\r\\tc\\x1b[31m\\x7f \"q\" \\ \xc3\xa9 \\u009b \\xff\\xe2\\x82 \xe2\x82\xac\n");
}

static void check_json(const char *rest) {
    static const char shape[] = "{\"time\":\"9999-99-99T99:99:99.999999Z\",";
    CU_ASSERT_TRUE(has_shape(text, shape));
    CU_ASSERT_STRING_EQUAL(text + sizeof shape - 1, rest);
}

static void test_json(void) {
    car_log_setup(CAR_LOG_JSON, CAR_LOG_DEBUG);
    capture();
    car_log_warn("say \"%s\" \\ a\nb\x1b \x7f \xc2\x85 \xff \xe2\x82\xac", "hi");
    release();
    check_json("\"level\":\"warning\",\"message\":\"say \\\"hi\\\" \\\\ a\\nb\\u001b \\u007f \\u0085 \\ufffd "
               "\xe2\x82\xac\"}\n");
    capture();
    car_log_debug("x");
    release();
    check_json("\"level\":\"debug\",\"message\":\"x\"}\n");
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_INFO);
}

/* Every length around the limit, in both formats and with bytes that grow when escaped: one line, whole at its ends. */
static void test_long(void) {
    static char message[12000];
    for (int json = 0; json <= 1; json++) {
        car_log_setup(json ? CAR_LOG_JSON : CAR_LOG_TEXT, CAR_LOG_INFO);
        for (size_t len = 3900; len < 4200; len++) {
            memset(message, len % 3 == 0 ? '\x01' : 'a', len);
            message[len] = '\0';
            capture();
            car_log_info("%s", message);
            size_t wrote = release();
            const char *ending = json ? "\"}\n" : "\n";
            size_t ending_len = strlen(ending);
            CU_ASSERT_TRUE(wrote <= 4096);
            CU_ASSERT_STRING_EQUAL(text + wrote - ending_len, ending);
            CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + wrote - 1);
            bool cut = memcmp(text + wrote - ending_len - 3, "...", 3) == 0;
            if (len % 3 == 0) {
                CU_ASSERT_TRUE(cut);
            } else if (!cut) {
                CU_ASSERT_TRUE(wrote > len);
            }
            CU_ASSERT_FALSE(len < 3990 && len % 3 != 0 && cut);
            CU_ASSERT_FALSE(len > 4096 && !cut);
        }
    }
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_INFO);
}

static void test_errno_survives(void) {
    capture();
    int closed = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOENT;
    car_log_info("nobody reads this");
    CU_ASSERT_EQUAL(errno, ENOENT);
    dup2(closed, STDERR_FILENO);
    close(closed);
    release();
}

static void *log_many(void *arg) {
    for (int i = 0; i < 500; i++) {
        car_log_info("thread %c line %d", *(const char *)arg, i);
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[3];
    static char names[] = {'a', 'b', 'c'};
    capture();
    /* With O_APPEND as with a pipe or a terminal: threads share no offset that could be raced for. */
    fcntl(file, F_SETFL, O_APPEND);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, log_many, &names[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    release();
    int next[3] = {0};
    int lines = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        char name = 0;
        int number = -1;
        *end = '\0';
        CU_ASSERT_TRUE_FATAL(strlen(line) > 31);
        CU_ASSERT_EQUAL_FATAL(sscanf(line + 31, "thread %c line %d", &name, &number), 2);
        CU_ASSERT_TRUE_FATAL(name >= 'a' && name <= 'c');
        CU_ASSERT_EQUAL(number, next[name - 'a']++);
    }
    CU_ASSERT_EQUAL(lines, 1500);
}

/* Nobody reads the pipe: logging goes on, and says later what it could not say. */
static void test_full_pipe(void) {
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    car_log_setup(CAR_LOG_TEXT, CAR_LOG_INFO);
    car_log_never_block();
    for (int i = 0; i < 5000; i++) {
        car_log_info("a line that a full pipe cannot take, number %d", i);
    }
    CU_ASSERT_TRUE(read(ends[0], text, 1 << 16) > 0);
    car_log_info("one more");
    ssize_t got = read(ends[0], text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    dup2(before, STDERR_FILENO);
    car_log_never_block();
    close(before);
    close(ends[0]);
    close(ends[1]);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "one more\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "lines of this log were dropped"));
}

static const struct car_test TESTS[] = {
    {"text", test_text},       {"levels", test_levels},         {"text escapes", test_text_escapes},
    {"json", test_json},       {"long messages", test_long},    {"errno survives", test_errno_survives},
    {"threads", test_threads}, {"a full pipe", test_full_pipe},
};

int main(void) {
    return car_suite_main("log", TESTS, sizeof TESTS / sizeof *TESTS);
}
