#include "rate_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"

#define REQUESTS "RATE_LIMIT_MAX_REQUESTS"
#define WINDOW   "RATE_LIMIT_WINDOW_MS"

/* The value of a variable; NULL where it is unset or empty. */
static const char *value_of(char *const *envp, const char *name) {
    size_t len = strlen(name);
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            return (*envp)[len + 1] ? *envp + len + 1 : NULL;
        }
    }
    return NULL;
}

int car_rate_env_open(struct car_rate_env *env, char *const *envp) {
    const char *requests = value_of(envp, REQUESTS);
    const char *window = value_of(envp, WINDOW);
    size_t count = 0;
    *env = (struct car_rate_env){.envp = envp};
    if (!requests && !window) {
        return 0;
    }
    while (envp[count]) {
        count++;
    }
    env->own = calloc(count + 2, sizeof *env->own);
    if (!env->own || asprintf(&env->line, CAR_RATE_ENV_NAME "=%s/%sms", requests ? requests : "100",
                              window ? window : "900000") < 0) {
        env->line = NULL;
        return CAR_ENOMEM;
    }
    env->own[0] = env->line;
    memcpy(env->own + 1, envp, count * sizeof *env->own);
    env->envp = env->own;
    return 0;
}

void car_rate_env_close(struct car_rate_env *env) {
    free(env->own);
    free(env->line);
    *env = (struct car_rate_env){0};
}
