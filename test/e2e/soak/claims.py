"""What somebody was told to be forgotten, or did not find any more."""

import time


class Claims:
    """Each is honest where `kept` newer events had come by then; None: nothing may be forgotten. Judged when all events
    up to then are known. Its ledger's lock is held for it."""

    def __init__(self, kept):
        self.kept, self.told, self.count = kept, [], 0

    def tell(self, seq):
        """That the event of that seq is not there any more, right now."""
        assert self.kept, f"the event {seq} is told to be forgotten, and all have to be there"
        self.told.append((seq, time.time()))
        self.count += 1

    def judge(self, stamps):
        """`stamps`: when each event was made, by the server."""
        told, self.told = self.told, []
        for seq, at in told:
            assert seq + self.kept <= max(stamps, default=0), f"{seq} was told to be forgotten, and {max(stamps, default=0)} is the newest"
            made = stamps.get(seq + self.kept, 0)
            assert made <= at, f"{seq} was told to be forgotten {made - at:.3f} s before {self.kept} newer ones had come"
