#ifndef CARILLON_BASE_SIPHASH_H
#define CARILLON_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 (Aumasson and Bernstein, 2012) under a secret key, with words in the machine's byte order: for what no
 * other machine reads, and whose hashes nobody sees; at most a letter of each. */
uint64_t car_siphash(const uint64_t key[2], const void *bytes, size_t len);

#endif
