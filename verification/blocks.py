"""What blockchain.json and blocks.csv say: a chain of blocks, read and not yet judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verification.findings import show
from verification.read import Reader, strict_object

TRADE_KINDS = {"p2p": 1, "local_market": 2}
TRANSACTION = (
    *("tx_id", "kind", "timestep", "trade_id", "buyer_id", "seller_id"),
    *("energy_wh", "price_microeur_per_kwh"),
)
TRANSACTION_TYPES = (str, int, int, int, int, int, int, int)
HEAD = {"version": int, "difficulty": int, "miners": int, "block_reward_eur": str, "blocks": list}
NUMBERS = ("height", "timestep", "miner", "difficulty", "nonce", "hashes_tried")
HASHES = ("previous_hash", "merkle_root", "block_hash")
BLOCK = dict.fromkeys(NUMBERS, int) | dict.fromkeys(HASHES, str) | {"transactions": list}
BLOCKS_CSV = (
    "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,previous_hash,"
    "merkle_root"
)

Transaction = tuple[Any, ...]  # the values of TRANSACTION, in this order


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
    transactions: list[Transaction]


@dataclass(frozen=True)
class Chain:
    """blockchain.json and blocks.csv as they stand in the files."""

    head: dict[str, Any]
    blocks: list[Block]
    table: list[tuple[str, ...]]  # blocks.csv, the promised columns in their order

    @property
    def tip(self) -> str:
        return self.blocks[-1].block_hash if self.blocks else ""


# ------------------------------------------------------------------------------------- reading


def read_chain(reader: Reader, trades_bytes: int) -> Chain:
    """The chain of a folder; what is not in its shape goes to the reader's problems."""
    largest = largest_chain(trades_bytes)
    head, blocks = read_blocks(reader, largest)
    return Chain(head, blocks, read_table(reader, largest))


def largest_chain(trades_bytes: int) -> int:
    """Bytes of a chain that can belong to an all_trades.csv of this size.

    On the chain a trade takes less than 16 times the bytes of its row there, so another file is refused
    before it fills the memory.
    """
    return 2**22 + 16 * trades_bytes


def read_blocks(reader: Reader, largest_bytes: int) -> tuple[dict[str, Any], list[Block]]:
    """blockchain.json: what stands beside the blocks, and the blocks."""
    raw = reader.json("blockchain.json", largest_bytes, transaction_or_object)
    if raw is None:
        return {}, []
    head = members(reader, raw, "the chain", HEAD)
    blocks = []
    for height, told in enumerate(head.pop("blocks", [])):
        if reader.is_hopeless("blockchain.json"):
            break
        blocks.append(read_block(reader, height, told))
    return head, [block for block in blocks if block]


def transaction_or_object(pairs: list[tuple[str, Any]]) -> Any:
    """A transaction as a tuple of its values, a third of the memory of a dict; else a dict."""
    if len(pairs) == len(TRANSACTION):
        names, values = zip(*pairs, strict=True)
        if names == TRANSACTION:
            return values
    return strict_object(pairs)


def members(reader: Reader, raw: Any, where: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Those members of an object that have their type; a name too many is a finding."""
    if type(raw) is not dict:
        reader.problem("blockchain.json", f"{where} is {show(raw)}, should be an object")
        return {}
    for name in sorted(raw.keys() - types.keys()):
        reader.findings.add(where, "unknown key", f"{show(name)} has no meaning here")
    right = {name: raw[name] for name, kind in types.items() if type(raw.get(name)) is kind}
    for name in sorted(types.keys() - right.keys()):
        found = show(raw[name]) if name in raw else "missing"
        should = f"should be of type {types[name].__name__}"
        reader.problem("blockchain.json", f"{where}: {name} is {found}, {should}")
    return right


def read_block(reader: Reader, height: int, raw: Any) -> Block | None:
    fields = members(reader, raw, f"block {height}", BLOCK)
    if len(fields) < len(BLOCK):
        return None
    for i, tx in enumerate(fields["transactions"]):
        if type(tx) is not tuple or tuple(map(type, tx)) != TRANSACTION_TYPES:
            if reader.is_hopeless("blockchain.json"):
                break
            where = f"block {height}, transaction {i}"
            fields["transactions"][i] = read_transaction(reader, where, tx)
    return Block(**fields)


def read_transaction(reader: Reader, where: str, raw: Any) -> Transaction:
    """A transaction whose members stand in another order, or are not what they should be."""
    if type(raw) is tuple:
        raw = dict(zip(TRANSACTION, raw, strict=True))
    types = dict(zip(TRANSACTION, TRANSACTION_TYPES, strict=True))
    fields = members(reader, raw, where, types)
    return tuple(fields.get(name) for name in TRANSACTION)


def read_table(reader: Reader, largest_bytes: int) -> list[tuple[str, ...]]:
    """The promised columns of blocks.csv as texts: they are compared with the chain as they are."""
    rows: list[tuple[str, ...]] = []
    names = BLOCKS_CSV.split(",")
    if reader.fits("blocks.csv", largest_bytes):
        with reader.telling("blocks.csv"):
            for piece in reader.pieces("blocks.csv", names):
                rows.extend(zip(*map(piece.texts, names), strict=True))
    return rows
