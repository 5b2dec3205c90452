#ifndef CARILLON_STORE_POSTGRES_WORDS_H
#define CARILLON_STORE_POSTGRES_WORDS_H

#include <stdint.h>

#include "carillon/base/buf.h"

struct car_event;
struct car_filter;

/*
 * What full-text search goes by in PostgreSQL: the words of words.h, and not those of one of its dictionaries, so that
 * a search finds what it finds with any other log. One index has the events of all tenants; so that a search reads only
 * one tenant's part of it, each lexeme begins with the tenant's number: 17_word, and for the type 17=message. An event
 * with more words than a tsvector may hold has 17* for all of them, and is looked at each time.
 */

/* Appends an event's lexemes, with a space between two of them. `scratch` is the caller's. */
void car_pg_lexemes(int64_t tenant, const struct car_event *event, struct car_buf *scratch, struct car_buf *out);

/* Appends a tsquery, NUL-terminated, that all events fit which pass the filter's types and words, and few others. false
 * where the filter has neither. */
bool car_pg_lexemes_asked(int64_t tenant, const struct car_filter *filter, struct car_buf *out);

#endif
