"""The second reading of what chaos draws: how much of a surplus is stored, offered and bid for.

Each is one share for all homes of a step. What a battery does bounds it from below and from above, so two
batteries can contradict each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verification.batteries import (
    DUST_WH,
    ROUNDED_WH,
    Advice,
    Batteries,
    Slack,
    Use,
    plan_of,
    slacks,
    use_of_batteries,
)
from verification.findings import BoolArray, Findings, FloatArray, IntArray
from verification.folder import Saved, step_name
from verification.params import AUCTIONS

ROUNDED_SHARE = 1e-9


@dataclass(frozen=True)
class Part:
    """What batteries took (stored, offered, bid for) of a whole (surplus, charge, room), by row (R), in Wh."""

    words: str
    rule: str
    use: Use
    wh: IntArray
    whole: FloatArray
    doubt: int  # how many Wh of the whole nobody knows
    limit: FloatArray  # of what they could take at most, give or take ROUNDED_WH
    power: FloatArray  # the same but for the trade cap, which cuts an order and forbids none
    least: float  # what is less than this is not taken at all

    def where(self, chosen: BoolArray) -> Part:
        """The same of some of these rows."""
        of_rows = self.use.where(chosen), self.wh[chosen], self.whole[chosen]
        most = self.limit[chosen], self.power[chosen]
        return Part(self.words, self.rule, *of_rows, self.doubt, *most, self.least)


def check_what_chaos_draws(
    saved: Saved, known: Batteries, sizes: tuple[float, int] | None, findings: Findings
) -> None:
    """Deficits are served first, as ever; what is stored, offered and bid for is one share for all."""
    use = use_of_batteries(saved, known)
    check_discharge(saved, use.where(use.surplus == 0), known, findings)
    check_charge(saved, use.where(use.surplus > 0), known, findings)
    if saved.settings.mechanism in AUCTIONS and sizes:
        for part in asked_of_neighbours(saved, use.where(use.surplus == 0), known, *sizes):
            check_part(saved, part, findings)


def check_discharge(saved: Saved, use: Use, known: Batteries, findings: Findings) -> None:
    """A battery gives its home what it can; where the home lacks nothing, its trades move the battery."""
    left = np.arange(len(use.row))
    for slack in slacks(known):
        some = use.where(left)
        plan = plan_of(some, known, saved.settings.efficiency, Advice(), slack)
        fits = some.discharge == plan.discharge + plan.at_rest * some.sold
        left = left[~(fits & (some.charge == plan.at_rest * some.bought))]
    some = use.where(left)
    words = "charged {} Wh, discharged {} Wh, its home and its trades make it another"
    every = np.ones(len(left), np.bool_)
    findings.rows(
        every, "battery use", lambda k: row_name(saved, some, k), words, some.charge, some.discharge
    )


def check_charge(saved: Saved, use: Use, known: Batteries, findings: Findings) -> None:
    """Of each surplus the same share is stored, as far as power and room go; and nothing is taken from the battery."""
    words = "discharged {} Wh beside a surplus of {} Wh"
    findings.rows(
        use.discharge > 0,
        "battery use",
        lambda k: row_name(saved, use, k),
        words,
        use.discharge,
        use.surplus,
    )
    plan = plan_of(use, known, saved.settings.efficiency, Advice(), Slack())
    limit, whole = np.minimum(plan.power, plan.room + plan.charge), use.surplus.astype(np.float64)
    stored = ("of its surplus stored", "battery use", use, use.charge)
    check_part(saved, Part(*stored, whole, 0, limit, limit, least=0), findings)


def asked_of_neighbours(
    saved: Saved, use: Use, known: Batteries, least: float, cap: int
) -> tuple[Part, Part]:
    """Offers of batteries that hold something, bids of those that offer nothing, where rounding hides neither."""
    efficiency = saved.settings.efficiency
    plans = [plan_of(use, known, efficiency, Advice(), slack) for slack in slacks(known)]
    at_rest = ~use.is_banned & np.all([plan.at_rest for plan in plans], axis=0)
    holds = at_rest & np.all([plan.spare > 0 for plan in plans], axis=0)
    holds_nothing = at_rest & np.all([plan.spare == 0 for plan in plans], axis=0)
    plan, power = plans[0], plans[0].power - use.need
    offered, wanted = np.maximum(use.asked, 0), -use.asked
    limits = np.minimum(power, cap), power
    offers = Part("of its charge offered", "order", use, offered, plan.spare, 1, *limits, least)
    bids = Part("of its room bid for", "order", use, wanted, plan.room, 1, *limits, least)
    bids_too = holds_nothing | (holds & (use.asked <= 0))
    return offers.where(holds), bids.where(bids_too & (use.need == 0))


def check_part(saved: Saved, part: Part, findings: Findings) -> None:
    """Nobody takes more than it can, and one share explains what all batteries of a step took."""
    use, wh = part.use, part.wh
    wrong = (wh < 0) | (wh > part.limit + ROUNDED_WH)
    words = f"{{}} Wh {part.words}, at most {{:.0f}} Wh"
    findings.rows(wrong, part.rule, lambda k: row_name(saved, use, k), words, wh, part.limit)
    low, high = bounds_of_share(part)
    step = use.row // len(saved.members)
    lowest, highest = np.zeros(saved.steps), np.ones(saved.steps)
    np.maximum.at(lowest, step, low)
    np.minimum.at(highest, step, high)
    words = f"one battery had at least {{:.4f}} {part.words}, another at most {{:.4f}}"
    apart = lowest > highest + ROUNDED_SHARE
    findings.rows(apart, part.rule, step_name, words, lowest, highest)


def bounds_of_share(part: Part) -> tuple[FloatArray, FloatArray]:
    """(least, most) share of its whole with which a battery takes this many whole Wh (R).

    Of what reaches its limit any larger share explains as much.
    """
    wh, whole = part.wh, part.whole
    low = (np.maximum(wh, part.least * (wh > 0)) - DUST_WH) / (whole + part.doubt)
    next_wh = np.where(wh == 0, max(1, math.ceil(part.least)), wh + 1)
    is_limited = next_wh > np.where(wh == 0, part.power, part.limit) - ROUNDED_WH
    rest = np.maximum(whole - part.doubt, 1e-9)
    return low, np.where(is_limited, np.inf, next_wh / rest)


def row_name(saved: Saved, use: Use, k: int) -> str:
    return saved.row_name(int(use.row[k]))
