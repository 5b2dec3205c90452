#include "carillon/base/err.h"

const char *car_strerror(int err) {
    switch (err) {
    case CAR_OK:
        return "no error";
    case CAR_ENOMEM:
        return "out of memory";
    case CAR_EINVAL:
        return "invalid argument";
    case CAR_EPROTO:
        return "protocol violation";
    case CAR_ETOOBIG:
        return "over a limit";
    case CAR_EFULL:
        return "queue is full";
    case CAR_ENOENT:
        return "no such thing";
    case CAR_EEXIST:
        return "already there";
    case CAR_ESYS:
        return "system call failed";
    case CAR_ECLOSED:
        return "closed";
    case CAR_ENOFILE:
        return "not a regular file";
    default:
        return "unknown error";
    }
}
