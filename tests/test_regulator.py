"""The regulator: rules for this step only, bans with a reason and a choice, objectives that steer."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_run
from hypothesis import given
from worlds import explore, make_homes, quick_settings, take_step, with_ban

import prosumer
import regulator
import report
import simulator
from extensions.mechanisms import MECHANISMS
from records import REGULATOR, BanReason, Fleet, Flows, Levers, Orders, Reason, Ruling, State

OBJECTIVES = sorted(regulator.STRATEGIES)
STEERING = sorted(set(OBJECTIVES) - {"chaos"})


def make_flows(**columns: list[int]) -> Flows:
    """Flows with these columns, all others zero."""
    n = len(next(iter(columns.values())))
    return Flows(**{f.name: np.array(columns.get(f.name, [0] * n)) for f in fields(Flows)})


def judge(
    settings: Any,
    state: State,
    flows: Flows,
    avoidable_wh: list[int] | None = None,
    **levers: int,
) -> Ruling:
    """The regulator's ruling on these flows under the levers of the settings, or under other ones."""
    in_force = regulator.default_levers(settings, regulator.Outlook(0, 0, 0, 0, 0, 1))
    n = len(flows.load_wh)
    return regulator.review(
        settings,
        replace(in_force, **levers),
        state,
        flows,
        np.array(avoidable_wh or [0] * n, np.int64),
        state.balance_nanoeur[:n],
    )


def begin(settings: Any, members: int = 1) -> tuple[Fleet, State]:
    fleet = make_homes(settings, battery_kwh=[0] * members)
    return fleet, prosumer.initial_state(settings, fleet)


def after(settings: Any, state: State, ruling: Ruling) -> State:
    return regulator.remember(settings, state, ruling)


# ---------------------------------------------------------------- bonuses and penalties


def test_bonus_and_penalty_follow_from_the_flows_of_the_step() -> None:
    """1.5 kWh of own PV at 0.02, 0.4 kWh P2P at 0.01 and 0.3 kWh market at 0.02, in nano-euro."""
    settings = quick_settings()
    _, state = begin(settings)
    flows = make_flows(
        pv_wh=[2000],
        load_wh=[1000],
        charge_wh=[500],
        p2p_bought_wh=[100],
        p2p_sold_wh=[300],
        market_bought_wh=[200],
        market_sold_wh=[100],
    )
    ruling = judge(settings, state, flows)
    assert ruling.bonus_nanoeur.tolist() == [1500 * 20_000 + 400 * 10_000]
    assert ruling.penalty_nanoeur.tolist() == [300 * 20_000]
    moves = zip(
        ruling.transfers.payer.tolist(),
        ruling.transfers.payee.tolist(),
        ruling.transfers.amount_nanoeur.tolist(),
        ruling.transfers.reason.tolist(),
        strict=True,
    )
    assert sorted(moves) == [
        (-3, 0, 4_000_000, Reason.P2P_BONUS),
        (-3, 0, 30_000_000, Reason.RENEWABLE_BONUS),
        (0, -3, 6_000_000, Reason.MARKET_PENALTY),
    ]


def test_energy_from_the_battery_is_no_renewable_use() -> None:
    """It was counted when it was charged; the initial charge never was renewable at all (trap 3)."""
    settings = quick_settings()
    _, state = begin(settings)
    flows = make_flows(pv_wh=[0], load_wh=[1000], discharge_wh=[1000])
    assert judge(settings, state, flows).bonus_nanoeur.tolist() == [0]


def test_the_same_flows_earn_the_same_bonus_in_every_step() -> None:
    """Bonuses apply to the step, not to a running total: ten equal steps pay ten equal bonuses (trap 7)."""
    settings = quick_settings()
    _, state = begin(settings)
    flows = make_flows(pv_wh=[500], load_wh=[500], market_bought_wh=[100])
    paid = []
    for _ in range(10):
        ruling = judge(settings, state, flows)
        paid.append((int(ruling.bonus_nanoeur[0]), int(ruling.penalty_nanoeur[0])))
        state = after(settings, state, ruling)
    assert set(paid) == {(10_000_000, 2_000_000)}


