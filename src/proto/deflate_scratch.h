#ifndef CARILLON_PROTO_DEFLATE_SCRATCH_H
#define CARILLON_PROTO_DEFLATE_SCRATCH_H

#include "carillon/proto/deflate.h"

/*
 * The buffer that an inflater keeps for messages which nobody holds on to. Taken out while in use and given back after,
 * so that a callback between the two may use the inflater as well. Taken empty; giving back trims it.
 */
struct car_buf car_inflater_take_scratch(struct car_inflater *inflater);
void car_inflater_give_scratch(struct car_inflater *inflater, struct car_buf *scratch);

#endif
