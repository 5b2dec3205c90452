#include "delivery.h"

#include <inttypes.h>
#include <string.h>

#include "load.h"
#include "marker.h"

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

void delivery_take(struct conn *conn, const char *text, size_t len, size_t wire) {
    struct marker marker;
    const char *padding = marker_find(text, len, &marker);
    if (!padding) {
        conn_fault(conn, "an event came without its mark: %.*s", (int)(len < 100 ? len : 100), text);
        return;
    }
    const struct strand *strand = strand_of(conn, &marker);
    if (!strand) {
        return;
    }
    struct load *load = conn->load;
    if ((size_t)(text + len - padding) < load->padding_len || memcmp(padding, load->padding, load->padding_len) != 0) {
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came changed or cut off", marker.counter,
                   strand->publisher);
    }
    uint32_t *seen = &conn->seen[(uint32_t)(strand - load->strands) / load->options->tenants];
    if (marker.counter != *seen + 1 && !out_of_turn(conn, strand, marker.counter, *seen)) {
        return;
    }
    if (marker.counter > *seen) {
        *seen = marker.counter;
    }
    struct sent sent = {(uint32_t)(strand - load->strands), marker.counter, marker.due};
    if (!flights_carry(&load->flights, marker.flight, &sent)) {
        conn_fault(conn,
                   "event %" PRIu32 " of publisher %" PRIu32 " came with a mark that nothing under way was sent with",
                   marker.counter, strand->publisher);
        return;
    }
    struct loop *loop = conn->loop;
    struct tally *tally = loop->tally;
    tally->deliveries++;
    tally->bytes += wire;
    tally->last = loop->now;
    histogram_add(&tally->deliver, loop->now > sent.due ? loop->now - sent.due : 0);
    if (!flights_arrive(&load->flights, marker.flight, loop)) {
        conn_fault(conn, "event %" PRIu32 " of publisher %" PRIu32 " came, which nobody has under way", marker.counter,
                   strand->publisher);
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
