"""The second reading of what batteries do: for their homes, and for the neighbours.

Where the home needs nothing, a battery offers a share of what it holds above its reserve, or bids for a share of
its room. Settings tell size, limits, power and shares, tables the level; so every Wh is known, but for what the
regulator advises: one thing to all homes of a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.batteries import (
    DUST_WH,
    ROUNDED_WH,
    Advice,
    Batteries,
    Plan,
    Slack,
    Use,
    batteries,
    levels_before,
    plan_of,
    slacks,
    use_of_batteries,
)
from verification.drawn import check_what_chaos_draws
from verification.findings import BoolArray, Findings, FloatArray
from verification.folder import Saved
from verification.outlook import HOME_FIRST, is_profitable
from verification.params import AUCTIONS
from verification.tables import BUYER, SELLER

ADVICES = {
    "maximize_renewable": (Advice(),),
    "maximize_p2p": (Advice(),),
    "maximize_profit": tuple(Advice(share, keeps) for share in (1.0, 0.0) for keeps in (False, True)),
}  # fmt: skip
"""What an objective may say to the homes of a step; what chaos says is drawn."""
WIDENED = {"maximize_renewable": (0, 1), "maximize_profit": (0, 0), "maximize_p2p": (2, 2)}
"""How often an objective goes half way to the whole, of OFFER_SHARE and of STORAGE_BID_SHARE."""


@dataclass(frozen=True)
class Shares:
    """What a battery asks of the neighbours in a step, and how small and large an order may be, in Wh."""

    offer: float  # of what it holds above its reserve
    bid: float  # of its room
    least: float
    most: int


def check_battery_use(saved: Saved, sizes: tuple[float, int], findings: Findings) -> None:
    """All rules of our own runs on what batteries do and ask for; `sizes`: (least, most) Wh of an order."""
    known, shares = batteries(saved), shares_of(saved, sizes)
    objective = saved.settings.objective
    if known is not None and objective in ADVICES:
        check_known_use(saved, known, shares, ADVICES[objective], findings)
    elif known is not None and objective == "chaos":
        check_what_chaos_draws(saved, known, sizes, findings)
    elif known is None:
        check_orders_of_batteries(saved, shares, sizes, findings)
    if saved.settings.mechanism not in AUCTIONS:
        check_no_trade_of_batteries(saved, findings)


def shares_of(saved: Saved, sizes: tuple[float, int]) -> Shares | None:
    """None where no battery asks for anything, and under chaos, which draws shares."""
    told = saved.settings.all_numbers("OFFER_SHARE", "STORAGE_BID_SHARE")
    objective = saved.settings.objective
    if saved.settings.mechanism not in AUCTIONS or objective not in WIDENED:
        return None
    times = WIDENED[objective]
    offer, bid = (share_of_step(saved, share, n) for share, n in zip(told, times, strict=True))
    return Shares(offer, bid, *sizes)


def share_of_step(saved: Saved, share: float, times: int) -> float:
    """The share to take in each step, so that an hour takes the hourly one, which is widened so many `times` before."""
    for _ in range(times * (share > 0)):
        share = (1 + share) / 2
    return float(1 - (1 - share) ** (saved.settings.step_seconds / 3600))


# ------------------------------------------------------------------------------ to the Wh


def check_known_use(
    saved: Saved,
    known: Batteries,
    shares: Shares | None,
    advices: tuple[Advice, ...],
    findings: Findings,
) -> None:
    """Every battery does what one of these advices says, the same one in all homes of a step."""
    use, n = use_of_batteries(saved, known), len(saved.members)
    wrong = np.array([misfits(saved, use, known, shares, advice) for advice in advices])
    step = use.row // n
    if len(advices) > 1:
        misfit = np.array([np.bincount(step[w], minlength=saved.steps) for w in wrong])
        forbidden = ~may_be_given(saved, advices) * (n + 1)  # more than can misfit another
        given = np.argmin(misfit + forbidden, axis=0)[step]
        wrong &= given == np.arange(len(advices))[:, None]
    for advice, of_advice in zip(advices, wrong, strict=True):
        tell_misfits(saved, use.where(of_advice), known, shares, advice, findings)


def may_be_given(saved: Saved, advices: tuple[Advice, ...]) -> BoolArray:
    """Which of these advices a regulator may give that looks for profit, in each step (A T)."""
    (sells, may_sell), (buys, may_buy) = is_profitable(saved)
    allowed = []
    for advice in advices:
        share, keeps = advice.charge_share < 1, advice.keeps
        allowed.append((may_sell if share else ~sells) & (may_buy if keeps else ~buys))
    return np.array(allowed)


def misfits(
    saved: Saved, use: Use, known: Batteries, shares: Shares | None, advice: Advice
) -> BoolArray:
    """Where no rounding explains what a battery did and asked for (R)."""
    left = np.arange(len(use.row))
    for slack in slacks(known):
        some = use.where(left) if slack != Slack() else use
        plan = plan_of(some, known, saved.settings.efficiency, advice, slack)
        charge, discharge = flows_due(some, plan)
        fits = (some.charge == charge) & (some.discharge == discharge)
        if shares:
            fits &= ~plan.at_rest | (some.asked == order_due(some, plan, shares))
        left = left[~fits]
        if not len(left):
            break
    wrong = np.zeros(len(use.row), np.bool_)
    wrong[left] = True
    return wrong


def flows_due(use: Use, plan: Plan) -> tuple[FloatArray, FloatArray]:
    """(charge, discharge) in Wh: for the home, and what a battery of a home without rest trades."""
    return plan.charge + plan.at_rest * use.bought, plan.discharge + plan.at_rest * use.sold


def order_due(use: Use, plan: Plan, shares: Shares) -> FloatArray:
    """What a battery of a home without rest offers, or below 0 bids for, in Wh."""
    offer = np.minimum(np.floor(shares.offer * plan.spare + DUST_WH), plan.power - plan.discharge)
    bid = np.minimum(np.floor(shares.bid * plan.room + DUST_WH), plan.power - plan.charge)
    offers = (plan.charge == 0) & (offer >= shares.least)
    bids = ~offers & (plan.discharge == 0) & (bid >= shares.least)
    wh = np.minimum(np.where(offers, offer, np.where(bids, bid, 0)), shares.most)
    return np.asarray(np.where(use.is_banned, 0, np.where(offers, wh, -wh)))


def tell_misfits(
    saved: Saved,
    use: Use,
    known: Batteries,
    shares: Shares | None,
    advice: Advice,
    findings: Findings,
) -> None:
    """Names what of each of these rows does not fit: the flows, or with right flows the order."""
    plan = plan_of(use, known, saved.settings.efficiency, advice, Slack())
    charge, discharge = flows_due(use, plan)

    def name(k: int) -> str:
        return saved.row_name(int(use.row[k]))

    for flow, wh, due in (
        ("battery_charge_wh", use.charge, charge),
        ("battery_discharge_wh", use.discharge, discharge),
    ):
        words = flow + " is {}, its home and its trades make it {:.0f}"
        findings.rows(wh != due, "battery use", name, words, wh, due)
    if shares:
        due = order_due(use, plan, shares)
        wrong = (use.charge == charge) & (use.discharge == discharge) & (use.asked != due)
        words = "order of {} Wh of a battery, its share makes it {:.0f} Wh"
        due = np.where(use.asked < 0, -due, due)  # below 0 on the other side
        findings.rows(wrong & plan.at_rest, "order", name, words, np.abs(use.asked), due)


# ------------------------------------------------------------------------------ bounds


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


def check_orders_of_batteries(
    saved: Saved, shares: Shares | None, sizes: tuple[float, int], findings: Findings
) -> None:
    """Where nobody knows how strong it is, beside a members file: whether a battery asks, and for how much at most.

    One that was charged for its home offers nothing, one that served it bids for nothing, nor does one that
    could offer. Under chaos, which draws shares, what others offer tells the least that it could.
    """
    e, s, order = saved.energy, saved.settings, saved.trading["order_wh"]
    before = levels_before(saved)
    charge, discharge = e["battery_charge_wh"], e["battery_discharge_wh"]
    capacity = np.tile([member.capacity_kwh * 1000 for member in saved.members], saved.steps)
    spare = (before - s.min_soc * capacity) * s.efficiency - discharge + saved.p2p_wh
    room = (s.max_soc * capacity - before) / s.efficiency - charge + saved.p2p_wh
    part_offered = shares.offer if shares else least_offered(saved, spare)
    may_keep = s.objective not in (*HOME_FIRST, "chaos")  # the charge, and offer nothing of it
    for setting, role, moved, used, words, whole in (
        ("OFFER_SHARE", SELLER, discharge, charge, "offer of {} Wh, {} Wh were charged", spare),
        ("STORAGE_BID_SHARE", BUYER, charge, discharge, "bid for {} Wh, {} Wh were given", room),
    ):
        mine = (saved.of_battery | (moved > 0)) & (saved.trading["role"] == role)
        findings.rows(mine & (used > 0), "order", saved.row_name, words, order, used)
        if role == BUYER and not may_keep:
            held = spare - saved.p2p_wh
            enough = part_offered * (held - ROUNDED_WH) > sizes[0] + ROUNDED_WH
            holds = mine & (charge == saved.p2p_wh) & enough
            words = "bid for {} Wh of a battery that could offer of {:.0f} Wh"
            findings.rows(holds, "order", saved.row_name, words, order, held)
        share = 1.0 if not shares else shares.offer if role == SELLER else shares.bid
        most = share * whole + ROUNDED_WH
        words = f"order of {{}} Wh of a battery, at most {{:.0f}} Wh by {setting}"
        above = mine & (np.maximum(order, sizes[0]) > most)
        findings.rows(above, "order", saved.row_name, words, order, most)


def least_offered(saved: Saved, spare: FloatArray) -> FloatArray:
    """The least that the share of their `spare` can be which batteries offer, in the step of each row (T N)."""
    order, part = saved.trading["order_wh"], np.zeros(saved.steps)
    is_used = saved.of_battery | (saved.energy["battery_discharge_wh"] > 0)
    row = np.flatnonzero(is_used & (saved.trading["role"] == SELLER))
    step = np.arange(len(order)) // len(saved.members)
    np.maximum.at(part, step[row], order[row] / (np.maximum(spare[row], 0) + ROUNDED_WH))
    return part[step]
