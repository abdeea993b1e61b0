"""The second reading of batteries: what they do for their homes, and what they ask of the neighbours.

A battery serves its home first; where the home needs nothing it offers a share of what it holds above its
reserve, or bids for a share of its room. Settings tell size, limits, power and shares, tables the level.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from verification.findings import BoolArray, Findings, FloatArray, IntArray
from verification.folder import Saved
from verification.params import AUCTIONS
from verification.tables import BANNED, BUYER, SELLER

SELF_FIRST = {
    "battery_charge_wh": ("maximize_renewable", "maximize_p2p"),
    "battery_discharge_wh": ("maximize_renewable", "maximize_p2p", "chaos"),
}
"""Objectives that leave what a battery can do to its home."""
WIDENED = {"maximize_renewable": (0, 1), "maximize_profit": (0, 0), "maximize_p2p": (2, 2)}
"""How often an objective goes half way to the whole, of OFFER_SHARE and of STORAGE_BID_SHARE."""
KNOWN_RESERVE = ("maximize_renewable", "maximize_p2p")
"""Objectives whose reserve is BATTERY_MIN_SOC; that of maximize_profit follows from forecasts beyond the run."""
TOLD_KWH = 1e-6  # sizes that lie nearer are told alike
ROUNDED_WH = 1  # what levels that are told with six decimals may hide, in whole Wh
LEVEL_WH = 1e-3  # the same before it is cut to whole Wh
DUST_WH = 1e-6  # products of shares that are whole but for the last digits


@dataclass(frozen=True)
class Batteries:
    """What the settings make of each member's battery (N), in Wh; 0 where there is none."""

    capacity: FloatArray
    least: FloatArray
    most: FloatArray
    power: FloatArray  # whole Wh in a step
    exact: bool  # False where two sizes are told alike: power may be a Wh more or less


@dataclass(frozen=True)
class Shares:
    """What a battery asks of the neighbours in a step, and how small and large an order may be, in Wh."""

    offer: float  # of what it holds above its reserve
    bid: float  # of its room
    least: float
    most: int


def batteries(saved: Saved) -> Batteries | None:
    """None where no result tells their power: beside a members file, or without settings."""
    s = saved.settings
    sizes, rate = s.numbers("BATTERY_CAPACITY"), s.number("BATTERY_C_RATE")
    if s.took("members") or not sizes or rate is None:
        return None
    told, exact = np.array([m.capacity_kwh for m in saved.members]), np.unique([0.0, *sizes])
    kwh = exact[np.abs(told[:, None] - exact).argmin(axis=1)]  # what is told of a member is rounded
    power = np.floor(kwh * rate * (s.step_seconds / 3600) * 1000 + DUST_WH)
    are_apart = bool(np.diff(exact).min(initial=1.0) >= 2 * TOLD_KWH)
    return Batteries(kwh * 1000, kwh * 1000 * s.min_soc, kwh * 1000 * s.max_soc, power, are_apart)


def check_batteries_at_work(
    saved: Saved, sizes: tuple[float, int] | None, findings: Findings
) -> None:
    """All rules of our own runs on what batteries do and ask for; `sizes`: (least, most) Wh of an order."""
    known = batteries(saved)
    if known is not None:
        check_own_home_first(saved, known, findings)
    told = saved.settings.all_numbers("OFFER_SHARE", "STORAGE_BID_SHARE")
    objective = str(saved.settings.told.get("REGULATOR_OBJECTIVE"))
    if saved.settings.mechanism not in AUCTIONS:
        check_no_trade_of_batteries(saved, findings)
        return
    if objective not in WIDENED or not told or not sizes:
        return  # chaos draws their shares
    offer, bid = (
        share_of_step(saved, share, times)
        for share, times in zip(told, WIDENED[objective], strict=True)
    )
    shares = Shares(offer, bid, *sizes)
    if known is not None and known.exact and objective in KNOWN_RESERVE:
        check_shares(saved, known, shares, findings)
    else:
        check_shares_at_most(saved, shares, findings)


def share_of_step(saved: Saved, share: float, times: int) -> float:
    """The share of a step that makes, step after step, in an hour what an hourly share is widened to."""
    for _ in range(times * (share > 0)):
        share = (1 + share) / 2
    return float(1 - (1 - share) ** (saved.settings.step_seconds / 3600))


def levels_before(saved: Saved) -> FloatArray:
    """What each battery held before each step (T N), in Wh: its level after it, less what flowed."""
    e, efficiency = saved.energy, saved.settings.efficiency
    after = e["battery_level_milliwh"] / 1000
    return np.asarray(
        after - e["battery_charge_wh"] * efficiency + e["battery_discharge_wh"] / efficiency
    )


