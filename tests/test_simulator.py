"""Whole steps and whole runs: one worked by hand, thousands drawn by chance, and the laws in each of them."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_run, make_settings
from hypothesis import given
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from worlds import (
    STILL,
    assert_run_laws,
    explore,
    make_homes,
    make_profiles,
    quick_settings,
    rows,
    small_runs,
    take_step,
    with_ban,
    with_stored,
)

import blockchain
import config
import prosumer
import regulator
import simulator
import storage
import trading
import verification
from declarations import declarations
from errors import InputError, LawBroken
from records import AGGREGATOR, REGULATOR, UTILITY, BanReason, Reason, TradeKind

# ---------------------------------------------------------------- one step by hand


def test_a_kwh_travels_from_the_roof_to_the_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three members, one hour, every number derived.

    Prices: market 0.15, fee 0.03, so local market 0.18 and 0.12; utility 0.32 and 0.03; all known
    beforehand. Levers: renewable bonus 0.02, P2P bonus 0.01, market penalty 0.02, margin 0.32.

    Anna   pv 3.5, load 0.8, battery of 10 kWh at 5.0 kWh and 1 kW. Surplus 2.7: she charges 1.0, and of
           the 1.7 that are left the cap allows an order of 1.4.
    Ben    needs 0.9 kWh, as usual; Carla needs 0.3 kWh, three times her usual 0.1.
    The residuals sum to 1.7 - 0.9 - 0.3 = +0.5 kWh: sellers are in the majority.

    Fallbacks: a buyer would pay B = 0.18 + 0.02 = 0.20, a seller would get S = 0.12 - 0.02 = 0.10; the
    zone between the prices alone is 0.06. Margin m = 0.32 * (1.25 - 0.5 * haste), haste = order / (order +
    usual), 0.1 less for the majority:
    Anna   usual 1.4, haste 1/2,  m = 0.32 - 0.10 = 0.22, ask = 0.10 + 0.0132 - 0.01 = 0.1032
    Ben    usual 0.9, haste 1/2,  m = 0.32,               bid = 0.20 - 0.0192 + 0.01 = 0.1908
    Carla  usual 0.1, haste 3/4,  m = 0.32 * 0.875 = 0.28, bid = 0.20 - 0.0168 + 0.01 = 0.1932

    Neighbours: Carla bids most: 0.3 kWh at (0.1932 + 0.1032) / 2 = 0.1482; then Ben: 0.9 at 0.147. Anna's
    last 0.2 go to the local market at 0.12, the 0.3 above the cap to the utility at 0.03. The aggregator
    sells the 0.2 on at 0.15.

    Bonuses: Anna kept 0.8 + 1.0 = 1.8 kWh of her sun: 0.036; P2P 0.012 for Anna, 0.009 Ben, 0.003
    Carla; penalty for Anna 0.2 * 0.02 = 0.004. None of it was avoidable: no buyer was left.

    Balances: Anna +0.04446 + 0.1323 + 0.024 + 0.009 + 0.036 + 0.012 - 0.004 = +0.25376; Ben -0.1323 + 0.009
    = -0.1233; Carla -0.04446 + 0.003 = -0.04146; aggregator -0.024 + 0.03 = +0.006; utility -0.03 - 0.009 =
    -0.039; regulator -0.056. The sum is zero. Anna's battery: 5 + 1.0 * sqrt(0.95) = 5.974679 kWh.
    """
    anna, ben, carla = 0, 1, 2
    settings = quick_settings(**STILL, MAX_TRADE_CAP=1.4, QUOTE_MARGIN=0.32)
    monkeypatch.setattr(regulator, "set_levers", regulator.default_levers)
    fleet = make_homes(
        settings,
        battery_kwh=[10, 0, 0],
        battery_kw=[1, 0, 0],
        base_load_kwh=[1.4, 0.9, 0.1],
        pv_kw=[5, 0, 0],
    )
    result = take_step(settings, fleet, pv_wh=[3500, 0, 0], load_wh=[800, 900, 300])

    assert result.residual_wh.tolist() == [1700, -900, -300]
    assert result.levers.expected_surplus_wh == 500
    assert result.orders.energy_wh.tolist() == [1400, 900, 300]
    assert result.orders.is_sale.tolist() == [True, False, False]
    assert result.orders.limit_microeur_per_kwh.tolist() == [103_200, 190_800, 193_200]

    assert rows(result.trades) == [
        (anna, carla, 300, 148_200, TradeKind.P2P),
        (anna, ben, 900, 147_000, TradeKind.P2P),
        (anna, AGGREGATOR, 200, 120_000, TradeKind.LOCAL_MARKET),
    ]
    flows = result.flows
    assert flows.charge_wh.tolist() == [1000, 0, 0]
    assert flows.p2p_sold_wh.tolist() == [1200, 0, 0]
    assert flows.p2p_bought_wh.tolist() == [0, 900, 300]
    assert flows.market_sold_wh.tolist() == [200, 0, 0]
    assert flows.grid_export_wh.tolist() == [300, 0, 0]
    assert not flows.grid_import_wh.any() and not flows.market_bought_wh.any()

    moves = result.transfers
    columns = (moves.reason, moves.payer, moves.payee, moves.amount_nanoeur)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(
        [
            (Reason.P2P, carla, anna, 44_460_000),
            (Reason.P2P, ben, anna, 132_300_000),
            (Reason.LOCAL_MARKET, AGGREGATOR, anna, 24_000_000),
            (Reason.UTILITY_EXPORT, UTILITY, anna, 9_000_000),
            (Reason.UTILITY_EXPORT, UTILITY, AGGREGATOR, 30_000_000),
            (Reason.RENEWABLE_BONUS, REGULATOR, anna, 36_000_000),
            (Reason.P2P_BONUS, REGULATOR, anna, 12_000_000),
            (Reason.P2P_BONUS, REGULATOR, ben, 9_000_000),
            (Reason.P2P_BONUS, REGULATOR, carla, 3_000_000),
            (Reason.MARKET_PENALTY, anna, REGULATOR, 4_000_000),
        ]
    )
    assert result.ruling.bonus_nanoeur.tolist() == [48_000_000, 9_000_000, 3_000_000]
    assert result.ruling.penalty_nanoeur.tolist() == [4_000_000, 0, 0]
    assert result.ruling.avoidable_nanoeur.tolist() == [0, 0, 0]

    balance = result.state.balance_nanoeur
    assert balance[:3].tolist() == [253_760_000, -123_300_000, -41_460_000]
    assert balance[[AGGREGATOR, UTILITY, REGULATOR]].tolist() == [
        6_000_000,
        -39_000_000,
        -56_000_000,
    ]
    assert balance.sum() == 0
    assert result.state.stored_wh.tolist() == pytest.approx([5000 + 1000 * sqrt(0.95), 0, 0])


