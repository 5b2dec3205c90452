#include "pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/err.h"

static int write_to(const char *path) {
    char text[24];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return CAR_ESYS;
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    bool written = write(fd, text, (size_t)len) == len;
    return close(fd) == 0 && written ? 0 : CAR_ESYS;
}

/* Where that process writes what it then renames. */
static int name_beside(const char *path, long pid, char beside[PATH_MAX]) {
    if (snprintf(beside, PATH_MAX, "%s.%ld", path, pid) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return CAR_ESYS;
    }
    return 0;
}

int car_pid_file_write(const char *path) {
    char beside[PATH_MAX];
    if (name_beside(path, getpid(), beside) != 0) {
        return CAR_ESYS;
    }
    int err = write_to(beside);
    err = err || rename(beside, path) == 0 ? err : CAR_ESYS;
    if (err) {
        int why = errno;
        (void)unlink(beside);
        errno = why;
    }
    return err;
}

int car_pid_file_take_back(const char *path, long pid) {
    char beside[PATH_MAX];
    if (name_beside(path, pid, beside) == 0) {
        (void)unlink(beside);
    }
    return car_pid_file_write(path);
}

void car_pid_file_remove(const char *path) {
    char text[24];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* it may be a pipe by now */
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    bool ours = strtol(text, NULL, 10) == getpid();
    if (fd >= 0) {
        close(fd);
    }
    if (ours) {
        (void)unlink(path);
    }
}
