"""The laws of a step: each one must fail, by its own name, when the quantity that it guards is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from conftest import make_run, make_settings
from worlds import STILL, make_homes, quick_settings, take_step, with_ban, with_stored

import audit
import prosumer
import simulator
import trading
from errors import LawBroken
from extensions.mechanisms import MECHANISMS
from records import (
    AGGREGATOR,
    FIRST_MINER,
    MINT,
    REGULATOR,
    UTILITY,
    Fleet,
    Period,
    Reason,
    State,
    StepResult,
    TradeKind,
    Transfers,
    no_transfers,
    transfers,
)

Change = Callable[[Any], Any]
CAP_WH = 3000
"""MAX_TRADE_CAP of the default scenario in an hour."""


@lru_cache(maxsize=1)
def example() -> tuple[Fleet, State, StepResult]:
    """A genuine step of six homes in which nearly every kind of flow and transfer occurs.

    0 sells to neighbours and, above the cap, to the utility; 1 and 5 buy from neighbours, market and
    utility; 2 charges, 3 discharges; 4 is banned and lives on the utility.
    """
    settings = quick_settings(**STILL)
    fleet = make_homes(settings, battery_kwh=[0, 0, 10, 10, 0, 0])
    state = with_ban(prosumer.initial_state(settings, fleet), 4, 2)
    pv, load = [3500, 0, 1000, 0, 0, 0], [0, 4000, 0, 1000, 700, 2500]
    result = take_step(settings, fleet, pv, load, state=state)
    flows = result.flows
    for name, column in vars(flows).items():
        if name not in ("curtailed_wh", "market_sold_wh"):
            assert column.any(), f"the example has no {name}"
    return fleet, state, result


def judge(
    fleet: Fleet | None = None,
    before: State | None = None,
    after: State | None = None,
    **changed: Any,
) -> None:
    """Checks the example with some of its parts replaced; raises LawBroken."""
    honest_fleet, honest_before, honest = example()
    fleet, before = fleet or honest_fleet, before or honest_before
    result = replace(honest, state=after or honest.state, **changed)
    audit.check_energy(fleet, before, result, honest.flows.pv_wh, honest.flows.load_wh)
    no_spread = np.zeros(int((result.trades.kind == TradeKind.P2P).sum()), np.int64)
    audit.check_trades(before, result, no_spread, CAP_WH)
    audit.check_money(before, result, np.zeros(len(before.balance_nanoeur), np.int64))


def bump(column: np.ndarray, row: int, by: int = 1) -> np.ndarray:
    """The column with one row changed."""
    changed = column.copy()
    changed[row] += by
    return changed


def flows_with(**changes: tuple[int, int]) -> Any:
    """The example's flows; each change is (row, by)."""
    flows = example()[2].flows
    columns = {name: bump(getattr(flows, name), *change) for name, change in changes.items()}
    return replace(flows, **columns)


def test_a_genuine_step_passes() -> None:
    judge()


def test_dues_that_nobody_owes_are_money_from_nowhere() -> None:
    """As of a rule whose shared bills, or spreads, do not add up: it is named so, not as one member's bill."""
    _, before, result = example()
    dues = np.zeros(len(before.balance_nanoeur), np.int64)
    dues[0] = 1
    with pytest.raises(LawBroken, match="money came from nowhere or went nowhere"):
        audit.check_money(before, result, dues)


# ---------------------------------------------------------------- energy

FLOWS = [
    "pv_wh",
    "load_wh",
    "charge_wh",
    "discharge_wh",
    "p2p_bought_wh",
    "p2p_sold_wh",
    "market_bought_wh",
    "market_sold_wh",
    "grid_import_wh",
    "grid_export_wh",
    "curtailed_wh",
]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("member", [0, 1])
def test_a_single_wh_too_much_in_any_flow_is_found(name: str, member: int) -> None:
    with pytest.raises(LawBroken, match="energy in is not energy out"):
        judge(flows=flows_with(**{name: (member, 1)}))


@pytest.mark.parametrize("name", ["grid_import_wh", "grid_export_wh"])
def test_no_flow_runs_backwards(name: str) -> None:
    """-1 Wh of import is an export without a price."""
    _, _, result = example()
    other = {"grid_import_wh": "grid_export_wh", "grid_export_wh": "grid_import_wh"}[name]
    row = int(np.flatnonzero(getattr(result.flows, name) == 0)[0])
    flows = flows_with(**{name: (row, -1), other: (row, -1)})
    with pytest.raises(LawBroken, match="negative"):
        judge(flows=flows)


