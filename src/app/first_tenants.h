#ifndef CARILLON_APP_FIRST_TENANTS_H
#define CARILLON_APP_FIRST_TENANTS_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>

#include "carillon/runtime/mailbox.h"

struct car_config;
struct car_feed;
struct car_reader;
struct car_worker;

/*
 * The tenants of --tenants. Those that a durable log does not know yet are stored before anybody is served: what names
 * one (its epoch, when it was made, and so the tokens that were made for it) is drawn once, and outlives a restart.
 *
 * Owner: the main thread; the worker that stores them has the changes until they are done.
 */
struct car_first_tenants {
    struct car_note note; /* on its way to the worker */
    struct car_first_tenant *unknown;
    size_t count;
    sem_t done;         /* posted once for each */
    atomic_uint failed; /* of these */
};

/* Has them all in the feed's registry, whose log is open. 0; CAR_EFULL where there is no room for them; CAR_ENOMEM. */
int car_first_tenants_add(struct car_first_tenants *first, const struct car_config *config, struct car_feed *feed,
                          struct car_reader *reader);

/* Stores those that the log does not know, and waits for that, a while; where it cannot be, a line says so, and they
 * are served all the same: their first event stores them. The worker's thread runs. */
void car_first_tenants_store(struct car_first_tenants *first, struct car_worker *worker);

/* After the workers have ended; also where nothing was added. */
void car_first_tenants_free(struct car_first_tenants *first);

#endif
