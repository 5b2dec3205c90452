#ifndef CARILLON_STORE_SQLITE_MATCH_H
#define CARILLON_STORE_SQLITE_MATCH_H

#include "sqlite_search.h"

struct car_filter;

/* Reading the search index, for one thread. */
struct car_match {
    struct car_search_file *file; /* NULL where there is none */
    struct car_sqlite_db db;      /* opened when it is first wanted */
    sqlite3_stmt *statements[5];
    struct car_buf asked; /* of the block that is being looked at */
    int64_t n;
    uint64_t key[2]; /* of the tenant, where anything of it is indexed */
    bool descending;
};

void car_match_init(struct car_match *match, struct car_search_file *file);
void car_match_free(struct car_match *match);

/* What of a tenant's events is indexed; nothing where the filter asks for nothing that the index has, or there is none.
 * Until car_match_end all looks find the index as it is now. */
void car_match_begin(struct car_match *match, int64_t n, const struct car_filter *filter, struct car_indexed *out);
void car_match_end(struct car_match *match);

/* Looks for what may pass the filter, from `first` to `last`, of one block and both indexed; car_match_next then tells
 * them one by one, up or down: 1 and *seq; 0 at the end. Either returns a negative code where the index is damaged;
 * then it is not usable any more. */
int car_match_look(struct car_match *match, const struct car_filter *filter, uint64_t first, uint64_t last,
                   bool descending);
int car_match_next(struct car_match *match, uint64_t *seq);

/* The end of a look. */
void car_match_stop(struct car_match *match);

#endif
