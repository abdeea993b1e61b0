"""Orders into trades, the rest into the local market and to the utility, and the bills for all of it.

match: neighbours, sorted double auction; local_market: what is left, through the aggregator;
metered_flows: every member's flows; bill: who pays whom. Equations: docs/models.md, "Matching and the rest".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from records import (
    AGGREGATOR,
    UTILITY,
    BatteryPlan,
    Flows,
    Ids,
    Money,
    Orders,
    Period,
    Price,
    Reason,
    StepPrices,
    TradeKind,
    Trades,
    Transfers,
    Wh,
    joined,
    transfers,
)

# ---------------------------------------------------------------- market rules


@dataclass(frozen=True)
class Clearing:
    """What a rule makes of the orders of one step."""

    trades: Trades
    spread_nanoeur: Money
    """(M) What each buyer pays to the aggregator beyond his trade's price; under most rules nothing."""


def everybody(orders: Orders) -> Orders:
    """Admits all orders as they are."""
    return orders


@dataclass(frozen=True)
class Mechanism:
    """A market rule: how the orders of one step become trades between neighbours."""

    name: str
    clear: Callable[[Orders, StepPrices], Clearing]
    admit: Callable[[Orders], Orders] = everybody
    """Drops or rewrites orders before they are cleared: rules without limit prices leave batteries out."""
    has_limits: bool = True
    """Whether members quote; a rule that shares by quantity asks nobody for a price."""
    market_follows: bool = True
    """Whether the local market takes what the rule leaves; else the utility does."""
    settle_period: Callable[[Period], Transfers] | None = None
    """Payments by which members share their bills after the last step."""


def without_spread(trades: Trades) -> Clearing:
    """Trades whose buyers pay what the sellers get."""
    return Clearing(trades, np.zeros(trades.size, np.int64))


def clear_midpoint(orders: Orders, _: StepPrices) -> Clearing:
    return without_spread(match(orders))


MIDPOINT = Mechanism("midpoint", clear_midpoint)


# ---------------------------------------------------------------- neighbours


