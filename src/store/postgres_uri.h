#ifndef CARILLON_STORE_POSTGRES_URI_H
#define CARILLON_STORE_POSTGRES_URI_H

#include <stddef.h>

/* Names the database for messages, without user and password. The URI was checked (car_postgres_check). */
void car_pg_name(const char *uri, char *out, size_t size);

#endif
