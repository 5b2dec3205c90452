#ifndef CARILLON_APP_UPGRADE_H
#define CARILLON_APP_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "successor.h"

struct car_control;
struct car_listener;
struct car_log;
struct car_net;

/* clang-format off */
/*
 * SIGUSR2: this process lets a new one take its place (successor.h), and nobody who connects is refused.
 *
 *   CHECKING   a first one looks at the configuration only
 *   STARTING   the successor does all that needs no store. Until here this server serves as ever.
 *   QUIET      nothing more is accepted: who connects waits in the socket's queue, which both have. Nothing more is taken
 *              for publishing; what is under way is waited for
 *   RESTING    the log commits what it owes, and rests (log.h): what comes all the same is refused
 *   HANDING    the successor opens the store. It accepts nobody before it is told to
 *   DONE       it has been told to; this one ends as on SIGTERM
 *
 * Wherever that fails before DONE the successor is killed and has surely ended, the log wakes, and this server goes on
 * as if nothing had been; the log has one line of it. Steps are made by car_upgrade_look, on the control loop's thread.
 */
/* clang-format on */
enum car_upgrade_stage {
    CAR_UPGRADE_IDLE,
    CAR_UPGRADE_CHECKING,
    CAR_UPGRADE_STARTING,
    CAR_UPGRADE_QUIET,
    CAR_UPGRADE_RESTING,
    CAR_UPGRADE_HANDING,
    CAR_UPGRADE_DONE,
};

struct car_upgrade {
    struct car_control *control;
    struct car_net *net;
    struct car_log *log;
    struct car_listener **listener;
    const char *pid_file; /* NULL: there is none */
    uint32_t timeout_ms;  /* how long the new program may take for each of its steps */
    uint32_t quiet_ms;    /* how long what is being published is waited for, at most */
    enum car_upgrade_stage stage;
    struct car_successor successor;
    uint64_t until; /* of the stage, in the control loop's milliseconds */
};

/* Begins one, where none is under way and the store can be handed over; else the log says why not. */
void car_upgrade_ask(struct car_upgrade *upgrade);

/* To be called every few milliseconds while one is under way. */
void car_upgrade_look(struct car_upgrade *upgrade);

/* This server is to end instead: breaks off what is under way. */
void car_upgrade_cancel(struct car_upgrade *upgrade);

static inline bool car_upgrade_is_under_way(const struct car_upgrade *upgrade) {
    return upgrade->stage != CAR_UPGRADE_IDLE && upgrade->stage != CAR_UPGRADE_DONE;
}

#endif
