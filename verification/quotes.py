"""The second reading of limit prices: what a member may bid or ask, and which part of the price gap it keeps.

The part is less for a large order and on the side that has more energy. Beyond that members differ by temper,
for good, and by mood, in each step; settings say by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.findings import BoolArray, Findings, FloatArray, IntArray
from verification.folder import Saved
from verification.outlook import expected_prices, has_surplus, reservation_prices, worth_of_charge
from verification.params import AUCTIONS, microeur
from verification.tables import BUYER, NO_LIMIT, ROUNDED, SELLER

HIGHEST_PRICE = 2 * 10**9  # of an order, in micro-euro per kWh
MOST_MARGIN = 0.8  # of the price gap, that a member keeps
PATIENCE, HASTE, CROWD = 1.25, 0.5, 0.1
"""Part that is kept of QUOTE_MARGIN; what of it a large order loses; and what being in the majority takes off."""
TEMPER, MOOD = 0.7, 0.3  # parts of QUOTE_VARIATION
CLOSE_TO_NEIGHBOURS = {"maximize_p2p": 0.25}  # what an objective leaves of QUOTE_MARGIN
ROUNDED_MARGIN = 1e-9

Bounds = tuple[FloatArray, FloatArray]
Truths = tuple[BoolArray, BoolArray]  # (certainly, perhaps)


def check_limits(saved: Saved, findings: Findings) -> None:
    """Every order of an auction has a limit that its owner can accept; rules that ask nobody for a price have none."""
    o, limits = saved.trading, saved.settings.mechanism in AUCTIONS
    orders = (o["role"] == BUYER) | (o["role"] == SELLER)
    has = o["limit_price_microeur_per_kwh"] != NO_LIMIT
    words = "order of {} Wh with" + ("out a" if limits else " a") + " limit price"
    findings.rows(orders & (has != limits), "limit price", saved.row_name, words, o["order_wh"])
    if limits:
        surplus = has_surplus(saved)
        worth = worth_of_charge(saved, surplus)
        sides = [side_of(saved, role, worth) for role in (BUYER, SELLER)]
        for side in sides:
            check_side(saved, side, findings)
        check_margins(saved, sides, surplus, findings)


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
    (keep,) = saved.settings.all_numbers("STORAGE_MARGIN")
    round_trip = saved.settings.efficiency**2
    gain = microeur(keep) - saved.community["p2p_bonus_microeur_per_kwh"]
    least, most = worth
    if role == BUYER:
        return least * round_trip - gain, most * round_trip - gain
    return least / round_trip + gain, most / round_trip + gain


def check_side(saved: Saved, side: Side, findings: Findings) -> None:
    """No bid above, no ask below what its owner can accept, nor further away than MOST_MARGIN of the gap.

    A battery's order may be: it looks at what the energy will be worth after its losses.
    """
    farthest = side.best + side.sign * MOST_MARGIN * side.gap
    low, high = np.minimum(side.best, farthest), np.maximum(side.best, farthest)
    more = np.minimum if side.role == BUYER else np.maximum
    low, high = (
        np.where(side.of_battery, more(home, worth), home)
        for home, worth in zip((low, high), side.worth, strict=True)
    )
    low, high = whole_price(low, -1), whole_price(high, 1)
    words = "limit price {}, between {} and {} micro-euro per kWh in this step"
    beyond = (side.limit < low) | (side.limit > high)
    findings.rows(
        beyond, "limit price", lambda k: saved.row_name(int(side.row[k])), words, side.limit, low, high
    )  # fmt: skip


def whole_price(price: FloatArray, way: int) -> IntArray:
    """The least (way -1), or the largest (1), micro-euro to which a price is rounded that is nearly this."""
    nearly = price + way * 1e-9 * (1 + np.abs(price))
    return np.rint(np.clip(nearly, 0, HIGHEST_PRICE)).astype(np.int64)


# ------------------------------------------------------------------------------ what is kept


def check_margins(saved: Saved, sides: list[Side], surplus: Truths, findings: Findings) -> None:
    """What a member keeps beyond what its order explains is its temper, the same in all steps, and a mood."""
    (varies,) = saved.settings.all_numbers("QUOTE_VARIATION")
    bounds = [character(saved, side, surplus) for side in sides]
    row = np.concatenate([side.row for side in sides])
    low, high = (np.concatenate(bound) for bound in zip(*bounds, strict=True))
    n, slack = len(saved.members), ROUNDED_MARGIN
    outside = (low > varies + slack) | (high < -varies - slack)
    words = (
        "it keeps {:.3f} to {:.3f} of the price gap beyond what its order explains, others {:.3f}"
    )
    findings.rows(
        outside, "limit price", lambda k: saved.row_name(int(row[k])), words, low, high, np.full(len(row), varies)
    )  # fmt: skip
    least, most = np.full(n, -TEMPER * varies), np.full(n, TEMPER * varies)
    np.maximum.at(least, row % n, low - MOOD * varies)
    np.minimum.at(most, row % n, high + MOOD * varies)
    words = "in one step it keeps {:.3f} of the price gap or more, in another {:.3f} or less: no mood explains it"
    moody = (least > most + slack) & ~np.isin(np.arange(n), row[outside] % n)
    findings.rows(
        moody, "limit price", saved.party_name, words, least + MOOD * varies, most - MOOD * varies
    )


def character(saved: Saved, side: Side, surplus: Truths) -> Bounds:
    """(least, most) of the price gap (K) that temper and mood of each order's owner add to its margin."""
    low, high = margins(side)
    (least, most), (hasty, calm) = quote_margin(saved), patience(saved, side)
    surely, perhaps = (told[side.step] for told in surplus)
    sale = side.role == SELLER
    crowd = (surely, perhaps) if sale else (~perhaps, ~surely)
    return low - most * calm + CROWD * crowd[0], high - least * hasty + CROWD * crowd[1]


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
