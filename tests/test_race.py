"""The race is fair and real: winners follow hash power, attempts follow the geometric law.

Every race here is deterministic (fixed headers), so a test either always passes or always fails; the
limits are far outside what chance allows (probability below one in a thousand).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate, count

import numpy as np
import pytest
from scipy import stats

from blockchain import Draft, entitled, merkle_root
from figures.ledger import race_chances
from mining import race_of_miners

BLOCKS = 3000
LEAST_PROBABILITY = 0.001


def race_many(power: list[int], difficulty: int, blocks: int = BLOCKS) -> tuple[Counter, list[int]]:
    """(blocks won by each miner, attempts of each block) of a chain of empty-handed blocks."""
    wins: Counter = Counter()
    attempts, previous = [], bytes(32)
    for height in range(1, blocks + 1):
        records = (b"trade" * 7,)
        draft = Draft(1, height, 0, previous, merkle_root(records), records)
        headers = [draft.header(miner, difficulty) for miner in range(len(power))]
        miner, nonce, tried = race_of_miners(headers, height % len(power), difficulty, power)
        previous = draft.sealed(miner, difficulty, nonce, tried).block_hash
        wins[miner] += 1
        attempts.append(tried)
    return wins, attempts


@pytest.fixture(scope="module")
def equal_race() -> tuple[Counter, list[int]]:
    """15 equal miners at difficulty 1, where going first would matter most (trap 30)."""
    return race_many([1] * 15, difficulty=1)


def test_equal_miners_win_equally_often(equal_race: tuple[Counter, list[int]]) -> None:
    won = [equal_race[0][miner] for miner in range(15)]
    assert stats.chisquare(won).pvalue > LEAST_PROBABILITY, won


def test_attempts_per_block_follow_the_geometric_law(equal_race: tuple[Counter, list[int]]) -> None:
    """At difficulty 1 each attempt wins with 1/16: chi-square over ten classes of equal expectation."""
    edges = stats.geom.ppf(np.linspace(0, 1, 11)[1:-1], 1 / 16)
    counts = np.bincount(np.searchsorted(edges, equal_race[1]), minlength=10)
    below = stats.geom.cdf(np.concatenate([[0], edges, [np.inf]]), 1 / 16)
    expected = np.diff(below) * len(equal_race[1])
    assert stats.chisquare(counts, expected).pvalue > LEAST_PROBABILITY, counts


def test_a_fixed_first_miner_would_have_been_noticed() -> None:
    """The same test refutes a race that miner 0 always begins: it can fail."""
    won: Counter = Counter()
    for height in range(BLOCKS):
        draft = Draft(1, height, 0, bytes(32), merkle_root(()), ())
        headers = [draft.header(m, 1) for m in range(15)]
        won[race_of_miners(headers, 0, 1, [1] * 15)[0]] += 1
    assert stats.chisquare([won[miner] for miner in range(15)]).pvalue < LEAST_PROBABILITY


def test_hash_power_shifts_the_shares_as_it_should() -> None:
    """At difficulty 2 a round of ten attempts is short against 256, so shares follow power."""
    power = [5, 2, 1, 1, 1]
    wins, _ = race_many(power, difficulty=2, blocks=2000)
    expected = np.array(power) / sum(power) * 2000
    assert stats.chisquare([wins[m] for m in range(5)], expected).pvalue > LEAST_PROBABILITY, wins


def test_in_a_long_round_it_matters_whom_one_follows() -> None:
    """At difficulty 1 a round of 52 attempts is long against 16: of two equal miners the one that comes
    right after the strong one wins less. The figure expects what the race gives, and not the shares of power."""
    power = [50, 1, 1]
    wins, _ = race_many(power, difficulty=1)
    won = [wins[miner] for miner in range(3)]
    expected = BLOCKS * race_chances(power, 1, np.arange(1, BLOCKS + 1))
    assert stats.chisquare(won, expected).pvalue > LEAST_PROBABILITY, won
    by_power = BLOCKS * np.array(power) / 52
    assert stats.chisquare(won, by_power).pvalue < LEAST_PROBABILITY, won


def test_the_chance_of_a_miner_is_that_of_its_turn() -> None:
    """Two miners at difficulty 1, the first with two attempts a round: it wins with its turn, whoever begins."""
    q, both = 15 / 16, np.array([1, 2])
    first = ((1 - q**2) + q * (1 - q**2)) / (1 - q**3) / 2
    assert race_chances([2, 1], 1, both) == pytest.approx([first, 1 - first], rel=1e-12)
    first = (1 - q**2) / (1 - q**3)
    assert race_chances([2, 1], 1, both[1:]) == pytest.approx([first, 1 - first], rel=1e-12)
    heights = np.array([1, 2, 3, 4])
    assert race_chances([7, 1, 2], 0, heights) == pytest.approx([1 / 4, 2 / 4, 1 / 4]), "who begins"
    assert race_chances([7, 1, 2], 16, heights) == pytest.approx([0.7, 0.1, 0.2], rel=1e-9)


def test_few_blocks_are_won_by_those_that_begin_them() -> None:
    """Of 100 miners at difficulty 1 only the first 24 begin one of 24 blocks: 200 such chains, each with its own
    headers. The figure expects what they win, in four groups."""
    power, won = [1, 2] * 50, np.zeros(100)
    for chain in range(200):
        for height in range(1, 25):
            draft = Draft(1, height, chain, bytes(32), merkle_root(()), ())
            headers = [draft.header(m, 1) for m in range(100)]
            won[race_of_miners(headers, height, 1, power)[0]] += 1
    chances = race_chances(power, 1, np.arange(1, 25))
    groups, expected = (x.reshape(4, 25).sum(axis=1) for x in (won, 200 * 24 * chances))
    assert stats.chisquare(groups, expected).pvalue > LEAST_PROBABILITY, (groups, expected)
    assert groups[0] > 2 * groups[2], "equal shares would give a quarter to each"


def attempts(first: int, power: list[int]) -> Iterator[tuple[int, int]]:
    """(miner, nonce) as the format orders them: round, miner from the first on, nonces of its power."""
    for k in count():
        for miner in (*range(first, len(power)), *range(first)):
            for nonce in range(k * power[miner], (k + 1) * power[miner]):
                yield miner, nonce


@pytest.mark.parametrize(
    "power",
    [[1], [1, 1], [1] * 4, [2] * 4, [1, 2, 3], [3, *[1] * 14], [7, 9], [8, 8], [40, 1, 2], [1000]],
    ids=str,
)
def test_the_first_valid_attempt_wins_whatever_the_power(power: list[int]) -> None:
    for height in range(1, 25):
        draft = Draft(1, height, 0, bytes(32), merkle_root(()), ())
        headers = [draft.header(m, 2) for m in range(len(power))]
        first = height % len(power)
        tried, winner = next(
            (number, (miner, nonce))
            for number, (miner, nonce) in enumerate(attempts(first, power), 1)
            if sha256(headers[miner] + struct.pack("<Q", nonce)).hexdigest().startswith("00")
        )
        assert race_of_miners(headers, first, 2, power) == (*winner, tried)
        if set(power) == {1}:
            assert tried == winner[1] * len(power) + (winner[0] - height) % len(power) + 1


def test_a_validators_turn_comes_in_proportion_to_its_stake() -> None:
    stakes = [50, 30, 10, 5, 5]
    turns = Counter(entitled(np.random.default_rng(h).bytes(32), stakes) for h in range(4000))
    expected = np.array(stakes) / 100 * 4000
    assert stats.chisquare([turns[v] for v in range(5)], expected).pvalue > LEAST_PROBABILITY


def test_stake_zero_is_never_entitled_and_the_borders_are_exact() -> None:
    stakes = [3, 0, 2]
    owners = [entitled(point.to_bytes(32, "big"), stakes) for point in range(5)]
    assert owners == [0, 0, 0, 2, 2]
    assert list(accumulate(stakes)) == [3, 3, 5]
