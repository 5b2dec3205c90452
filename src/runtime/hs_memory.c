#include "carillon/runtime/hs_memory.h"

#include <assert.h>
#include <ck_malloc.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "carillon/runtime/reclaim.h"

/* A table's memory, made so that it can be retired. */
struct table {
    struct car_retired retired;
    alignas(max_align_t) unsigned char bytes[];
};

static _Thread_local struct car_reader *changer;

static void *table_alloc(size_t size) {
    struct table *table = malloc(sizeof *table + size);
    return table ? table->bytes : NULL;
}

static void table_free(struct car_retired *retired) {
    free((char *)retired - offsetof(struct table, retired));
}

static void table_drop(void *bytes, size_t size, bool readers_may_be_inside) {
    (void)size;
    struct table *table = (struct table *)((char *)bytes - offsetof(struct table, bytes));
    if (readers_may_be_inside) {
        assert(changer);
        car_reader_retire(changer, &table->retired, table_free);
    } else {
        free(table);
    }
}

struct ck_malloc car_hs_memory = {.malloc = table_alloc, .free = table_drop};

void car_hs_change_begin(struct car_reader *reader) {
    changer = reader;
}

void car_hs_change_end(void) {
    changer = NULL;
}
