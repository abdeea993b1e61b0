"""Small worlds that tests build by hand or let hypothesis draw, and the laws that every step obeys.

The laws here are a second reading of the documents: plain sums over members and trades in Python's
own whole numbers, sharing no line with audit.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache
from math import sqrt
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
from conftest import make_settings

import data_generation
import prosumer
import simulator
from blockchain import Chain
from records import (
    AGGREGATOR,
    REGULATOR,
    UTILITY,
    Block,
    Fleet,
    Orders,
    Prices,
    Profiles,
    Reason,
    State,
    StepResult,
    TradeKind,
    Trades,
)

# Room for a slow machine: what counts is what hypothesis finds, not how fast.
explore = hypothesis.settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
    ],
)

STILL = {
    "QUOTE_VARIATION": 0.0,
    "PRICE_VARIATION": 0.0,
    "FORECAST_ERROR": 0.0,
    "PRICE_PATTERN": [1.0] * 24,
}
"""Changes that take all noise out of prices and quotes: every hour's market price is BASE_PRICE."""


@lru_cache(maxsize=1)
def _base() -> Any:
    return make_settings(CONSENSUS="none")


def quick_settings(**changes: Any) -> Any:
    """The settings of config.py without ledger and with these changes; unchecked, so quick to make."""
    return _base().model_copy(update=changes)


# ---------------------------------------------------------------- members, days, steps


def make_homes(
    settings: Any,
    *,
    battery_kwh: Sequence[float],
    battery_kw: Sequence[float] | None = None,
    base_load_kwh: Sequence[float] | None = None,
    pv_kw: Sequence[float] | None = None,
) -> Fleet:
    """A fleet of these homes; loads default to 1 kWh per hour, roofs to 5 kW."""
    n = len(battery_kwh)
    return prosumer.assemble_fleet(
        settings,
        household_id=tuple(str(i) for i in range(n)),
        home_type=("by hand",) * n,
        pv_capacity_kw=np.array([5.0] * n if pv_kw is None else pv_kw, float),
        base_load_kwh=np.array([1.0] * n if base_load_kwh is None else base_load_kwh, float),
        battery_kwh=np.array(battery_kwh, float),
        battery_kw=None if battery_kw is None else np.array(battery_kw, float),
    )


def make_prices(settings: Any, steps: int) -> Prices:
    """The synthetic prices of the first steps of a day."""
    return data_generation.market_prices(settings, data_generation.make_clock(settings, steps))


def make_profiles(
    settings: Any, pv_wh: Any, load_wh: Any, prices: Prices | None = None
) -> Profiles:
    """Profiles of the steps and members in pv_wh and load_wh (T, N)."""
    pv, load = np.atleast_2d(np.array(pv_wh, np.int64)), np.atleast_2d(np.array(load_wh, np.int64))
    clock = data_generation.make_clock(settings, len(pv))
    return Profiles(pv, load, prices or make_prices(settings, len(pv)), clock.hour)


def take_step(
    settings: Any,
    fleet: Fleet,
    pv_wh: Any,
    load_wh: Any,
    *,
    state: State | None = None,
    timestep: int = 0,
    chain: Any = None,
) -> StepResult:
    """One step of a community whose sun and load stay the same; everybody's start unless state says more."""
    day = [np.asarray(column, np.int64) for column in (pv_wh, load_wh)]
    pv, load = (np.tile(column, (timestep + 1, 1)) for column in day)
    scenario = simulator.Scenario(settings, fleet, make_profiles(settings, pv, load))
    start = prosumer.initial_state(settings, fleet) if state is None else state
    result = simulator.step(scenario, start, timestep, chain)
    assert_laws(settings, fleet, start, result, pv[timestep], load[timestep])
    return result


def grow(chain: Chain, timestep: int, trades: Trades) -> tuple[Block, ...]:
    """The blocks that these trades of a step become, sealed and on the chain."""
    blocks = chain.seal(timestep, trades)
    chain.append(blocks)
    return blocks


