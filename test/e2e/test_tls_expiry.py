"""When the certificate ends: what the log says of it, and /metrics."""

import datetime
import re
import subprocess

from harness import Authority, Clock, DAY, Server, context, hup, replace, until
from harness.metrics import scrape
from harness import secure

NAME = "carillon_tls_certificate_expiry_timestamp_seconds"
RELOADED = "SIGHUP: connections begin with the TLS certificate"
WARNS = re.compile(r"--tls-cert: (\S+): the certificate in use (expires within (\d+) days?, at|has expired, at) (\S+)$")


def end_of(cert):
    """When it ends, in seconds since 1970, and as the log writes it."""
    said = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-enddate"], capture_output=True, check=True, text=True)
    end = datetime.datetime.strptime(said.stdout.strip(), "notAfter=%b %d %H:%M:%S %Y GMT")
    return end.replace(tzinfo=datetime.timezone.utc).timestamp(), end.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def warnings(s):
    """Of each: the file, whether it has run out, or else within how many days it will have, and the time."""
    found = filter(None, map(WARNS.search, list(s.process.lines)))
    return [(m[1], "expired" if m[3] is None else int(m[3]), m[4]) for m in found]


def serve(pair, *flags, **more):
    return Server("--tls-cert", pair[0], "--tls-key", pair[1], "--threads", "1", *flags, tls=False, **more)


class Told:
    """What is asked over TLS of a server whose certificate may have run out."""

    def __init__(self, s, authority):
        self.s, self.authority = s, authority

    def __enter__(self):
        secure.server_flags()
        self.before = secure.trusting
        secure.trusting = context(self.authority)
        secure.trusting.check_hostname = False
        secure.trusting.verify_mode = 0
        secure.ports.add(self.s.port)

    def __exit__(self, *_):
        secure.trusting = self.before
        secure.ports.discard(self.s.port)


def test_the_log_and_the_metric():
    """At the start and at each reload; the metric is of the certificate that is in use."""
    authority = Authority()
    far, near, past = (authority.issue(days=days) for days in (40, 13, -1))
    pair = authority.issue(days=40)
    replace(pair, far)
    with serve(pair) as s, Told(s, authority):
        assert warnings(s) == []
        assert scrape(s).get(NAME) == end_of(far[0])[0]
        replace(pair, near)
        hup(s, RELOADED)
        until(lambda: len(warnings(s)) == 1, "a warning")
        path, left, at = warnings(s)[0]
        assert (path, at) == (pair[0], end_of(near[0])[1]) and left == 13
        assert scrape(s).get(NAME) == end_of(near[0])[0]
        replace(pair, past)
        hup(s, RELOADED)
        until(lambda: len(warnings(s)) == 2, "a warning")
        assert warnings(s)[1] == (pair[0], "expired", end_of(past[0])[1])
        assert scrape(s).get(NAME) == end_of(past[0])[0]
        with open(pair[0], "wb") as f:
            f.write(b"nothing of use")
        hup(s, "SIGHUP: the TLS certificate stays as it was")
        until(lambda: len(warnings(s)) == 3, "the one in use has still expired")
        assert warnings(s)[2] == warnings(s)[1]
        assert scrape(s).get(NAME) == end_of(past[0])[0]
        replace(pair, far)
        hup(s, RELOADED)
        assert scrape(s).get(NAME) == end_of(far[0])[0]
        hup(s, RELOADED)  # the second line comes after all that the first reload had to say
        assert len(warnings(s)) == 3


def test_at_the_start():
    authority = Authority()
    for days, expected in ((13, False), (-1, True)):
        pair = authority.issue(days=days)
        with serve(pair) as s:
            until(lambda: len(warnings(s)) == 1, "a warning")
            path, left, at = warnings(s)[0]
            assert (path, at, left == "expired") == (pair[0], end_of(pair[0])[1], expected)
            assert " warning: " in next(line for line in s.process.lines if WARNS.search(line))


def test_once_a_day(tmp_path):
    """Days go by: nothing while there are more than 14 left, then a line each day, whether it has run out or not."""
    pair = Authority().issue(days=17)
    clock = Clock(tmp_path)
    # With a budget of memory the loop wakes once a second, and looks at the clock.
    with serve(pair, "--max-memory", "1GiB", env=clock.env) as s:
        for _ in range(2):
            clock.leap(DAY)
            hup(s, RELOADED)
        assert warnings(s) == []
        for day in range(1, 17):
            clock.leap(DAY + 1)
            until(lambda: len(warnings(s)) == day, f"the warning of day {day}")
        assert [left for _, left, _ in warnings(s)] == [*range(14, 0, -1), "expired", "expired"]


def test_only_with_tls():
    with Server("--threads", "1", tls=False) as s:
        assert NAME not in scrape(s).kinds
