"""verify against programs that cheat: whole runs, mined and accounted for, that break one law of their settings.

Each cheat is this program with one part replaced. What it saves agrees with itself in every file, so only the
rule that it breaks can find it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ALIKE, REPOSITORY, save_run

import audit
import data_generation
import household_data
import price_file
import prosumer
import regulator
import simulator
import trading
from extensions import mechanisms
from records import BanReason, Trades, joined
from verification import verify

EXAMPLES = REPOSITORY / "examples"
MEMBERS_FILE = [f"--data={EXAMPLES / 'homes.csv'}", f"--members={EXAMPLES / 'members.csv'}"]
STRICT = ["--set=BAN_PENALTY_LIMIT=0", "--set=BAN_BONUS_LIMIT=100", "--set=QUOTE_MARGIN=0.8"]
SHARING = ("mid_market_rate", "supply_demand_ratio", "bill_sharing")
BOTH = ("charge_wh", "discharge_wh")

Cheat = Callable[..., set[str]]


@pytest.fixture
def cheat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cheat:
    """cheat(module, name, instead, *options) gives the rules that verify finds broken in such a run."""

    def run(module: Any, name: str, instead: Any, *options: str, homes: int = 14) -> set[str]:
        few = [f"--set=NUM_PROSUMERS={homes}", "--set=NUM_CONSUMERS=3"]
        told = " ".join(options)  # a data file brings its homes
        few = [one for one in few if "--data" not in told and one.split("=")[1] not in told]
        options = (*few, *options)
        options = ("--set=DIFFICULTY_TARGET=1", *options)
        honest = verify(save_run(tmp_path / "honest", *options))
        assert honest.ok, honest.summary()
        monkeypatch.setattr(module, name, instead)
        return set(verify(save_run(tmp_path / "results", *options)).totals)

    return run


def rule(name: str) -> str:
    return f"--set=MARKET_MECHANISM={name}"


# ---------------------------------------------------------------- sun, use, prices


def test_sun_at_night(cheat: Cheat) -> None:
    """Half the day shifted by six hours; every kWh of it is used, sold and paid for."""
    assert cheat(data_generation, "SUNRISE", 0) == {"synthetic day"}


ONE_TYPE = [f"--set={name}=[3]" for name in ("PV_CAPACITY", "BASE_CONSUMPTION", "BATTERY_CAPACITY")]


@pytest.mark.parametrize("types", [[], ONE_TYPE], ids=["some that nobody has", "one for all"])
def test_use_below_the_least(types: list[str], cheat: Cheat) -> None:
    real = data_generation.demand
    assert cheat(data_generation, "demand", lambda *a: real(*a) // 2, *types) == {"synthetic day"}


@pytest.mark.parametrize("by", [0.9, 1.1])
def test_a_forecast_that_misses_by_more_than_it_may(by: float, cheat: Cheat) -> None:
    def noise(settings: Any, purpose: str, clock: Any, width: float) -> Any:
        drawn = real(settings, purpose, clock, width)
        return drawn * by if purpose == "forecast" else drawn

    real = data_generation.hourly_noise
    found = cheat(data_generation, "hourly_noise", noise)
    assert found == {"forecast", "limit price"}  # batteries look at the hours after the run, too


def test_clouds_that_take_more_than_they_may(cheat: Cheat) -> None:
    real = data_generation.clouds
    assert cheat(data_generation, "clouds", lambda *a: real(*a) * 0.5) == {"synthetic day"}


QUARTERS = ("--set=TIME_STEP_DURATION=0.25", "--steps=96")


@pytest.mark.parametrize("shift", [0, 1.5])
def test_one_roof_under_a_sky_of_its_own(shift: float, cheat: Cheat) -> None:
    """Between the thinnest and the densest clouds, and so by itself possible; its neighbours saw others."""

    def pv_generation(settings: Any, fleet: Any, clock: Any) -> Any:
        pv = real(settings, fleet, clock)
        pv[12, 0] *= 1.5 if pv[12, 0] < pv[12].mean() else 1 / 1.5
        return pv

    real = data_generation.pv_generation
    options = (
        "--set=PV_CAPACITY=[5]",
        "--set=BASE_CONSUMPTION=[0.4]",
        "--set=BATTERY_CAPACITY=[5]",
    )
    sky = ("--set=CLOUD_MIN_TRANSMISSION=0.1", f"--set=ORIENTATION_SHIFT={shift}")
    assert cheat(data_generation, "pv_generation", pv_generation, *options, *sky) == {"clouds"}


def test_sun_that_changes_within_the_hour(cheat: Cheat) -> None:
    """By two Wh in one quarter, on all roofs."""

    def pv_generation(settings: Any, fleet: Any, clock: Any) -> Any:
        pv = real(settings, fleet, clock)
        pv[48] += 2 * (pv[48] > 0)
        return pv

    real = data_generation.pv_generation
    assert cheat(data_generation, "pv_generation", pv_generation, *QUARTERS) == {"synthetic day"}


def test_use_that_changes_within_the_hour(cheat: Cheat) -> None:
    """Each quarter by itself within what the settings allow."""

    def demand(settings: Any, fleet: Any, clock: Any) -> Any:
        load = real(settings, fleet, clock)
        load[1::4] = np.maximum(load[1::4] - 1, load.min(axis=0))
        return load

    real = data_generation.demand
    assert cheat(data_generation, "demand", demand, *QUARTERS) == {"synthetic day"}


@pytest.mark.parametrize(
    "purpose, broken", [("price", {"market price", "forecast"}), ("forecast", {"forecast"})]
)
def test_a_price_that_changes_within_the_hour(purpose: str, broken: set[str], cheat: Cheat) -> None:
    """A forecast is the price with an error, which stays for the hour as well."""

    def noise(settings: Any, drawn_for: str, clock: Any, width: float) -> Any:
        drawn = real(settings, drawn_for, clock, width)
        if drawn_for == purpose:
            drawn[1::4] = 1.0
        return drawn

    real = data_generation.hourly_noise
    assert cheat(data_generation, "hourly_noise", noise, *QUARTERS) == broken


def test_a_forecast_that_errs_otherwise_within_the_hour_beside_a_price_file(cheat: Cheat) -> None:
    """The price may change with each step; the part by which its forecast errs stays for the hour."""
    real = data_generation.given_prices

    def given_prices(settings: Any, *arguments: Any) -> Any:
        prices = real(settings, *arguments)
        way = np.where(np.arange(len(prices.market)) % 2, 1, -1)
        error = 1 + settings.FORECAST_ERROR * way
        return replace(prices, forecast=np.rint(prices.market * error).astype(np.int64))

    prices = f"--prices={EXAMPLES / 'prices.csv'}"
    assert "forecast" in cheat(price_file, "given_prices", given_prices, prices, *QUARTERS)


# ---------------------------------------------------------------- batteries and orders


def resting(who: Callable[[Any], Any], *flows: str) -> Callable[..., Any]:
    """A plan of batteries of which those of `who(fleet)` do nothing of their own; alone they do."""
    real = prosumer.plan_battery

    def plan(fleet: Any, stored: Any, residual: Any, levers: Any = None) -> Any:
        done = real(fleet, stored, residual, levers)
        works = ~who(fleet) | (levers is None)
        return replace(done, **{flow: getattr(done, flow) * works for flow in flows})

    return plan


def home_0(fleet: Any) -> Any:
    return np.arange(fleet.size) == 0


def every_home(fleet: Any) -> Any:
    return np.ones(fleet.size, np.bool_)


@pytest.mark.parametrize("options", [[], ALIKE], ids=["any", "sizes told alike"])
@pytest.mark.parametrize("idle", ["charge_wh", "discharge_wh"])
def test_a_battery_that_waits_while_its_home_trades(
    idle: str, options: list[str], cheat: Cheat
) -> None:
    """Of home 0, which sells its surplus, or buys what it needs, instead."""
    assert "battery use" in cheat(prosumer, "plan_battery", resting(home_0, idle), *options)


@pytest.mark.parametrize("name", ["midpoint", *SHARING])
def test_a_battery_that_waits_while_neighbours_take_all_that_its_home_has(
    name: str, cheat: Cheat
) -> None:
    """Only where nothing is left for the utility or the local market, so that no other law asks why."""
    real = simulator.step

    def step_with(waits: Any, *arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prosumer, "plan_battery", resting(lambda fleet: waits, *BOTH))
            return real(*arguments)

    def step(scenario: Any, state: Any, timestep: int, chain: Any) -> Any:
        waits = np.zeros(scenario.fleet.size, np.bool_)
        for home in range(len(waits)):
            tried = waits | (np.arange(len(waits)) == home)
            flows = step_with(tried, scenario, state, timestep, None).flows
            outside = flows.market_bought_wh + flows.market_sold_wh
            outside = outside + flows.grid_import_wh + flows.grid_export_wh
            if not outside[tried].any():
                waits = tried
        waited.append(waits)
        return step_with(waits, scenario, state, timestep, chain)

    waited: list[Any] = []
    assert "battery use" in cheat(simulator, "step", step, rule(name))
    assert np.any(waited)


def test_a_battery_that_does_not_follow_the_advice_that_all_others_follow(cheat: Cheat) -> None:
    """A regulator who looks for profit says when to store and when to keep; not to home 0 alone."""
    profit = "--set=REGULATOR_OBJECTIVE=maximize_profit"
    real = prosumer.plan_battery

    def plan(fleet: Any, stored: Any, residual: Any, levers: Any = None) -> Any:
        done, own = real(fleet, stored, residual, levers), real(fleet, stored, residual)
        mine = home_0(fleet)
        return replace(
            done,
            charge_wh=np.where(mine, own.charge_wh, done.charge_wh),
            discharge_wh=np.where(mine, own.discharge_wh, done.discharge_wh),
        )

    assert "battery use" in cheat(prosumer, "plan_battery", plan, profit)


OWNERS_ALONE = ["--set=NUM_PROSUMERS=3", "--set=NUM_CONSUMERS=0", "--set=HAS_BATTERY=1"]


@pytest.mark.parametrize("members", [[], OWNERS_ALONE], ids=["any", "all with batteries"])
@pytest.mark.parametrize("lever", ["charge_share", "reserve_share"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_advice_against_profit_in_the_first_hour_of_which_all_of_the_day_is_told(
    lever: str, value: float, members: list[str], cheat: Cheat
) -> None:
    """The forecasts of 24 hours say whether energy is dear or cheap now; afterwards some hours are unknown."""
    profit = "--set=REGULATOR_OBJECTIVE=maximize_profit"
    real = regulator.maximize_profit

    def strategy(settings: Any, outlook: Any) -> Any:
        levers = real(settings, outlook)
        changed.append(getattr(levers, lever) != value)
        return replace(levers, **{lever: value})

    changed: list[bool] = []
    strategies = regulator.STRATEGIES | {"maximize_profit": strategy}
    found = cheat(regulator, "STRATEGIES", strategies, profit, "--steps=60", *members)
    assert any(changed[:37]) and "battery use" in found


def test_a_battery_that_is_sold_from_beside_a_surplus_under_chaos(cheat: Cheat) -> None:
    """Of a full one, to neighbours: nobody else has it to take. What its home leaves is told with it."""
    real, plan_of = simulator.step, prosumer.plan_battery

    def plan_with(sells: Any) -> Callable[..., Any]:
        def plan(fleet: Any, stored: Any, residual: Any, levers: Any = None) -> Any:
            done = plan_of(fleet, stored, residual, levers)
            holds = np.minimum(prosumer.above_reserve_wh(fleet, stored), fleet.max_step_wh)
            mine = sells & (levers is not None) & (residual > 0) & (done.charge_wh == 0)
            given = np.where(mine, np.minimum(holds, 400), done.discharge_wh)
            return replace(done, discharge_wh=given)

        return plan

    def step(scenario: Any, state: Any, timestep: int, chain: Any) -> Any:
        sells = np.zeros(scenario.fleet.size, np.bool_)
        pv, load, _ = scenario.profiles.at(timestep)
        for home in np.flatnonzero((pv > load) & (scenario.fleet.battery_capacity_wh > 0)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(prosumer, "plan_battery", plan_with(np.arange(len(sells)) == home))
                flows = real(scenario, state, timestep, None).flows
            outside = flows.grid_export_wh + flows.market_sold_wh
            if not outside[home] and flows.discharge_wh[home] and not sells.any():
                sells[home] = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prosumer, "plan_battery", plan_with(sells))
            result = real(scenario, state, timestep, chain)
        sold.append(int(sells.sum()))
        flows = result.flows
        left = np.where(
            sells, pv - load + flows.discharge_wh - flows.p2p_sold_wh, result.residual_wh
        )
        return replace(result, residual_wh=left)

    sold: list[int] = []
    homes = ["--set=PV_CAPACITY=[4]", "--set=BASE_CONSUMPTION=[0.8]", "--set=BATTERY_CAPACITY=[1]"]
    options = ("--set=REGULATOR_OBJECTIVE=chaos", "--set=BATTERY_MAX_SOC=1", "--steps=40", *homes)
    found = cheat(simulator, "step", step, *options, "--set=NUM_CONSUMERS=15", homes=12)
    assert sum(sold) and found == {"battery use"}


def test_a_part_of_a_surplus_stored_that_is_not_the_part_of_others_under_chaos(
    cheat: Cheat,
) -> None:
    """Chaos draws one part for all homes of a step."""
    chaos = "--set=REGULATOR_OBJECTIVE=chaos"
    assert cheat(prosumer, "plan_battery", resting(home_0, "charge_wh"), chaos) == {"battery use"}


NO_USE = ["--set=MIN_LOAD=0", f"--set=LOAD_PATTERN={[0] * 24}", "--set=BATTERY_INITIAL_SOC=0.1"]


@pytest.mark.parametrize("options", [[], NO_USE], ids=["offers", "bids of empty batteries"])
def test_an_order_that_is_not_the_part_of_others_under_chaos(
    options: list[str], cheat: Cheat
) -> None:
    """A battery bids there only where its home neither has nor needs anything."""
    chaos = "--set=REGULATOR_OBJECTIVE=chaos"
    real = prosumer.storage_orders_wh

    def orders(*arguments: Any) -> Any:
        offer, bid = real(*arguments)
        odd = np.arange(len(offer)) % 2
        return np.where(odd, offer, offer // 2), np.where(odd, bid, bid // 2)

    assert cheat(prosumer, "storage_orders_wh", orders, chaos, *options) == {"order"}


ALL_ALIKE, P2P_FIRST = "--set=QUOTE_VARIATION=0", "--set=REGULATOR_OBJECTIVE=maximize_p2p"


MOST_DIFFERENT = ["--set=QUOTE_MARGIN=1", "--set=QUOTE_VARIATION=1", "--set=HAS_BATTERY=0"]


@pytest.mark.parametrize(
    ("module", "constant", "value", "options"),
    [
        pytest.param(prosumer, "PATIENCE", 1.15, [ALL_ALIKE], id="margin"),
        pytest.param(prosumer, "HASTE", 0.3, [ALL_ALIKE], id="large orders"),
        pytest.param(prosumer, "CROWD", 0.0, [ALL_ALIKE], id="surplus not published"),
        pytest.param(prosumer, "TEMPER", 1.2, [], id="temper"),
        pytest.param(prosumer, "MOOD", 0.9, [], id="mood"),
        pytest.param(prosumer, "MOST_MARGIN", 0.9, ["--set=QUOTE_MARGIN=1"], id="most"),
        pytest.param(prosumer, "MOST_MARGIN", 0.81, MOST_DIFFERENT, id="most, which tempers hide"),
        pytest.param(regulator, "CLOSE_TO_NEIGHBOURS", 0.5, [ALL_ALIKE, P2P_FIRST], id="objective"),
        pytest.param(regulator, "PRECIOUS", 1.0, [P2P_FIRST, "--steps=60"], id="worth by day"),
        pytest.param(regulator, "CHEAP", 0.7, [P2P_FIRST, "--steps=60"], id="worth by night"),
    ],
)
def test_limit_prices_that_keep_another_part_of_the_gap_than_settings_say(
    module: Any, constant: str, value: float, options: list[str], cheat: Cheat
) -> None:
    """One number of the equation replaced: every order is one that its owner could accept."""
    assert cheat(module, constant, value, *options) == {"limit price"}


def test_a_member_whose_limits_only_another_temper_in_each_step_explains(cheat: Cheat) -> None:
    """Home 0 keeps more in every other step; each limit by itself is what somebody might quote."""
    real = prosumer.margins

    def margins(settings: Any, fleet: Any, orders: Any, levers: Any, step: int) -> Any:
        kept = real(settings, fleet, orders, levers, step)
        other = np.clip(kept + (0.2 if step % 2 else -0.2), 0.05, 0.75)
        return np.where(orders.member == 0, other, kept)

    assert cheat(prosumer, "margins", margins) == {"limit price"}


@pytest.mark.parametrize("since", [0, 6])
@pytest.mark.parametrize("side", ["dearest", "cheapest"])
def test_a_battery_that_quotes_what_its_energy_will_not_be_worth(
    side: str, since: int, cheat: Cheat
) -> None:
    """Within what a home could accept: all of the gap to the outside, as if nothing were lost on the way.

    Also where the next 24 hours reach beyond the run: what prices can be there bounds their mean.
    """
    real = prosumer.quote

    def quote(settings: Any, fleet: Any, orders: Any, prices: Any, levers: Any, step: int) -> Any:
        limit = real(settings, fleet, orders, prices, levers, step)
        dearest, cheapest = prosumer.reservation_prices(prices, levers)
        own = np.where(orders.is_sale, cheapest, dearest)
        mine = orders.of_battery & (orders.is_sale == (side == "cheapest"))
        return np.where(mine & (step >= since), own, limit)

    assert "limit price" in cheat(prosumer, "quote", quote)


def quoting(worth: Callable[[Any, int], Any]) -> Callable[..., Any]:
    """prosumer.quote with a worth of stored energy of each member's own: worth(member, step) times the right one."""
    real = prosumer.quote

    def quote(settings: Any, fleet: Any, orders: Any, prices: Any, levers: Any, step: int) -> Any:
        limits = np.zeros(orders.size, np.int64)
        times = np.array([worth(member, step) for member in orders.member.tolist()])
        for factor in np.unique(times):
            told = replace(levers, stored_value=levers.stored_value * float(factor))
            quoted = real(settings, fleet, orders, prices, told, step)
            limits = np.where(times == factor, quoted, limits)
        return limits

    return quote


