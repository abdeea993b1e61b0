"""The laws of energy and money, checked with == in every step before anything is stored.

A saved folder is checked by the verification package, from its files alone.
"""

from __future__ import annotations

import numpy as np

from errors import LawBroken
from records import (
    AGGREGATOR,
    REGULATOR,
    UTILITY,
    Fleet,
    Money,
    Period,
    State,
    StepResult,
    TradeKind,
    Transfers,
    Truth,
    Wh,
    account_changes,
    number_of_accounts,
)

STORED_TOLERANCE_WH = 1e-6


def demand_that(holds: np.ndarray, law: str, timestep: int) -> None:
    """Raises LawBroken unless `holds` is true everywhere."""
    if not np.all(holds):
        where = np.flatnonzero(~np.atleast_1d(holds))
        raise LawBroken(f"step {timestep}: {law}; {len(where)} cases, first in row {where[0]}")


def check_energy(fleet: Fleet, before: State, result: StepResult, pv_wh: Wh, load_wh: Wh) -> None:
    """Sun and demand are met in full, each member's kWh add up at the meter, nothing flows backwards,
    batteries keep their bounds."""
    timestep, flows, after = result.timestep, result.flows, result.state
    gained = (
        flows.pv_wh
        + flows.discharge_wh
        + flows.p2p_bought_wh
        + flows.market_bought_wh
        + flows.grid_import_wh
    )
    used = (
        flows.load_wh
        + flows.charge_wh
        + flows.p2p_sold_wh
        + flows.market_sold_wh
        + flows.grid_export_wh
        + flows.curtailed_wh
    )
    demand_that(gained == used, "energy in is not energy out", timestep)
    demand_that(flows.load_wh == load_wh, "load was not served", timestep)
    demand_that(flows.pv_wh == pv_wh, "PV was changed", timestep)
    for name, column in vars(flows).items():
        demand_that(column >= 0, f"{name} is negative", timestep)
    demand_that(
        flows.charge_wh * flows.discharge_wh == 0, "a battery charges and discharges", timestep
    )
    power = np.maximum(flows.charge_wh, flows.discharge_wh)
    demand_that(power <= fleet.max_step_wh, "a battery exceeds its power", timestep)
    stored = after.stored_wh
    demand_that(
        stored >= fleet.min_stored_wh - STORED_TOLERANCE_WH, "a battery is too empty", timestep
    )
    demand_that(
        stored <= fleet.max_stored_wh + STORED_TOLERANCE_WH, "a battery is too full", timestep
    )
    expected = (
        before.stored_wh
        + fleet.efficiency * flows.charge_wh
        - flows.discharge_wh / fleet.efficiency
    )
    demand_that(
        np.abs(stored - expected) <= STORED_TOLERANCE_WH, "a battery gained from nothing", timestep
    )


def check_trades(before: State, result: StepResult, spread_nanoeur: Money, cap_wh: int) -> None:
    """Flows are the sums of trades; no home orders more than self-balancing left it, no order is overdrawn or
    turned round, no limit passed, no banned member trades, no battery's order reaches the local market.

    spread_nanoeur (M): what the buyer of each P2P trade pays beyond its price.
    """
    timestep, flows, orders, trades = result.timestep, result.flows, result.orders, result.trades
    demand_that(orders.energy_wh <= cap_wh, "an order above the cap", timestep)
    residual = result.residual_wh[orders.member]
    own = (orders.energy_wh <= np.abs(residual)) & (orders.is_sale == (residual > 0))
    demand_that(own | orders.of_battery, "an order beyond what a home has or needs", timestep)
    demand_that((residual == 0) | ~orders.of_battery, "a battery ordered for a home", timestep)
    n = len(flows.load_wh)
    bought, sold, limit, asked, offered = (np.zeros(n, np.int64) for _ in range(5))
    for sums, party in ((bought, trades.buyer), (sold, trades.seller)):
        inside = party >= 0
        np.add.at(sums, party[inside], trades.energy_wh[inside])
    demand_that(
        bought == flows.p2p_bought_wh + flows.market_bought_wh, "trades are not flows", timestep
    )
    demand_that(sold == flows.p2p_sold_wh + flows.market_sold_wh, "trades are not flows", timestep)
    asked[orders.member] = orders.energy_wh * ~orders.is_sale
    offered[orders.member] = orders.energy_wh * orders.is_sale
    limit[orders.member] = orders.limit_microeur_per_kwh
    demand_that(bought <= asked, "a member bought more than it ordered", timestep)
    demand_that(sold <= offered, "a member sold more than it ordered", timestep)
    stored = orders.member[orders.of_battery]
    market_wh = flows.market_bought_wh[stored] + flows.market_sold_wh[stored]
    demand_that(market_wh == 0, "a battery's order went to the local market", timestep)
    demand_that((bought + sold == 0) | ~before.is_banned, "a banned member traded", timestep)
    demand_that(trades.energy_wh > 0, "a trade without energy", timestep)
    p2p = trades.kind == TradeKind.P2P
    price, energy = trades.price_microeur_per_kwh[p2p], trades.energy_wh[p2p]
    paid = price * energy + spread_nanoeur
    most = limit[trades.buyer[p2p]] * energy
    demand_that(paid <= most, "a buyer paid more than its limit", timestep)
    demand_that(price >= limit[trades.seller[p2p]], "a seller got less than its limit", timestep)


