#ifndef CARILLON_PROTO_WS_MASK_H
#define CARILLON_PROTO_WS_MASK_H

#include <stddef.h>
#include <stdint.h>

/* Unmasks in place (RFC 6455, section 5.3) and turns the mask, so that the next call goes on where this one ended. */
void car_ws_unmask(char *data, size_t len, uint8_t mask[4]);

#endif
