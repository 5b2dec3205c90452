#ifndef CARILLON_APP_RATE_ENV_H
#define CARILLON_APP_RATE_ENV_H

/*
 * The names that one of the seeds has for the limit of an address: RATE_LIMIT_MAX_REQUESTS, so many, in
 * RATE_LIMIT_WINDOW_MS. Where only one of them is set the other is what it is there by default, 100 in 900000 ms; where
 * none is there is no limit.
 */

/* What both together are called: a variable that --rate-limit-ip is read from, as "100/900000ms". */
#define CAR_RATE_ENV_NAME "RATE_LIMIT_MAX_REQUESTS/RATE_LIMIT_WINDOW_MS"

/* An environment that has this variable where it has one of the two. */
struct car_rate_env {
    char *const *envp; /* the one that was given, where it has none of them; may be NULL */
    char **own;        /* what has to be freed */
    char *line;
};

/* 0 or CAR_ENOMEM. Borrows `envp` until car_rate_env_close, which is due in any case. */
int car_rate_env_open(struct car_rate_env *env, char *const *envp);

void car_rate_env_close(struct car_rate_env *env);

#endif
