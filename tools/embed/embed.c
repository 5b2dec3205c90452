/*
 * Writes a C file that holds the files of static/ as tables: raw and gzip bytes, content types, entity tags. A build
 * tool: it runs once and stops at the first fault with a line on stderr.
 *
 *     embed OUT.c ROOT FILE...
 *
 * FILE is a path relative to ROOT, with '/' between its parts; it becomes the URL path "/FILE", and "/index.html"
 * becomes "/" as well. Or it is NAME=PATH: what lies at PATH, wherever that is, as "/NAME". The same arguments and
 * files give the same output.
 */
#include <errno.h>
#include <libdeflate.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETAG_BYTES   16                 /* of the SHA-256: 128 bits tell versions apart well enough */
#define MAX_FILE     (16 * 1024 * 1024) /* a slip, such as a video in static/, should not swell the binary unseen */
#define MAX_PATH_LEN 4096

struct bytes {
    unsigned char *data;
    size_t len;
};

struct file {
    char *path; /* URL path, owned */
    const char *type;
    struct bytes raw;  /* owned, but "/" borrows from /index.html */
    struct bytes gzip; /* as raw; data is NULL where it would not be smaller */
    size_t body;       /* number of the arrays that hold the bytes */
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    fputs("embed: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = malloc(size > 0 ? size : 1);

    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

/* The content type for a file name. Unknown endings stop the build: a guess would break under nosniff. */
static const char *type_of(const char *name) {
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
        {".webmanifest", "application/manifest+json"},
    };
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(dot, types[i].ending) == 0) {
            return types[i].type;
        }
    }
    fail("%s: no content type is known for this ending (see the table in embed.c)", name);
}

/* The name goes into a C string and a URL as it stands, so it may hold only what needs no escape in either. */
static void check_name(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";

    if (name[0] == '\0' || name[0] == '/' || name[strspn(name, allowed)] != '\0' || strstr(name, "..") != NULL) {
        fail("%s: a file's name may hold letters, digits, '.', '_', '-' and '/'", name);
    }
}

static struct bytes read_file(const char *path) {
    struct bytes bytes = {.data = allocate(MAX_FILE + 1)};
    FILE *in = fopen(path, "rb");

    if (in == NULL) {
        fail("%s: %s", path, strerror(errno));
    }
    bytes.len = fread(bytes.data, 1, MAX_FILE + 1, in);
    if (ferror(in)) {
        fail("%s: cannot be read", path);
    }
    if (bytes.len > MAX_FILE) {
        fail("%s: larger than %d bytes", path, MAX_FILE);
    }
    fclose(in);
    bytes.data = realloc(bytes.data, bytes.len > 0 ? bytes.len : 1);
    if (bytes.data == NULL) {
        fail("out of memory");
    }
    return bytes;
}

/* Gzip (RFC 1952) without name and time, so that equal input gives equal output. Absent where it is no smaller. */
static struct bytes compress_bytes(struct bytes raw) {
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(12); /* as small as it can */
    struct bytes out = {.data = allocate(raw.len > 0 ? raw.len : 1)};

