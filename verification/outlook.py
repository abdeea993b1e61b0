"""The second reading of what is to be expected: prices of the next 24 hours, and what they make of stored energy.

Forecasts are told, but for hours after the run; there the settings say between what they lie.
"""

from __future__ import annotations

import numpy as np

from verification.batteries import Advice, Slack, batteries, plan_of, use_of_batteries
from verification.findings import BoolArray, FloatArray, IntArray
from verification.folder import Saved
from verification.params import MARKET_FOLLOWS, OBJECTIVES, microeur

SECONDS_PER_DAY = 86_400
HOME_FIRST = ("maximize_renewable", "maximize_p2p")
"""Objectives under which batteries do what a regulator expects of them: first all that they can for their homes."""
WORTH = {  # of a stored kWh, as multiple of the mean: (where more is needed than there is, else)
    "maximize_renewable": (0.6, 1.1),
    "maximize_profit": (1.0, 1.0),
    "maximize_p2p": (0.6, 1.25),
}
DRAWN_WORTH = (0.5, 1.5)  # under chaos
ANY_WORTH = (0.0, 1e9)  # under an objective that is not known here

Bounds = tuple[FloatArray, FloatArray]


def utility_prices(saved: Saved) -> tuple[IntArray, IntArray]:
    """(buying, selling) at the utility in each step (T)."""
    buy, sell = (
        saved.community[f"grid_{way}_price_microeur_per_kwh"] for way in ("import", "export")
    )
    return buy, sell


def expected_prices(saved: Saved) -> tuple[IntArray, IntArray]:
    """(buying, selling) as members expect it beyond their neighbours, in the local market or at the utility (T)."""
    buy, sell = utility_prices(saved)
    if saved.settings.mechanism not in MARKET_FOLLOWS:
        return buy, sell
    if saved.settings.took("prices"):  # the tariff of the step is known
        return buy, sell
    (fee_eur,) = saved.settings.all_numbers("LOCAL_MARKET_FEE")
    fee = microeur(fee_eur)
    seen = saved.community["price_forecast_microeur_per_kwh"]
    return np.clip(seen + fee, sell, buy), np.clip(seen - fee, sell, buy)


def reservation_prices(saved: Saved) -> tuple[IntArray, IntArray]:
    """(most a buyer, least a seller) can accept in each step (T) without loss against having no neighbour.

    The least may be below 0, where a bonus is larger than the price; no limit price is.
    """
    (buy, sell), c = expected_prices(saved), saved.community
    penalty, bonus = (c[f"{name}_microeur_per_kwh"] for name in ("market_penalty", "p2p_bonus"))
    dearest = np.minimum(buy + penalty, c["grid_import_price_microeur_per_kwh"]) + bonus
    cheapest = np.maximum(sell - penalty, c["grid_export_price_microeur_per_kwh"]) - bonus
    return dearest, cheapest


