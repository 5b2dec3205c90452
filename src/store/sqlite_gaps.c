#include "sqlite_gaps.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#define NAME "carillon"

/* Of pages, in bytes; and of the header that a file begins with. */
#define PAGE_MIN    512
#define PAGE_MAX    65536
#define FILE_HEADER 100

/* Other pages begin with the number of a page, and where its first byte is the type of a b-tree page they look like
 * one: in files of 2 << 24 pages and more. These are left alone, and so are those that may come to that by one WAL. */
#define PAGES_MAX (1 << 24)

/* SQLite's own VFS and the methods of its files, and ours, which are the same but for one function. The first two are
 * set under the mutex, before anybody can have a file. */
static sqlite3_vfs *theirs;
static const sqlite3_io_methods *their_methods;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static size_t number_at(const unsigned char *page, size_t at) {
    return (size_t)page[at] << 8 | page[at + 1];
}

bool car_sqlite_gap_find(const unsigned char *page, size_t size, size_t header, struct car_sqlite_gap *out) {
    const unsigned char *head = page + header;
    bool interior = head[0] == 2 || head[0] == 5;
    bool leaf = head[0] == 10 || head[0] == 13;
    size_t pointers = header + (leaf ? 8 : 12);
    size_t from = pointers + 2 * number_at(head, 3);
    size_t to = number_at(head, 5);
    to = to ? to : PAGE_MAX;
    if ((!interior && !leaf) || from >= to || to > size) {
        return false;
    }
    for (size_t at = pointers; at < from; at += 2) {
        size_t cell = number_at(page, at);
        if (cell < to || cell >= size) {
            return false;
        }
    }
    *out = (struct car_sqlite_gap){from, to};
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t len) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static bool is_small(sqlite3_file *file, int page) {
    sqlite3_int64 size;
    return their_methods->xFileSize(file, &size) == SQLITE_OK && size / page < PAGES_MAX;
}

/* Pages come whole: of a checkpoint, or where there is no WAL yet. */
static int on_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at) {
    unsigned char page[PAGE_MAX];
    struct car_sqlite_gap gap;
    bool whole = len >= PAGE_MIN && len <= PAGE_MAX && at % len == 0;
    if (whole && car_sqlite_gap_find(data, (size_t)len, at ? 0 : FILE_HEADER, &gap) &&
        !is_zero((const unsigned char *)data + gap.from, gap.to - gap.from) && is_small(file, len)) {
        memcpy(page, data, (size_t)len);
        memset(page + gap.from, 0, gap.to - gap.from);
        data = page;
    }
    return their_methods->xWrite(file, data, len, at);
}

static void learn(const sqlite3_io_methods *of) {
    pthread_mutex_lock(&opening);
    if (!their_methods) {
        their_methods = of;
        methods = *of;
        methods.xWrite = on_write;
    }
    pthread_mutex_unlock(&opening);
}

/* A file is its methods: a database's get ours. Other kinds of files, of the same VFS, have theirs. */
static int on_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)self;
    int status = theirs->xOpen(theirs, name, file, flags, out_flags);
    if (status == SQLITE_OK && flags & SQLITE_OPEN_MAIN_DB) {
        learn(file->pMethods);
        if (file->pMethods == their_methods) {
            file->pMethods = &methods;
        }
    }
    return status;
}

static void set_up(void) {
    theirs = sqlite3_vfs_find(NULL);
    if (theirs) {
        vfs = *theirs;
        vfs.pNext = NULL;
        vfs.zName = NAME;
        vfs.xOpen = on_open;
        (void)sqlite3_vfs_register(&vfs, 0); /* where that fails nothing can be opened, and who opens is told */
    }
}

const char *car_sqlite_gaps_vfs(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    return NAME;
}