def test_banned_members_earn_no_bonus_and_pay_no_penalty() -> None:
    """Whatever their flows are; the free neighbour with the same flows earns and pays."""
    settings = quick_settings()
    _, state = begin(settings, members=2)
    flows = make_flows(
        pv_wh=[500] * 2, load_wh=[500] * 2, p2p_bought_wh=[100] * 2, market_bought_wh=[200] * 2
    )
    ruling = judge(settings, with_ban(state, 0, 2), flows, [200, 200])
    assert ruling.bonus_nanoeur.tolist() == [0, 11_000_000]
    assert ruling.penalty_nanoeur.tolist() == [0, 4_000_000]
    assert ruling.avoidable_nanoeur.tolist() == [0, 4_000_000]
    assert not (ruling.transfers.payer == 0).any() and not (ruling.transfers.payee == 0).any()
    assert ruling.new_ban_steps[0] == 0


def test_over_a_day_bonuses_are_levers_times_flows_and_nothing_else() -> None:
    """The regulator's account shows what the policy costs, to the nano-euro."""
    run = make_run(NUM_PROSUMERS=50)
    cost = 0
    for result in run.steps:
        free, f, levers = ~result.was_banned, result.flows, result.levers
        used = np.minimum(f.pv_wh, f.load_wh + f.charge_wh)
        cost += int((free * used).sum()) * levers.renewable_bonus
        cost += int((free * (f.p2p_bought_wh + f.p2p_sold_wh)).sum()) * levers.p2p_bonus
        cost -= int((free * (f.market_bought_wh + f.market_sold_wh)).sum()) * levers.market_penalty
    assert run.end.balance_nanoeur[-3] == -cost != 0


# ---------------------------------------------------------------- objectives


def levers_of(
    objective: str, surplus: int = 0, buy: int = 0, sell: int = 0, left: int = 1, **changes: Any
) -> Levers:
    """The levers under an objective, with a 24-hour mean of 0.1 EUR/kWh and so many nano-euro of budget left."""
    settings = quick_settings(REGULATOR_OBJECTIVE=objective, **changes)
    return regulator.set_levers(settings, regulator.Outlook(7, surplus, buy, sell, 100_000, left))


def test_the_renewable_objective_opens_batteries_to_the_surplus() -> None:
    """Half way from the share in config.py to the whole; a stored kWh precious by day, cheap in deficit."""
    plain = regulator.default_levers(quick_settings(), regulator.Outlook(7, 1, 0, 0, 100_000, 1))
    day, night = (levers_of("maximize_renewable", surplus) for surplus in (1, -1))
    assert day == replace(plain, storage_bid_share=0.75, stored_value=1.1)
    assert night.stored_value == 0.6
    assert levers_of("maximize_renewable", STORAGE_BID_SHARE=0.0).storage_bid_share == 0


def test_the_p2p_objective_doubles_what_speaks_for_neighbours() -> None:
    plain = regulator.default_levers(quick_settings(), regulator.Outlook(7, 1, 0, 0, 100_000, 1))
    assert levers_of("maximize_p2p", 1) == replace(
        plain,
        p2p_bonus=20_000,
        market_penalty=40_000,
        margin=0.35 / 4,
        offer_share=0.875,
        storage_bid_share=0.875,
        stored_value=1.25,
    )
    assert levers_of("maximize_p2p", 0).stored_value == 0.6


