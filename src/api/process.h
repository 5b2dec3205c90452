#ifndef CARILLON_API_PROCESS_H
#define CARILLON_API_PROCESS_H

#include <stdint.h>

/* What the kernel says of this process; 0 where it says nothing. Any thread. */

/* Bytes of memory that is in use, and that is mapped. */
uint64_t car_process_resident(void);
uint64_t car_process_virtual(void);

/* Time on processors, in user and in kernel mode, in microseconds. */
uint64_t car_process_cpu_us(void);

/* Open descriptors, and how many there may be. */
uint64_t car_process_descriptors(void);
uint64_t car_process_descriptors_max(void);

#endif