# ---------------------------------------------------------------- runs drawn by chance


@given(small_runs())
@hypothesis.settings(explore, max_examples=60)
def test_every_law_holds_in_every_step_of_every_run(changes: dict[str, Any]) -> None:
    """Any mix of homes, step lengths, batteries, caps, fees, levers and objectives."""
    assert_run_laws(make_run_quickly(changes))


def make_run_quickly(changes: dict[str, Any]) -> simulator.Run:
    return simulator.run(simulator.prepare(quick_settings(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"NUM_PROSUMERS": 2},
        {"NUM_PROSUMERS": 1, "TIME_STEPS": 3},
        {"NUM_PROSUMERS": 0, "NUM_CONSUMERS": 3},
        {"NUM_PROSUMERS": 50, "NUM_CONSUMERS": 50},
        {"TIME_STEPS": 96, "TIME_STEP_DURATION": 0.25, "NUM_PROSUMERS": 30},
        {"TIME_STEPS": 60, "TIME_STEP_DURATION": 0.0833, "NUM_PROSUMERS": 20},
        {"TIME_STEPS": 20, "TIME_STEP_DURATION": 0.7, "NUM_PROSUMERS": 20},
    ],
    ids=str,
)
def test_every_law_holds_in_communities_of_every_kind(changes: dict[str, Any]) -> None:
    """Whole days, two homes, one, only consumers; short steps; steps that do not divide the hour."""
    assert_run_laws(make_run(**changes))