def test_the_profit_objective_moves_a_battery_only_where_the_losses_leave_a_gain() -> None:
    """At 0.1 EUR/kWh on average ahead: charging from a price of 0.095 on is a loss, discharging below 0.1 / 0.95."""
    for sell, charges in ((95_000, 1.0), (95_001, 0.0)):
        assert levers_of("maximize_profit", buy=200_000, sell=sell).charge_share == charges
    for buy, reserve in ((105_263, 1.0), (105_264, 0.0)):
        assert levers_of("maximize_profit", buy=buy).reserve_share == reserve


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("left", [0, -5])
def test_without_budget_there_is_no_bonus_and_all_else_is_as_before(
    objective: str, left: int
) -> None:
    with_budget = levers_of(objective, surplus=1, buy=200_000, sell=90_000)
    assert with_budget.renewable_bonus > 0 and with_budget.p2p_bonus > 0
    without = levers_of(objective, surplus=1, buy=200_000, sell=90_000, left=left)
    assert without == replace(with_budget, renewable_bonus=0, p2p_bonus=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("budget_eur", [0.0, 3.0, 1e6])
def test_a_regulator_pays_bonuses_until_its_budget_is_spent(
    budget_eur: float, objective: str
) -> None:
    """Bonuses less penalties reach the budget, and end with the step in which they do; penalties refill it."""
    run = make_run(REGULATOR_OBJECTIVE=objective, REGULATOR_BUDGET=budget_eur)
    handed_out, most, stops = 0, 0, 0
    for result in run.steps:
        levers, spent = result.levers, handed_out >= round(budget_eur * 1e9)
        assert (levers.renewable_bonus == 0 and levers.p2p_bonus == 0) == spent
        stops += spent
        reasons, amounts = result.transfers.reason, result.transfers.amount_nanoeur
        paid = np.isin(reasons, [Reason.RENEWABLE_BONUS, Reason.P2P_BONUS])
        handed_out += int(amounts[paid].sum() - amounts[reasons == Reason.MARKET_PENALTY].sum())
        most = max(most, int(amounts[paid].sum()))
        assert handed_out <= round(budget_eur * 1e9) + most, "no more than the step that spent it"
        assert handed_out == -int(result.state.balance_nanoeur[REGULATOR])
    assert (stops > 0) == (budget_eur < 1e6)


def test_chaos_draws_each_lever_by_itself() -> None:
    """Over 400 steps each lever covers its range, and no two go together."""
    settings = quick_settings(REGULATOR_OBJECTIVE="chaos")
    drawn = [
        regulator.set_levers(settings, regulator.Outlook(t, 0, 0, 0, 100_000, 1))
        for t in range(400)
    ]
    ranges = {
        "renewable_bonus": (0, 40_000),
        "p2p_bonus": (0, 20_000),
        "market_penalty": (0, 40_000),
        "offer_share": (0, 1),
        "storage_bid_share": (0, 1),
        "margin": (0, 1),
        "stored_value": (0.5, 1.5),
        "charge_share": (0, 1),
    }
    columns = np.array([[getattr(levers, name) for levers in drawn] for name in ranges])
    for column, (low, high) in zip(columns, ranges.values(), strict=True):
        assert low <= column.min() < low + 0.02 * (high - low)
        assert high >= column.max() > high - 0.02 * (high - low)
    together = np.corrcoef(columns) - np.eye(len(ranges))
    assert np.abs(together).max() < 0.2  # four deviations of independent draws


# ---------------------------------------------------------------- bans

STRICT = {"BAN_PENALTY_LIMIT": 0.01, "BAN_BONUS_LIMIT": 0.05, "BAN_BALANCE_LIMIT": -1e6}
AT_ONCE = make_flows(market_bought_wh=[1000])


def test_avoidable_market_use_above_the_limit_is_a_ban_with_its_reason() -> None:
    """0.501 kWh avoidable at 0.02 is 0.01002 EUR, above 0.01; 0.5 kWh is exactly the limit, not above."""
    settings = quick_settings(**STRICT)
    _, state = begin(settings)
    ruling = judge(settings, state, AT_ONCE, [501])
    assert ruling.new_ban_steps.tolist() == [2]
    assert ruling.new_ban_reason.tolist() == [BanReason.EXCESSIVE_MARKET_USE]
    assert judge(settings, state, AT_ONCE, [500]).new_ban_steps.tolist() == [0]


def test_a_ban_of_a_single_step_has_its_reason_and_is_in_force_for_that_step() -> None:
    settings = quick_settings(**STRICT, BAN_MARKET_HOURS=1.0)
    _, state = begin(settings)
    ruling = judge(settings, state, AT_ONCE, [501])
    assert ruling.new_ban_steps.tolist() == [1]
    assert ruling.new_ban_reason.tolist() == [BanReason.EXCESSIVE_MARKET_USE]
    banned = after(settings, state, ruling)
    assert banned.is_banned.tolist() == [True]
    assert banned.ban_reason.tolist() == [BanReason.EXCESSIVE_MARKET_USE]
    free = after(settings, banned, judge(settings, banned, make_flows(load_wh=[0])))
    assert free.is_banned.tolist() == [False]


def test_who_had_no_choice_is_not_banned() -> None:
    """A thousand kWh through the market, none of it avoidable, is no offence; nor is being poor (trap 17)."""
    settings = quick_settings(**STRICT | {"BAN_BALANCE_LIMIT": 1e6})
    _, state = begin(settings)
    flows = make_flows(market_bought_wh=[1_000_000])
    assert judge(settings, state, flows, [0]).new_ban_steps.tolist() == [0]


def test_bonuses_protect_from_a_ban_for_market_use() -> None:
    """2.5 kWh of own sun at 0.02 is 0.05 EUR: no longer below the limit."""
    settings = quick_settings(**STRICT)
    _, state = begin(settings)
    for pv, banned in ((2499, 2), (2500, 0)):
        flows = make_flows(market_bought_wh=[1000], pv_wh=[pv], load_wh=[pv])
        assert judge(settings, state, flows, [1000]).new_ban_steps.tolist() == [banned]


def test_a_low_balance_is_a_reason_of_its_own_with_a_longer_ban() -> None:
    settings = quick_settings(BAN_PENALTY_LIMIT=100.0, BAN_BALANCE_LIMIT=-0.25)
    _, state = begin(settings)
    for balance, banned, why in (
        (-0.29, 3, BanReason.LOW_BALANCE),
        (-0.21, 0, BanReason.NONE),
    ):
        balances = state.balance_nanoeur.copy()
        balances[0] = round(balance * 1e9)
        poor = replace(state, balance_nanoeur=balances)
        for penalty in (20_000, 0):  # whatever passing neighbours over costs
            ruling = judge(settings, poor, AT_ONCE, [10], market_penalty=penalty)
            assert (ruling.new_ban_steps[0], ruling.new_ban_reason[0]) == (banned, why)


@pytest.mark.parametrize(
    ("flows", "change"),
    [
        ({"pv_wh": [1000], "load_wh": [1000]}, 20_000_000),
        ({"p2p_bought_wh": [1000]}, 10_000_000),
        ({"p2p_sold_wh": [1000]}, 10_000_000),
        ({}, -20_000_000),
    ],
)
def test_the_balance_that_decides_has_this_steps_bonus_and_penalty(
    flows: dict[str, list[int]], change: int
) -> None:
    """A kWh of own sun earns 0.02, one P2P 0.01; the kWh from the market, beside it or alone, costs 0.02."""
    limit = -250_000_000
    settings = quick_settings(BAN_PENALTY_LIMIT=100.0, BAN_BALANCE_LIMIT=-0.25)
    _, state = begin(settings)
    market = -20_000_000 if flows else 0
    for above, banned in ((0, 0), (-1, 3)):  # at the limit is not below it
        balances = state.balance_nanoeur.copy()
        balances[0] = limit - market - change + above
        poor = replace(state, balance_nanoeur=balances)
        ruling = judge(settings, poor, make_flows(market_bought_wh=[1000], **flows), [10])
        assert ruling.new_ban_steps.tolist() == [banned]


def test_a_p2p_bonus_protects_from_a_ban_as_any_other() -> None:
    """5 kWh P2P at 0.01 are 0.05 EUR: no longer below the limit."""
    settings = quick_settings(**STRICT)
    _, state = begin(settings)
    for p2p, banned in ((4999, 2), (5000, 0)):
        flows = make_flows(market_bought_wh=[1000], p2p_bought_wh=[p2p])
        assert judge(settings, state, flows, [1000]).new_ban_steps.tolist() == [banned]


@pytest.mark.parametrize("hours", [1.0, 0.5, 0.25, 1 / 12, 0.4])
def test_a_ban_lasts_its_hours_whatever_the_step(hours: float) -> None:
    """Two hours, rounded up to whole steps: 2, 4, 8, 24 steps; of 24-minute steps 5 (trap 5)."""
    settings = quick_settings(**STRICT, TIME_STEP_DURATION=hours)
    _, state = begin(settings)
    state = after(settings, state, judge(settings, state, AT_ONCE, [1000]))
    banned_in = []
    for step in range(30):
        banned_in += [step] * bool(state.is_banned[0])
        reason = state.ban_reason[0]
        assert (reason == BanReason.EXCESSIVE_MARKET_USE) == bool(state.is_banned[0])
        state = after(settings, state, judge(settings, state, make_flows(load_wh=[0])))
    assert banned_in == list(range(-(-2 * 60 // round(hours * 60))))


@pytest.mark.parametrize("hours", [1.0, 0.25])
def test_no_second_ban_for_the_same_reason_within_the_cooldown(hours: float) -> None:
    """A member that offends in every step is banned again, but never sooner than five hours after."""
    settings = quick_settings(**STRICT, TIME_STEP_DURATION=hours)
    _, state = begin(settings)
    starts = []
    for step in range(round(48 / hours)):
        free = not state.is_banned[0]
        ruling = judge(settings, state, AT_ONCE, [1000])
        if ruling.new_ban_steps[0]:
            assert free, "banned while banned"
            starts.append(step * hours)
        state = after(settings, state, ruling)
    gaps = np.diff(starts)
    assert set(gaps) == {5.0} and len(starts) == 10


def test_each_reason_has_a_cooldown_of_its_own() -> None:
    """After a ban for market use a low balance may still be one."""
    settings = quick_settings(**STRICT | {"BAN_BALANCE_LIMIT": 1e6})
    _, state = begin(settings)
    reasons = []
    for _ in range(6):
        ruling = judge(settings, state, AT_ONCE, [1000])
        if ruling.new_ban_steps[0]:
            reasons.append(BanReason(int(ruling.new_ban_reason[0])))
        state = after(settings, state, ruling)
    assert sorted(reasons) == [BanReason.EXCESSIVE_MARKET_USE, BanReason.LOW_BALANCE]


@pytest.mark.parametrize(("hours", "later", "banned"), [
    (1.0, 23, True), (1.0, 24, False), (0.25, 95, True), (0.25, 96, False),
])  # fmt: skip
def test_a_deed_counts_for_24_hours_and_not_for_25(hours: float, later: int, banned: bool) -> None:
    """0.4 kWh now and 0.2 kWh later are above the limit of 0.5 kWh only if both are of the last 24 hours."""
    settings = quick_settings(**STRICT, TIME_STEP_DURATION=hours)
    _, state = begin(settings)
    for step in range(later + 1):
        avoidable = {0: 400, later: 200}.get(step, 0)
        ruling = judge(settings, state, make_flows(market_bought_wh=[avoidable]), [avoidable])
        assert bool(ruling.new_ban_steps[0]) == (banned and step == later)
        state = after(settings, state, ruling)


@pytest.mark.parametrize(("hours", "later", "banned"), [
    (1.0, 23, False), (1.0, 24, True), (0.25, 95, False), (0.25, 96, True),
])  # fmt: skip
def test_a_bonus_protects_for_24_hours_and_not_for_25(
    hours: float, later: int, banned: bool
) -> None:
    """2.5 kWh of own sun earn the 0.05 EUR that protect; then nothing more until the deed."""
    settings = quick_settings(**STRICT, TIME_STEP_DURATION=hours)
    _, state = begin(settings)
    for step in range(later + 1):
        sun, deed = (2500 if step == 0 else 0), (501 if step == later else 0)
        flows = make_flows(pv_wh=[sun], load_wh=[sun], market_bought_wh=[deed])
        ruling = judge(settings, state, flows, [deed])
        assert bool(ruling.new_ban_steps[0]) == (banned and step == later)
        state = after(settings, state, ruling)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 30, 90]), st.sampled_from([0, 0, 300])),
        min_size=20,
        max_size=70,
    ),
    st.sampled_from([1.0, 0.5]),
)
@explore
def test_penalties_and_bonuses_of_the_last_24_hours_decide(
    deeds: list[tuple[int, int]], hours: float
) -> None:
    """Against a plain list of all that happened: sums of the last 24 hours, this step included."""
    settings = quick_settings(**STRICT | {"TIME_STEP_DURATION": hours, "BAN_COOLDOWN_HOURS": 0.0})
    _, state = begin(settings)
    past: list[tuple[int, int]] = []
    banned_until = -1
    window = round(24 / hours)
    for step, (avoidable, own_sun) in enumerate(deeds):
        free = step > banned_until
        assert bool(state.is_banned[0]) != free
        flows = make_flows(pv_wh=[own_sun], load_wh=[own_sun], market_bought_wh=[avoidable * free])
        ruling = judge(settings, state, flows, [avoidable * free])
        past.append((avoidable * 20_000 * free, own_sun * 20_000 * free))
        penalties, bonuses = (sum(column) for column in zip(*past[-window:], strict=True))
        expected = free and avoidable and penalties > 10_000_000 and bonuses < 50_000_000
        assert bool(ruling.new_ban_steps[0]) == bool(expected), f"step {step}"
        if expected:
            banned_until = step + round(2 / hours)
        state = after(settings, state, ruling)


