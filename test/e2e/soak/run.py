"""A run, from the first server's start to the last one's end."""

import dataclasses
import os
import shutil
import statistics
import tempfile
import time

from harness import SANITIZED, SLOW

from .faults import Deck
from .keepers import Keeper, Looker
from .pens import Pen
from .places import enter
from .readers import Reader
from .world import World

ROOM = 6 << 20  # bytes that the median of memory may grow by, from the first third of the last life to its last
SHARE = 0.12  # or this part of it
FILES = 12  # descriptors that are opened at their first use, and stay: readers of the database


@dataclasses.dataclass
class Settings:
    """Of a run: `seconds` of load, `tenants` at a time with `pens` and `readers` each; `pause` is what a publisher
    waits between two events, `stay` how long a subscriber does by and large, `stall` how long at most one does not
    read, `keep` what the administrator waits; all in seconds. `store`: commit, relaxed, postgres or memory. `tls`:
    whether all of it goes over TLS."""

    seed: int
    seconds: float
    store: str = "commit"
    tenants: int = 5
    pens: int = 2
    readers: int = 4
    pause: float = 0.04
    stay: float = 6
    stall: float = 15
    keep: float = 2
    lethal: float = 0.4  # the part of the time in which servers end
    tls: bool = False
    folder: str = ""


def populate(world):
    s = world.settings
    for slot in world.slots:
        world.create(slot)
    for slot in world.slots:
        for i in range(s.readers):
            world.go(Reader(world, slot, f"reader {slot.number}.{i}"), worker=False)
        for i in range(s.pens):
            world.go(Pen(world, slot, f"pen {slot.number}.{i}"), worker=True)
    for i in range(2):
        world.go(Looker(world, world.slots[0], f"looker {i}"), worker=True)
    world.go(Keeper(world, world.slots[0], "keeper"), worker=True)


def weather(world, deck):
    """Faults and quiet moments in turn."""
    s = world.settings
    start = time.monotonic()
    while (gone := time.monotonic() - start) < s.seconds:
        world.sleep(world.rng.uniform(0.3, 1.5) * (1 + s.seconds / 200))
        deck.play(gone < s.lethal * s.seconds)
        world.reap()
        if world.rng.randrange(2):
            world.sleep(0.5)
            world.roll_call()
    world.sleep(0.5)
    world.roll_call()


def judge_memory(world):
    """Of the last life, which is the longest; its beginning is for getting warm."""
    series = world.life.series
    files = series[-1][2] - series[-1][3]
    begun = world.life.base[0] - world.life.base[1]
    assert files <= begun + FILES, f"{files} files are open, {begun} at the start"
    warm = [rss for at, rss, _, _ in series if at > series[-1][0] * 0.15]
    third = len(warm) // 3
    if SANITIZED or not third:
        return
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    assert last <= first + max(ROOM, SHARE * first), f"memory grew from {first:.0f} to {last:.0f} bytes"


def tally(world):
    """What has been seen of what is not there in every run."""
    pens = [p for p in world.parties if isinstance(p, Pen)]
    readers = [p for p in world.parties if isinstance(p, Reader)]
    return {
        "answers 429": sum(p.limited for p in pens),
        "gaps told": sum(r.gaps for r in readers),
        "sent away as too slow": sum(r.overrun for r in readers),
        "tokens renewed": sum(r.renewed for r in readers),
        "connections that outlived their credential": sum(r.outlived for r in readers),
    }


def judge_tally(world):
    """A run that is long enough for it has met them all, but for slow readers, whose buffers have to fill."""
    missing = [what for what, count in tally(world).items() if not count and what != "sent away as too slow"]
    assert SLOW or world.settings.seconds < 25 or not missing, f"nothing was seen of {missing}"


def summary(world, deck):
    world.say("of the last server: s, MiB resident, descriptors, sockets")
    for at, rss, fds, sockets in world.life.series if world.life else ():
        print(f"  {at:7.1f} {rss / (1 << 20):8.1f} {fds:6} {sockets:6}")
    pens = [p for p in world.parties if isinstance(p, Pen)]
    readers = [p for p in world.parties if isinstance(p, Reader)]
    asked = sum(p.looked for p in world.parties if isinstance(p, Looker))
    dealt = ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in sorted(deck.dealt.items()))
    world.say(
        f"{sum(p.sent for p in pens)} events sent, {sum(s.ledger.acked for s in world.slots)} acknowledged by the tenants"
        f" that are left; {sum(r.seen for r in readers)} deliveries, {asked} looks, {world.lives} servers; {dealt}"
    )
    world.say(", ".join(f"{count} {what}" for what, count in tally(world).items()))
    if not world.cuts:
        world.say("no connection was cut: that needs root and nft")
    if world.disk and not world.small:
        world.say("no disk was really full, calls only said so: that needs root")


def live(world):
    deck = Deck(world)
    try:
        world.start()
        populate(world)
        weather(world, deck)
        world.end()
        judge_memory(world)
        judge_tally(world)
        world.life.end()
        world.filter_audit(world.audit)
        if world.disk:
            left = [name for name in os.listdir(os.path.dirname(world.disk.path)) if name.endswith(("-wal", "-shm"))]
            assert not left, f"left behind: {left}"
        if world.database:
            world.database.check()
    finally:
        summary(world, deck)


def run(settings):
    """Raises what was wrong, and says where the logs are."""
    folder = settings.folder or tempfile.mkdtemp(prefix="carillon-soak-")
    os.makedirs(folder, exist_ok=True)
    cuts, mounts = enter()
    world = World(settings, folder, cuts, mounts)
    how = "over TLS" if settings.tls else "in the clear"
    world.say(f"seed {settings.seed}, {settings.seconds:.0f} s, store {settings.store}, {how}, flags {world.flags}")
    try:
        live(world)
    except BaseException as e:
        world.say(f"FAILED with seed {settings.seed}: {type(e).__name__}: {e}")
        if world.life and not world.life.is_there():
            world.say(f"the server has ended by itself: {world.life.server.codes}")
        world.say(f"logs are in {folder}")
        world.abort()
        raise
    world.close()
    if not settings.folder:
        shutil.rmtree(folder)
    world.say("good")