@pytest.mark.parametrize(
    ("objective", "worth"),
    [
        ("chaos", lambda member, step: 0.9 + 0.2 * (member % 2)),
        ("maximize_renewable", lambda member, step: 0.99 + 0.02 * (member % 2) * (step > 12)),
        ("maximize_renewable", lambda member, step: 0.99 + 0.02 * (step % 2) if step > 12 else 1),
        ("maximize_renewable", lambda member, step: 1 + 0.02 * (step > 14)),
        ("maximize_renewable", lambda member, step: 1 - 0.02 * (step > 14)),
    ],
    ids=["drawn", "unknown hours", "from step to step", "more from then on", "less from then on"],
)
def test_batteries_that_do_not_agree_on_what_a_stored_kwh_will_be_worth(
    objective: str, worth: Callable[[Any, int], Any], cheat: Cheat
) -> None:
    """Each of them may think so, for all that files tell; but all are told the same, and one hour changes it little."""
    told = f"--set=REGULATOR_OBJECTIVE={objective}"
    assert cheat(prosumer, "quote", quoting(worth), told, homes=40) == {"limit price"}


def margins_with(lever: str, *values: Any) -> Callable[..., Any]:
    """prosumer.margins in which the lever has another value for every other member."""
    real = prosumer.margins

    def margins(settings: Any, fleet: Any, orders: Any, levers: Any, step: int) -> Any:
        even, odd = (
            real(settings, fleet, orders, replace(levers, **{lever: value}), step)
            for value in values
        )
        return np.where(orders.member % 2, odd, even)

    return margins


