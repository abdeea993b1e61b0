"""Orders into trades, the rest into the local market and to the utility, and the bills for all of it.

match: neighbours, sorted double auction; local_market: what is left, through the aggregator;
settle: every member's flows; bill: who pays whom. Equations: docs/models.md, "Matching and the rest".
"""

from __future__ import annotations

import numpy as np

from records import (
    AGGREGATOR,
    UTILITY,
    BatteryPlan,
    Flows,
    Ids,
    Orders,
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

# ---------------------------------------------------------------- neighbours


def match(orders: Orders) -> Trades:
    """P2P trades (M): best bids with best asks, partial fills, at the midpoint, until bid < ask.

    Bids descending and asks ascending are two queues of energy laid side by side: wherever either
    queue changes its owner a trade ends and the next begins. So no loop over pairs, no matrix.
    """
    bids, asks = queue(orders, sales=False), queue(orders, sales=True)
    bid_ends, ask_ends = np.cumsum(orders.energy_wh[bids]), np.cumsum(orders.energy_wh[asks])
    if not len(bids) or not len(asks):
        return no_trades()
    ends = np.sort(np.concatenate([bid_ends, ask_ends]))
    ends = ends[: np.searchsorted(ends, min(bid_ends[-1], ask_ends[-1]), side="right")]
    begins = np.concatenate([[0], ends[:-1]])
    ends, begins = ends[ends > begins], begins[ends > begins]
    buying = bids[np.searchsorted(bid_ends, begins, side="right")]
    selling = asks[np.searchsorted(ask_ends, begins, side="right")]
    bid, ask = orders.limit_microeur_per_kwh[buying], orders.limit_microeur_per_kwh[selling]
    meet = bid >= ask
    return Trades(
        seller=orders.member[selling[meet]],
        buyer=orders.member[buying[meet]],
        energy_wh=(ends - begins)[meet],
        price_microeur_per_kwh=((bid + ask) // 2)[meet],
        kind=np.full(np.count_nonzero(meet), TradeKind.P2P, np.uint8),
    )


def queue(orders: Orders, sales: bool) -> np.ndarray:
    """Rows of the sales (cheapest first) or of the bids (dearest first); the drawn tie decides equals."""
    rows = np.flatnonzero(orders.is_sale if sales else ~orders.is_sale)
    price = orders.limit_microeur_per_kwh[rows]
    rank = (price if sales else -price) * np.int64(1 << 21) + orders.tie[rows]
    return rows[np.argsort(rank)]


def no_trades() -> Trades:
    nobody, nothing = np.zeros(0, np.int32), np.zeros(0, np.int64)
    return Trades(nobody, nobody.copy(), nothing, nothing.copy(), np.zeros(0, np.uint8))


# ---------------------------------------------------------------- aggregator


def leftovers(orders: Orders, p2p: Trades, members: int) -> Wh:
    """What P2P left of each order (K), in Wh."""
    traded = total(p2p.seller, p2p.energy_wh, members) + total(p2p.buyer, p2p.energy_wh, members)
    return orders.energy_wh - traded[orders.member]


def local_market(
    orders: Orders, left_wh: Wh, prices: StepPrices, buyers_come: bool, sellers_come: bool
) -> Trades:
    """Trades of the remaining residuals with the aggregator (M), ranked by price; batteries stay out."""
    comes = (
        (left_wh > 0) & ~orders.from_storage & np.where(orders.is_sale, sellers_come, buyers_come)
    )
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


def settle(
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
    battery[orders.member] = orders.from_storage
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


def bill(p2p: Trades, market: Trades, flows: Flows, prices: StepPrices) -> Transfers:
    """Every payment for energy of one step: trades, utility, and the aggregator's net exchange."""
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
        ]
    )


def merit_price(trades: Trades) -> Price:
    """Average price of these trades in money per kWh, not per trade; 0 where nothing was traded."""
    energy = trades.energy_wh.sum()
    return trades.amount_nanoeur.sum() // energy if energy else np.int64(0)
