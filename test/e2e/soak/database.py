"""A PostgreSQL server of the run's own, and what is done to it and to the connections with it."""

import time

from harness import Postgres, Wall

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"


class Database:
    """`uri` is for the server under test, which reaches it through a wall."""

    def __init__(self):
        self.pg = Postgres()
        self.name, self.wall = self.pg.new(), Wall(self.pg.port)
        self.uri = self.pg.uri(self.name, self.wall.port)

    def check(self):
        """What the tables say of each other agrees. Nobody writes meanwhile."""
        kept = "SELECT t.n, t.forgotten, t.newest FROM carillon.tenants t WHERE NOT t.removed"
        rows = f"SELECT k.n FROM ({kept}) k LEFT JOIN carillon.events e ON e.tenant = k.n AND e.seq > k.forgotten"
        wrong = self.pg.sql(self.name, f"{rows} GROUP BY k.n, k.newest, k.forgotten HAVING count(e.seq) <> k.newest - k.forgotten")
        assert not wrong, f"tenants without all of their events: {wrong}"

    def close(self):
        self.wall.close()
        self.pg.close()


def stopped(world, rng):
    """PostgreSQL ends, orderly or not, and is there again after some time."""
    with world.trouble("disk"):
        world.database.pg.stop(rng.choice(("fast", "immediate")))
        world.sleep(rng.uniform(0.1, 3))
        world.database.pg.start()
        world.ready()


def ended(world, _rng):
    """The server's connections with it are ended, time and again."""
    with world.trouble("disk"):
        for _ in range(5):
            world.database.pg.sql("postgres", END.format(world.database.name))
            world.sleep(0.2)
        world.ready()


def unheard(world, rng):
    """A commit whose answer is lost, and no connection for some time."""
    wall = world.database.wall
    with world.trouble("disk"):
        wall.mode = "deaf"
        end = time.monotonic() + 5
        while wall.mode == "deaf" and time.monotonic() < end:
            world.sleep(0.05)
        world.sleep(rng.uniform(0, 2))
        wall.mode = "pass"
        world.ready()


def silent(world, rng):
    """Nothing comes through, and nobody is told; then the connections are gone."""
    wall = world.database.wall
    with world.trouble("disk"):
        wall.hold()
        world.sleep(rng.uniform(0.5, 8))
        wall.cut()
        world.ready()
