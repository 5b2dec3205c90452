#include "postgres.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int port;
static pid_t script;
static int commands = -1; /* the script's input: it ends with us, however we end */

static void must(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "postgres: %s\n", what);
        abort();
    }
}

static void end(void) {
    close(commands);
    (void)waitpid(script, NULL, 0);
}

static void begin(void) {
    int in[2];
    int out[2];
    char line[200] = "";
    must(pipe2(in, 0) == 0 && pipe2(out, 0) == 0, "no pipe");
    script = fork();
    must(script >= 0, "no process");
    if (script == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execlp("bash", "bash", CARILLON_TEST_SUPPORT "/postgres.sh", (char *)NULL);
        _exit(EXIT_FAILURE);
    }
    close(in[0]);
    close(out[1]);
    commands = in[1];
    atexit(end);
    FILE *said = fdopen(out[0], "r");
    must(said && fgets(line, sizeof line, said), "the script says nothing");
    must(sscanf(line, "ready %d", &port) == 1, line);
    fclose(said);
}

static void name(char *uri, size_t size, const char *database) {
    snprintf(uri, size, "postgres://carillon:open%%20sesame%%401%%2F2@127.0.0.1:%d/%s", port, database);
}

static PGresult *run(const char *uri, const char *sql) {
    PGconn *conn = PQconnectdb(uri);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    must(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, PQerrorMessage(conn));
    PQfinish(conn);
    return result;
}

void postgres_new(char *uri, size_t size) {
    static unsigned count;
    char line[60];
    char first[200];
    if (!port) {
        begin();
    }
    snprintf(line, sizeof line, "CREATE DATABASE log%u", ++count);
    name(first, sizeof first, "postgres");
    postgres_run(first, line);
    name(uri, size, strrchr(line, ' ') + 1);
}

void postgres_run(const char *uri, const char *sql) {
    PQclear(run(uri, sql));
}

int64_t postgres_number(const char *uri, const char *sql) {
    PGresult *result = run(uri, sql);
    must(PQntuples(result) == 1, "no number");
    int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}
