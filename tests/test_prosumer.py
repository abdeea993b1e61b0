"""The members: batteries that keep their physics, orders that keep their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_run
from hypothesis import given
from worlds import STILL, explore, make_homes, make_prices, quick_settings, with_ban, with_stored

import prosumer
import regulator
import simulator
from records import BatteryPlan, Fleet, Levers, Orders, State, StepPrices

# ---------------------------------------------------------------- batteries


def one_battery(kwh: float = 10.0, kw: float | None = None, **changes: Any) -> Fleet:
    return make_homes(
        quick_settings(**changes), battery_kwh=[kwh], battery_kw=None if kw is None else [kw]
    )


@pytest.mark.parametrize("round_trip", [0.5, 0.9, 0.95, 1.0])
def test_a_round_trip_costs_the_round_trip_efficiency_once(round_trip: float) -> None:
    """Charge 2 kWh at the terminals, then take out all of it: efficiency * 2 kWh comes back (trap 2)."""
    settings = quick_settings(BATTERY_EFFICIENCY=round_trip, BATTERY_INITIAL_SOC=0.1)
    fleet = make_homes(settings, battery_kwh=[20])
    empty = fleet.initial_stored_wh
    charged = prosumer.plan_battery(fleet, empty, np.array([2000]))
    assert charged.charge_wh.tolist() == [2000] and charged.discharge_wh.tolist() == [0]
    full = prosumer.stored_after(fleet, empty, charged.charge_wh, charged.discharge_wh)
    back = prosumer.plan_battery(fleet, full, np.array([-5000]))
    assert back.discharge_wh[0] == pytest.approx(2000 * round_trip, abs=1)
    left = prosumer.stored_after(fleet, full, back.charge_wh, back.discharge_wh)
    assert left[0] == pytest.approx(2000, abs=2), "a round trip returns to where it began"


def test_each_way_loses_the_square_root() -> None:
    """1 kWh at the terminals adds 0.97468 kWh; 1 kWh taken out costs 1.02598 kWh."""
    fleet = one_battery()
    start = np.array([5000.0])
    zero, kwh = np.array([0]), np.array([1000])
    assert prosumer.stored_after(fleet, start, kwh, zero)[0] == pytest.approx(5974.6794, abs=1e-4)
    assert prosumer.stored_after(fleet, start, zero, kwh)[0] == pytest.approx(3974.0216, abs=1e-4)


@given(
    stored=st.floats(1000, 9500),
    residual=st.integers(-20_000, 20_000),
    charge_share=st.floats(0, 1),
    reserve_share=st.floats(0, 1),
)
@explore
def test_a_battery_serves_its_own_home_within_all_its_limits(
    stored: float, residual: int, charge_share: float, reserve_share: float
) -> None:
    """Whole Wh, one direction, never more than home, power, room or reserve allow."""
    fleet = one_battery(10.0)
    base = Levers(0, 0, 0, 0.5, 0.5, 0.3)
    levers = replace(base, charge_share=charge_share, reserve_share=reserve_share)
    plan = prosumer.plan_battery(fleet, np.array([stored]), np.array([residual]), levers)
    charge, discharge = int(plan.charge_wh[0]), int(plan.discharge_wh[0])
    assert plan.charge_wh.dtype == plan.discharge_wh.dtype == np.int64
    assert charge == 0 or discharge == 0
    assert 0 <= charge <= min(5000, max(residual, 0))
    assert 0 <= discharge <= min(5000, max(-residual, 0))
    after = prosumer.stored_after(fleet, np.array([stored]), plan.charge_wh, plan.discharge_wh)
    assert 1000 - 1e-6 <= after[0] <= 9500 + 1e-6
    if discharge:
        assert after[0] >= 1000 + reserve_share * 8500 - 1e-6, "the reserve was touched"


def test_a_battery_takes_and_gives_as_much_as_fits() -> None:
    """Not too little either: the surplus charges until full, power or surplus ends; the rest stays."""
    fleet = make_homes(quick_settings(), battery_kwh=[10, 10, 10, 10, 10, 10])
    stored = np.array([5000.0, 2000, 9000, 5000, 9000, 1500])
    residual = np.array([3000, 8000, 3000, -3000, -8000, -3000])
    plan = prosumer.plan_battery(fleet, stored, residual)
    room = int(500 / np.sqrt(0.95))  # 9.0 to 9.5 kWh in the cells
    above = int(500 * np.sqrt(0.95))  # 1.5 to 1.0 kWh
    assert plan.charge_wh.tolist() == [3000, 5000, room, 0, 0, 0]
    assert plan.discharge_wh.tolist() == [0, 0, 0, 3000, 5000, above]


@pytest.mark.parametrize(("hours", "most"), [(1.0, 5000), (0.25, 1250), (1 / 12, 416)])
def test_power_limits_are_per_hour_whatever_the_step(hours: float, most: int) -> None:
    """0.5 kW per kWh: a 10 kWh battery moves 5 kWh in an hour and a quarter of it in 15 minutes (trap 5)."""
    fleet = one_battery(10.0, TIME_STEP_DURATION=hours)
    assert fleet.max_step_wh.tolist() == [most]
    assert one_battery(10.0, kw=2.0, TIME_STEP_DURATION=hours).max_step_wh[0] == int(2000 * hours)


def test_dust_of_floats_costs_no_wh() -> None:
    """4.02 kWh at 0.5 kW per kWh are 2010 W; a tenth of 1,000 Wh to spare, or of room for them, is 100 Wh."""
    assert one_battery(4.02).max_step_wh.tolist() == [2010]
    changes = {"BATTERY_EFFICIENCY": 1.0, "OFFER_SHARE": 0.1, "STORAGE_BID_SHARE": 0.1}
    offered = orders_of([0], battery_kwh=[10], stored=2000.0, **changes)
    assert offered.is_sale.tolist() == [True] and offered.energy_wh.tolist() == [100]
    plan = BatteryPlan(np.array([1]), np.array([0]))
    wanted = orders_of([0], battery_kwh=[10], stored=8499.0, plan=plan, **changes)
    assert wanted.is_sale.tolist() == [False] and wanted.energy_wh.tolist() == [100]


def test_the_charge_lever_sells_a_part_of_the_surplus_first() -> None:
    fleet, stored, surplus = one_battery(), np.array([5000.0]), np.array([2000])
    levers = replace(Levers(0, 0, 0, 0.5, 0.5, 0.3), charge_share=0.25)
    assert prosumer.plan_battery(fleet, stored, surplus, levers).charge_wh.tolist() == [500]
    assert prosumer.plan_battery(fleet, stored, -surplus, levers).discharge_wh.tolist() == [2000]


def test_the_reserve_lever_keeps_a_part_of_the_window() -> None:
    """Half of the window from 1.0 to 9.5 kWh: 5.25 kWh stay; of 6 kWh, 0.75 kWh can be used."""
    fleet = one_battery()
    levers = replace(Levers(0, 0, 0, 0.5, 0.5, 0.3), reserve_share=0.5)
    plan = prosumer.plan_battery(fleet, np.array([6000.0]), np.array([-3000]), levers)
    assert plan.discharge_wh.tolist() == [int(750 * np.sqrt(0.95))]
    below = prosumer.plan_battery(fleet, np.array([4000.0]), np.array([-3000]), levers)
    assert below.discharge_wh.tolist() == [0]


# ---------------------------------------------------------------- orders


def orders_of(
    residual: list[int],
    *,
    battery_kwh: list[float] | None = None,
    stored: float | None = None,
    plan: BatteryPlan | None = None,
    state: State | None = None,
    levers: Levers | None = None,
    prices: StepPrices | None = None,
    timestep: int = 0,
    **changes: Any,
) -> Orders:
    """The orders of members with these residuals, after their own batteries have done `plan`."""
    settings = quick_settings(**changes)
    n = len(residual)
    fleet = make_homes(settings, battery_kwh=battery_kwh or [0] * n)
    start = state or prosumer.initial_state(settings, fleet)
    if stored is not None:
        for i in range(n):
            start = with_stored(start, i, stored)
    nothing = np.zeros(n, np.int64)
    return prosumer.make_orders(
        settings,
        fleet,
        start,
        plan or BatteryPlan(nothing, nothing.copy()),
        np.array(residual, np.int64),
        prices or make_prices(settings, 1).at(0),
        levers or config_levers(settings),
        timestep,
    )


def config_levers(settings: Any, expected_surplus_wh: int = 0) -> Levers:
    """The levers as config.py sets them, whatever the objective."""
    return Levers(
        renewable_bonus=round(settings.RENEWABLE_BONUS * 1e6),
        p2p_bonus=round(settings.P2P_BONUS * 1e6),
        market_penalty=round(settings.PENALTY_FOR_MARKET * 1e6),
        offer_share=settings.OFFER_SHARE,
        storage_bid_share=settings.STORAGE_BID_SHARE,
        margin=settings.QUOTE_MARGIN,
        expected_surplus_wh=expected_surplus_wh,
    )


def test_a_surplus_is_offered_and_a_deficit_is_asked_for() -> None:
    orders = orders_of([700, -900, 0])
    assert orders.member.tolist() == [0, 1]
    assert orders.is_sale.tolist() == [True, False]
    assert orders.energy_wh.tolist() == [700, 900]
    assert not orders.of_battery.any()


@pytest.mark.parametrize(
    ("hours", "least"), [(1.0, 50), (0.5, 25), (0.25, 13), (0.1, 5), (1 / 12, 5)]
)
def test_a_residual_below_the_threshold_makes_no_order(hours: float, least: int) -> None:
    """0.05 kWh per hour is 50 Wh in an hour; 12.5 Wh in a quarter, so 13 is the first whole Wh."""
    orders = orders_of([least, least - 1, -least, 1 - least], TIME_STEP_DURATION=hours)
    assert orders.member.tolist() == [0, 2]


def test_a_cap_below_the_threshold_cuts_orders_and_does_not_forbid_them() -> None:
    """What a member has left decides whether it takes part; the cap only how much of it."""
    orders = orders_of([700, 49, -50], MAX_TRADE_CAP=0.03)
    assert orders.member.tolist() == [0, 2] and orders.energy_wh.tolist() == [30, 30]
    assert orders_of([700], MAX_TRADE_CAP=0.0).size == 0


def test_a_single_wh_is_an_order_where_there_is_no_threshold() -> None:
    orders = orders_of([1, -1, 0], IMBALANCE_THRESHOLD=0.0)
    assert orders.member.tolist() == [0, 1] and orders.energy_wh.tolist() == [1, 1]
    assert orders.is_sale.tolist() == [True, False]


def test_an_order_of_nothing_is_no_order() -> None:
    """Without a threshold whoever needs nothing still stays out."""
    assert orders_of([0, 0, 400], IMBALANCE_THRESHOLD=0.0).energy_wh.tolist() == [400]


@pytest.mark.parametrize(("hours", "most"), [(1.0, 3000), (0.25, 750), (1 / 12, 250)])
def test_no_order_exceeds_the_trade_cap_of_the_step(hours: float, most: int) -> None:
    orders = orders_of([9000, -9000, most - 1], TIME_STEP_DURATION=hours)
    assert orders.energy_wh.tolist() == [most, most, most - 1]


def test_banned_members_make_no_orders() -> None:
    settings = quick_settings()
    fleet = make_homes(settings, battery_kwh=[0, 0, 0])
    state = with_ban(prosumer.initial_state(settings, fleet), 1, 2)
    orders = orders_of([500, 500, -500], state=state)
    assert orders.member.tolist() == [0, 2]


def test_an_idle_battery_offers_a_share_of_what_it_can_spare() -> None:
    """5 kWh stored, 1 kWh reserve: 3.898 kWh at the terminals; of these half, 1.949 kWh."""
    orders = orders_of([0], battery_kwh=[10])
    assert orders.is_sale.tolist() == [True] and orders.of_battery.tolist() == [True]
    spare = int(4000 * np.sqrt(0.95))
    assert orders.energy_wh.tolist() == [spare // 2]
    all_of_it = orders_of([0], battery_kwh=[10], OFFER_SHARE=1.0, MAX_TRADE_CAP=9.0)
    assert all_of_it.energy_wh.tolist() == [spare]
    assert orders_of([0], battery_kwh=[10], OFFER_SHARE=0.0, STORAGE_BID_SHARE=0.0).size == 0


@pytest.mark.parametrize(
    ("above_reserve", "is_sale"), [(99, False), (102, False), (103, True), (1000, True)]
)
def test_a_battery_that_holds_too_little_for_an_offer_may_bid(
    above_reserve: int, is_sale: bool
) -> None:
    """Half of 102 Wh, after the losses, is below the threshold of 50 Wh. In a home with neither sun nor load
    nothing else would ever move it: it sold once, and then never traded again."""
    orders = orders_of([0], battery_kwh=[10], stored=1000.0 + above_reserve)
    assert orders.is_sale.tolist() == [is_sale] and orders.of_battery.tolist() == [True]
    room = int((8500 - above_reserve) / np.sqrt(0.95))
    due = int(above_reserve * np.sqrt(0.95)) // 2 if is_sale else min(room // 2, 3000)
    assert orders.energy_wh.tolist() == [due]


def test_a_battery_of_the_neighbourhood_trades_day_after_day() -> None:
    """In a home with neither sun nor load it fills by day and sells in the evening, on each of five days."""
    scenario = simulator.prepare(quick_settings(TIME_STEPS=120, NUM_PROSUMERS=4))
    tables = {
        name: np.where(np.arange(4) == 0, 0, getattr(scenario.profiles, name))
        for name in ("pv_wh", "load_wh")
    }
    fleet = make_homes(scenario.settings, battery_kwh=[10, 0, 0, 0])
    scenario = replace(scenario, fleet=fleet, profiles=replace(scenario.profiles, **tables))
    flows = [result.flows for result in simulator.simulate(scenario, None)]
    bought = np.array([flow.p2p_bought_wh[0] for flow in flows]).reshape(5, 24).sum(axis=1)
    sold = np.array([flow.p2p_sold_wh[0] for flow in flows]).reshape(5, 24).sum(axis=1)
    assert (bought > 500).all() and (sold > 500).all(), (bought, sold)


def test_what_a_battery_gives_its_own_home_is_not_offered_again() -> None:
    """8.284 kWh above the reserve, 2 kWh of it serve the home: half of the rest would be 3.142 kWh, of which
    the power left, 3 kW of 5, lets 3 through; after 4 kWh for the home the last 1 kW is offered."""
    for served, offered in ((2000, 3000), (4000, 1000)):
        plan = BatteryPlan(np.array([0]), np.array([served]))
        orders = orders_of([0], battery_kwh=[10], stored=9500.0, plan=plan)
        assert orders.energy_wh.tolist() == [offered]


@pytest.mark.parametrize("hours", [1.0, 0.5, 0.25, 1 / 12])
def test_an_hour_offers_the_same_share_however_long_its_steps(hours: float) -> None:
    """OFFER_SHARE of 0.36: what an hour of steps leaves, when each sells its share, is 0.64 (trap 5)."""
    stored, left = 9500.0, []
    for _ in range(round(1 / hours)):
        changes = {"OFFER_SHARE": 0.36, "TIME_STEP_DURATION": hours, "MAX_TRADE_CAP": 9.0}
        orders = orders_of([0], battery_kwh=[10], stored=stored, **changes)
        stored -= orders.energy_wh[0] / np.sqrt(0.95)
        left.append((stored - 1000) / 8500)
    assert left[-1] == pytest.approx(0.64, abs=0.002)


@pytest.mark.parametrize("hours", [1.0, 0.5, 0.25, 1 / 12])
def test_an_hour_bids_for_the_same_share_however_long_its_steps(hours: float) -> None:
    """STORAGE_BID_SHARE of 0.36: what an hour of steps leaves of the room is 0.64 (trap 5)."""
    stored, charging = 1000.0, BatteryPlan(np.array([1]), np.array([0]))
    for _ in range(round(1 / hours)):
        changes = {"STORAGE_BID_SHARE": 0.36, "TIME_STEP_DURATION": hours, "MAX_TRADE_CAP": 9.0}
        orders = orders_of([0], battery_kwh=[10], stored=stored, plan=charging, **changes)
        stored += orders.energy_wh[0] * np.sqrt(0.95)
    assert (9500 - stored) / 8500 == pytest.approx(0.64, abs=0.002)


def test_a_battery_that_serves_its_home_bids_for_nothing() -> None:
    """Emptied to its reserve by the home, it has nothing to offer, and would only be filled to be emptied."""
    plan = BatteryPlan(np.array([0]), np.array([500]))
    assert orders_of([0], battery_kwh=[10], stored=1000.0, plan=plan).size == 0


def test_a_charging_battery_bids_for_a_share_of_its_room_and_offers_nothing() -> None:
    """Room from 5 to 9.5 kWh: 4.616 kWh at the terminals, 1 kWh of it for the home's own sun."""
    plan = BatteryPlan(np.array([1000]), np.array([0]))
    orders = orders_of([0], battery_kwh=[10], plan=plan)
    assert orders.is_sale.tolist() == [False] and orders.of_battery.tolist() == [True]
    room = int(4500 / np.sqrt(0.95)) - 1000
    assert orders.energy_wh.tolist() == [room // 2]
    closed = orders_of([0], battery_kwh=[10], plan=plan, STORAGE_BID_SHARE=0.0)
    assert closed.size == 0


def test_a_member_with_a_residual_of_its_own_makes_no_storage_order() -> None:
    """Its battery is already full, empty or at its power limit: the residual says so."""
    orders = orders_of([300, -300], battery_kwh=[10, 10])
    assert orders.energy_wh.tolist() == [300, 300]
    assert not orders.of_battery.any()


def flat_prices(**changes: Any) -> StepPrices:
    """Market 0.15, local market 0.18 and 0.12, utility 0.32 and 0.03; expected as they settle."""
    base = make_prices(quick_settings(**STILL), 1).at(0)
    return replace(base, **changes)


def test_a_battery_asks_at_least_what_refilling_costs() -> None:
    """0.20 / 0.95 + 0.005 margin - 0.01 bonus, where selling its neighbour's way would ask less."""
    orders = orders_of([0], battery_kwh=[10], prices=flat_prices(mean_24h=200_000), **STILL)
    floor = 200_000 / 0.95 + 5_000 - 10_000
    assert orders.limit_microeur_per_kwh.tolist() == [round(floor)]


def test_a_battery_bids_at_most_what_the_energy_will_be_worth_after_its_losses() -> None:
    """0.10 * 0.95 - 0.005 margin + 0.01 bonus, where a home in need would bid more."""
    plan = BatteryPlan(np.array([1000]), np.array([0]))
    prices = flat_prices(mean_24h=100_000)
    orders = orders_of([0], battery_kwh=[10], plan=plan, prices=prices, **STILL)
    assert orders.limit_microeur_per_kwh.tolist() == [round(100_000 * 0.95 - 5_000 + 10_000)]


def test_a_battery_never_trades_at_a_loss_with_itself() -> None:
    """The ask of a battery lies above its bid at the same prices, bonuses of both trades included."""
    for value in (0.5, 1.0, 1.5):
        levers = replace(config_levers(quick_settings(**STILL)), stored_value=value)
        common = {"levers": levers, "prices": flat_prices(), "battery_kwh": [10.0], **STILL}
        ask = orders_of([0], **common).limit_microeur_per_kwh[0]
        plan = BatteryPlan(np.array([1000]), np.array([0]))
        bid = orders_of([0], plan=plan, **common).limit_microeur_per_kwh[0]
        assert (ask + 10_000) * 0.95 > bid - 10_000


def test_who_comes_to_the_market_decides_by_what_it_expects_there() -> None:
    """0.18 + 0.02 to buy and 0.12 - 0.02 to sell, against 0.32 and 0.03; as good as the utility is enough."""
    levers = replace(config_levers(quick_settings()), market_penalty=20_000)
    for changes, comes in (
        ({}, (True, True)),
        ({"expected_buy": 300_000, "expected_sell": 50_000}, (True, True)),
        ({"expected_buy": 300_001}, (False, True)),
        ({"expected_sell": 49_999}, (True, False)),
        ({"market_buy": 319_000, "market_sell": 31_000}, (True, True)),  # known only afterwards
    ):
        assert prosumer.accepts_market(flat_prices(**changes), levers) == comes


def test_reservation_prices_hold_penalty_and_bonus() -> None:
    """Buying 0.18 + 0.02 + 0.01, selling 0.12 - 0.02 - 0.01; never past the utility, never below nothing."""
    levers = replace(config_levers(quick_settings()), market_penalty=20_000, p2p_bonus=10_000)
    assert prosumer.reservation_prices(flat_prices(), levers) == (210_000, 90_000)
    dear = replace(levers, market_penalty=900_000)
    assert prosumer.reservation_prices(flat_prices(), dear) == (330_000, 20_000)
    kind = replace(levers, p2p_bonus=500_000)
    assert prosumer.reservation_prices(flat_prices(), kind)[1] == 0


price = st.integers(0, 400_000)
money = st.sampled_from([0, 5_000, 20_000, 100_000])


@given(
    seed=st.integers(0, 2**32),
    expected=st.tuples(price, price),
    utility=st.tuples(price, price),
    penalty=money,
    bonus=money,
    margin=st.floats(0, 1),
    variation=st.floats(0, 1),
    surplus=st.sampled_from([-1000, 0, 1000]),
)
@explore
def test_nobody_quotes_worse_than_its_own_outside_option(
    seed: int,
    expected: tuple[int, int],
    utility: tuple[int, int],
    penalty: int,
    bonus: int,
    margin: float,
    variation: float,
    surplus: int,
) -> None:
    """Individual rationality: no bid above B + bonus, no ask below S - bonus, no price below zero.

    B is the cheaper of local market with penalty and utility, S the better of the two sales.
    """
    feed_in, sell, buy, retail = sorted((*expected, *utility))
    prices = flat_prices(
        expected_buy=buy, expected_sell=sell, grid_import=retail, grid_export=feed_in
    )
    settings = quick_settings(SEED=seed, QUOTE_VARIATION=variation, QUOTE_MARGIN=margin)
    levers = replace(
        config_levers(settings, surplus), p2p_bonus=bonus, market_penalty=penalty, margin=margin
    )
    orders = orders_of(
        [900, -900, 60, -60, 0],
        battery_kwh=[0, 0, 0, 0, 10],
        levers=levers,
        prices=prices,
        SEED=seed,
        QUOTE_VARIATION=variation,
        QUOTE_MARGIN=margin,
    )
    most = min(buy + penalty, retail) + bonus
    least = max(max(sell - penalty, feed_in) - bonus, 0)
    assert orders.size == 5
    for is_sale, limit in zip(orders.is_sale, orders.limit_microeur_per_kwh, strict=True):
        assert limit >= 0
        assert limit >= least if is_sale else limit <= most


def test_need_makes_members_quote_closer_to_their_outside_option() -> None:
    """A large order presses more than a small one; the side in the majority more than the minority."""
    bids = orders_of([-3000, -100], prices=flat_prices(), **STILL).limit_microeur_per_kwh
    asks = orders_of([3000, 100], prices=flat_prices(), **STILL).limit_microeur_per_kwh
    assert bids[0] > bids[1] and asks[0] < asks[1]
    rich = config_levers(quick_settings(**STILL), expected_surplus_wh=5000)
    poor = config_levers(quick_settings(**STILL), expected_surplus_wh=-5000)
    for residual in (500, -500):
        when_rich = orders_of([residual], levers=rich, prices=flat_prices(), **STILL)
        when_poor = orders_of([residual], levers=poor, prices=flat_prices(), **STILL)
        assert when_rich.limit_microeur_per_kwh[0] < when_poor.limit_microeur_per_kwh[0]


def test_on_the_default_day_most_pairs_cross_and_some_do_not() -> None:
    """A market in which every quote crosses, or none, would teach nothing about prices."""
    crossing = []
    for result in make_run().steps:
        limit, sale = result.orders.limit_microeur_per_kwh, result.orders.is_sale
        crossing += (limit[~sale][:, None] >= limit[sale][None, :]).ravel().tolist()
    assert 0.5 < np.mean(crossing) < 0.98


def test_members_differ_by_temper_for_good_and_by_mood_from_step_to_step() -> None:
    """Without variation equal members quote equal prices; with it they differ, and mostly the same way."""
    still = orders_of([-800] * 50, prices=flat_prices(), **STILL).limit_microeur_per_kwh
    assert len(set(still.tolist())) == 1
    first, second = (
        orders_of([-800] * 50, prices=flat_prices(), timestep=t).limit_microeur_per_kwh
        for t in (1, 2)
    )
    assert (first != second).mean() > 0.9
    assert np.corrcoef(first, second)[0, 1] > 0.6


def test_members_answer_to_the_levers_they_are_told() -> None:
    """Bonus and penalty widen what both sides accept; so bids rise and asks fall (trap 17)."""
    usual = config_levers(quick_settings(**STILL))
    orders = orders_of([-800, 800], levers=usual, prices=flat_prices(), **STILL)
    bid, ask = orders.limit_microeur_per_kwh.tolist()
    for lever in ("p2p_bonus", "market_penalty"):
        more = replace(usual, **{lever: getattr(usual, lever) + 10_000})
        moved = orders_of([-800, 800], levers=more, prices=flat_prices(), **STILL)
        new_bid, new_ask = moved.limit_microeur_per_kwh.tolist()
        assert new_bid > bid and new_ask < ask, lever


def test_members_refuse_a_local_market_that_is_worse_than_the_utility() -> None:
    """With the penalty 0.18 + 0.15 is above retail 0.32, and 0.12 - 0.15 below feed-in 0.03."""
    settings = quick_settings(**STILL)
    prices = flat_prices()
    for penalty, comes in ((0, True), (90_000, True), (150_000, False)):
        levers = replace(config_levers(settings), market_penalty=penalty)
        assert prosumer.accepts_market(prices, levers) == (comes, comes), penalty


def test_the_regulator_and_these_tests_mean_the_same_levers() -> None:
    """config_levers above repeats default_levers, so that strategies may change without these tests."""
    settings = quick_settings()
    outlook = regulator.Outlook(0, 7, 0, 0, 0, 1)
    assert regulator.default_levers(settings, outlook) == config_levers(settings, 7)