# ---------------------------------------------------------------- order books


def make_book(
    bids: Sequence[tuple[int, int]],
    asks: Sequence[tuple[int, int]],
    ties: Sequence[int] | None = None,
) -> Orders:
    """Orders of (energy in Wh, price) pairs: bids belong to members 0.., asks to those after them."""
    both = [*bids, *asks]
    n = len(both)
    return Orders(
        member=np.arange(n, dtype=np.int32),
        is_sale=np.arange(n) >= len(bids),
        energy_wh=np.array([energy for energy, _ in both], np.int64),
        limit_microeur_per_kwh=np.array([price for _, price in both], np.int64),
        of_battery=np.zeros(n, bool),
        tie=np.array(range(n) if ties is None else ties, np.int64),
    )


def reordered(orders: Orders, rows: Sequence[int]) -> Orders:
    """The same orders with their rows in another order."""
    columns = {f.name: getattr(orders, f.name)[list(rows)] for f in fields(orders)}
    return type(orders)(**columns)


sides = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 8)), max_size=8)
"""One side of a small book. Few prices, so that equal ones and crossing ones are common."""


@st.composite
def books(draw: st.DrawFn) -> Orders:
    """Order books of up to 16 members with drawn ties; one-sided and empty ones among them."""
    bids, asks = draw(sides), draw(sides)
    ties = draw(st.permutations(range(len(bids) + len(asks))))
    return make_book(bids, asks, ties)


