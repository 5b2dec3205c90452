#ifndef CARILLON_APP_RESOURCES_H
#define CARILLON_APP_RESOURCES_H

#include <stdbool.h>

/* What the process asks of the system before it serves: how its heap grows, and as many descriptors as it may have.
 * Once, before other threads are made. */
void car_resources_claim(void);

/* Whether large buffers lie outside of the heap, for a little more of the processor's time: what is freed of them is
 * the system's at once then, and leaves no holes. Any thread. */
void car_resources_spare(bool spare);

#endif
