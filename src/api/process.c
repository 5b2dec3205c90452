#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carillon/base/span.h"

#define DESCRIPTORS "/proc/self/fd"

/* statm is "size resident shared …", in pages. */
static uint64_t statm(unsigned which) {
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    struct car_span rest = car_span_of(text, n);
    struct car_span number = car_span_of(NULL, 0);
    uint64_t pages = 0;
    for (unsigned i = 0; i <= which; i++) {
        if (!car_span_next(&rest, ' ', &number)) {
            return 0;
        }
    }
    (void)car_span_u64(number, UINT64_MAX, &pages);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t car_process_resident(void) {
    return statm(1);
}

uint64_t car_process_virtual(void) {
    return statm(0);
}

static uint64_t us_of(const struct timeval *time) {
    return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

uint64_t car_process_cpu_us(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? us_of(&usage.ru_utime) + us_of(&usage.ru_stime) : 0;
}

/* Since Linux 6.2 the folder's size is how many there are. Before, they are counted one by one, which takes a
 * millisecond for some thousands. */
uint64_t car_process_descriptors(void) {
    struct stat stat_of;
    uint64_t n = 0;
    if (stat(DESCRIPTORS, &stat_of) == 0 && stat_of.st_size > 0) {
        return (uint64_t)stat_of.st_size;
    }
    DIR *folder = opendir(DESCRIPTORS);
    if (!folder) {
        return 0;
    }
    while (readdir(folder)) {
        n++;
    }
    closedir(folder);
    return n > 3 ? n - 3 : 0; /* without itself, "." and ".." */
}

uint64_t car_process_descriptors_max(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}
