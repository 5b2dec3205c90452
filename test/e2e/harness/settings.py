"""What scales with the machine and the build, and a few helpers that everything uses."""

import os
import time

SANITIZED = os.environ.get("CARILLON_SANITIZE", "").lower() not in ("", "0", "off", "no", "none", "false")
SLOW = SANITIZED or os.environ.get("CARILLON_SLOW", "") not in ("", "0")
WAIT = 60.0 if SLOW else 20.0  # seconds that anything awaited may take: generous, it is never a measurement


def scaled(count, floor=1):
    """A count of rounds, made smaller where every step is slow."""
    return max(floor, count // 5) if SLOW else count


def program(variable):
    path = os.environ.get(variable)
    assert path, f"{variable} has to name the program under test"
    assert os.access(path, os.X_OK), f"{variable}={path} is no executable file"
    return path


def clean_environment(extra=None):
    """The caller's environment without CARILLON_*, which the server would read as flags."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CARILLON_", "RATE_LIMIT_"))}
    env = {k: v for k, v in env.items() if k not in ("PORT", "CORS_ORIGIN")}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "exitcode=66:second_deadlock_stack=1")
    env.update(extra or {})
    return env


def until(question, what, wait=None, pause=0.02):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + (wait or WAIT)
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(pause)
