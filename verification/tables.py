"""Which column of a results folder holds what, and a table as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from verification.columns import BadField, Hashes, Piece
from verification.findings import IntArray, show
from verification.read import Reader

UNITS = {
    "_eur_per_kwh": ("_microeur_per_kwh", 6),
    "_eur": ("_nanoeur", 9),
    "_level_kwh": ("_level_milliwh", 6),
    "_kwh": ("_wh", 3),
    "_soc": ("_soc_e4", 4),
}  # suffix in the file: suffix of the column of integers, decimals; the first that fits counts
WORDS = {  # a word is read as its place; folder.py, money.py and accounts.py rely on the order
    "role": ("buyer", "seller", "neutral", "banned"),
    "trade_type": ("p2p", "local_market"),
    "kind": (
        *("prosumer", "consumer", "storage"),
        *("aggregator", "utility", "regulator", "mint", "miner"),
    ),
    "reason": (
        *("p2p", "local_market", "utility_import", "utility_export"),
        *("renewable_bonus", "p2p_bonus", "block_reward"),
        *("market_penalty", "auction_spread", "bill_sharing"),
    ),
}
BUYER, SELLER, NEUTRAL, BANNED = range(4)  # places in WORDS["role"]
P2P, LOCAL_MARKET = range(2)  # places in WORDS["trade_type"]
UNKNOWN_WORD = -1
BAN_REASONS = ("", "excessive_market_use", "low_balance")
TRUTHS = ("False", "false", "0", "True", "true", "1")
WIDTHS = tuple((np.dtype(f"i{size}"), 2 ** (8 * size - 1)) for size in (1, 2, 4, 8))
LARGEST = 2 * 10**9  # Wh, and micro-euro per kWh: twice what inputs may hold; products fit in int64
LIMIT = "limit_price_eur_per_kwh"
NO_LIMIT = -LARGEST - 1  # stands for an empty limit price; no file can say it
ROUNDED = 0.5 + 1e-6  # of a unit; products of floats in another order differ in the last digits


@dataclass
class Table:
    """A CSV file as columns of whole units, which their names say: "pv_kwh" became "pv_wh".

    A column is kept in parts, one below the other and each as narrow as its numbers allow, since the
    memory of a long run costs more time than putting them together whenever somebody asks.
    """

    rows: int
    parts: dict[str, list[IntArray]]  # by name of the column
    tx_ids: Hashes

    def __getitem__(self, column: str) -> IntArray:
        return np.concatenate([np.zeros(0, np.int64), *self.parts[column]])


def narrow(units: IntArray) -> IntArray:
    """The same numbers in as few bytes each as hold them all."""
    low, high = (int(units.min()), int(units.max())) if units.size else (0, 0)
    return units.astype(next(width for width, most in WIDTHS if -most <= low and high < most))


def unit_of(column: str) -> tuple[str, int]:
    """A column's name in whole units, and its decimals in the file: "pv_kwh" is ("pv_wh", 3)."""
    for suffix, (unit, decimals) in UNITS.items():
        if column.endswith(suffix):
            return column.removesuffix(suffix) + unit, decimals
    return column, 0


def read_table(
    reader: Reader,
    name: str,
    header: str,
    largest_bytes: int,
    most_rows: int,
    home_types: Sequence[str] = (),
    of_one_member: bool = True,
    words_of_its_own: Sequence[str] = (),
) -> Table:
    """The promised columns of a CSV file, empty where it cannot be read.

    `home_types` are the words of the column home_type. Where a row is `of_one_member`, none of its
    energies may be beyond LARGEST; what many members have may. Columns with `words_of_its_own` may hold
    others than WORDS, which are UNKNOWN_WORD then.
    """
    wanted = header.split(",")
    parts: dict[str, list[IntArray]] = {column: [] for column in wanted if column != "tx_id"}
    filling = Filling(reader, name, home_types, of_one_member, words_of_its_own, parts)
    if reader.fits(name, largest_bytes):
        with reader.telling(name):
            for piece in reader.pieces(name, wanted, most_rows):
                filling.add(piece)
    return filling.table()


