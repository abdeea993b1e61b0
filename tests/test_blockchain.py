"""The ledger: bytes built a second time by hand, a race that is repeated by brute force, nothing pending."""

from __future__ import annotations

import itertools
import json
import struct
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_run
from hypothesis import given
from worlds import explore, grow, quick_settings

import blockchain
from records import FIRST_MINER, MINT, Block, Reason, TradeKind, Trades

PARAMS = b'{"SEED": 1}\n'


def make_trades(count: int, first: int = 0) -> Trades:
    """So many trades whose every field differs; every third one is with the aggregator."""
    number = np.arange(first, first + count, dtype=np.int64)
    market = number % 3 == 2
    return Trades(
        seller=np.where(market, -1, number + 1000).astype(np.int32),
        buyer=number.astype(np.int32),
        energy_wh=number * 7 + 1,
        price_microeur_per_kwh=number * 11 + 100_000,
        kind=np.where(market, 2, 1).astype(np.uint8),
    )


def make_chain(**changes: Any) -> blockchain.Chain:
    return blockchain.Chain(quick_settings(**{"CONSENSUS": "pow"} | changes), PARAMS)


@lru_cache(maxsize=1)
def day() -> Any:
    """A day with its ledger: 100 members, difficulty 2 so that the race can be repeated here."""
    return make_run(CONSENSUS="pow", DIFFICULTY_TARGET=2)


# ---------------------------------------------------------------- bytes


def record_by_hand(
    kind: int, step: int, trade: int, buyer: int, seller: int, wh: int, price: int
) -> bytes:
    """37 bytes, little-endian, unpadded: u8, u32, u64, i32, i32, i64, i64."""
    parts = [
        kind.to_bytes(1, "little"),
        step.to_bytes(4, "little"),
        trade.to_bytes(8, "little"),
        buyer.to_bytes(4, "little", signed=True),
        seller.to_bytes(4, "little", signed=True),
        wh.to_bytes(8, "little", signed=True),
        price.to_bytes(8, "little", signed=True),
    ]
    return b"".join(parts)


def header_by_hand(block: Block, **changes: int) -> bytes:
    """96 bytes, little-endian: six u32, two hashes, the nonce as u64."""
    fields = {
        "version": block.version,
        "height": block.height,
        "timestep": block.timestep,
        "miner": block.miner,
        "difficulty": block.difficulty,
        "transactions": len(block.records),
        "nonce": block.nonce,
    } | changes
    nonce = fields.pop("nonce")
    numbers = b"".join(value.to_bytes(4, "little") for value in fields.values())
    return numbers + block.previous_hash + block.merkle_root + nonce.to_bytes(8, "little")


def test_a_record_is_37_bytes_in_the_documented_order() -> None:
    chain = make_chain(DIFFICULTY_TARGET=0)
    grow(chain, 3, make_trades(4))
    (block,) = grow(chain, 258, make_trades(2, first=4))
    assert [len(record) for record in block.records] == [37, 37]
    assert block.records[0] == record_by_hand(1, 258, 4, 4, 1004, 29, 100_044)
    assert block.records[1] == record_by_hand(2, 258, 5, 5, -1, 36, 100_055)
    assert block.records[1] == struct.pack("<BIQiiqq", 2, 258, 5, 5, -1, 36, 100_055)


def test_a_header_is_96_bytes_and_hashes_to_the_block_hash() -> None:
    for block in day().chain.blocks:
        header = header_by_hand(block)
        assert len(header) == 96
        assert sha256(header).digest() == block.block_hash


def test_every_field_of_the_header_is_covered_by_its_hash() -> None:
    """Miner, height, step, difficulty and count too: none can be edited without new work (trap 18)."""
    block = day().chain.blocks[1]
    for name in ("version", "height", "timestep", "miner", "difficulty", "transactions", "nonce"):
        value = getattr(block, name, len(block.records))
        changed = sha256(header_by_hand(block, **{name: value + 1})).digest()
        assert changed != block.block_hash, name


