"""One step, and the loop over steps: the one sentence that uses all the verbs.

`step` reads as docs/models.md does: levers, plan, orders, trades, rest, bills, ruling, blocks, new state.
It alone makes states, and no result leaves it before the laws of energy and money have passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import audit
import blockchain
import data_generation
import household_data
import prosumer
import regulator
import trading
from errors import InputError
from household_data import Files
from records import (
    REGULATOR,
    Fleet,
    Money,
    Period,
    Profiles,
    Real,
    State,
    StepPrices,
    StepResult,
    Transfers,
    account_changes,
    joined,
    no_transfers,
)
from settings import Settings, nanoeur

MOST_NANOEUR = 2**62
MOVED_AT_MOST = 4
"""How often a Wh can be paid for in one account: sold and bought, with a neighbour or in the local market."""
MOST_WH = 10**9
"""Of one home in one step, as verify demands it."""
NO_MARKET = (False, False)
"(buyers, sellers) of a local market that does not take place."


@dataclass(frozen=True)
class Scenario:
    """The whole input of a run."""

    settings: Settings
    fleet: Fleet = field(repr=False)
    profiles: Profiles = field(repr=False)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name and SHA-256 of each input file, by its option."""
    mechanism: trading.Mechanism = trading.MIDPOINT

    def __post_init__(self) -> None:
        check_names(self.settings, self.mechanism)
        check_sizes(self)

    @property
    def params(self) -> bytes:
        """The bytes of params.json, to which the chain is bound."""
        content: dict[str, Any] = self.settings.to_json()
        if self.inputs:
            content["inputs"] = self.inputs
        return (json.dumps(content, indent=1) + "\n").encode()


@dataclass(frozen=True)
class Run:
    """The whole output of a run."""

    scenario: Scenario
    start: State = field(repr=False)
    steps: tuple[StepResult, ...] = field(repr=False)
    chain: blockchain.Chain | None = field(repr=False)

    def __post_init__(self) -> None:
        """A part of a run is none: savings, and what a rule settles at the end, are told of all steps."""
        every, done = self.scenario.profiles.steps, [result.timestep for result in self.steps]
        if done != list(range(every)):
            told = f"a run has the steps 0 to {every - 1} of its scenario, each once and in order"
            raise InputError([f"{told}; for a shorter one, prepare(settings, steps=...)"])

    @property
    def end(self) -> State:
        """The state after the last step."""
        return self.steps[-1].state


def prepare(
    settings: Settings,
    files: Files | None = None,
    steps: int | None = None,
    mechanism: trading.Mechanism = trading.MIDPOINT,
) -> Scenario:
    """The scenario of these settings: synthetic members and days, or the user's own files.

    `steps` cuts a data file short; without one it replaces TIME_STEPS. `mechanism` must be the rule that
    MARKET_MECHANISM names (extensions.mechanisms holds the others).
    """
    check_names(settings, mechanism)  # before files are read
    files = files or Files()
    if steps is not None:
        if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
            raise InputError([f"steps = {steps!r}: must be a whole number from 1 on"])
        steps = int(steps)
    if files.data is not None:
        settings, fleet, profiles = household_data.read_world(settings, files, steps)
        return Scenario(settings, fleet, profiles, files.fingerprints(), mechanism)
    if files.members is not None:
        raise InputError(["--members: describes the homes of a data file; give it with --data"])
    if settings.HOUSEHOLDS.strip():
        raise InputError(["HOUSEHOLDS: picks homes of a data file; give it with --data"])
    if steps is not None:
        settings = settings.model_copy(update={"TIME_STEPS": steps})
    fleet = prosumer.make_fleet(settings)
    profiles = data_generation.make_profiles(settings, fleet)
    if files.prices is not None:
        prices = household_data.read_prices(files.prices, settings, settings.TIME_STEPS)
        profiles = replace(profiles, prices=prices)
    return Scenario(settings, fleet, profiles, files.fingerprints(), mechanism)


def check_names(s: Settings, mechanism: trading.Mechanism) -> None:
    """Raises InputError where a rule or an objective that the settings name is not there."""
    problems = []
    if not isinstance(mechanism, trading.Mechanism) or mechanism.name != s.MARKET_MECHANISM:
        given = "give prepare(mechanism=MECHANISMS[...]) of extensions.mechanisms"
        problems.append(f"MARKET_MECHANISM = {s.MARKET_MECHANISM!r}: {given}")
    if s.REGULATOR_OBJECTIVE not in regulator.STRATEGIES:
        there = f"regulator.STRATEGIES has {', '.join(regulator.STRATEGIES)}"
        problems.append(f"REGULATOR_OBJECTIVE = {s.REGULATOR_OBJECTIVE!r}: {there}")
    if problems:
        raise InputError(problems)


