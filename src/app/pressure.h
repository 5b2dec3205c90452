#ifndef CARILLON_APP_PRESSURE_H
#define CARILLON_APP_PRESSURE_H

#include <stdint.h>

struct car_feed;
struct car_listener;
struct car_reader;

/*
 * The process's memory and its budget: looked at from time to time, and where it comes near it, new connections are
 * refused, and then the tenants that use most are cut (feed/shares.h). Each change of state is a line in the log.
 *
 * Owner: the main thread.
 */
struct car_pressure;

/* For a budget of so many bytes. What is borrowed has to outlive it. NULL without memory. */
struct car_pressure *car_pressure_new(struct car_feed *feed, struct car_reader *reader, uint64_t budget);

/* After the workers have ended. Nulls the pointer; NULL inside is allowed. */
void car_pressure_free(struct car_pressure **pressure);

/* Looks at it. Returns after how many milliseconds to look again. */
uint64_t car_pressure_look(struct car_pressure *pressure, struct car_listener *listener);

#endif
