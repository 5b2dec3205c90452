#include <stdint.h>
#include <stdlib.h>

#include "json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (json_oracle_check(data, size) < 0) {
        abort();
    }
    return 0;
}
