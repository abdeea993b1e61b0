"""The second reading of the chain: blockchain.json and blocks.csv against settings and trades.

Every hash is computed again with the few lines below, which are written from the description of the
format and not shared with the code that mined the chain.
"""

from __future__ import annotations

import csv
import itertools
import re
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Any

from verify_read import Findings, Reader, places, show, strict_object

Progress = Callable[[str, float], None]

RECORD = struct.Struct("<BIQiiqq")
HEADER = struct.Struct("<6I32s32s")
TRADE_KINDS = {"p2p": 1, "local_market": 2}
TRANSACTION = ("tx_id", "kind", "timestep", "trade_id", "buyer_id", "seller_id", "energy_wh",
               "price_microeur_per_kwh")  # fmt: skip
TRANSACTION_TYPES = (str, *[int] * 7)
NUMBERS = ("height", "timestep", "miner", "difficulty", "nonce", "hashes_tried")
HASHES = ("previous_hash", "merkle_root", "block_hash")
BLOCKS_CSV = "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,previous_hash,merkle_root"
HASH_TEXT = re.compile("[0-9a-f]{64}")
SHOWN_PROBLEMS = 20

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
    table: list[list[str]]  # blocks.csv, the promised columns in their order

    @property
    def tip(self) -> str:
        return self.blocks[-1].block_hash if self.blocks else ""


# ------------------------------------------------------------------------------------- reading


def read_chain(reader: Reader, trades_bytes: int) -> Chain:
    """The chain of a folder; what is not in its shape goes to the reader's problems.

    A transaction of the chain takes less than 16 times the bytes of its row in all_trades.csv, so a
    file that cannot belong to these trades is refused before it fills the memory.
    """
    largest = 2**20 + 16 * trades_bytes
    raw = reader.json("blockchain.json", largest, _object)
    table = _read_table(reader, largest)
    shape = _Shape(reader)
    if raw is None:
        return Chain({}, [], table)
    head = shape.members(
        raw, "the chain", {"version": int, "difficulty": int, "miners": int, "block_reward_eur": str,
                           "blocks": list}
    )  # fmt: skip
    blocks = [shape.block(i, block) for i, block in enumerate(head.pop("blocks", []))]
    return Chain(head, [block for block in blocks if block], table)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    """A transaction as a tuple of its values, which needs a third of a dict; else a dict."""
    if tuple(map(itemgetter(0), pairs)) == TRANSACTION:
        return tuple(map(itemgetter(1), pairs))
    return strict_object(pairs)


class _Shape:
    """Checks names and types of what JSON gave; tells the first problems one by one."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.wrong = reader, 0

    def problem(self, where: str, what: str) -> None:
        self.wrong += 1
        if self.wrong <= SHOWN_PROBLEMS:
            self.reader.problem("blockchain.json", f"{where}: {what}")

    def members(self, raw: Any, where: str, types: dict[str, type]) -> dict[str, Any]:
        """The named members of an object that have the right type; a name too many is a finding."""
        if type(raw) is not dict:
            self.problem(where, f"is {show(raw)}, should be an object")
            return {}
        for name in raw:
            if name not in types:
                self.reader.findings.add(where, "unknown key", f"{show(name)} has no meaning here")
        for name, kind in types.items():
            if name not in raw:
                self.problem(where, f"{name} is missing")
            elif type(raw[name]) is not kind:
                self.problem(
                    where, f"{name} is {show(raw[name])}, should be of type {kind.__name__}"
                )
        return {name: raw[name] for name, kind in types.items() if type(raw.get(name)) is kind}

    def block(self, height: int, raw: Any) -> Block | None:
        where = f"block {height}"
        types = dict.fromkeys(NUMBERS, int) | dict.fromkeys(HASHES, str) | {"transactions": list}
        fields = self.members(raw, where, types)
        if len(fields) < len(types):
            return None
        fields["transactions"] = [
            tx
            if type(tx) is tuple and tuple(map(type, tx)) == TRANSACTION_TYPES
            else self.transaction(where, tx)
            for tx in fields["transactions"]
        ]
        return Block(**fields)

    def transaction(self, where: str, raw: Any) -> Transaction:
        """A transaction whose members stand in another order, or are not what they should be."""
        if type(raw) is tuple:
            raw = dict(zip(TRANSACTION, raw))
        fields = self.members(
            raw, f"{where}, a transaction", dict(zip(TRANSACTION, TRANSACTION_TYPES))
        )
        return tuple(fields.get(name) for name in TRANSACTION)


def _read_table(reader: Reader, largest_bytes: int) -> list[list[str]]:
    """The promised columns of blocks.csv as texts: they are compared with the chain as they stand."""
    data = reader.bytes("blocks.csv", largest_bytes)
    if data is None:
        return []
    try:
        rows = list(csv.reader(data.decode("utf-8").split("\n")[:-1], strict=True))
        names = BLOCKS_CSV.split(",")
        place = places(rows[0] if rows else [], names)
        return [[row[place[name]] for name in names] for row in rows[1:]]
    except IndexError:
        reader.problem("blocks.csv", "a row has fewer fields than the header")
    except (ValueError, csv.Error) as error:  # not UTF-8, a column missing, a broken quote
        reader.problem("blocks.csv", show(str(error))[1:-1])
    return []


# ------------------------------------------------------------------------------------- hashing


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over hashed leaves as in RFC 6962: split at the largest power of two below their number."""
    if len(leaves) == 1:
        return leaves[0]
    if not leaves:
        return sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()


