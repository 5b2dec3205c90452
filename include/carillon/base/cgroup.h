#ifndef CARILLON_BASE_CGROUP_H
#define CARILLON_BASE_CGROUP_H

#include <stdint.h>

/* How many bytes of memory the process's cgroup may use, or one that it is in: the least memory.max (cgroup version 2,
 * the kernel's Documentation/admin-guide/cgroup-v2.rst). 0 where there is no limit, or where it cannot be read. */
uint64_t car_cgroup_memory_max(void);

#endif
