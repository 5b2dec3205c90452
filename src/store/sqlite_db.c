#include "sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "carillon/base/err.h"

#include "sqlite_gaps.h"
#include "sqlite_schema.h"

#define HEADER_LEN        100
#define MAGIC             "SQLite format 3" /* and its NUL */
#define USER_VERSION_AT   60
#define APPLICATION_ID_AT 68
#define LOCK_AT           64

int car_sqlite_failed(struct car_sqlite_db *db, const char *what) {
    snprintf(db->why, sizeof db->why, "%s: %s", what, sqlite3_errmsg(db->handle));
    return CAR_ESYS;
}

int car_sqlite_prepare(struct car_sqlite_db *db, sqlite3_stmt **out, const char *sql) {
    int status = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return status == SQLITE_OK ? 0 : car_sqlite_failed(db, "a statement is refused");
}

static uint32_t number_at(const unsigned char *header, size_t at) {
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 | (uint32_t)header[at + 2] << 8 | header[at + 3];
}

/* What is wrong with a file, by its header, which SQLite is not asked for: opening a database may write to it. An empty
 * file is a database that was not made yet. */
static const char *judge(const unsigned char *header, ssize_t len) {
    if (len == 0) {
        return NULL;
    }
    if (len < HEADER_LEN || memcmp(header, MAGIC, sizeof MAGIC) != 0) {
        return "is not an SQLite database";
    }
    if (number_at(header, APPLICATION_ID_AT) != CAR_SQLITE_APPLICATION) {
        return "is another program's database";
    }
    return number_at(header, USER_VERSION_AT) > CAR_SQLITE_VERSION ? "was made by a newer version" : NULL;
}

static bool is_of(int fd, const char *path) {
    struct stat open;
    struct stat there;
    return fstat(fd, &open) == 0 && stat(path, &there) == 0 && open.st_dev == there.st_dev &&
           open.st_ino == there.st_ino;
}

/* The same at a number that no process that inherits it wants for something else. Before SQLite opens the file: it
 * keeps this number, and nothing else of the file is ever closed as long as there is a connection to it, for with any
 * descriptor that is closed the process gives up SQLite's locks on the file. */
static int out_of_the_way(int fd) {
    int above = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOCK_AT);
    if (above >= 0) {
        close(fd);
    }
    return above >= 0 ? above : fd;
}

/* Locks the file, and looks at what it is. SQLite's own locks are of another kind, and do not meet this one. A lock
 * that was inherited is one with that of the former process: it lasts until both have closed it. */
