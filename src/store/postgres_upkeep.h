#ifndef CARILLON_STORE_POSTGRES_UPKEEP_H
#define CARILLON_STORE_POSTGRES_UPKEEP_H

struct car_feed;
struct car_pg_session;
struct car_pg_upkeep;
struct car_postgres_config;
struct car_reclaim;

/*
 * Forgetting what is too old or too much, on a thread of its own ("upkeep") with a connection of its own: first the
 * tenant's place moves, and nobody finds the events any more; then their rows go, a few in each statement, so that
 * nobody waits long. Only while `session` has the database's lock. A tenant's own terms go before what the server has.
 *
 * What a removed tenant had goes in the same way, over restarts too, and at last its row. What PostgreSQL itself has of
 * rows that are gone is there until it vacuums the tables, and in its WAL.
 */

/* Starts the thread. The feed and the session, whose URI it uses, are borrowed until it is closed. NULL where there is
 * no memory or no thread. */
struct car_pg_upkeep *car_pg_upkeep_open(struct car_feed *feed, struct car_reclaim *reclaim,
                                         struct car_pg_session *session, const struct car_postgres_config *config);

/* Nulls the pointer. */
void car_pg_upkeep_close(struct car_pg_upkeep **upkeep);

#endif
