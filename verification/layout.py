"""Reading blocks by what all_trades.csv says of them: text that is known to the letter need not be parsed.

The trades of a block, written down in the layout that this program gives to blockchain.json, are compared with
the text that stands there. Where it is another, and in every other layout, the block is parsed; what is read is
the same either way.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

from verification.columns import HASH_LETTERS
from verification.findings import IntArray
from verification.transactions import NAMES, Transactions

OPENING, CLOSING = '"transactions": [', "\n   ]\n  }"
LINES = [f'     "{name}": ' + ('"%s"' if name == "tx_id" else "%d") for name in NAMES]
TRANSACTION = "\n    {\n" + ",\n".join(LINES) + "\n    }"
PLAIN_IDS = re.compile(rb"[0-9a-f]*")


class Foreseen:
    """The transactions of each block as all_trades.csv has them."""

    def __init__(self, trades: Transactions, heights: IntArray):
        """`heights` says in which block each trade stands."""
        in_order = len(heights) == len(trades) and not (heights[1:] < heights[:-1]).any()
        plain = PLAIN_IDS.fullmatch(trades.tx_ids)  # no quotation mark ends a text early
        self.trades, self.heights = trades, heights
        self.is_of_use = in_order and plain is not None

    def of(self, height: int) -> Transactions | None:
        """Those of the block at this height; None where nothing is foreseen, or nothing worth it."""
        if not self.is_of_use:
            return None
        begin, end = np.searchsorted(self.heights, [height, height + 1]).tolist()
        return self.trades.part(begin, end) if end > begin else None

    def has_missed(self) -> None:
        """Told that a block looks otherwise: the layout is another, or something is wrong; all is parsed then."""
        self.is_of_use = False


def text_of(transactions: Transactions) -> str:
    """What follows OPENING in a block with these transactions, to the end of the block."""
    letters, numbers = transactions.tx_ids.decode(), transactions.columns()
    ids = [letters[at : at + HASH_LETTERS] for at in range(0, len(letters), HASH_LETTERS)]
    columns = [numbers[name].tolist() for name in NAMES[1:]]
    each = itertools.chain.from_iterable(zip(ids, *columns, strict=True))
    return ",".join([TRANSACTION] * len(ids)) % tuple(each) + CLOSING
