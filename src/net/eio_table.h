#ifndef CARILLON_NET_EIO_TABLE_H
#define CARILLON_NET_EIO_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/net/eio_conn.h"

struct car_net_local;

/*
 * A worker's Engine.IO sessions by their ids. Belongs to the worker's thread. An id is base64url of 16 random bytes, by
 * which the session is found, and the worker's number, by which its worker is: whoever guesses an id has guessed 128
 * bits.
 */
struct car_eio_table;

/* NULL where memory ran out. */
struct car_eio_table *car_eio_table_new(void);

/* Nulls the pointer; no session is inside any more. NULL inside is allowed. */
void car_eio_table_free(struct car_eio_table **table);

/* Gives the session a new key, and puts it in. 0 or CAR_ENOMEM. */
int car_eio_table_add(struct car_eio_table *table, struct car_eio *eio);

void car_eio_table_remove(struct car_eio_table *table, struct car_eio *eio);

/* NULL where there is none. */
struct car_eio *car_eio_table_find(struct car_eio_table *table, const uint8_t key[16]);

/* Calls `visit` for each session; it may remove the one it is called for. */
void car_eio_table_each(struct car_eio_table *table, void (*visit)(struct car_eio *eio));

/* Goes on calling `visit` where the last call of this ended, until it has been true `most` times, or each session has
 * been visited. Returns how often it was. It begins anew once a session has come. */
size_t car_eio_table_some(struct car_eio_table *table, size_t most, bool (*visit)(struct car_eio *eio));

size_t car_eio_table_count(const struct car_eio_table *table);

/* Reads an id. CAR_EINVAL where it is none. */
int car_eio_sid_read(struct car_span sid, unsigned *worker_id, uint8_t key[16]);

#endif
