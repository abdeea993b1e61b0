"""Reading a saved results folder with suspicion: exact numbers, strict JSON, bounded memory.

The ground of the second reading (verification/verify.py): its modules import nothing from the rest of the
project, so a mistake in the code that wrote a folder cannot hide in the code that checks it.
Whatever the bytes are, reading ends in numbers, in a Finding, or in Unreadable.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from verification.columns import (
    LONGEST_LINE,
    BadField,
    Hashes,
    Piece,
    checked,
    numbers,
    pieces,
    places,
    unit_of,
)
from verification.findings import Findings, IntArray, Unreadable, reason_of, show
from verification.json_stream import no_constant, strict_object

TOLD_PER_FILE = 20  # problems of one file told in words
MOST_PER_FILE = 1_000  # after so many a file is not read further
WORDS = {
    "role": ("buyer", "seller", "neutral", "banned"),
    "trade_type": ("p2p", "local_market"),
    "kind": (
        *("prosumer", "consumer", "storage"),
        *("aggregator", "utility", "regulator", "mint", "miner"),
    ),
    "reason": (
        *(
            "p2p",
            "local_market",
            "utility_import",
            "utility_export",
            "renewable_bonus",
            "p2p_bonus",
        ),
        *("block_reward", "market_penalty", "auction_spread", "bill_sharing"),
    ),
}
UNKNOWN_WORD = -1
LARGEST_FLOAT = 1e100  # sums and products of a few such numbers are finite


@dataclass
class Table:
    """A CSV file as columns of whole units, which their names say: "pv_kwh" became "pv_wh"."""

    rows: int
    columns: dict[str, IntArray]
    tx_ids: Hashes

    def __getitem__(self, column: str) -> IntArray:
        return self.columns[column]


# --------------------------------------------------------------------------------- whole files


class Reader:
    """Reads the files of one folder; what cannot be read is gathered in `problems`, in words."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.folder, self.findings = folder, findings
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()  # problems of each file
        self.home_types: tuple[str, ...] = ()  # known once prosumers.json is read

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

    def is_folder(self) -> bool:
        try:
            return self.folder.is_dir()
        except (OSError, ValueError):
            return False

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

    def content(self, name: str, largest_bytes: int) -> bytes | None:
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
        with self.telling_json(name):
            text = data.decode("utf-8")
            value = json.loads(text, object_pairs_hook=strict_object, parse_constant=no_constant)
            if value is None:
                self.problem(name, "is null")
            return value
        return None

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
        except (OSError, ValueError, csv.Error) as error:
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
            names = header[:-1].split(",")
            place = places(names, wanted, optional)
            for lines in pieces(file):
                piece = Piece(lines, len(names), place, rows + 2)
                rows += piece.rows
                if most_rows is not None and rows > most_rows:
                    raise ValueError(
                        f"has more than {most_rows:,} rows, so many cannot belong here"
                    )
                yield piece

    def table(
        self,
        name: str,
        header: str,
        largest_bytes: int,
        most_rows: int,
        of_one_member: bool = True,
    ) -> Table:
        """The promised columns of a CSV file, empty where it cannot be read."""
        wanted, rows, tx_ids = header.split(","), 0, list[Hashes]()
        fits = self.fits(name, largest_bytes)
        room = min(most_rows, self.size(name) // len(wanted)) if fits else 0  # a comma is a field
        columns = {c: np.empty(room, np.int64) for c in wanted if c != "tx_id"}
        if fits:
            with self.telling(name):
                for piece in self.pieces(name, wanted, room):
                    self.take(name, columns, rows, piece, of_one_member)
                    if "tx_id" in piece.place:
                        tx_ids.append(piece.hashes("tx_id"))
                    rows += piece.rows
        units = {unit_of(column)[0]: whole[:rows] for column, whole in columns.items()}
        return Table(rows, units, Hashes.joined(tx_ids))

    def take(
        self,
        name: str,
        columns: dict[str, IntArray],
        rows: int,
        piece: Piece,
        of_one_member: bool,
    ) -> None:
        """Puts a piece into a table that has some rows; ValueError once its bad fields are told."""
        first_line, known = rows + 2, len(self.problems)
        for column, whole in columns.items():
            try:
                found = self.column(name, column, piece, first_line, of_one_member)
                whole[rows : rows + piece.rows] = found
            except BadField as bad:
                line, text = f"line {first_line + bad.row}", piece.texts(column)[bad.row]
                self.problem(name, f"{line}: {column} is {show(text)}, {bad.why}")
        if len(self.problems) > known:
            raise ValueError("not read further")

    def column(
        self, name: str, column: str, piece: Piece, first_line: int, of_one_member: bool
    ) -> IntArray:
        """A column of a piece as whole numbers; BadField where one of its fields is none."""
        if column == "home_type":
            return piece.codes(column, self.home_types)
        if column in WORDS:
            return self.codes(name, column, piece, first_line)
        return numbers(piece, column, of_one_member)

    def codes(self, name: str, column: str, piece: Piece, first_line: int) -> IntArray:
        """Words as their place in WORDS; an unknown one is a finding, since it can be read."""
        codes = piece.codes(column, WORDS[column])
        unknown = np.flatnonzero(codes == UNKNOWN_WORD).tolist()
        texts = piece.texts(column) if unknown else []
        for row in unknown:
            where = f"{name} line {first_line + row}"
            expected = f"expected one of {', '.join(WORDS[column])}"
            self.findings.add(where, "unknown word", f"{column} is {show(texts[row])}, {expected}")
        return codes


# ------------------------------------------------------------------------------------- JSON


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is an int or float to reckon with; true is none, nor are 1e999 and 10**400."""
    return type(value) in (int, float) and abs(value) <= LARGEST_FLOAT  # type: ignore[arg-type]
