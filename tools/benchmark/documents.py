"""The results as a file: kept, read again, and looked over, for it may be any file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Results = dict[str, Any]  # the document that main.py makes


class DocumentError(Exception):
    """A file that can't be read or written, or is none of the benchmark's; the text says which file and why."""


# What the report takes for granted; a key with a question mark may be missing, or null.
FAULTS = {"faults?": [str]}
LOAD = FAULTS | {"config?": {}, "load?": {}}
PART_NAMES = ("sync", "others", "ceiling", "list", "page", "query", "rare", "loop", "loop_alone")
PARTS = {f"{name}?": FAULTS for name in PART_NAMES}
RUN = FAULTS | {"load?": LOAD, "floor?": FAULTS, "parts?": PARTS, "skipped?": str, "notes?": [str]}
RESULTS = {
    "machine": {},
    "settings": {"runs": int, "quick": bool},
    "results": [{"scenario": str, "server": str, "workers": int, "runs": [RUN]}],
}
NAMES = {dict: "an object", list: "a list", str: "text", int: "a number", bool: "true or false"}


def misfit(value: object, shape: Any, path: str = "it") -> str | None:
    """Where a value is not of the shape; None where it is."""
    if isinstance(shape, type):
        return None if isinstance(value, shape) else f"{path} is not {NAMES[shape]}"
    kind = type(shape)
    if not isinstance(value, kind):
        return f"{path} is not {NAMES[kind]}"
    if isinstance(value, list):
        parts = [(item, shape[0], f"{path}[{index}]") for index, item in enumerate(value)]
    else:
        assert isinstance(value, dict)
        parts = []
        for name, inner in shape.items():
            key = name.removesuffix("?")
            if key not in value and key == name:
                return f"{path} has no {key!r}"
            if key == name or value.get(key) is not None:
                parts.append((value[key], inner, key if path == "it" else f"{path}.{key}"))
    return next(filter(None, (misfit(*part) for part in parts)), None)


def read(file: str) -> Results:
    try:
        results: Results = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(f"{file}: {why(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{file}: no JSON: {error}") from None
    wrong = misfit(results, RESULTS)
    if wrong:
        raise DocumentError(f"{file}: no results of tools/bench: {wrong}")
    return results


def why(error: OSError) -> str:
    return error.strerror or str(error)


def prepare(file: str) -> Path:
    """Sees to it that the file can be written, and leaves it as it is."""
    target = Path(file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = not target.exists()
        target.open("ab").close()
        if new:
            target.unlink()
    except OSError as error:
        raise DocumentError(f"{file}: {why(error)}") from None
    return target


def prepare_folder(folder: str) -> Path:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        prepare(str(Path(folder) / ".written"))
    except OSError as error:
        raise DocumentError(f"{folder}: {why(error)}") from None
    return Path(folder)


def keep(results: Results, target: Path) -> None:
    try:
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{target}: {why(error)}") from None