def header_start(block: Block, version: int, miner: int) -> bytes:
    """The 88 bytes of a header that stand before the nonce."""
    numbers = (
        version,
        block.height,
        block.timestep,
        miner,
        block.difficulty,
        len(block.transactions),
    )
    return HEADER.pack(
        *numbers, bytes.fromhex(block.previous_hash), bytes.fromhex(block.merkle_root)
    )


# ------------------------------------------------------------------------------------ checking


def check_chain(
    chain: Chain,
    rules: Rules,
    trades: list[Transaction],
    findings: Findings,
    race: bool,
    progress: Progress,
) -> None:
    """All that a chain promises; `trades` are the rows of all_trades.csv as transactions, by trade id."""
    if not chain.blocks:
        findings.add("chain", "empty chain", "blocks is empty, expected at least the genesis block")
    head = {
        "version": rules.version,
        "difficulty": rules.difficulty,
        "miners": rules.miners,
        "block_reward_eur": f"{rules.reward_nanoeur // 10**9}.{rules.reward_nanoeur % 10**9:09d}",
    }
    for name, expected in head.items():
        findings.differ("chain", "chain settings", name, chain.head[name], expected)
    entitled = _validators(chain, rules)
    sound: list[Block] = []
    previous = "0" * 64
    for height, block in enumerate(chain.blocks):
        if height % 256 == 0:
            progress("chain", height / len(chain.blocks))
        known = findings.total
        if not all(0 <= getattr(block, name) < 2**64 for name in NUMBERS):
            numbers = ", ".join(f"{name} {show(getattr(block, name))}" for name in NUMBERS)
            findings.add(
                f"block {height}", "number range", f"{numbers}: beyond 64 bits or negative"
            )
            previous = block.block_hash
            continue
        _check_link(height, block, previous, findings)
        if height == 0:
            _check_genesis(block, rules, findings)
        else:
            _check_sealing(height, block, rules, entitled[height], findings)
        _check_hashes(height, block, rules, findings)
        if findings.total == known and height > 0:
            sound.append(block)
        previous = block.block_hash
    _check_trades_once(chain, trades, findings)
    _check_packing(chain, rules, trades, findings)
    _check_table(chain, findings)
    if race and rules.version == 1:
        _check_race(sound, rules, findings, progress)


def _check_link(height: int, block: Block, previous: str, findings: Findings) -> None:
    where = f"block {height}"
    findings.differ(where, "height", "height", block.height, height)
    findings.differ(where, "link", "previous_hash", block.previous_hash, previous)


def _check_genesis(block: Block, rules: Rules, findings: Findings) -> None:
    """The first block says nothing but which scenario the chain belongs to."""
    for name in ("timestep", "miner", "difficulty", "nonce", "hashes_tried"):
        findings.differ("block 0", "genesis", name, getattr(block, name), 0)
    findings.differ("block 0", "genesis", "transactions", len(block.transactions), 0)
    root = rules.genesis_root.hex()
    findings.differ(
        "block 0", "genesis", "merkle_root (SHA-256 of params.json)", block.merkle_root, root
    )