def test_a_ban_is_in_force_from_the_next_step_on_and_keeps_the_member_out() -> None:
    """Banned members live on battery and utility; their load is served all the same (trap 1)."""
    run = make_run(BAN_PENALTY_LIMIT=0.0, BAN_BONUS_LIMIT=1e6)
    banned = 0
    for before, result in zip(run.steps, run.steps[1:], strict=False):
        assert np.array_equal(result.was_banned, before.state.ban_steps_left > 0)
        out = np.flatnonzero(result.was_banned)
        banned += len(out)
        assert not set(out.tolist()) & set(result.orders.member.tolist())
        f = result.flows
        for column in (f.p2p_bought_wh, f.p2p_sold_wh, f.market_bought_wh, f.market_sold_wh):
            assert not column[out].any()
        served = f.pv_wh + f.discharge_wh + f.grid_import_wh - f.charge_wh - f.grid_export_wh
        assert np.array_equal(served[out], f.load_wh[out])
    assert banned > 0, "nobody was banned, so this test says nothing"


def test_a_typical_day_bans_a_handful_of_members_and_not_a_third() -> None:
    """Over ten seeds: on the mean more than none and less than ten of a hundred; never twenty."""
    ever = [
        int(np.any([r.was_banned for r in make_run(SEED=seed).steps], axis=0).sum())
        for seed in range(10)
    ]
    assert 0 < np.mean(ever) < 10 and max(ever) < 20, ever


