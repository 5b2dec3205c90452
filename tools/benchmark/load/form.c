#include "form.h"

#include "keys.h"
#include "ws.h"

static char *digits(char *end, uint64_t value) {
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

static void put_key(const struct form *form, struct bytes *to, uint32_t tenant, uint64_t ref) {
    if (form->key == FORM_API_KEY) {
        bytes_text(to, form->keys->texts[tenant]);
        return;
    }
    char number[24];
    char *end = number + sizeof number;
    char *key = digits(end, form->key == FORM_REF ? ref : tenant);
    if (form->key == FORM_TENANT) {
        *--key = 't';
    }
    bytes_put(to, key, (size_t)(end - key));
}

void form_write(struct form *form, struct bytes *out, uint32_t tenant, uint64_t ref, const char *message, size_t len) {
    struct bytes *to = form->ws ? &form->scratch : out;
    bytes_put(to, form->head.data, form->head.len);
    put_key(form, to, tenant, ref);
    bytes_put(to, form->middle.data, form->middle.len);
    bytes_put(to, message, len);
    bytes_put(to, form->tail.data, form->tail.len);
    if (form->ws) {
        ws_frame_write(out, WS_TEXT, to->data, to->len);
        to->len = 0;
    }
}

void form_free(struct form *form) {
    bytes_free(&form->head);
    bytes_free(&form->middle);
    bytes_free(&form->tail);
    bytes_free(&form->scratch);
}