def test_a_battery_does_not_charge_and_discharge_at_once() -> None:
    with pytest.raises(LawBroken, match="charges and discharges"):
        judge(flows=flows_with(charge_wh=(3, 5), discharge_wh=(3, 5)))


def test_a_battery_keeps_its_power_its_window_and_its_losses() -> None:
    fleet, before, result = example()
    weak = replace(fleet, max_step_wh=np.full(6, 999))
    with pytest.raises(LawBroken, match="power"):
        judge(fleet=weak)
    lossless = with_stored(result.state, 2, before.stored_wh[2] + result.flows.charge_wh[2])
    with pytest.raises(LawBroken, match="from nothing"):
        judge(after=lossless)
    with pytest.raises(LawBroken, match="too empty"):
        judge(after=with_stored(result.state, 3, 999.0))
    with pytest.raises(LawBroken, match="too full"):
        judge(after=with_stored(result.state, 3, 9501.0))


@pytest.mark.parametrize("wh", [0.01, -0.01, 1e-5])
def test_a_hundredth_of_a_milliwatt_hour_from_nowhere_is_found(wh: float) -> None:
    """Sums of floats may miss a millionth of a Wh, and no more."""
    _, _, result = example()
    judge(after=with_stored(result.state, 2, result.state.stored_wh[2] + 1e-7))
    with pytest.raises(LawBroken, match="from nothing"):
        judge(after=with_stored(result.state, 2, result.state.stored_wh[2] + wh))


# ---------------------------------------------------------------- trades


def test_trades_and_flows_are_the_same_energy() -> None:
    _, _, result = example()
    trades = replace(result.trades, energy_wh=bump(result.trades.energy_wh, 0))
    with pytest.raises(LawBroken, match="trades are not flows"):
        judge(trades=trades)


@pytest.mark.parametrize("side", ["buyer", "seller"])
def test_a_trade_of_somebody_who_has_no_such_flow_is_noticed(side: str) -> None:
    """One party of a trade is another member: that one's meter knows nothing of it."""
    _, _, result = example()
    parties = getattr(result.trades, side).copy()
    parties[0] = 4  # banned: nothing flows there
    with pytest.raises(LawBroken, match="trades are not flows"):
        judge(trades=replace(result.trades, **{side: parties}))


@pytest.mark.parametrize("side", ["buyer", "seller"])
def test_no_member_trades_more_than_it_ordered(side: str) -> None:
    """The order is made one Wh smaller than what its owner bought or sold."""
    _, _, result = example()
    member = int(getattr(result.trades, side)[0])
    mine = (result.trades.buyer == member) | (result.trades.seller == member)
    energy = result.orders.energy_wh.copy()
    energy[result.orders.member == member] = result.trades.energy_wh[mine].sum() - 1
    with pytest.raises(LawBroken, match="more than it ordered"):
        judge(orders=replace(result.orders, energy_wh=energy))


def test_no_banned_member_trades() -> None:
    _, before, result = example()
    with pytest.raises(LawBroken, match="banned"):
        judge(before=with_ban(before, int(result.trades.buyer[0]), 1))


@pytest.mark.parametrize(
    ("side", "by", "law"),
    [("buyer", -1, "buyer paid more"), ("seller", 1, "seller got less")],
)
def test_no_price_passes_a_limit(side: str, by: int, law: str) -> None:
    """The limit is moved to just beyond the price of the trade."""
    _, _, result = example()
    assert result.trades.kind[0] == TradeKind.P2P
    member, price = getattr(result.trades, side)[0], result.trades.price_microeur_per_kwh[0]
    limits = result.orders.limit_microeur_per_kwh.copy()
    limits[result.orders.member == member] = price + by
    with pytest.raises(LawBroken, match=law):
        judge(orders=replace(result.orders, limit_microeur_per_kwh=limits))


