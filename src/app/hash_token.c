#include "hash_token.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "carillon/base/crypto.h"
#include "carillon/base/digits.h"

#define COMMAND "hash-token"
#define DIGEST  32
#define MAX     1024 /* bytes of a token, as in a users' file */

bool car_hash_token_is_asked(int argc, char *const *argv) {
    return argc > 1 && strcmp(argv[1], COMMAND) == 0;
}

static int refuse(int code, const char *what) {
    fprintf(stderr, "carillon: " COMMAND ": %s\n", what);
    return code;
}

/* The line, without its end. Its length; 0 where there is none, or it is too long. */
static size_t read_line(char *line, size_t size) {
    struct termios before;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        struct termios silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        fputs("token: ", stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    size_t len = fgets(line, (int)size, stdin) ? strlen(line) : 0;
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (len && line[len - 1] == '\n') {
        len--;
    }
    if (len && line[len - 1] == '\r') {
        len--;
    }
    return len <= MAX ? len : 0;
}

int car_hash_token_main(int argc, char *const *argv) {
    (void)argv;
    char line[MAX + 3];
    uint8_t digest[DIGEST];
    char text[2 * DIGEST];
    if (argc > 2) {
        return refuse(2, "takes no argument: the token is read from standard input");
    }
    size_t len = read_line(line, sizeof line);
    if (len == 0) {
        return refuse(1, "standard input has to be a line of 1 to 1024 bytes");
    }
    car_sha256(line, len, digest);
    explicit_bzero(line, sizeof line);
    for (size_t i = 0; i < DIGEST; i++) {
        car_hex_byte(text + 2 * i, digest[i]);
    }
    printf("%.*s\n", (int)sizeof text, text);
    return fflush(stdout) == 0 ? 0 : 1;
}
