"""The community's optimum: equal to a second formulation, never worse than any run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_settings
from scipy.optimize import linprog

import report
import simulator
from extensions.optimizer import community_optimum


def scenario_of(**changes: object) -> simulator.Scenario:
    return simulator.prepare(make_settings(**{"CONSENSUS": "none"} | changes))


def second_formulation(scenario: simulator.Scenario, final_kwh: float) -> float:
    """The same optimum with every member's own meter and battery and explicit P2P, as dense rows.

    Variables per member and step: import, export, p2p in, p2p out, charge, discharge, stored, curtailed.
    """
    fleet, profiles = scenario.fleet, scenario.profiles
    n, steps, kinds = fleet.size, profiles.steps, 8
    buy, sell = profiles.prices.market_buy / 1e6, profiles.prices.market_sell / 1e6

    def at(kind: int, member: int, step: int) -> int:
        return (kind * n + member) * steps + step

    cost = np.zeros(kinds * n * steps)
    rows, right, bounds = [], [], [(0.0, None)] * len(cost)
    eta = fleet.efficiency
    for i in range(n):
        power = fleet.max_step_wh[i] / 1000
        for t in range(steps):
            cost[at(0, i, t)], cost[at(1, i, t)] = buy[t], -sell[t]
            row = np.zeros(len(cost))
            for kind, sign in ((0, 1), (1, -1), (2, 1), (3, -1), (4, -1), (5, 1), (7, -1)):
                row[at(kind, i, t)] = sign
            rows.append(row)
            right.append((profiles.load_wh[t, i] - profiles.pv_wh[t, i]) / 1000)
            law = np.zeros(len(cost))
            law[at(6, i, t)], law[at(4, i, t)], law[at(5, i, t)] = 1, -eta, 1 / eta
            start = 0.0
            if t:
                law[at(6, i, t - 1)] = -1
            else:
                start = fleet.initial_stored_wh[i] / 1000
            rows.append(law)
            right.append(start)
            bounds[at(4, i, t)] = bounds[at(5, i, t)] = (0, power)
            bounds[at(6, i, t)] = (fleet.min_stored_wh[i] / 1000, fleet.max_stored_wh[i] / 1000)
            bounds[at(7, i, t)] = (0, profiles.pv_wh[t, i] / 1000)
    for t in range(steps):
        p2p = np.zeros(len(cost))
        for i in range(n):
            p2p[at(2, i, t)], p2p[at(3, i, t)] = 1, -1
        rows.append(p2p)
        right.append(0.0)
    final = np.zeros(len(cost))
    for i in range(n):
        final[at(6, i, steps - 1)] = -1
    found = linprog(
        cost, final[None], [-final_kwh], np.array(rows), right, bounds=bounds, method="highs"
    )
    assert found.success
    return float(found.fun)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_merging_meters_and_batteries_keeps_the_optimum(seed: int) -> None:
    scenario = scenario_of(SEED=seed, NUM_PROSUMERS=5, NUM_CONSUMERS=1, TIME_STEPS=12)
    final_wh = float(scenario.fleet.initial_stored_wh.sum()) * 0.9
    expected = second_formulation(scenario, final_wh / 1000)
    assert community_optimum(scenario, final_wh).cost_eur == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("hours", [1.0, 1 / 12])
def test_batteries_of_other_builds_are_not_merged(hours: float) -> None:
    """A slow and a quick battery of the same size: one of both would be worth more than the two."""
    scenario = scenario_of(
        NUM_PROSUMERS=4, HAS_BATTERY=1.0, TIME_STEP_DURATION=hours, TIME_STEPS=round(6 / hours)
    )
    fleet = scenario.fleet
    kwh = fleet.battery_capacity_wh / 1000
    power = np.floor(kwh * np.array([0.29, 0.19, 0.29, 0.19]) * hours * 1000).astype(np.int64)
    scenario = replace(scenario, fleet=replace(fleet, max_step_wh=power))
    final_wh = float(fleet.initial_stored_wh.sum()) * 0.4
    expected = second_formulation(scenario, final_wh / 1000)
    assert community_optimum(scenario, final_wh).cost_eur == pytest.approx(expected, abs=1e-6)


def test_nearly_the_same_builds_make_the_optimum_a_little_too_cheap() -> None:
    """Each of two batteries has 6 kWh to give, and two hours are dear.

    At 3.04 kW they are enough for all of it, at 2.96 kW for 5.92 kWh; the other 0.08 kWh save a purchase
    in a cheap hour. Merged they give 6 kW for two hours, all 12 kWh.
    """
    dear, cheap = [1.5, 1.5], [0.5] * 22
    scenario = scenario_of(
        NUM_PROSUMERS=2,
        HAS_BATTERY=1.0,
        TIME_STEPS=4,
        PRICE_PATTERN=dear + cheap,
        FEED_IN_PRICE=0.0,
    )
    empty = np.full(2, 1000.0)
    changes = {
        "battery_capacity_wh": 10 * empty,
        "min_stored_wh": empty,
        "max_stored_wh": 10 * empty,
        "initial_stored_wh": empty + 6000 / scenario.fleet.efficiency,
        "max_step_wh": np.array([2960, 3040]),
    }
    scenario = replace(scenario, fleet=replace(scenario.fleet, **changes))
    prices = scenario.profiles.prices
    loss = 0.08 * (prices.market_sell[:2].min() - prices.market_buy[2:4].max()) / 1e6
    own, merged = second_formulation(scenario, 2.0), community_optimum(scenario, 2000.0).cost_eur
    assert own - merged == pytest.approx(loss, abs=1e-6) and loss > 0.001


@pytest.mark.parametrize(
    "changes", [{}, {"HAS_BATTERY": 0.0}, {"REGULATOR_OBJECTIVE": "maximize_profit"}]
)
def test_no_run_is_cheaper_than_the_optimum_with_its_own_final_charge(changes: dict) -> None:
    for seed in (1, 2):
        scenario = scenario_of(SEED=seed, **changes)
        run = simulator.run(scenario)
        cost = report.summarize(run)["community_cost_eur"]
        assert community_optimum(scenario, float(run.end.stored_wh.sum())).cost_eur <= cost + 1e-6


def test_the_optimum_obeys_the_battery() -> None:
    scenario = scenario_of()
    best = community_optimum(scenario)
    eta = scenario.fleet.efficiency
    change = np.diff(best.stored_kwh, axis=1)
    assert change == pytest.approx(eta * best.charge_kwh - best.discharge_kwh / eta, abs=1e-6)
    assert best.stored_kwh[:, -1].sum() >= best.stored_kwh[:, 0].sum() - 1e-6
    assert best.shed_kwh.sum() == pytest.approx(0, abs=1e-9)


def test_an_optimum_that_there_is_not_is_no_number() -> None:
    """In one night hour no battery is filled, so nothing that could be told would be the cheapest way."""
    with pytest.raises(RuntimeError, match="the optimum was not found"):
        community_optimum(scenario_of(NUM_PROSUMERS=10, TIME_STEPS=1, BATTERY_C_RATE=0.1), 1e12)


def test_a_final_charge_that_cannot_be_reached_is_cut_to_what_fits() -> None:
    """More than full cannot be asked for: the condition is capped at the batteries' upper bound."""
    scenario = scenario_of(NUM_PROSUMERS=10)
    best = community_optimum(scenario, 1e12)
    assert best.stored_kwh[:, -1].sum() == pytest.approx(
        scenario.fleet.max_stored_wh.sum() / 1000, rel=1e-6
    )