def check_money(before: State, result: StepResult, other_dues: Money) -> None:
    """Every account follows from transfers, nothing comes from nowhere, all pay what the step says.

    other_dues (A): what else must change in each account: the spreads that clearing made, the rewards of
    the blocks, and shared bills (their law is check_shared_bills).
    """
    timestep, members = result.timestep, len(result.flows.load_wh)
    demand_that(result.transfers.amount_nanoeur >= 0, "a negative transfer", timestep)
    change = account_changes(result.transfers, len(before.balance_nanoeur))
    kept = result.state.balance_nanoeur - before.balance_nanoeur
    demand_that(kept == change, "an account does not follow from its transfers", timestep)
    free = ~before.is_banned
    due = other_dues.copy()
    due[:members] += due_of_members(result, free)
    for party, amount in due_of_institutions(result, free).items():
        due[party] += amount
    demand_that(due.sum() == 0, "money came from nowhere or went nowhere", timestep)
    demand_that(change[:members] == due[:members], "a bill does not follow from flows", timestep)
    demand_that(change == due, "an institution's account does not follow from flows", timestep)


def check_shared_bills(timestep: int, period: Period, shared: Transfers) -> None:
    """Each member ends with its part, by energy, of what the utility billed and paid; nobody else gains.

    Parts are whole nano-euro, so each of the two may be one off.
    """
    members = len(period.bought_wh)
    change = account_changes(shared, number_of_accounts(members, 0))
    demand_that(change[members:] == 0, "an institution gained from shared bills", timestep)
    kept = (period.earned_nanoeur - period.billed_nanoeur + change[:members]).astype(object)
    for energy, money, sign in (
        (period.bought_wh, period.billed_nanoeur, 1),
        (period.sold_wh, period.earned_nanoeur, -1),
    ):
        whole = max(int(energy.sum()), 1)
        kept += sign * (energy.astype(object) * int(money.sum()) // whole)
    fair = np.abs(kept.astype(np.int64)) <= 2
    demand_that(fair, "shared bills are not shared by energy", timestep)


def due_of_members(result: StepResult, free: Truth) -> Money:
    """Each member's change of balance (N) as flows, trades, prices and levers alone demand it."""
    flows, trades, prices, levers = result.flows, result.trades, result.prices, result.levers
    due = flows.grid_export_wh * prices.grid_export - flows.grid_import_wh * prices.grid_import
    due += flows.market_sold_wh * (prices.market_sell - levers.market_penalty)
    due -= flows.market_bought_wh * (prices.market_buy + levers.market_penalty)
    due += (flows.p2p_bought_wh + flows.p2p_sold_wh) * levers.p2p_bonus
    due += free * flows.renewable_used_wh * levers.renewable_bonus
    p2p = trades.kind == TradeKind.P2P
    np.add.at(due, trades.seller[p2p], trades.amount_nanoeur[p2p])
    np.subtract.at(due, trades.buyer[p2p], trades.amount_nanoeur[p2p])
    return due


def due_of_institutions(result: StepResult, free: Truth) -> dict[int, int]:
    """Each institution's change of balance as the sums of flows, prices and levers demand it."""
    flows, prices, levers = result.flows, result.prices, result.levers
    bought, sold = int(flows.market_bought_wh.sum()), int(flows.market_sold_wh.sum())
    supplied = max(bought - sold, 0) * prices.wholesale_buy
    taken = max(sold - bought, 0) * prices.wholesale_sell
    imported, exported = int(flows.grid_import_wh.sum()), int(flows.grid_export_wh.sum())
    p2p = int((flows.p2p_bought_wh + flows.p2p_sold_wh).sum())
    renewable = int((free * flows.renewable_used_wh).sum())
    return {
        AGGREGATOR: bought * prices.market_buy - sold * prices.market_sell - supplied + taken,
        UTILITY: supplied - taken + imported * prices.grid_import - exported * prices.grid_export,
        REGULATOR: (bought + sold) * levers.market_penalty
        - p2p * levers.p2p_bonus
        - renewable * levers.renewable_bonus,
    }
