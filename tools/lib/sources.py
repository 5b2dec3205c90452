"""What the checkers share: the files of the checkout, and C without its comments and strings."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_FOLDERS = {".git", "node_modules", "__pycache__"}


def files(root):
    """The files of the checkout at root, tracked or not yet, without what git ignores; relative paths, sorted."""
    command = ["git", "-c", "safe.directory=" + root, "-C", root]
    command += ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if os.path.exists(os.path.join(root, ".git")):
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
        return sorted(path for path in set(listed) if path and os.path.isfile(os.path.join(root, path)))
    found = []
    for folder, below, names in os.walk(root):
        inside = folder == root
        below[:] = [b for b in below if b not in SKIPPED_FOLDERS and not (inside and b.startswith("build"))]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def read(root, path):
    """The text of a file, or None where it is not text."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


_TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare_c(text):
    """C with comments and literals blanked, line by line where it was."""
    return _TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def write_tree(root, tree):
    """Writes {path: text} below root: the little checkouts of the self-tests."""
    for path, text in tree.items():
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)


def report(name, faults):
    """Prints the faults; returns the exit code."""
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{name}: {len(faults)} found", file=sys.stderr)
    return 1 if faults else 0