def test_every_law_holds_with_the_ledger_and_its_rewards() -> None:
    assert_run_laws(make_run(CONSENSUS="pow", DIFFICULTY_TARGET=1, NUM_PROSUMERS=30))


class Community(RuleBasedStateMachine):
    """A community to which anything may happen: its rules are verbs, its invariants are the laws."""

    @initialize(
        batteries=st.lists(st.sampled_from([0, 0.5, 5, 20]), min_size=2, max_size=6),
        seed=st.integers(0, 1000),
    )
    def found(self, batteries: list[float], seed: int) -> None:
        self.settings = quick_settings(SEED=seed, CONSENSUS="pow", DIFFICULTY_TARGET=0)
        self.members = len(batteries)
        self.fleet = make_homes(self.settings, battery_kwh=batteries)
        self.state = prosumer.initial_state(self.settings, self.fleet)
        self.chain = blockchain.Chain(self.settings, b"")
        self.timestep = 0
        self.given = 0
        self.trades = 0

    @rule(
        data=st.data(),
        base_price=st.sampled_from([0.06, 0.15, 0.19]),
        bonus=st.sampled_from([0.0, 0.01, 0.1]),
        penalty=st.sampled_from([0.0, 0.02, 0.3]),
        objective=st.sampled_from(sorted(regulator.STRATEGIES)),
    )
    def pass_a_step(
        self, data: st.DataObject, base_price: float, bonus: float, penalty: float, objective: str
    ) -> None:
        """Random sun, demand, prices and levers; take_step itself checks every law of the step."""
        some_wh = st.one_of(st.just(0), st.integers(1, 60), st.integers(61, 9000))
        many = st.lists(some_wh, min_size=self.members, max_size=self.members)
        settings = self.settings.model_copy(
            update={
                "BASE_PRICE": base_price,
                "P2P_BONUS": bonus,
                "PENALTY_FOR_MARKET": penalty,
                "REGULATOR_OBJECTIVE": objective,
            }
        )
        self.advance(settings, data.draw(many, "pv"), data.draw(many, "load"))

    def advance(self, settings: Any, pv_wh: list[int], load_wh: list[int]) -> None:
        before = self.state
        result = take_step(
            settings,
            self.fleet,
            pv_wh,
            load_wh,
            state=before,
            timestep=self.timestep,
            chain=self.chain,
        )
        assert np.array_equal(result.was_banned, before.ban_steps_left > 0)
        self.trades += result.trades.size
        self.state = result.state
        self.timestep += 1

    @rule(data=st.data(), steps=st.integers(1, 5))
    def ban(self, data: st.DataObject, steps: int) -> None:
        self.state = with_ban(self.state, data.draw(st.integers(0, self.members - 1)), steps)

    @rule(data=st.data(), full=st.booleans())
    def empty_or_fill_a_battery(self, data: st.DataObject, full: bool) -> None:
        i = data.draw(st.integers(0, self.members - 1))
        level = self.fleet.max_stored_wh[i] if full else self.fleet.min_stored_wh[i]
        self.state = with_stored(self.state, i, float(level))

    @rule(data=st.data(), euro=st.integers(-3, 3))
    def change_a_wallet(self, data: st.DataObject, euro: int) -> None:
        balance = self.state.balance_nanoeur.copy()
        balance[data.draw(st.integers(0, self.members - 1))] += euro * 10**9
        self.given += euro * 10**9
        self.state = replace(self.state, balance_nanoeur=balance)

    @precondition(lambda self: self.timestep > 0)
    @rule()
    def let_bans_run_out(self) -> None:
        """However long a ban, quiet steps end it."""
        for _ in range(6):
            self.advance(self.settings, [0] * self.members, [0] * self.members)
        assert not self.state.is_banned.any()

    @invariant()
    def money_is_neither_made_nor_lost(self) -> None:
        if hasattr(self, "state"):
            assert int(self.state.balance_nanoeur.sum()) == self.given

    @invariant()
    def batteries_stay_in_their_window(self) -> None:
        if hasattr(self, "state"):
            assert (self.state.stored_wh >= self.fleet.min_stored_wh - 1e-6).all()
            assert (self.state.stored_wh <= self.fleet.max_stored_wh + 1e-6).all()

    @invariant()
    def every_ban_has_a_reason_or_is_over(self) -> None:
        if hasattr(self, "state"):
            free = ~self.state.is_banned
            assert (self.state.ban_reason[free] == BanReason.NONE).all()

    @invariant()
    def the_chain_holds_every_trade(self) -> None:
        if hasattr(self, "chain"):
            assert sum(len(block.records) for block in self.chain.blocks) == self.trades
            for before, block in zip(self.chain.blocks, self.chain.blocks[1:], strict=False):
                assert block.previous_hash == before.block_hash


