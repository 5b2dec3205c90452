#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/file.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/grant.h"

#include "users_table.h"

#define FILE_MAX    (16u << 20)
#define TOKEN_MAX   1024
#define SUBJECT_BAD "'name' has to be 1 to 128 bytes of UTF-8 without control characters"

/* A file on its way into a table. */
struct reading {
    const char *path;
    yaml_document_t document;
    struct car_user_table *table;
    struct car_registry *registry;
    struct car_reader *reader;
    struct car_buf *error;
};

/* What a user's map may have, by what it is for. */
enum member { TENANT, NAME, TOKEN, TOKEN_SHA256, SCOPES, MEMBERS };

static const struct car_span NAMES[MEMBERS] = {CAR_SPAN_INIT("tenant"), CAR_SPAN_INIT("name"), CAR_SPAN_INIT("token"),
                                               CAR_SPAN_INIT("token_sha256"), CAR_SPAN_INIT("scopes")};

static int wrong_at(const struct reading *r, size_t line, const char *what) {
    car_buf_printf(r->error, "%s:%zu: %s", r->path, line, what);
    return CAR_EINVAL;
}

static int wrong(const struct reading *r, const yaml_node_t *node, const char *what) {
    return wrong_at(r, node->start_mark.line + 1, what);
}

static yaml_node_t *node_of(struct reading *r, int id) {
    return yaml_document_get_node(&r->document, id);
}