def check_sizes(scenario: Scenario) -> None:
    """Raises InputError where the profiles do not fit together, or energy or money could outgrow 64 bits."""
    s, profiles = scenario.settings, scenario.profiles
    shapes = {profiles.load_wh.shape, profiles.pv_wh.shape, (profiles.steps, scenario.fleet.size)}
    lengths = {len(column) for column in vars(profiles.prices).values()}
    lengths |= {len(profiles.timestamp)} if profiles.timestamp else set()
    if len(shapes) > 1 or lengths != {profiles.steps} or not profiles.steps:
        told = "sun, load, prices and clock must have the same steps, at least one"
        raise InputError([f"{told}; sun and load a column for each member"])
    most_wh = max(int(profiles.load_wh.max()), int(profiles.pv_wh.max()))
    if most_wh > MOST_WH:
        told = f"a home with {most_wh / 1000:,.0f} kWh in a step; allowed are {MOST_WH / 1000:,.0f} kWh"
        raise InputError([f"{told}: use smaller roofs, loads or factors"])
    energy = float(profiles.load_wh.sum(dtype=float) + profiles.pv_wh.sum(dtype=float))
    energy += float(scenario.fleet.max_step_wh.sum(dtype=float)) * profiles.steps
    dearest = max(int(column.max()) for column in vars(profiles.prices).values())
    per_wh = dearest + 1e6 * (s.RENEWABLE_BONUS + 2 * s.P2P_BONUS + s.PENALTY_FOR_MARKET)
    wallets = abs(s.INITIAL_WALLET) * 1e9 * scenario.fleet.size
    trades = 2 * scenario.fleet.size  # of a step, at most: with neighbours and with the aggregator
    blocks = profiles.steps * (trades / s.MAX_TRANSACTIONS_PER_BLOCK + 1) * (s.CONSENSUS != "none")
    rewards = s.BLOCK_REWARD * 1e9 * blocks
    if MOVED_AT_MOST * energy * per_wh + wallets + rewards > MOST_NANOEUR:
        raise InputError(
            [
                f"energy {energy / 1000:,.0f} kWh at prices up to {dearest / 1e6:,.2f} EUR/kWh, and rewards of "
                f"up to {rewards / 1e9:,.0f} EUR: the accounts hold at most 4 billion EUR; use smaller "
                "values, fewer members or fewer steps"
            ]
        )


def run(
    scenario: Scenario,
    observer: Callable[[StepResult], None] | None = None,
    race: blockchain.Race | None = None,
) -> Run:
    """Simulates all steps; observer(result) is called after each; race may mine elsewhere."""
    chain = make_chain(scenario, race)
    steps = []
    for result in simulate(scenario, chain):
        steps.append(result)
        if observer is not None:
            observer(result)
    start = prosumer.initial_state(scenario.settings, scenario.fleet)
    return Run(scenario, start, tuple(steps), chain)


def make_chain(scenario: Scenario, race: blockchain.Race | None = None) -> blockchain.Chain | None:
    """A chain that holds only its genesis, or None without ledger."""
    if scenario.settings.CONSENSUS == "none":
        return None
    return blockchain.Chain(scenario.settings, scenario.params, race)


def simulate(scenario: Scenario, chain: blockchain.Chain | None) -> Iterator[StepResult]:
    """Each step's result in turn; keeps none of them. The chain is that of make_chain."""
    state = prosumer.initial_state(scenario.settings, scenario.fleet)
    for timestep in range(scenario.profiles.steps):
        result = step(scenario, state, timestep, chain)
        state = result.state
        yield result


