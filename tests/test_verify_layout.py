"""What is read of a chain is the same whether its text was foreseen or parsed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from day_by_hand import Folder

from verification.blocks import LARGEST_BLOCK, read_blocks
from verification.findings import Findings
from verification.layout import OPENING, Foreseen
from verification.read import Reader
from verification.transactions import (
    Transaction,
    Transactions,
    plain_transactions,
    transactions_of,
)

RUN = Folder(MAX_TRANSACTIONS_PER_BLOCK=3)


def foreseen() -> Foreseen:
    """The trades of the day by hand, as all_trades.csv has them."""
    told = [RUN.transaction(trade) for trade in RUN.trades]
    heights = [trade["block_height"] for trade in RUN.trades]
    trades = transactions_of([Transaction(*tx.values()) for tx in told])
    return Foreseen(trades, np.array(heights))


def read(folder: Path, known: Foreseen | None) -> tuple[Any, ...]:
    """Everything that reading gives: the head, the blocks, findings, problems."""
    findings = Findings()
    reader = Reader(folder, findings)
    head, blocks = read_blocks(reader, 2**22, LARGEST_BLOCK, known)
    return head, blocks, findings.kept, reader.problems


def test_of_a_chain_in_our_layout_only_empty_blocks_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RUN.write(tmp_path)
    usual, parsed = read(folder, None), []

    def plain(told: Any) -> Transactions | None:
        parsed.append(len(told))
        return plain_transactions(told)

    monkeypatch.setattr("verification.blocks.plain_transactions", plain)
    assert read(folder, foreseen()) == usual
    assert parsed == [0], "the genesis"


@pytest.mark.parametrize("indent", [None, 2], ids=["in one line", "indented otherwise"])
def test_a_chain_in_another_layout_says_the_same(indent: int | None, tmp_path: Path) -> None:
    folder = RUN.write(tmp_path)
    usual = read(folder, None)
    path = folder / "blockchain.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    assert read(folder, foreseen()) == usual


def spoilt(text: str, draw: random.Random) -> str:
    """The text with a character changed, a piece left out, told twice or put elsewhere."""
    at, to = draw.randrange(len(text)), draw.randrange(len(text))
    piece = text[at : at + draw.choice([1, 1, 5, 60, 400])]
    rest = text[:at] + text[at + len(piece) :]
    kinds = {
        "changed": lambda: text[:at] + draw.choice('0123456789abf"\\{}[],: \n-e') + text[at + 1 :],
        "left out": lambda: rest,
        "told twice": lambda: text[:at] + piece + text[at:],
        "put elsewhere": lambda: rest[:to] + piece + rest[to:],
        "told again": lambda: text[:at] + draw.choice([OPENING, "]}", '"x": 1, ']) + text[at:],
    }
    return kinds[draw.choice(list(kinds))]()


@pytest.mark.parametrize("seed", range(4))
def test_a_spoilt_chain_is_told_of_in_the_same_words(seed: int, tmp_path: Path) -> None:
    """500 spoilt texts each: a shortcut that believed one of them would give other blocks than parsing does."""
    folder, draw = RUN.write(tmp_path), random.Random(seed)
    path = folder / "blockchain.json"
    text = path.read_text()
    for _ in range(500):
        path.write_text(spoilt(text, draw))
        assert read(folder, foreseen()) == read(folder, None)


@pytest.mark.parametrize("tx_id", ['"' + "a" * 63, "\\" * 64, "A" * 64, "\n" * 64])
def test_an_id_that_is_no_hash_is_not_foreseen(tx_id: str) -> None:
    """It could close the text around it."""
    trade = Transaction(tx_id, 1, 0, 0, 2, 0, 1000, 112_000)
    assert Foreseen(transactions_of([trade]), np.array([1])).of(1) is None


def test_trades_out_of_order_are_not_foreseen() -> None:
    trades = transactions_of([Transaction("ab" * 32, 1, 0, n, 2, 0, 1, 1) for n in range(3)])
    assert Foreseen(trades, np.array([1, 3, 2])).of(1) is None