/* The text of a scalar; absent where it is none. */
static struct car_span text_of(const yaml_node_t *node) {
    if (!node || node->type != YAML_SCALAR_NODE) {
        return car_span_of(NULL, 0);
    }
    return car_span_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

/* Whether a node stands for a text: what YAML's core schema (1.2.2, section 10.3) reads as nothing or a truth value is
 * none, unless it is quoted. A number is taken as it is written. */
static bool is_text(const yaml_node_t *node) {
    static const char *const OTHERS[] = {"",     "~",    "null",  "Null",  "NULL", "true",
                                         "True", "TRUE", "false", "False", "FALSE"};
    if (node->type != YAML_SCALAR_NODE || strcmp((const char *)node->tag, YAML_STR_TAG) != 0) {
        return false;
    }
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    for (size_t i = 0; plain && i < sizeof OTHERS / sizeof *OTHERS; i++) {
        if (car_span_eq(text_of(node), car_span_cstr(OTHERS[i]))) {
            return false;
        }
    }
    return true;
}

/* The values of a user's map. */
static int read_members(struct reading *r, const yaml_node_t *user, yaml_node_t *m[MEMBERS]) {
    if (user->type != YAML_MAPPING_NODE) {
        return wrong(r, user, "a user has to be a map");
    }
    for (const yaml_node_pair_t *pair = user->data.mapping.pairs.start; pair < user->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = node_of(r, pair->key);
        int i = 0;
        while (i < MEMBERS && !car_span_eq(text_of(key), NAMES[i])) {
            i++;
        }
        if (i == MEMBERS) {
            return wrong(r, key,
                         "a user has 'tenant', 'name', 'token' or 'token_sha256', and 'scopes', and nothing else");
        }
        if (m[i]) {
            return wrong(r, key, "this is given twice");
        }
        m[i] = node_of(r, pair->value);
        if (i != SCOPES && !is_text(m[i])) {
            return wrong(r, m[i], "this has to be a text");
        }
    }
    return 0;
}

static int read_scopes(struct reading *r, const yaml_node_t *node, unsigned *out) {
    *out = node ? 0 : CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE;
    if (node && node->type != YAML_SEQUENCE_NODE) {
        return wrong(r, node, "'scopes' has to be a list");
    }
    const yaml_node_item_t *end = node ? node->data.sequence.items.top : NULL;
    for (const yaml_node_item_t *item = node ? node->data.sequence.items.start : NULL; item < end; item++) {
        const yaml_node_t *name = node_of(r, *item);
        unsigned scope = car_scope_of(text_of(name));
        if (!scope) {
            return wrong(r, name, "a scope is one of 'publish', 'subscribe' and 'admin'");
        }
        *out |= scope;
    }
    return 0;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct car_span text, uint8_t out[CAR_DIGEST_LEN]) {
    if (text.len != (size_t)2 * CAR_DIGEST_LEN) {
        return false;
    }
    for (size_t i = 0; i < CAR_DIGEST_LEN; i++) {
        int high = hex_value(text.ptr[2 * i]);
        int low = hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* In a header, say, without being changed on the way. */
static bool can_be_shown(struct car_span token) {
    for (size_t i = 0; i < token.len; i++) {
        if ((unsigned char)token.ptr[i] < 0x20 || token.ptr[i] == 0x7f) {
            return false;
        }
    }
    return token.ptr[0] != ' ' && token.ptr[token.len - 1] != ' ';
}

static int read_digest(struct reading *r, const yaml_node_t *user, yaml_node_t *const m[MEMBERS],
                       uint8_t out[CAR_DIGEST_LEN]) {
    if (!m[TOKEN] == !m[TOKEN_SHA256]) {
        return wrong(r, user, "a user has either 'token' or 'token_sha256'");
    }
    struct car_span token = text_of(m[TOKEN]);
    if (m[TOKEN] && (token.len < 1 || token.len > TOKEN_MAX)) {
        return wrong(r, m[TOKEN], "'token' has to be 1 to 1024 bytes");
    }
    if (m[TOKEN] && !can_be_shown(token)) {
        return wrong(r, m[TOKEN], "'token' has to be without control characters, and without spaces around it");
    }
    if (m[TOKEN]) {
        car_sha256(token.ptr, token.len, out);
        return 0;
    }
    return read_hex(text_of(m[TOKEN_SHA256]), out)
               ? 0
               : wrong(r, m[TOKEN_SHA256],
                       "'token_sha256' has to be 64 hexadecimal digits (carillon hash-token makes them)");
}

static int find_tenant(struct reading *r, const yaml_node_t *node, struct car_tenant **out) {
    int err = car_registry_add(r->registry, r->reader, text_of(node), out);
    if (err == CAR_EINVAL) {
        return wrong(r, node, "'tenant' has to be 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first");
    }
    if (err == CAR_EFULL) {
        (void)wrong(r, node, "there are more tenants than --max-tenants allows");
    }
    return err == CAR_EEXIST ? 0 : err;
}

static int read_user(struct reading *r, const yaml_node_t *user) {
    yaml_node_t *m[MEMBERS] = {NULL};
    uint8_t digest[CAR_DIGEST_LEN];
    unsigned scopes = 0;
    struct car_tenant *tenant = NULL;
    int err = read_members(r, user, m);
    if (!err && (!m[TENANT] || !m[NAME])) {
        err = wrong(r, user, "a user has to have 'tenant' and 'name'");
    }
    if (!err && (text_of(m[NAME]).len == 0 || !car_subject_ok(text_of(m[NAME])))) {
        err = wrong(r, m[NAME], SUBJECT_BAD);
    }
    err = err ? err : read_digest(r, user, m, digest);
    err = err ? err : read_scopes(r, m[SCOPES], &scopes);
    err = err ? err : find_tenant(r, m[TENANT], &tenant);
    if (err) {
        return err;
    }
    struct car_grant *grant = car_grant_new(tenant, text_of(m[NAME]), scopes);
    return grant ? car_user_table_add(r->table, digest, user->start_mark.line + 1, grant) : CAR_ENOMEM;
}

/* Two users with one token: nobody could say who it is. */
static int refuse_twins(const struct reading *r) {
    car_user_table_sort(r->table);
    for (size_t i = 1; i < r->table->count; i++) {
        const struct car_user *a = &r->table->users[i - 1];
        const struct car_user *b = &r->table->users[i];
        if (memcmp(a->digest, b->digest, CAR_DIGEST_LEN) == 0) {
            return wrong_at(r, a->line > b->line ? a->line : b->line, "another user has the same token");
        }
    }
    return 0;
}

static int read_users(struct reading *r) {
    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    if (!root || root->type != YAML_MAPPING_NODE) {
        return wrong_at(r, 1, "the file has to be a map with 'users'");
    }
    yaml_node_t *users = NULL;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = node_of(r, pair->key);
        if (users || !car_span_eq(text_of(key), CAR_SPAN("users"))) {
            return wrong(r, key, "the file has 'users', once, and nothing else");
        }
        users = node_of(r, pair->value);
    }
    if (!users || users->type != YAML_SEQUENCE_NODE) {
        return wrong(r, users ? users : root, "'users' has to be a list");
    }
    const yaml_node_item_t *end = users->data.sequence.items.top;
    for (const yaml_node_item_t *item = users->data.sequence.items.start; item < end; item++) {
        int err = read_user(r, node_of(r, *item));
        if (err) {
            return err;
        }
    }
    return refuse_twins(r);
}

/* The parser's own words name positions, never what stands there. */
static int malformed(const struct reading *r, const yaml_parser_t *parser) {
    if (parser->error == YAML_MEMORY_ERROR) {
        return CAR_ENOMEM;
    }
    return wrong_at(r, parser->problem_mark.line + 1, parser->problem ? parser->problem : "not valid YAML");
}

/* Nothing may follow the document. */
static int ends_here(struct reading *r, yaml_parser_t *parser) {
    if (!yaml_parser_load(parser, &r->document)) {
        return malformed(r, parser);
    }
    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    int err = root ? wrong(r, root, "there is more behind the users") : 0;
    yaml_document_delete(&r->document);
    return err;
}

static int parse(struct reading *r, const struct car_buf *text) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return CAR_ENOMEM;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text->data, text->len);
    int err = yaml_parser_load(&parser, &r->document) ? 0 : malformed(r, &parser);
    if (!err) {
        err = read_users(r);
        yaml_document_delete(&r->document);
        err = err ? err : ends_here(r, &parser);
    }
    yaml_parser_delete(&parser);
    return err;
}

int car_user_table_read(struct car_user_table *table, const char *path, struct car_registry *registry,
                        struct car_reader *reader, struct car_buf *error) {
    struct reading r = {.path = path, .table = table, .registry = registry, .reader = reader, .error = error};
    struct car_buf text = CAR_BUF_INIT;
    int err = car_file_read(path, FILE_MAX, &text);
    if (err == CAR_ETOOBIG) {
        car_buf_printf(error, "%s: the file has more than %u bytes", path, FILE_MAX);
    } else if (err) {
        car_buf_printf(error, "%s: %s", path, err == CAR_ESYS ? strerror(errno) : car_strerror(err));
    } else {
        err = parse(&r, &text);
    }
    if (err && error->len == 0) {
        car_buf_printf(error, "%s: %s", path, car_strerror(err));
    }
    if (text.data) {
        explicit_bzero(text.data, text.len);
    }
    car_buf_free(&text);
    return err;
}