@pytest.mark.parametrize(
    ("market_hours", "balance_hours", "steps", "reason"),
    [
        (2, 3, 3, BanReason.LOW_BALANCE),
        (3, 2, 3, BanReason.EXCESSIVE_MARKET_USE),
        (3, 3, 3, BanReason.EXCESSIVE_MARKET_USE),
        (0, 3, 3, BanReason.LOW_BALANCE),
        (2, 0, 2, BanReason.EXCESSIVE_MARKET_USE),
        (0, 0, 0, BanReason.NONE),
    ],
)
def test_of_two_bans_the_longer_one_begins(
    market_hours: float, balance_hours: float, steps: int, reason: BanReason
) -> None:
    """One reason stands in the actions file; switching one ban off pardons nobody from the other.

    Of two as long it is market use, whose pause then begins.
    """
    hours = {"BAN_MARKET_HOURS": market_hours, "BAN_BALANCE_HOURS": balance_hours}
    settings = quick_settings(**STRICT | {"BAN_BALANCE_LIMIT": 1e6} | hours)
    ruling = judge(settings, begin(settings)[1], AT_ONCE, [501])
    assert ruling.new_ban_steps.tolist() == [steps]
    assert ruling.new_ban_reason.tolist() == [reason]


# ---------------------------------------------------------------- what could have been avoided


