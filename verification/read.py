"""Reading a saved results folder with suspicion: exact numbers, strict JSON, bounded memory.

The ground of the second reading (verification/verify.py): its modules import nothing from the rest of the
project, so a mistake in the code that wrote a folder cannot hide in the code that checks it.
Whatever the bytes are, reading ends in numbers, in a Finding, or in Unreadable.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np

from verification.findings import Findings, IntArray, Unreadable, reason_of, show

TOLD_PER_FILE = 20  # problems of one file told in words
PIECE_BYTES = 2**21  # a table is read in pieces: memory holds its numbers and never its text
LONGEST_LINE = 2**16  # bytes
LARGEST = 2 * 10**9  # Wh, and micro-euro per kWh: twice what inputs may hold; products fit in int64

UNITS = {
    "_eur_per_kwh": ("_microeur_per_kwh", 6),
    "_eur": ("_nanoeur", 9),
    "_level_kwh": ("_level_milliwh", 6),
    "_kwh": ("_wh", 3),
    "_soc": ("_soc_e4", 4),
}  # suffix in the file: suffix of the column of integers, decimals; the first that fits counts
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
NO_LIMIT = -LARGEST - 1  # stands for an empty limit price; no file can say it
LARGEST_FLOAT = 1e100  # sums and products of a few such numbers are finite
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)


# ------------------------------------------------------------------------------- CSV to numbers


@dataclass
class Table:
    """A CSV file as columns of whole units, which their names say: "pv_kwh" became "pv_wh"."""

    rows: int
    columns: dict[str, IntArray]
    tx_ids: list[str]

    def __getitem__(self, column: str) -> IntArray:
        return self.columns[column]


class BadField(ValueError):
    """A field that is not what its column promises: the row within the column, and why."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row, self.why = row, why


def unit_of(column: str) -> tuple[str, int]:
    """A column's name in whole units, and its decimals in the file: "pv_kwh" is ("pv_wh", 3)."""
    for suffix, (unit, decimals) in UNITS.items():
        if column.endswith(suffix):
            return column.removesuffix(suffix) + unit, decimals
    return column, 0


def whole_units(texts: Sequence[str], decimals: int) -> IntArray:
    """Decimal texts as exact integers of the last decimal: "1.250" with 3 decimals is 1250."""
    data = "\n".join(texts).encode("utf-8", "replace")
    shapes = data.translate(_DIGITS_TO_ZERO).split(b"\n")
    fraction = rb"\.0{%d}" % decimals if decimals else b""
    shape = re.compile(rb"-?0{1,%d}" % (19 - decimals) + fraction)
    bad = {text for text in set(shapes) if not shape.fullmatch(text)}
    if bad or len(shapes) != len(texts):
        row = next((i for i, text in enumerate(shapes) if text in bad), 0)
        raise BadField(row, f"should be a number with {decimals} decimals")
    units = np.fromstring(data.replace(b".", b""), dtype=np.int64, sep="\n")
    huge = np.flatnonzero((units == np.iinfo(np.int64).max) | (units == np.iinfo(np.int64).min))
    if huge.size:  # what int64 cannot hold is read as its largest number
        raise BadField(int(huge[0]), "is too large a number")
    return units


def truths(texts: Sequence[str]) -> IntArray:
    """True and False as 1 and 0."""
    known = {"True": 1, "False": 0, "true": 1, "false": 0, "1": 1, "0": 0}
    values = [known.get(text, -1) for text in texts]
    if -1 in values:
        raise BadField(values.index(-1), "should be True or False")
    return np.array(values, dtype=np.int64)