def window_of_a_day(saved: Saved) -> tuple[int, Bounds]:
    """(steps in 24 hours, the least and the most that forecasts of the 24 hours after the run can be, step by step)."""
    window = -(-SECONDS_PER_DAY // saved.settings.step_seconds)
    if saved.settings.took("prices"):  # after the file its last day comes again
        seen = saved.community["price_forecast_microeur_per_kwh"].astype(np.float64)
        last_day = np.resize(seen[-window:], window)
        return window, (last_day, last_day)
    return window, forecasts_later(saved, window)


def mean_of_a_day(saved: Saved) -> Bounds:
    """The least and the most that the mean forecast of the next 24 hours can be, in each step (T)."""
    seen = saved.community["price_forecast_microeur_per_kwh"].astype(np.float64)
    window, later = window_of_a_day(saved)
    bounds = []
    for beyond in later:
        sums = np.concatenate([[0.0], np.cumsum(np.concatenate([seen, beyond]))])
        bounds.append(np.floor((sums[window:] - sums[:-window])[: saved.steps] / window))
    return bounds[0], bounds[1]


def change_of_mean(saved: Saved) -> Bounds:
    """The least and the most that this mean can change from each step to the next (T): one forecast leaves, one enters."""
    seen = saved.community["price_forecast_microeur_per_kwh"].astype(np.float64)
    window, later = window_of_a_day(saved)
    low, high = (
        (np.concatenate([seen, beyond])[window : window + saved.steps] - seen) / window
        for beyond in later
    )
    return low, high


def forecasts_later(saved: Saved, window: int) -> Bounds:
    """The least and the most that forecasts of the steps after the run can be, where prices follow PRICE_PATTERN."""
    told = saved.settings.all_numbers("BASE_PRICE", "PRICE_VARIATION", "FORECAST_ERROR")
    pattern, (base, width, error) = np.array(saved.settings.numbers("PRICE_PATTERN")), told
    begin = saved.settings.step_seconds * np.arange(
        saved.steps, saved.steps + window, dtype=np.int64
    )
    usual = pattern[begin // 3600 % 24]
    least, most = (usual, usual)
    if saved.settings.took("data"):  # whose first hour and minute no file tells to the second
        least, most = np.full(window, pattern.min()), np.full(window, pattern.max())
    least = np.floor(base * 1e6 * least * (1 - width)) * (1 - error)
    most = np.ceil(base * 1e6 * most * (1 + width)) * (1 + error)
    return np.floor(least), np.ceil(most)


def is_profitable(saved: Saved) -> tuple[tuple[BoolArray, BoolArray], tuple[BoolArray, BoolArray]]:
    """Whether selling is worth more now than storing, and buying less than what is stored: (certainly, perhaps) (T)."""
    (buy, sell), round_trip = expected_prices(saved), saved.settings.efficiency**2
    least, most = mean_of_a_day(saved)
    return (
        (sell > nudged(most * round_trip, 1), sell > nudged(least * round_trip, -1)),
        (buy < nudged(least / round_trip, -1), buy < nudged(most / round_trip, 1)),
    )


def nudged(price: FloatArray, way: int) -> FloatArray:
    """A product of floats moved by more than its last digits."""
    return np.asarray(price + way * 1e-9 * np.abs(price))


def has_surplus(saved: Saved) -> tuple[BoolArray, BoolArray]:
    """Whether homes and their batteries leave more than they need: (certainly, perhaps) in each step (T).

    Of a home whose order is its battery's nothing is left.
    """
    e, of_battery = saved.energy, saved.of_battery
    if saved.settings.objective in HOME_FIRST:
        used = e["load_wh"] + e["battery_charge_wh"] + of_battery * e["p2p_sold_wh"]
        left = e["pv_wh"] + e["battery_discharge_wh"] + of_battery * e["p2p_bought_wh"] - used
        in_surplus = saved.per_step(left) > 0
        return in_surplus, in_surplus
    known = batteries(saved)
    if known is None:
        return np.zeros(saved.steps, np.bool_), np.ones(saved.steps, np.bool_)
    use = use_of_batteries(saved, known)
    plan = plan_of(use, known, saved.settings.efficiency, Advice(), Slack())
    change = np.bincount(
        use.row // len(saved.members), plan.discharge - plan.charge, minlength=saved.steps
    )
    expected = saved.per_step(e["pv_wh"] - e["load_wh"]) + change
    doubt = np.count_nonzero(known.capacity) * (1 if known.exact else 2)  # a Wh of each by rounding
    return expected > doubt, expected > -doubt


def worth_of_charge(saved: Saved, surplus: tuple[BoolArray, BoolArray]) -> Bounds:
    """The least and the most that members are told a stored kWh will be worth, in micro-euro, in each step (T)."""
    (least, most), (low, high) = mean_of_a_day(saved), times_the_mean(saved, surplus)
    return least * low, most * high


def times_the_mean(saved: Saved, surplus: tuple[BoolArray, BoolArray]) -> Bounds:
    """The least and the most that the worth can be as a multiple of the mean price, in each step (T)."""
    objective = saved.settings.objective
    if objective not in WORTH:
        bounds = DRAWN_WORTH if objective in OBJECTIVES else ANY_WORTH
        low, high = (np.full(saved.steps, times) for times in bounds)
        return low, high
    in_need, in_surplus = WORTH[objective]
    factors = [np.where(told, in_surplus, in_need) for told in surplus]
    return np.minimum(*factors), np.maximum(*factors)
