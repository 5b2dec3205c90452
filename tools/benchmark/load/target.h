#ifndef CARILLON_LOAD_TARGET_H
#define CARILLON_LOAD_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the server listens: an address of this machine, and no other. */
struct target {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len;
};

/* Reads 127.A.B.C:PORT or [::1]:PORT; false for everything else. */
bool target_parse(struct target *target, const char *text);

/* A non-blocking connection under way from the source address 127.0.0.(1 + source), or ::1. `receive_buffer` is
 * SO_RCVBUF, 0 for the system's. Returns the socket, or -1 with errno. */
int target_connect(const struct target *target, uint32_t source, int receive_buffer);

#endif
