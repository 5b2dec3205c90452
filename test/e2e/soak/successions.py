"""SIGUSR2: another process takes the server's place, or fails to."""

import signal

from harness import program, until

# A successor that is none: it ends at once, when it is prepared, or when it may open the store.
CHECKS = '[[ "$*" == *--check-config ]] && exit 0\n'
BAD = ("exit 3\n", f"{CHECKS}printf P >&4\nexit 5\n", f"{CHECKS}printf P >&4\nhead -c1 <&4 >/dev/null\nexit 6\n")
READ = "keys of tokens, and"  # is said when they have been read


def upgrade(world, _rng):
    """Nobody who connects is refused, and no request stays without an answer."""
    with world.trouble("upgrade"):
        world.life.upgrade()
        world.born()
        world.ready()


def attempt(world, rng):
    """An upgrade that fails: the same process goes on as if nothing had been."""
    life = world.life
    with world.trouble("attempt"):
        life.server.put_script(rng.choice(BAD))
        life.server.fails("the new program")
        life.server.put(program("CARILLON_BIN"))
        life.server.moved()
        while life.server.open:
            life.server.open.pop().close()
        world.ready()


def turn(world, rng):
    """Another secret of tokens: those that there are end with all connections that they have let in."""
    life = world.life
    before = life.server.said(READ)
    world.turn(rng)
    life.signal(signal.SIGHUP)
    until(lambda: life.server.said(READ) > before, "the secret is read")
    world.turned()
