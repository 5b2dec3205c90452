#include "publishing.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "load.h"
#include "marker.h"
#include "posts.h"

static bool is_open_loop(const struct publishing *publishing) {
    return publishing->load->options->rate > 0;
}

static void publish(struct publishing *publishing, uint32_t index, uint32_t flight, uint64_t due) {
    struct load *load = publishing->load;
    struct strand *strand = &load->strands[index];
    struct conn *conn = strand->conn;
    struct marker marker = {load->nonce, strand->tenant, strand->publisher, ++strand->sent, flight, due};
    marker_write(publishing->message, &marker);
    flights_begin(&load->flights, flight, strand->readers + 1,
                  &(struct sent){.strand = index, .counter = strand->sent, .due = due});
    form_write(&publishing->form, &conn->out, strand->tenant, posts_next(conn->posts), publishing->message,
               load->options->bytes);
    posts_add(conn->posts, &(struct post){.due = due, .strand = index, .flight = flight});
    if (!conn->queued) {
        conn->queued = true;
        publishing->queue[publishing->queued++] = conn;
    }
    publishing->issued++;
}

static void flush(struct publishing *publishing) {
    for (uint32_t i = 0; i < publishing->queued; i++) {
        publishing->queue[i]->queued = false;
        conn_flush(publishing->queue[i]);
    }
    publishing->queued = 0;
}

/* Closed loop: flight f is publisher f % P's. */
static void publish_next(struct publishing *publishing, uint32_t flight, uint64_t now) {
    struct load *load = publishing->load;
    uint32_t publisher = flight % load->options->publishers;
    uint32_t *cursor = &publishing->cursors[publisher];
    uint32_t index = *cursor;
    *cursor += load->options->publishers;
    if (*cursor >= load->strand_count) {
        *cursor = publisher;
    }
    publish(publishing, index, flight, now);
}

static uint64_t due_of(const struct publishing *publishing, uint32_t event) {
    double interval = (double)CLOCK_NS_PER_S / publishing->load->options->rate;
    return publishing->start + (uint64_t)((double)event * interval);
}

/* Open loop: what is due by now, round robin over the strands and so over the tenants. */
static void publish_due(void *user) {
    struct publishing *publishing = user;
    struct load *load = publishing->load;
    uint32_t first = publishing->issued;
    uint64_t now = clock_now();
    while (publishing->issued < publishing->wanted && due_of(publishing, publishing->issued) <= now) {
        uint32_t event = publishing->base + publishing->issued;
        publish(publishing, event % load->strand_count, event, due_of(publishing, publishing->issued));
    }
    flush(publishing);
    now = clock_now();
    for (uint32_t event = first; event < publishing->issued; event++) {
        histogram_add(&publishing->late, now - due_of(publishing, event));
    }
    load->loops[0].due = publishing->issued < publishing->wanted ? due_of(publishing, publishing->issued) : UINT64_MAX;
}

void publishing_begin(struct publishing *publishing, uint32_t count) {
    struct load *load = publishing->load;
    publishing->base += publishing->issued;
    publishing->wanted = count;
    publishing->issued = publishing->over = 0;
    memset(&publishing->late, 0, sizeof publishing->late);
    publishing->start = clock_now();
    if (is_open_loop(publishing)) {
        load->loops[0].due = publishing->start;
        return;
    }
    for (uint32_t flight = 0; flight < load->flights.count && publishing->issued < count; flight++) {
        publish_next(publishing, flight, publishing->start);
    }
    flush(publishing);
}

void publishing_turn(struct publishing *publishing) {
    struct load *load = publishing->load;
    uint64_t now = clock_now();
    uint32_t flight = flights_take(&load->flights);
    while (flight != FLIGHTS_END) {
        uint32_t next = load->flights.all[flight].next;
        publishing->over++;
        if (!is_open_loop(publishing) && publishing->issued < publishing->wanted) {
            publish_next(publishing, flight, now);
        }
        flight = next;
    }
    if (is_open_loop(publishing) && now >= load->loops[0].due) {
        publish_due(publishing);
    }
    flush(publishing);
}

bool publishing_done(const struct publishing *publishing) {
    return publishing->over == publishing->wanted;
}

void publishing_init(struct publishing *publishing, struct load *load) {
    const struct options *options = load->options;
    memset(publishing, 0, sizeof *publishing);
    publishing->load = load;
    publishing->message = memory_zeroed(1, options->bytes);
    memcpy(publishing->message + MARKER_SIZE, load->padding, load->padding_len);
    publishing->queue = memory_zeroed(load->strand_count, sizeof *publishing->queue);
    publishing->cursors = memory_zeroed(options->publishers, sizeof *publishing->cursors);
    for (uint32_t i = 0; i < options->publishers; i++) {
        publishing->cursors[i] = i;
    }
    publishing->form.keys = load->keys.count ? &load->keys : NULL;
    if (options->publish_ws) {
        load->dialect->ws_form(&publishing->form);
    } else {
        load->dialect->http_form(&publishing->form, options->target_text, options->bytes);
    }
    load->loops[0].user = publishing;
    load->loops[0].on_due = publish_due;
}

void publishing_free(struct publishing *publishing) {
    form_free(&publishing->form);
    free(publishing->message);
    free(publishing->queue);
    free(publishing->cursors);
}