def _check_sealing(
    height: int, block: Block, rules: Rules, entitled: int, findings: Findings
) -> None:
    """Who was allowed to seal this block, with how much work."""
    where = f"block {height}"
    findings.differ(where, "difficulty", "difficulty", block.difficulty, rules.difficulty)
    if not 0 <= block.miner < rules.miners:
        findings.add(where, "miner", f"miner is {block.miner}, expected 0 to {rules.miners - 1}")
        return
    if rules.version == 2:
        findings.differ(where, "stake", "miner", block.miner, entitled)
        findings.differ(where, "stake", "nonce", block.nonce, 0)
        findings.differ(where, "hashes_tried", "hashes_tried", block.hashes_tried, 0)
        return
    if not block.block_hash.startswith("0" * rules.difficulty):
        zeros = f"{rules.difficulty} leading zeros"
        findings.add(
            where, "proof of work", f"block_hash is {show(block.block_hash)}, expected {zeros}"
        )
    tried = hashes_tried(height, block.miner, block.nonce, rules.weights)
    findings.differ(where, "hashes_tried", "hashes_tried", block.hashes_tried, tried)


def hashes_tried(height: int, miner: int, nonce: int, weights: tuple[int, ...]) -> int:
    """Attempts of all miners up to and with this nonce of this miner.

    In round k each miner m tries its nonces k*w to k*w+w-1; miner height mod M begins the round.
    """
    rounds, inside = divmod(nonce, weights[miner])
    first = height % len(weights)
    before = sum(weights[first:miner]) if miner >= first else sum(weights[first:] + weights[:miner])
    return rounds * sum(weights) + before + inside + 1


def _validators(chain: Chain, rules: Rules) -> list[int]:
    """The validator that stake entitles to each height; empty with proof of work."""
    if (
        rules.version == 1
        or not chain.blocks
        or not HASH_TEXT.fullmatch(chain.blocks[0].block_hash)
    ):
        return [0] * len(chain.blocks)
    stake_up_to = list(itertools.accumulate(rules.stakes))
    seed = sha256(bytes.fromhex(chain.blocks[0].block_hash)).digest()
    validators = [0]
    while len(validators) < len(chain.blocks):
        seed = sha256(seed + struct.pack("<I", validators[-1])).digest()
        turn = int.from_bytes(seed, "big") % stake_up_to[-1]
        validators.append(bisect_right(stake_up_to, turn))
    return validators


def _check_hashes(height: int, block: Block, rules: Rules, findings: Findings) -> None:
    """tx_id of each trade, Merkle root and header hash, all computed again."""
    where = f"block {height}"
    leaves = []
    for tx in block.transactions:
        try:
            record = RECORD.pack(*tx[1:])
        except struct.error:
            values = ", ".join(map(show, tx[1:]))
            findings.add(
                f"{where}, trade {show(tx[3])}", "number range", f"no 37-byte record holds {values}"
            )
            return
        if sha256(record).hexdigest() != tx[0]:
            expected = sha256(record).hexdigest()
            findings.differ(f"{where}, trade {tx[3]}", "tx_id", "tx_id", tx[0], expected)
        leaves.append(sha256(b"\x00" + record).digest())
    root = merkle_root(leaves) if height else rules.genesis_root
    findings.differ(where, "merkle root", "merkle_root", block.merkle_root, root.hex())
    for name in HASHES:
        if not HASH_TEXT.fullmatch(getattr(block, name)):
            text = show(getattr(block, name))
            findings.add(where, "hash text", f"{name} is {text}, expected 64 lower-case hex digits")
            return
    try:
        header = header_start(block, rules.version, block.miner) + struct.pack("<Q", block.nonce)
    except struct.error:
        findings.add(
            where, "number range", f"no 96-byte header holds {block.miner}, {show(block.nonce)}"
        )
        return
    findings.differ(where, "block hash", "block_hash", block.block_hash, sha256(header).hexdigest())


