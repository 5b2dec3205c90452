#include "carillon/base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/suite.h"

/* A program with one flag of each kind. */

enum color { RED = 3, GREEN = 5 };

struct sample {
    uint8_t small;
    uint16_t port;
    uint32_t wait_ms;
    uint64_t big;
    size_t room;
    bool loud;
    enum color color;
    char *title;
    char *secret;
    struct car_strings words;
    char *file;
    int show;
    bool dry;
};

static const char *check_lower(char *value) {
    for (char *p = value; *p; p++) {
        if (*p == '!') {
            return "has a mark";
        }
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    }
    return NULL;
}

static const char *check_never(char *value) {
    return value ? "is wrong" : NULL;
}

#define FIELD(m) .offset = offsetof(struct sample, m), .size = sizeof(((struct sample *)0)->m)

static const struct car_option_word COLORS[] = {{"red", RED, false}, {"green", GREEN, false}, {"blue", 9, true}, {0}};
static const struct car_option_alias PORT_ALIAS[] = {{"PORT", false}, {"OLD_PORT", false}, {0}};
static const struct car_option_alias WAIT_ALIAS[] = {{"WAIT_MS", true}, {0}};
static const struct car_option_alias WORD_ALIAS[] = {{"WORDS", false}, {0}};

/* clang-format off */
static const struct car_option ROWS[] = {
    {.group = "A", .name = "small", .arg = "N", .kind = CAR_OPTION_INT, FIELD(small), .min = 0, .max = 255, .help = "h"},
    {.group = "A", .name = "port", .arg = "N", .kind = CAR_OPTION_INT, FIELD(port), .def = "80", .min = 0, .max = 65535,
     .alias = PORT_ALIAS, .help = "h"},
    {.group = "A", .name = "wait-time", .arg = "TIME", .kind = CAR_OPTION_DURATION, FIELD(wait_ms), .def = "2s",
     .min = 10, .max = 3600000, .alias = WAIT_ALIAS, .help = "h"},
    {.group = "A", .name = "big", .arg = "N", .kind = CAR_OPTION_INT, FIELD(big), .max = UINT64_C(1) << 53, .help = "h"},
    {.group = "A", .name = "room", .arg = "SIZE", .kind = CAR_OPTION_SIZE, FIELD(room), .def = "1MiB", .min = 1,
     .max = UINT64_C(1) << 32, .help = "h"},
    {.group = "B", .name = "loud", .kind = CAR_OPTION_BOOL, FIELD(loud), .help = "h"},
    {.group = "B", .name = "color", .arg = "COLOR", .kind = CAR_OPTION_CHOICE, FIELD(color), .def = "red",
     .words = COLORS, .help = "h"},
    {.group = "B", .name = "title", .arg = "TEXT", .kind = CAR_OPTION_STRING, FIELD(title), .check = check_lower,
     .allowed = "texts without a mark", .help = "h"},
    {.group = "B", .name = "secret", .arg = "TEXT", .kind = CAR_OPTION_STRING, FIELD(secret), .check = check_never,
     .secret = true, .help = "h"},
    {.group = "B", .name = "words", .arg = "W", .kind = CAR_OPTION_LIST, FIELD(words), .def = "x,y", .max = 5,
     .alias = WORD_ALIAS, .check = check_lower, .allowed = "words", .help = "h"},
    {.group = "C", .name = "config", .arg = "FILE", .kind = CAR_OPTION_CONFIG, FIELD(file), .help = "h"},
    {.group = "C", .name = "dry", .kind = CAR_OPTION_BOOL, FIELD(dry), .not_in_file = true, .help = "h"},
    {.group = "C", .name = "help", .kind = CAR_OPTION_ACTION, FIELD(show), .action = 7, .help = "h"},
};
/* clang-format on */

static const struct car_options OPTIONS = {
    .rows = ROWS,
    .count = sizeof ROWS / sizeof *ROWS,
    .env_prefix = "APP_",
    .command = "run",
    .program = "app",
};

static struct sample config;
static struct car_buf error;
static char path[64];

#define ARGS(...) ((char *[]){"app", __VA_ARGS__, NULL})
#define NO_ARGS   ((char *[]){"app", NULL})
#define ENV(...)  ((char *[]){__VA_ARGS__, NULL})

