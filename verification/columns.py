"""A CSV file in pieces, and the columns of a piece as whole numbers: exact, strict, and fast.

A piece is half a megabyte of whole lines. Where each field begins and ends is found for all of them at
once, and so are the numbers of a column, digit by digit from the right. Whatever is not plain (quotes,
a number too long, a letter in it) goes the slow way over texts, which also says what is wrong with it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from verification.findings import BoolArray, IntArray

PIECE_BYTES = 2**19  # a table is read in pieces: memory holds its numbers and never its text
LONGEST_LINE = 2**16  # bytes
HASH_LETTERS = 64
FEW_WORDS = 50  # are looked for one after the other, more by looking up each text
MOST_DIGITS = 18  # of a number that surely fits in int64

COMMA, LINE_FEED, MINUS, DOT, ZERO = b",\n-.0"
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)

Bytes = npt.NDArray[np.uint8]


class BadField(ValueError):
    """A field that is not what its column promises: the row within the column, and why."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row, self.why = row, why


@dataclass(frozen=True)
class Hashes:
    """A column of hashes: the letters of all of them; a text of another length stands beside."""

    letters: bytes  # 64 for each row
    others: dict[int, str]  # by row

    def __getitem__(self, row: int) -> str:
        letters = self.letters[HASH_LETTERS * row : HASH_LETTERS * (row + 1)]
        return self.others[row] if row in self.others else letters.decode()

    @classmethod
    def joined(cls, parts: Sequence[Hashes]) -> Hashes:
        """One part below the other."""
        others, before = dict[int, str](), 0
        for part in parts:
            others |= {before + row: text for row, text in part.others.items()}
            before += len(part.letters) // HASH_LETTERS
        return cls(b"".join(part.letters for part in parts), others)


def is_hash_long(text: object) -> bool:
    return type(text) is str and len(text) == HASH_LETTERS and text.isascii()