@pytest.mark.parametrize(
    ("bid", "ask", "avoidable"),
    [
        (100_000, 150_000, [800, 800]),
        (100_000, 200_000, [800, 800]),
        (100_000, 200_001, [0, 800]),
        (50_000, 150_000, [800, 800]),
        (49_999, 150_000, [800, 0]),
        (49_999, 200_001, [0, 0]),
    ],
)
def test_avoidable_is_only_what_a_member_could_have_accepted_without_loss(
    bid: int, ask: int, avoidable: list[int]
) -> None:
    """A buyer of 0.8 kWh can pay up to 0.20, a seller of 1 kWh can go down to 0.05 EUR/kWh."""
    orders = Orders(
        member=np.array([0, 1], np.int32),
        is_sale=np.array([False, True]),
        energy_wh=np.array([800, 1000]),
        limit_microeur_per_kwh=np.array([bid, ask]),
        of_battery=np.zeros(2, bool),
        tie=np.arange(2),
    )
    flows = make_flows(market_bought_wh=[800, 0], market_sold_wh=[0, 1000])
    found = regulator.avoidable_wh(orders, orders.energy_wh, flows, (200_000, 50_000))
    assert found.tolist() == avoidable


def test_what_was_in_reach_is_shared_in_whole_wh_without_loss() -> None:
    """588 Wh in reach of two sellers with 836 and 242 Wh: 588 * 836 / 1078 is 456 exactly, and 132 the rest."""
    orders = Orders(
        member=np.arange(3, dtype=np.int32),
        is_sale=np.array([True, True, False]),
        energy_wh=np.array([836, 242, 588]),
        limit_microeur_per_kwh=np.array([150_000, 150_000, 100_000]),
        of_battery=np.zeros(3, bool),
        tie=np.arange(3),
    )
    flows = make_flows(market_bought_wh=[0, 0, 588], market_sold_wh=[836, 242, 0])
    found = regulator.avoidable_wh(orders, orders.energy_wh, flows, (200_000, 50_000))
    assert found.tolist() == [456, 132, 588]


