#include "carillon/guard/rooms.h"

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"

#include "suite.h"

#define MANY 5000u

static struct {
    struct car_reclaim *domain;
    struct car_reader *reader;
    struct car_rooms *rooms;
    struct car_tenant *tenant, *other;
    const char *why;
} t;

static void open_rooms(uint32_t per_tenant, uint32_t per_address) {
    t.domain = car_reclaim_new();
    t.reader = car_reader_open(t.domain);
    t.rooms = car_rooms_new(per_tenant, per_address);
    t.tenant = car_tenant_new(CAR_SPAN("t"));
    t.other = car_tenant_new(CAR_SPAN("other"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.rooms);
}

static void close_rooms(void) {
    CU_ASSERT_EQUAL(car_tenant_guests(t.tenant), 0);
    CU_ASSERT_EQUAL(car_tenant_guests(t.other), 0);
    CU_ASSERT_EQUAL(car_rooms_addresses(t.rooms), 0);
    car_rooms_free(&t.rooms);
    CU_ASSERT_PTR_NULL(t.rooms);
    car_rooms_free(&t.rooms);
    car_tenant_free(&t.tenant);
    car_tenant_free(&t.other);
    car_reader_close(&t.reader);
    car_reclaim_free(&t.domain);
}

static struct car_address address(const char *text) {
    struct car_address out;
    CU_ASSERT_EQUAL_FATAL(car_address_parse(car_span_cstr(text), &out), 0);
    return out;
}

/* A room from that address; where none was had it is empty. */
static int take(struct car_tenant *tenant, const char *from, struct car_room *room) {
    struct car_address address_ = {{0}};
    if (from) {
        address_ = address(from);
    }
    t.why = NULL;
    *room = (struct car_room){0};
    int err = car_rooms_take(t.rooms, t.reader, tenant, from ? &address_ : NULL, room, &t.why);
    CU_ASSERT((err == CAR_EFULL) == (t.why != NULL));
    CU_ASSERT(!err || (!room->tenant && !room->from));
    return err;
}

static void of_a_tenant(void) {
    struct car_room room[4];
    open_rooms(2, 0);
    CU_ASSERT_FALSE(car_rooms_ask_address(t.rooms));
    CU_ASSERT_EQUAL(take(t.tenant, "192.0.2.1", &room[0]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[1]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[2]), CAR_EFULL);
    CU_ASSERT_EQUAL(take(t.other, NULL, &room[2]), 0);
    CU_ASSERT_EQUAL(car_tenant_guests(t.tenant), 2);
    car_rooms_drop(t.rooms, &room[1]);
    car_rooms_drop(t.rooms, &room[1]); /* it holds nothing more */
    CU_ASSERT_EQUAL(car_tenant_guests(t.tenant), 1);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[1]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[3]), CAR_EFULL);
    for (unsigned i = 0; i < 3; i++) {
        car_rooms_drop(t.rooms, &room[i]);
    }
    close_rooms();
}

static void set_limit(uint64_t connections) {
    CU_ASSERT_EQUAL_FATAL(
        car_tenant_set_terms(t.tenant, t.reader, &(struct car_tenant_terms){.limits.connections = connections}), 0);
}

static void its_own_terms_beat_the_servers(void) {
    struct car_room room[3];
    open_rooms(1, 0);
    set_limit(2);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[0]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[1]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[2]), CAR_EFULL);
    set_limit(1);
    car_rooms_drop(t.rooms, &room[0]);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[0]), CAR_EFULL);
    set_limit(0);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[0]), CAR_EFULL);
    car_rooms_drop(t.rooms, &room[1]);
    CU_ASSERT_EQUAL(take(t.tenant, NULL, &room[0]), 0);
    car_rooms_drop(t.rooms, &room[0]);
    close_rooms();
}