def check_own_home_first(saved: Saved, known: Batteries, findings: Findings) -> None:
    """A home with a rest has charged or discharged all that its battery can, unless a lever says otherwise."""
    e, efficiency, steps = saved.energy, saved.settings.efficiency, saved.steps
    objective = saved.settings.told.get("REGULATOR_OBJECTIVE")
    owns, level = np.tile(known.capacity > 0, steps), e["battery_level_milliwh"] / 1000
    room, above = np.tile(known.most, steps) - level, level - np.tile(known.least, steps)
    power = np.tile(known.power, steps) - (0 if known.exact else ROUNDED_WH)
    for flow, rest, left in (
        ("battery_charge_wh", e["grid_export_wh"] + e["market_sold_wh"], room / efficiency),
        ("battery_discharge_wh", e["grid_import_wh"] + e["market_bought_wh"], above * efficiency),
    ):
        if objective not in SELF_FIRST[flow]:
            continue
        idle = owns & (rest > 0) & (e[flow] < power) & (left > 1 + ROUNDED_WH)
        words = f"{flow} is {{}}, {{:.0f}} Wh from its limit, and {{}} Wh went another way"
        findings.rows(idle, "battery use", saved.row_name, words, e[flow], left, rest)


def check_no_trade_of_batteries(saved: Saved, findings: Findings) -> None:
    """Without an auction no battery trades: the other rules share what homes leave and need."""
    e = saved.energy
    for flow, traded in (
        ("battery_discharge_wh", e["p2p_sold_wh"]),
        ("battery_charge_wh", e["p2p_bought_wh"]),
    ):
        wrong = (e[flow] > 0) & (traded > 0)
        words = f"{flow} is {{}}, {{}} Wh were traded with neighbours, without an auction"
        findings.rows(wrong, "battery use", saved.row_name, words, e[flow], traded)


def check_shares(saved: Saved, known: Batteries, shares: Shares, findings: Findings) -> None:
    """A battery whose home needs nothing asks the neighbours for its share, neither more nor less."""
    role, order = saved.trading["role"], saved.trading["order_wh"]
    rows = np.flatnonzero(np.tile(known.capacity > 0, saved.steps) & (role != BANNED))
    asked = np.where(role == SELLER, order, np.where(role == BUYER, -order, 0))[rows]
    level = levels_before(saved)[rows]
    of_home, due = due_of_batteries(saved, known, shares, rows, level, level)
    wrong = np.flatnonzero(~of_home & (asked != due))
    for up, down in itertools.product((-LEVEL_WH, LEVEL_WH), repeat=2):  # what rounding may hide
        levels = level[wrong] + up, level[wrong] + down
        of_home, other = due_of_batteries(saved, known, shares, rows[wrong], *levels)
        wrong = wrong[~of_home & (asked[wrong] != other)]
    asked, due = asked[wrong], due[wrong]
    due = np.where(asked < 0, -due, due)  # below 0 on the other side
    words = "order of {} Wh of a battery, its share makes it {} Wh"
    every, place = np.ones(len(wrong), np.bool_), rows[wrong]
    findings.rows(every, "order", lambda k: saved.row_name(place[k]), words, np.abs(asked), due)


def due_of_batteries(
    saved: Saved,
    known: Batteries,
    shares: Shares,
    rows: IntArray,
    offer_level: FloatArray,
    bid_level: FloatArray,
) -> tuple[BoolArray, IntArray]:
    """(whether the home's own rest is the order; else Wh to sell, or below 0 to buy) in these rows.

    The levels before the step, in Wh, from which offers and bids are reckoned.
    """
    e, efficiency, member = saved.energy, saved.settings.efficiency, rows % len(saved.members)
    power, balance = known.power[member], e["pv_wh"][rows] - e["load_wh"][rows]
    surplus, need = np.maximum(balance, 0), np.maximum(-balance, 0)
    spare = np.maximum(np.floor((offer_level - known.least[member]) * efficiency), 0) - need
    room = np.maximum(np.floor((known.most[member] - bid_level) / efficiency), 0) - surplus
    of_home = (np.minimum(spare, room) < 0) | (np.abs(balance) > power)
    offers, bids = (surplus == 0) & (spare > 0), (need == 0)
    offer = np.minimum(np.floor(shares.offer * spare + DUST_WH), power - need)
    bid = np.minimum(np.floor(shares.bid * room + DUST_WH), power - surplus)
    wh = np.minimum(np.where(offers, offer, np.where(bids, bid, 0)), shares.most)
    wh = np.where(wh < shares.least, 0, wh)
    return of_home, np.where(offers, wh, -wh).astype(np.int64)


def check_shares_at_most(saved: Saved, shares: Shares, findings: Findings) -> None:
    """Where a reserve is nobody's to know, or the power, a battery asks for no more than its share.

    A member that sells and discharges sells from its battery, one that buys and charges buys for it.
    """
    e, s, role = saved.energy, saved.settings, saved.trading["role"]
    charge, discharge, before = (
        e["battery_charge_wh"],
        e["battery_discharge_wh"],
        levels_before(saved),
    )
    capacity = np.tile([member.capacity_kwh * 1000 for member in saved.members], saved.steps)
    spare = (before - s.min_soc * capacity) * s.efficiency - discharge + saved.p2p_wh
    room = (s.max_soc * capacity - before) / s.efficiency - charge + saved.p2p_wh
    for setting, share, mine, all_of_it in (
        ("OFFER_SHARE", shares.offer, (role == SELLER) & (discharge > 0), spare),
        ("STORAGE_BID_SHARE", shares.bid, (role == BUYER) & (charge > 0), room),
    ):
        most, order = share * all_of_it + ROUNDED_WH, saved.trading["order_wh"]
        words = f"order of {{}} Wh of a battery, at most {{:.0f}} Wh by {setting}"
        findings.rows(mine & (order > most), "order", saved.row_name, words, order, most)
