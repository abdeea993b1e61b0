"""Many trades as a chain holds them, in little room: of each the 37 bytes that are hashed, and its tx_id.

A transaction whose numbers no record holds, or whose tx_id has not 64 letters, stands beside as it was told.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from verification.columns import HASH_LETTERS, Hashes, is_hash_long
from verification.findings import IntArray

TRADE_KINDS = {"p2p": 1, "local_market": 2}
TRANSACTION = (
    *("tx_id", "kind", "timestep", "trade_id", "buyer_id", "seller_id"),
    *("energy_wh", "price_microeur_per_kwh"),
)
TRANSACTION_TYPES = (str, int, int, int, int, int, int, int)
RECORD = struct.Struct("<BIQiiqq")
RECORD_COLUMNS = np.dtype(
    list(zip(TRANSACTION[1:], ("u1", "<u4", "<u8", "<i4", "<i4", "<i8", "<i8"), strict=True))
)
NO_RECORD, NO_HASH = bytes(RECORD.size), bytes(HASH_LETTERS)  # stand in for what is told beside

Transaction = tuple[Any, ...]  # the values of TRANSACTION, in this order


@dataclass(frozen=True)
class Transactions(Sequence[Transaction]):
    """Transactions in their order, by place: those of a block, of a chain, of all_trades.csv."""

    records: bytes  # 37 of each
    tx_ids: bytes  # 64 letters of each
    odd: dict[int, Transaction]  # those that neither of the two can hold, by place

    def __len__(self) -> int:
        return len(self.records) // RECORD.size

    def __getitem__(self, place: Any) -> Any:
        """The transaction at a place (no slices), as it was told."""
        if place in self.odd:
            return self.odd[place]
        if not 0 <= place < len(self):
            raise IndexError(place)
        tx_id = self.tx_ids[HASH_LETTERS * place : HASH_LETTERS * (place + 1)].decode()
        return (tx_id, *RECORD.unpack_from(self.records, RECORD.size * place))

    def columns(self) -> npt.NDArray[np.void]:
        """The numbers by name, zeros for odd ones."""
        return np.frombuffer(self.records, RECORD_COLUMNS)

    def told(self, name: str) -> list[Any]:
        """One of the numbers of each."""
        told, column = self.columns()[name].tolist(), TRANSACTION.index(name)
        for place, tx in self.odd.items():
            told[place] = tx[column]
        return told

    def holds(self, part: Transactions, place: int) -> bool:
        """Whether this part stands here from a place on; of odd ones nobody says so."""
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
        odd = [place for place, tx in self.odd.items() if tx[3] == trade_id]
        return sorted([place for place in found if place not in self.odd] + odd)

    def each_record(self) -> list[bytes]:
        """The bytes to hash, empty where no record holds the numbers."""
        size = RECORD.size
        records = [self.records[at : at + size] for at in range(0, len(self.records), size)]
        for place, told in self.odd.items():
            records[place] = packed(told)
        return records


NONE = Transactions(b"", b"", {})


def packed(told: Transaction) -> bytes:
    """The record of a transaction, empty where none holds its numbers."""
    try:
        return RECORD.pack(*told[1:])
    except struct.error:
        return b""


def transactions_of(told: Sequence[Transaction]) -> Transactions:
    """These transactions, whatever they say."""
    odd = {}
    records, tx_ids = [], []
    for place, tx in enumerate(told):
        record = packed(tx)
        if record and is_hash_long(tx[0]):
            records.append(record)
            tx_ids.append(tx[0].encode())
        else:
            odd[place] = tx
            records.append(NO_RECORD)
            tx_ids.append(NO_HASH)
    return Transactions(b"".join(records), b"".join(tx_ids), odd)


def transactions_of_columns(tx_ids: Hashes, columns: Mapping[str, IntArray]) -> Transactions:
    """The transactions of a table, which has their numbers by name."""
    names = TRANSACTION[1:]
    records = np.zeros(len(columns[names[0]]), RECORD_COLUMNS)
    odd = np.zeros(len(records), np.bool_)
    odd[list(tx_ids.others)] = True
    for name in names:
        records[name] = columns[name].astype(RECORD_COLUMNS[name])
        odd |= records[name] != columns[name]
    told = {
        row: (tx_ids[row], *(int(columns[name][row]) for name in names))
        for row in np.flatnonzero(odd).tolist()
    }
    return Transactions(records.tobytes(), tx_ids.letters, told)


def plain_transactions(told: Sequence[Any]) -> Transactions | None:
    """JSON objects, given as tuples of pairs, as transactions: all at once, or None where one is odd."""
    if not told:
        return NONE
    if set(map(type, told)) != {tuple} or set(map(len, told)) != {len(TRANSACTION)}:
        return None
    names, values = zip(*itertools.chain.from_iterable(told), strict=True)
    if names != TRANSACTION * len(told) or tuple(map(type, values)) != TRANSACTION_TYPES * len(
        told
    ):
        return None
    tx_ids, *numbers = (values[column :: len(TRANSACTION)] for column in range(len(TRANSACTION)))
    if set(map(len, tx_ids)) != {HASH_LETTERS}:
        return None
    try:
        records = b"".join(map(RECORD.pack, *numbers))
        return Transactions(records, "".join(tx_ids).encode("ascii"), {})
    except (struct.error, UnicodeEncodeError):
        return None
