#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool port_parse(const char *text, in_port_t *port) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *port = htons((uint16_t)value);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && value > 0 && value <= UINT16_MAX;
}

bool target_parse(struct target *target, const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    memset(target, 0, sizeof *target);
    if (strcmp(host, "[::1]") == 0) {
        target->address.v6.sin6_family = AF_INET6;
        target->address.v6.sin6_addr = in6addr_loopback;
        target->len = sizeof target->address.v6;
        return port_parse(colon + 1, &target->address.v6.sin6_port);
    }
    target->address.v4.sin_family = AF_INET;
    target->len = sizeof target->address.v4;
    return inet_pton(AF_INET, host, &target->address.v4.sin_addr) == 1 &&
           ntohl(target->address.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET &&
           port_parse(colon + 1, &target->address.v4.sin_port);
}

static int bind_source(int fd, uint32_t source) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
    /* The port is chosen by connect(), which knows that another destination may share it. */
    int yes = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

int target_connect(const struct target *target, uint32_t source, int receive_buffer) {
    int fd = socket(target->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (receive_buffer > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    if ((target->address.any.sa_family == AF_INET && bind_source(fd, source) != 0) ||
        (connect(fd, &target->address.any, target->len) != 0 && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
