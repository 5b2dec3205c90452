#ifndef CARILLON_STORE_MEMO_H
#define CARILLON_STORE_MEMO_H

#include <stddef.h>
#include <stdint.h>

struct car_publish;

/* What a memo holds at most: so many keys, and events of so many bytes, but always those of the newest key. */
#define CAR_MEMO_KEYS  10000u
#define CAR_MEMO_BYTES (32u << 20)

/*
 * The keys of one tenant's publishes, for a log in memory: the newest, each with references to its events, so that
 * these are there for a repeat even where the history has let go of them. The drainer's (drain.h); one thread at a
 * time.
 */
struct car_memo;

/* NULL where memory ran out. */
struct car_memo *car_memo_new(void);

/* NULL inside is allowed; nulls the pointer. */
void car_memo_free(struct car_memo **memo);

/* Looks up the key of a publish, and where it is known has it decided (repeat.h). */
void car_memo_recall(struct car_memo *memo, struct car_publish *publish, int64_t now_ms);

/* Makes room for these, those of them that have a key, to be remembered. 0; CAR_ENOMEM, and there is none. */
int car_memo_prepare(struct car_memo *memo, struct car_publish *const *publishes, size_t count);

/* Remembers those for which there was made room, whose events are sealed. */
void car_memo_remember(struct car_memo *memo, struct car_publish *const *publishes, size_t count);

/* They are not to be remembered after all. */
void car_memo_drop_prepared(struct car_memo *memo);

/* How many keys it has. */
size_t car_memo_count(const struct car_memo *memo);

#endif
