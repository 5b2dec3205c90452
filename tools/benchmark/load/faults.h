#ifndef CARILLON_LOAD_FAULTS_H
#define CARILLON_LOAD_FAULTS_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

/* More would say the same again. */
#define FAULTS_MAX     20
#define FAULT_TEXT_LEN 240

/* The checks that failed, as sentences: the first FAULTS_MAX of them. Any thread adds; read when they have ended. */
struct faults {
    pthread_mutex_t mutex;
    atomic_uint count; /* all that there were */
    char texts[FAULTS_MAX][FAULT_TEXT_LEN];
};

void faults_init(struct faults *faults);
__attribute__((format(printf, 2, 3))) void faults_add(struct faults *faults, const char *format, ...);
__attribute__((format(printf, 3, 0))) void faults_add_about(struct faults *faults, const char *subject,
                                                            const char *format, va_list arguments);

#endif