@pytest.mark.parametrize(
    ("varies", "even", "odd"), [(0, 0.1, 0.6), (0.1, 0.1, 0.6), (0, 0.4, 0.41)]
)
def test_a_margin_that_is_not_that_of_others_under_chaos(
    varies: float, even: float, odd: float, cheat: Cheat
) -> None:
    chaos, told = "--set=REGULATOR_OBJECTIVE=chaos", f"--set=QUOTE_VARIATION={varies}"
    friends = margins_with("margin", even, odd)
    assert cheat(prosumer, "margins", friends, chaos, told) == {"limit price"}


def test_a_majority_that_others_do_not_see(cheat: Cheat) -> None:
    """Beside a members file nothing tells on which side more is wanted, but it is the same side for all."""
    options = (*MEMBERS_FILE, ALL_ALIKE, "--set=REGULATOR_OBJECTIVE=maximize_profit")
    seen = margins_with("expected_surplus_wh", -1, 1)
    assert cheat(prosumer, "margins", seen, *options) == {"limit price"}


def test_a_central_battery_in_a_run_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home of a data file that calls itself one could own any battery, as full and as strong as it likes."""
    readings = tmp_path / "homes.csv"
    rows = [f"2024-06-01 {h:02d}:00,{home},0.3,{home}" for h in range(24) for home in range(3)]
    readings.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows))
    options = ["--data", str(readings), "--set=DIFFICULTY_TARGET=1"]
    assert verify(save_run(tmp_path / "honest", *options)).ok

    def read_world(*arguments: Any) -> tuple[Any, Any, Any]:
        settings, fleet, profiles = real(*arguments)
        kinds = (*fleet.kind[:-1], "storage")
        counts = {"NUM_PROSUMERS": kinds.count("prosumer"), "NUM_CONSUMERS": 0}
        load = profiles.load_wh * (np.array(kinds) != "storage")
        fleet = replace(fleet, kind=kinds)
        return settings.model_copy(update=counts), fleet, replace(profiles, load_wh=load)

    real = household_data.read_world
    monkeypatch.setattr(household_data, "read_world", read_world)
    report = verify(save_run(tmp_path / "results", *options))
    assert [f.detail for f in report.findings if f.rule == "members"] == [
        "number of storages is 1, expected 0"
    ]


def test_a_battery_that_serves_nobody_under_chaos(cheat: Cheat) -> None:
    """Chaos draws how much of a surplus is stored, but no reserve."""
    chaos, nobody_works = "--set=REGULATOR_OBJECTIVE=chaos", resting(every_home, "discharge_wh")
    assert "battery use" in cheat(prosumer, "plan_battery", nobody_works, chaos)


@pytest.mark.parametrize("options", [[], MEMBERS_FILE], ids=["types", "members file"])
@pytest.mark.parametrize("setting", ["OFFER_SHARE", "STORAGE_BID_SHARE"])
def test_a_battery_that_trades_more_than_its_share(
    setting: str, options: list[str], cheat: Cheat
) -> None:
    """Known where its home's type says how strong it is; bounded beside a members file."""
    few = f"--set={setting}=0.1"
    found = cheat(prosumer, "share_of_step", lambda share, hours: 1.0, few, *options)
    assert found == {"order"}