def match(orders: Orders) -> Trades:
    """P2P trades (M): best bids with best asks, partial fills, at the midpoint, until bid < ask."""
    buying, selling, energy_wh = crossing(orders)
    bid, ask = orders.limit_microeur_per_kwh[buying], orders.limit_microeur_per_kwh[selling]
    return p2p_trades(orders, buying, selling, energy_wh, (bid + ask) // 2)


def crossing(orders: Orders) -> tuple[np.ndarray, np.ndarray, Wh]:
    """(rows of bids, rows of asks, Wh) of the pairs of best with best whose bid is not below the ask."""
    bids, asks = queue(orders, sales=False), queue(orders, sales=True)
    buying, selling, energy_wh = side_by_side(
        bids, asks, orders.energy_wh[bids], orders.energy_wh[asks]
    )
    meet = orders.limit_microeur_per_kwh[buying] >= orders.limit_microeur_per_kwh[selling]
    return buying[meet], selling[meet], energy_wh[meet]


def side_by_side(
    bids: np.ndarray, asks: np.ndarray, bid_wh: Wh, ask_wh: Wh
) -> tuple[np.ndarray, np.ndarray, Wh]:
    """(bid, ask, Wh) of each pair (M) when two queues of energy are laid side by side.

    Wherever either queue changes its owner a pair ends and the next begins. So no loop over pairs and
    no matrix: the work is that of a sort.
    """
    bid_ends, ask_ends = np.cumsum(bid_wh), np.cumsum(ask_wh)
    most = min(bid_ends[-1], ask_ends[-1]) if len(bids) and len(asks) else 0
    ends = np.sort(np.concatenate([bid_ends, ask_ends]))
    ends = ends[: np.searchsorted(ends, most, side="right")]
    begins = np.concatenate([[0], ends[:-1]])[: len(ends)]
    ends, begins = ends[ends > begins], begins[ends > begins]
    return (
        bids[np.searchsorted(bid_ends, begins, side="right")],
        asks[np.searchsorted(ask_ends, begins, side="right")],
        ends - begins,
    )


def p2p_trades(
    orders: Orders, buying: np.ndarray, selling: np.ndarray, energy_wh: Wh, price: Price
) -> Trades:
    """The trades between the owners of these rows of orders (M)."""
    return Trades(
        seller=orders.member[selling],
        buyer=orders.member[buying],
        energy_wh=energy_wh,
        price_microeur_per_kwh=price,
        kind=np.full(len(energy_wh), TradeKind.P2P, np.uint8),
    )


def queue(orders: Orders, sales: bool) -> np.ndarray:
    """Rows of the sales (cheapest first) or of the bids (dearest first); the drawn tie decides equals."""
    rows = np.flatnonzero(orders.is_sale if sales else ~orders.is_sale)
    price = orders.limit_microeur_per_kwh[rows]
    tie = orders.tie[rows]
    rank = (price if sales else -price) * (1 + tie.max(initial=0)) + tie
    return rows[np.argsort(rank)]


# ---------------------------------------------------------------- aggregator


def leftovers(orders: Orders, p2p: Trades, members: int) -> Wh:
    """What P2P left of each order (K), in Wh; a member has at most one order."""
    traded = total(p2p.seller, p2p.energy_wh, members) + total(p2p.buyer, p2p.energy_wh, members)
    return orders.energy_wh - traded[orders.member]


def local_market(
    orders: Orders, left_wh: Wh, prices: StepPrices, buyers_come: bool, sellers_come: bool
) -> Trades:
    """Trades of the remaining residuals with the aggregator (M), in the order of the queue; batteries stay out.

    It takes and gives any quantity at one price per side, so that nobody is left over.
    """
    comes = (left_wh > 0) & ~orders.of_battery & np.where(orders.is_sale, sellers_come, buyers_come)
    rows = np.concatenate([queue(orders, sales=False), queue(orders, sales=True)])
    rows = rows[comes[rows]]
    sale, member = orders.is_sale[rows], orders.member[rows]
    return Trades(
        seller=np.where(sale, member, AGGREGATOR).astype(np.int32),
        buyer=np.where(sale, AGGREGATOR, member).astype(np.int32),
        energy_wh=left_wh[rows],
        price_microeur_per_kwh=np.where(sale, prices.market_sell, prices.market_buy).astype(
            np.int64
        ),
        kind=np.full(len(rows), TradeKind.LOCAL_MARKET, np.uint8),
    )


# ---------------------------------------------------------------- flows


def metered_flows(
    pv_wh: Wh,
    load_wh: Wh,
    plan: BatteryPlan,
    orders: Orders,
    p2p: Trades,
    market: Trades,
) -> Flows:
    """Each member's flows (N): what batteries sold or bought moves them, the utility takes the rest."""
    n = len(pv_wh)
    p2p_bought, p2p_sold = total(p2p.buyer, p2p.energy_wh, n), total(p2p.seller, p2p.energy_wh, n)
    market_bought = total(market.buyer, market.energy_wh, n)
    market_sold = total(market.seller, market.energy_wh, n)
    battery = np.zeros(n, np.int64)
    battery[orders.member] = orders.of_battery
    charge = plan.charge_wh + battery * p2p_bought
    discharge = plan.discharge_wh + battery * p2p_sold
    rest = (
        pv_wh + discharge + p2p_bought + market_bought - load_wh - charge - p2p_sold - market_sold
    )
    return Flows(
        pv_wh=pv_wh,
        load_wh=load_wh,
        charge_wh=charge,
        discharge_wh=discharge,
        p2p_bought_wh=p2p_bought,
        p2p_sold_wh=p2p_sold,
        market_bought_wh=market_bought,
        market_sold_wh=market_sold,
        grid_import_wh=np.maximum(-rest, 0),
        grid_export_wh=np.maximum(rest, 0),
        curtailed_wh=np.zeros(n, np.int64),
    )


def total(party: Ids, energy_wh: Wh, members: int) -> Wh:
    """Sum per member (N); other parties are left out. Adds whole numbers, so it is exact."""
    sums = np.zeros(members, np.int64)
    inside = party >= 0
    np.add.at(sums, party[inside], energy_wh[inside])
    return sums


# ---------------------------------------------------------------- bills


def bill(cleared: Clearing, market: Trades, flows: Flows, prices: StepPrices) -> Transfers:
    """Every payment for energy of one step: trades, utility, and the aggregator's net exchange."""
    p2p, spread = cleared.trades, cleared.spread_nanoeur
    members = np.arange(len(flows.load_wh), dtype=np.int32)
    net_wh = int(flows.market_bought_wh.sum() - flows.market_sold_wh.sum())
    imported = np.array([max(net_wh, 0) * prices.wholesale_buy])
    exported = np.array([max(-net_wh, 0) * prices.wholesale_sell])
    return joined(
        [
            transfers(p2p.buyer, p2p.seller, p2p.amount_nanoeur, Reason.P2P),
            transfers(market.buyer, market.seller, market.amount_nanoeur, Reason.LOCAL_MARKET),
            transfers(
                members, UTILITY, flows.grid_import_wh * prices.grid_import, Reason.UTILITY_IMPORT
            ),
            transfers(
                UTILITY, members, flows.grid_export_wh * prices.grid_export, Reason.UTILITY_EXPORT
            ),
            transfers(AGGREGATOR, UTILITY, imported, Reason.UTILITY_IMPORT),
            transfers(UTILITY, AGGREGATOR, exported, Reason.UTILITY_EXPORT),
            transfers(p2p.buyer, AGGREGATOR, spread, Reason.AUCTION_SPREAD),
        ]
    )


def spread_changes(cleared: Clearing, accounts: int) -> Money:
    """What the rule's spread changes in each account (A): buyers pay it, the aggregator gets it."""
    change = np.zeros(accounts, np.int64)
    np.subtract.at(change, cleared.trades.buyer, cleared.spread_nanoeur)
    change[AGGREGATOR] += cleared.spread_nanoeur.sum()
    return change


def period_after(before: Period, flows: Flows, prices: StepPrices) -> Period:
    """The sums since the start, with this step's."""
    return Period(
        bought_wh=before.bought_wh + flows.p2p_bought_wh + flows.grid_import_wh,
        sold_wh=before.sold_wh + flows.p2p_sold_wh + flows.grid_export_wh,
        billed_nanoeur=before.billed_nanoeur + flows.grid_import_wh * prices.grid_import,
        earned_nanoeur=before.earned_nanoeur + flows.grid_export_wh * prices.grid_export,
    )