/* Parses into `config` afresh. */
static int parse(char *const *argv, char *const *envp) {
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    car_options_free(&OPTIONS, &config);
    memset(&config, 0, sizeof config);
    int code = car_options_parse(&OPTIONS, argc, argv, envp, &config, &error);
    car_buf_char(&error, '\0');
    return code;
}

/* Asserts a usage error of exactly that text. */
static void refuses(char *const *argv, char *const *envp, const char *text) {
    CU_ASSERT_EQUAL(parse(argv, envp), 2);
    CU_ASSERT_STRING_EQUAL(error.data, text);
    static const struct sample EMPTY;
    CU_ASSERT(config.title == NULL && config.file == NULL && config.words.items == NULL);
    CU_ASSERT_EQUAL(config.port, EMPTY.port);
}

static bool has_words(const char *joined) {
    char all[128] = "";
    for (size_t i = 0; i < config.words.count; i++) {
        size_t len = strlen(all);
        snprintf(all + len, sizeof all - len, "%s%s", i ? "," : "", config.words.items[i]);
    }
    return strcmp(all, joined) == 0;
}

static void write_bytes(const char *bytes, size_t len) {
    snprintf(path, sizeof path, "/tmp/test_options.XXXXXX");
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

/* Parses --config with a file of that text, and other arguments. */
static int parse_yaml(const char *text, char *arg, char *const *envp) {
    write_bytes(text, strlen(text));
    int code = parse(ARGS("--config", path, arg), envp);
    unlink(path);
    return code;
}

/* Asserts the error `PATH:LINE: <text>`. */
static void refuses_yaml(const char *yaml, unsigned line, const char *text) {
    char wanted[512];
    CU_ASSERT_EQUAL(parse_yaml(yaml, NULL, NULL), 2);
    snprintf(wanted, sizeof wanted, "%s:%u: %s", path, line, text);
    CU_ASSERT_STRING_EQUAL(error.data, wanted);
}

static void test_defaults(void) {
    CU_ASSERT_EQUAL(parse(NO_ARGS, NULL), 0);
    CU_ASSERT_EQUAL(config.small, 0);
    CU_ASSERT_EQUAL(config.port, 80);
    CU_ASSERT_EQUAL(config.wait_ms, 2000);
    CU_ASSERT_EQUAL(config.room, 1048576);
    CU_ASSERT_FALSE(config.loud);
    CU_ASSERT_EQUAL(config.color, RED);
    CU_ASSERT_PTR_NULL(config.title);
    CU_ASSERT_TRUE(has_words("x,y"));
    CU_ASSERT_EQUAL(parse(ARGS("run", "--port=1"), NULL), 0);
    CU_ASSERT_EQUAL(config.port, 1);
}

static void test_numbers(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--small", "255", "--port=0", "--big=9007199254740992"), NULL), 0);
    CU_ASSERT_EQUAL(config.small, 255);
    CU_ASSERT_EQUAL(config.port, 0);
    CU_ASSERT_EQUAL(config.big, UINT64_C(1) << 53);
    CU_ASSERT_EQUAL(parse(ARGS("--port=1", "--port=2"), NULL), 0);
    CU_ASSERT_EQUAL(config.port, 2);
    refuses(ARGS("--port=65536"), NULL, "--port: '65536' is out of range; allowed: 0 to 65535");
    refuses(ARGS("--small=256"), NULL, "--small: '256' is out of range; allowed: 0 to 255");
    refuses(ARGS("--port=99999999999999999999999"), NULL,
            "--port: '99999999999999999999999' is out of range; allowed: 0 to 65535");
    refuses(ARGS("--port", "-1"), NULL, "--port: '-1' is out of range; allowed: 0 to 65535");
    refuses(ARGS("--port="), NULL, "--port: '' is not a whole number; allowed: 0 to 65535");
    refuses(ARGS("--port=80x"), NULL, "--port: '80x' is not a whole number; allowed: 0 to 65535");
    refuses(ARGS("--port= 80"), NULL, "--port: ' 80' is not a whole number; allowed: 0 to 65535");
    refuses(ARGS("--port=0x10"), NULL, "--port: '0x10' is not a whole number; allowed: 0 to 65535");
}

static void test_sizes(void) {
    static const struct {
        const char *text;
        size_t bytes;
    } GOOD[] = {
        {"1", 1},           {"65536", 65536}, {"64K", 65536},       {"64k", 65536},
        {"64KiB", 65536},   {"1M", 1048576},  {"1MiB", 1048576},    {"3mib", 3145728},
        {"1G", 1073741824}, {"12B", 12},      {"2GiB", 2147483648}, {"4194304K", UINT64_C(1) << 32},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        char arg[64];
        snprintf(arg, sizeof arg, "--room=%s", GOOD[i].text);
        CU_ASSERT_EQUAL(parse(ARGS(arg), NULL), 0);
        CU_ASSERT_EQUAL(config.room, GOOD[i].bytes);
    }
#define SIZE_ALLOWED "; allowed: 1 to 4GiB, written like 65536, 64K or 1MiB"
    refuses(ARGS("--room=0"), NULL, "--room: '0' is out of range" SIZE_ALLOWED);
    refuses(ARGS("--room=4194305K"), NULL, "--room: '4194305K' is out of range" SIZE_ALLOWED);
    refuses(ARGS("--room=99999999999999999999G"), NULL, "--room: '99999999999999999999G' is out of range" SIZE_ALLOWED);
    refuses(ARGS("--room=18014398509481985K"), NULL, "--room: '18014398509481985K' is out of range" SIZE_ALLOWED);
    refuses(ARGS("--room=1MB"), NULL, "--room: '1MB' is not a size" SIZE_ALLOWED);
    refuses(ARGS("--room=M"), NULL, "--room: 'M' is not a size" SIZE_ALLOWED);
    refuses(ARGS("--room=1.5M"), NULL, "--room: '1.5M' is not a size" SIZE_ALLOWED);
}

static void test_durations(void) {
    static const struct {
        const char *text;
        uint32_t ms;
    } GOOD[] = {
        {"500ms", 500}, {"1s", 1000},      {"5m", 300000}, {"1h", 3600000}, {"20", 20000},           {"0.5", 500},
        {"1.5s", 1500}, {"0.5h", 1800000}, {"0.01", 10},   {"10.9ms", 10},  {"0.0100000000009", 10}, {"3600", 3600000},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        char arg[64];
        snprintf(arg, sizeof arg, "--wait-time=%s", GOOD[i].text);
        CU_ASSERT_EQUAL(parse(ARGS(arg), NULL), 0);
        CU_ASSERT_EQUAL(config.wait_ms, GOOD[i].ms);
    }
    static const char *const WRONG[] = {"", "s", "1d", "1 s", ".5", "5.", "5.s", "1S", "1e3", "1s1s", "+1s", "1,5"};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        char arg[64];
        char text[256];
        snprintf(arg, sizeof arg, "--wait-time=%s", WRONG[i]);
        snprintf(text, sizeof text,
                 "--wait-time: '%s' is not a duration; allowed: 10ms to 1h, written like 500ms, 20s, 5m or 24h",
                 WRONG[i]);
        refuses(ARGS(arg), NULL, text);
    }
    static const char *const FAR[] = {"9ms", "0", "3600001ms", "1.0000003h", "99999999999999999999h", "-1s"};
    for (size_t i = 0; i < sizeof FAR / sizeof *FAR; i++) {
        char arg[64];
        char text[256];
        snprintf(arg, sizeof arg, "--wait-time=%s", FAR[i]);
        snprintf(text, sizeof text,
                 "--wait-time: '%s' is out of range; allowed: 10ms to 1h, written like 500ms, 20s, 5m or 24h", FAR[i]);
        refuses(ARGS(arg), NULL, text);
    }
}