def test_whatever_happens_to_a_community_the_laws_hold() -> None:
    run_state_machine_as_test(
        Community, settings=hypothesis.settings(explore, max_examples=40, stateful_step_count=15)
    )


# ---------------------------------------------------------------- state and records


def test_only_the_state_survives_a_step() -> None:
    """A step is a function: taken again from the same state it gives the same result."""
    run = make_run(NUM_PROSUMERS=20, TIME_STEPS=14)
    again = simulator.step(run.scenario, run.steps[11].state, 12, None)
    assert_same(again, run.steps[12])


def assert_same(one: Any, two: Any) -> None:
    """Equal values in every column of two records, all the way down."""
    assert type(one) is type(two)
    if is_dataclass(one):
        for f in fields(one):
            assert_same(getattr(one, f.name), getattr(two, f.name))
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, two)
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    else:
        assert one == two


def test_a_step_cannot_change_what_it_was_given() -> None:
    """Records are frozen and their arrays read-only, so nothing is changed behind anybody's back."""
    run = make_run(NUM_PROSUMERS=5, TIME_STEPS=2)
    records = [run.scenario.fleet, run.scenario.profiles, run.scenario.profiles.prices]
    result = run.steps[0]
    records += [result.state, result.flows, result.orders, result.trades, result.transfers]
    for record in [*records, result.ruling]:
        with pytest.raises(FrozenInstanceError):
            record.anything = 1
        for column in vars(record).values():
            if isinstance(column, np.ndarray) and column.size:
                with pytest.raises(ValueError, match="read-only"):
                    column[0] = 0


def test_two_equal_runs_are_equal_in_every_column() -> None:
    one, two = (make_run(CONSENSUS="pow", DIFFICULTY_TARGET=1, NUM_PROSUMERS=20) for _ in range(2))
    assert one.chain.tip == two.chain.tip
    for a, b in zip(one.steps, two.steps, strict=True):
        assert_same(a, b)


def test_the_first_day_of_two_is_the_day_alone() -> None:
    """What comes later does not reach back."""
    day, days = make_run(NUM_PROSUMERS=20), make_run(NUM_PROSUMERS=20, TIME_STEPS=48)
    for a, b in zip(day.steps, days.steps, strict=False):
        assert_same(a.flows, b.flows)
        assert_same(a.trades, b.trades)


def test_an_observer_sees_every_step_once_and_in_order() -> None:
    seen: list[int] = []
    scenario = simulator.prepare(quick_settings(NUM_PROSUMERS=3, TIME_STEPS=5))
    simulator.run(scenario, lambda result: seen.append(result.timestep))
    assert seen == [0, 1, 2, 3, 4]


def test_every_load_is_served_and_every_kwh_of_sun_has_a_place() -> None:
    """A day's energy: sun + import + what the batteries gave = load + export + what they took (trap 1)."""
    run = make_run()
    total = {
        f.name: sum(int(getattr(r.flows, f.name).sum()) for r in run.steps)
        for f in fields(run.steps[0].flows)
    }
    assert total["load_wh"] == run.scenario.profiles.load_wh.sum()
    assert total["pv_wh"] == run.scenario.profiles.pv_wh.sum()
    into = total["pv_wh"] + total["discharge_wh"] + total["market_bought_wh"]
    out = total["load_wh"] + total["charge_wh"] + total["market_sold_wh"] + total["curtailed_wh"]
    assert into + total["grid_import_wh"] == out + total["grid_export_wh"]


# ---------------------------------------------------------------- alone