@st.composite
def small_runs(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of small runs of every kind: they always form a valid scenario."""
    hours = draw(st.sampled_from([1.0, 0.5, 0.25, 1 / 12]))
    low = draw(st.sampled_from([0.0, 0.1, 0.3]))
    return {
        "SEED": draw(st.integers(0, 2**32)),
        "NUM_PROSUMERS": draw(st.integers(0, 12)),
        "NUM_CONSUMERS": draw(st.integers(1, 4)),
        "TIME_STEPS": draw(st.integers(1, 30)),
        "TIME_STEP_DURATION": hours,
        "HAS_BATTERY": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "BATTERY_EFFICIENCY": draw(st.sampled_from([0.5, 0.9, 0.95, 1.0])),
        "BATTERY_MIN_SOC": low,
        "BATTERY_INITIAL_SOC": draw(st.floats(low, 0.95)),
        "BATTERY_C_RATE": draw(st.sampled_from([0.0, 0.1, 0.5, 3.0])),
        "SEASON_FACTOR": draw(st.sampled_from([0.0, 0.3, 1.0, 2.0])),
        "MAX_TRADE_CAP": draw(st.sampled_from([0.0, 0.3, 3.0, 100.0])),
        "IMBALANCE_THRESHOLD": draw(st.sampled_from([0.0, 0.05, 1.0])),
        "LOCAL_MARKET_FEE": draw(st.sampled_from([0.0, 0.03, 0.2])),
        "PENALTY_FOR_MARKET": draw(st.sampled_from([0.0, 0.02, 0.1])),
        "RENEWABLE_BONUS": draw(st.sampled_from([0.0, 0.02])),
        "P2P_BONUS": draw(st.sampled_from([0.0, 0.01, 0.5])),
        "OFFER_SHARE": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "STORAGE_BID_SHARE": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "QUOTE_MARGIN": draw(st.sampled_from([0.0, 0.35, 1.0])),
        "QUOTE_VARIATION": draw(st.sampled_from([0.0, 0.35, 1.0])),
        "REGULATOR_OBJECTIVE": draw(
            st.sampled_from(["maximize_renewable", "maximize_profit", "maximize_p2p", "chaos"])
        ),
        "REGULATOR_BUDGET": draw(st.sampled_from([4e9, 0.0, 0.05])),
        "BAN_PENALTY_LIMIT": draw(st.sampled_from([0.0, 0.02])),
        "BAN_BALANCE_LIMIT": draw(st.sampled_from([-0.25, 5.0])),
        "INITIAL_WALLET": draw(st.sampled_from([0.0, -1.0, 7.5])),
    }


# ---------------------------------------------------------------- the laws


def assert_laws(
    settings: Any,
    fleet: Fleet,
    before: State,
    result: StepResult,
    pv_wh: Any,
    load_wh: Any,
) -> None:
    """Energy, batteries, trades and money of one step are as the documents say."""
    assert_energy_laws(fleet, before, result, pv_wh, load_wh)
    assert_trade_laws(settings, before, result)
    assert_money_laws(fleet.size, before, result)


def assert_energy_laws(
    fleet: Fleet, before: State, result: StepResult, pv_wh: Any, load_wh: Any
) -> None:
    """What goes into a member's meter comes out; the community's sums agree; batteries stay in bounds."""
    for i in range(fleet.size):
        f = {
            field.name: int(getattr(result.flows, field.name)[i]) for field in fields(result.flows)
        }
        assert min(f.values()) >= 0, (i, f)
        assert f["pv_wh"] == pv_wh[i] and f["load_wh"] == load_wh[i], f"sun or load of {i} changed"
        into = f["pv_wh"] + f["discharge_wh"] + f["p2p_bought_wh"] + f["market_bought_wh"]
        out = f["load_wh"] + f["charge_wh"] + f["p2p_sold_wh"] + f["market_sold_wh"]
        assert into + f["grid_import_wh"] == out + f["grid_export_wh"] + f["curtailed_wh"], (i, f)
        assert f["charge_wh"] == 0 or f["discharge_wh"] == 0, f"{i} charges and discharges"
        assert max(f["charge_wh"], f["discharge_wh"]) <= fleet.max_step_wh[i]
        one_way = sqrt(fleet.efficiency**2)
        kept = before.stored_wh[i] + f["charge_wh"] * one_way - f["discharge_wh"] / one_way
        assert abs(result.state.stored_wh[i] - kept) < 1e-6
        low, high = fleet.min_stored_wh[i], fleet.max_stored_wh[i]
        assert low - 1e-6 <= result.state.stored_wh[i] <= high + 1e-6
    flows = result.flows
    assert flows.p2p_bought_wh.sum() == flows.p2p_sold_wh.sum(), "neighbours' sums differ"


def assert_trade_laws(settings: Any, before: State, result: StepResult) -> None:
    """Limits, order sizes, cap and bans hold; members' flows are the sums of their trades."""
    cap = settings.MAX_TRADE_CAP * settings.step_hours * 1000
    book = {int(m): row for row, m in enumerate(result.orders.member)}
    assert len(book) == result.orders.size, "a member has two orders"
    energy: dict[tuple[int, str], int] = defaultdict(int)
    for seller, buyer, wh, price, kind in rows(result.trades):
        assert wh > 0 and price >= 0 and seller != buyer
        if kind == TradeKind.P2P:
            limits = result.orders.limit_microeur_per_kwh
            assert limits[book[seller]] <= price <= limits[book[buyer]]
            assert result.orders.is_sale[book[seller]] and not result.orders.is_sale[book[buyer]]
            energy[seller, "p2p_sold_wh"] += wh
            energy[buyer, "p2p_bought_wh"] += wh
        else:
            assert (seller == AGGREGATOR) != (buyer == AGGREGATOR)
            member = max(seller, buyer)
            assert not result.orders.of_battery[book[member]], "a battery order left the community"
            right = result.prices.market_buy if member == buyer else result.prices.market_sell
            assert price == right
            energy[member, "market_bought_wh" if member == buyer else "market_sold_wh"] += wh
    for i in range(len(before.ban_steps_left)):
        sums = {w: energy[i, w] for w in ("p2p_sold_wh", "p2p_bought_wh")}
        sums |= {w: energy[i, w] for w in ("market_sold_wh", "market_bought_wh")}
        assert {w: int(getattr(result.flows, w)[i]) for w in sums} == sums
        traded = sum(sums.values())
        assert traded <= cap + 1e-6
        if i in book:
            assert traded <= result.orders.energy_wh[book[i]]
        else:
            assert traded == 0
        if before.ban_steps_left[i] > 0:
            assert i not in book, f"{i} is banned and has an order"


def assert_money_laws(members: int, before: State, result: StepResult) -> None:
    """Every account changes by what flows, prices and levers demand, and all changes sum to zero."""
    change = (result.state.balance_nanoeur - before.balance_nanoeur).tolist()
    assert sum(change) == 0
    assert all(amount > 0 for amount in result.transfers.amount_nanoeur.tolist())
    due: dict[int, int] = defaultdict(int)
    prices, levers, flows = result.prices, result.levers, result.flows
    for seller, buyer, wh, price, _ in rows(result.trades):
        due[seller] += wh * price
        due[buyer] -= wh * price
    for i in range(members):
        bill = int(flows.grid_import_wh[i]) * prices.grid_import
        bill -= int(flows.grid_export_wh[i]) * prices.grid_export
        pay(due, i, UTILITY, bill)
        if before.ban_steps_left[i] == 0:
            used = min(int(flows.pv_wh[i]), int(flows.load_wh[i] + flows.charge_wh[i]))
            neighbours = int(flows.p2p_bought_wh[i] + flows.p2p_sold_wh[i])
            market = int(flows.market_bought_wh[i] + flows.market_sold_wh[i])
            bonus = used * levers.renewable_bonus + neighbours * levers.p2p_bonus
            pay(due, REGULATOR, i, bonus - market * levers.market_penalty)
    net = int(flows.market_bought_wh.sum() - flows.market_sold_wh.sum())
    pay(
        due, AGGREGATOR, UTILITY, net * (prices.wholesale_buy if net > 0 else prices.wholesale_sell)
    )
    rewards = result.transfers.reason == Reason.BLOCK_REWARD
    for winner, amount in zip(
        result.transfers.payee[rewards].tolist(),
        result.transfers.amount_nanoeur[rewards].tolist(),
        strict=True,
    ):
        pay(due, -4, winner, amount)
    for account in {*range(members), *due, AGGREGATOR, UTILITY, REGULATOR}:
        assert change[account] == due[account], (
            f"account {account}: {change[account]}, due {due[account]}"
        )


def pay(due: dict[int, int], payer: int, payee: int, amount: int) -> None:
    due[payer] -= amount
    due[payee] += amount


def rows(trades: Any) -> list[tuple[int, int, int, int, int]]:
    """Each trade as plain whole numbers: seller, buyer, Wh, micro-euro per kWh, kind."""
    columns = (trades.seller, trades.buyer, trades.energy_wh, trades.price_microeur_per_kwh)
    return list(zip(*(c.tolist() for c in (*columns, trades.kind)), strict=True))


def assert_run_laws(run: simulator.Run) -> None:
    """The laws in each step of a run, and steps that join: each begins where the last one ended."""
    before, profiles = run.start, run.scenario.profiles
    for t, result in enumerate(run.steps):
        pv, load = profiles.pv_wh[t], profiles.load_wh[t]
        assert_laws(run.scenario.settings, run.scenario.fleet, before, result, pv, load)
        before = result.state


def with_ban(state: State, member: int, steps: int) -> State:
    """The state in which this member may not trade for so many steps."""
    left = state.ban_steps_left.copy()
    left[member] = steps
    return replace(state, ban_steps_left=left)


def with_stored(state: State, member: int, stored_wh: float) -> State:
    """The state in which this member's battery holds so much."""
    stored = state.stored_wh.copy()
    stored[member] = stored_wh
    return replace(state, stored_wh=stored)