def _check_trades_once(chain: Chain, trades: list[Transaction], findings: Findings) -> None:
    """Every trade on the chain once and only once, in order, word for word as in all_trades.csv."""
    seen: Counter[int] = Counter()
    last = -1
    for height, block in enumerate(chain.blocks):
        for tx in block.transactions:
            trade_id = tx[3]
            where = f"block {height}, trade {show(trade_id)}"
            seen[trade_id] += 1
            if trade_id <= last:
                findings.add(where, "trade order", f"stands after trade {last}")
            last = trade_id
            if tx[2] != block.timestep:
                findings.add(
                    where,
                    "block step",
                    f"trade of step {tx[2]} in a block of step {block.timestep}",
                )
            if not 0 <= trade_id < len(trades):
                findings.add(where, "trade once", "is not in all_trades.csv")
            elif tx != trades[trade_id]:
                for name, found, expected in zip(TRANSACTION, tx, trades[trade_id]):
                    findings.differ(where, "chain against trades", name, found, expected)
    for trade_id in range(len(trades)):
        if seen[trade_id] != 1:
            findings.add(
                f"trade {trade_id}", "trade once", f"is on the chain {seen[trade_id]} times"
            )


def _check_packing(
    chain: Chain, rules: Rules, trades: list[Transaction], findings: Findings
) -> None:
    """Blocks in step order, filled in trade order, exactly as many as each step needs."""
    latest = 0
    for height, block in enumerate(chain.blocks[1:], 1):
        size = len(block.transactions)
        if not 0 < size <= rules.block_size:
            findings.add(
                f"block {height}", "block size", f"{size} trades, expected 1 to {rules.block_size}"
            )
        if block.timestep < latest:
            findings.add(
                f"block {height}", "block order", f"step {block.timestep} after step {latest}"
            )
        latest = max(latest, block.timestep)
    for height, (here, after) in enumerate(zip(chain.blocks[1:], chain.blocks[2:]), 1):
        if here.timestep == after.timestep and len(here.transactions) < rules.block_size:
            detail = f"{len(here.transactions)} trades, but the step goes on in the next block"
            findings.add(f"block {height}", "block fill", detail)
    mined = Counter(block.timestep for block in chain.blocks[1:])
    traded = Counter(trade[2] for trade in trades)
    for step in sorted(mined.keys() | traded.keys()):
        needed = -(-traded[step] // rules.block_size)
        findings.differ(f"step {step}", "blocks per step", "number of blocks", mined[step], needed)


def _check_table(chain: Chain, findings: Findings) -> None:
    """blocks.csv says what the chain says, digit by digit."""
    names = BLOCKS_CSV.split(",")
    findings.differ(
        "blocks.csv", "blocks.csv", "number of rows", len(chain.table), len(chain.blocks)
    )
    for height, (row, block) in enumerate(zip(chain.table, chain.blocks)):
        for name, text in zip(names, row):
            value = len(block.transactions) if name == "transactions" else getattr(block, name)
            findings.differ(f"block {height}", "blocks.csv", name, text, str(value))


def _check_race(blocks: list[Block], rules: Rules, findings: Findings, progress: Progress) -> None:
    """Mines again: no attempt before the winner's was valid. Only blocks without a finding can be raced."""
    below = (
        (1 << 4 * (64 - rules.difficulty)).to_bytes(32, "big") if rules.difficulty else b"\xff" * 33
    )
    for n, block in enumerate(blocks):
        progress("race", n / len(blocks))
        first = block.height % rules.miners
        rounds, inside = divmod(block.nonce, rules.weights[block.miner])
        winners_turn = (block.miner - first) % rules.miners
        for miner in range(rules.miners):
            turn, weight = (miner - first) % rules.miners, rules.weights[miner]
            end = block.nonce if miner == block.miner else (rounds + (turn < winners_turn)) * weight
            nonce = _first_valid(header_start(block, rules.version, miner), end, below)
            if nonce is not None:
                detail = f"miner {miner} had won with nonce {nonce}, before miner {block.miner} with {block.nonce}"
                findings.add(f"block {block.height}", "race", detail)
                break


def _first_valid(start: bytes, end: int, below: bytes) -> int | None:
    """The first nonce under `end` that makes this header's hash smaller than `below`, or None."""
    begun, pack = sha256(start), struct.Struct("<Q").pack
    for nonce in range(end):
        attempt = begun.copy()
        attempt.update(pack(nonce))
        if attempt.digest() < below:
            return nonce
    return None
