"""The one file that `clear` and `proof` write with --output: whole or not at all, never over another kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from errors import InputError


def refuse_unless_ours(path: Path, begin: str, kind: str) -> None:
    """Raises InputError where `path` must not be written: a file of ours begins with the text `begin`."""
    problem = ""
    try:
        if path.is_dir() or not path.parent.is_dir():
            problem = "name a file in an existing folder"
        elif path.exists() and not path.is_file():
            problem = "is no plain file; name another one"
        elif path.is_file() and path.stat().st_size and not _begins(path, begin):
            problem = f"is there already and is not {kind}; name another file"
        elif not os.access(path.parent, os.W_OK | os.X_OK):
            problem = "cannot be written (no permission)"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise InputError([f"--output {path}: {problem}"])


def _begins(path: Path, begin: str) -> bool:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.read(len(begin)) == begin


def write(path: Path, write_to: Callable[[TextIO], object]) -> None:
    """Lets `write_to` write the file beside its place, then moves it there; raises InputError."""
    goal = Path(os.path.realpath(path))
    unfinished = goal.with_name(f".{goal.name[:64]}-{os.getpid()}.new")
    try:
        try:
            with open(unfinished, "x", encoding="utf-8", newline="") as file:
                write_to(file)
            os.replace(unfinished, goal)
        finally:
            with suppress(FileNotFoundError):
                unfinished.unlink()
    except OSError as error:
        told = f"cannot be written ({error.strerror or error})"
        raise InputError([f"--output {path}: {told}"]) from None


def replace(path: Path, text: str, begin: str, kind: str) -> None:
    """Writes `text`, unless another file is there already."""
    refuse_unless_ours(path, begin, kind)
    write(path, lambda file: file.write(text))
