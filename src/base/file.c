#include "carillon/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP 16384

static int read_all(int fd, size_t max, struct car_buf *out) {
    size_t before = out->len;
    while (car_buf_reserve(out, STEP) == 0) {
        ssize_t n = read(fd, out->data + out->len, STEP);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return CAR_ESYS;
        }
        out->len += n > 0 ? (size_t)n : 0;
        if (out->len - before > max) {
            return CAR_ETOOBIG;
        }
    }
    return CAR_ENOMEM;
}

static int check_kind(int fd) {
    struct stat is;
    if (fstat(fd, &is) != 0) {
        return CAR_ESYS;
    }
    /* Of a folder read() says what is wrong. */
    return S_ISREG(is.st_mode) || S_ISDIR(is.st_mode) ? 0 : CAR_ENOFILE;
}

int car_file_read(const char *path, size_t max, struct car_buf *out) {
    /* Without O_NONBLOCK the opening of a pipe waits for who writes into it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return CAR_ESYS;
    }
    int err = check_kind(fd);
    err = err ? err : read_all(fd, max, out);
    int why = errno;
    close(fd);
    errno = why;
    return err;
}