def test_price_and_spread_together_do_not_pass_the_buyers_limit() -> None:
    """A rule may take the way from price to limit as its spread, and not a nano-euro more."""
    _, before, r = example()
    p2p = r.trades.kind == TradeKind.P2P
    limits = np.zeros(6, np.int64)
    limits[r.orders.member] = r.orders.limit_microeur_per_kwh
    room = limits[r.trades.buyer[p2p]] - r.trades.price_microeur_per_kwh[p2p]
    spread = room * r.trades.energy_wh[p2p]
    audit.check_trades(before, r, spread, CAP_WH)
    with pytest.raises(LawBroken, match="buyer paid more"):
        audit.check_trades(before, r, bump(spread, 0), CAP_WH)


def test_a_trade_moves_energy() -> None:
    """A trade of nothing would still stand on the chain."""
    _, _, result = example()
    t = result.trades
    empty = type(t)(*(np.concatenate([getattr(t, n), getattr(t, n)[:1]]) for n in vars(t)))
    empty = replace(empty, energy_wh=bump(empty.energy_wh, -1, -int(t.energy_wh[0])))
    with pytest.raises(LawBroken, match="without energy"):
        judge(trades=empty)


# ---------------------------------------------------------------- money


def balances_after(moves: Any) -> State:
    """The state that these transfers would have led to: a lie told twice is consistent with itself."""
    _, before, result = example()
    balance = before.balance_nanoeur.copy()
    for payer, payee, amount in zip(moves.payer, moves.payee, moves.amount_nanoeur, strict=True):
        balance[payer] -= amount
        balance[payee] += amount
    return replace(result.state, balance_nanoeur=balance)


def test_no_account_changes_without_a_transfer() -> None:
    _, _, result = example()
    for account in (0, AGGREGATOR, UTILITY, -3, -4, -100):
        balance = bump(result.state.balance_nanoeur, account)
        with pytest.raises(LawBroken, match="does not follow from its transfers"):
            judge(after=replace(result.state, balance_nanoeur=balance))


def test_no_transfer_is_negative() -> None:
    """A negative payment is a payment the other way under a wrong name."""
    _, _, result = example()
    amounts = bump(result.transfers.amount_nanoeur, 0, -(10**12))
    moves = replace(result.transfers, amount_nanoeur=amounts)
    with pytest.raises(LawBroken, match="negative transfer"):
        judge(transfers=moves, after=balances_after(moves))


@pytest.mark.parametrize(
    "reason",
    [
        Reason.P2P,
        Reason.LOCAL_MARKET,
        Reason.UTILITY_IMPORT,
        Reason.UTILITY_EXPORT,
        Reason.RENEWABLE_BONUS,
        Reason.P2P_BONUS,
        Reason.MARKET_PENALTY,
    ],
)
def test_every_payment_of_a_member_follows_from_its_flows(reason: Reason) -> None:
    """One nano-euro more under any reason is found, even where the balances agree with it."""
    _, _, result = example()
    moves = result.transfers
    of_member = (moves.reason == reason) & ((moves.payer >= 0) | (moves.payee >= 0))
    row = int(np.flatnonzero(of_member)[0])
    moves = replace(moves, amount_nanoeur=bump(moves.amount_nanoeur, row))
    with pytest.raises(LawBroken, match="bill"):
        judge(transfers=moves, after=balances_after(moves))


def test_a_forgotten_payment_is_found() -> None:
    """A fee that nobody takes, a load that nobody pays (traps 1 and 8)."""
    _, _, result = example()
    moves = result.transfers
    for row in range(moves.size):
        if moves.payer[row] >= 0 or moves.payee[row] >= 0:
            less = type(moves)(*(np.delete(getattr(moves, n), row) for n in vars(moves)))
            with pytest.raises(LawBroken):
                judge(transfers=less, after=balances_after(less))


def test_a_price_that_changes_after_the_bills_is_found() -> None:
    _, _, result = example()
    with pytest.raises(LawBroken, match="bill"):
        judge(prices=replace(result.prices, grid_import=result.prices.grid_import + 1))
    with pytest.raises(LawBroken, match="bill"):
        judge(levers=replace(result.levers, renewable_bonus=result.levers.renewable_bonus + 1))


