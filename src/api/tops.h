#ifndef CARILLON_API_TOPS_H
#define CARILLON_API_TOPS_H

struct car_buf;
struct car_feed;
struct car_reader;
struct car_tops;

/*
 * The tenants that /metrics tells of by name, at most as many as car_tops_new was told: those with the most traffic.
 * All others are one series, whose label "_other" can be no tenant's id.
 *
 * A counter must never go back, nor jump for another reason than that something has happened:
 *
 * - What was told as the others' stays with them: who was one of them begins with 0. As long as there is room for all
 *   that have any traffic, nobody is, and each is told of with all that it has done.
 * - One that is told of stays so until it is removed, or until there is no room and another one has had more than twice
 *   its traffic. What it did while it was told of goes with it: the others' series does not jump by that.
 *
 * So the increases of all series add up to the increase of the total, whoever comes and goes. The values do, too, until
 * the first one goes.
 *
 * Owner: the process; one for all workers. Whoever scrapes holds the mutex for a walk over all tenants; nobody else
 * meets it. Reclamation: tenants are there as long as the registry, so a pointer to one that was removed is good.
 */

/* Walks over the tenants, decides who is told of, and appends the families. Any thread with a reader. */
void car_tops_write(struct car_tops *tops, struct car_feed *feed, struct car_reader *reader, struct car_buf *out);

#endif
