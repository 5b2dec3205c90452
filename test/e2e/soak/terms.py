"""What a tenant may, and what is kept of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Terms:
    """`kept`: of its events, the newest so many are there, and what is older may have been forgotten; None: all are.
    `asked`: whether the tenant's own retention says so. `rate`: it may publish so many in a second; None: any number."""

    kept: int | None = None
    asked: bool = False
    rate: int | None = None

    def body(self):
        """What the administrator says of it."""
        return {
            **({"retention": f"/{self.kept}"} if self.asked else {}),
            **({"limits": {"events_per_second": self.rate}} if self.rate else {}),
        }

    def padding(self):
        """Lengths of messages: where little is kept, a client that stalls is to fall behind it."""
        return (0, 300, 900, 900) if self.asked else (0, 0, 20, 300)


MEMORY = 2000  # --buffer-size of a log in memory


def draw(number, durable, rng):
    """Each kind of tenant has its place: as they are, with a limit, with little that is kept, with both."""
    rate = rng.randrange(12, 20) if number % 4 in (1, 3) else None  # no batch is more than a second's worth
    kept = rng.choice((30, 80)) if number % 4 in (2, 3) else None
    if not kept and not durable:
        return Terms(MEMORY, False, rate)
    return Terms(kept, bool(kept), rate)
