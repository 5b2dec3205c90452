#include "delivery.h"

#include <inttypes.h>
#include <string.h>

#include "event.h"
#include "load.h"

/* The event is not the next one of its strand. Returns whether it is nevertheless one that had not come. */
static bool out_of_turn(struct conn *conn, const struct strand *strand, uint32_t counter, uint32_t seen) {
    struct gap *gap = &conn->gap;
    uint32_t index = (uint32_t)(strand - conn->load->strands);
    if (counter > seen) {
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came where %" PRIu32 " was due", counter,
                   strand->publisher, seen + 1);
        *gap = (struct gap){index, seen + 1, counter};
        return true;
    }
    if (gap->strand == index && counter == gap->first && gap->first < gap->end) {
        gap->first++;
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came late, after %" PRIu32, counter,
                   strand->publisher, seen);
        return true;
    }
    conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came twice", counter, strand->publisher);
    return false;
}

/* The strand that the event belongs to, or NULL where it has no business here. */
static struct strand *strand_of(struct conn *conn, const struct marker *marker) {
    if (marker->nonce != conn->load->nonce) {
        conn_fault(conn, "an event came that is not of this run");
        return NULL;
    }
    if (marker->tenant != conn->tenant) {
        conn_fault(conn, "an event of t%" PRIu32 " came: a leak", marker->tenant);
        return NULL;
    }
    struct strand *strand = load_strand(conn->load, marker->tenant, marker->publisher);
    if (!strand) {
        conn_fault(conn, "an event of publisher %" PRIu32 " came, who publishes nothing here", marker->publisher);
    }
    return strand;
}

/* What the server says of the event beside its message: whose it is, and its number in the tenant. */
static void check_seal(struct conn *conn, const struct event *event, const struct unit *unit) {
    if (event->tenant != conn->tenant) {
        conn_fault(conn, "event %" PRIu32 " came as one of another tenant", event->marker.counter);
    }
    if (conn->seq > 0 && event->seq != conn->seq + 1) {
        conn_fault(conn, "seq %" PRIu64 " came where %" PRIu64 " was due", event->seq, conn->seq + 1);
    }
    if (unit->streamed && unit->id != event->seq) {
        conn_fault(conn, "seq %" PRIu64 " came with another id", event->seq);
    }
    conn->seq = event->seq;
}

/* Which event of its publisher it is. Returns whether it is to be counted. */
static bool check_turn(struct conn *conn, const struct strand *strand, const struct event *event) {
    const struct load *load = conn->load;
    const struct marker *marker = &event->marker;
    if (!event->intact) {
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came changed or cut off", marker->counter,
                   strand->publisher);
    }
    uint32_t index = (uint32_t)(strand - load->strands);
    uint32_t *seen = &conn->seen[index / load->options->tenants];
    if (marker->counter != *seen + 1 && !out_of_turn(conn, strand, marker->counter, *seen)) {
        return false;
    }
    if (marker->counter > *seen) {
        *seen = marker->counter;
    }
    if (!flights_carry(&load->flights, marker->flight, &(struct sent){index, marker->counter, marker->due})) {
        conn_fault(conn,
                   "event %" PRIu32 " of publisher %" PRIu32 " came with a mark that nothing under way was sent with",
                   marker->counter, strand->publisher);
        return false;
    }
    return true;
}

void delivery_take(struct conn *conn, const struct unit *unit) {
    struct load *load = conn->load;
    struct event event;
    if (!event_read(load, unit->event, unit_event_len(unit), &event)) {
        conn_fault(conn, "an event came without its mark: %.*s", (int)(unit->len < 100 ? unit->len : 100), unit->text);
        return;
    }
    const struct strand *strand = strand_of(conn, &event.marker);
    if (!strand) {
        return;
    }
    if (!load->dialect->bare) {
        check_seal(conn, &event, unit);
    }
    if (!check_turn(conn, strand, &event)) {
        return;
    }
    struct loop *loop = conn->loop;
    struct tally *tally = loop->tally;
    uint64_t due = event.marker.due; /* and the one it was sent with */
    tally->deliveries++;
    tally->bytes += unit->wire;
    tally->last = loop->now;
    histogram_add(&tally->deliver, loop->now > due ? loop->now - due : 0);
    if (!flights_arrive(&load->flights, event.marker.flight, loop)) {
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came, which nobody has under way",
                   event.marker.counter, strand->publisher);
    }
}

static void verify_conn(struct load *load, struct conn *conn) {
    uint32_t tenants = load->options->tenants;
    for (uint32_t s = conn->tenant; s < load->strand_count; s += tenants) {
        const struct strand *strand = &load->strands[s];
        uint32_t seen = conn->seen[s / tenants];
        if (seen != strand->acked) {
            conn_fault(conn,
                       "has the events of publisher %" PRIu32 " up to %" PRIu32 ", and %" PRIu32 " are acknowledged",
                       strand->publisher, seen, strand->acked);
        }
    }
}

void deliveries_verify(struct load *load) {
    if (load_hopeless(load)) {
        return; /* it ended in the middle: what is missing was only on its way */
    }
    for (uint32_t i = 0; i < load->strand_count; i++) {
        const struct strand *strand = &load->strands[i];
        if (strand->sent != strand->acked) {
            faults_add(&load->faults,
                       "publisher %" PRIu32 ": %" PRIu32 " events of t%" PRIu32 " sent, %" PRIu32 " acknowledged",
                       strand->publisher, strand->sent, strand->tenant, strand->acked);
        }
    }
    for (uint32_t i = 0; i < load->conn_count; i++) {
        if (load->conns[i].delivers) {
            verify_conn(load, &load->conns[i]);
        }
    }
}
