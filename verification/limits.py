"""The second reading of limit prices: what a member may bid or ask, and what all quotes of a step have in common.

No limit goes beyond what its owner can accept. What a member keeps beyond what its order explains is its temper,
for good, and its mood, in each step. All members of a step are told the same: what a stored kWh will be worth,
on which side more is wanted than there is, and, under chaos, which margin to keep.
"""

from __future__ import annotations

import numpy as np

from verification.findings import Findings, FloatArray, IntArray
from verification.folder import Saved, step_name
from verification.outlook import (
    change_of_mean,
    has_surplus,
    mean_of_a_day,
    times_the_mean,
    worth_of_charge,
)
from verification.params import AUCTIONS, OBJECTIVES
from verification.quotes import (
    HIGHEST_PRICE,
    MOOD,
    MOST_MARGIN,
    TEMPER,
    Bounds,
    Side,
    Truths,
    character,
    crowd,
    gain_of_batteries,
    margins,
    patience,
    quote_margin,
    side_of,
)
from verification.tables import BUYER, NO_LIMIT, ROUNDED, SELLER

ROUNDED_MARGIN = 1e-9


def check_limits(saved: Saved, findings: Findings) -> None:
    """Every order of an auction has a limit that its owner can accept; rules that ask nobody for a price have none.

    What members are told under an objective that is not known here, nobody knows.
    """
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
        if saved.settings.objective not in OBJECTIVES:
            return
        check_margins(saved, sides, surplus, findings)
        check_majority(saved, sides, surplus, findings)
        check_worth(saved, sides, surplus, findings)
        if saved.settings.objective == "chaos":
            check_drawn_margin(saved, sides, surplus, findings)


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


# ------------------------------------------------------------------------------ what all are told


def check_majority(saved: Saved, sides: list[Side], surplus: Truths, findings: Findings) -> None:
    """Where nobody knows whether there is more energy than is wanted, either answer explains all orders of a step."""
    (varies,) = saved.settings.all_numbers("QUOTE_VARIATION")
    surely, perhaps = surplus
    refuted = perhaps & ~surely
    for answer in (np.ones(saved.steps, np.bool_), np.zeros(saved.steps, np.bool_)):
        strange = np.zeros(saved.steps, np.bool_)
        for side in sides:
            low, high = character(saved, side, (answer, answer))
            beyond = (low > varies + ROUNDED_MARGIN) | (high < -varies - ROUNDED_MARGIN)
            strange[side.step[beyond]] = True
        refuted &= strange
    words = (
        "some orders are those of a community with too much energy, others of one with too little"
    )
    findings.rows(refuted, "limit price", step_name, words)


def check_worth(saved: Saved, sides: list[Side], surplus: Truths, findings: Findings) -> None:
    """The limits of all batteries of a step follow from one worth of what they store."""
    bounds = [worth_told(saved, side, surplus) for side in sides]
    low, high = one_for_all(saved, sides, bounds)
    words = "of a stored kWh one battery thinks that it is worth {:.0f} micro-euro or more, another {:.0f} or less"
    findings.rows(low > high, "limit price", step_name, words, low, high)
    check_change_of_worth(saved, (low, high), surplus, findings)


def check_change_of_worth(saved: Saved, worth: Bounds, surplus: Truths, findings: Findings) -> None:
    """From step to step the mean price of 24 hours, of which the worth is a multiple, changes by one forecast.

    That counts where forecasts after the run, which no file tells, leave it open.
    """
    (low, high), (fewest, most) = worth, times_the_mean(saved, surplus)
    told = [mean + way for mean, way in zip(mean_of_a_day(saved), (-1.0, 2.0), strict=True)]
    low, high = np.maximum(low / most - 1, told[0]), np.minimum(high / fewest + 2, told[1])
    change = np.array(change_of_mean(saved)).T.tolist()
    least, largest = -np.inf, np.inf
    for t, (here, there) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if here > there:  # told above
            least, largest = -np.inf, np.inf
            continue
        if max(least, here) > min(largest, there):
            detail = (
                f"a stored kWh is worth {here:.0f} to {there:.0f} micro-euro at the mean price, "
                f"earlier steps make it {least:.0f} to {largest:.0f}"
            )
            findings.add(step_name(t), "limit price", detail)
            least, largest = here, there
        least, largest = max(least, here), min(largest, there)
        least, largest = least + change[t][0], largest + change[t][1]


def check_drawn_margin(
    saved: Saved, sides: list[Side], surplus: Truths, findings: Findings
) -> None:
    """Under chaos the margin of a step is drawn, once for all members."""
    (varies,) = saved.settings.all_numbers("QUOTE_VARIATION")
    bounds = []
    for side in sides:
        (low, high), (hasty, calm) = margins(side), patience(saved, side)
        fewest, most = crowd(side, surplus)
        bounds.append(((low + fewest - varies) / calm, (high + most + varies) / hasty))
    low, high = one_for_all(saved, sides, bounds)
    words = "one member keeps {:.3f} of the price gap or more by what is drawn for all, another {:.3f} or less"
    findings.rows(
        np.maximum(low, 0) > high + ROUNDED_MARGIN, "limit price", step_name, words, low, high
    )


def one_for_all(saved: Saved, sides: list[Side], bounds: list[Bounds]) -> Bounds:
    """(least, most) in each step (T) of what every order bounds (K each)."""
    least, most = np.full(saved.steps, -np.inf), np.full(saved.steps, np.inf)
    for side, (low, high) in zip(sides, bounds, strict=True):
        np.maximum.at(least, side.step, low)
        np.minimum.at(most, side.step, high)
    return least, most


def worth_told(saved: Saved, side: Side, surplus: Truths) -> Bounds:
    """(least, most) that a stored kWh is worth in the eyes of each order's owner (K), in micro-euro.

    A battery bids what its home would, but no more than the worth allows, and asks no less: where the limit is
    not the home's, it tells the worth.
    """
    (varies,) = saved.settings.all_numbers("QUOTE_VARIATION")
    (_, most), (_, calm) = quote_margin(saved), patience(saved, side)
    fewest, _ = crowd(side, surplus)
    high = np.clip(most * calm - fewest + varies, 0.0, MOST_MARGIN)
    farthest = side.best + side.sign * (high + ROUNDED_MARGIN) * side.gap
    farthest = np.clip(farthest, 0, HIGHEST_PRICE)
    rounded = ROUNDED + 1e-9 * np.abs(side.limit)
    (from_low, from_high) = (
        worth_of(saved, side, side.limit + way * rounded) for way in (-1.0, 1.0)
    )
    nothing, anything = np.full(len(side.row), -np.inf), np.full(len(side.row), np.inf)
    if side.role == BUYER:
        tells, bounded = side.limit + rounded < farthest, side.limit > 0
        bounds = np.where(bounded, from_low, nothing), np.where(tells, from_high, anything)
    else:
        tells, bounded = side.limit - rounded > farthest, side.limit < HIGHEST_PRICE
        bounds = np.where(tells, from_low, nothing), np.where(bounded, from_high, anything)
    mine = side.of_battery
    return np.where(mine, bounds[0], nothing), np.where(mine, bounds[1], anything)


def worth_of(saved: Saved, side: Side, price: FloatArray) -> FloatArray:
    """What a stored kWh is worth where this is what a battery can just accept for it (K)."""
    gain, round_trip = gain_of_batteries(saved)[side.step], saved.settings.efficiency**2
    if side.role == BUYER:
        return np.asarray((price + gain) / round_trip)
    return np.asarray((price - gain) * round_trip)