def used_battery_that_asks(is_sale: bool, limit: int) -> Callable[..., Any]:
    """prosumer.make_orders where who charged for its home offers, or who served it bids, at a price that nobody takes."""
    real = prosumer.make_orders

    def make_orders(
        settings: Any, fleet: Any, state: Any, plan: Any, residual: Any, *rest: Any
    ) -> Any:
        orders = real(settings, fleet, state, plan, residual, *rest)
        used = plan.charge_wh if is_sale else plan.discharge_wh
        mine = orders.of_battery & (used[orders.member] > 0)
        return replace(
            orders,
            is_sale=np.where(mine, is_sale, orders.is_sale),
            limit_microeur_per_kwh=np.where(mine, limit, orders.limit_microeur_per_kwh),
        )

    return make_orders


@pytest.mark.parametrize(("is_sale", "limit"), [(True, 10**9), (False, 0)])
def test_an_order_of_a_battery_that_its_home_used_beside_a_members_file(
    is_sale: bool, limit: int, cheat: Cheat, tmp_path: Path
) -> None:
    """It reaches nobody, but may make neighbours look as if they had passed it by."""
    hours = [f"2024-06-01 {hour:02d}:00" for hour in range(24)]
    rows = [f"{t},{home},0.3,{0.6 * ('08' < t[11:13] < '16')}" for t in hours for home in "ab"]
    readings, members = tmp_path / "homes.csv", tmp_path / "members.csv"
    readings.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows))
    members.write_text("household_id,battery_kwh,battery_kw\na,10,2\nb,10,2\n")
    files = f"--data={readings}", f"--members={members}"
    asks = used_battery_that_asks(is_sale, limit)
    assert "order" in cheat(prosumer, "make_orders", asks, *files)


def every_other_bids() -> Callable[..., Any]:
    """prosumer.storage_orders_wh in which every other battery that has to offer bids for 60 Wh."""
    real = prosumer.storage_orders_wh

    def orders(*arguments: Any) -> Any:
        offer, bid = real(*arguments)
        odd = (np.arange(len(offer)) % 2 == 1) & (offer > 0)
        return np.where(odd, 0, offer), np.where(odd, 60, bid)

    return orders


def batteries_alone(folder: Path, kwh: Sequence[int] = (10, 10, 10, 10)) -> tuple[str, str]:
    """Four homes that neither make nor use energy, with a battery of so many kWh and 5 kW each: options of six hours."""
    rows = [f"2024-06-01 {hour:02d}:00,{home},0,0" for hour in range(6) for home in "abcd"]
    readings, members = folder / "homes.csv", folder / "members.csv"
    readings.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows))
    homes = "\n".join(f"{home},{size},5" for home, size in zip("abcd", kwh, strict=True))
    members.write_text(f"household_id,battery_kwh,battery_kw\n{homes}\n")
    return f"--data={readings}", f"--members={members}"


@pytest.mark.parametrize("objective", ["maximize_renewable", "maximize_p2p", "chaos"])
def test_a_bid_of_a_battery_that_could_offer_beside_a_members_file(
    objective: str, cheat: Cheat, tmp_path: Path
) -> None:
    """What the others offer tells what chaos drew."""
    told = f"--set=REGULATOR_OBJECTIVE={objective}", *batteries_alone(tmp_path)
    assert "order" in cheat(prosumer, "storage_orders_wh", every_other_bids(), *told)


def test_small_batteries_may_bid_where_large_ones_offer_under_chaos(tmp_path: Path) -> None:
    """In the second hour chaos draws so small a share that theirs of 1 kWh is less than an order may be."""
    told = *batteries_alone(tmp_path, (1, 10, 1, 10)), "--set=REGULATOR_OBJECTIVE=chaos"
    day = save_run(tmp_path / "day", *told, "--set=SEED=2", "--set=DIFFICULTY_TARGET=1")
    orders = pd.read_csv(day / "prosumer_trading.csv").query("role != 'neutral'")
    roles = orders.groupby(["timestep", "prosumer_id"]).role.first().unstack()
    assert roles.loc[1].tolist() == ["buyer", "seller", "buyer", "seller"]
    assert verify(day).ok


def test_an_offer_of_more_than_a_battery_can_give_under_chaos(cheat: Cheat) -> None:
    """All of what it holds, as others do too; a tenth of its size is what it can give in an hour."""
    real = prosumer.storage_orders_wh

    def orders(settings: Any, fleet: Any, *rest: Any) -> Any:
        return real(settings, replace(fleet, max_step_wh=fleet.max_step_wh * 20), *rest)

    chaos, all_of_it = "--set=REGULATOR_OBJECTIVE=chaos", lambda share, hours: 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prosumer, "share_of_step", all_of_it)
        found = cheat(
            prosumer, "storage_orders_wh", orders, chaos, "--set=BATTERY_C_RATE=0.1", "--steps=1"
        )
    assert "order" in found


