#include "keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* Takes the line's end off a key. Returns whether it can stand in a header: 1 or more visible characters. */
static bool is_key(char *line, ssize_t len) {
    if (len < 2 || line[len - 1] != '\n') {
        return false;
    }
    line[len - 1] = '\0';
    for (ssize_t i = 0; i < len - 1; i++) {
        if (line[i] <= ' ' || line[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool read_lines(struct keys *keys, FILE *file) {
    for (uint32_t i = 0; i < keys->count; i++) {
        size_t room = 0;
        ssize_t len = getline(&keys->texts[i], &room, file);
        if (!is_key(keys->texts[i], len)) {
            return false;
        }
    }
    return getc(file) == EOF;
}

int keys_read(struct keys *keys, const char *path, uint32_t tenants) {
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "carillon-load: %s: %s\n", path, strerror(errno));
        return -1;
    }
    keys->count = tenants;
    keys->texts = memory_zeroed(tenants, sizeof *keys->texts);
    bool good = read_lines(keys, file);
    fclose(file);
    if (!good) {
        fprintf(stderr, "carillon-load: %s: %" PRIu32 " lines of one key each are wanted\n", path, tenants);
        return -1;
    }
    return 0;
}

void keys_free(struct keys *keys) {
    for (uint32_t i = 0; i < keys->count; i++) {
        free(keys->texts[i]);
    }
    free(keys->texts);
    *keys = (struct keys){0};
}