def step(
    scenario: Scenario, state: State, timestep: int, chain: blockchain.Chain | None
) -> StepResult:
    """One step of the community, from the sun to the new state; the laws pass before it counts."""
    settings, fleet, profiles = scenario.settings, scenario.fleet, scenario.profiles
    pv, load, prices = profiles.at(timestep)
    if not scenario.mechanism.market_follows:
        prices = prices.at_the_utility()

    levers = regulator.set_levers(settings, outlook(scenario, state, timestep, prices))
    plan = prosumer.plan_battery(fleet, state.stored_wh, pv - load, levers)
    residual = prosumer.residual_after(pv, load, plan)
    orders = scenario.mechanism.admit(
        prosumer.make_orders(settings, fleet, state, plan, residual, prices, levers, timestep)
    )
    cleared = scenario.mechanism.clear(orders, prices)
    left = trading.leftovers(orders, cleared.trades, fleet.size)
    who_comes = (
        prosumer.accepts_market(prices, levers) if scenario.mechanism.market_follows else NO_MARKET
    )
    market = trading.local_market(orders, left, prices, *who_comes)
    flows = trading.metered_flows(pv, load, plan, orders, cleared.trades, market)
    trades = joined([cleared.trades, market])

    period = trading.period_after(state.period, flows, prices)
    shared = closing_transfers(scenario, period, timestep)
    bills = joined([trading.bill(cleared, market, flows, prices), shared])
    balance = state.balance_nanoeur + account_changes(bills, len(state.balance_nanoeur))
    avoidable = regulator.avoidable_wh(
        orders, left, flows, prosumer.reservation_prices(prices, levers)
    )
    ruling = regulator.review(settings, levers, state, flows, avoidable, balance[: fleet.size])
    blocks = chain.seal(timestep, trades) if chain else ()
    rewards = blockchain.rewards(settings, blocks)
    moves = joined([bills, ruling.transfers, rewards])

    after = replace(
        regulator.remember(settings, state, ruling),
        stored_wh=prosumer.stored_after(
            fleet, state.stored_wh, flows.charge_wh, flows.discharge_wh
        ),
        balance_nanoeur=state.balance_nanoeur + account_changes(moves, len(balance)),
        period=period,
    )

    result = StepResult(
        timestep=timestep,
        levers=levers,
        residual_wh=residual,
        orders=orders,
        trades=trades,
        flows=flows,
        transfers=moves,
        ruling=ruling,
        blocks=blocks,
        prices=prices,
        was_banned=state.is_banned,
        state=after,
    )
    # the laws: no result leaves the step, and no block joins the chain, until these pass
    other_dues = trading.spread_changes(cleared, len(balance))
    other_dues += blockchain.minted(settings, blocks, len(balance))
    other_dues += account_changes(shared, len(balance))
    audit.check_energy(fleet, state, result, pv, load)
    audit.check_trades(state, result, cleared.spread_nanoeur, prosumer.trade_cap_wh(settings))
    audit.check_money(state, result, other_dues)
    if chain:
        chain.append(blocks)
    return result


def outlook(
    scenario: Scenario, state: State, timestep: int, prices: StepPrices
) -> regulator.Outlook:
    """What the regulator knows before a step: what members expect of prices, and what self-balancing will leave.

    Its forecast of energy is right: sun and load of the step itself, with the default use of batteries.
    """
    pv, load, _ = scenario.profiles.at(timestep)
    plan = prosumer.plan_battery(scenario.fleet, state.stored_wh, pv - load)
    return regulator.Outlook(
        timestep=timestep,
        expected_surplus_wh=int(prosumer.residual_after(pv, load, plan).sum()),
        expected_buy=prices.expected_buy,
        expected_sell=prices.expected_sell,
        mean_24h=prices.mean_24h,
        budget_left_nanoeur=nanoeur(scenario.settings.REGULATOR_BUDGET)
        + int(state.balance_nanoeur[REGULATOR]),
    )


def closing_transfers(scenario: Scenario, period: Period, timestep: int) -> Transfers:
    """What the market rule settles after the last step; nothing before it."""
    settle = scenario.mechanism.settle_period
    if settle is None or timestep < scenario.profiles.steps - 1:
        return no_transfers()
    shared = settle(period)
    audit.check_shared_bills(timestep, period, shared)
    return shared


def alone(scenario: Scenario) -> tuple[Money, Real]:
    """(cash in nano-euro, final stored Wh) of each member (N) with the same battery and only the utility."""
    fleet, profiles = scenario.fleet, scenario.profiles
    stored, cash = fleet.initial_stored_wh, np.zeros(fleet.size, np.int64)
    for t in range(profiles.steps):
        pv, load, _ = profiles.at(t)
        plan = prosumer.plan_battery(fleet, stored, pv - load)
        rest = prosumer.residual_after(pv, load, plan)
        price = np.where(rest < 0, profiles.prices.grid_import[t], profiles.prices.grid_export[t])
        cash += rest * price
        stored = prosumer.stored_after(fleet, stored, plan.charge_wh, plan.discharge_wh)
    return cash, stored