@pytest.mark.parametrize(
    ("payer", "payee", "reason"),
    [
        (AGGREGATOR, UTILITY, Reason.UTILITY_IMPORT),
        (UTILITY, AGGREGATOR, Reason.UTILITY_EXPORT),
        (REGULATOR, MINT, Reason.BLOCK_REWARD),
        (MINT, FIRST_MINER, Reason.BLOCK_REWARD),
        (0, AGGREGATOR, Reason.AUCTION_SPREAD),
        (0, 1, Reason.BILL_SHARING),
    ],
)
def test_no_transfer_can_be_added_that_the_step_does_not_explain(
    payer: int, payee: int, reason: Reason
) -> None:
    """Exchange of institutions, rewards without a block, spreads without a rule: none may slip in."""
    _, _, result = example()
    row = (payer, payee, 5, reason)
    columns = vars(result.transfers).values()
    moves = type(result.transfers)(
        *(np.append(column, more).astype(column.dtype) for column, more in zip(columns, row, strict=True))
    )  # fmt: skip
    with pytest.raises(LawBroken):
        judge(transfers=moves, after=balances_after(moves))


PERIOD = Period(
    bought_wh=np.array([600, 300, 0, 0]),
    sold_wh=np.array([0, 0, 500, 0]),
    billed_nanoeur=np.array([0, 90, 0, 0]),
    earned_nanoeur=np.array([0, 0, 70, 0]),
)
"""Of a bill of 90, two thirds fall to member 0 and a third to member 1, who paid it all."""


def shared(*rows: tuple[int, int, int]) -> Transfers:
    """Transfers (payer, payee, amount) for shared bills."""
    payer, payee, amount = np.array(rows).T
    return transfers(payer, payee, amount, Reason.BILL_SHARING)


def test_bills_shared_by_energy_pass() -> None:
    audit.check_shared_bills(23, PERIOD, shared((0, AGGREGATOR, 60), (AGGREGATOR, 1, 60)))


@pytest.mark.parametrize(
    ("rows", "law"),
    [
        ([(0, AGGREGATOR, 57), (AGGREGATOR, 1, 57)], "not shared by energy"),
        ([(0, AGGREGATOR, 60), (AGGREGATOR, 2, 60)], "not shared by energy"),
        ([(0, AGGREGATOR, 60), (AGGREGATOR, 1, 60), (2, 3, 5)], "not shared by energy"),
        ([(0, AGGREGATOR, 61), (AGGREGATOR, 1, 60)], "institution gained"),
        ([(0, UTILITY, 60), (AGGREGATOR, 1, 60)], "institution gained"),
    ],
)
def test_bills_shared_otherwise_are_noticed(rows: list[tuple[int, int, int]], law: str) -> None:
    with pytest.raises(LawBroken, match=law):
        audit.check_shared_bills(23, PERIOD, shared(*rows))


def test_a_run_asks_whether_its_bills_were_shared_by_energy() -> None:
    """A rule of a user's own that leaves the bills as the utility wrote them."""
    rule = replace(MECHANISMS["bill_sharing"], settle_period=lambda period: no_transfers())
    wish = make_settings(MARKET_MECHANISM="bill_sharing", CONSENSUS="none", NUM_PROSUMERS=30)
    with pytest.raises(LawBroken, match="not shared by energy"):
        simulator.run(simulator.prepare(wish, mechanism=rule))


def test_load_that_is_not_served_is_noticed_though_all_books_balance() -> None:
    """Trap 1: lower the load, the import and its bill together, and only the profile knows better."""
    with pytest.raises(LawBroken, match="load was not served"):
        judge(flows=flows_with(load_wh=(1, -1), grid_import_wh=(1, -1)))


def test_an_order_above_the_cap_is_noticed() -> None:
    _, _, result = example()
    orders = replace(result.orders, energy_wh=bump(result.orders.energy_wh, 0, CAP_WH))
    with pytest.raises(LawBroken, match="above the cap"):
        judge(orders=orders)


@pytest.mark.parametrize("column", ["energy_wh", "is_sale", "of_battery"])
def test_an_order_of_what_a_home_does_not_have_is_noticed(column: str) -> None:
    """A rule that lets members ask for more, turns them round, or makes a home's surplus a battery's."""
    _, _, result = example()
    orders = result.orders
    row = int(np.flatnonzero((orders.energy_wh < CAP_WH) & ~orders.of_battery)[0])
    changed = getattr(orders, column).copy()
    changed[row] = changed[row] + 1 if column == "energy_wh" else not changed[row]
    law = "a battery ordered for a home" if column == "of_battery" else "beyond what a home has"
    with pytest.raises(LawBroken, match=law):
        judge(orders=replace(orders, **{column: changed}))


