#include "upgrade.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carillon/base/log.h"
#include "carillon/feed/log.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"

#include "ending.h"
#include "pid_file.h"
#include "takeover.h"

#define LOOK_MS   5
#define REST_MS   15000 /* a statement of the store may be under way */
#define WORDS_MAX 200

static void enter(struct car_upgrade *upgrade, enum car_upgrade_stage stage, uint64_t at_most_ms) {
    upgrade->stage = stage;
    upgrade->until = car_control_now(upgrade->control) + at_most_ms;
}

static bool is_late(const struct car_upgrade *upgrade) {
    return car_control_now(upgrade->control) >= upgrade->until;
}

/* What was given up is taken up again, the last first. */
static void go_back(struct car_upgrade *upgrade) {
    pid_t successor = upgrade->successor.pid;
    car_successor_kill(&upgrade->successor);
    if (upgrade->stage == CAR_UPGRADE_HANDING && upgrade->pid_file &&
        car_pid_file_take_back(upgrade->pid_file, successor) != 0) {
        car_log_error("SIGUSR2: --pid-file: %s: %s", upgrade->pid_file, strerror(errno));
    }
    if (upgrade->stage >= CAR_UPGRADE_RESTING) {
        upgrade->log->ops->rest(upgrade->log, false);
    }
    if (upgrade->stage >= CAR_UPGRADE_QUIET) {
        atomic_store(&upgrade->net->draining, false);
        atomic_store(&upgrade->net->succeeded, false);
        car_listener_go_on(*upgrade->listener);
    }
    upgrade->stage = CAR_UPGRADE_IDLE;
    car_control_tick(upgrade->control, 0);
}

static void fail(struct car_upgrade *upgrade, const char *why) {
    go_back(upgrade);
    car_log_error("SIGUSR2: no upgrade, this server goes on: %s", why);
}

void car_upgrade_cancel(struct car_upgrade *upgrade) {
    go_back(upgrade);
    car_log_warn("SIGUSR2: no upgrade: this server is to end");
}

/* How a process ended, in words. */
static void describe(const struct car_successor *successor, const char *what, char *out, size_t size) {
    if (WIFSIGNALED(successor->status)) {
        snprintf(out, size, "%s was ended by signal %d", what, WTERMSIG(successor->status));
    } else {
        snprintf(out, size, "%s exited with %d", what, WEXITSTATUS(successor->status));
    }
}

static void ended(struct car_upgrade *upgrade, const char *what) {
    char why[WORDS_MAX];
    describe(&upgrade->successor, what, why, sizeof why);
    fail(upgrade, why);
}

static void cannot_start(struct car_upgrade *upgrade, int err) {
    char why[WORDS_MAX];
    snprintf(why, sizeof why, "the new program cannot be started: %s", strerror(err));
    fail(upgrade, why);
}

void car_upgrade_ask(struct car_upgrade *upgrade) {
    const struct car_log_ops *ops = upgrade->log->ops;
    if (upgrade->stage != CAR_UPGRADE_IDLE) {
        car_log_warn("SIGUSR2: an upgrade is under way already");
        return;
    }
    if (getpid() == 1) {
        car_log_error("SIGUSR2: no upgrade, this server goes on: it is process 1, and all others end with that one");
        return;
    }
    if (!ops->rest) {
        car_log_error("SIGUSR2: no upgrade, this server goes on: what --store memory: keeps cannot be handed over");
        return;
    }
    if (atomic_load(&upgrade->log->rest) != CAR_LOG_AWAKE) {
        car_log_error("SIGUSR2: no upgrade, this server goes on: the store is not back from the last one");
        return;
    }
    car_log_info("SIGUSR2: upgrading");
    enter(upgrade, CAR_UPGRADE_CHECKING, upgrade->timeout_ms);
    int err = car_successor_check(&upgrade->successor);
    if (err) {
        cannot_start(upgrade, err);
    } else {
        car_control_tick(upgrade->control, LOOK_MS);
    }
}

static void look_at_check(struct car_upgrade *upgrade) {
    if (!car_successor_has_ended(&upgrade->successor)) {
        if (is_late(upgrade)) {
            fail(upgrade, "the new program took too long to check the configuration");
        }
        return;
    }
    if (upgrade->successor.status != 0) {
        ended(upgrade, "the new program's --check-config");
        return;
    }
    const struct car_log_ops *ops = upgrade->log->ops;
    enter(upgrade, CAR_UPGRADE_STARTING, upgrade->timeout_ms);
    int err = car_successor_start(&upgrade->successor, car_listener_fd(*upgrade->listener),
                                  ops->lock ? ops->lock(upgrade->log) : -1);
    if (err) {
        cannot_start(upgrade, err);
    }
}

static void look_at_start(struct car_upgrade *upgrade) {
    if (car_successor_hear(&upgrade->successor) == CAR_TAKEOVER_PREPARED) {
        enter(upgrade, CAR_UPGRADE_QUIET, upgrade->quiet_ms);
        car_listener_hold(*upgrade->listener);
        atomic_store(&upgrade->net->succeeded, true);
        atomic_store(&upgrade->net->draining, true);
    }
}

static void look_at_quiet(struct car_upgrade *upgrade) {
    if (car_ending_publishing(upgrade->net) == 0 || is_late(upgrade)) {
        enter(upgrade, CAR_UPGRADE_RESTING, REST_MS);
        upgrade->log->ops->rest(upgrade->log, true);
    }
}

static void look_at_rest(struct car_upgrade *upgrade) {
    switch (upgrade->log->ops->rests(upgrade->log)) {
    case CAR_LOG_RESTS:
        enter(upgrade, CAR_UPGRADE_HANDING, upgrade->timeout_ms);
        (void)car_successor_tell(&upgrade->successor, CAR_TAKEOVER_GO); /* one that has ended is seen by that */
        break;
    case CAR_LOG_CANNOT_REST:
        fail(upgrade, "the store takes nothing at the moment");
        break;
    default:
        if (is_late(upgrade)) {
            fail(upgrade, "the store does not come to rest");
        }
    }
}

static void look_at_handing(struct car_upgrade *upgrade) {
    if (car_successor_hear(&upgrade->successor) == CAR_TAKEOVER_READY &&
        (car_successor_tell(&upgrade->successor, CAR_TAKEOVER_SERVE) ||
         !car_successor_has_ended(&upgrade->successor))) {
        upgrade->stage = CAR_UPGRADE_DONE;
    }
}

void car_upgrade_look(struct car_upgrade *upgrade) {
    static void (*const LOOKS[])(struct car_upgrade *) = {
        [CAR_UPGRADE_CHECKING] = look_at_check,  [CAR_UPGRADE_STARTING] = look_at_start,
        [CAR_UPGRADE_QUIET] = look_at_quiet,     [CAR_UPGRADE_RESTING] = look_at_rest,
        [CAR_UPGRADE_HANDING] = look_at_handing,
    };
    if (!car_upgrade_is_under_way(upgrade)) {
        return;
    }
    enum car_upgrade_stage before = upgrade->stage;
    LOOKS[before](upgrade);
    if (upgrade->stage != before || before == CAR_UPGRADE_CHECKING) {
        return;
    }
    if (car_successor_has_ended(&upgrade->successor)) {
        ended(upgrade, "the new program");
    } else if (is_late(upgrade)) {
        fail(upgrade, "the new program took too long to start");
    }
}
