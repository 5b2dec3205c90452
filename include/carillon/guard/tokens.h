#ifndef CARILLON_GUARD_TOKENS_H
#define CARILLON_GUARD_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_config;
struct car_grant;
struct car_jwt_order;
struct car_reader;
struct car_registry;

/*
 * How the JSON Web Tokens of `--auth key` are read and made (struct car_jwt): a set of keys that never changes, and is
 * replaced as a whole.
 *
 * Owner and only writer: the thread that loads (the process's main one). Readers: any thread, inside a reader's
 * section. Ordering: a set is whole before it is stored (release), and read after it was loaded (acquire). One that was
 * replaced is retired through the loader's reader. A section lasts as long as a token's signature is looked at, tens of
 * microseconds for RSA: that is computing and waits for nothing, and a count that all workers change would be no
 * shorter. What a grant keeps is its key's signer, not the set.
 */
struct car_tokens;

/* No keys yet: every token is refused. NULL without memory. */
struct car_tokens *car_tokens_new(struct car_registry *registry);

/* All threads have ended. Nulls the pointer; NULL inside is allowed. */
void car_tokens_free(struct car_tokens **tokens);

/*
 * Reads the files that the configuration names (car_jwt_load); the secret of a server that names none for it is drawn
 * once, and kept. On success tokens of these keys are taken from now on, and of no others; the grants of tokens of keys
 * that are not there any more have ended, and *ended says how many keys these are. A key that is there still is the
 * same, whatever its file looks like. Else nothing changes, and `error` says why, as of car_jwt_load. Its results. The
 * loading thread only.
 */
int car_tokens_load(struct car_tokens *tokens, struct car_reader *reader, const struct car_config *config,
                    size_t *ended, struct car_buf *error);

/* How many keys there are, the secret among them. The loading thread only. */
size_t car_tokens_count(const struct car_tokens *tokens);

/* What a token stands for: 0, and a reference for the caller in *out; else the status to refuse it with, 401, or 503
 * (no memory), and a static reason that has nothing of the token. Any thread with a reader. No lock. */
int car_tokens_find(struct car_tokens *tokens, struct car_reader *reader, struct car_span token, struct car_grant **out,
                    const char **why);

/* Makes a token as of `now_ms` (wall clock): car_jwt_issue. Any thread with a reader. No lock. */
int car_tokens_issue(struct car_tokens *tokens, struct car_reader *reader, const struct car_jwt_order *order,
                     int64_t now_ms, struct car_buf *out, int64_t *expires_ms);

#endif
