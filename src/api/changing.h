#ifndef CARILLON_API_CHANGING_H
#define CARILLON_API_CHANGING_H

#include <stdbool.h>

#include "carillon/feed/account.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/keys.h"

struct car_api;
struct car_call;
struct car_exchange;

/* A request that waits for a change of a tenant to be in the log. */
struct car_changing {
    struct car_log_change change; /* first */
    struct car_tenant_terms terms;
    struct car_account_key key;
    struct car_exchange *exchange;
    struct car_api *api;
    struct car_identity who; /* nobody: the administrator */
    const char *act;         /* what the audit log calls it; static */
    /* The change is made: answers. Else the request is refused without it. */
    void (*answer)(struct car_changing *changing);
    char text[CAR_KEY_TEXT + 1]; /* of a new key, NUL-terminated; it is wiped */
};

/* A change of that kind, by whoever calls, as `act` says. NULL where it was refused, and answered. */
struct car_changing *car_changing_new(struct car_call *call, enum car_log_change_kind kind, struct car_tenant *tenant,
                                      void (*answer)(struct car_changing *changing));

/* Gives the change a new key of its tenant, which its `text` is of. */
void car_changing_make_key(struct car_changing *changing);

/* The key is stored: it is good from now on. false where that could not be, and was answered. */
bool car_changing_let_in(struct car_changing *changing);

/* Has connections that were let in with what is no more closed. */
void car_changing_close(struct car_changing *changing);

/* Has the change made, and the request answered, now or later. Takes it over. */
void car_changing_send(struct car_changing *changing, struct car_call *call);

#endif
