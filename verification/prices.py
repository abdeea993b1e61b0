"""The second reading of prices between neighbours: what each market rule makes of limits and orders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verification.findings import Findings, FloatArray, IntArray
from verification.folder import Saved
from verification.tables import BUYER, ROUNDED, SELLER


def check_prices(saved: Saved, rows: IntArray, findings: Findings) -> None:
    """Prices between neighbours (`rows` of trades) are those that MARKET_MECHANISM makes of the limits."""
    mechanism = saved.settings.mechanism
    due = PRICES[mechanism](saved, rows)
    price = saved.trades["price_microeur_per_kwh"][rows]
    away = np.abs(price - due) > ROUNDED
    words = f"price {{}}, {mechanism} makes it {{}}"
    findings.rows(away, "market rule", lambda k: saved.trade_name(int(rows[k])), words, price, due)


def limits_of(saved: Saved, rows: IntArray, party: IntArray) -> IntArray:
    """The limit prices (K) of these members in the steps of these trades."""
    place = saved.trades["timestep"][rows] * len(saved.members) + party
    return np.asarray(saved.trading["limit_price_microeur_per_kwh"][place])


def limits_of_side(saved: Saved, rows: IntArray, side: str) -> IntArray:
    """The limit of the buyer or seller of these trades (K)."""
    return limits_of(saved, rows, saved.trades[f"{side}_id"][rows])


def midpoint(saved: Saved, rows: IntArray) -> IntArray:
    return np.asarray(
        (limits_of_side(saved, rows, "buyer") + limits_of_side(saved, rows, "seller")) // 2
    )


def bid(saved: Saved, rows: IntArray) -> IntArray:
    return limits_of_side(saved, rows, "buyer")


def marginal_midpoint(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between the lowest bid and the highest ask that traded in the step."""
    step = saved.trades["timestep"][rows]
    lowest = np.full(saved.steps, np.iinfo(np.int64).max)
    highest = np.full(saved.steps, -1)
    np.minimum.at(lowest, step, limits_of_side(saved, rows, "buyer"))
    np.maximum.at(highest, step, limits_of_side(saved, rows, "seller"))
    traded = np.unique(step)
    price = np.zeros(saved.steps, np.int64)
    price[traded] = (lowest[traded] + highest[traded]) // 2
    return np.asarray(price[step])


def ask_at_the_crossing(saved: Saved, rows: IntArray) -> IntArray:
    """The dearest ask of the step that meets a bid; its owner does not trade."""
    return np.asarray(saved.reduction.ask[saved.trades["timestep"][rows]])


def halfway(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between retail and feed-in price."""
    buy, sell = outside(saved, rows)
    return np.asarray((buy + sell) // 2)


def supply_demand_ratio(saved: Saved, rows: IntArray) -> FloatArray:
    """lb ls / ((lb - ls) r + ls), r = supply / demand of the step's orders, at most 1; not yet rounded."""
    o, step = saved.trading, saved.trades["timestep"][rows]
    supply = saved.per_step(np.where(o["role"] == SELLER, o["order_wh"], 0))[step]
    demand = saved.per_step(np.where(o["role"] == BUYER, o["order_wh"], 0))[step]
    lb, ls = outside(saved, rows)
    ratio = np.minimum(supply / np.maximum(demand, 1), 1.0)
    below = (lb - ls) * ratio + ls
    return np.divide(lb * ls, below, out=np.zeros(len(rows)), where=below > 0)


def outside(saved: Saved, rows: IntArray) -> tuple[IntArray, IntArray]:
    """(import, export) price of the utility at these trades (K)."""
    c, step = saved.community, saved.trades["timestep"][rows]
    buy, sell = (c[f"grid_{way}_price_microeur_per_kwh"][step] for way in ("import", "export"))
    return buy, sell


def free(saved: Saved, rows: IntArray) -> IntArray:
    """Nothing is paid in the step: bills are shared at the end."""
    return np.zeros(len(rows), np.int64)


def never(saved: Saved, rows: IntArray) -> IntArray:
    """No price is right, because nobody trades."""
    return np.full(len(rows), -1)


PRICES: dict[str, Callable[[Saved, IntArray], IntArray | FloatArray]] = {
    "midpoint": midpoint,
    "uniform": marginal_midpoint,
    "pay_as_bid": bid,
    "huang": ask_at_the_crossing,
    "mid_market_rate": halfway,
    "supply_demand_ratio": supply_demand_ratio,
    "bill_sharing": free,
    "none": never,
}