static void test_bools(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--loud"), NULL), 0);
    CU_ASSERT_TRUE(config.loud);
    CU_ASSERT_EQUAL(parse(ARGS("--loud", "--no-loud"), NULL), 0);
    CU_ASSERT_FALSE(config.loud);
    CU_ASSERT_EQUAL(parse(ARGS("--no-loud", "--loud=true"), NULL), 0);
    CU_ASSERT_TRUE(config.loud);
    CU_ASSERT_EQUAL(parse(ARGS("--loud=false"), NULL), 0);
    CU_ASSERT_FALSE(config.loud);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("APP_LOUD=1")), 0);
    CU_ASSERT_TRUE(config.loud);
    CU_ASSERT_EQUAL(parse(ARGS("--no-loud"), ENV("APP_LOUD=yes")), 0);
    CU_ASSERT_FALSE(config.loud);
    refuses(ARGS("--loud=maybe"), NULL, "--loud: 'maybe' is not a yes or no; allowed: true or false");
    refuses(ARGS("--loud", "true"), NULL, "unexpected argument 'true'; see app --help");
    refuses(ARGS("--no-loud=true"), NULL, "--no-loud: takes no value");
    refuses(ARGS("--no-port"), NULL, "unknown flag --no-port; see app --help");
}

static void test_choices(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--color", "green"), NULL), 0);
    CU_ASSERT_EQUAL(config.color, GREEN);
    CU_ASSERT_EQUAL(parse(ARGS("--color=Green"), NULL), 0);
    CU_ASSERT_EQUAL(config.color, GREEN);
    refuses(ARGS("--color=gree"), NULL, "--color: 'gree' is not known; allowed: red or green");
    refuses(ARGS("--color=blue"), NULL, "--color: 'blue' is not available in this version; allowed: red or green");
}

