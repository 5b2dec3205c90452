"""Servers that are broken on purpose (car_mutant in CMakeLists.txt) do not get past the test of isolation: neither one
whose fan-out takes no notice of the tenant, nor one without the check at the write boundary, where something is
delivered to the wrong one. Where that happens and the boundary is in place, nothing leaks."""

import os
import re
import subprocess
import sys

import pytest

from harness import WAIT

LEAK = "E .*Leak: .* was shown canary"
CAUGHT = "E .*AssertionError: only the write boundary kept it from leaking"
FOLDER = os.path.dirname(os.path.abspath(__file__))


def isolation(mutant, case, fault):
    """pytest's exit code for that server, and what it wrote."""
    path = os.path.join(os.environ["CARILLON_MUTANTS"], mutant)
    assert os.access(path, os.X_OK), path
    env = {**os.environ, "CARILLON_BIN": path, "CARILLON_TEST_FAULT": fault}
    test = f"{FOLDER}/test_isolation_random.py::test_isolation[{case}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", test]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=10 * WAIT, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("case", ["open-memory", "key-sqlite"])
@pytest.mark.parametrize(
    "mutant, fault, why",
    [
        ("misdeliver", "misdeliver", None),
        ("misdeliver", "", CAUGHT),
        ("misdeliver-without-boundary", "misdeliver", LEAK),
        ("misdeliver-without-boundary", "", LEAK),
        ("fanout-without-key", "", CAUGHT),
    ],
    ids=["boundary holds", "misdeliver", "no boundary", "no boundary, strict", "no fan-out key"],
)
def test_mutant(mutant, fault, why, case):
    """It passes, or fails for that reason and not for the other."""
    code, said = isolation(mutant, case, fault)
    assert code == (1 if why else 0), said[-5000:]
    for reason in (LEAK, CAUGHT):
        assert bool(re.search(reason, said)) == (why == reason), said[-5000:]
