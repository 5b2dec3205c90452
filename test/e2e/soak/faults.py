"""What is done to the server and to its clients' connections. Each fault is over when its function returns: the server
is ready again."""

import contextlib
import errno
import os
import random
import resource
import signal
import socket

from harness import Eof, STAGES, Wire, disk as d, until, vanish

from . import database, places
from .successions import attempt, turn, upgrade


def restart(world, end):
    """`end` ends the server. What is not on the disk yet, or nowhere, is lost with it: where that may be, nobody is
    about to publish."""
    with contextlib.ExitStack() as stack:
        if not world.lasting:
            stack.enter_context(world.still())
            world.sleep(1)
        if not world.durable:
            world.retire()
        with world.trouble("end"):
            end()
            world.start()
        if not world.durable:
            for slot in world.slots:
                world.create(slot)


def kill(world, _rng):
    """kill -9, and a restart."""
    restart(world, world.life.crash)


def terminate(world, _rng):
    """SIGTERM, which drains, and a restart."""
    restart(world, world.life.end)


def reload(world, _rng):
    """SIGHUP, for which the audit log has been moved away."""
    os.rename(world.audit, f"{world.audit}.1")
    world.life.signal(signal.SIGHUP)
    until(lambda: os.path.exists(world.audit), "the audit log is opened anew")
    world.filter_audit(f"{world.audit}.1")


def full(world, rng):
    """No room on the disk for some time."""
    with world.trouble("disk"):
        if world.small:
            world.small.fill()
        else:
            world.disk.fail(d.WRITE, errno.ENOSPC)
        world.sleep(rng.uniform(0.3, 3))
        if world.small:
            world.small.relieve()
        world.disk.well()
        world.ready()


def failing(world, rng):
    """Calls on the database fail, some of them or all, in one of many ways."""
    with world.trouble("disk"):
        world.disk.fail(**d.draw(rng))
        world.sleep(rng.uniform(0.1, 2))
        world.disk.well()
        world.ready()


def kill_failing(world, rng):
    """kill -9 while the disk fails."""
    if world.settings.store != "commit":
        return kill(world, rng)
    with world.trouble("disk"):
        world.disk.fail(**d.draw(rng, sync=0))
        world.sleep(rng.uniform(0.05, 0.5))
        with world.trouble("end"):
            world.life.crash()
            world.disk.well()
            world.start()
    return None


def descriptors(world, rng):
    """There are as good as none left, and more clients come than can be let in."""
    life, crowd = world.life, []
    with world.trouble("descriptors"):
        was = resource.prlimit(life.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(life.pid, resource.RLIMIT_NOFILE, (life.fds() + rng.randrange(4), was[1]))
        with contextlib.suppress(OSError):
            for _ in range(30):
                crowd.append(socket.create_connection(("127.0.0.1", world.port)))
        world.sleep(rng.uniform(0.5, 2))
        resource.prlimit(life.pid, resource.RLIMIT_NOFILE, was)
        for c in crowd:
            c.close()
        world.ready()


def lines(world):
    """Parties who listen right now, with their ports."""
    found = [(p, p.line) for p in world.parties if p.line]
    return [(p, line.ports()) for p, line in found if line.ports()]


def cut(world, rng):
    """No packet of some clients arrives for some seconds, longer than a ping may go unanswered or not."""
    if not world.cuts:
        return
    struck = [(p, ports) for p, ports in lines(world) if rng.randrange(2)]
    if struck:
        for p, _ in struck:
            p.struck = True
        places.cut([port for _, ports in struck for port in ports])
        world.sleep(rng.choice((0.5, 2, 5, rng.uniform(0.5, world.stall))))
        places.mend()


def storm(world, rng):
    """Most of those who listen lose their connections at once."""
    for p in [p for p in world.parties if p.line and rng.randrange(4)]:
        p.struck, line = True, p.line
        if line:
            line.hang_up()


def vanishing(world, rng):
    """Clients that go away in the midst of anything, and some who say what nobody understands."""
    for i in range(40):
        world.check()
        with contextlib.suppress(OSError):
            vanish(world.port, rng)
        if i % 4 == 0:
            with contextlib.suppress(OSError, Eof):
                w = Wire(world.port)
                w.send(rng.randbytes(rng.randrange(1, 2000)))
                w.close()


def half_open(world, rng):
    """Connections that stay in the middle of a request for some time."""
    held = []
    for stage in rng.sample(sorted(STAGES), 12):
        with contextlib.suppress(OSError, Eof):
            held.append(Wire(world.port))
            held[-1].send(STAGES[stage][0])
    world.sleep(rng.uniform(0.5, 3))
    for w in held:
        rng.choice((w.close, w.reset))()


LETHAL = (kill, terminate, kill_failing, upgrade)
OF_DISKS = (full, failing, kill_failing)
OF_DATABASES = (database.stopped, database.ended, database.unheard, database.silent)
OTHERS = (reload, turn, attempt, full, failing, descriptors, cut, storm, vanishing, half_open, *OF_DATABASES)


class Deck:
    """Faults in a random order, each as often as any other; those that end the server only in the first part, so that
    in the second one process lives long enough for its memory to be judged."""

    def __init__(self, world):
        self.rng, self.world, self.cards, self.dealt = world.random("deck"), world, [], {}

    def next(self, lethal):
        kinds = [k for k in OTHERS + (LETHAL if lethal else ()) if self.possible(k)]
        self.cards = [c for c in self.cards if c in kinds]
        if not self.cards:
            self.cards = list(kinds)
            self.rng.shuffle(self.cards)
        card = self.cards.pop()
        self.dealt[card.__name__] = self.dealt.get(card.__name__, 0) + 1
        return card

    def possible(self, kind):
        if kind is cut:
            return self.world.cuts
        if kind in OF_DATABASES:
            return self.world.database
        if kind in (upgrade, attempt):
            return self.world.durable
        return self.world.disk or kind not in OF_DISKS

    def play(self, lethal):
        card = self.next(lethal)
        self.world.say(card.__name__.replace("_", " "))
        card(self.world, random.Random(self.rng.getrandbits(64)))
        return card
