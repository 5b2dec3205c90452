"""Files that are no regular ones where one is to be read: nobody waits for them, at the start and at SIGHUP."""

import os
import signal

import pytest

from harness import Authority, Server, run, until

USERS = '{"users":[{"tenant":"t","name":"ann","token":"a-token-that-is-long-enough","scopes":["publish"]}]}'


def flags_of(which, folder):
    """Good files, and the one that is to be replaced."""
    if which == "users":
        path = folder / "users.json"
        path.write_text(USERS)
        return "token", ["--users", path], path
    if which == "jwt-secret-file":
        path = folder / "secret"
        path.write_text("x" * 40)
        return "key", ["--jwt-secret-file", path], path
    cert, key = Authority().issue()
    return "open", ["--tls-cert", cert, "--tls-key", key], cert if which == "tls-cert" else key


def replace(path, what):
    os.remove(path)
    if what == "a pipe":
        os.mkfifo(path)
    else:
        os.symlink("/dev/zero", path)


WHICH = ["tls-cert", "tls-key", "users", "jwt-secret-file"]


@pytest.mark.parametrize("what", ["a pipe", "a device"])
@pytest.mark.parametrize("which", WHICH)
def test_what_is_no_file_is_refused_at_the_start(which, what, tmp_path):
    auth, flags, path = flags_of(which, tmp_path)
    replace(path, what)
    for more in ([], ["--check-config"]):
        code, out, err = run("--port", 0, "--store", "memory:", "--auth", auth, "--admin-key", "secret", "--audit-log", "off", *flags, *more)
        assert (code, out) == (1, "") and err.count("\n") == 1 and f"{path}: not a regular file" in err, err


def test_a_configuration_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    code, out, err = run("--config", tmp_path / "c.yaml")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "no regular file" in err, err


@pytest.mark.parametrize("what", ["a pipe", "a device"])
@pytest.mark.parametrize("which", WHICH)
def test_a_reload_keeps_what_there_was(which, what, tmp_path):
    """And goes on: the end is told to it after that."""
    auth, flags, path = flags_of(which, tmp_path)
    with Server("--admin-key", "secret", *flags, auth=auth, tls=False) as s:
        replace(path, what)
        s.process.signal(signal.SIGHUP)
        until(lambda: f"{path}: not a regular file" in s.process.output(), "it is told")
        told = [line for line in s.process.lines if "SIGHUP" in line]
        assert len(told) == 1 and ("stay" in told[0]), told
        s.terminate()