static int lock_file(struct car_sqlite_db *db, const char *path, int inherited, const char **what) {
    unsigned char header[HEADER_LEN];
    if (inherited && !is_of(inherited, path)) {
        close(inherited);
        inherited = 0;
    }
    db->lock = out_of_the_way(inherited ? inherited : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (db->lock < 0) {
        *what = strerror(errno);
        return CAR_ESYS;
    }
    if (flock(db->lock, LOCK_EX | LOCK_NB) != 0) {
        *what = errno == EWOULDBLOCK ? "is in use by another server" : strerror(errno);
        return CAR_ESYS;
    }
    ssize_t len = pread(db->lock, header, sizeof header, 0);
    *what = len < 0 ? strerror(errno) : judge(header, len);
    return *what ? CAR_EINVAL : 0;
}

static int run(struct car_sqlite_db *db, const char *sql) {
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : CAR_ESYS;
}

/* What the version is in truth: a newer one may still lie in the WAL. */
static int read_version(struct car_sqlite_db *db, unsigned *version, const char **what) {
    sqlite3_stmt *statement = NULL;
    int err = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
                      sqlite3_step(statement) == SQLITE_ROW
                  ? 0
                  : CAR_ESYS;
    if (!err) {
        *version = (unsigned)sqlite3_column_int(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    if (!err && *version > CAR_SQLITE_VERSION) {
        *what = "was made by a newer version";
        err = CAR_EINVAL;
    }
    return err;
}

/* Nobody asks SQLite how much memory it has, and counting that takes a lock each time. */
static void configure(void) {
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Settings, and the schema. What is deleted is overwritten, in its page and in pages that get free. The header says
 * whose it is from the first commit on: that one is made before anything goes to a WAL. */
static int set_up(struct car_sqlite_db *db, const char **what) {
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, CAR_SQLITE_BUSY_MS);
    int err = run(db, "PRAGMA synchronous = FULL; PRAGMA secure_delete = 1;");
    err = err ? err : read_version(db, &db->version, what);
    if (!err && db->version < CAR_SQLITE_VERSION) {
        err = car_sqlite_schema_update(db->handle, db->version) == SQLITE_OK ? 0 : CAR_ESYS;
    }
    return err ? err : run(db, "PRAGMA journal_mode = WAL;");
}

/* Remembers which files they are. The WAL is there once something was read. */
static int know_files(struct car_sqlite_db *db, const char *path) {
    int err = run(db, "SELECT 1 FROM log");
    for (int i = 0; i < 2 && !err; i++) {
        if (asprintf(&db->path[i], "%s%s", path, i ? "-wal" : "") < 0) {
            db->path[i] = NULL;
            err = CAR_ENOMEM;
        } else if (stat(db->path[i], &db->file[i]) != 0) {
            err = CAR_ESYS;
        }
    }
    return err;
}

int car_sqlite_db_stays(struct car_sqlite_db *db) {
    for (int i = 0; i < 2; i++) {
        struct stat now;
        if (stat(db->path[i], &now) != 0 || now.st_ino != db->file[i].st_ino || now.st_dev != db->file[i].st_dev) {
            snprintf(db->why, sizeof db->why, "%s was removed, or is another file", i ? "the WAL" : "the database");
            return CAR_ESYS;
        }
    }
    return 0;
}

int car_sqlite_db_open(struct car_sqlite_db *db, const char *path, int inherited, char *why, size_t size) {
    const char *what = NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
    *db = (struct car_sqlite_db){.lock = -1};
    int err = lock_file(db, path, inherited, &what);
    if (!err && sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                car_sqlite_gaps_vfs()) != SQLITE_OK) {
        err = CAR_ESYS;
    }
    err = err ? err : set_up(db, &what);
    err = err ? err : know_files(db, path);
    if (err) {
        snprintf(why, size, "%s: %s", path, what ? what : sqlite3_errmsg(db->handle));
        car_sqlite_db_close(db);
    }
    return err;
}

static int open_another(struct car_sqlite_db *db, const char *path, int flags) {
    *db = (struct car_sqlite_db){.lock = -1};
    if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, car_sqlite_gaps_vfs()) != SQLITE_OK) {
        int err = car_sqlite_failed(db, path);
        car_sqlite_db_close(db);
        return err;
    }
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, CAR_SQLITE_BUSY_MS);
    return 0;
}

int car_sqlite_db_open_reader(struct car_sqlite_db *db, const char *path) {
    return open_another(db, path, SQLITE_OPEN_READONLY);
}

int car_sqlite_db_open_upkeep(struct car_sqlite_db *db, const char *path) {
    int err = open_another(db, path, SQLITE_OPEN_READWRITE);
    if (!err && run(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;") != 0) {
        err = car_sqlite_failed(db, path);
        car_sqlite_db_close(db);
    }
    return err;
}

void car_sqlite_db_close(struct car_sqlite_db *db) {
    (void)sqlite3_close(db->handle);
    db->handle = NULL;
    for (int i = 0; i < 2; i++) {
        free(db->path[i]);
        db->path[i] = NULL;
    }
    if (db->lock >= 0) {
        close(db->lock); /* last: closing any descriptor of the file gives up SQLite's locks, too */
        db->lock = -1;
    }
}
