"""What blockchain.json and blocks.csv say: a chain of blocks, read and not yet judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verification.findings import show
from verification.json_stream import JsonStream, as_dict, strict_object
from verification.layout import OPENING, Foreseen, text_of
from verification.read import Reader
from verification.tables import Table
from verification.transactions import (
    NAMES,
    TYPES,
    Transaction,
    Transactions,
    plain_transactions,
    transactions_of,
    transactions_of_table,
)

HEAD = {"version": int, "difficulty": int, "miners": int, "block_reward_eur": str, "blocks": list}
NUMBERS = ("height", "timestep", "miner", "difficulty", "nonce", "hashes_tried")
HASHES = ("previous_hash", "merkle_root", "block_hash")
BLOCK = dict.fromkeys(NUMBERS, int) | dict.fromkeys(HASHES, str) | {"transactions": list}
LARGEST_BLOCK = 2**24  # characters that a block may have, whatever its transactions
BLOCKS_CSV = (
    "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,previous_hash,"
    "merkle_root"
)


@dataclass(frozen=True)
class Rules:
    """What the settings demand of a chain; miners are validators where stake decides."""

    version: int  # 1 proof of work, 2 proof of stake
    miners: int
    difficulty: int
    reward_nanoeur: int
    block_size: int
    weights: tuple[int, ...]  # hash power of each miner
    stakes: tuple[int, ...]  # of each validator, empty with proof of work
    genesis_root: bytes


@dataclass(frozen=True)
class Block:
    """One block as it stands in the file: right types, values still to be judged."""

    height: int
    timestep: int
    miner: int
    difficulty: int
    nonce: int
    hashes_tried: int
    previous_hash: str
    merkle_root: str
    block_hash: str
    transactions: Transactions


@dataclass(frozen=True)
class Chain:
    """blockchain.json and blocks.csv as they stand in the files, and what stands in all_trades.csv."""

    head: dict[str, Any]
    blocks: list[Block]
    table: list[tuple[str, ...]]  # blocks.csv, the promised columns in their order
    trades: Transactions  # that the chain must hold, in their order

    @property
    def tip(self) -> str:
        return self.blocks[-1].block_hash if self.blocks else ""


# ------------------------------------------------------------------------------------- reading


def read_chain(reader: Reader, trades_bytes: int, block_size: int, trades: Table | None) -> Chain:
    """The chain of a folder; what is not in its shape goes to the reader's problems.

    `trades` is all_trades.csv, None where it cannot be read.
    """
    largest = largest_chain(trades_bytes)
    largest_block = LARGEST_BLOCK + min(largest, 2**10 * block_size)
    due = transactions_of_table(trades) if trades else transactions_of([])
    foreseen = Foreseen(due, trades["block_height"]) if trades else None
    head, blocks = read_blocks(reader, largest, largest_block, foreseen)
    return Chain(head, blocks, read_rows(reader, largest), due)


def largest_chain(trades_bytes: int) -> int:
    """Bytes of a chain that can belong to an all_trades.csv of this size.

    On the chain a trade takes less than 16 times the bytes of its row there, so another file is refused
    before it fills the memory.
    """
    return 2**22 + 16 * trades_bytes


def read_blocks(
    reader: Reader, largest_bytes: int, largest_block: int, foreseen: Foreseen | None = None
) -> tuple[dict[str, Any], list[Block]]:
    """blockchain.json: what stands beside the blocks, and the blocks, which are read one by one."""
    blocks: list[Block | None] = []

    def read(stream: JsonStream) -> tuple[Any, Transactions | None]:
        """A block as it is told, and its transactions where its text is the one that was foreseen."""
        known = foreseen.of(len(blocks)) if foreseen else None
        if foreseen and known:
            told = stream.object_ending(OPENING, text_of(known))
            if told is not None:
                return told, known
            foreseen.has_missed()
        return stream.value(), None

    def take(told: tuple[Any, Transactions | None]) -> bool:
        blocks.append(read_block(reader, len(blocks), *told))
        return not reader.is_hopeless("blockchain.json")

    head = reader.object("blockchain.json", largest_bytes, "blocks", largest_block, take, read)
    if head is None:
        return {}, []
    head = right_fields(reader, head, "the chain", HEAD)
    return head, [block for block in blocks if block]


def right_fields(reader: Reader, raw: Any, where: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Those fields of an object that have their type; a name too many is a finding."""
    if type(raw) is tuple:
        raw = strict_object(raw)
    if type(raw) is not dict:
        reader.problem("blockchain.json", f"{where} is {show(raw)}, should be an object")
        return {}
    if raw.keys() == types.keys() and [type(raw[name]) for name in types] == [*types.values()]:
        return raw  # as nearly always
    for name in sorted(raw.keys() - types.keys()):
        reader.findings.add(where, "unknown key", f"{show(name)} has no meaning here")
    right = {name: raw[name] for name, kind in types.items() if type(raw.get(name)) is kind}
    for name in sorted(types.keys() - right.keys()):
        found = show(as_dict(raw[name])) if name in raw else "missing"
        should = f"should be of type {types[name].__name__}"
        reader.problem("blockchain.json", f"{where}: {name} is {found}, {should}")
    return right


def read_block(
    reader: Reader, height: int, raw: Any, known: Transactions | None = None
) -> Block | None:
    """A block from what JSON tells of it; its transactions may be known already."""
    fields = right_fields(reader, raw, f"block {height}", BLOCK)
    if len(fields) < len(BLOCK):
        return None
    told = fields["transactions"]
    plain = plain_transactions(told) if known is None else known
    fields["transactions"] = read_transactions(reader, height, told) if plain is None else plain
    return Block(**fields)


def read_transactions(reader: Reader, height: int, raw: list[Any]) -> Transactions:
    """Transactions of which one is odd, or not what it should be."""
    types, told = dict(zip(NAMES, TYPES, strict=True)), list[Transaction]()
    for i, tx in enumerate(raw):
        if reader.is_hopeless("blockchain.json"):
            break
        fields = right_fields(reader, tx, f"block {height}, transaction {i}", types)
        told.append(Transaction._make(map(fields.get, NAMES)))  # None where a problem is told
    return transactions_of(told)


def read_rows(reader: Reader, largest_bytes: int) -> list[tuple[str, ...]]:
    """The promised columns of blocks.csv as texts: they are compared with the chain as they are."""
    rows: list[tuple[str, ...]] = []
    names = BLOCKS_CSV.split(",")
    if reader.fits("blocks.csv", largest_bytes):
        with reader.telling("blocks.csv"):
            for piece in reader.pieces("blocks.csv", names):
                rows.extend(zip(*map(piece.texts, names), strict=True))
    return rows