def test_alone_is_the_same_battery_rule_with_nobody_to_trade_with() -> None:
    """Recomputed member by member in plain Python; charge and discharge lose alike (trap 4)."""
    run = make_run(NUM_PROSUMERS=25, NUM_CONSUMERS=5)
    fleet, profiles = run.scenario.fleet, run.scenario.profiles
    cash, stored = simulator.alone(run.scenario)
    eta = sqrt(0.95)
    for i in range(fleet.size):
        level, money = float(fleet.initial_stored_wh[i]), 0
        for t in range(24):
            rest = int(profiles.pv_wh[t, i] - profiles.load_wh[t, i])
            power = int(fleet.max_step_wh[i])
            if rest > 0:
                used = min(rest, power, int((fleet.max_stored_wh[i] - level) / eta + 1e-9))
                level, rest = level + eta * used, rest - used
            else:
                used = min(-rest, power, int((level - fleet.min_stored_wh[i]) * eta + 1e-9))
                level, rest = level - used / eta, rest + used
            money += rest * (30_000 if rest > 0 else 320_000)
        assert cash[i] == money
        assert stored[i] == pytest.approx(level)


def test_a_community_that_may_not_trade_is_everybody_alone() -> None:
    """Cap 0: the same meters, the same bills as in `alone`; so savings compare like with like (trap 15)."""
    run = make_run(MAX_TRADE_CAP=0.0, RENEWABLE_BONUS=0.0, NUM_PROSUMERS=30, REGULATOR_OBJECTIVE="maximize_p2p")  # fmt: skip
    cash, stored = simulator.alone(run.scenario)
    assert np.array_equal(run.end.balance_nanoeur[:30], cash)
    assert run.end.stored_wh == pytest.approx(stored)
    assert not any(result.trades.size for result in run.steps)


# ---------------------------------------------------------------- scenarios


def test_money_that_could_outgrow_64_bits_is_refused_before_the_run() -> None:
    """int64 ends at 9.2 billion EUR in nano-euro: a clear message instead of a wrong balance (trap 29)."""
    settings = quick_settings(RETAIL_PRICE=1000.0, MIN_LOAD=1e6)
    with pytest.raises(InputError, match="fewer"):
        simulator.prepare(settings)


def test_rewards_count_among_the_money_that_must_fit() -> None:
    """10,000 blocks of a million euro each: the mint alone would owe more than int64 holds."""
    rich = {"BLOCK_REWARD": 1e6, "MAX_TRANSACTIONS_PER_BLOCK": 1, "TIME_STEPS": 240}
    with pytest.raises(InputError, match="rewards of up to"):
        simulator.prepare(quick_settings(**rich, CONSENSUS="pow"))
    simulator.prepare(quick_settings(**rich, CONSENSUS="none"))


@pytest.mark.parametrize("lever", ["RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"])
def test_incentives_count_among_the_money_that_must_fit(lever: str) -> None:
    many = {"NUM_PROSUMERS": 1000, "BASE_CONSUMPTION": [1000.0] * 10}
    simulator.prepare(quick_settings(**many))
    with pytest.raises(InputError, match="fewer"):
        simulator.prepare(quick_settings(**many, **{lever: 100.0}))


def test_wallets_count_among_the_money_that_must_fit() -> None:
    """5,000 members with a million euro each own 5 billion."""
    rich = {"NUM_PROSUMERS": 5_000, "TIME_STEPS": 1}
    simulator.prepare(quick_settings(**rich, INITIAL_WALLET=0.0))
    with pytest.raises(InputError, match="fewer"):
        simulator.prepare(quick_settings(**rich, INITIAL_WALLET=1e6))


def test_what_batteries_can_move_counts_among_the_energy_that_must_be_paid() -> None:
    """100 batteries of a million kWh: what they charge and give at 1,000 EUR/kWh outgrows any home's load."""
    large = {"NUM_PROSUMERS": 100, "BATTERY_CAPACITY": [1e6] * 10, "RETAIL_PRICE": 1000.0}
    simulator.prepare(quick_settings(**large, HAS_BATTERY=0.0))
    with pytest.raises(InputError, match="fewer"):
        simulator.prepare(quick_settings(**large, HAS_BATTERY=1.0))


