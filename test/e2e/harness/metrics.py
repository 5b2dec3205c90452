"""What /metrics tells, read strictly (Prometheus text format 0.0.4)."""

import pathlib
import re
import shutil
import subprocess

TYPE = "text/plain; version=0.0.4; charset=utf-8"
REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? ([0-9]+(?:\.[0-9]+)?)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')
SUFFIX = re.compile("_(bucket|sum|count)$")


def promtool(*arguments, text=None):
    """(exit code, what it said). Unpacked by tools/test, or installed."""
    unpacked = REPOSITORY / "build/promtool/usr/bin/promtool"
    program = str(unpacked) if unpacked.exists() else shutil.which("promtool")
    assert program, "promtool is of Debian's package prometheus: tools/test unpacks it"
    done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


class Metrics:
    """One scrape: `kinds` of the families, `values` of the series by name and sorted labels."""

    def __init__(self, text):
        self.text, self.kinds, self.values = text, {}, {}
        helped = set()
        family = None
        assert text.endswith("\n")
        for line in text.split("\n")[:-1]:
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                assert family not in helped, family
                helped.add(family)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == family
                self.kinds[name] = kind
            else:
                self.add(family, line)
        assert helped == set(self.kinds)

    def add(self, family, line):
        m = LINE.fullmatch(line)
        assert m, line
        histogram = self.kinds[family] == "histogram"
        assert (SUFFIX.sub("", m[1]) if histogram else m[1]) == family, line
        key = (m[1], tuple(sorted(LABEL.findall(m[2] or ""))))
        assert key not in self.values, line
        self.values[key] = float(m[3])

    def get(self, name, **labels):
        return self.values[name, tuple(sorted(labels.items()))]

    def sum(self, name):
        return sum(v for (n, _), v in self.values.items() if n == name)

    def of(self, name, label):
        """{the label's value: the number} of a family of one label."""
        return {dict(labels)[label]: v for (n, labels), v in self.values.items() if n == name}

    def names(self):
        return {n for n, _ in self.values}

    def counters(self):
        """All that may never go back."""
        kinds = ("counter", "histogram")
        return {k: v for k, v in self.values.items() if self.kinds.get(k[0], self.kinds.get(SUFFIX.sub("", k[0]))) in kinds}


def scrape(server, headers=None):
    r = server.request("GET", "/metrics", headers)
    assert r.status == 200 and r.header("Content-Type") == TYPE, r
    return Metrics(r.body.decode())


class Moved:
    """What has moved since: `moved(name, **labels)`, or the same of a whole family by its label."""

    def __init__(self, server):
        self.server, self.before = server, scrape(server)

    def look(self):
        self.after = scrape(self.server)
        return self

    def __call__(self, name, **labels):
        return self.look().after.get(name, **labels) - self.before.get(name, **labels)

    def by(self, name, label):
        before, after = self.before.of(name, label), self.look().after.of(name, label)
        return {value: n - before.get(value, 0) for value, n in after.items() if n != before.get(value, 0)}

    def by_two(self, name):
        self.look()
        return {
            tuple(v for _, v in labels): n - self.before.values[name, labels]
            for (found, labels), n in self.after.values.items()
            if found == name and n != self.before.values[name, labels]
        }