def numbers(column: str, texts: Sequence[str], of_one_member: bool) -> IntArray:
    """One column as whole units; where one member has it, no more of it than one can have."""
    if column.startswith("is_"):
        return truths(texts)
    if column == "ban_reason":  # only whether there is one matters
        return np.array([text not in ("", "none") for text in texts], dtype=np.int64)
    name, decimals = unit_of(column)
    filled = texts
    if column == "limit_price_eur_per_kwh":
        filled = [text or "0.000000" for text in texts]
    units = whole_units(filled, decimals)
    if name.endswith("_microeur_per_kwh") or (name.endswith("_wh") and of_one_member):
        beyond = np.flatnonzero(np.abs(units) > LARGEST)
        if beyond.size:
            raise BadField(int(beyond[0]), f"is beyond {LARGEST // 10**decimals:,}")
    if filled is texts:
        return units
    negative = np.flatnonzero(units < 0)
    if negative.size:
        raise BadField(int(negative[0]), "should not be negative")
    return np.where(np.array(texts) == "", NO_LIMIT, units)


def places(header: list[str], wanted: list[str]) -> dict[str, int]:
    """Where each wanted column stands in a header; extra columns are welcome."""
    missing = [column for column in wanted if column not in header]
    if missing:
        raise ValueError(f"columns missing: {', '.join(missing)}")
    if len(set(header)) != len(header):
        raise ValueError("two columns have the same name")
    return {column: header.index(column) for column in wanted}


def pieces(file: BinaryIO) -> Iterator[str]:
    """A file in pieces of whole lines, so that memory never holds all of its text."""
    rest = b""
    while data := file.read(PIECE_BYTES):
        whole, feed, rest = (rest + data).rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE:,} bytes")
        if feed:
            yield text_of(whole)
    if rest:
        raise ValueError("the last line does not end with a line feed")


def text_of(lines: bytes) -> str:
    if b"\r" in lines:
        raise ValueError("a line ends with a carriage return, only a line feed is allowed")
    return lines.decode("utf-8")


def cut(text: str, width: int, first_line: int) -> list[list[str]]:
    """Lines as columns; ValueError where a line has another number of fields than the header."""
    lines = text.split("\n")
    if '"' in text:
        rows = list(csv.reader(lines, strict=True))
        widths, fields = [len(row) for row in rows], [field for row in rows for field in row]
    else:  # the usual case, three times as fast
        widths = [line.count(",") + 1 for line in lines]
        fields = text.replace("\n", ",").split(",")
    bad = next((i for i, found in enumerate(widths) if found != width), None)
    if bad is not None:
        raise ValueError(
            f"line {first_line + bad} has {widths[bad]} fields, the header has {width}"
        )
    return [fields[i::width] for i in range(width)]


# --------------------------------------------------------------------------------- whole files


