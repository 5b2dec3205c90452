#ifndef CARILLON_APP_HASH_TOKEN_H
#define CARILLON_APP_HASH_TOKEN_H

#include <stdbool.h>

/* Whether the command line asks for a token's digest: `carillon hash-token`. */
bool car_hash_token_is_asked(int argc, char *const *argv);

/* Reads a token from standard input, one line, without showing it where that is a terminal, and prints what stands for
 * it as `token_sha256` in a users' file: an argument would be seen by all who list processes. The exit code: 0, 1, or 2
 * for a wrong command line. */
int car_hash_token_main(int argc, char *const *argv);

#endif