static void of_an_address(void) {
    struct car_room room[6];
    open_rooms(0, 2);
    CU_ASSERT_TRUE(car_rooms_ask_address(t.rooms));
    CU_ASSERT_EQUAL(take(t.tenant, "192.0.2.1", &room[0]), 0);
    CU_ASSERT_EQUAL(take(t.other, "::ffff:192.0.2.1", &room[1]), 0);
    CU_ASSERT_EQUAL(take(t.other, "192.0.2.1", &room[2]), CAR_EFULL);
    CU_ASSERT_EQUAL(car_tenant_guests(t.other), 1);
    CU_ASSERT_EQUAL(take(t.other, "2001:db8::1", &room[2]), 0);
    CU_ASSERT_EQUAL(take(t.other, "2001:db8::ffff:0:0:1", &room[3]), 0); /* of the same /64 */
    CU_ASSERT_EQUAL(take(t.other, "2001:db8::2", &room[4]), CAR_EFULL);
    CU_ASSERT_EQUAL(take(t.other, "2001:db8:0:1::1", &room[4]), 0);
    CU_ASSERT_EQUAL(take(t.other, NULL, &room[5]), 0); /* of nowhere */
    CU_ASSERT_EQUAL(car_rooms_addresses(t.rooms), 3);
    for (unsigned i = 0; i < 6; i++) {
        car_rooms_drop(t.rooms, &room[i]);
    }
    close_rooms();
}

/* Who is refused for the one has not been counted for the other. */
static void both_or_none(void) {
    struct car_room room[3];
    open_rooms(1, 1);
    CU_ASSERT_EQUAL(take(t.tenant, "192.0.2.1", &room[0]), 0);
    CU_ASSERT_EQUAL(take(t.tenant, "192.0.2.2", &room[1]), CAR_EFULL);
    CU_ASSERT_EQUAL(car_rooms_addresses(t.rooms), 1);
    CU_ASSERT_EQUAL(take(t.other, "192.0.2.1", &room[1]), CAR_EFULL);
    CU_ASSERT_EQUAL(car_tenant_guests(t.other), 0);
    CU_ASSERT_EQUAL(take(t.other, "192.0.2.2", &room[1]), 0);
    car_rooms_drop(t.rooms, &room[0]);
    car_rooms_drop(t.rooms, &room[1]);
    close_rooms();
}

/* The address first, the tenant when it is known; neither twice. */
static void by_and_by(void) {
    struct car_room room, second;
    struct car_address from = address("192.0.2.1");
    open_rooms(1, 2);
    CU_ASSERT_EQUAL(take(NULL, "192.0.2.1", &room), 0);
    CU_ASSERT_EQUAL(car_rooms_take(t.rooms, t.reader, t.tenant, NULL, &room, &t.why), 0);
    CU_ASSERT_EQUAL(car_rooms_take(t.rooms, t.reader, t.tenant, &from, &room, &t.why), 0);
    CU_ASSERT_EQUAL(car_tenant_guests(t.tenant), 1);
    CU_ASSERT_EQUAL(take(NULL, "192.0.2.1", &second), 0);
    CU_ASSERT_EQUAL(car_rooms_take(t.rooms, t.reader, t.tenant, NULL, &second, &t.why), CAR_EFULL);
    CU_ASSERT_PTR_NOT_NULL(second.from); /* what it had it keeps */
    car_rooms_drop(t.rooms, &room);
    car_rooms_drop(t.rooms, &second);
    close_rooms();
}

static void numbered(unsigned number, char out[32]) {
    snprintf(out, 32, "10.1.%u.%u", number / 256, number % 256);
}

static void many_addresses(void) {
    static struct car_room rooms[MANY];
    struct car_room more;
    char from[32];
    open_rooms(0, 1);
    for (unsigned i = 0; i < MANY; i++) {
        numbered(i, from);
        CU_ASSERT_EQUAL(take(t.tenant, from, &rooms[i]), 0);
    }
    CU_ASSERT_EQUAL(car_rooms_addresses(t.rooms), MANY);
    CU_ASSERT_EQUAL(car_tenant_guests(t.tenant), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        numbered(i, from);
        CU_ASSERT_EQUAL(take(t.tenant, from, &more), CAR_EFULL);
        car_rooms_drop(t.rooms, &rooms[i]);
        CU_ASSERT_EQUAL(take(t.tenant, from, &more), 0);
        car_rooms_drop(t.rooms, &more);
    }
    close_rooms();
}

static const struct car_test TESTS[] = {
    {"of a tenant", of_a_tenant},     {"a tenant's own terms", its_own_terms_beat_the_servers},
    {"of an address", of_an_address}, {"both or none", both_or_none},
    {"by and by", by_and_by},         {"many addresses", many_addresses},
};

int main(void) {
    return car_suite_main("rooms", TESTS, sizeof TESTS / sizeof *TESTS);
}
