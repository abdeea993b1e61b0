"""Many trades as a chain holds them, in little room: of each the 37 bytes that are hashed, and its tx_id.

A transaction whose numbers no record holds, or whose tx_id has not 64 letters, stands beside as it was told.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from verification.columns import HASH_LETTERS, Hashes, is_hash_long
from verification.findings import IntArray
from verification.tables import Table

TRADE_KINDS = {"p2p": 1, "local_market": 2}
RECORD = struct.Struct("<BIQiiqq")


class Transaction(NamedTuple):
    """A trade as the chain tells it."""

    tx_id: str
    kind: int
    timestep: int
    trade_id: int
    buyer_id: int
    seller_id: int
    energy_wh: int
    price_microeur_per_kwh: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """What the record holds."""
        return self[1:]


NAMES, TYPES = Transaction._fields, (str, int, int, int, int, int, int, int)
RECORD_COLUMNS = np.dtype(
    list(zip(NAMES[1:], ("u1", "<u4", "<u8", "<i4", "<i4", "<i8", "<i8"), strict=True))
)
NO_RECORD, NO_HASH = bytes(RECORD.size), bytes(HASH_LETTERS)  # stand in for what is told beside


@dataclass(frozen=True)
class Transactions:
    """Transactions in their order, by place: those of a block, or of all_trades.csv."""

    records: bytes  # 37 of each
    tx_ids: bytes  # 64 letters of each
    odd: dict[int, Transaction]  # by place, those whose record or tx_id has another size

    def __len__(self) -> int:
        return len(self.records) // RECORD.size

    def __getitem__(self, place: int) -> Transaction:
        """The transaction at a place, as it was told."""
        if place in self.odd:
            return self.odd[place]
        if not 0 <= place < len(self):
            raise IndexError(place)
        tx_id = self.tx_ids[HASH_LETTERS * place : HASH_LETTERS * (place + 1)].decode()
        return Transaction(tx_id, *RECORD.unpack_from(self.records, RECORD.size * place))

    def __iter__(self) -> Iterator[Transaction]:
        return map(self.__getitem__, range(len(self)))

    def part(self, begin: int, end: int) -> Transactions:
        """Those from one place up to another, odd ones as zeros."""
        size = RECORD.size
        tx_ids = self.tx_ids[HASH_LETTERS * begin : HASH_LETTERS * end]
        return Transactions(self.records[size * begin : size * end], tx_ids, {})

    def columns(self) -> npt.NDArray[np.void]:
        """The numbers by name, zeros for odd ones."""
        return np.frombuffer(self.records, RECORD_COLUMNS)

    def told(self, name: str) -> list[int]:
        """One of the numbers of each."""
        told: list[int] = self.columns()[name].tolist()
        for place, tx in self.odd.items():
            told[place] = getattr(tx, name)
        return told

    def holds(self, part: Transactions, place: int) -> bool:
        """Whether this part stands here from a place on; False where one is odd, for a closer look."""
        if part.odd or self.odd or place + len(part) > len(self):
            return False
        begin, end = RECORD.size * place, RECORD.size * (place + len(part))
        if self.records[begin:end] != part.records:
            return False
        begin, end = HASH_LETTERS * place, HASH_LETTERS * (place + len(part))
        return self.tx_ids[begin:end] == part.tx_ids

    def places_of(self, trade_id: int) -> list[int]:
        """Where a trade stands."""
        told = self.columns()["trade_id"]
        found = np.flatnonzero(told == trade_id).tolist() if 0 <= trade_id < 2**64 else []
        odd = [place for place, tx in self.odd.items() if tx.trade_id == trade_id]
        return sorted([place for place in found if place not in self.odd] + odd)

    def each_record(self) -> list[bytes]:
        """The bytes to hash, empty where no record holds the numbers."""
        size = RECORD.size
        records = [self.records[at : at + size] for at in range(0, len(self.records), size)]
        for place, told in self.odd.items():
            records[place] = packed(told)
        return records


def packed(told: Transaction) -> bytes:
    """The record of a transaction, empty where none holds its numbers."""
    try:
        return RECORD.pack(*told.numbers)
    except struct.error:
        return b""


def transactions_of(told: Sequence[Transaction]) -> Transactions:
    """These transactions, whatever they say."""
    records, tx_ids, odd = [], [], {}
    for place, tx in enumerate(told):
        record, tx_id = packed(tx), NO_HASH
        if record and is_hash_long(tx.tx_id):
            tx_id = tx.tx_id.encode()
        else:
            record, odd[place] = NO_RECORD, tx
        records.append(record)
        tx_ids.append(tx_id)
    return Transactions(b"".join(records), b"".join(tx_ids), odd)


def transactions_of_table(trades: Table) -> Transactions:
    """The rows of all_trades.csv as the transactions that the chain must hold, in their order."""
    kind = np.array([*TRADE_KINDS.values(), 0])[trades["trade_type"]]  # an unknown word is kind 0
    numbers = {name: kind if name == "kind" else trades[name] for name in NAMES[1:]}
    return transactions_of_columns(trades.tx_ids, numbers)


def transactions_of_columns(tx_ids: Hashes, columns: Mapping[str, IntArray]) -> Transactions:
    """The transactions of a table, which has their numbers by name."""
    names = NAMES[1:]
    records = np.zeros(len(columns[names[0]]), RECORD_COLUMNS)
    fits = np.ones(len(records), np.bool_)
    fits[list(tx_ids.others)] = False
    for name in names:
        records[name] = columns[name].astype(RECORD_COLUMNS[name])
        fits &= records[name] == columns[name]
    odd = {
        row: Transaction(tx_ids[row], *(int(columns[name][row]) for name in names))
        for row in np.flatnonzero(~fits).tolist()
    }
    records[~fits] = 0
    return Transactions(records.tobytes(), tx_ids.letters, odd)


def plain_transactions(told: Sequence[Any]) -> Transactions | None:
    """JSON objects, given as tuples of pairs, as transactions: all at once, or None where one is odd."""
    if not told:
        return transactions_of([])
    if set(map(type, told)) != {tuple} or set(map(len, told)) != {len(NAMES)}:
        return None
    names, values = zip(*itertools.chain.from_iterable(told), strict=True)
    order = names[: len(NAMES)]
    if set(order) != set(NAMES) or names != order * len(told):
        return None
    columns = {name: values[place :: len(NAMES)] for place, name in enumerate(order)}
    tx_ids, *numbers = (columns[name] for name in NAMES)
    if set(map(type, tx_ids)) != {str} or set(map(len, tx_ids)) != {HASH_LETTERS}:
        return None
    if set(map(type, itertools.chain(*numbers))) != {int}:  # neither True nor 1.0
        return None
    try:
        records = b"".join(map(RECORD.pack, *numbers))
        return Transactions(records, "".join(tx_ids).encode("ascii"), {})
    except (struct.error, UnicodeEncodeError):
        return None