def test_the_message_says_which_law_where_and_how_often() -> None:
    with pytest.raises(LawBroken, match=r"step 0: .*; 1 cases?, first in row 1"):
        judge(flows=flows_with(pv_wh=(1, 1)))


# ---------------------------------------------------------------- the step asks the laws about itself


def less_served(settle: Callable[..., Any]) -> Callable[..., Any]:
    def flows(*arguments: Any) -> Any:
        found = settle(*arguments)
        less = np.minimum(found.load_wh, found.grid_import_wh)
        return replace(
            found, load_wh=found.load_wh - less, grid_import_wh=found.grid_import_wh - less
        )

    return flows


def sun_made_up(settle: Callable[..., Any]) -> Callable[..., Any]:
    def flows(*arguments: Any) -> Any:
        found = settle(*arguments)
        return replace(found, pv_wh=found.pv_wh + 1, grid_export_wh=found.grid_export_wh + 1)

    return flows


def larger(make_orders: Callable[..., Any]) -> Callable[..., Any]:
    def orders(*arguments: Any) -> Any:
        found = make_orders(*arguments)
        return replace(found, energy_wh=found.energy_wh + CAP_WH)

    return orders


def with_a_spread(clear: Callable[..., Any]) -> Callable[..., Any]:
    """Every buyer pays a euro per Wh to the aggregator beyond his price."""

    def cleared(*arguments: Any) -> Any:
        found = clear(*arguments)
        return replace(found, spread_nanoeur=found.trades.energy_wh * 10**9)

    return cleared


@pytest.mark.parametrize(
    ("module", "name", "change", "law"),
    [
        (trading, "metered_flows", less_served, "load was not served"),
        (trading, "metered_flows", sun_made_up, "PV was changed"),
        (prosumer, "make_orders", larger, "an order above the cap"),
    ],
)
def test_a_step_that_breaks_a_law_does_not_end(
    module: Any, name: str, change: Any, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick_settings(**STILL)
    fleet = make_homes(settings, battery_kwh=[0, 0, 0])
    day = [3500, 0, 0], [0, 4000, 900]
    take_step(settings, fleet, *day)
    monkeypatch.setattr(module, name, change(getattr(module, name)))
    with pytest.raises(LawBroken, match=law):
        take_step(settings, fleet, *day)


def turned_round(local_market: Callable[..., Any]) -> Callable[..., Any]:
    """Who wanted to sell buys, and who wanted to buy sells: each kWh and each euro still has two ends."""

    def trades(*arguments: Any) -> Any:
        found = local_market(*arguments)
        return replace(found, seller=found.buyer, buyer=found.seller)

    return trades


def with_batteries(local_market: Callable[..., Any]) -> Callable[..., Any]:
    """Batteries' orders go to the local market like a home's own."""

    def trades(orders: Any, *arguments: Any) -> Any:
        return local_market(replace(orders, of_battery=orders.of_battery & False), *arguments)

    return trades


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (turned_round, "sold more than it ordered"),
        (with_batteries, "a battery's order went to the local market"),
    ],
)
def test_a_local_market_that_serves_orders_otherwise_than_they_ask_does_not_leave_the_step(
    change: Any, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both once passed all laws, and made the default day's bill fourteen times as large."""
    day = {"NUM_PROSUMERS": 12, "NUM_CONSUMERS": 2, "TIME_STEPS": 14}
    make_run(**day)
    monkeypatch.setattr(trading, "local_market", change(trading.local_market))
    with pytest.raises(LawBroken, match=law):
        make_run(**day)


def test_a_spread_beyond_the_buyers_limit_does_not_leave_the_step() -> None:
    honest = make_run(NUM_PROSUMERS=6, NUM_CONSUMERS=2, TIME_STEPS=2)
    rule = replace(honest.scenario.mechanism, clear=with_a_spread(honest.scenario.mechanism.clear))
    with pytest.raises(LawBroken, match="a buyer paid more than its limit"):
        simulator.run(replace(honest.scenario, mechanism=rule))
