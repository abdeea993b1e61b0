"""What the community could have paid at best: one linear program with perfect foresight.

Trading inside costs nothing, so all meters can be merged into one, and batteries of the same build into
one: the same optimum, with a few hundred variables instead of a hundred thousand. Of the same build are those
whose ratio of power to capacity is the same to a hundredth per hour. Where they differ within it, the
optimum is an approximation: the merged battery can do all that they can and a little more, so it is as
cheap as the true one or a little cheaper, and never dearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, diags, eye, hstack, kron, vstack

from records import Fleet, Profiles, Real
from simulator import Scenario

SHEDDING_EUR_PER_KWH = 1_000.0
"""Price of load that is not served: dearer than any energy, so it happens only where nothing else can."""


@dataclass(frozen=True)
class Optimum:
    """The cheapest plan of the merged community: EUR, and kWh per step (T) or per class and step (C, T)."""

    cost_eur: float
    shed_kwh: Real
    charge_kwh: Real
    discharge_kwh: Real
    stored_kwh: Real
    """(C, T + 1), the start included."""


@dataclass(frozen=True)
class BatteryClasses:
    """Batteries of the same build merged into one each (C): kWh and kWh per step."""

    low: Real
    high: Real
    start: Real
    power: Real
    efficiency: float


def merge_batteries(fleet: Fleet, step_hours: float) -> BatteryClasses:
    """One battery for each ratio of power to capacity, to a hundredth per hour: more classes, more variables."""
    owns = fleet.battery_capacity_wh > 0
    capacity, power = fleet.battery_capacity_wh[owns], fleet.max_step_wh[owns]
    _, build = np.unique(np.round(power / step_hours / capacity, 2), return_inverse=True)

    def summed(column: np.ndarray) -> Real:
        return np.asarray(np.bincount(build, column[owns] / 1000), float)

    return BatteryClasses(
        low=summed(fleet.min_stored_wh),
        high=summed(fleet.max_stored_wh),
        start=summed(fleet.initial_stored_wh),
        power=summed(fleet.max_step_wh),
        efficiency=fleet.efficiency,
    )


def community_optimum(scenario: Scenario, final_stored_wh: float | None = None) -> Optimum:
    """The least that the members together can pay to the outside, ending with at least this charge.

    final_stored_wh: of all batteries together; None asks for the initial charge again. Energy from outside
    costs the local market's buying price and earns its selling price. Never infeasible: PV can be
    curtailed, and load can be shed at a prohibitive price.
    """
    profiles = scenario.profiles
    batteries = merge_batteries(scenario.fleet, scenario.settings.step_hours)
    final = batteries.start.sum() if final_stored_wh is None else final_stored_wh / 1000
    return solve(profiles, batteries, min(final, batteries.high.sum()))


def solve(profiles: Profiles, batteries: BatteryClasses, final_kwh: float) -> Optimum:
    """The linear program. Variables per step: import, export, curtailed, shed, then per class charge,
    discharge and what is stored after the step."""
    steps, classes = profiles.steps, len(batteries.power)
    pv = profiles.pv_wh.sum(axis=1) / 1000
    load = profiles.load_wh.sum(axis=1) / 1000
    buy, sell = profiles.prices.market_buy / 1e6, profiles.prices.market_sell / 1e6
    shedding = np.full(steps, SHEDDING_EUR_PER_KWH)
    cost = np.concatenate([buy, -sell, np.zeros(steps), shedding, np.zeros(3 * classes * steps)])

    one, each = eye(steps, format="csr"), eye(classes * steps, format="csr")
    every_class = csr_matrix(np.ones((1, classes)))
    empty = csr_matrix((steps, classes * steps))
    charge = kron(every_class, one)
    shift = diags([1.0, -1.0], [0, -1], shape=(steps, steps), format="csr")
    eta = batteries.efficiency
    equal = vstack(
        [
            hstack([one, -one, -one, one, -charge, charge, empty]),
            hstack(
                [
                    csr_matrix((classes * steps, 4 * steps)),
                    -eta * each,
                    each / eta,
                    kron(eye(classes), shift),
                ]
            ),
        ]
    )
    start = np.zeros((classes, steps))
    start[:, 0] = batteries.start
    right = np.concatenate([load - pv, start.ravel()])

    last = np.zeros(len(cost))
    last[len(cost) - classes * steps :].reshape(classes, steps)[:, -1] = -1
    bounds = np.concatenate(
        [
            np.column_stack([np.zeros(2 * steps), np.full(2 * steps, np.inf)]),
            np.column_stack([np.zeros(steps), pv]),
            np.column_stack([np.zeros(steps), load]),
            np.column_stack([np.zeros(classes * steps), np.repeat(batteries.power, steps)]),
            np.column_stack([np.zeros(classes * steps), np.repeat(batteries.power, steps)]),
            np.column_stack([np.repeat(batteries.low, steps), np.repeat(batteries.high, steps)]),
        ]
    )
    found = linprog(
        cost,
        A_ub=csr_matrix(last),
        b_ub=[-final_kwh + 1e-9],
        A_eq=equal,
        b_eq=right,
        bounds=bounds,
        method="highs",
    )
    if not found.success:
        raise RuntimeError(f"the optimum was not found: {found.message}")
    x = np.split(found.x, np.cumsum([steps] * 4 + [classes * steps] * 2))
    charge, discharge, held = (part.reshape(classes, steps) for part in x[4:])
    stored_kwh = np.concatenate([batteries.start[:, None], held], axis=1)
    return Optimum(float(found.fun), x[3], charge, discharge, stored_kwh)
