"""What a check finds: things that are wrong, each with place and rule, or files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]  # told what is being done, and which share of it

KEPT_PER_RULE = 1_000  # findings kept in words; the rest is only counted


def silent(phase: str, share: float) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True)
class Finding:
    """One thing that a folder says and that its other files, settings or laws deny."""

    where: str
    rule: str
    detail: str


@dataclass
class Findings:
    """What was found so far: the first ones of every rule in words, all of them counted."""

    kept: list[Finding] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    def add(self, where: str, rule: str, detail: str) -> None:
        self.totals[rule] += 1
        if self.totals[rule] <= KEPT_PER_RULE:
            self.kept.append(Finding(where, rule, detail))

    def differ(self, where: str, rule: str, name: str, found: object, expected: object) -> None:
        """A finding unless both are equal; True is not taken for 1, nor 1.0 for 1."""
        if type(found) is not type(expected) or found != expected:
            self.add(where, rule, f"{name} is {show(found)}, expected {show(expected)}")

    def rows(
        self,
        wrong: BoolArray,
        rule: str,
        where: Callable[[int], str],
        detail: str,
        *columns: npt.NDArray[Any],
    ) -> None:
        """A finding for each True in `wrong`: `where` names its row, the columns fill `detail`."""
        rows = np.flatnonzero(wrong).tolist()
        if not rows:
            return
        for row in rows[: max(0, KEPT_PER_RULE - self.totals[rule])]:
            words = detail.format(*(column[row] for column in columns))
            self.kept.append(Finding(where(row), rule, words))
        self.totals[rule] += len(rows)

    def compare(
        self, rule: str, where: Callable[[int], str], name: str, found: IntArray, expected: IntArray
    ) -> None:
        """A finding for each row in which a column says something else than expected."""
        self.rows(found != expected, rule, where, name + " {}, expected {}", found, expected)


class Unreadable(Exception):
    """Files are missing or cannot be read as what they should be; `problems` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def show(value: object) -> str:
    """`value` for a message: ASCII whatever it holds, and short."""
    try:
        text = ascii(value[:100] if type(value) is str else value)
    except ValueError:  # the digits of an int that Python turns into no text
        text = "a number of thousands of digits"
    except RecursionError:
        text = "something nested deeply"
    return text if len(text) <= 100 else text[:97] + "..."


def reason_of(error: Exception) -> str:
    """An error's own words, safe to print."""
    told = error.strerror if isinstance(error, OSError) else None
    return show(told or str(error))[1:-1]
