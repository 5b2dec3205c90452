"""A program as a child process, whose output is kept and which ends with the test."""

import contextlib
import ctypes
import os
import re
import resource
import signal
import subprocess
import threading
import time

from .settings import WAIT, clean_environment, program

REPORT = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|WARNING: MemorySanitizer|runtime error:"
)
LISTENING = re.compile(r"listening on \S*:(\d+)")
# ----------------------------------------------------------------------------------------------------------- processes


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def before_exec(nofile):
    """For the child, between fork and exec: it dies with the test run, however that ends."""

    def work():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

    return work


def run(*words, env=None, **more):
    """Exit code, stdout and stderr of the server's program, which is expected to end by itself."""
    done = subprocess.run(
        [program("CARILLON_BIN"), *(str(word) for word in words)],
        capture_output=True,
        text=True,
        timeout=WAIT,
        env=clean_environment(env),
        check=False,
        **more,
    )
    assert not REPORT.search(done.stderr), done.stderr
    return done.returncode, done.stdout, done.stderr


class Process:
    """A program under test in its own process group, its output gathered line by line."""

    def __init__(self, command, env=None, nofile=None):
        self.lines = []
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            start_new_session=True,
            preexec_fn=before_exec(nofile),
        )
        self.pid = self.child.pid
        self.reader = threading.Thread(target=self.gather, daemon=True)
        self.reader.start()

    def gather(self):
        for line in self.child.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def output(self):
        return "\n".join(self.lines)

    def listening(self):
        end = time.monotonic() + WAIT
        while True:
            for line in list(self.lines):
                m = LISTENING.search(line)
                if m:
                    return int(m[1])
            assert self.child.poll() is None, f"ended with {self.child.returncode} before listening:\n{self.output()}"
            assert time.monotonic() < end, f"never listened:\n{self.output()}"
            time.sleep(0.01)

    def signal(self, number):
        if self.child.poll() is None:
            os.kill(self.pid, number)

    def wait(self, wait=None):
        """The exit code; the program is killed where it does not end in time."""
        try:
            self.child.wait(wait or WAIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end in time:\n{self.output()[-3000:]}") from None
        self.reader.join(WAIT)
        return self.child.returncode

    def kill(self):
        if self.child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # the group is ours alone: start_new_session
            self.child.wait()
        self.reader.join(5)

    def check(self, expected=0):
        text = self.output()
        assert not REPORT.search(text), f"a sanitizer's report:\n{text[-20000:]}"
        assert self.child.returncode == expected, f"exit code {self.child.returncode}:\n{text[-3000:]}"

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def peak(self):
        """The most memory that has ever been resident, in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s*(\d+) kB", f.read())[1]) << 10

    def cpu(self):
        """Seconds of processor time used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