def test_a_home_beyond_a_million_kwh_in_a_step_is_refused() -> None:
    """Settings that are allowed one by one can multiply to what no file of results can hold (trap 29)."""
    with pytest.raises(InputError, match=r"allowed are 1,000,000 kWh"):
        simulator.prepare(quick_settings(PV_CAPACITY=[1e6] * 10, SEASON_FACTOR=10.0))


def test_params_hold_every_setting_of_the_run() -> None:
    settings = make_settings(SEED=7, CONSENSUS="none")
    scenario = simulator.prepare(settings, steps=3)
    for name in declarations(config):
        assert f'"{name}"'.encode() in scenario.params
    assert b'"SEED": 7' in scenario.params and b'"TIME_STEPS": 3' in scenario.params


def test_profiles_by_hand_run_like_those_of_a_day() -> None:
    """Five lines of Python make a scenario of one's own: homes, sun, demand, then run."""
    settings = quick_settings()
    fleet = make_homes(settings, battery_kwh=[0, 10])
    profiles = make_profiles(settings, [[2000, 0]] * 3, [[0, 1500]] * 3)
    run = simulator.run(simulator.Scenario(settings, fleet, profiles))
    assert_run_laws(run)
    assert len(run.steps) == 3 and sum(r.flows.p2p_sold_wh.sum() for r in run.steps) > 0


SHORT = ["pv_wh", "load_wh", "prices", "mean_24h", "hour", "timestamp", "members", "everything"]


@pytest.mark.parametrize("short", SHORT)
def test_profiles_that_do_not_fit_together_are_refused(short: str) -> None:
    """A clock for half the time would make a run of half the time, without a word."""
    settings, fleet = quick_settings(), make_homes(quick_settings(), battery_kwh=[0, 10])
    profiles = make_profiles(settings, [[0, 0]] * 4, [[500, 500]] * 4)
    half = make_profiles(settings, [[0, 0]] * 2, [[500, 500]] * 2)
    if short == "members":
        fleet = make_homes(settings, battery_kwh=[0, 10, 0])
    elif short == "everything":
        none = {name: column[:0] for name, column in vars(half.prices).items()}
        profiles = replace(half, prices=replace(half.prices, **none), hour=half.hour[:0])
        profiles = replace(profiles, pv_wh=half.pv_wh[:0], load_wh=half.load_wh[:0])
    elif short == "mean_24h":
        prices = replace(profiles.prices, mean_24h=half.prices.mean_24h)
        profiles = replace(profiles, prices=prices)
    else:
        two = {"timestamp": ("2024-06-01 00:00:00", "2024-06-01 01:00:00")}
        profiles = replace(profiles, **{short: two.get(short, getattr(half, short))})
    with pytest.raises(InputError, match="must have the same steps, at least one; sun and load"):
        simulator.Scenario(settings, fleet, profiles)


# ---------------------------------------------------------------- steps that fail, runs that are cut short


def a_ledger_of_a_day(race: Any = None) -> tuple[simulator.Scenario, blockchain.Chain]:
    wish = {"NUM_PROSUMERS": 30, "DIFFICULTY_TARGET": 1, "MAX_TRANSACTIONS_PER_BLOCK": 5}
    scenario = simulator.prepare(quick_settings(CONSENSUS="pow", **wish), steps=12)
    chain = simulator.make_chain(scenario, race)
    assert chain is not None
    return scenario, chain


