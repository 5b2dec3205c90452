#ifndef CARILLON_API_EVENT_ARRAY_H
#define CARILLON_API_EVENT_ARRAY_H

#include "carillon/base/buf.h"

struct car_scan;

/* Appends the events that a scan has found as a JSON array, in the scan's order. */
void car_event_array(struct car_buf *out, const struct car_scan *scan);

/* The same, oldest first. */
void car_event_array_ascending(struct car_buf *out, const struct car_scan *scan);

/* Why a scan has found nothing that could be told. Static. */
const char *car_event_array_why(const struct car_scan *scan);

#endif
