"""One JSON object, asked field by field for what it has to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from verification.findings import show
from verification.read import Reader, is_number


class Fields:
    """The fields of one JSON object; whatever is not what it should be becomes a problem of the reader."""

    def __init__(self, reader: Reader, file: str, where: str, raw: Any) -> None:
        self.reader, self.file, self.where = reader, file, where
        self.given = type(raw) is dict
        self.raw: dict[str, Any] = raw if self.given else {}
        if raw is not None and not self.given:
            reader.problem(file, f"{where}is {show(raw)}, should be an object")

    def ask(self, name: str, holds: Callable[[Any], bool], should: str, instead: Any) -> Any:
        """The field if it holds, otherwise a problem and `instead`, so that reading can go on."""
        value = self.raw.get(name)
        if holds(value):
            return value
        if self.given:
            found = show(value) if name in self.raw else "missing"
            self.reader.problem(self.file, f"{self.where}{name} is {found}, should be {should}")
        return instead

    def whole(self, name: str, low: int, high: int) -> int:
        should = f"a whole number from {low} to {high}"
        return int(self.ask(name, lambda v: type(v) is int and low <= v <= high, should, low))

    def number(self, name: str, low: float, high: float) -> float:
        should = f"a number from {low} to {high}"
        return float(self.ask(name, lambda v: is_number(v) and low <= v <= high, should, low))

    def word(self, name: str, words: tuple[str, ...]) -> str:
        should = f"one of {', '.join(words)}"
        return str(self.ask(name, lambda v: type(v) is str and v in words, should, words[0]))

    def wholes(
        self, name: str, low: int, beyond: int, length: int | None = None
    ) -> tuple[int, ...]:
        """A list of whole numbers."""
        size = "" if length is None else f"{length} "
        most = (
            f"to {beyond - 1}" if beyond <= 10**13 else f"on, below 2^{(beyond - 1).bit_length()}"
        )
        should = f"a list of {size}whole numbers from {low} {most}, not all 0"

        def holds(value: Any) -> bool:
            right = type(value) is list and length in (None, len(value))
            return right and all(type(v) is int and low <= v < beyond for v in value) and any(value)

        return tuple(self.ask(name, holds, should, (1,)))
