#ifndef CARILLON_PROTO_SOCKETIO_PLACEHOLDERS_H
#define CARILLON_PROTO_SOCKETIO_PLACEHOLDERS_H

#include <stdbool.h>

#include "carillon/proto/json.h"

/* Packets with attachments may be nested so deep. */
#define CAR_SOCKETIO_DEPTH_MAX 256

/* Whether every object of the value that is a placeholder ({"_placeholder":true,"num":N}) names one of so many
 * attachments, and nothing is nested deeper than that. In one pass, without a tree: the text may be large. `value` is
 * validated. */
bool car_socketio_placeholders_sound(const struct car_json_value *value, unsigned attachments);

#endif