static void test_strings(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--title", "A=b", "--title=C=d"), NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.title, "c=d");
    CU_ASSERT_EQUAL(parse(ARGS("--title", "-"), NULL), 0);
    CU_ASSERT_STRING_EQUAL(config.title, "-");
    refuses(ARGS("--title=a!"), NULL, "--title: 'a!' has a mark; allowed: texts without a mark");
    refuses(ARGS("--title="), NULL, "--title: the value is empty; allowed: texts without a mark");
    refuses(ARGS("--title=a\nb\x1b\x7f!"), NULL,
            "--title: 'a\\x0Ab\\x1B\\x7F!' has a mark; allowed: texts without a mark");
    refuses(ARGS("--title=\xff!"), NULL, "--title: '\\xFF!' has a mark; allowed: texts without a mark");
    refuses(ARGS("--title=\xc3\xa9!"), NULL, "--title: '\xc3\xa9!' has a mark; allowed: texts without a mark");
}

/* A long value is cut, between characters. */
static void test_long_value(void) {
    struct car_buf arg = CAR_BUF_INIT;
    CAR_BUF_LIT(&arg, "--title=!");
    for (size_t i = 0; i < 100; i++) {
        CAR_BUF_LIT(&arg, "\xc3\xa9");
    }
    car_buf_char(&arg, '\0');
    CU_ASSERT_EQUAL(parse(ARGS(arg.data), NULL), 2);
    car_buf_free(&arg);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.data, "\xc3\xa9...' has a mark"));
    CU_ASSERT(strlen(error.data) < 160);
}

static void test_lists(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--words", "a, B ,a", "--words=c"), ENV("APP_WORDS=q")), 0);
    CU_ASSERT_TRUE(has_words("a,b,c"));
    CU_ASSERT_EQUAL(parse(ARGS("--words="), NULL), 0);
    CU_ASSERT_TRUE(has_words(""));
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("WORDS=m,n")), 0);
    CU_ASSERT_TRUE(has_words("m,n"));
    CU_ASSERT_EQUAL(parse(ARGS("--words=1,2,3,4,5"), NULL), 0);
    CU_ASSERT_TRUE(has_words("1,2,3,4,5"));
    refuses(ARGS("--words=1,2,3,4,5,6"), NULL, "--words: '6' is one item too many for the list; allowed: words");
    refuses(ARGS("--words=a,,b"), NULL, "--words: an item of the list is empty; allowed: words");
    refuses(ARGS("--words=a,b!"), NULL, "--words: 'b!' has a mark; allowed: words");
}

static void test_secret(void) {
    refuses(ARGS("--secret=hush"), NULL, "--secret: the value is wrong");
    refuses(NO_ARGS, ENV("APP_SECRET=hush"), "APP_SECRET: the value is wrong");
    refuses(ARGS("--secrat=hush"), NULL, "unknown flag --secrat; did you mean --secret?");
    refuses_yaml("secret: hush\n", 1, "secret: the value is wrong");
    refuses_yaml("secret: [hush]\n", 1, "secret: a list cannot stand here");
}

