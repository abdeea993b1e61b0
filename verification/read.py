"""Reading a saved results folder with suspicion: exact numbers, strict JSON, bounded memory.

Whatever the bytes are, reading ends in numbers, in a Finding, or in Unreadable.
"""

from __future__ import annotations

import csv
import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from verification.columns import (
    LONGEST_LINE,
    Piece,
    checked,
    pieces,
    places,
)
from verification.findings import Findings, Unreadable, reason_of, show
from verification.json_stream import JsonStream, as_dict, no_constant, strict_object

TOLD_PER_FILE = 20  # problems of one file told in words
MOST_PER_FILE = 1_000  # after so many a file is not read further
LARGEST_VALUE = 2**20  # characters of one value in a JSON file
LARGEST_FIELD, MOST_NAMES = 2**16, 100  # of an object that is read name by name
BEGINNINGS = '{["-0123456789tfn'  # of a value of JSON
LARGEST_FLOAT = 1e100  # sums and products of a few such numbers are finite


# --------------------------------------------------------------------------------- whole files


class Reader:
    """Reads the files of one folder; what cannot be read is gathered in `problems`, in words."""

    def __init__(
        self, folder: Path, findings: Findings, tell: Callable[[float], None] = lambda share: None
    ) -> None:
        """`tell` is told which share of a long file is read."""
        self.folder, self.findings, self.tell = folder, findings, tell
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()  # problems of each file

    def problem(self, name: str, what: str) -> None:
        self.counts[name] += 1
        if self.counts[name] <= TOLD_PER_FILE:
            self.problems.append(f"{name}: {what}")

    def is_hopeless(self, name: str) -> bool:
        """Whether a file has so many problems that it is not worth reading further."""
        return self.counts[name] >= MOST_PER_FILE

    def raise_problems(self) -> None:
        if self.problems:
            more = [
                f"{name}: {count - TOLD_PER_FILE} more problems"
                + ", not read further" * self.is_hopeless(name)
                for name, count in self.counts.items()
                if count > TOLD_PER_FILE
            ]
            raise Unreadable(self.problems + more)

    def demand_folder(self) -> None:
        """Unreadable where there is none, or something else, or one that may not be entered."""
        try:
            if self.folder.is_dir():
                with suppress(FileNotFoundError):
                    (self.folder / "params.json").lstat()
                return
            what = "a file, not a folder of results" if self.folder.is_file() else "no such folder"
        except PermissionError as error:
            what = f"cannot be read ({error.strerror})"
        except (OSError, ValueError):
            what = "no such folder"
        raise Unreadable([f"{show(str(self.folder))}: {what}"])

    def exists(self, name: str) -> bool:
        try:
            return (self.folder / name).exists()
        except (OSError, ValueError):
            return False

    def size(self, name: str) -> int:
        """Bytes of a file, 0 where there is none."""
        try:
            return (self.folder / name).stat().st_size
        except (OSError, ValueError):
            return 0

    def fits(self, name: str, largest_bytes: int) -> bool:
        """Whether there is such a file, no larger than that: asked before a byte of it is read.

        A pipe or a device has no end; what has no bytes (some files of the system say so) may wait for ever.
        """
        try:
            if not (self.folder / name).is_file():
                self.problem(name, "is not a file" if self.exists(name) else "missing")
                return False
        except (OSError, ValueError) as error:
            self.problem(name, f"cannot be read ({reason_of(error)})")
            return False
        size = self.size(name)
        if size == 0:
            self.problem(name, "is empty")
        if size > largest_bytes:
            self.problem(name, f"has {size:,} bytes, at most {largest_bytes:,} can belong here")
        return 0 < size <= largest_bytes

    def header(self, name: str) -> list[str]:
        """The column names of a table as they stand there, nothing where there is no such file to read."""
        try:
            if not (self.folder / name).is_file() or self.size(name) == 0:
                return []
            with (self.folder / name).open("rb") as file:
                line = file.readline(LONGEST_LINE).decode("utf-8", "replace")
                return next(csv.reader([line.strip()]), [])  # a name in quotes is that name
        except (OSError, ValueError, csv.Error):
            return []

    def content(self, name: str, largest_bytes: int) -> bytes | None:
        """The bytes of a file, None where they cannot be read, which is a problem then."""
        if not self.fits(name, largest_bytes):
            return None
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(self.size(name))  # no more, should it grow meanwhile
        except OSError as error:
            self.problem(name, f"cannot be read ({reason_of(error)})")
            return None

    def json(self, name: str, largest_bytes: int) -> Any:
        """What a JSON file holds, None where it cannot be read."""
        data = self.content(name, largest_bytes)
        return None if data is None else self.parsed(name, data)

    def parsed(self, name: str, data: bytes) -> Any:
        """What JSON says, None where it is none or says null, which is a problem then."""
        with self.telling_json(name):
            text = data.decode("utf-8")
            value = json.loads(text, object_pairs_hook=strict_object, parse_constant=no_constant)
            if value is None:
                self.problem(name, "is null")
            return value
        return None

    def elements(self, name: str, largest_bytes: int) -> Iterator[Any]:
        """What stands in the list of a JSON file, one after the other, as far as it can be read."""
        if not self.fits(name, largest_bytes):
            return
        with self.telling_json(name), (self.folder / name).open("rb") as file:
            stream = JsonStream(file, LARGEST_VALUE)
            if self.begins(name, stream, "["):
                yield from map(as_dict, stream.elements())
                stream.end()

    def object(
        self,
        name: str,
        largest_bytes: int,
        long: str,
        largest_element: int,
        take: Callable[[Any], bool],
        read: Callable[[JsonStream], Any] = JsonStream.value,
    ) -> dict[str, Any] | None:
        """The object of a JSON file, None where it cannot be read, or not to its end.

        The elements of its list `long`, which comes back empty, go to `take` one by one as `read` reads them,
        objects as tuples of pairs; nothing is read further once `take` says False.
        """
        result = dict[str, Any]()
        if not self.fits(name, largest_bytes):
            return None
        with self.telling_json(name), (self.folder / name).open("rb") as file:
            stream = JsonStream(file, LARGEST_FIELD)
            if not self.begins(name, stream, "{"):
                return None
            for key in stream.names():
                if len(result) > MOST_NAMES:
                    raise ValueError(f"more than {MOST_NAMES:,} names in an object")
                if key != long or stream.next_character() != "[":
                    result[key] = as_dict(stream.value())
                    continue
                result[key], stream.largest_value = [], largest_element
                for number, element in enumerate(stream.elements(partial(read, stream))):
                    if number % 256 == 0:
                        self.tell(stream.bytes / self.size(name))
                    if not take(element):
                        return None
                stream.largest_value = LARGEST_FIELD
            stream.end()
            return result
        return None

    def begins(self, name: str, stream: JsonStream, bracket: str) -> bool:
        """Whether the text begins with this bracket; another value is a problem, and is not read."""
        found = stream.next_character()
        if not found or found not in BEGINNINGS:
            stream.value()  # says what is wrong with it
        if found != bracket:
            kind = "an object" if bracket == "{" else "a list"
            self.problem(name, f"begins with {show(found)}, should be {kind}")
        return found == bracket

    @contextmanager
    def telling_json(self, name: str) -> Iterator[None]:
        """Makes a problem of what ends the reading of a JSON file."""
        try:
            yield
        except OSError as error:
            self.problem(name, f"cannot be read ({reason_of(error)})")
        except RecursionError:
            self.problem(name, "is nested too deeply")
        except ValueError as error:  # not UTF-8, half a JSON, a number of 5,000 digits, a key twice
            self.problem(name, f"is not readable JSON ({reason_of(error)})")

    @contextmanager
    def telling(self, name: str) -> Iterator[None]:
        """Makes a problem of what ends the reading of a table."""
        try:
            yield
        except OSError as error:
            self.problem(name, f"cannot be read ({reason_of(error)})")
        except (ValueError, csv.Error) as error:
            self.problem(name, reason_of(error))

    def pieces(
        self,
        name: str,
        wanted: Sequence[str],
        most_rows: int | None = None,
        optional: Sequence[str] = (),
    ) -> Iterator[Piece]:
        """A CSV file in pieces that know where the wanted columns stand, and the optional ones it has.

        ValueError where it is no such table, or one with more rows than can belong there.
        """
        rows = 0
        with (self.folder / name).open("rb") as file:
            header = checked(file.readline(LONGEST_LINE)).decode()
            if not header.endswith("\n"):
                raise ValueError("the header does not end with a line feed")
            names = next(csv.reader([header[:-1]], strict=True), [""])
            place = places(names, wanted, optional)
            for lines in pieces(file):
                piece = Piece(lines, len(names), place, rows + 2)
                rows += piece.rows
                if most_rows is not None and rows > most_rows:
                    raise ValueError(
                        f"has more than {most_rows:,} rows, so many cannot belong here"
                    )
                yield piece


# ------------------------------------------------------------------------------------- JSON


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is an int or float to reckon with; true is none, nor are 1e999 and 10**400."""
    return type(value) in (int, float) and abs(value) <= LARGEST_FLOAT  # type: ignore[arg-type]


@contextmanager
def no_cycle_search() -> Iterator[None]:
    """Pauses Python's search for cycles: millions of records have none, and it costs seconds."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
