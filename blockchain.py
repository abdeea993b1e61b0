"""Trades into blocks: records, Merkle tree, header, and the race of the miners for each block.

A reader checks the chain with verify.py, which shares no code with this module. The format, to the
byte, and what it protects against: docs/ledger.md.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from itertools import count
from time import perf_counter

import numpy as np

from records import FIRST_MINER, MINT, Block, Reason, Trades, Transfers, transfers
from settings import Settings, nanoeur

PROOF_OF_WORK = 1
HEADER = struct.Struct("<6I32s32s")
NONCE = struct.Struct("<Q")
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

    def __init__(self, settings: Settings, params: bytes):
        """Begins with the genesis block, which is bound to the bytes of params.json."""
        self.settings = settings
        self.blocks = [genesis(params)]
        self.trades = 0
        self.mining_seconds = 0.0

    @property
    def tip(self) -> bytes:
        return self.blocks[-1].block_hash

    def append(self, timestep: int, trades: Trades) -> tuple[Block, ...]:
        """Mines the trades of one step into as many blocks as they need and returns these."""
        began = perf_counter()
        new, most = [], self.settings.MAX_TRANSACTIONS_PER_BLOCK
        records = pack_records(timestep, self.trades, trades)
        for start in range(0, len(records), most):
            part = tuple(records[start : start + most])
            block = mine(self.settings, self.blocks[-1], timestep, part, self.trades + start)
            self.blocks.append(block)
            new.append(block)
        self.trades += len(records)
        self.mining_seconds += perf_counter() - began
        return tuple(new)


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
    while (
        len(level) > 1
    ):  # a node without a partner moves up: the same tree as splitting by powers of two
        pairs = [
            sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def genesis(params: bytes) -> Block:
    """The first block: no trades, no work, and the hash of the scenario as its root."""
    root = sha256(params).digest()
    header = HEADER.pack(PROOF_OF_WORK, 0, 0, 0, 0, 0, NOTHING_BEFORE, root) + NONCE.pack(0)
    return Block(
        version=PROOF_OF_WORK,
        height=0,
        timestep=0,
        miner=0,
        difficulty=0,
        previous_hash=NOTHING_BEFORE,
        merkle_root=root,
        nonce=0,
        block_hash=sha256(header).digest(),
        hashes_tried=0,
        records=(),
    )


def mine(
    settings: Settings,
    previous: Block,
    timestep: int,
    records: tuple[bytes, ...],
    first_trade_id: int,
) -> Block:
    """The next block: every miner hashes its own header, the first valid hash wins."""
    height, root = previous.height + 1, merkle_root(records)
    miners, difficulty = settings.NUM_MINERS, settings.DIFFICULTY_TARGET
    headers = [
        HEADER.pack(
            PROOF_OF_WORK, height, timestep, m, difficulty, len(records), previous.block_hash, root
        )
        for m in range(miners)
    ]
    miner, nonce, tried = race(headers, height % miners, difficulty)
    return Block(
        version=PROOF_OF_WORK,
        height=height,
        timestep=timestep,
        miner=miner,
        difficulty=difficulty,
        previous_hash=previous.block_hash,
        merkle_root=root,
        nonce=nonce,
        block_hash=sha256(headers[miner] + NONCE.pack(nonce)).digest(),
        hashes_tried=tried,
        records=records,
        first_trade_id=first_trade_id,
    )


def target(difficulty: int) -> bytes:
    """The hash that a block must stay below to begin with `difficulty` zero digits."""
    return b"\xff" * 33 if difficulty == 0 else (1 << 256 - 4 * difficulty).to_bytes(32, "big")


def race(headers: list[bytes], first: int, difficulty: int) -> tuple[int, int, int]:
    """(winner, nonce, attempts of all miners): in round k each miner tries nonce k, `first` begins.

    The state after a header's 88 fixed bytes is kept and copied, so an attempt hashes the nonce only.
    """
    miners = len(headers)
    copies = [sha256(headers[(first + turn) % miners]).copy for turn in range(miners)]
    goal, pack = target(difficulty), NONCE.pack
    for nonce in count():
        tail = pack(nonce)
        for copy in copies:
            attempt = copy()
            attempt.update(tail)
            if attempt.digest() < goal:
                turn = copies.index(copy)
                return (first + turn) % miners, nonce, nonce * miners + turn + 1
    raise AssertionError("unreachable: the count of nonces has no end")


def rewards(settings: Settings, blocks: tuple[Block, ...]) -> Transfers:
    """The block rewards, new money from the mint to each block's winner."""
    winners = np.array([FIRST_MINER - block.miner for block in blocks], np.int32)
    amount = np.full(len(blocks), nanoeur(settings.BLOCK_REWARD), np.int64)
    return transfers(MINT, winners, amount, Reason.BLOCK_REWARD)