static void test_arguments(void) {
    refuses(ARGS("--prot=80"), NULL, "unknown flag --prot; did you mean --port?");
    refuses(ARGS("--wait"), NULL, "unknown flag --wait; did you mean --wait-time?");
    refuses(ARGS("-port", "1"), NULL, "unknown flag -port; did you mean --port?");
    refuses(ARGS("--zzzzzz"), NULL, "unknown flag --zzzzzz; see app --help");
    refuses(ARGS("--=1"), NULL, "unknown flag --; see app --help");
    refuses(ARGS("--port"), NULL, "--port: needs a value; allowed: 0 to 65535");
    refuses(ARGS("--title", "--port", "1"), NULL, "--title: needs a value; allowed: texts without a mark");
    refuses(ARGS("walk"), NULL, "unexpected argument 'walk'; see app --help");
    refuses(ARGS("--port=1", "run"), NULL, "unexpected argument 'run'; see app --help");
    refuses(ARGS("run", "run"), NULL, "unexpected argument 'run'; see app --help");
    refuses(ARGS("--", "x"), NULL, "unexpected argument '--'; see app --help");
    refuses(ARGS(""), NULL, "unexpected argument ''; see app --help");
    CU_ASSERT_EQUAL(parse(((char *[]){NULL}), NULL), 0);
    CU_ASSERT_EQUAL(config.port, 80);
}

static void test_action(void) {
    CU_ASSERT_EQUAL(parse(ARGS("--title=t", "--config=/nonexistent", "--help", "--bogus"), ENV("PORT=x")), 0);
    CU_ASSERT_EQUAL(config.show, 7);
    CU_ASSERT_PTR_NULL(config.title);
    CU_ASSERT_PTR_NULL(config.file);
    refuses(ARGS("--bogus", "--help"), NULL, "unknown flag --bogus; see app --help");
    refuses(ARGS("--help=true"), NULL, "--help: takes no value");
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("APP_HELP=1")), 0);
    CU_ASSERT_EQUAL(config.show, 0);
}

static void test_environment(void) {
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("X=1", "APP_PORT=81", "APP_WAIT_TIME=3", "APP_ROOM=2K", "APP_COLOR=green")), 0);
    CU_ASSERT_EQUAL(config.port, 81);
    CU_ASSERT_EQUAL(config.wait_ms, 3000);
    CU_ASSERT_EQUAL(config.room, 2048);
    CU_ASSERT_EQUAL(config.color, GREEN);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("WAIT_MS=2500")), 0);
    CU_ASSERT_EQUAL(config.wait_ms, 2500);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("WAIT_MS=4s")), 0);
    CU_ASSERT_EQUAL(config.wait_ms, 4000);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("OLD_PORT=1", "PORT=2")), 0);
    CU_ASSERT_EQUAL(config.port, 2);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("OLD_PORT=1", "PORT=2", "APP_PORT=3")), 0);
    CU_ASSERT_EQUAL(config.port, 3);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("OLD_PORT=1", "PORT=", "APP_PORT=")), 0);
    CU_ASSERT_EQUAL(config.port, 1);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("APP_PORTX=7", "APP_POR=8")), 0);
    CU_ASSERT_EQUAL(config.port, 80);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV("APP_PORT=tcp://10.0.0.1:80")), 0);
    CU_ASSERT_EQUAL(config.port, 80);
    refuses(NO_ARGS, ENV("APP_PORT=x"), "APP_PORT: 'x' is not a whole number; allowed: 0 to 65535");
    refuses(NO_ARGS, ENV("PORT=99999"), "PORT: '99999' is out of range; allowed: 0 to 65535");
    CU_ASSERT_EQUAL(parse(ARGS("--port=4"), ENV("APP_PORT=x")), 0);
    CU_ASSERT_EQUAL(config.port, 4);
}

