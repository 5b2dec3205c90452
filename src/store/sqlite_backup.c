#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/store/sqlite.h"

#include "sqlite_db.h"
#include "sqlite_schema.h"

/* One backup. */
struct backup {
    struct car_sqlite_db db;
    const char *file;
    char *unfinished; /* what is written, beside the file; NULL while nothing is there */
    int fd;           /* of it */
    char *why;
    size_t size;
};

/* What a signal may stop. */
static _Atomic(sqlite3 *) copying;
static atomic_bool stopped;

void car_sqlite_backup_stop(void) {
    sqlite3 *handle = atomic_load(&copying);
    atomic_store(&stopped, true);
    if (handle) {
        sqlite3_interrupt(handle);
    }
}

static int fails(struct backup *backup, const char *path, const char *what) {
    snprintf(backup->why, backup->size, "%s: %s", path, what);
    return CAR_ESYS;
}

static int64_t number(sqlite3 *handle, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(handle, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        n = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return n;
}

/* Through SQLite alone: closing a descriptor of the file would give up the locks of a log that is open in the same
 * process. */
static int open_source(struct backup *backup, const char *path, struct stat *status) {
    if (stat(path, status) != 0) {
        return fails(backup, path, strerror(errno));
    }
    if (car_sqlite_db_open_reader(&backup->db, path) != 0) {
        return fails(backup, path, backup->db.why);
    }
    int64_t application = number(backup->db.handle, "PRAGMA application_id");
    if (application < 0) {
        return fails(backup, path, sqlite3_errmsg(backup->db.handle));
    }
    if (application != CAR_SQLITE_APPLICATION) {
        return fails(backup, path, "is no log of Carillon's");
    }
    return number(backup->db.handle, "PRAGMA user_version") > CAR_SQLITE_VERSION
               ? fails(backup, path, "was made by a newer version")
               : 0;
}

/* An empty file beside the one that is to be, on the same file system. */
static int open_target(struct backup *backup, const struct stat *source) {
    struct stat status;
    size_t size = strlen(backup->file) + sizeof ".XXXXXX";
    if (lstat(backup->file, &status) == 0) {
        return fails(backup, backup->file, "is there already");
    }
    char *name = malloc(size);
    if (!name) {
        return fails(backup, backup->file, "out of memory");
    }
    snprintf(name, size, "%s.XXXXXX", backup->file);
    backup->fd = mkostemp(name, O_CLOEXEC);
    if (backup->fd < 0) {
        int err = fails(backup, backup->file, strerror(errno));
        free(name);
        return err;
    }
    backup->unfinished = name;
    return fchmod(backup->fd, source->st_mode & 0666) == 0 ? 0 : fails(backup, backup->file, strerror(errno));
}

/* One read transaction: the server goes on writing meanwhile, to the WAL. */
static int copy(struct backup *backup) {
    sqlite3_stmt *statement = NULL;
    atomic_store(&copying, backup->db.handle);
    int status = sqlite3_prepare_v2(backup->db.handle, "VACUUM INTO ?1", -1, &statement, NULL);
    if (status == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, backup->unfinished, -1, SQLITE_STATIC);
        status = atomic_load(&stopped) ? SQLITE_INTERRUPT : sqlite3_step(statement);
    }
    atomic_store(&copying, NULL);
    int err = status == SQLITE_DONE ? 0 : fails(backup, backup->file, sqlite3_errmsg(backup->db.handle));
    (void)sqlite3_finalize(statement);
    return err;
}

static int measure(struct backup *backup, struct car_sqlite_backup *done) {
    struct car_sqlite_db db;
    struct stat status;
    if (car_sqlite_db_open_reader(&db, backup->unfinished) != 0) {
        return fails(backup, backup->file, db.why);
    }
    bool counted = number(db.handle, "PRAGMA user_version") >= 2;
    int64_t events =
        number(db.handle, counted ? "SELECT ifnull(sum(count), 0) FROM types" : "SELECT count(*) FROM events");
    int err = events >= 0 ? 0 : fails(backup, backup->file, sqlite3_errmsg(db.handle));
    car_sqlite_db_close(&db);
    if (!err && fstat(backup->fd, &status) != 0) {
        err = fails(backup, backup->file, strerror(errno));
    }
    if (!err) {
        *done = (struct car_sqlite_backup){.events = (uint64_t)events, .bytes = (uint64_t)status.st_size};
    }
    return err;
}

static int sync_folder(const char *file) {
    const char *slash = strrchr(file, '/');
    char *folder = !slash ? strdup(".") : strndup(file, slash == file ? 1 : (size_t)(slash - file));
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int err = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0) {
        close(fd);
    }
    free(folder);
    return err;
}

/* Gives it its name: whole, on the disk, and in nobody's place. */
static int settle(struct backup *backup) {
    if (fsync(backup->fd) != 0) {
        return fails(backup, backup->file, strerror(errno));
    }
    int err = renameat2(AT_FDCWD, backup->unfinished, AT_FDCWD, backup->file, RENAME_NOREPLACE);
    if (err && errno == EINVAL) { /* a file system that does not know how */
        err = link(backup->unfinished, backup->file);
        if (!err) {
            (void)unlink(backup->unfinished);
        }
    }
    if (err) {
        return fails(backup, backup->file, errno == EEXIST ? "is there already" : strerror(errno));
    }
    free(backup->unfinished);
    backup->unfinished = NULL;
    return sync_folder(backup->file) == 0 ? 0 : fails(backup, backup->file, strerror(errno));
}

/* With the journal that SQLite may have made for it. */
static void take_away(struct backup *backup) {
    size_t size = strlen(backup->unfinished) + sizeof "-journal";
    char *journal = malloc(size);
    if (journal) {
        snprintf(journal, size, "%s-journal", backup->unfinished);
        (void)unlink(journal);
        free(journal);
    }
    (void)unlink(backup->unfinished);
    free(backup->unfinished);
}

int car_sqlite_backup(const char *path, const char *file, struct car_sqlite_backup *done, char *why, size_t size) {
    struct backup backup = {.db = {.lock = -1}, .file = file, .fd = -1, .why = why, .size = size};
    struct stat source;
    int err = open_source(&backup, path, &source);
    err = err ? err : open_target(&backup, &source);
    err = err ? err : copy(&backup);
    err = err ? err : measure(&backup, done);
    err = err ? err : settle(&backup);
    car_sqlite_db_close(&backup.db);
    if (backup.unfinished) {
        take_away(&backup);
    }
    if (backup.fd >= 0) {
        close(backup.fd);
    }
    return err;
}
