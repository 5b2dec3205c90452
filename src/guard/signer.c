#include "carillon/guard/signer.h"

#include <stdlib.h>

struct car_signer *car_signer_new(void) {
    struct car_signer *signer = calloc(1, sizeof *signer);
    if (signer) {
        atomic_init(&signer->refs, 1);
    }
    return signer;
}

void car_signer_unref(struct car_signer **signer) {
    struct car_signer *s = *signer;
    *signer = NULL;
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
        free(s);
    }
}
