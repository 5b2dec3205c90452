#include "carillon/guard/rooms.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/siphash.h"
#include "carillon/feed/account.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"

#define STRIPES 64u
#define PLACES  (STRIPES * 256u) /* chains; a hundred thousand addresses are six to each */

const char car_rooms_tenant_full[] = "the tenant has as many connections as it may have";
const char car_rooms_address_full[] = "there are too many connections from this address";

struct car_rooms_guest {
    struct car_rooms_guest *next;
    uint32_t place; /* never changes, as the address */
    uint32_t count; /* above 0 */
    struct car_address address;
};

struct stripe {
    pthread_mutex_t mutex; /* of the places whose number leaves the stripe's as the remainder */
};

struct car_rooms {
    uint32_t per_tenant, per_address; /* never change */
    uint64_t key[2]; /* of the hash, secret: strangers choose addresses and must not be able to make them collide */
    struct car_rooms_guest **places; /* PLACES chains; NULL where addresses are not counted */
    atomic_size_t addresses;
    struct stripe stripes[STRIPES];
};

struct car_rooms *car_rooms_new(uint32_t per_tenant, uint32_t per_address) {
    struct car_rooms *rooms = calloc(1, sizeof *rooms);
    if (!rooms) {
        return NULL;
    }
    rooms->per_tenant = per_tenant;
    rooms->per_address = per_address;
    car_random(rooms->key, sizeof rooms->key);
    if (!per_address) {
        return rooms;
    }
    rooms->places = calloc(PLACES, sizeof(struct car_rooms_guest *));
    if (!rooms->places) {
        free(rooms);
        return NULL;
    }
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&rooms->stripes[i].mutex, NULL); /* of the default kind: it cannot fail here */
    }
    return rooms;
}

void car_rooms_free(struct car_rooms **rooms) {
    struct car_rooms *r = *rooms;
    *rooms = NULL;
    if (!r) {
        return;
    }
    assert(car_rooms_addresses(r) == 0);
    for (unsigned i = 0; r->places && i < STRIPES; i++) {
        pthread_mutex_destroy(&r->stripes[i].mutex);
    }
    free(r->places);
    free(r);
}

bool car_rooms_ask_address(const struct car_rooms *rooms) {
    return rooms->per_address > 0;
}

size_t car_rooms_addresses(const struct car_rooms *rooms) {
    return atomic_load_explicit(&rooms->addresses, memory_order_relaxed);
}

static uint64_t limit_of(const struct car_rooms *rooms, struct car_reader *reader, const struct car_tenant *tenant) {
    car_reader_enter(reader);
    uint64_t own = car_tenant_terms(tenant)->limits.connections;
    car_reader_leave(reader);
    return own ? own : rooms->per_tenant;
}

static int admit(const struct car_rooms *rooms, struct car_reader *reader, struct car_tenant *tenant,
                 struct car_room *room, const char **why) {
    if (!tenant || room->tenant) {
        return 0;
    }
    if (!car_tenant_admit(tenant, limit_of(rooms, reader, tenant))) {
        *why = car_rooms_tenant_full;
        return CAR_EFULL;
    }
    room->tenant = tenant;
    return 0;
}

static pthread_mutex_t *mutex_of(struct car_rooms *rooms, uint32_t place) {
    return &rooms->stripes[place % STRIPES].mutex;
}

/* The address's entry, for one more; a new one has a count of 0. NULL without memory. Under the mutex, as all below. */
static struct car_rooms_guest *entry_of(struct car_rooms *rooms, uint32_t place, const struct car_address *address) {
    struct car_rooms_guest *guest = rooms->places[place];
    while (guest && !car_address_eq(&guest->address, address)) {
        guest = guest->next;
    }
    if (guest) {
        return guest;
    }
    guest = malloc(sizeof *guest);
    if (guest) {
        *guest = (struct car_rooms_guest){.next = rooms->places[place], .place = place, .address = *address};
        rooms->places[place] = guest;
        atomic_fetch_add_explicit(&rooms->addresses, 1, memory_order_relaxed);
    }
    return guest;
}

static void free_unused(struct car_rooms *rooms, struct car_rooms_guest *guest) {
    if (guest->count > 0) {
        return;
    }
    struct car_rooms_guest **at = &rooms->places[guest->place];
    while (*at != guest) {
        at = &(*at)->next;
    }
    *at = guest->next;
    atomic_fetch_sub_explicit(&rooms->addresses, 1, memory_order_relaxed);
    free(guest);
}

static int take_at(struct car_rooms *rooms, struct car_reader *reader, struct car_tenant *tenant,
                   struct car_rooms_guest *guest, struct car_room *room, const char **why) {
    if (guest->count >= rooms->per_address) {
        *why = car_rooms_address_full;
        return CAR_EFULL;
    }
    int err = admit(rooms, reader, tenant, room, why);
    if (!err) {
        guest->count++;
        room->from = guest;
    }
    return err;
}

int car_rooms_take(struct car_rooms *rooms, struct car_reader *reader, struct car_tenant *tenant,
                   const struct car_address *address, struct car_room *room, const char **why) {
    if (!rooms->places || !address || room->from) {
        return admit(rooms, reader, tenant, room, why);
    }
    struct car_address key = car_address_key(address);
    uint32_t place = (uint32_t)(car_siphash(rooms->key, (const char *)key.bytes, sizeof key.bytes) % PLACES);
    pthread_mutex_lock(mutex_of(rooms, place));
    struct car_rooms_guest *guest = entry_of(rooms, place, &key);
    int err = guest ? take_at(rooms, reader, tenant, guest, room, why) : CAR_ENOMEM;
    if (guest) {
        free_unused(rooms, guest);
    }
    pthread_mutex_unlock(mutex_of(rooms, place));
    return err;
}

void car_rooms_drop(struct car_rooms *rooms, struct car_room *room) {
    struct car_rooms_guest *guest = room->from;
    struct car_tenant *tenant = room->tenant;
    *room = (struct car_room){0};
    if (guest) {
        uint32_t place = guest->place;
        pthread_mutex_lock(mutex_of(rooms, place));
        guest->count--;
        free_unused(rooms, guest);
        pthread_mutex_unlock(mutex_of(rooms, place));
    }
    if (tenant) {
        car_tenant_leave(tenant);
    }
}