    if (compressor == NULL) {
        fail("out of memory");
    }
    out.len = raw.len > 0 ? libdeflate_gzip_compress(compressor, raw.data, raw.len, out.data, raw.len - 1) : 0;
    libdeflate_free_compressor(compressor);
    if (out.len == 0) {
        free(out.data);
        out = (struct bytes){0};
    }
    return out;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void write_array(FILE *out, const char *kind, size_t number, struct bytes bytes) {
    fprintf(out, "static const unsigned char %s_%zu[] = {", kind, number);
    for (size_t i = 0; i < bytes.len; i++) {
        fprintf(out, "%s%u,", i % 32 == 0 ? "\n    " : "", (unsigned)bytes.data[i]);
    }
    fputs(bytes.len == 0 ? "0};\n" : "\n};\n", out); /* an array has at least one element; its length says 0 */
}

/* Writes one `struct car_asset_body` initializer. */
static void write_body(FILE *out, const char *kind, const struct file *file, struct bytes bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (bytes.data == NULL) {
        fprintf(out, "     .%s = {0},\n", kind);
        return;
    }
    if (EVP_Digest(bytes.data, bytes.len, digest, NULL, EVP_sha256(), NULL) != 1) {
        fail("SHA-256 does not work");
    }
    fprintf(out, "     .%s = {.data = %s_%zu, .len = %zu, .etag = \"\\\"", kind, kind, file->body, bytes.len);
    for (size_t i = 0; i < ETAG_BYTES; i++) {
        fprintf(out, "%02x", digest[i]);
    }
    fputs("\\\"\"},\n", out);
}

static void write_table(FILE *out, const struct file *files, size_t count) {
    fputs("const struct car_asset car_assets[] = {\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "    {.path = \"%s\",\n     .type = \"%s\",\n", files[i].path, files[i].type);
        write_body(out, "identity", &files[i], files[i].raw);
        write_body(out, "gzip", &files[i], files[i].gzip);
        fputs("    },\n", out);
    }
    fprintf(out, "};\nconst size_t car_assets_count = %zu;\n", count);
}

static void write_all(FILE *out, const struct file *files, size_t count) {
    fputs("/* Made by tools/embed. Do not edit. */\n#include \"carillon/api/assets.h\"\n\n", out);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].path, "/") == 0) {
            continue; /* shares the arrays of /index.html */
        }
        write_array(out, "identity", files[i].body, files[i].raw);
        if (files[i].gzip.data != NULL) {
            write_array(out, "gzip", files[i].body, files[i].gzip);
        }
    }
    write_table(out, files, count);
}

static char *url_path(const char *name) {
    size_t len = strlen(name);
    char *path = allocate(len + 2);

    path[0] = '/';
    memcpy(path + 1, name, len + 1);
    return path;
}

static struct file load(const char *root, const char *given, size_t number) {
    char name[MAX_PATH_LEN];
    char below[MAX_PATH_LEN];
    const char *equals = strchr(given, '=');
    int name_len = snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - given) : (int)strlen(given), given);
    int len = snprintf(below, sizeof below, "%s/%s", root, name);
    struct file file = {.body = number};

    if (name_len < 0 || len < 0 || (size_t)len >= sizeof below) {
        fail("%s: the path is too long", given);
    }
    check_name(name);
    file.path = url_path(name);
    file.type = type_of(name);
    file.raw = read_file(equals ? equals + 1 : below);
    file.gzip = compress_bytes(file.raw);
    return file;
}

/* Sorts as car_asset_find searches, and refuses what the search could not tell apart. */
static void sort(struct file *files, size_t count) {
    qsort(files, count, sizeof *files, by_path);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(files[i - 1].path, files[i].path) == 0) {
            fail("%s: given twice", files[i].path);
        }
    }
}

static void free_all(struct file *files, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].path, "/") != 0) {
            free(files[i].raw.data);
            free(files[i].gzip.data);
        }
        free(files[i].path);
    }
    free(files);
}

int main(int argc, char **argv) {
    size_t given = argc > 3 ? (size_t)(argc - 3) : 0;
    size_t count = 0;
    struct file *files;
    FILE *out;

    if (given == 0) {
        fail("usage: embed OUT.c ROOT FILE...");
    }
    files = allocate(2 * given * sizeof *files); /* any of them may be index.html */
    for (size_t i = 0; i < given; i++) {
        struct file file = load(argv[2], argv[i + 3], i);

        files[count++] = file;
        if (strcmp(file.path, "/index.html") == 0) {
            file.path = url_path("");
            files[count++] = file;
        }
    }
    sort(files, count);
    out = fopen(argv[1], "wb");
    if (out == NULL) {
        fail("%s: %s", argv[1], strerror(errno));
    }
    write_all(out, files, count);
    if (ferror(out) != 0 || fclose(out) != 0) {
        remove(argv[1]); /* half a file would look up to date to the next build */
        fail("%s: cannot be written", argv[1]);
    }
    free_all(files, count);
    return 0;
}