# -------------------------------------------------------------------------------------- pieces


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file in pieces of whole lines of UTF-8, so that memory never holds all of its text."""
    before = file.tell()
    while data := file.read(PIECE_BYTES):
        end = data.rfind(b"\n") + 1
        if len(data) - end > LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE:,} bytes")
        if end == 0:
            raise ValueError("the last line does not end with a line feed")
        yield checked(data[:end], before)
        file.seek(end - len(data), os.SEEK_CUR)
        before += end


def checked(lines: bytes, before: int = 0) -> bytes:
    """These lines, if they are UTF-8 and end as lines here do; so many bytes stand before them."""
    if b"\r" in lines:
        raise ValueError("a line ends with a carriage return, only a line feed is allowed")
    if not lines.isascii():
        try:
            lines.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {before + error.start:,} is not UTF-8") from None
    return lines


def places(
    header: list[str], wanted: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, int]:
    """Where each wanted column stands in a header, and each optional one that it has."""
    missing = [column for column in wanted if column not in header]
    if missing and len(header) == 1 and ";" in header[0]:
        raise ValueError("columns are separated by semicolons, expected are commas")
    if missing:
        raise ValueError(f"columns missing: {', '.join(missing)}")
    twice = [column for column in (*wanted, *optional) if header.count(column) > 1]
    if twice:
        raise ValueError(f"two columns have the same name: {', '.join(twice)}")
    there = [column for column in optional if column in header]
    return {column: header.index(column) for column in (*wanted, *there)}


class Piece:
    """Some lines of a table, each with its line feed; columns stand where `place` says."""

    def __init__(self, lines: bytes, width: int, place: dict[str, int], first_line: int) -> None:
        """ValueError where a line has another number of fields than the header has (`width`)."""
        self.place, self.data = place, lines
        self.cells: list[list[str]] | None = None  # columns of texts, where bytes do not tell
        feeds = self.bytes == LINE_FEED
        self.rows = int(np.count_nonzero(feeds))
        ends = np.flatnonzero((self.bytes == COMMA) | feeds)
        if b'"' not in self.data and len(ends) == self.rows * width:
            self.ends = np.ascontiguousarray(ends.reshape(self.rows, width).T)
            if (self.bytes[self.ends[-1]] == LINE_FEED).all():
                return
        self.cells = cut(self.data[:-1].decode(), width, first_line)
        self.rows = len(self.cells[0])

    @cached_property
    def bytes(self) -> Bytes:
        return np.frombuffer(self.data, np.uint8)

    def field_ends(self, column: str) -> tuple[IntArray, IntArray]:
        """(begin, end) of each row's field in the bytes, where there are no cells."""
        at = self.place[column]
        if at:
            return self.ends[at - 1] + 1, self.ends[at]
        return np.concatenate([[0], self.ends[-1, :-1] + 1]), self.ends[0]

    def windows(self, size: int) -> npt.NDArray[np.bytes_]:
        """The `size` bytes from each place on, where so many follow."""
        return np.ndarray(len(self.data) - size + 1, f"S{size}", self.data, strides=1)

    def texts(self, column: str) -> list[str]:
        if self.cells is not None:
            return self.cells[self.place[column]]
        begin, end = self.field_ends(column)
        data = self.data
        return [data[a:b].decode() for a, b in zip(begin.tolist(), end.tolist(), strict=True)]

    def hashes(self, column: str) -> Hashes:
        if self.cells is None and self.data.isascii():
            begin, end = self.field_ends(column)
            if (end - begin == HASH_LETTERS).all():
                return Hashes(self.windows(HASH_LETTERS)[begin].tobytes(), {})
        texts = self.texts(column)
        others = {row: text for row, text in enumerate(texts) if not is_hash_long(text)}
        blank = "0" * HASH_LETTERS
        letters = "".join(blank if row in others else text for row, text in enumerate(texts))
        return Hashes(letters.encode(), others)

    def codes(self, column: str, words: Sequence[str]) -> IntArray:
        """Each row's word as its place in `words`, -1 for any other."""
        if self.cells is not None or len(words) > FEW_WORDS:
            code = {word: i for i, word in enumerate(words)}
            return np.array([code.get(text, -1) for text in self.texts(column)], dtype=np.int64)
        begin, end = self.field_ends(column)
        codes, length = np.full(self.rows, -1, np.int64), end - begin
        for i, word in enumerate(words):
            letters = word.encode("utf-8", "surrogatepass")  # JSON can say what no CSV file holds
            rows = np.flatnonzero(length == len(letters))
            if letters and rows.size:
                rows = rows[self.windows(len(letters))[begin[rows]] == letters]
            codes[rows] = i
        return codes

    def empty(self, column: str) -> BoolArray:
        return np.asarray(self.codes(column, [""]) == 0)

    def units(self, column: str, decimals: int, empty: BoolArray | None = None) -> IntArray:
        """A column of decimal numbers as whole numbers of their last decimal; 0 where `empty`."""
        full = np.ones(self.rows, np.bool_) if empty is None else ~empty
        units, found = np.zeros(self.rows, np.int64), None
        if not full.any():
            return units
        if self.cells is None:
            begin, end = self.field_ends(column)
            if empty is not None:
                begin, end = begin[full], end[full]
            found = digits_as_units(self.bytes, begin, end, decimals)
            if empty is None and found is not None:
                return found
        if found is None:
            texts, rows = self.texts(column), np.flatnonzero(full).tolist()
            try:
                found = whole_units([texts[row] for row in rows], decimals)
            except BadField as bad:
                raise BadField(rows[bad.row], bad.why) from None
        units[full] = found
        return units


def cut(text: str, width: int, first_line: int) -> list[list[str]]:
    """Lines as columns; ValueError where a line has another number of fields than the header."""
    lines = text.split("\n")
    rows = list(csv.reader(lines, strict=True)) if '"' in text else [s.split(",") for s in lines]
    if len(rows) < len(lines):
        raise ValueError("a field in quotation marks goes on in the next line")
    for i, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"line {first_line + i} has {len(row)} fields, the header has {width}")
    return [list(column) for column in zip(*rows, strict=True)]


# ------------------------------------------------------------------------------------- numbers


def digits_as_units(data: Bytes, begin: IntArray, end: IntArray, decimals: int) -> IntArray | None:
    """The numbers that stand between these places, or None where one of them is not plain."""
    negative = data[begin] == MINUS
    digits = end - begin - negative - (decimals > 0)
    fewest, most = int(digits.min()), int(digits.max())
    if fewest <= decimals or most > MOST_DIGITS:
        return None
    units, place = np.zeros(len(begin), np.int64), end - 1
    for k in range(most):
        if k == decimals > 0:
            if not (data[place] == DOT).all():
                return None
            place -= 1
        digit = data[place] - ZERO  # above 9 for any other byte: what lies below "0" wraps around
        if k >= fewest:
            digit[digits <= k] = 0
        if digit.max() > 9:
            return None
        units += np.multiply(digit, 10**k, dtype=np.int64)
        place -= 1
    return np.negative(units, out=units, where=negative)


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
