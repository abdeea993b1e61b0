"""Trades into blocks: records, Merkle tree, header, and who seals a block, by work or by stake.

A reader checks the chain with the verification package, which shares no code with this module. The
format, to the byte, and what it protects against: docs/ledger.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from time import perf_counter

import numpy as np

from mining import NONCE, Race, race_of_miners
from records import FIRST_MINER, MINT, Block, Money, Reason, Trades, Transfers, transfers
from settings import Settings, nanoeur

PROOF_OF_WORK, PROOF_OF_STAKE = 1, 2
VERSIONS = {"pow": PROOF_OF_WORK, "pos": PROOF_OF_STAKE}
HEADER = struct.Struct("<6I32s32s")
VALIDATOR = struct.Struct("<I")
RECORD = np.dtype(
    [
        ("kind", "u1"),
        ("timestep", "<u4"),
        ("trade_id", "<u8"),
        ("buyer", "<i4"),
        ("seller", "<i4"),
        ("energy_wh", "<i8"),
        ("price_microeur_per_kwh", "<i8"),
    ]
)
NOTHING_BEFORE = bytes(32)


class Chain:
    """The chain of one run. Its tail is the only thing here that changes."""

    def __init__(self, settings: Settings, params: bytes, race: Race | None = None):
        """Begins with the genesis block, which is bound to the bytes of params.json.

        `race` may be another engine (a GPU) that finds the same winner in the same order of attempts.
        """
        self.settings = settings
        self.version = VERSIONS[settings.CONSENSUS]
        self.race = race or race_of_miners
        self.blocks = [genesis(self.version, params)]
        self.turn = sha256(self.tip).digest()  # of the last block; only stake uses it
        self.trades_sealed = 0
        self.mining_seconds = 0.0

    @property
    def tip(self) -> bytes:
        return self.blocks[-1].block_hash

    def seal(self, timestep: int, trades: Trades) -> tuple[Block, ...]:
        """The trades of one step in as many blocks as they need; `append` puts them on the chain."""
        began = perf_counter()
        sealed, most = [], self.settings.MAX_TRANSACTIONS_PER_BLOCK
        records = pack_records(timestep, self.trades_sealed, trades)
        last, turn = self.blocks[-1], self.turn
        for start in range(0, len(records), most):
            part = tuple(records[start : start + most])
            root = merkle_root(part)
            draft = Draft(self.version, last.height + 1, timestep, last.block_hash, root, part)
            turn = turn_after(turn, last)
            last = self.mine(draft) if self.version == PROOF_OF_WORK else self.forge(draft, turn)
            sealed.append(last)
        self.mining_seconds += perf_counter() - began
        return tuple(sealed)

    def append(self, blocks: tuple[Block, ...]) -> None:
        """Puts the sealed blocks of one step on the chain, once its laws have passed."""
        for block in blocks:
            self.turn = turn_after(self.turn, self.blocks[-1])
            self.trades_sealed += len(block.records)
            self.blocks.append(block)

    def mine(self, draft: Draft) -> Block:
        """The block by work: every miner hashes its own header, the first valid hash wins."""
        miners, difficulty = self.settings.NUM_MINERS, self.settings.DIFFICULTY_TARGET
        headers = [draft.header(m, difficulty) for m in range(miners)]
        power = self.settings.MINER_HASH_POWER or [1] * miners
        miner, nonce, tried = self.race(headers, draft.height % miners, difficulty, power)
        return draft.sealed(miner, difficulty, nonce, tried)

    def forge(self, draft: Draft, turn: bytes) -> Block:
        """The block by stake: the validator whose turn it is seals it; no work, no choice."""
        return draft.sealed(entitled(turn, self.settings.VALIDATOR_STAKES), 0, 0, 0)


@dataclass(frozen=True)
class Draft:
    """A block before it is sealed: everything but its miner and the work."""

    version: int
    height: int
    timestep: int
    previous_hash: bytes
    merkle_root: bytes
    records: tuple[bytes, ...]

    def header(self, miner: int, difficulty: int) -> bytes:
        """The header's first 88 bytes; the nonce follows."""
        return HEADER.pack(
            self.version,
            self.height,
            self.timestep,
            miner,
            difficulty,
            len(self.records),
            self.previous_hash,
            self.merkle_root,
        )

    def sealed(self, miner: int, difficulty: int, nonce: int, hashes_tried: int) -> Block:
        header = self.header(miner, difficulty) + NONCE.pack(nonce)
        return Block(
            version=self.version,
            height=self.height,
            timestep=self.timestep,
            miner=miner,
            difficulty=difficulty,
            previous_hash=self.previous_hash,
            merkle_root=self.merkle_root,
            nonce=nonce,
            block_hash=sha256(header).digest(),
            hashes_tried=hashes_tried,
            records=self.records,
        )


def genesis(version: int, params: bytes) -> Block:
    """The first block: no trades, no work, and the hash of the scenario as its root."""
    root = sha256(params).digest()
    draft = Draft(version, 0, 0, NOTHING_BEFORE, root, ())
    return draft.sealed(miner=0, difficulty=0, nonce=0, hashes_tried=0)


# ---------------------------------------------------------------- records and their tree


def pack_records(timestep: int, first_trade_id: int, trades: Trades) -> list[bytes]:
    """The 37 bytes of each trade, in order, as they are hashed."""
    table = np.empty(trades.size, RECORD)
    table["kind"] = trades.kind
    table["timestep"] = timestep
    table["trade_id"] = first_trade_id + np.arange(trades.size)
    table["buyer"] = trades.buyer
    table["seller"] = trades.seller
    table["energy_wh"] = trades.energy_wh
    table["price_microeur_per_kwh"] = trades.price_microeur_per_kwh
    data, size = table.tobytes(), RECORD.itemsize
    return [data[i : i + size] for i in range(0, len(data), size)]


def merkle_root(records: tuple[bytes, ...]) -> bytes:
    """Root of the Merkle tree over the records, as in RFC 6962: a leaf can never pass for a node."""
    if not records:
        return sha256(b"").digest()
    level = [sha256(b"\x00" + record).digest() for record in records]
    # a node without a partner moves up: the same tree as splitting by powers of two
    while len(level) > 1:
        couples = zip(level[::2], level[1::2], strict=False)
        pairs = [sha256(b"\x01" + a + b).digest() for a, b in couples]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


# ---------------------------------------------------------------- stake and rewards


def turn_after(turn: bytes, block: Block) -> bytes:
    """The seed that says whose turn it is after `block`, from the one that decided on it."""
    return sha256(turn + VALIDATOR.pack(block.miner)).digest()


def entitled(turn: bytes, stakes: Sequence[int]) -> int:
    """The validator whose share of all stakes the turn's number falls into."""
    point = int.from_bytes(turn, "big") % sum(stakes)
    return next(v for v, reached in enumerate(accumulate(stakes)) if reached > point)


def rewards(settings: Settings, blocks: tuple[Block, ...]) -> Transfers:
    """The block rewards, new money from the mint to each block's winner."""
    winners = np.array([FIRST_MINER - block.miner for block in blocks], np.int32)
    amount = np.full(len(blocks), nanoeur(settings.BLOCK_REWARD), np.int64)
    return transfers(MINT, winners, amount, Reason.BLOCK_REWARD)


def minted(settings: Settings, blocks: tuple[Block, ...], accounts: int) -> Money:
    """What these blocks' rewards change in each account (A)."""
    change, reward = np.zeros(accounts, np.int64), nanoeur(settings.BLOCK_REWARD)
    for block in blocks:
        change[FIRST_MINER - block.miner] += reward
        change[MINT] -= reward
    return change
