#include "carillon/base/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT     "/sys/fs/cgroup"
#define PATH_LEN 4096

/* The number in DIR/memory.max; 0 where there is none, or where it says "max". */
static uint64_t limit_at(const char *dir) {
    char path[PATH_LEN + sizeof "/memory.max"];
    char text[32] = "";
    snprintf(path, sizeof path, "%s/memory.max", dir);
    FILE *file = fopen(path, "re");
    if (file) {
        char *got = fgets(text, sizeof text, file);
        fclose(file);
        return got ? strtoull(text, NULL, 10) : 0;
    }
    return 0;
}

/* The cgroup of the process, of version 2, as a path below the root; false where it has none. */
static bool own_path(char *out, size_t size) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    bool found = false;
    char line[PATH_LEN];
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 && (size_t)snprintf(out, size, "%s%s", ROOT, line + 3) < size;
    }
    if (file) {
        fclose(file);
    }
    return found;
}

uint64_t car_cgroup_memory_max(void) {
    char dir[PATH_LEN];
    uint64_t least = 0;
    if (!own_path(dir, sizeof dir)) {
        return 0;
    }
    /* In a container with a namespace of its own the path ends at the mount, whose file is the container's. */
    while (strlen(dir) >= strlen(ROOT)) {
        uint64_t limit = limit_at(dir);
        least = limit && (!least || limit < least) ? limit : least;
        *strrchr(dir, '/') = '\0';
    }
    return least;
}
