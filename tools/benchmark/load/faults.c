#include "faults.h"

#include <stdio.h>

void faults_init(struct faults *faults) {
    pthread_mutex_init(&faults->mutex, NULL);
    atomic_init(&faults->count, 0);
}

void faults_add_about(struct faults *faults, const char *subject, const char *format, va_list arguments) {
    pthread_mutex_lock(&faults->mutex);
    unsigned index = atomic_load(&faults->count);
    if (index < FAULTS_MAX) {
        char *text = faults->texts[index];
        int len = snprintf(text, FAULT_TEXT_LEN, "%s%s", subject, *subject ? ": " : "");
        vsnprintf(text + len, FAULT_TEXT_LEN - (size_t)len, format, arguments);
        fprintf(stderr, "carillon-load: %s\n", text);
    }
    atomic_store(&faults->count, index + 1);
    pthread_mutex_unlock(&faults->mutex);
}

void faults_add(struct faults *faults, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    faults_add_about(faults, "", format, arguments);
    va_end(arguments);
}
