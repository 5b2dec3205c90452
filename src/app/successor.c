#include "successor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "takeover.h"

#define SELF      "/proc/self/exe"
#define ABOVE_ALL 64 /* descriptors from here on are not among those that are passed */

static char *const *arguments;
static char program[PATH_MAX]; /* an absolute path; may come to name another file: that is the point */

/* Whether that is the file that runs. */
static bool is_self(const char *path) {
    struct stat there;
    struct stat self;
    return stat(path, &there) == 0 && stat(SELF, &self) == 0 && there.st_dev == self.st_dev &&
           there.st_ino == self.st_ino;
}

/* As it was called, through whatever links there are: these may lead elsewhere when it is called again. */
static bool by_name(const char *name) {
    char cwd[PATH_MAX];
    if (name[0] == '/') {
        return snprintf(program, sizeof program, "%s", name) < (int)sizeof program && is_self(program);
    }
    return strchr(name, '/') && getcwd(cwd, sizeof cwd) &&
           snprintf(program, sizeof program, "%s/%s", cwd, name) < (int)sizeof program && is_self(program);
}

static bool by_search(const char *name) {
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at;) {
        size_t len = strcspn(at, ":");
        if (at[0] == '/' && snprintf(program, sizeof program, "%.*s/%s", (int)len, at, name) < (int)sizeof program &&
            is_self(program)) {
            return true;
        }
        at += len + (at[len] == ':');
    }
    return false;
}

void car_successor_remember(char *const *argv) {
    arguments = argv;
    if (!argv[0] || (!by_name(argv[0]) && (strchr(argv[0], '/') || !by_search(argv[0])))) {
        ssize_t len = readlink(SELF, program, sizeof program - 1);
        program[len > 0 ? len : 0] = '\0';
    }
}

/* The environment without what is said to this process alone, and with `more`. NULL without memory; the strings are
 * borrowed. */
static char **environment(char *more) {
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **out = calloc(count + 2, sizeof *out);
    for (size_t i = 0; out && i < count; i++) {
        out[i] = environ[i];
    }
    if (out && more) {
        out[count] = more;
    }
    return out;
}

static char **with_flag(char *flag) {
    size_t count = 0;
    while (arguments[count]) {
        count++;
    }
    char **out = calloc(count + 2, sizeof *out);
    for (size_t i = 0; out && i < count; i++) {
        out[i] = arguments[i];
    }
    if (out) {
        out[count] = flag;
    }
    return out;
}

int car_successor_check(struct car_successor *successor) {
    static char flag[] = "--check-config";
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    char **argv = with_flag(flag);
    *successor = (struct car_successor){.line = -1};
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int err = argv ? posix_spawn(&successor->pid, program, &files, &attributes, argv, environ) : ENOMEM;
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(argv);
    successor->pid = err ? 0 : successor->pid;
    return err;
}

/* `from` has copies that are out of each other's way, or -1. The signals that are blocked here stay so there, until
 * they are read: one that comes early is not lost. */
static int spawn(struct car_successor *successor, const int from[3], char **envp) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (int i = 0; i < 3; i++) {
        if (from[i] >= 0) {
            posix_spawn_file_actions_adddup2(&files, from[i], CAR_TAKEOVER_LISTEN + i);
        }
    }
    int err = posix_spawn(&successor->pid, program, &files, NULL, arguments, envp);
    posix_spawn_file_actions_destroy(&files);
    return err;
}

/* The lock is passed as it is: copied, and the copy closed again, the database's other locks would be lost
 * (sqlite_db.c). */
static int spawn_with(struct car_successor *successor, int listening, int line, int lock, char **envp) {
    int copies[2] = {fcntl(listening, F_DUPFD_CLOEXEC, ABOVE_ALL), fcntl(line, F_DUPFD_CLOEXEC, ABOVE_ALL)};
    int err = copies[0] < 0 || copies[1] < 0 || (lock >= 0 && lock <= CAR_TAKEOVER_LOCK) ? EMFILE : 0;
    err = err ? err : spawn(successor, (const int[3]){copies[0], copies[1], lock}, envp);
    for (int i = 0; i < 2; i++) {
        if (copies[i] >= 0) {
            close(copies[i]);
        }
    }
    return err;
}

int car_successor_start(struct car_successor *successor, int listening, int lock) {
    static char with_lock[] = CAR_TAKEOVER_ENV "=lock";
    static char without[] = CAR_TAKEOVER_ENV "=";
    int ends[2];
    *successor = (struct car_successor){.line = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return errno;
    }
    char **envp = environment(lock >= 0 ? with_lock : without);
    int err = fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
    err = envp ? err : ENOMEM;
    err = err ? err : spawn_with(successor, listening, ends[1], lock, envp);
    close(ends[1]);
    free(envp);
    if (err) {
        successor->pid = 0;
        close(ends[0]);
    } else {
        successor->line = ends[0];
    }
    return err;
}

char car_successor_hear(const struct car_successor *successor) {
    char what = 0;
    return recv(successor->line, &what, 1, 0) == 1 ? what : 0;
}

bool car_successor_tell(const struct car_successor *successor, char what) {
    return send(successor->line, &what, 1, MSG_NOSIGNAL) == 1;
}

bool car_successor_has_ended(struct car_successor *successor) {
    if (successor->pid && waitpid(successor->pid, &successor->status, WNOHANG) == successor->pid) {
        successor->pid = 0;
    }
    return successor->pid == 0;
}

void car_successor_release(struct car_successor *successor) {
    if (successor->line >= 0) {
        close(successor->line);
    }
    successor->line = -1;
    successor->pid = 0;
}

void car_successor_kill(struct car_successor *successor) {
    if (successor->pid) {
        (void)kill(successor->pid, SIGKILL);
        while (waitpid(successor->pid, &successor->status, 0) < 0 && errno == EINTR) {
        }
    }
    car_successor_release(successor);
}
