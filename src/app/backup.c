#include "backup.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/config.h"
#include "carillon/store/sqlite.h"

#include "flags.h"

#define COMMAND "backup"
#define SQLITE  "sqlite:"
#define MEMORY  "memory:"

bool car_backup_is_asked(int argc, char *const *argv) {
    return argc > 1 && strcmp(argv[1], COMMAND) == 0;
}

static int refuse(int code, const char *what) {
    fprintf(stderr, "carillon: " COMMAND ": %s\n", what);
    return code;
}

static void on_signal(int number) {
    (void)number;
    car_sqlite_backup_stop();
}

/* What is half written goes before the process does. */
static void catch_signals(void) {
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

static int back_up(const char *store, const char *file) {
    char why[600] = "";
    struct car_sqlite_backup done;
    if (strcmp(store, MEMORY) == 0) {
        return refuse(1, "--store is " MEMORY ", which is in no file");
    }
    if (strncmp(store, SQLITE, strlen(SQLITE)) != 0) {
        return refuse(1, "--store is no SQLite database; of PostgreSQL, pg_dump makes a copy");
    }
    catch_signals();
    if (car_sqlite_backup(store + strlen(SQLITE), file, &done, why, sizeof why) != 0) {
        return refuse(1, why);
    }
    printf("%s: %llu events, %llu bytes\n", file, (unsigned long long)done.events, (unsigned long long)done.bytes);
    return fflush(stdout) == 0 ? 0 : 1;
}

int car_backup_main(int argc, char *const *argv) {
    struct car_config config = {0};
    bool named = argc > 2 && argv[2][0] != '-';
    int taken = named ? 2 : 1; /* words that are no flags */
    char **flags = calloc((size_t)argc + 1, sizeof *flags);
    if (!flags) {
        return refuse(1, "out of memory");
    }
    flags[0] = argv[0];
    for (int i = 1; i + taken < argc; i++) {
        flags[i] = argv[i + taken];
    }
    struct car_flags_result result = car_flags_parse(argc - taken, flags, NULL, &config);
    free(flags);
    if (!result.run) {
        return result.exit_code;
    }
    int code = named && argv[2][0]
                   ? back_up(config.store, argv[2])
                   : refuse(2, "wants the name of the file to write: carillon " COMMAND " FILE [flags]");
    car_config_free(&config);
    return code;
}
