#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Replays a corpus through a fuzz target without libFuzzer, so that every compiler can. */

enum { CAR_FUZZ_MAX_BYTES = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int result = -1;
    uint8_t *data = NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0 || size > CAR_FUZZ_MAX_BYTES || fseek(file, 0, SEEK_SET) != 0) {
        fprintf(stderr, "%s: not a corpus file\n", path);
        goto done;
    }
    /* Exactly as long as the input: a sanitizer then sees the first byte read past its end. */
    data = malloc(size > 0 ? (size_t)size : 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        goto done;
    }
    LLVMFuzzerTestOneInput(data, (size_t)size);
    result = 0;
done:
    free(data);
    fclose(file);
    return result;
}

/* Returns the number of files replayed, or -1. */
static int replay_tree(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) {
        return replay_file(path) == 0 ? 1 : -1;
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int replayed = 0;
    for (int i = 0; i < count; i++) {
        char *child = NULL;
        if (entries[i]->d_name[0] != '.' && replayed >= 0 && asprintf(&child, "%s/%s", path, entries[i]->d_name) > 0) {
            int below = replay_tree(child);
            replayed = below < 0 ? -1 : replayed + below;
            free(child);
        }
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int replayed = replay_tree(argv[i]);
        if (replayed < 0) {
            return EXIT_FAILURE;
        }
        total += replayed;
    }
    if (total == 0) {
        fprintf(stderr, "no input: a corpus that is empty proves nothing\n");
        return EXIT_FAILURE;
    }
    printf("%d inputs replayed\n", total);
    return EXIT_SUCCESS;
}
