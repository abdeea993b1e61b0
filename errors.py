"""What ends a command: input that cannot be used, or a law of the simulation that broke."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class InputError(Exception):
    """The user's input cannot be used; `problems` holds one sentence for each thing to mend."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class LawBroken(Exception):
    """A step contradicts a law; the message says which, for whom, and by how much."""


def gather(problems: list[str], read: Callable[[], Result]) -> Result | None:
    """What `read` returns; where it raises InputError its problems join the list, and None comes back."""
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None