def test_an_order_below_the_threshold(cheat: Cheat) -> None:
    """Of homes, and of batteries, whose share is then no order at all."""
    found = cheat(prosumer, "threshold_wh", lambda settings: 1, "--set=IMBALANCE_THRESHOLD=0.3")
    assert found == {"threshold", "order"}


def test_nobody_keeps_an_order_of_just_the_threshold(cheat: Cheat) -> None:
    """At midnight, some homes use 0.26 kWh to the Wh."""
    told = "--set=IMBALANCE_THRESHOLD=0.26", "--set=LOAD_VARIATION=0", "--set=HAS_BATTERY=0"
    assert cheat(prosumer, "threshold_wh", lambda settings: 261, *told, "--steps=1") == {"order"}


def test_no_orders_where_the_cap_lies_below_the_threshold(cheat: Cheat) -> None:
    """What is left of a home decides, not what the cap leaves of it."""
    high, low = "--set=IMBALANCE_THRESHOLD=0.3", "--set=MAX_TRADE_CAP=0.2"
    nobody, alone = (lambda *told: mechanisms.no_orders()), "--set=HAS_BATTERY=0"
    assert cheat(prosumer, "make_orders", nobody, high, low, alone) == {"order"}


def test_a_capped_order_of_less_than_the_threshold(cheat: Cheat) -> None:
    """The cap hides how much there was to order; flows do not."""
    high, low = "--set=IMBALANCE_THRESHOLD=0.3", "--set=MAX_TRADE_CAP=0.2"
    found = cheat(prosumer, "threshold_wh", lambda settings: 200, high, low, "--set=HAS_BATTERY=0")
    assert found == {"threshold"}


@pytest.mark.parametrize("objective", ["maximize_renewable", "chaos"])
@pytest.mark.parametrize("cap", ["0.05", "0.04"])
def test_a_bid_where_an_offer_was_due_and_the_cap_lies_below_the_threshold(
    cap: str, objective: str, cheat: Cheat
) -> None:
    """The cap cuts an order; it explains none that is missing."""
    told = (f"--set=MAX_TRADE_CAP={cap}", f"--set=REGULATOR_OBJECTIVE={objective}")
    found = cheat(prosumer, "storage_orders_wh", every_other_bids(), *NO_USE[:-1], *told)
    assert "order" in found


def test_a_capped_order_of_a_battery_whose_share_makes_none_beside_a_members_file(
    cheat: Cheat, tmp_path: Path
) -> None:
    """0.3 of what it holds is less than the threshold of 2 kWh, whatever the cap makes of it."""
    shares = "--set=OFFER_SHARE=0.3", "--set=STORAGE_BID_SHARE=0.01"
    sizes = "--set=IMBALANCE_THRESHOLD=2", "--set=MAX_TRADE_CAP=0.2"
    told = (*batteries_alone(tmp_path), *shares, *sizes)
    assert cheat(prosumer, "threshold_wh", lambda settings: 1, *told) == {"order"}


@pytest.mark.parametrize("objective", ["maximize_renewable", "chaos"])
def test_a_battery_that_holds_too_little_for_an_offer_and_does_not_bid(
    objective: str, cheat: Cheat
) -> None:
    """In homes that use nothing; until then it would have rested there for good."""
    real = prosumer.storage_orders_wh

    def orders(settings: Any, fleet: Any, state: Any, *rest: Any) -> Any:
        offer, bid = real(settings, fleet, state, *rest)
        return offer, bid * (np.arange(len(bid)) % 2)

    little = [*NO_USE[:-1], "--set=BATTERY_INITIAL_SOC=0.104"]
    told = f"--set=REGULATOR_OBJECTIVE={objective}"
    assert "order" in cheat(prosumer, "storage_orders_wh", orders, told, *little)


def test_an_order_smaller_than_what_is_left(cheat: Cheat) -> None:
    assert cheat(prosumer, "trade_cap_wh", lambda settings: 700) == {"order"}


