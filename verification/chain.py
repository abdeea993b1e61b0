"""The second reading of the chain: blockchain.json and blocks.csv against settings and trades.

Every hash is computed again with the few lines below, which are written from the description of the
format and not shared with the code that mined the chain.
"""

from __future__ import annotations

import itertools
import re
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from verification.blocks import BLOCKS_CSV, HASHES, NUMBERS, Block, Chain, Rules
from verification.findings import Findings, Progress, show
from verification.folder import Saved
from verification.transactions import (
    NAMES,
    Transaction,
    Transactions,
)

HEADER_START = struct.Struct("<6I32s32s")
NONCE = struct.Struct("<Q")
HASH_TEXT = re.compile("[0-9a-f]{64}")
RACED_ANYWAY = 2**18  # attempts, a tenth of a second
STARTS_OF_A_MINER = 10  # attempts that cost as much as beginning a miner's race


# ------------------------------------------------------------------------------------- hashing


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over hashed leaves as in RFC 6962: pairs from the left, an odd one goes up as it is."""
    level = list(leaves) or [sha256(b"").digest()]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level = above + level[2 * len(above) :]
    return level[0]


def header_start(block: Block, version: int, miner: int) -> bytes:
    """The 88 bytes of a header before its nonce."""
    numbers = version, block.height, block.timestep, miner, block.difficulty
    hashes = bytes.fromhex(block.previous_hash), bytes.fromhex(block.merkle_root)
    return HEADER_START.pack(*numbers, len(block.transactions), *hashes)


def hashes_tried(height: int, miner: int, nonce: int, weights: tuple[int, ...]) -> int:
    """Attempts of all miners up to and with this nonce of this miner.

    In round k each miner m tries its nonces k*w to k*w+w-1; miner height mod M begins the round.
    """
    rounds, within = divmod(nonce, weights[miner])
    first = height % len(weights)
    turns = weights[first:] + weights[:first]
    return rounds * sum(turns) + sum(turns[: (miner - first) % len(turns)]) + within + 1


def validators(chain: Chain, rules: Rules) -> list[int]:
    """The validator that stake entitles to each height; zeros in proof of work, where nobody has a turn."""
    genesis = chain.blocks[0].block_hash if chain.blocks else ""
    if rules.version == 1 or not HASH_TEXT.fullmatch(genesis):
        return [0] * len(chain.blocks)
    stake_up_to = list(itertools.accumulate(rules.stakes))
    seed, chosen = sha256(bytes.fromhex(genesis)).digest(), [0]
    while len(chosen) < len(chain.blocks):
        seed = sha256(seed + struct.pack("<I", chosen[-1])).digest()
        turn = int.from_bytes(seed, "big") % stake_up_to[-1]
        chosen.append(bisect_right(stake_up_to, turn))
    return chosen


# -------------------------------------------------------------------------------------- blocks


def check_chain(
    saved: Saved, chain: Chain, findings: Findings, race: bool, progress: Progress
) -> None:
    """All that the chain of a folder promises; every sound block is mined again on `race`, or where that is quick."""
    rules, trades = saved.settings.chain, chain.trades
    check_head(chain, rules, findings)
    sound, previous = [], "0" * 64
    for height, entitled in enumerate(validators(chain, rules)):
        if height % 256 == 0:
            progress("chain", height / len(chain.blocks))
        block, known = chain.blocks[height], findings.total
        check_link(height, block, previous, findings)
        if height == 0:
            check_genesis(block, rules, findings)
        else:
            check_sealing(height, block, rules, entitled, findings)
        check_hashes(height, block, rules.version, findings)
        if height > 0 and findings.total == known:
            sound.append(block)
        previous = block.block_hash
    check_trades_once(saved, chain, trades, findings)
    check_packing(chain, rules, trades, findings)
    check_table(chain, findings)
    if rules.version == 1 and (race or is_raced_anyway(chain, rules)):
        check_race(sound, rules, findings, progress)


def check_head(chain: Chain, rules: Rules, findings: Findings) -> None:
    """What stands beside the blocks is what the settings say."""
    euro, rest = divmod(rules.reward_nanoeur, 10**9)
    due = {"version": rules.version, "difficulty": rules.difficulty, "miners": rules.miners}
    for name, value in due.items():
        findings.differ("chain", "chain settings", name, chain.head[name], value)
    told, reward = chain.head["block_reward_eur"], f"{euro}.{rest:09d}"
    findings.differ("chain", "chain settings", "block_reward_eur", told, reward)
    if not chain.blocks:
        findings.add("chain", "empty chain", "there is no block, expected at least the genesis")


def check_link(height: int, block: Block, previous: str, findings: Findings) -> None:
    where = f"block {height}"
    findings.differ(where, "height", "height", block.height, height)
    findings.differ(where, "link", "previous_hash", block.previous_hash, previous)


def check_genesis(block: Block, rules: Rules, findings: Findings) -> None:
    """The first block says nothing but which scenario the chain belongs to."""
    for name in ("timestep", "miner", "difficulty", "nonce", "hashes_tried"):
        findings.differ("block 0", "genesis", name, getattr(block, name), 0)
    findings.differ("block 0", "genesis", "transactions", len(block.transactions), 0)
    name, root = "merkle_root (SHA-256 of params.json)", rules.genesis_root.hex()
    findings.differ("block 0", "genesis", name, block.merkle_root, root)


def check_sealing(
    height: int, block: Block, rules: Rules, entitled: int, findings: Findings
) -> None:
    """Who was allowed to seal this block, and with how much work."""
    where = f"block {height}"
    findings.differ(where, "difficulty", "difficulty", block.difficulty, rules.difficulty)
    if not 0 <= block.miner < rules.miners:
        detail = f"miner is {show(block.miner)}, expected 0 to {rules.miners - 1}"
        findings.add(where, "miner", detail)
    if rules.version == 2:
        findings.differ(where, "stake", "miner", block.miner, entitled)
        findings.differ(where, "stake", "nonce", block.nonce, 0)
        findings.differ(where, "hashes_tried", "hashes_tried", block.hashes_tried, 0)
        return
    if not block.block_hash.startswith("0" * rules.difficulty):
        found = f"block_hash is {show(block.block_hash)}"
        findings.add(where, "proof of work", f"{found}, expected {rules.difficulty} leading zeros")
    if 0 <= block.miner < rules.miners and 0 <= block.nonce < 2**64:
        tried = hashes_tried(height, block.miner, block.nonce, rules.weights)
        findings.differ(where, "hashes_tried", "hashes_tried", block.hashes_tried, tried)


def check_hashes(height: int, block: Block, version: int, findings: Findings) -> None:
    """tx_id of each trade, Merkle root and header hash, all computed again."""
    where, records = f"block {height}", block.transactions.each_record()
    check_tx_ids(where, block.transactions, records, findings)
    if height > 0:  # the genesis has the hash of the settings in its place
        root = merkle_root([sha256(b"\x00" + record).digest() for record in records]).hex()
        findings.differ(where, "merkle root", "merkle_root", block.merkle_root, root)
    if not 0 <= block.hashes_tried < 2**64:  # bounded like the nonce, though not in the header
        findings.add(where, "number range", f"hashes_tried is {show(block.hashes_tried)}")
    malformed = [name for name in HASHES if not HASH_TEXT.fullmatch(getattr(block, name))]
    for name in malformed:
        detail = f"{name} is {show(getattr(block, name))}, expected 64 lower-case hex digits"
        findings.add(where, "hash text", detail)
    if malformed:
        return
    try:
        header = header_start(block, version, block.miner) + NONCE.pack(block.nonce)
    except struct.error:
        numbers = ", ".join(f"{name} {show(getattr(block, name))}" for name in NUMBERS)
        findings.add(where, "number range", f"no header of 96 bytes holds {numbers}")
        return
    hashed = sha256(header).hexdigest()
    findings.differ(where, "block hash", "block_hash", block.block_hash, hashed)


def check_tx_ids(
    where: str, transactions: Transactions, records: list[bytes], findings: Findings
) -> None:
    """Each tx_id is the hash of its record."""
    due = [sha256(record).digest() for record in records]
    if b"".join(due).hex().encode() == transactions.tx_ids and not transactions.odd:
        return
    for tx, record, tx_id in zip(transactions, records, due, strict=True):
        trade = f"{where}, trade {show(tx.trade_id)}"
        if not record:  # the Merkle root is wrong as well
            detail = f"no record of 37 bytes holds {show(tx.numbers)}"
            findings.add(trade, "number range", detail)
        findings.differ(trade, "tx_id", "tx_id", tx.tx_id, tx_id.hex())


# ---------------------------------------------------------------------------- blocks and trades


def check_trades_once(saved: Saved, chain: Chain, trades: Transactions, findings: Findings) -> None:
    """Every trade stands on the chain once and only once, in order, as all_trades.csv has it."""
    seen, last, step = np.zeros(len(trades), np.int64), -1, trades.columns()["timestep"]
    numbered = np.array_equal(trades.columns()["trade_id"], np.arange(len(trades)))
    in_order = numbered and not (step[1:] < step[:-1]).any()
    for height, block in enumerate(chain.blocks):
        due = slice(last + 1, last + 1 + len(block.transactions))
        if in_order and trades.holds(block.transactions, due.start):
            if due.start == due.stop or step[due.start] == step[due.stop - 1] == block.timestep:
                seen[due] += 1
                last = due.stop - 1
                continue
        for tx in block.transactions:
            check_place(height, tx, trades, last, block.timestep, findings)
            last = tx.trade_id
            if 0 <= last < len(trades):
                seen[last] += 1
    for trade_id in np.flatnonzero(seen != 1).tolist():
        words = f"stands on the chain {seen[trade_id]} times"
        findings.add(saved.trade_name(trade_id), "trade once", words)


def check_place(
    height: int, tx: Transaction, trades: Transactions, last: int, step: int, findings: Findings
) -> None:
    """A transaction is a trade of its block's step, and stands after the one before it (`last`)."""
    where = f"block {height}, trade {show(tx.trade_id)}"
    if tx.trade_id <= last:
        findings.add(where, "trade order", f"stands after trade {show(last)}")
    findings.differ(where, "block step", "timestep", tx.timestep, step)
    if not 0 <= tx.trade_id < len(trades):
        findings.add(where, "trade once", "is not in all_trades.csv")
        return
    for name, found, expected in zip(NAMES, tx, trades[tx.trade_id], strict=True):
        findings.differ(where, "chain against trades", name, found, expected)