static void test_precedence(void) {
    static const char YAML[] = "port: 1\nwords: [f, g]\n";
    CU_ASSERT_EQUAL(parse_yaml(YAML, NULL, NULL), 0);
    CU_ASSERT_EQUAL(config.port, 1);
    CU_ASSERT_TRUE(has_words("f,g"));
    CU_ASSERT_STRING_EQUAL(config.file, path);
    CU_ASSERT_EQUAL(parse_yaml(YAML, NULL, ENV("PORT=2", "WORDS=e")), 0);
    CU_ASSERT_EQUAL(config.port, 2);
    CU_ASSERT_TRUE(has_words("e"));
    CU_ASSERT_EQUAL(parse_yaml(YAML, "--port=4", ENV("APP_PORT=3", "PORT=2")), 0);
    CU_ASSERT_EQUAL(config.port, 4);
    CU_ASSERT_EQUAL(parse_yaml(YAML, "--words=w", ENV("APP_PORT=3", "PORT=2", "APP_WORDS=e")), 0);
    CU_ASSERT_EQUAL(config.port, 3);
    CU_ASSERT_TRUE(has_words("w"));
}

/* Where the path comes from. */
static void test_file_path(void) {
    char env[96];
    write_bytes("port: 5\n", 8);
    snprintf(env, sizeof env, "APP_CONFIG=%s", path);
    CU_ASSERT_EQUAL(parse(NO_ARGS, ENV(env)), 0);
    CU_ASSERT_EQUAL(config.port, 5);
    CU_ASSERT_EQUAL(parse(ARGS("--config=/nonexistent"), ENV(env)), 1);
    CU_ASSERT_STRING_EQUAL(error.data, "cannot read the configuration file '/nonexistent': No such file or directory");
    unlink(path);
    CU_ASSERT_EQUAL(parse(ARGS("--config=/"), NULL), 1);
    CU_ASSERT_STRING_EQUAL(error.data, "cannot read the configuration file '/': Is a directory");
    CU_ASSERT_EQUAL(parse(ARGS("--config=/dev/zero"), NULL), 1);
    CU_ASSERT_STRING_EQUAL(error.data, "cannot read the configuration file '/dev/zero': it is no regular file");
    refuses(ARGS("--config="), NULL, "--config: the value is empty");
}

static void test_file_values(void) {
    CU_ASSERT_EQUAL(parse_yaml("# all\nsmall: 7\nport: '8'\nwait-time: 0.5\nroom: 64K\nloud: yes\ncolor: green\n"
                               "title: \"A: b\"\nwords:\n  - p\n  - Q\n",
                               NULL, NULL),
                    0);
    CU_ASSERT_EQUAL(config.small, 7);
    CU_ASSERT_EQUAL(config.port, 8);
    CU_ASSERT_EQUAL(config.wait_ms, 500);
    CU_ASSERT_EQUAL(config.room, 65536);
    CU_ASSERT_TRUE(config.loud);
    CU_ASSERT_EQUAL(config.color, GREEN);
    CU_ASSERT_STRING_EQUAL(config.title, "a: b");
    CU_ASSERT_TRUE(has_words("p,q"));
    CU_ASSERT_EQUAL(parse_yaml("words: a,b\n", NULL, NULL), 0);
    CU_ASSERT_TRUE(has_words("a,b"));
    CU_ASSERT_EQUAL(parse_yaml("words: []\n", NULL, NULL), 0);
    CU_ASSERT_TRUE(has_words(""));
    static const char *const EMPTY[] = {"", "# nothing\n", "---\n", "---\n...\n", "{}\n"};
    for (size_t i = 0; i < sizeof EMPTY / sizeof *EMPTY; i++) {
        CU_ASSERT_EQUAL(parse_yaml(EMPTY[i], NULL, NULL), 0);
        CU_ASSERT_EQUAL(config.port, 80);
    }
}