def test_an_order_larger_than_what_is_left(cheat: Cheat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The utility serves what was sold to neighbours. The laws of a step notice it, so they are silenced too."""
    monkeypatch.setattr(audit, "demand_that", lambda *arguments: None)

    def more(*arguments: Any) -> Any:
        orders = real(*arguments)
        return replace(orders, energy_wh=np.minimum(orders.energy_wh + 700, 3000))

    real = prosumer.make_orders
    assert {"order", "both ways"} <= cheat(prosumer, "make_orders", more, "--set=HAS_BATTERY=0")


def test_surplus_that_is_not_offered(cheat: Cheat) -> None:
    def fewer(*arguments: Any) -> Any:
        orders = real(*arguments)
        stay = orders.member != 3
        return replace(orders, **{name: column[stay] for name, column in vars(orders).items()})

    real = prosumer.make_orders
    assert cheat(prosumer, "make_orders", fewer, "--set=HAS_BATTERY=0") == {"order"}


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda limit, sale: limit + 5_000_000, ()),
        (lambda limit, sale: limit * 0, ()),
        (lambda limit, sale: np.where(sale, limit, 40_000), ("--set=HAS_BATTERY=0",)),
        (lambda limit, sale: np.where(sale, 310_000, limit), ("--set=HAS_BATTERY=0",)),
    ],
)
def test_limit_prices_that_nobody_would_quote(
    change: Callable[[Any, Any], Any], options: tuple[str, ...], cheat: Cheat
) -> None:
    """Above what a buyer can pay, or below what a seller can take, without loss; or, of a home that has nothing to
    wait for, so low a bid and so high an ask that only a margin beyond the largest explains it."""

    def quote(settings: Any, fleet: Any, orders: Any, *more: Any) -> Any:
        return change(real(settings, fleet, orders, *more), orders.is_sale)

    real = prosumer.quote
    assert cheat(prosumer, "quote", quote, *options) == {"limit price"}


@pytest.mark.parametrize("way", [1, -1])
def test_limits_a_micro_euro_beyond_what_their_owners_can_accept(way: int, cheat: Cheat) -> None:
    """Of those homes that keep nothing anyway: no temper is needed to explain a micro-euro less than nothing."""
    real = prosumer.quote

    def quote(settings: Any, fleet: Any, orders: Any, prices: Any, levers: Any, step: int) -> Any:
        limit = real(settings, fleet, orders, prices, levers, step)
        dearest, cheapest = prosumer.reservation_prices(prices, levers)
        theirs = orders.is_sale == (way < 0)
        last = limit == (dearest if way > 0 else cheapest)
        return limit + way * (theirs & last & ~orders.of_battery)

    assert cheat(prosumer, "quote", quote) == {"limit price"}


# ---------------------------------------------------------------- the local market


@pytest.mark.parametrize("name", SHARING)
def test_a_local_market_under_a_rule_that_has_none(name: str, cheat: Cheat) -> None:
    found = replace(mechanisms.MECHANISMS[name], market_follows=True)
    known = mechanisms.MECHANISMS | {name: found}
    assert cheat(mechanisms, "MECHANISMS", known, rule(name)) == {"local market"}


@pytest.mark.parametrize("name", SHARING)
def test_batteries_that_sell_under_a_rule_that_shares_what_homes_leave(
    name: str, cheat: Cheat
) -> None:
    """As many as are needed, and each of them all that it offers, so that order and trades agree."""

    def admit(orders: Any) -> Any:
        wh, stored = orders.energy_wh, orders.of_battery
        lack = wh[~orders.is_sale & ~stored].sum() - wh[orders.is_sale & ~stored].sum()
        sells = stored & orders.is_sale
        rows = np.flatnonzero(~stored | (sells & (np.cumsum(wh * sells) <= lack)))
        return replace(
            orders,
            **{column: values[rows] for column, values in vars(orders).items()}
            | {
                "limit_microeur_per_kwh": np.where(
                    orders.is_sale[rows], 0, mechanisms.HIGHEST_PRICE
                )
            },
        )

    known = {name: replace(mechanisms.MECHANISMS[name], admit=admit)}
    found = cheat(mechanisms, "MECHANISMS", mechanisms.MECHANISMS | known, rule(name))
    assert found == {"battery use"}


def test_orders_where_nobody_trades(cheat: Cheat) -> None:
    known = mechanisms.MECHANISMS | {"none": replace(trading.MIDPOINT, name="none")}
    assert {"order", "local market"} <= cheat(mechanisms, "MECHANISMS", known, rule("none"))


def test_a_market_entered_although_it_is_dearer_than_the_utility(cheat: Cheat) -> None:
    found = cheat(
        prosumer, "accepts_market", lambda *_: (True, True), "--set=PENALTY_FOR_MARKET=0.5"
    )
    assert found == {"local market"}


def test_a_home_sent_to_the_utility_instead_of_the_market(cheat: Cheat) -> None:
    def without_one(*arguments: Any) -> Any:
        trades = real(*arguments)
        stay = (trades.seller != 2) & (trades.buyer != 2)
        return replace(trades, **{name: column[stay] for name, column in vars(trades).items()})

    real = trading.local_market
    assert "local market" in cheat(trading, "local_market", without_one)


def halved(trades: Any) -> Any:
    """Each trade as two, so that they fill more blocks, and more blocks are rewarded."""
    twice = {name: np.repeat(column, 2) for name, column in vars(trades).items()}
    first = trades.energy_wh // 2
    energy = np.stack([first, trades.energy_wh - first], axis=1).ravel()
    doubled = replace(trades, **twice | {"energy_wh": energy})
    some = energy > 0
    return replace(doubled, **{name: column[some] for name, column in vars(doubled).items()})


def test_trades_with_the_market_split_for_the_sake_of_rewards(cheat: Cheat) -> None:
    real = trading.local_market
    assert cheat(trading, "local_market", lambda *a: halved(real(*a))) == {"pairs"}


def test_trades_between_neighbours_split_for_the_sake_of_rewards(cheat: Cheat) -> None:
    real = trading.p2p_trades
    assert cheat(trading, "p2p_trades", lambda *a: halved(real(*a))) == {"pairs"}


def test_a_market_that_serves_its_queue_from_the_end(cheat: Cheat) -> None:
    def reversed_rows(*arguments: Any) -> Any:
        trades = real(*arguments)
        return replace(trades, **{name: column[::-1] for name, column in vars(trades).items()})

    real = trading.local_market
    assert cheat(trading, "local_market", reversed_rows) == {"pairs"}


def market_first(parts: Any) -> Any:
    """records.joined, with the trades of the local market before those between neighbours."""
    is_trades = isinstance(parts[0], Trades)
    return joined(parts[::-1] if is_trades else parts)


def test_trades_with_the_market_before_those_between_neighbours(cheat: Cheat) -> None:
    """Another order of the trades is another Merkle root, and so perhaps another winner."""
    assert cheat(simulator, "joined", market_first) == {"pairs"}


# ---------------------------------------------------------------- who is served


def shared_by(split: Callable[[int, Any], Any]) -> Callable[[Any, int], Any]:
    """A sharing rule that splits what both sides have in another way."""

    def share(orders: Any, price: int) -> Any:
        bids, asks = trading.queue(orders, sales=False), trading.queue(orders, sales=True)
        bid_wh, ask_wh = orders.energy_wh[bids], orders.energy_wh[asks]
        most = min(int(bid_wh.sum()), int(ask_wh.sum()))
        pairs = trading.side_by_side(bids, asks, split(most, bid_wh), split(most, ask_wh))
        prices = np.full(len(pairs[2]), price, np.int64)
        return trading.without_spread(trading.p2p_trades(orders, *pairs, prices))

    return share


def first_come(total: int, weights: Any) -> Any:
    return np.diff(np.minimum(np.cumsum(weights), total), prepend=0)


@pytest.mark.parametrize("name", SHARING)
def test_first_come_first_served_where_all_get_the_same_share(name: str, cheat: Cheat) -> None:
    assert cheat(mechanisms, "share_pro_rata", shared_by(first_come), rule(name)) == {"pro rata"}


@pytest.mark.parametrize("name", SHARING)
def test_less_traded_than_both_sides_have(name: str, cheat: Cheat) -> None:
    half = shared_by(lambda total, weights: mechanisms.share_out(total // 2, weights))
    assert cheat(mechanisms, "share_pro_rata", half, rule(name)) == {"pro rata"}


@pytest.mark.parametrize("name", SHARING)
def test_a_wh_less_traded_than_both_sides_have(name: str, cheat: Cheat) -> None:
    """It is taken from whoever's share was rounded up most, so that no member by itself has too little."""

    def split(total: int, weights: Any) -> Any:
        shares = mechanisms.share_out(total, weights)
        if total:
            shares[np.argmax(shares - weights * total / weights.sum())] -= 1
        return shares

    less = shared_by(split)
    assert cheat(mechanisms, "share_pro_rata", less, rule(name)) == {"pro rata"}


def test_a_price_of_supply_and_demand_a_micro_euro_too_high(cheat: Cheat) -> None:
    real = mechanisms.share_pro_rata
    dearer = cheat(
        mechanisms,
        "share_pro_rata",
        lambda orders, price: real(orders, price + 1),
        rule("supply_demand_ratio"),
    )
    assert dearer == {"market rule"}


def test_a_longer_side_that_is_not_cut_equally(cheat: Cheat) -> None:
    def cut(energy_wh: Any, total_wh: int) -> Any:
        return first_come(total_wh, energy_wh)

    assert cheat(mechanisms, "cut_equally", cut, rule("huang"), homes=30) == {"equal cut"}


def test_a_cut_of_a_few_wh_more_for_one_and_less_for_another(cheat: Cheat) -> None:
    """Everybody is served, and nobody beyond an order; one Wh of difference would be the rounding."""

    def cut(energy_wh: Any, total_wh: int) -> Any:
        kept = real(energy_wh, total_wh).copy()
        cut_and_served = np.flatnonzero((energy_wh - kept >= 3) & (kept > 3))
        if len(cut_and_served) > 1:
            kept[cut_and_served[0]] -= 3
            kept[cut_and_served[-1]] += 3
        return kept

    real = mechanisms.cut_equally
    assert cheat(mechanisms, "cut_equally", cut, rule("huang"), homes=30) == {"equal cut"}


def test_orders_that_agree_and_are_not_served_under_huang(cheat: Cheat) -> None:
    """Only the pair at the crossing may stay; here all do, and the local market takes what they have."""

    def nothing(energy_wh: Any, total_wh: int) -> Any:
        return 0 * energy_wh

    assert cheat(mechanisms, "cut_equally", nothing, rule("huang"), homes=30) == {"priority"}


@pytest.mark.parametrize("name", ["midpoint", "uniform", "pay_as_bid"])
def test_orders_that_agree_and_are_not_served(name: str, cheat: Cheat) -> None:
    """None of them, so that no worse one was served before a better one."""

    def crossing(orders: Any) -> Any:
        return tuple(column[:0] for column in real(orders))

    real = trading.crossing
    module = trading if name == "midpoint" else mechanisms
    assert cheat(module, "crossing", crossing, rule(name)) == {"priority"}


def test_orders_of_one_price_that_are_not_served(cheat: Cheat) -> None:
    """A bid agrees with an ask of its own price, too; where nobody wants a margin, all limits are the market's price."""
    nothing = ("LOCAL_MARKET_FEE", "P2P_BONUS", "PENALTY_FOR_MARKET", "HAS_BATTERY")
    options = [f"--set={name}=0" for name in (*nothing, "QUOTE_MARGIN", "QUOTE_VARIATION")]

    def crossing(orders: Any) -> Any:
        return tuple(column[:0] for column in real(orders))

    real = trading.crossing
    assert cheat(trading, "crossing", crossing, *options) == {"priority"}


def a_part_for_each(wh: Any, got: Any) -> Any:
    return mechanisms.share_out(int(got.sum()), wh)


def a_wh_for_the_next(wh: Any, got: Any) -> Any:
    """From the last one that was served whole to the one that was not."""
    whole, part = np.flatnonzero((got == wh) & (wh > 1)), np.flatnonzero((got < wh) & (got > 0))
    if len(whole) and len(part):
        got = got - (np.arange(len(got)) == whole[-1]) + (np.arange(len(got)) == part[0])
    return got


def sharing_at_the_margin(split: Callable[[Any, Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """trading.crossing, but what goes to those at the limit of the last one served is split among them."""

    def crossing(orders: Any) -> tuple[Any, ...]:
        queues = [trading.queue(orders, sales=sale) for sale in (False, True)]
        real = trading.side_by_side(*queues, *(orders.energy_wh[rows] for rows in queues))
        meet = orders.limit_microeur_per_kwh[real[0]] >= orders.limit_microeur_per_kwh[real[1]]
        if not meet.any():
            return tuple(column[meet] for column in real)
        sides, energy = [], []
        for rows, served in zip(queues, real, strict=False):
            got = np.zeros(orders.size, np.int64)
            np.add.at(got, served[meet], real[2][meet])
            limit = orders.limit_microeur_per_kwh
            last, wh = limit[rows] == limit[served[meet][-1]], got[rows]
            wh[last] = split(orders.energy_wh[rows][last], wh[last])
            sides.append(rows[wh > 0])
            energy.append(wh[wh > 0])
        return trading.side_by_side(*sides, *energy)

    return crossing


@pytest.mark.parametrize("split", [a_part_for_each, a_wh_for_the_next])
@pytest.mark.parametrize("name", ["midpoint", "uniform", "pay_as_bid"])
def test_orders_at_one_limit_that_each_are_served_in_part(
    name: str, split: Callable[[Any, Any], Any], cheat: Cheat
) -> None:
    """One after the other, only the last is; more trades would be more blocks, and so more rewards."""
    module = trading if name == "midpoint" else mechanisms
    options = rule(name), "--set=QUOTE_VARIATION=0"
    crossing = sharing_at_the_margin(split)
    assert cheat(module, "crossing", crossing, *options, homes=40) == {"priority"}


def test_both_sides_cut_under_huang(cheat: Cheat) -> None:
    """Only the longer one is; each side here gives everybody half of it."""

    def cut(energy_wh: Any, total_wh: int) -> Any:
        return real(energy_wh, total_wh // 2)

    real = mechanisms.cut_equally
    found = cheat(mechanisms, "cut_equally", cut, rule("huang"), homes=30)
    assert found == {"priority", "equal cut"}


def huang_that_serves(choose: Callable[..., tuple[Any, Any]]) -> dict[str, trading.Mechanism]:
    """The rules, with a huang whose prices are right; choose(queues, their ends, orders, prices) is whom it serves."""

    def clear(orders: Any, _: Any) -> Any:
        buying, selling, _wh = trading.crossing(orders)
        if not len(buying):
            return trading.without_spread(trading.p2p_trades(orders, buying, selling, _wh, _wh))
        queues = [trading.queue(orders, sales=sale) for sale in (False, True)]
        last = buying[-1], selling[-1]
        ends = [int(np.flatnonzero(q == row)[0]) for q, row in zip(queues, last, strict=True)]
        bid, ask = (int(orders.limit_microeur_per_kwh[row]) for row in last)
        bids, asks = choose(*queues, *ends, orders, ask)
        wh = [orders.energy_wh[side] for side in (bids, asks)]
        traded = min(int(side.sum()) for side in wh)
        cut = [mechanisms.cut_equally(side, traded) for side in wh]
        pairs = trading.side_by_side(bids, asks, *cut)
        price = np.full(len(pairs[2]), ask, np.int64)
        trades = trading.p2p_trades(orders, *pairs, price)
        return trading.Clearing(trades, trades.energy_wh * (bid - ask))

    rule = replace(mechanisms.MECHANISMS["huang"], clear=clear)
    return mechanisms.MECHANISMS | {"huang": rule}


def before_the_crossing(bids: Any, asks: Any, last_bid: int, last_ask: int, *_: Any) -> Any:
    return bids[:last_bid], asks[:last_ask]


def with_the_crossing(bids: Any, asks: Any, last_bid: int, last_ask: int, *_: Any) -> Any:
    return bids[: last_bid + 1], asks[: last_ask + 1]


def down_to_the_ask(
    bids: Any, asks: Any, last_bid: int, last_ask: int, orders: Any, ask: int
) -> Any:
    """On a longer side of bids also those below the price that buyers pay."""
    longer = orders.energy_wh[bids[:last_bid]].sum() >= orders.energy_wh[asks[:last_ask]].sum()
    more = int((orders.limit_microeur_per_kwh[bids] >= ask).sum())
    return bids[: more if longer and last_ask else last_bid], asks[:last_ask]


def without_the_last(
    bids: Any, asks: Any, last_bid: int, last_ask: int, orders: Any, _: int
) -> Any:
    """On the longer side as few orders as are needed, so that these are cut less."""
    sides = [bids[:last_bid], asks[:last_ask]]
    traded = min(int(orders.energy_wh[side].sum()) for side in sides)
    for k, side in enumerate(sides):
        needed = int(np.searchsorted(np.cumsum(orders.energy_wh[side]), traded)) + 1
        sides[k] = side[: needed if traded else 0]
    return tuple(sides)


def with_all_equals_but_one(
    bids: Any, asks: Any, last_bid: int, last_ask: int, orders: Any, _: int
) -> Any:
    """Of those at the limits of the crossing all, however far behind it they stand; the last stays."""
    ends = []
    for side, last in ((bids, last_bid), (asks, last_ask)):
        limit = orders.limit_microeur_per_kwh[side]
        ends.append(int(np.flatnonzero(limit == limit[last])[-1]))
    return bids[: ends[0]], asks[: ends[1]]


@pytest.mark.parametrize(
    ("choose", "broken"),
    [
        (before_the_crossing, set()),
        (with_all_equals_but_one, {"equal cut"}),
        (with_the_crossing, {"priority", "equal cut"}),
        (down_to_the_ask, {"equal cut", "auction_spread due"}),
        (without_the_last, {"equal cut"}),
    ],
)
def test_others_served_under_huang_than_those_before_the_crossing(
    choose: Callable[..., tuple[Any, Any]],
    broken: set[str],
    cheat: Cheat,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the right prices; the first is huang itself. Some buyers pay more than their limit."""
    monkeypatch.setattr(audit, "demand_that", lambda *arguments: None)
    rules = huang_that_serves(choose)
    assert cheat(mechanisms, "MECHANISMS", rules, rule("huang"), homes=60) == broken


def test_prices_of_huang_set_by_another_pair_than_the_one_at_the_crossing(cheat: Cheat) -> None:
    """The pair before it, which is closer to what buyers, or sellers, would like."""

    def crossing(orders: Any) -> Any:
        return tuple(column[:-1] for column in real(orders))

    real = mechanisms.crossing
    found = cheat(mechanisms, "crossing", crossing, rule("huang"), homes=30)
    assert found == {"market rule", "auction_spread due", "priority", "equal cut"}


def coming_back(pairs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same pairs, with one of a buyer that has several behind those of all others."""
    buying = pairs[0].tolist()
    again = [k for k, row in enumerate(buying) if buying.count(row) > 1]
    if not again or len(set(buying)) < 2:
        return pairs
    last = np.append(np.delete(np.arange(len(buying)), again[0]), again[0])
    return tuple(column[last] for column in pairs)


def test_a_buyer_that_comes_back_after_others_were_served(cheat: Cheat) -> None:
    """Of two queues side by side; whoever does not stay until it is served pays others' prices."""

    def crossing(orders: Any) -> Any:
        return coming_back(real(orders))

    real = trading.crossing
    assert "pairs" in cheat(mechanisms, "crossing", crossing, rule("pay_as_bid"), homes=30)


def test_a_member_that_comes_back_where_all_pay_the_same(cheat: Cheat) -> None:
    """Two queues are served side by side; who trades with whom is on the chain, at whatever price."""

    def side_by_side(*queues: Any) -> Any:
        return coming_back(real(*queues))

    real = trading.side_by_side
    assert cheat(mechanisms, "side_by_side", side_by_side, rule("mid_market_rate")) == {"pairs"}


def test_best_bids_with_dearest_asks(cheat: Cheat) -> None:
    """The same orders are served, at the midpoints of other pairs: money moves between neighbours."""

    def crossing(orders: Any) -> Any:
        buying, selling, energy = real(orders)
        if not len(buying):
            return buying, selling, energy
        bids, asks = list(dict.fromkeys(buying)), list(dict.fromkeys(selling))[::-1]
        limit = orders.limit_microeur_per_kwh
        if limit[bids].min() < limit[asks].max():  # some of the new pairs would not agree
            return buying, selling, energy
        served = [
            np.array([energy[side == row].sum() for row in rows])
            for side, rows in ((buying, bids), (selling, asks))
        ]
        return trading.side_by_side(np.array(bids), np.array(asks), *served)

    real = trading.crossing
    assert cheat(trading, "crossing", crossing, homes=30) == {"pairs"}


# ---------------------------------------------------------------- the regulator


def test_energy_called_avoidable_that_was_not(cheat: Cheat) -> None:
    """And bans of members that had no choice."""

    def all_of_it(orders: Any, left: Any, flows: Any, limits: Any) -> Any:
        return flows.market_bought_wh + flows.market_sold_wh

    assert cheat(regulator, "avoidable_wh", all_of_it) == {"avoidable penalty", "ban due"}


def decided_otherwise(change: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[..., Any]:
    """The regulator's bans, changed after the decision."""
    real = regulator.bans
    return lambda *a, **k: change(*real(*a, **k))


@pytest.mark.parametrize("without_penalty", [[], ["--set=PENALTY_FOR_MARKET=0"]])
def test_a_ban_that_was_due_and_is_missing(cheat: Cheat, without_penalty: list[str]) -> None:
    pardon = decided_otherwise(lambda steps, reason: (0 * steps, 0 * reason))
    assert cheat(regulator, "bans", pardon, *STRICT, *without_penalty) == {"ban due"}


def test_a_ban_for_another_reason_than_the_one_that_holds(cheat: Cheat) -> None:
    other = decided_otherwise(
        lambda steps, reason: (steps, np.where(steps > 0, BanReason.LOW_BALANCE, reason))
    )
    assert "ban reason" in cheat(regulator, "bans", other, *STRICT)


def test_the_other_one_of_two_reasons_whose_bans_are_as_long(cheat: Cheat) -> None:
    """Each has a pause of its own, so the one that is told decides when the next ban may come."""
    other = decided_otherwise(
        lambda steps, reason: (steps, np.where(steps > 0, BanReason.LOW_BALANCE, reason))
    )
    both = ["--set=BAN_BALANCE_LIMIT=1e6", "--set=BAN_BALANCE_HOURS=3", "--set=BAN_MARKET_HOURS=3"]
    assert "ban reason" in cheat(regulator, "bans", other, *STRICT, *both)


def test_a_ban_of_another_length(cheat: Cheat) -> None:
    longer = decided_otherwise(lambda steps, reason: (steps + (steps > 0), reason))
    assert cheat(regulator, "bans", longer, *STRICT) == {"ban due"}


def test_a_ban_for_deeds_of_the_day_before(cheat: Cheat) -> None:
    """Penalties of three days add up to a ban that those of no single day explain."""

    def remember(settings: Any, state: Any, ruling: Any) -> Any:
        whole = state.avoidable_24h_nanoeur + ruling.avoidable_nanoeur
        return replace(real(settings, state, ruling), avoidable_24h_nanoeur=whole)

    real = regulator.remember
    lenient = [*STRICT[1:], "--set=BAN_PENALTY_LIMIT=0.02", "--steps=72"]
    assert cheat(regulator, "remember", remember, *lenient) == {"ban due"}


def test_a_second_ban_before_the_pause_is_over(cheat: Cheat) -> None:
    def forgetful(settings: Any, state: Any, *a: Any, **k: Any) -> Any:
        return real(settings, replace(state, cooldown_steps=0 * state.cooldown_steps), *a, **k)

    real = regulator.bans
    found = cheat(
        regulator, "bans", forgetful, *STRICT, "--set=BAN_COOLDOWN_HOURS=30", "--steps=72"
    )
    assert "ban due" in found
