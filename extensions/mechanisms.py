"""Other market rules: pure functions from the orders of a step to trades, in one registry.

Auctions (uniform, pay_as_bid, huang) read the same quotes as the midpoint rule of the core. Sharing rules
(mid_market_rate, supply_demand_ratio, bill_sharing) ask nobody for a price: surplus is matched with
deficit pro rata at the community's sell price, the rest meets the utility at retail (lb) and feed-in price
(ls), which gives the payments of the published formulas. Equations and sources: docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from errors import InputError
from records import (
    AGGREGATOR,
    HIGHEST_PRICE,
    Orders,
    Period,
    Reason,
    StepPrices,
    Transfers,
    Wh,
    joined,
    transfers,
)
from trading import (
    MIDPOINT,
    Clearing,
    Mechanism,
    clear_midpoint,
    crossing,
    p2p_trades,
    queue,
    side_by_side,
    without_spread,
)

# ---------------------------------------------------------------- auctions


def uniform(orders: Orders, _: StepPrices) -> Clearing:
    """One price for all trades, midway between the marginal accepted bid and ask (pay as clear)."""
    buying, selling, energy_wh = crossing(orders)
    limit = orders.limit_microeur_per_kwh
    price = (limit[buying[-1:]] + limit[selling[-1:]]) // 2
    return without_spread(
        p2p_trades(orders, buying, selling, energy_wh, np.repeat(price, len(buying)))
    )


def pay_as_bid(orders: Orders, _: StepPrices) -> Clearing:
    """Each buyer pays the price that he bid."""
    buying, selling, energy_wh = crossing(orders)
    price = orders.limit_microeur_per_kwh[buying]
    return without_spread(p2p_trades(orders, buying, selling, energy_wh, price))


def huang(orders: Orders, _: StepPrices) -> Clearing:
    """Truthful double auction by trade reduction (Huang, Scheller-Wolf, Sycara 2002; after McAfee 1992).

    The marginal bid and ask set the two prices and do not trade; the longer side is cut by equal amounts.
    What lies between the prices goes to the aggregator.
    """
    buying, selling, _wh = crossing(orders)
    bids, asks = queue(orders, sales=False), queue(orders, sales=True)
    last_bid = int(np.flatnonzero(bids == buying[-1])[0]) if len(buying) else 0
    last_ask = int(np.flatnonzero(asks == selling[-1])[0]) if len(selling) else 0
    bids, asks = bids[:last_bid], asks[:last_ask]
    bid_wh, ask_wh = orders.energy_wh[bids], orders.energy_wh[asks]
    traded = min(int(bid_wh.sum()), int(ask_wh.sum()))
    pairs = side_by_side(bids, asks, cut_equally(bid_wh, traded), cut_equally(ask_wh, traded))
    if not len(pairs[2]):
        return without_spread(p2p_trades(orders, *pairs, pairs[2]))
    bought_at = int(orders.limit_microeur_per_kwh[buying[-1]])
    sold_at = int(orders.limit_microeur_per_kwh[selling[-1]])
    trades = p2p_trades(orders, *pairs, np.full(len(pairs[2]), sold_at))
    return Clearing(trades, trades.energy_wh * (bought_at - sold_at))


def cut_equally(energy_wh: Wh, total_wh: int) -> Wh:
    """The same quantities (K) with sum total_wh: each cut by the same amount, none below zero."""
    excess = int(energy_wh.sum()) - total_wh
    if excess <= 0:
        return energy_wh
    ordered = np.sort(energy_wh)
    many = len(ordered) - np.arange(len(ordered))
    gone = np.concatenate([[0], np.cumsum(ordered)[:-1]]) + ordered * many
    first = int(np.searchsorted(gone, excess))
    before = int(ordered[:first].sum())
    cut, odd = divmod(excess - before, int(many[first]))
    kept = np.maximum(energy_wh - cut, 0)
    kept[np.flatnonzero(kept)[:odd]] -= 1
    return kept


# ---------------------------------------------------------------- sharing by quantity


def residuals_without_limits(orders: Orders) -> Orders:
    """The orders that come from surplus and deficit, with limits that no price can pass."""
    of_homes = Orders(*(column[~orders.of_battery] for column in vars(orders).values()))
    limit = np.where(of_homes.is_sale, 0, HIGHEST_PRICE).astype(np.int64)
    return replace(of_homes, limit_microeur_per_kwh=limit)


def share_pro_rata(orders: Orders, price: int) -> Clearing:
    """Surplus against deficit at one price; on the longer side everybody trades the same share."""
    bids, asks = queue(orders, sales=False), queue(orders, sales=True)
    bid_wh, ask_wh = orders.energy_wh[bids], orders.energy_wh[asks]
    traded = min(int(bid_wh.sum()), int(ask_wh.sum()))
    pairs = side_by_side(bids, asks, share_out(traded, bid_wh), share_out(traded, ask_wh))
    return without_spread(p2p_trades(orders, *pairs, np.full(len(pairs[2]), price, np.int64)))


def supply_and_demand(orders: Orders) -> tuple[int, int]:
    """(S, D) of the step in Wh."""
    sale = orders.is_sale
    return int(orders.energy_wh[sale].sum()), int(orders.energy_wh[~sale].sum())


def mid_market_rate(orders: Orders, prices: StepPrices) -> Clearing:
    """Matched energy at m = (lb + ls) / 2 (Long et al. 2017)."""
    return share_pro_rata(orders, (prices.grid_import + prices.grid_export) // 2)


def supply_demand_ratio(orders: Orders, prices: StepPrices) -> Clearing:
    """Matched energy at lb ls / ((lb - ls) r + ls), r = S / D up to 1 (Liu et al. 2017)."""
    supply, demand = supply_and_demand(orders)
    lb, ls = prices.grid_import, prices.grid_export
    ratio = min(supply / demand, 1.0) if demand else 1.0
    below = (lb - ls) * ratio + ls
    return share_pro_rata(orders, round(lb * ls / below) if below else 0)


def bill_sharing(orders: Orders, _: StepPrices) -> Clearing:
    """Matched energy is free within the period; share_bills settles it at the end."""
    return share_pro_rata(orders, 0)


def share_bills(period: Period) -> Transfers:
    """Payments after the last step: what the utility billed the members is shared by what each has bought,
    what it paid them by what each has sold; through the aggregator, which keeps nothing."""
    billed, earned = period.billed_nanoeur, period.earned_nanoeur
    owes = share_out(int(billed.sum()), period.bought_wh) - billed
    owes -= share_out(int(earned.sum()), period.sold_wh) - earned
    members = np.arange(len(owes), dtype=np.int32)
    return joined(
        [
            transfers(members, AGGREGATOR, np.maximum(owes, 0), Reason.BILL_SHARING),
            transfers(AGGREGATOR, members, np.maximum(-owes, 0), Reason.BILL_SHARING),
        ]
    )


def share_out(total: int, weights: Wh) -> Wh:
    """`total` in whole parts proportional to weights (K), exact in sum, each within 1 of its share."""
    whole = int(weights.sum())
    if not whole:
        return np.zeros(len(weights), np.int64)
    reached = np.cumsum(weights)
    if total * whole >= 2**62:  # products beyond 64 bits: Python's own whole numbers
        reached = reached.astype(object)
    ends = (reached * total // whole).astype(np.int64)
    return np.diff(ends, prepend=0)


# ---------------------------------------------------------------- nobody trades


def nobody(_: Orders) -> Orders:
    """No orders: everyone is alone with the utility."""
    return no_orders()


def no_orders() -> Orders:
    none = np.zeros(0, np.int64)
    return Orders(
        member=none.astype(np.int32),
        is_sale=none.astype(bool),
        energy_wh=none,
        limit_microeur_per_kwh=none,
        of_battery=none.astype(bool),
        tie=none,
    )


def _sharing(
    name: str,
    clear: Callable[[Orders, StepPrices], Clearing],
    settle_period: Callable[[Period], Transfers] | None = None,
) -> Mechanism:
    return Mechanism(
        name,
        clear,
        admit=residuals_without_limits,
        has_limits=False,
        market_follows=False,
        settle_period=settle_period,
    )


MECHANISMS: dict[str, Mechanism] = {
    rule.name: rule
    for rule in (
        MIDPOINT,
        Mechanism("uniform", uniform),
        Mechanism("pay_as_bid", pay_as_bid),
        _sharing("mid_market_rate", mid_market_rate),
        _sharing("supply_demand_ratio", supply_demand_ratio),
        _sharing("bill_sharing", bill_sharing, share_bills),
        Mechanism("huang", huang),
        Mechanism("none", clear_midpoint, admit=nobody, has_limits=False, market_follows=False),
    )
}


def mechanism_called(name: str) -> Mechanism:
    """The rule of this name; InputError where a setting names one that is not in the list."""
    if name not in MECHANISMS:
        told = f"MARKET_MECHANISM = {name!r}: extensions/mechanisms.py has {', '.join(MECHANISMS)}"
        raise InputError([told])
    return MECHANISMS[name]
