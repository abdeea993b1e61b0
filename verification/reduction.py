"""The second reading of huang, an auction by trade reduction: the pair at the crossing sets prices and does not trade.

All orders of a step stand in prosumer_trading.csv with their limits, so both prices follow, and how much is
traded; among equal limits only who came first does not, which leaves bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.findings import IntArray
from verification.tables import BUYER, NO_LIMIT, SELLER, Table

NOBODY = -1


@dataclass(frozen=True)
class Reduction:
    """What each step's orders make of prices and energy (T); NOBODY and 0 where no bid meets an ask."""

    bid: IntArray  # the lowest bid that meets an ask, micro-euro per kWh: what buyers pay
    ask: IntArray  # the dearest ask that meets a bid: what sellers get
    least_wh: IntArray  # what is traded, as far as limits tell
    most_wh: IntArray
    met_wh: IntArray  # where the last pair that meets ends, in both queues


def reduced(trading: Table, steps: int, members: int) -> Reduction:
    """The last pair that meets in each step, best with best, and what stands before it on both sides."""
    bids, asks = (Queues(trading, steps, members, role) for role in (BUYER, SELLER))
    ends = np.sort(np.concatenate([bids.ends, asks.ends]), kind="stable")
    ends = ends[np.append(True, ends[1:] != ends[:-1])]
    step = (ends - 1) // bids.apart
    begins = np.maximum(np.append(0, ends[:-1]), step * bids.apart)
    buying, selling = bids.at(begins), asks.at(begins)
    there = (bids.step[buying] == step) & (asks.step[selling] == step)
    last = np.flatnonzero(there & (bids.limit[buying] >= asks.limit[selling]))
    bid, ask, met = (np.full(steps, fill, np.int64) for fill in (NOBODY, NOBODY, 0))
    bid[step[last]], ask[step[last]] = bids.limit[buying[last]], asks.limit[selling[last]]
    met[step[last]] = ends[last] - step[last] * bids.apart
    sides = bids.before(bid, met), asks.before(ask, met)
    least, most = (np.minimum(*parts) for parts in zip(*sides, strict=True))
    return Reduction(bid, ask, least, most, met)


class Queues:
    """The bids or the asks of all steps in their queues, the best first; a stand-in last, that meets nobody.

    Queues stand side by side: that of a step begins at the step times `apart`, more Wh than any queue holds.
    """

    def __init__(self, trading: Table, steps: int, members: int, role: int) -> None:
        limit, wh = trading["limit_price_microeur_per_kwh"], trading["order_wh"]
        rows = np.flatnonzero((trading["role"] == role) & (limit != NO_LIMIT) & (wh > 0))
        self.sign, self.steps = 1 if role == BUYER else -1, steps
        rows = rows[np.lexsort((-self.sign * limit[rows], rows // members))]
        self.apart = int(np.maximum(wh, 0).reshape(steps, members).sum(axis=1).max(initial=0)) + 1
        self.step = np.append(rows // members, steps)
        self.limit = np.append(limit[rows], NO_LIMIT)
        self.wh = np.append(wh[rows], 0)
        whole = np.cumsum(self.wh)
        first = np.searchsorted(self.step, self.step)
        self.ends = self.step * self.apart + whole - (whole - self.wh)[first]

    def at(self, place: IntArray) -> IntArray:
        """The order whose turn it is after these places in the queues."""
        return np.searchsorted(self.ends, place, side="right")

    def before(self, price: IntArray, met: IntArray) -> tuple[IntArray, IntArray]:
        """(least, most) Wh of the orders of each step (T) before the one that sets its price.

        Which of the equal ones that is, nobody knows; it is where all orders have `met` Wh.
        """
        step, wh = self.step[:-1], self.wh[:-1]
        ahead = self.sign * (self.limit[:-1] - price[step])
        chosen = price[step] != NOBODY
        better, equal = chosen & (ahead > 0), chosen & (ahead == 0)
        least, alike = np.zeros(self.steps, np.int64), np.zeros(self.steps, np.int64)
        smallest, largest = (
            np.full(self.steps, np.iinfo(np.int64).max),
            np.zeros(self.steps, np.int64),
        )
        np.add.at(least, step[better], wh[better])
        np.add.at(alike, step[equal], wh[equal])
        np.minimum.at(smallest, step[equal], wh[equal])
        np.maximum.at(largest, step[equal], wh[equal])
        most = least + alike - np.minimum(smallest, alike)
        return np.maximum(least, met - largest), most