def check_packing(chain: Chain, rules: Rules, trades: Transactions, findings: Findings) -> None:
    """Blocks in step order, filled in trade order, exactly as many as each step needs."""
    blocks, latest = chain.blocks[1:], 0
    for height, block in enumerate(blocks, 1):
        size, where = len(block.transactions), f"block {height}"
        if not 0 < size <= rules.block_size:
            findings.add(where, "block size", f"{size} trades, expected 1 to {rules.block_size}")
        if block.timestep < latest:
            detail = f"step {show(block.timestep)} after step {show(latest)}"
            findings.add(where, "block order", detail)
        latest = max(latest, block.timestep)
        more = height < len(blocks) and blocks[height].timestep == block.timestep
        if more and size < rules.block_size:
            findings.add(
                where, "block fill", f"{size} trades, but the step goes on in block {height + 1}"
            )
    mined = Counter(block.timestep for block in blocks)
    traded = Counter(trades.told("timestep"))
    for step in sorted(mined.keys() | traded.keys()):
        due = -(-traded[step] // rules.block_size)
        findings.differ(f"step {show(step)}", "blocks per step", "blocks", mined[step], due)


def check_table(chain: Chain, findings: Findings) -> None:
    """blocks.csv says what the chain says, digit by digit."""
    rule, names = "blocks.csv", BLOCKS_CSV.split(",")
    findings.differ(rule, rule, "number of rows", len(chain.table), len(chain.blocks))
    for height, (row, block) in enumerate(zip(chain.table, chain.blocks, strict=False)):
        told = {**vars(block), "transactions": len(block.transactions)}
        due = tuple([str(told[name]) for name in names])
        if row == due:
            continue
        for name, text, value in zip(names, row, due, strict=True):
            findings.differ(f"block {height}", rule, name, text, value)


# ---------------------------------------------------------------------------------------- race


def is_raced_anyway(chain: Chain, rules: Rules) -> bool:
    """Whether mining this chain again takes no longer than reading it: a day of the default settings does not."""
    expected = len(chain.blocks) * (16**rules.difficulty + STARTS_OF_A_MINER * rules.miners)
    return expected <= RACED_ANYWAY


def check_race(blocks: list[Block], rules: Rules, findings: Findings, progress: Progress) -> None:
    """Mines again: no attempt before the winner's was valid. Only sound blocks can be raced."""
    done, work = 0, sum(block.hashes_tried for block in blocks)
    for block in blocks:
        for turn in range(rules.miners):
            progress("race", (done + block.hashes_tried * turn / rules.miners) / work)
            earlier = earlier_winner(block, rules, turn)
            if earlier:
                won = "miner {} had won with nonce {}".format(*earlier)
                detail = f"{won}, before miner {block.miner} with nonce {block.nonce}"
                findings.add(f"block {block.height}", "race", detail)
                break
        done += block.hashes_tried
    progress("race", 1)


def earlier_winner(block: Block, rules: Rules, turn: int) -> tuple[int, int] | None:
    """(miner, nonce) of a valid attempt, of the miner at this turn, before the block's own."""
    first, weights = block.height % rules.miners, rules.weights
    winners_turn = (block.miner - first) % rules.miners
    miner, end = (first + turn) % rules.miners, block.nonce
    if turn != winners_turn:
        rounds = block.nonce // weights[block.miner] + (turn < winners_turn)
        end = rounds * weights[miner]
    start = header_start(block, rules.version, miner)
    nonce = first_valid(start, end, 1 << 4 * (64 - rules.difficulty))
    return None if nonce is None else (miner, nonce)


def first_valid(start: bytes, end: int, below: int) -> int | None:
    """The first nonce under `end` with which this header hashes to less than `below`."""
    limit = min(below, 2**256 - 1).to_bytes(32, "big")
    begun, pack = sha256(start), NONCE.pack
    for nonce in range(end):
        attempt = begun.copy()
        attempt.update(pack(nonce))
        if attempt.digest() < limit:
            return nonce
    return None
