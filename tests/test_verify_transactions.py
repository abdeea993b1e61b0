"""Transactions kept as bytes are what was told, whatever it was."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from verification.columns import Hashes
from verification.transactions import (
    NAMES,
    RECORD,
    Transaction,
    Transactions,
    plain_transactions,
    transactions_of,
    transactions_of_columns,
)

RANGES = ((0, 2**8), (0, 2**32), (0, 2**64), *[(-(2**31), 2**31)] * 2, *[(-(2**63), 2**63)] * 2)
HASH = sha256(b"").hexdigest()
HASHES = st.sampled_from([HASH, HASH.upper(), "\0" * 64, HASH[:63] + "\0"])
PLAIN = st.builds(Transaction, HASHES, *(st.integers(low, high - 1) for low, high in RANGES))
ANY = st.builds(
    Transaction,
    st.one_of(HASHES, st.sampled_from(["", HASH[1:], HASH + "0", "é" * 64, "é" * 32, "\ud800" * 64])),
    *(st.one_of(st.integers(low, high - 1), st.sampled_from([low - 1, high, 10**30])) for low, high in RANGES),
)  # fmt: skip


def as_read(told: Transaction) -> Any:
    """A JSON object as the stream hands it on."""
    return tuple(zip(NAMES, told, strict=True))


@settings(max_examples=200, deadline=None)
@given(st.lists(PLAIN, max_size=12))
def test_plain_ones_are_read_all_at_once(told: list[Transaction]) -> None:
    found = plain_transactions([as_read(tx) for tx in told])
    assert found is not None
    assert list(found) == told
    assert found.each_record() == [RECORD.pack(*tx[1:]) for tx in told]
    assert found == transactions_of(told)


@settings(max_examples=100, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=5), st.permutations(range(len(NAMES))))
def test_members_may_stand_in_another_order(told: list[Transaction], order: list[int]) -> None:
    objects = [tuple(as_read(tx)[place] for place in order) for tx in told]
    assert plain_transactions(objects) == transactions_of(told)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=12))
def test_odd_ones_keep_what_they_say(told: list[Transaction]) -> None:
    found = transactions_of(told)
    assert list(found) == told
    assert plain_transactions([as_read(tx) for tx in told]) == (None if found.odd else found)
    fits = [
        all(low <= v < high for v, (low, high) in zip(tx[1:], RANGES, strict=True)) for tx in told
    ]
    assert [record != b"" for record in found.each_record()] == fits
    assert found.told("trade_id") == [tx[3] for tx in told]
    for trade_id in {tx[3] for tx in told} | {7, -1, 2**64, 10**31}:
        places = [place for place, tx in enumerate(told) if tx[3] == trade_id]
        assert found.places_of(trade_id) == places


ONE = as_read(Transaction(HASH, 1, 0, 0, 1, 2, 3, 4))


@pytest.mark.parametrize(
    "told",
    [
        [list(map(list, ONE))],  # a list of lists is no object
        [ONE[:7], (*ONE[7:], *ONE)],  # one lacks what the next has too many
        [ONE, ONE[::-1]],  # each has another order
        [(*ONE, ONE[0])],
        [ONE, 0],
        [ONE, "tx"],
        [ONE, None],
        [ONE, []],
        [(("tx_id", None), *ONE[1:])],
        [(ONE[0], ("kind", True), *ONE[2:])],
        [(*ONE[:7], ("price_microeur_per_kwh", 4.0))],
        [(*ONE[:7], ("price", 4))],
    ],
)
def test_what_is_no_plain_transaction_is_left_to_the_slow_reading(told: list[Any]) -> None:
    assert plain_transactions(told) is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*(st.integers(-(2**63), 2**63 - 1) for _ in RANGES)), max_size=8), st.data()
)
def test_a_table_has_the_same_transactions(rows: list[tuple[int, ...]], data: Any) -> None:
    others = data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0)), max_size=len(rows)))
    tx_ids = Hashes((HASH * len(rows)).encode(), dict.fromkeys(others & set(range(len(rows))), "x"))
    columns = {
        name: np.array([row[k] for row in rows], np.int64) for k, name in enumerate(NAMES[1:])
    }
    found = transactions_of_columns(tx_ids, columns)
    assert list(found) == [(tx_ids[i], *row) for i, row in enumerate(rows)]


def test_a_part_is_found_where_it_stands_and_nowhere_else() -> None:
    def trades(*ids: int, tx_id: str = HASH, price: int = 4) -> Transactions:
        return transactions_of([Transaction(tx_id, 1, 0, i, 1, 2, 3, price) for i in ids])

    whole, part = trades(*range(6)), trades(2, 3)
    assert [place for place in range(7) if whole.holds(part, place)] == [2]
    assert not whole.holds(trades(2, 3, tx_id="0" * 64), 2)
    assert not whole.holds(trades(2, 3, price=5), 2)
    assert not whole.holds(trades(5, 6), 5)
    assert not part.holds(whole, 0)
    assert whole.holds(trades(), 6)
    assert not whole.holds(trades(2, price=2**63), 2)
    with pytest.raises(IndexError):
        whole[6]
