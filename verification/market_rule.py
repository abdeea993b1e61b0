"""The second reading of the market between neighbours: whom a rule serves first, and at which price."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verification.energy import BUYER, P2P, SELLER
from verification.findings import BoolArray, Findings, IntArray, show
from verification.folder import Saved, step_name
from verification.tables import NO_LIMIT

AUCTIONS = ("midpoint", "uniform", "pay_as_bid", "huang")
MECHANISMS = (*AUCTIONS, "mid_market_rate", "supply_demand_ratio", "bill_sharing", "none")


def check_market_rule(saved: Saved, findings: Findings) -> None:
    """Prices between neighbours are those that MARKET_MECHANISM makes of the limits."""
    mechanism = saved.settings.mechanism
    if not saved.settings.ours:
        return
    if mechanism not in MECHANISMS:
        words = f"MARKET_MECHANISM is {show(mechanism)}, expected one of {', '.join(MECHANISMS)}"
        findings.add("params.json", "market rule", words)
        return
    check_limits(saved, mechanism in AUCTIONS, findings)
    p2p = saved.sound_trades & (saved.trades["trade_type"] == P2P)
    rows = np.flatnonzero(p2p & (saved.trades["buyer_id"] >= 0) & (saved.trades["seller_id"] >= 0))
    if mechanism in AUCTIONS:
        check_priority(saved, mechanism == "huang", findings)
    due = PRICES[mechanism](saved, rows)
    price = saved.trades["price_microeur_per_kwh"][rows]
    away = np.abs(price - due) > (mechanism == "supply_demand_ratio")  # its quotient is rounded
    words = f"price {{}}, {mechanism} makes it {{}}"
    findings.rows(away, "market rule", lambda k: saved.trade_name(int(rows[k])), words, price, due)


def check_limits(saved: Saved, limits: bool, findings: Findings) -> None:
    """Every order of an auction has a limit; rules that ask nobody for a price have none."""
    o = saved.trading
    orders = (o["role"] == BUYER) | (o["role"] == SELLER)
    has = o["limit_price_microeur_per_kwh"] != NO_LIMIT
    words = "order of {} Wh with" + ("out a" if limits else " a") + " limit price"
    findings.rows(orders & (has != limits), "limit price", saved.row_name, words, o["order_wh"])


def check_priority(saved: Saved, one_pair_stays: bool, findings: Findings) -> None:
    """The best orders are served first, and no two are left that would have agreed (but one, under huang)."""
    o, e = saved.trading, saved.energy
    limit, beyond = o["limit_price_microeur_per_kwh"], np.iinfo(np.int64).max
    left = o["order_wh"] - e["p2p_bought_wh"] - e["p2p_sold_wh"] > 0

    def best(role: int, chosen: BoolArray, worst: bool = False) -> IntArray:
        """The best (or worst) limit of each step (T) among these orders, seen as a price to pay."""
        bids = role == BUYER
        fill = -1 if bids != worst else beyond
        column = np.where((o["role"] == role) & chosen & (limit != NO_LIMIT), limit, fill)
        by_step = column.reshape(saved.steps, len(saved.members))
        return np.asarray(by_step.max(axis=1) if bids != worst else by_step.min(axis=1))

    bid, ask = best(BUYER, left), best(SELLER, left)
    if not one_pair_stays:
        words = "a bid of {} and an ask of {} were left, although they agree"
        findings.rows((bid >= ask) & (bid >= 0), "priority", step_name, words, bid, ask)
    served = best(BUYER, e["p2p_bought_wh"] > 0, worst=True)
    words = "a bid of {} was served, one of {} was left"
    findings.rows(
        (served < bid) & ~np.bool_(one_pair_stays), "priority", step_name, words, served, bid
    )
    served = best(SELLER, e["p2p_sold_wh"] > 0, worst=True)
    words = "an ask of {} was served, one of {} was left"
    findings.rows(
        (served > ask) & ~np.bool_(one_pair_stays), "priority", step_name, words, served, ask
    )


def own_limits(saved: Saved, rows: IntArray, side: str) -> IntArray:
    """The limit of the buyer or seller of these trades (K)."""
    party, step = saved.trades[f"{side}_id"][rows], saved.trades["timestep"][rows]
    place = step * len(saved.members) + party
    return np.asarray(saved.trading["limit_price_microeur_per_kwh"][place])


def midpoint(saved: Saved, rows: IntArray) -> IntArray:
    return np.asarray((own_limits(saved, rows, "buyer") + own_limits(saved, rows, "seller")) // 2)


def bid(saved: Saved, rows: IntArray) -> IntArray:
    return own_limits(saved, rows, "buyer")


def marginal_midpoint(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between the lowest bid and the highest ask that traded in the step."""
    step = saved.trades["timestep"][rows]
    lowest = np.full(saved.steps, np.iinfo(np.int64).max)
    highest = np.full(saved.steps, -1)
    np.minimum.at(lowest, step, own_limits(saved, rows, "buyer"))
    np.maximum.at(highest, step, own_limits(saved, rows, "seller"))
    traded = np.unique(step)
    price = np.zeros(saved.steps, np.int64)
    price[traded] = (lowest[traded] + highest[traded]) // 2
    return np.asarray(price[step])


def excluded_ask(saved: Saved, rows: IntArray) -> IntArray:
    """The limit of a seller who did not trade, at or above all who did; the trades say which."""
    step, price = saved.trades["timestep"][rows], saved.trades["price_microeur_per_kwh"][rows]
    n, limit = len(saved.members), saved.trading["limit_price_microeur_per_kwh"]
    left_out = (saved.trading["role"] == SELLER) & (saved.energy["p2p_sold_wh"] == 0)
    highest = np.full(saved.steps, -1)
    np.maximum.at(highest, step, own_limits(saved, rows, "seller"))
    due = np.full(len(rows), -1)
    for t in np.unique(step).tolist():
        mine = slice(t * n, t * n + n)
        asks = limit[mine][left_out[mine] & (limit[mine] >= highest[t])]
        told = price[step == t]
        one = told[0] if len(asks) and told[0] in asks else asks.min(initial=-1)
        due[step == t] = one
    return due


def halfway(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between retail and feed-in price."""
    buy, sell = outside(saved, rows)
    return np.asarray((buy + sell) // 2)


def supply_demand_ratio(saved: Saved, rows: IntArray) -> IntArray:
    """lb ls / ((lb - ls) r + ls), r = supply / demand of the step's orders, at most 1."""
    o, step = saved.trading, saved.trades["timestep"][rows]
    supply = saved.per_step(np.where(o["role"] == SELLER, o["order_wh"], 0))[step]
    demand = saved.per_step(np.where(o["role"] == BUYER, o["order_wh"], 0))[step]
    lb, ls = outside(saved, rows)
    ratio = np.minimum(supply / np.maximum(demand, 1), 1.0)
    below = (lb - ls) * ratio + ls
    price = np.divide(lb * ls, below, out=np.zeros(len(rows)), where=below > 0)
    return np.rint(price).astype(np.int64)


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


PRICES: dict[str, Callable[[Saved, IntArray], IntArray]] = {
    "midpoint": midpoint,
    "uniform": marginal_midpoint,
    "pay_as_bid": bid,
    "huang": excluded_ask,
    "mid_market_rate": halfway,
    "supply_demand_ratio": supply_demand_ratio,
    "bill_sharing": free,
    "none": never,
}
