#ifndef CARILLON_LOAD_KEYS_H
#define CARILLON_LOAD_KEYS_H

#include <stdint.h>

/* The tenants' API keys, tenant 0's first. Starts as zeros; immutable once read. */
struct keys {
    uint32_t count; /* 0: none are shown, tenants are named */
    char **texts;
};

/* Reads a file that has a line for each of so many tenants: a command line, everybody on the machine can read. Returns
 * 0, or -1 when it has said on stderr what is wrong, without a word of what is in the file. Frees nothing then:
 * keys_free does. */
int keys_read(struct keys *keys, const char *path, uint32_t tenants);
void keys_free(struct keys *keys);

#endif