def test_a_step_that_breaks_a_law_leaves_nothing_on_the_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redone with the fault mended it gives the chain of a run in which nothing happened."""
    scenario, chain = a_ledger_of_a_day()
    state = prosumer.initial_state(scenario.settings, scenario.fleet)
    for t in range(12):
        before = (chain.tip, chain.trades_sealed, len(chain.blocks))
        with monkeypatch.context() as fault, pytest.raises(LawBroken):
            fault.setattr(trading, "spread_changes", lambda _, accounts: np.ones(accounts, int))
            simulator.step(scenario, state, t, chain)
        assert (chain.tip, chain.trades_sealed, len(chain.blocks)) == before
        state = simulator.step(scenario, state, t, chain).state
    undisturbed = simulator.run(scenario).chain
    assert undisturbed is not None and chain.trades_sealed > 50
    assert chain.tip == undisturbed.tip


@pytest.mark.parametrize("consensus", ["pow", "pos"])
def test_a_step_that_is_stopped_while_it_mines_can_be_taken_again(consensus: str) -> None:
    """Of several blocks of a step some are mined already: an operator who pauses finds none of them."""
    scenario, chain = a_ledger_of_a_day()
    settings = scenario.settings.model_copy(update={"CONSENSUS": consensus})
    scenario = replace(scenario, settings=settings)
    chain, seal, left = blockchain.Chain(settings, scenario.params), blockchain.Draft.sealed, [0]

    def impatient(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return seal(*arguments, **named)

    state, stopped = prosumer.initial_state(settings, scenario.fleet), 0
    for t in range(12):
        left[0] = 2  # the step's second block
        with pytest.MonkeyPatch.context() as hand:
            hand.setattr(blockchain.Draft, "sealed", impatient)
            try:
                result = simulator.step(scenario, state, t, chain)
            except KeyboardInterrupt:
                stopped += 1
                left[0] = 0
                result = simulator.step(scenario, state, t, chain)
        state = result.state
    undisturbed = simulator.run(scenario).chain
    assert undisturbed is not None and stopped >= 3 and chain.trades_sealed > 50
    assert (chain.tip, chain.turn) == (undisturbed.tip, undisturbed.turn)


def test_a_part_of_a_run_is_not_taken_for_a_run() -> None:
    """Savings are told against all steps alone: of half a day the sums would be wrong, without a word."""
    run = simulator.run(simulator.prepare(quick_settings(TIME_STEPS=6)))
    for part in (run.steps[:3], run.steps[3:], run.steps[::-1], ()):
        with pytest.raises(InputError, match="the steps 0 to 5 of its scenario, each once and in"):
            replace(run, steps=part)


# ---------------------------------------------------------------- from Python


def test_a_run_goes_to_another_process_and_comes_back(tmp_path: Path) -> None:
    """Its settings' class is made from config.py, its rule holds functions: both must be found again."""
    run = simulator.run(simulator.prepare(quick_settings(TIME_STEPS=3)))
    again = pickle.loads(pickle.dumps(run))
    for number, one in enumerate((run, again)):
        storage.save(one, tmp_path / str(number))
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in "01")
    assert first == second and len(first) > 10
    assert again.scenario.settings.step_hours == 1.0


def test_a_run_is_told_in_few_words() -> None:
    """A notebook shows what stands last in a cell."""
    assert len(repr(simulator.run(simulator.prepare(quick_settings(TIME_STEPS=3))))) < 5000


@pytest.mark.parametrize("steps", [0, -3, 2.5, True, "4"])
def test_a_number_of_steps_that_is_none_is_refused(steps: Any) -> None:
    with pytest.raises(InputError, match=r"must be a whole number from 1 on"):
        simulator.prepare(quick_settings(), steps=steps)
    assert simulator.prepare(quick_settings(), steps=np.int64(4)).profiles.steps == 4


def test_a_folder_saved_from_python_is_one_that_verify_reads(tmp_path: Path) -> None:
    folder = str(tmp_path / "new" / "results")
    for consensus in ("pow", "none"):  # the second leaves no chain of the first, and no figures
        wish = quick_settings(TIME_STEPS=3, CONSENSUS=consensus)
        storage.save(simulator.run(simulator.prepare(wish)), folder)
        assert verification.verify(folder).ok
        plots = Path(folder, "plots")
        assert [path.name for path in plots.glob("*")] == ["mine.png"] * plots.exists()
        plots.mkdir(exist_ok=True)
        for name in ("energy_balance.png", "mine.png"):
            (plots / name).write_bytes(b"")


def test_saving_from_python_does_not_touch_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"thesis": 1}')
    told = f"^{tmp_path}: holds files, but not what this command writes"
    with pytest.raises(InputError, match=told):
        storage.save(simulator.run(simulator.prepare(quick_settings(TIME_STEPS=1))), tmp_path)
    assert (tmp_path / "summary.json").read_text() == '{"thesis": 1}'
    assert len(list(tmp_path.iterdir())) == 1