static void test_file_errors(void) {
    refuses_yaml("port: 1\n\nport: 2\n", 3, "port: is set twice, first in line 1");
    refuses_yaml("# x\nprot: 1\n", 2, "unknown key 'prot'; did you mean port?");
    refuses_yaml("zzzzzz: 1\n", 1, "unknown key 'zzzzzz'; see app --help");
    refuses_yaml("port: 1\nroom: 0\n", 2,
                 "room: '0' is out of range; allowed: 1 to 4GiB, written like 65536, 64K or 1MiB");
    refuses_yaml("port: {a: 1}\n", 1, "port: a nested map cannot stand here; allowed: 0 to 65535");
    refuses_yaml("words:\n  a: 1\n", 2, "words: a nested map cannot stand here; allowed: words");
    refuses_yaml("port: [1]\n", 1, "port: a list cannot stand here; allowed: 0 to 65535");
    refuses_yaml("words:\n  - a\n  - [b]\n", 3, "words: a list cannot stand here; allowed: words");
    refuses_yaml("words:\n  - a\n  - b!\n", 3, "words: 'b!' has a mark; allowed: words");
    refuses_yaml("words:\n  - a\n  -\n", 3, "words: has no value; allowed: words");
    refuses_yaml("port:\n", 1, "port: has no value; allowed: 0 to 65535");
    refuses_yaml("port: ~\n", 1, "port: has no value; allowed: 0 to 65535");
    refuses_yaml("small: &a 1\nport: *a\n", 2, "port: an alias cannot stand here; allowed: 0 to 65535");
    refuses_yaml("title: \"a\\0b\"\n", 1, "title: the value has a NUL character in it; allowed: texts without a mark");
    refuses_yaml("title: ''\n", 1, "title: the value is empty; allowed: texts without a mark");
    refuses_yaml("config: x\n", 1, "config: cannot be set in a file");
    refuses_yaml("dry: true\n", 1, "dry: cannot be set in a file");
    refuses_yaml("help: true\n", 1, "help: cannot be set in a file");
    refuses_yaml("? [a]\n: 1\n", 1, "a key has to be the name of a flag");
}

static void test_file_shapes(void) {
    static const char SHAPE[] = "the file has to be a map of flags' names to values, such as `port: 8080`";
    refuses_yaml("- port\n", 1, SHAPE);
    refuses_yaml("\nport\n", 2, SHAPE);
    refuses_yaml("port: 1\n---\nport: 2\n", 2, "a second document cannot stand here");
    refuses_yaml("small: 1\n  port: 2\n", 1, "small: '1 port' is not a whole number; allowed: 0 to 255");
    refuses_yaml("words: [a\n", 2, "not valid YAML: did not find expected ',' or ']'");
    refuses_yaml("port: 1\ntitle: \xff\n", 2, "not valid YAML: invalid leading UTF-8 octet");
    refuses_yaml("title: *\n", 1,
                 "not valid YAML: did not find expected alphabetic or numeric character; a value that begins with * "
                 "has to be quoted");
}

/* A weaker source may be wrong where it is not looked at, but the file is checked whole. */
static void test_file_is_checked_whole(void) {
    CU_ASSERT_EQUAL(parse_yaml("port: x\n", "--port=1", NULL), 2);
}

static void test_help(void) {
    struct car_buf help = CAR_BUF_INIT;
    car_options_help(&OPTIONS, &help);
    car_buf_char(&help, '\0');
    CU_ASSERT_FATAL(!help.failed);
    CU_ASSERT_PTR_EQUAL(strstr(help.data, "\nA:\n  --small N "), help.data);
    CU_ASSERT_PTR_NOT_NULL(strstr(help.data, "[default 80; env APP_PORT, PORT, OLD_PORT]\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(help.data, "[default 2s; env APP_WAIT_TIME, WAIT_MS (ms)]\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(help.data, "\nC:\n"));
    CU_ASSERT_PTR_NULL(strstr(help.data, "APP_HELP"));
    car_buf_free(&help);
}

static const struct car_test TESTS[] = {
    {"defaults", test_defaults},
    {"numbers", test_numbers},
    {"sizes", test_sizes},
    {"durations", test_durations},
    {"booleans", test_bools},
    {"choices", test_choices},
    {"strings", test_strings},
    {"long value", test_long_value},
    {"lists", test_lists},
    {"secret", test_secret},
    {"arguments", test_arguments},
    {"action", test_action},
    {"environment", test_environment},
    {"precedence", test_precedence},
    {"path of the file", test_file_path},
    {"values of the file", test_file_values},
    {"errors in the file", test_file_errors},
    {"shapes of the file", test_file_shapes},
    {"file is checked whole", test_file_is_checked_whole},
    {"help", test_help},
};

int main(void) {
    int code = car_suite_main("options", TESTS, sizeof TESTS / sizeof *TESTS);
    car_options_free(&OPTIONS, &config);
    car_buf_free(&error);
    return code;
}