class Reader:
    """Reads the files of one folder; what cannot be read is gathered in `problems`, in words."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.folder, self.findings = folder, findings
        self.problems: list[str] = []
        self.untold: Counter[str] = Counter()  # problems of a file that has already many

    def problem(self, name: str, what: str) -> None:
        if sum(told.startswith(f"{name}: ") for told in self.problems) < TOLD_PER_FILE:
            self.problems.append(f"{name}: {what}")
        else:
            self.untold[name] += 1

    def raise_problems(self) -> None:
        if self.problems:
            more = [f"{name}: {count} more problems" for name, count in self.untold.items()]
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

    def json(
        self,
        name: str,
        largest_bytes: int,
        make: Callable[[list[tuple[str, Any]]], Any] | None = None,
    ) -> Any:
        """What a JSON file holds, None where it cannot be read; `make` builds each object."""
        data = self.content(name, largest_bytes)
        return None if data is None else self.parsed(name, data, make or strict_object)

    def parsed(self, name: str, data: bytes, make: Callable[[list[tuple[str, Any]]], Any]) -> Any:
        try:
            text = data.decode("utf-8")
            value = json.loads(text, object_pairs_hook=make, parse_constant=no_constant)
            if value is None:
                self.problem(name, "is null")
            return value
        except RecursionError:
            self.problem(name, "is nested too deeply")
        except ValueError as error:  # not UTF-8, half a JSON, a number of 5,000 digits, a key twice
            self.problem(name, f"is not readable JSON ({reason_of(error)})")
        return None

    @contextmanager
    def telling(self, name: str) -> Iterator[None]:
        """Makes a problem of what ends the reading of a table."""
        try:
            yield
        except (OSError, ValueError, csv.Error) as error:
            self.problem(name, reason_of(error))

    def columns(
        self, name: str, wanted: list[str], most_rows: int | None = None
    ) -> Iterator[dict[str, list[str]]]:
        """The wanted columns of a CSV file as texts, piece by piece.

        ValueError where it is no such table, or one with more rows than can belong there.
        """
        rows = 0
        with (self.folder / name).open("rb") as file:
            header = text_of(file.readline(LONGEST_LINE))
            if not header.endswith("\n"):
                raise ValueError("the header does not end with a line feed")
            names = header[:-1].split(",")
            place = places(names, wanted)
            for piece in pieces(file):
                columns = cut(piece, len(names), rows + 2)
                rows += len(columns[0])
                if most_rows is not None and rows > most_rows:
                    raise ValueError(
                        f"has more than {most_rows:,} rows, so many cannot belong here"
                    )
                yield {column: columns[i] for column, i in place.items()}

    def table(
        self,
        name: str,
        header: str,
        largest_bytes: int,
        most_rows: int | None = None,
        of_one_member: bool = True,
    ) -> Table:
        """The promised columns of a CSV file, empty where it cannot be read."""
        wanted = header.split(",")
        parts: dict[str, list[IntArray]] = {
            c: [] for c in wanted if c not in ("home_type", "tx_id")
        }
        table = Table(0, {}, [])
        if self.fits(name, largest_bytes):
            with self.telling(name):
                for columns in self.columns(name, wanted, most_rows):
                    self.take(name, table, parts, columns, of_one_member)
        empty = np.zeros(0, dtype=np.int64)
        for column, part in parts.items():
            table.columns[unit_of(column)[0]] = np.concatenate(part) if part else empty
        return table

    def take(
        self,
        name: str,
        table: Table,
        parts: dict[str, list[IntArray]],
        columns: dict[str, list[str]],
        of_one_member: bool,
    ) -> None:
        """Appends a piece of a table; ValueError once the bad fields of its columns are told."""
        first_line, known = table.rows + 2, len(self.problems)
        for column, part in parts.items():
            texts = columns[column]
            try:
                if column in WORDS:
                    part.append(self.codes(name, column, texts, first_line))
                else:
                    part.append(numbers(column, texts, of_one_member))
            except BadField as bad:
                line = f"line {first_line + bad.row}"
                self.problem(name, f"{line}: {column} is {show(texts[bad.row])}, {bad.why}")
        if len(self.problems) > known:
            raise ValueError("not read further")
        table.tx_ids.extend(columns.get("tx_id", []))
        table.rows += len(next(iter(columns.values())))

    def codes(self, name: str, column: str, texts: Sequence[str], first_line: int) -> IntArray:
        """Words as their place in WORDS; an unknown one is a finding, since it can be read."""
        code = {word: i for i, word in enumerate(WORDS[column])}
        codes = np.array([code.get(text, UNKNOWN_WORD) for text in texts], dtype=np.int64)
        for row in np.flatnonzero(codes == UNKNOWN_WORD).tolist():
            where = f"{name} line {first_line + row}"
            expected = f"expected one of {', '.join(WORDS[column])}"
            self.findings.add(where, "unknown word", f"{column} is {show(texts[row])}, {expected}")
        return codes


# ------------------------------------------------------------------------------------- JSON


def strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; of two equal keys one would be hidden, so that is refused."""
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
        raise ValueError(f"the key {show(twice[0])} stands twice in one object")
    return result


def no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is an int or float to reckon with; true is none, nor are 1e999 and 10**400."""
    return type(value) in (int, float) and abs(value) <= LARGEST_FLOAT  # type: ignore[arg-type]