def test_what_is_avoidable_is_shared_beyond_64_bits() -> None:
    """Four sellers of a million kWh each: what all took times what one took is 4e18 Wh², of five 5e18, of ten 1e19."""
    for sellers in (4, 5, 10):
        n, most = sellers + 1, 10**9
        needed = most * sellers - 7
        orders = Orders(
            member=np.arange(n, dtype=np.int32),
            is_sale=np.arange(n) < sellers,
            energy_wh=np.array([most] * sellers + [needed]),
            limit_microeur_per_kwh=np.array([150_000] * sellers + [100_000]),
            of_battery=np.zeros(n, bool),
            tie=np.arange(n),
        )
        flows = make_flows(
            market_bought_wh=[0] * sellers + [needed], market_sold_wh=[most] * sellers + [0]
        )
        found = regulator.avoidable_wh(orders, orders.energy_wh, flows, (200_000, 50_000))
        assert found.tolist() == [needed // sellers] * sellers + [needed]


def test_avoidable_is_what_met_limits_would_have_spared() -> None:
    """Surplus 1 kWh and need 0.8 kWh whose limits did not meet: 0.8 kWh on either side was avoidable."""
    settings = quick_settings(
        QUOTE_MARGIN=1.0, QUOTE_VARIATION=0.0, P2P_BONUS=0.0, PENALTY_FOR_MARKET=0.005
    )
    fleet = make_homes(settings, battery_kwh=[0, 0])
    result = take_step(settings, fleet, [1000, 0], [0, 800])
    assert result.flows.market_sold_wh.tolist() == [1000, 0]
    penalty = result.levers.market_penalty
    assert result.ruling.avoidable_nanoeur.tolist() == [800 * penalty, 800 * penalty]


def test_nothing_is_avoidable_where_everybody_sells() -> None:
    """A sunny hour without a buyer: the market was the only way out."""
    settings = quick_settings()
    fleet = make_homes(settings, battery_kwh=[0, 0, 0])
    result = take_step(settings, fleet, [2000, 1500, 900], [0, 0, 0])
    assert result.flows.market_sold_wh.sum() > 0
    assert result.ruling.penalty_nanoeur.sum() > 0
    assert not result.ruling.avoidable_nanoeur.any()


def test_the_avoidable_part_never_exceeds_the_penalty() -> None:
    for objective in OBJECTIVES:
        for result in make_run(REGULATOR_OBJECTIVE=objective, NUM_PROSUMERS=40).steps:
            assert (result.ruling.avoidable_nanoeur <= result.ruling.penalty_nanoeur).all()


# ---------------------------------------------------------------- objectives


@lru_cache(maxsize=64)
def day_under(objective: str, seed: int) -> simulator.Run:
    return make_run(REGULATOR_OBJECTIVE=objective, SEED=seed)


def test_each_objective_sets_levers_of_its_own() -> None:
    """An objective that is only printed steers nothing (trap 17)."""
    levers = {
        objective: [asdict(result.levers) for result in day_under(objective, 42).steps]
        for objective in OBJECTIVES
    }
    for one, two in combinations(OBJECTIVES, 2):
        different = sum(a != b for a, b in zip(levers[one], levers[two], strict=True))
        assert different >= 12, f"{one} and {two} differ in {different} of 24 steps"


def test_each_objective_leads_to_a_day_of_its_own() -> None:
    flows = {
        objective: np.stack([r.flows.p2p_sold_wh for r in day_under(objective, 42).steps])
        for objective in OBJECTIVES
    }
    for one, two in combinations(OBJECTIVES, 2):
        assert (flows[one] != flows[two]).mean() > 0.05, (one, two)


def scores(objective: str, seed: int) -> dict[str, float]:
    """What each objective wants more of, in one day under this objective."""
    history = report.History(day_under(objective, seed))
    figures = report.summary(history, report.member_totals(history))
    p2p, outside = figures["p2p_kwh"], figures["market_kwh"] + figures["grid_import_kwh"]
    return {
        "maximize_renewable": figures["self_sufficiency"],
        "maximize_profit": -figures["net_cost_eur"],
        "maximize_p2p": p2p / (p2p + outside),
    }


@pytest.mark.parametrize("aim", STEERING)
def test_each_objective_scores_best_on_its_own_metric(aim: str) -> None:
    """Self-sufficiency, net cost, share of P2P: the mean of six days, against every other objective."""
    assert aim in scores(aim, 1), f"scores needs what {aim} wants more of than every other"
    mean = {
        objective: np.mean([scores(objective, seed)[aim] for seed in range(1, 7)])
        for objective in OBJECTIVES
    }
    best = max(mean, key=lambda objective: mean[objective])
    assert best == aim, {objective: round(float(value), 4) for objective, value in mean.items()}


def test_the_money_levers_of_an_objective_scale_those_of_config() -> None:
    """An objective scales what the user set; without bonuses and penalties in config there are none."""
    free = {"RENEWABLE_BONUS": 0.0, "P2P_BONUS": 0.0, "PENALTY_FOR_MARKET": 0.0}
    for objective in OBJECTIVES:
        for result in make_run(REGULATOR_OBJECTIVE=objective, NUM_PROSUMERS=10, **free).steps:
            levers = result.levers
            assert (levers.renewable_bonus, levers.p2p_bonus, levers.market_penalty) == (0, 0, 0)


def test_chaos_is_drawn_from_the_seed() -> None:
    one, again, other = (
        [r.levers for r in make_run(REGULATOR_OBJECTIVE="chaos", SEED=s, NUM_PROSUMERS=5).steps]
        for s in (1, 1, 2)
    )
    assert one == again != other
    assert len({levers.offer_share for levers in one}) == 24


LEVERS = [f.name for f in fields(Levers)]


@pytest.mark.parametrize("name", LEVERS)
def test_each_lever_moves_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lever that nobody answers to would be a lie in every table of policies (trap 17)."""

    def day_with(change: bool) -> list[Any]:
        def levers(settings: Any, outlook: regulator.Outlook) -> Levers:
            usual = regulator.default_levers(settings, outlook)
            return replace(usual, **{name: other(name, getattr(usual, name))}) if change else usual

        monkeypatch.setattr(regulator, "set_levers", levers)
        run = make_run(NUM_PROSUMERS=40)
        monkeypatch.undo()
        return [
            (r.flows.p2p_sold_wh.tolist(), r.trades.price_microeur_per_kwh.tolist(),
             r.state.balance_nanoeur.tolist()) for r in run.steps
        ]  # fmt: skip

    assert day_with(change=True) != day_with(change=False)


def other(name: str, value: Any) -> Any:
    """Another value that this lever could have; a surplus becomes a deficit."""
    if name == "expected_surplus_wh":
        return -value or 1000
    if isinstance(value, int):
        return value + 20_000
    return 0.4 if abs(value - 0.4) > 0.05 else 0.9


@pytest.mark.parametrize("rule", ["mid_market_rate", "none"])
def test_profit_looks_at_prices_that_members_can_reach(rule: str) -> None:
    """Without a local market a flat tariff is all there is: waiting with the battery gains nothing.

    Judged by the local market, members were told to sell at the feed-in price and to buy back at retail.
    """
    settings = quick_settings(
        MARKET_MECHANISM=rule, REGULATOR_OBJECTIVE="maximize_profit", NUM_PROSUMERS=20
    )
    run = simulator.run(simulator.prepare(settings, mechanism=MECHANISMS[rule]))
    assert {result.levers.charge_share for result in run.steps} == {1.0}
    assert {result.levers.reserve_share for result in run.steps} == {0.0}
