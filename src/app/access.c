#include "access.h"

#include "carillon/base/audit.h"
#include "carillon/base/config.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/keys.h"
#include "carillon/guard/tokens.h"
#include "carillon/guard/users.h"
#include "carillon/runtime/reclaim.h"

#include "flags.h"

/* A key that the log has; its tenant is in the registry. */
static void on_key(void *user, const struct car_account_key *account) {
    struct car_reader *reader = ((struct car_access *)user)->reader;
    struct car_auth *auth = ((struct car_access *)user)->auth;
    struct car_key key = {.account = *account};
    struct car_tenant *tenant = car_registry_find(auth->registry, reader, car_span_cstr(account->tenant));
    key.grant = tenant ? car_grant_new_of_key(tenant, account->kid, account->scopes) : NULL;
    if (!key.grant || car_keys_add(auth->keys, reader, &key) != 0) {
        car_log_error("key %s of tenant %s could not be taken from the log: it is not good until the next start",
                      account->kid, account->tenant);
    }
    car_grant_unref(&key.grant);
}

int car_access_prepare(struct car_access *access, struct car_feed *feed) {
    const struct car_config *config = access->config;
    struct car_auth *auth = access->auth;
    auth->mode = config->auth;
    auth->registry = feed->registry;
    auth->auto_tenants = config->auto_tenants;
    if (config->admin_key) {
        struct car_span key = car_span_cstr(config->admin_key);
        car_sha256(key.ptr, key.len, auth->admin);
        auth->has_admin = true;
    }
    auth->admin_open = config->auth == CAR_AUTH_OPEN && !config->admin_key && car_flags_is_loopback(config->host);
    auth->keys = car_keys_new();
    feed->key = on_key;
    feed->key_user = access;
    return auth->keys ? 0 : CAR_ENOMEM;
}

/* Lets go of what was replaced. A secret is among it: so a few times, as each time is at most one epoch further, but
 * without waiting for anybody. */
static void settle(struct car_reader *reader) {
    for (int i = 0; i < 4 && car_reader_poll(reader); i++) {
    }
}

static int load_users(struct car_access *access, size_t *ended, struct car_buf *error) {
    int err = car_users_load(access->auth->users, access->reader, access->config->users, ended, error);
    settle(access->reader);
    return err;
}

static int load_tokens(struct car_access *access, size_t *ended, struct car_buf *error) {
    int err = car_tokens_load(access->auth->tokens, access->reader, access->config, ended, error);
    settle(access->reader);
    return err;
}

int car_access_open(struct car_access *access, struct car_buf *error) {
    const struct car_config *config = access->config;
    struct car_auth *auth = access->auth;
    size_t ended;
    if (config->auth == CAR_AUTH_KEY) {
        auth->tokens = car_tokens_new(auth->registry);
        return auth->tokens ? load_tokens(access, &ended, error) : CAR_ENOMEM;
    }
    if (!config->users) {
        return 0;
    }
    auth->users = car_users_new(auth->registry);
    return auth->users ? load_users(access, &ended, error) : CAR_ENOMEM;
}

void car_access_advise(const struct car_access *access) {
    if (access->config->auth == CAR_AUTH_KEY && !access->config->admin_key) {
        car_log_warn(
            "no administrator's key: nobody can make tenants and keys. Set CARILLON_ADMIN_KEY, for instance to "
            "what `openssl rand -hex 32` prints");
    }
}

/* The users' tenants are made, as the log and --tenants would have them: there may be too many. */
static int check_users(struct car_access *access, struct car_registry *registry, struct car_buf *error) {
    const struct car_config *config = access->config;
    struct car_tenant *tenant;
    size_t ended;
    int err = 0;
    for (size_t i = 0; i < config->tenants.count && !err; i++) {
        err = car_registry_add(registry, access->reader, car_span_cstr(config->tenants.items[i]), &tenant);
        err = err == CAR_EEXIST ? 0 : err;
    }
    access->auth->users = err ? NULL : car_users_new(registry);
    return access->auth->users ? load_users(access, &ended, error) : CAR_ENOMEM;
}

int car_access_check(const struct car_config *config, struct car_buf *error) {
    struct car_auth auth = {.mode = config->auth};
    struct car_access access = {.auth = &auth, .config = config};
    if (config->auth == CAR_AUTH_KEY) {
        struct car_jwt jwt;
        int err = car_jwt_load(config, NULL, &jwt, error);
        car_jwt_free(&jwt);
        return err;
    }
    if (!config->users) {
        return 0;
    }
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_registry *registry = car_registry_new(config->max_tenants);
    access.reader = reclaim ? car_reader_open(reclaim) : NULL;
    int err = access.reader && registry ? check_users(&access, registry, error) : CAR_ENOMEM;
    car_access_close(&access);
    if (access.reader) {
        car_reader_close(&access.reader);
    }
    if (registry) {
        car_registry_free(&registry);
    }
    if (reclaim) {
        car_reclaim_free(&reclaim);
    }
    return err;
}

/* A reading of files that is over, for the log and the audit log. */
struct reading {
    const char *act;
    const char *what;   /* as the log calls it */
    const char *counts; /* as the audit log does */
    const char *kept;   /* the audit log's reason, where it failed */
    size_t count, ended;
};

/* Whether somebody has to leave. */
static bool tell(const struct reading *r, int err, struct car_buf *error) {
    struct car_audit_entry entry = {.act = r->act, .outcome = CAR_AUDIT_OK};
    if (err) {
        car_log_error("SIGHUP: the %s stay as they were: %.*s", r->what, (int)error->len, error->data);
        entry.outcome = CAR_AUDIT_FAILED;
        entry.reason = r->kept;
    } else {
        car_log_info("SIGHUP: %zu %s, and %zu no more", r->count, r->what, r->ended);
        entry.counts[0] = (struct car_audit_count){r->counts, r->count};
        entry.counts[1] = (struct car_audit_count){"ended", r->ended};
    }
    car_audit(&entry);
    car_buf_free(error);
    return !err && r->ended > 0;
}

static bool reload_users(struct car_access *access) {
    struct car_buf error = CAR_BUF_INIT;
    struct reading r = {.act = "users_reload",
                        .what = "users",
                        .counts = "users",
                        .kept = "the users stay as they were, the log says why"};
    int err = load_users(access, &r.ended, &error);
    r.count = car_users_count(access->auth->users);
    return tell(&r, err, &error);
}

static bool reload_tokens(struct car_access *access) {
    struct car_buf error = CAR_BUF_INIT;
    struct reading r = {.act = "jwt_reload",
                        .what = "keys of tokens",
                        .counts = "keys",
                        .kept = "the keys of tokens stay as they were, the log says why"};
    int err = load_tokens(access, &r.ended, &error);
    r.count = car_tokens_count(access->auth->tokens);
    return tell(&r, err, &error);
}

bool car_access_reload(struct car_access *access) {
    const struct car_config *config = access->config;
    bool users = access->auth->users != NULL;
    bool tokens = access->auth->tokens && (config->jwt_public_key || config->jwt_secret_file);
    if (!users && !tokens && !config->tls_cert) {
        car_log_info("SIGHUP: no users, no keys of tokens and no TLS certificate that could be reloaded");
    }
    bool leave = users && reload_users(access);
    return (tokens && reload_tokens(access)) || leave;
}

void car_access_close(struct car_access *access) {
    if (access->auth) {
        car_users_free(&access->auth->users);
        car_keys_free(&access->auth->keys);
        car_tokens_free(&access->auth->tokens);
    }
}
