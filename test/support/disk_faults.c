#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * A disk that fails when a test says so. Preloaded into the server, it stands before the calls by which SQLite touches
 * its files, and meets those on the database that DISK_FAULTS_PATH names, its WAL, its index and its journal: all other
 * descriptors go straight through. What fails is in the file that DISK_FAULTS_CONTROL names, which is mapped: the test
 * writes to it at any time, and a call that is to go well costs one load. Calls go to the kernel without the C library,
 * whose functions of these names these are.
 */

enum call { WRITE = 1, SYNC = 2, READ = 4, TRUNCATE = 8 };
enum file { MAIN = 1, WAL = 2, INDEX = 4, JOURNAL = 8, SEARCH = 16 };
enum manner {
    FAIL,  /* nothing is done */
    TORN,  /* half of it is done, and it fails */
    SHORT, /* half of it is done, and that is what it says: `error` is unused */
    LATE,  /* all of it is done, and it fails */
    KILL,  /* the process ends before the call */
    KILL_TORN,
};

/* The test owns all but `seen` and `hits`. It writes `calls` last, and 0 to it first. */
struct control {
    _Atomic uint32_t calls; /* a set of enum call; 0: nothing fails */
    uint32_t files;         /* a set of enum file */
    uint32_t manner;
    uint32_t error;
    uint32_t skip;         /* so many calls go well first */
    uint32_t count;        /* and so many fail; 0: all that come */
    _Atomic uint32_t seen; /* calls that were looked at */
    _Atomic uint32_t hits; /* calls that were met */
};

static struct control *control;
static const char *path;
static size_t path_len;

__attribute__((constructor)) static void attach(void) {
    const char *name = getenv("DISK_FAULTS_CONTROL");
    path = getenv("DISK_FAULTS_PATH");
    int fd = name && path ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    path_len = strlen(path);
    void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    control = memory == MAP_FAILED ? NULL : memory;
    close(fd);
}

/* Which of the database's files it is; 0: none. A file that was removed has more to its name. */
static unsigned file_of(int fd) {
    char link[64];
    char name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, sizeof name - 1);
    if (len < (ssize_t)path_len || memcmp(name, path, path_len) != 0) {
        return 0;
    }
    name[len] = '\0';
    const char *rest = name + path_len;
    if (strncmp(rest, "-search", 7) == 0) {
        return SEARCH;
    }
    if (strncmp(rest, "-wal", 4) == 0) {
        return WAL;
    }
    if (strncmp(rest, "-shm", 4) == 0) {
        return INDEX;
    }
    if (strncmp(rest, "-journal", 8) == 0) {
        return JOURNAL;
    }
    return *rest == '\0' || *rest == ' ' ? MAIN : 0;
}

/* Whether this call is one that fails. */
static bool meets(enum call call, int fd) {
    if (!control || !(atomic_load(&control->calls) & call)) {
        return false;
    }
    int saved = errno;
    bool ours = (file_of(fd) & control->files) != 0;
    errno = saved;
    if (!ours) {
        return false;
    }
    uint32_t n = atomic_fetch_add(&control->seen, 1);
    if (n < control->skip || (control->count && n - control->skip >= control->count)) {
        return false;
    }
    atomic_fetch_add(&control->hits, 1);
    if (control->manner == KILL) {
        kill(getpid(), SIGKILL);
    }
    return true;
}

static long failed(void) {
    errno = (int)control->error;
    return -1;
}

/* What a call that was met says, which has done so much. */
static long met(long done) {
    if (control->manner == KILL_TORN) {
        kill(getpid(), SIGKILL);
    }
    return control->manner == SHORT ? done : failed();
}

/* How much of a write that was met is done. */
static size_t share(size_t size) {
    if (control->manner == FAIL) {
        return 0;
    }
    return control->manner == LATE || size < 2 ? size : size / 2;
}

#define SHOWN __attribute__((visibility("default")))

SHOWN ssize_t write(int fd, const void *bytes, size_t size) {
    if (!meets(WRITE, fd)) {
        return syscall(SYS_write, fd, bytes, size);
    }
    size_t some = share(size);
    return met(some ? syscall(SYS_write, fd, bytes, some) : 0);
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    if (!meets(WRITE, fd)) {
        return syscall(SYS_pwrite64, fd, bytes, size, at);
    }
    size_t some = share(size);
    return met(some ? syscall(SYS_pwrite64, fd, bytes, some, at) : 0);
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return pwrite64(fd, bytes, size, at);
}

SHOWN ssize_t read(int fd, void *bytes, size_t size) {
    if (!meets(READ, fd)) {
        return syscall(SYS_read, fd, bytes, size);
    }
    return control->manner == SHORT ? syscall(SYS_read, fd, bytes, share(size)) : failed();
}

SHOWN ssize_t pread64(int fd, void *bytes, size_t size, off64_t at) {
    if (!meets(READ, fd)) {
        return syscall(SYS_pread64, fd, bytes, size, at);
    }
    return control->manner == SHORT ? syscall(SYS_pread64, fd, bytes, share(size), at) : failed();
}

SHOWN ssize_t pread(int fd, void *bytes, size_t size, off_t at) {
    return pread64(fd, bytes, size, at);
}

SHOWN int fsync(int fd) {
    if (!meets(SYNC, fd)) {
        return (int)syscall(SYS_fsync, fd);
    }
    return (int)met(control->manner == LATE ? syscall(SYS_fsync, fd) : 0);
}

SHOWN int fdatasync(int fd) {
    if (!meets(SYNC, fd)) {
        return (int)syscall(SYS_fdatasync, fd);
    }
    return (int)met(control->manner == LATE ? syscall(SYS_fdatasync, fd) : 0);
}

SHOWN int ftruncate64(int fd, off64_t size) {
    if (!meets(TRUNCATE, fd)) {
        return (int)syscall(SYS_ftruncate, fd, size);
    }
    return (int)met(control->manner == LATE ? syscall(SYS_ftruncate, fd, size) : 0);
}

SHOWN int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}
