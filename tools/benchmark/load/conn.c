#include "conn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "secure.h"

void conn_flush(struct conn *conn) {
    if (conn->out.len == 0 || conn->fd < 0) {
        return;
    }
    ssize_t sent = conn->tls ? secure_send(conn, conn->out.data, conn->out.len)
                             : send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL);
    if (sent > 0) {
        bytes_drop(&conn->out, (size_t)sent);
    } else if (sent < 0 && errno != EAGAIN) {
        conn_break(conn, "could not be written to (%s)", strerror(errno));
    }
}

void conn_writable(struct conn *conn) {
    if (conn->on_connect) {
        void (*on_connect)(struct conn *) = conn->on_connect;
        conn->on_connect = NULL;
        on_connect(conn);
    }
    conn_flush(conn);
}

__attribute__((format(printf, 2, 0))) static void add_fault(struct conn *conn, const char *format, va_list arguments) {
    static const char *const names[] = {"socket", "stalled socket", "publisher", "publisher", "sink"};
    char subject[64];
    if (conn->role == ROLE_POSTER_HTTP) {
        snprintf(subject, sizeof subject, "publisher %" PRIu32, conn->number);
    } else {
        snprintf(subject, sizeof subject, "%s %" PRIu32 " of t%" PRIu32, names[conn->role], conn->number, conn->tenant);
    }
    if (conn->load) {
        faults_add_about(&conn->load->faults, subject, format, arguments);
    }
}

void conn_fault(struct conn *conn, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_fault(conn, format, arguments);
    va_end(arguments);
}

void conn_break(struct conn *conn, const char *format, ...) {
    /* What breaks after the first one says nothing new: the run has ended. */
    if (conn->load && !atomic_exchange(&conn->load->broken, true)) {
        va_list arguments;
        va_start(arguments, format);
        add_fault(conn, format, arguments);
        va_end(arguments);
    }
    close(conn->fd);
    conn->fd = -1;
}

void conn_free(struct conn *conn) {
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
    secure_free(conn);
    bytes_free(&conn->rest);
    bytes_free(&conn->out);
}