def test_the_first_block_is_bound_to_the_bytes_of_the_scenario() -> None:
    """Height, step, miner, difficulty and nonce 0, no trades, no predecessor; root: hash of params.json."""
    chain = make_chain()
    (genesis,) = chain.blocks
    root = sha256(PARAMS).digest()
    header = struct.pack("<6I", 1, 0, 0, 0, 0, 0) + bytes(32) + root + bytes(8)
    assert genesis.merkle_root == root and genesis.previous_hash == bytes(32)
    assert genesis.block_hash == sha256(header).digest() == chain.tip
    assert genesis.records == () and genesis.hashes_tried == 0
    other = blockchain.Chain(quick_settings(CONSENSUS="pow"), PARAMS + b" ")
    assert other.tip != chain.tip


def test_the_chain_of_a_run_begins_with_its_params() -> None:
    """Every setting in force is in those bytes, so another setting is another chain."""
    run = day()
    assert run.chain.blocks[0].merkle_root == sha256(run.scenario.params).digest()
    content = json.loads(run.scenario.params)
    assert content["SEED"] == 42 and content["DIFFICULTY_TARGET"] == 2


# ---------------------------------------------------------------- Merkle tree


def merkle_by_recursion(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word: split at the largest power of two smaller than n."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    left, right = merkle_by_recursion(leaves[:k]), merkle_by_recursion(leaves[k:])
    return sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("n", range(41))
def test_the_merkle_root_is_that_of_rfc_6962(n: int) -> None:
    leaves = tuple(i.to_bytes(37, "little") for i in range(n))
    assert blockchain.merkle_root(leaves) == merkle_by_recursion(leaves)


def test_the_merkle_root_of_the_published_example() -> None:
    """The eight leaves of Certificate Transparency's own test, and their roots."""
    leaves = [
        bytes.fromhex(text)
        for text in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for n, root in roots.items():
        assert blockchain.merkle_root(tuple(leaves[:n])).hex() == root


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.data())
@explore
def test_any_changed_missing_or_moved_record_changes_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    root = blockchain.merkle_root(tuple(leaves))
    i = data.draw(st.integers(0, len(leaves) - 1))
    edited = [*leaves[:i], leaves[i] + b"!", *leaves[i + 1 :]]
    for other in (edited, leaves[:i] + leaves[i + 1 :], [*leaves, leaves[-1]]):
        assert blockchain.merkle_root(tuple(other)) != root
    turned = leaves[::-1]
    assert (blockchain.merkle_root(tuple(turned)) != root) == (turned != leaves)


# ---------------------------------------------------------------- the race


def attempts(block: Block, miners: int, power: Sequence[int]) -> Any:
    """(miner, nonce) of every attempt in the documented order: rounds, then miners from height mod n on."""
    order = [(block.height + turn) % miners for turn in range(miners)]
    for done in itertools.count():
        for miner in order:
            for nonce in range(done * power[miner], (done + 1) * power[miner]):
                yield miner, nonce


def assert_won_the_race(block: Block, miners: int, power: Sequence[int] | None = None) -> None:
    """No attempt before the winner's has a valid hash, and `hashes_tried` counts them all."""
    zeros = "0" * block.difficulty
    for tried, (miner, nonce) in enumerate(attempts(block, miners, power or [1] * miners), 1):
        valid = sha256(header_by_hand(block, miner=miner, nonce=nonce)).hexdigest()
        if valid.startswith(zeros):
            assert (block.miner, block.nonce, block.hashes_tried) == (miner, nonce, tried)
            return


def test_the_winner_of_every_block_is_the_first_valid_hash() -> None:
    """The whole race of a day again, by brute force and with headers built by hand (trap 19)."""
    for block in day().chain.blocks[1:]:
        assert block.block_hash.hex().startswith("00")
        assert_won_the_race(block, 15)


@given(miners=st.integers(1, 9), difficulty=st.integers(0, 1), steps=st.integers(1, 6))
@explore
def test_the_race_is_fair_and_counted_for_any_number_of_miners(
    miners: int, difficulty: int, steps: int
) -> None:
    chain = make_chain(NUM_MINERS=miners, DIFFICULTY_TARGET=difficulty)
    for step in range(steps):
        grow(chain, step, make_trades(2))
    for block in chain.blocks[1:]:
        assert_won_the_race(block, miners)
        expected = block.nonce * miners + (block.miner - block.height) % miners + 1
        assert block.hashes_tried == expected


def test_without_difficulty_the_first_attempt_wins_and_the_miners_take_turns() -> None:
    chain = make_chain(DIFFICULTY_TARGET=0, NUM_MINERS=4)
    for step in range(8):
        grow(chain, step, make_trades(1))
    blocks = chain.blocks[1:]
    assert [block.miner for block in blocks] == [1, 2, 3, 0, 1, 2, 3, 0]
    assert {(block.nonce, block.hashes_tried) for block in blocks} == {(0, 1)}


def test_miners_with_more_power_try_more_nonces_in_their_turn() -> None:
    """In round k a miner with power w tries k w to k w + w - 1; so it wins about w times as often."""
    power = [1, 2, 5]
    chain = make_chain(DIFFICULTY_TARGET=1, NUM_MINERS=3, MINER_HASH_POWER=power)
    for step in range(400):
        grow(chain, step, make_trades(1))
    for block in chain.blocks[1:60]:
        assert_won_the_race(block, 3, power)
    wins = Counter(block.miner for block in chain.blocks[1:])
    for miner, weight in enumerate(power):
        assert wins[miner] / 400 == pytest.approx(weight / 8, abs=0.08)


def test_the_race_runs_at_a_rate_that_hashes_only_the_nonce() -> None:
    """A body hashed again for each nonce manages some ten thousand attempts a second (trap 19)."""
    chain = make_chain(MAX_TRANSACTIONS_PER_BLOCK=1_000_000)
    began = time.process_time()  # other programs of the machine do not count
    (block,) = grow(chain, 0, make_trades(20_000))
    once = time.process_time() - began
    assert block.hashes_tried / once > 2_000, "the body of 20,000 trades weighs on every attempt"
    began, tried = time.process_time(), 0
    for step in range(10):
        tried += sum(b.hashes_tried for b in grow(chain, step, make_trades(1)))
    assert tried / (time.process_time() - began) > 300_000


# ---------------------------------------------------------------- stake


def test_the_turn_of_a_validator_follows_from_the_one_before() -> None:
    """seed_h = SHA-256(seed_{h-1} || validator_{h-1}); the content of blocks does not enter."""
    stakes = [20, 18, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0]
    chain = make_chain(CONSENSUS="pos", VALIDATOR_STAKES=stakes)
    for step in range(300):
        grow(chain, step, make_trades(1))
    seed, validator = sha256(chain.blocks[0].block_hash).digest(), 0
    for block in chain.blocks[1:]:
        seed = sha256(seed + struct.pack("<I", validator)).digest()
        point, validator = int(seed.hex(), 16) % sum(stakes), 0
        while point >= stakes[validator]:
            point -= stakes[validator]
            validator += 1
        assert block.miner == validator
        assert (block.version, block.difficulty, block.nonce, block.hashes_tried) == (2, 0, 0, 0)
        assert sha256(header_by_hand(block)).digest() == block.block_hash
    turns = Counter(block.miner for block in chain.blocks[1:])
    assert turns[14] == 0, "a validator without stake had a turn"
    assert turns[0] / 300 == pytest.approx(20 / sum(stakes), abs=0.06)


def test_a_validator_cannot_grind_for_the_next_turn() -> None:
    """Other trades, the same validators: there is nothing to choose."""
    chains = [make_chain(CONSENSUS="pos") for _ in range(2)]
    for step in range(40):
        for which, chain in enumerate(chains):
            grow(chain, step, make_trades(1 + which))
    one, two = ([block.miner for block in chain.blocks] for chain in chains)
    assert one == two and chains[0].tip != chains[1].tip


# ---------------------------------------------------------------- blocks and rewards


@given(count=st.integers(0, 130), most=st.sampled_from([1, 2, 50, 51, 1000]))
@explore
def test_a_step_mines_as_many_blocks_as_its_trades_need(count: int, most: int) -> None:
    chain = make_chain(DIFFICULTY_TARGET=0, MAX_TRANSACTIONS_PER_BLOCK=most)
    blocks = grow(chain, 5, make_trades(count))
    sizes = [len(block.records) for block in blocks]
    assert sum(sizes) == count and len(sizes) == -(-count // most)
    assert all(size == most for size in sizes[:-1])
    assert all(block.timestep == 5 for block in blocks)


def test_the_chain_holds_every_trade_of_the_day_in_order_and_nothing_is_pending() -> None:
    """On-chain values are the settled ones, to the last Wh and micro-euro (trap 20)."""
    run = day()
    on_chain = [record for block in run.chain.blocks for record in block.records]
    settled = [
        (int(kind), result.timestep, int(buyer), int(seller), int(wh), int(price))
        for result in run.steps
        for kind, buyer, seller, wh, price in zip(
            result.trades.kind,
            result.trades.buyer,
            result.trades.seller,
            result.trades.energy_wh,
            result.trades.price_microeur_per_kwh,
            strict=True,
        )
    ]
    assert len(on_chain) == len(settled) > 500
    for trade_id, (record, (kind, step, buyer, seller, wh, price)) in enumerate(
        zip(on_chain, settled, strict=True)
    ):
        assert record == record_by_hand(kind, step, trade_id, buyer, seller, wh, price)


def test_each_block_points_at_the_one_before_and_no_height_is_missing() -> None:
    blocks = day().chain.blocks
    assert [block.height for block in blocks] == list(range(len(blocks)))
    for before, block in itertools.pairwise(blocks):
        assert block.previous_hash == before.block_hash
        assert block.merkle_root == merkle_by_recursion(block.records)
        assert block.timestep >= before.timestep


def test_a_step_without_trades_mines_nothing_and_the_next_one_goes_on() -> None:
    chain = make_chain(DIFFICULTY_TARGET=0)
    assert grow(chain, 0, make_trades(0)) == ()
    (block,) = grow(chain, 1, make_trades(1))
    assert (block.height, block.timestep) == (1, 1)


def test_each_winner_gets_the_reward_of_its_blocks_from_the_mint() -> None:
    """0.1 EUR of new money per block: the mint's account goes down by what the miners' accounts go up."""
    run = day()
    wins = Counter(block.miner for block in run.chain.blocks[1:])
    balance = run.end.balance_nanoeur
    for miner in range(15):
        assert balance[FIRST_MINER - miner] == wins[miner] * 100_000_000
    assert balance[MINT] == -100_000_000 * (len(run.chain.blocks) - 1)
    for result in run.steps:
        rewards = result.transfers.reason == Reason.BLOCK_REWARD
        payees = [FIRST_MINER - block.miner for block in result.blocks]
        assert result.transfers.payee[rewards].tolist() == payees


def test_without_a_ledger_nobody_is_rewarded() -> None:
    run = make_run(NUM_PROSUMERS=10)
    assert run.chain is None and run.end.balance_nanoeur[MINT] == 0
    assert not any(result.blocks for result in run.steps)


def test_kinds_of_trades_are_numbered_as_documented() -> None:
    assert (TradeKind.P2P, TradeKind.LOCAL_MARKET) == (1, 2)


def test_every_miner_wins_its_share_of_blocks() -> None:
    """15 miners at difficulty 1: with a fixed first, it would win 10 % and the last 4 % (trap 30)."""
    chain = make_chain(DIFFICULTY_TARGET=1)
    for step in range(6000):
        grow(chain, step, make_trades(1))
    wins = Counter(block.miner for block in chain.blocks[1:])
    chi_square = sum((wins[miner] - 400) ** 2 / 400 for miner in range(15))
    assert chi_square < 36.1, f"0.1 % of fair races are as uneven as {dict(wins)}"
