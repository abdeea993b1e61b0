"""The second reading of a limit price: which part of the price gap its owner keeps, and what explains it.

The part is less for a large order and on the side that has more energy. Beyond that members differ by temper,
for good, and by mood, in each step; settings say by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.findings import BoolArray, FloatArray, IntArray
from verification.folder import Saved
from verification.outlook import expected_prices, reservation_prices
from verification.params import microeur
from verification.tables import BUYER, NO_LIMIT, ROUNDED, SELLER

HIGHEST_PRICE = 2 * 10**9  # of an order, in micro-euro per kWh
MOST_MARGIN = 0.8  # of the price gap, that a member keeps
PATIENCE, HASTE, CROWD = 1.25, 0.5, 0.1
"""Part that is kept of QUOTE_MARGIN; what of it a large order loses; and what being in the majority takes off."""
TEMPER, MOOD = 0.7, 0.3  # parts of QUOTE_VARIATION
CLOSE_TO_NEIGHBOURS = {"maximize_p2p": 0.25}  # what an objective leaves of QUOTE_MARGIN

Bounds = tuple[FloatArray, FloatArray]
Truths = tuple[BoolArray, BoolArray]  # (certainly, perhaps)


@dataclass(frozen=True)
class Side:
    """The orders of buyers, or of sellers (K), seen as what they keep of the best that they could accept."""

    role: int
    row: IntArray
    step: IntArray
    limit: IntArray
    of_battery: BoolArray
    best: IntArray  # the limit with no margin
    gap: IntArray  # between buying and selling price
    worth: Bounds  # a battery's limit where this is farther away than its margin

    @property
    def sign(self) -> int:
        """Which way a margin moves the limit."""
        return -1 if self.role == BUYER else 1


def side_of(saved: Saved, role: int, worth: Bounds) -> Side:
    """The orders with a limit on one side; `worth` of a stored kWh is told by step (T)."""
    (buy, sell), (dearest, cheapest) = expected_prices(saved), reservation_prices(saved)
    limit = saved.trading["limit_price_microeur_per_kwh"]
    row = np.flatnonzero((saved.trading["role"] == role) & (limit != NO_LIMIT))
    step = row // len(saved.members)
    best = dearest if role == BUYER else cheapest
    low, high = worth_for_neighbours(saved, role, worth)
    return Side(
        role=role,
        row=row,
        step=step,
        limit=limit[row],
        of_battery=saved.of_battery[row],
        best=best[step],
        gap=np.maximum(buy - sell, 0)[step],
        worth=(low[step], high[step]),
    )


def worth_for_neighbours(saved: Saved, role: int, worth: Bounds) -> Bounds:
    """(least, most) that a battery can bid for energy, or must ask, in each step (T), whatever its owner keeps."""
    round_trip, gain = saved.settings.efficiency**2, gain_of_batteries(saved)
    least, most = worth
    if role == BUYER:
        return least * round_trip - gain, most * round_trip - gain
    return least / round_trip + gain, most / round_trip + gain


def gain_of_batteries(saved: Saved) -> IntArray:
    """What a battery wants to gain on a kWh in each step (T), beside the bonus; below 0 where that is larger."""
    (keep,) = saved.settings.all_numbers("STORAGE_MARGIN")
    return np.asarray(microeur(keep) - saved.community["p2p_bonus_microeur_per_kwh"])


def crowd(side: Side, surplus: Truths) -> Bounds:
    """(least, most) that being in the majority takes off each order's margin (K)."""
    surely, perhaps = (told[side.step] for told in surplus)
    known = (surely, perhaps) if side.role == SELLER else (~perhaps, ~surely)
    return np.asarray(CROWD * known[0]), np.asarray(CROWD * known[1])


def character(saved: Saved, side: Side, surplus: Truths) -> Bounds:
    """(least, most) of the price gap (K) that temper and mood of each order's owner add to its margin."""
    low, high = margins(side)
    (least, most), (hasty, calm) = quote_margin(saved), patience(saved, side)
    fewest, all_of_them = crowd(side, surplus)
    return low - most * calm + fewest, high - least * hasty + all_of_them


def margins(side: Side) -> Bounds:
    """(least, most) of the price gap that each order keeps (K); where limits end the margin does not."""
    gap = np.maximum(side.gap, 1e-9)
    kept = side.sign * (side.limit - side.best)
    low, high = (kept - ROUNDED) / gap, (kept + ROUNDED) / gap
    low[(low <= 0) | (side.gap == 0)] = -np.inf  # no less can be kept
    high[(high >= MOST_MARGIN) | (side.gap == 0)] = np.inf  # no more
    if side.role == SELLER:
        low[side.limit == 0] = -np.inf  # of an ask that would be below 0
    worth = side.worth[0] if side.role == BUYER else side.worth[1]
    beyond = side.sign * (side.limit - worth) > ROUNDED + 1e-9 * np.abs(worth)
    low[side.of_battery & ~beyond] = -np.inf  # its limit is what the energy is worth to it
    return low, high


def quote_margin(saved: Saved) -> tuple[float, float]:
    """(least, most) that an objective makes of QUOTE_MARGIN; chaos draws it."""
    (told,), objective = saved.settings.all_numbers("QUOTE_MARGIN"), saved.settings.objective
    if objective == "chaos":
        return 0.0, 1.0
    margin = told * CLOSE_TO_NEIGHBOURS.get(objective, 1.0)
    return margin, margin


def patience(saved: Saved, side: Side) -> Bounds:
    """(least, most) of QUOTE_MARGIN that an order keeps (K): less, the larger it is against the home's usual load."""
    types = {
        f"type {k}": kwh for k, kwh in enumerate(saved.settings.numbers("BASE_CONSUMPTION"), 1)
    }
    names = [str(member.told.get("home_type")) for member in saved.members]
    if saved.settings.took("data") or not set(names) <= set(types):  # no file tells the usual load
        return np.full(len(side.row), PATIENCE - HASTE), np.full(len(side.row), PATIENCE)
    hours = saved.settings.step_seconds / 3600
    usual = np.maximum(np.array([types[name] for name in names]) * hours * 1000, 1.0)
    order = saved.trading["order_wh"][side.row]
    kept = PATIENCE - HASTE * order / (order + usual[side.row % len(names)])
    return kept, kept
