#ifndef CARILLON_FEED_WORDS_H
#define CARILLON_FEED_WORDS_H

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_event;

/*
 * What full-text search goes by, whatever the log: a word is a run of letters and digits of any script, told apart by
 * its first CAR_WORD_MAX bytes, in lower case.
 */
#define CAR_WORD_MAX 64

/* Appends the words of an event's message, and of the names, strings and numbers of its metadata, each with a NUL
 * behind it; a word may come more than once. Any thread. */
void car_words_of(const struct car_event *event, struct car_buf *out);

/* The same for the words of a valid UTF-8 text that asks for them. One that `*` follows at once asks for all words that
 * begin with it, and keeps its `*`. */
void car_words_asked(struct car_span text, struct car_buf *out);

/* Whether one of the words answers one that was asked for. */
bool car_words_have(struct car_span words, struct car_span asked);

/* The next of words that each have a NUL behind them. false at the end. */
bool car_words_next(struct car_span *rest, struct car_span *word);

#endif
