#ifndef CARILLON_BASE_ERR_H
#define CARILLON_BASE_ERR_H

/*
 * The results of functions that can fail: 0, or one of these, all negative. They never overlap libuv's or errno's
 * values (those are above -5000), so a function may hand on a UV_E… code unchanged.
 */
enum car_err {
    CAR_OK = 0,
    CAR_ENOMEM = -10001,  /* an allocation failed */
    CAR_EINVAL = -10002,  /* an argument or a piece of input is not what it has to be */
    CAR_EPROTO = -10003,  /* a peer broke the protocol it speaks */
    CAR_ETOOBIG = -10004, /* over a limit */
    CAR_EFULL = -10005,   /* a bounded queue has no room now; trying later may succeed */
    CAR_ENOENT = -10006,  /* there is no such thing */
    CAR_EEXIST = -10007,  /* there is one already */
    CAR_ESYS = -10008,    /* the operating system refused; errno or the log says why */
    CAR_ECLOSED = -10009, /* it is shut, or shutting down */
    CAR_ENOFILE = -10010, /* there is something, but no regular file */
};

/* A short English text for a CAR_E… code; "unknown error" for any other number (libuv's names are its own business).
 * Never NULL; static storage; any thread. */
const char *car_strerror(int err);

#endif
