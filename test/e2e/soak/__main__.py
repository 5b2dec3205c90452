"""tools/soak runs this."""

import argparse
import random
import sys
import traceback

from . import Settings, run


def main():
    p = argparse.ArgumentParser(prog="tools/soak", description="Mixed load and random faults against the real server.")
    p.add_argument("--minutes", type=float, default=30, help="how long the load lasts (default 30)")
    p.add_argument("--seed", type=int, default=0, help="repeats a run's choices (default: a new one, which is printed)")
    p.add_argument("--store", choices=("commit", "relaxed", "postgres", "memory"), default="commit",
                   help="an SQLite database with that durability, a PostgreSQL server, or the log in memory (default commit)")
    p.add_argument("--tls", action="store_true", help="all of it goes over TLS")
    p.add_argument("--tenants", type=int, default=5, help="tenants at a time (default 5)")
    p.add_argument("--pause", type=float, default=0.04, help="seconds between two events of a publisher (default 0.04)")
    p.add_argument("--logs", default="", help="a folder for logs, which is kept (default: one that is kept on failure)")
    a = p.parse_args()
    seed = a.seed or random.SystemRandom().getrandbits(32)
    try:
        run(Settings(seed, a.minutes * 60, a.store, tenants=a.tenants, pause=a.pause, tls=a.tls, folder=a.logs))
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        return 1
    return 0


sys.exit(main())