@dataclass
class Filling:
    """A table while its file is read."""

    reader: Reader
    name: str
    home_types: Sequence[str]
    of_one_member: bool
    words_of_its_own: Sequence[str]
    parts: dict[str, list[IntArray]]  # by name in the file
    tx_ids: list[Hashes] = field(default_factory=list)
    rows: int = 0

    def add(self, piece: Piece) -> None:
        """Puts a piece below those before; ValueError once its bad fields are told."""
        known = len(self.reader.problems)
        for column, parts in self.parts.items():
            try:
                parts.append(narrow(self.whole_numbers(column, piece)))
            except BadField as bad:
                where, text = self.line(bad.row), piece.texts(column)[bad.row]
                self.reader.problem(self.name, f"{where}: {column} is {show(text)}, {bad.why}")
        if len(self.reader.problems) > known:
            raise ValueError("not read further")
        if "tx_id" in piece.place:
            self.tx_ids.append(piece.hashes("tx_id"))
        self.rows += piece.rows

    def table(self) -> Table:
        units = {unit_of(column)[0]: parts for column, parts in self.parts.items()}
        return Table(self.rows, units, Hashes.joined(self.tx_ids))

    def line(self, row: int) -> str:
        """A row of the next piece, as an editor counts lines."""
        return f"line {self.rows + 2 + row}"

    def whole_numbers(self, column: str, piece: Piece) -> IntArray:
        """A column of a piece, in units or as places of words; BadField where one of its fields is none."""
        if column == "home_type":
            return piece.codes(column, self.home_types)
        if column == "ban_reason":
            return piece.codes(column, BAN_REASONS)
        if column in WORDS:
            return self.words(column, piece)
        if column.startswith("is_"):
            return truths(column, piece)
        if column == LIMIT:
            return limits(column, piece)
        name, decimals = unit_of(column)
        units = piece.units(column, decimals)
        if name.endswith("_microeur_per_kwh") or (name.endswith("_wh") and self.of_one_member):
            demand_small(units, decimals)
        return units

    def words(self, column: str, piece: Piece) -> IntArray:
        """Words as their place in WORDS; an unknown one is a finding, since it can be read."""
        codes = piece.codes(column, WORDS[column])
        if column in self.words_of_its_own:
            return codes
        unknown = np.flatnonzero(codes == UNKNOWN_WORD).tolist()
        texts = piece.texts(column) if unknown else []
        expected = f"expected one of {', '.join(WORDS[column])}"
        for row in unknown:
            where, detail = self.line(row), f"{column} is {show(texts[row])}, {expected}"
            self.reader.findings.add(f"{self.name} {where}", "unknown word", detail)
        return codes


def truths(column: str, piece: Piece) -> IntArray:
    """True and False as 1 and 0."""
    codes = piece.codes(column, TRUTHS)
    if (codes < 0).any():
        raise BadField(int(np.argmax(codes < 0)), "should be True or False")
    return np.asarray(codes >= 3, np.int64)


def limits(column: str, piece: Piece) -> IntArray:
    """Prices in micro-euro per kWh from 0 on, NO_LIMIT where nothing stands."""
    empty, (_, decimals) = piece.empty(column), unit_of(column)
    units = piece.units(column, decimals, empty)
    demand_small(units, decimals)
    negative = np.flatnonzero(units < 0)
    if negative.size:
        raise BadField(int(negative[0]), "should not be negative")
    return np.where(empty, NO_LIMIT, units)


def demand_small(units: IntArray, decimals: int) -> None:
    """BadField for the first number that is larger than any energy or price of one member."""
    beyond = np.flatnonzero(np.abs(units) > LARGEST)
    if beyond.size:
        raise BadField(int(beyond[0]), f"is beyond {LARGEST // 10**decimals:,}")
