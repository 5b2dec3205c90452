#include "tls_files.h"

#include <stdatomic.h>

#include "carillon/base/audit.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/net/net.h"
#include "carillon/net/tls.h"
#include "carillon/runtime/reclaim.h"

#define DAY_S     86400
#define WARN_DAYS 14

static int load(const struct car_config *config, const struct car_tls_context *former, struct car_tls_context **out,
                struct car_buf *error) {
    const struct car_tls_files files = {
        .cert = config->tls_cert, .key = config->tls_key, .client_ca = config->tls_client_ca};
    return car_tls_context_load(&files, former, out, error);
}

int car_tls_files_open(const struct car_config *config, struct car_net *net, struct car_reader *reader,
                       struct car_buf *error) {
    struct car_tls_context *context = NULL;
    int err = config->tls_cert ? load(config, NULL, &context, error) : 0;
    if (context) {
        car_tls_use(net, reader, context);
    }
    return err;
}

int car_tls_files_check(const struct car_config *config, struct car_buf *error) {
    struct car_tls_context *context = NULL;
    int err = config->tls_cert ? load(config, NULL, &context, error) : 0;
    car_tls_context_free(&context);
    return err;
}

bool car_tls_files_advice(const char *path, int64_t expires, int64_t now, struct car_buf *out) {
    char at[CAR_RFC3339_LEN];
    int64_t left = expires - now;
    if (left >= (int64_t)WARN_DAYS * DAY_S) {
        return false;
    }
    int days = left > 0 ? (int)((left + DAY_S - 1) / DAY_S) : 1;
    car_rfc3339_write(expires * 1000, at);
    car_buf_printf(out, "--tls-cert: %s: the certificate in use ", path);
    if (left < 0) {
        CAR_BUF_LIT(out, "has expired");
    } else {
        car_buf_printf(out, "expires within %d day%s", days, days == 1 ? "" : "s");
    }
    car_buf_printf(out, ", at %.*s", (int)sizeof at, at);
    return true;
}

void car_tls_files_warn(const struct car_config *config, const struct car_net *net) {
    struct car_buf line = CAR_BUF_INIT;
    if (config->tls_cert &&
        car_tls_files_advice(config->tls_cert, atomic_load(&net->tls_expires), car_clock_wall_ms() / 1000, &line) &&
        !line.failed) {
        car_log_warn("%.*s", (int)line.len, line.data);
    }
    car_buf_free(&line);
}

void car_tls_files_reload(const struct car_config *config, struct car_net *net, struct car_reader *reader) {
    struct car_buf error = CAR_BUF_INIT;
    struct car_tls_context *context = NULL;
    struct car_audit_entry entry = {.act = "tls_reload", .outcome = CAR_AUDIT_OK};
    if (!config->tls_cert) {
        return;
    }
    if (load(config, atomic_load(&net->tls), &context, &error)) {
        car_log_error("SIGHUP: the TLS certificate stays as it was: %.*s", (int)error.len, error.data);
        entry.outcome = CAR_AUDIT_FAILED;
        entry.reason = "the TLS certificate stays as it was, the log says why";
    } else {
        car_tls_use(net, reader, context);
        (void)car_reader_poll(reader);
        car_log_info("SIGHUP: connections begin with the TLS certificate in %s", config->tls_cert);
    }
    car_tls_files_warn(config, net);
    car_audit(&entry);
    car_buf_free(&error);
}

void car_tls_files_close(struct car_net *net) {
    struct car_tls_context *context = atomic_exchange(&net->tls, NULL);
    car_tls_context_free(&context);
}
