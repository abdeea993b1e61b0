"""The second reading of batteries: how large and strong each is, and what it does for its home.

A battery serves its home first: surplus charges, deficit discharges, as far as power, room and reserve go. The
regulator may have a part of the surplus sold first, or the charge kept: the same for all homes of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from verification.findings import BoolArray, FloatArray, IntArray
from verification.folder import Saved
from verification.tables import BANNED, BUYER, SELLER

TOLD_KWH = 1e-6  # sizes that lie nearer are told alike
LEVEL_WH = 1e-3  # what a level that is told with six decimals may hide
ALIKE_WH = 3e-3  # and one of a battery whose size may be another
MOST_ALIKE = 10  # sizes among which nobody would look for the right one
ROUNDED_WH = 1  # by which whole Wh may differ for that
DUST_WH = 1e-6  # products of shares that are whole but for the last digits


@dataclass(frozen=True)
class Batteries:
    """What the settings make of each member's battery (N), in Wh; 0 where there is none."""

    capacity: FloatArray
    least: FloatArray
    most: FloatArray
    power: FloatArray  # whole Wh in a step
    exact: bool  # False where two sizes are told alike: power may be a Wh more or less


def batteries(saved: Saved) -> Batteries | None:
    """None where no result tells their power: beside a members file."""
    sizes, told = sizes_of_types(saved), told_sizes(saved)
    if sizes is None:
        return None
    are_apart = bool(np.diff(sizes).min(initial=1.0) >= 2 * TOLD_KWH)
    return of_size(saved, nearest(told, sizes), are_apart)  # what is told of a member is rounded


def likely_batteries(saved: Saved) -> list[Batteries]:
    """All that may be told as these are: where some sizes are told alike, one after the other for each member."""
    sizes, told = sizes_of_types(saved), told_sizes(saved)
    if sizes is None:
        return []
    first = np.searchsorted(sizes, told - TOLD_KWH)
    beyond = np.searchsorted(sizes, told + TOLD_KWH, side="right")
    some, alike = beyond > first, int((beyond - first).max(initial=1))
    if alike > MOST_ALIKE:
        return []
    last = np.maximum(beyond - 1, 0)
    of_each = (sizes[np.minimum(first + k, last)] for k in range(alike))
    return [of_size(saved, np.where(some, kwh, nearest(told, sizes)), True) for kwh in of_each]


def sizes_of_types(saved: Saved) -> FloatArray | None:
    """What a battery may have, in kWh, ascending from 0; None where no result tells how strong they are."""
    if saved.settings.took("members"):
        return None
    return np.unique([0.0, *saved.settings.numbers("BATTERY_CAPACITY")])


def told_sizes(saved: Saved) -> FloatArray:
    return np.array([member.capacity_kwh for member in saved.members])


def of_size(saved: Saved, kwh: FloatArray, exact: bool) -> Batteries:
    """Batteries of these sizes (N), and what settings make of them."""
    s, wh = saved.settings, kwh * 1000
    (rate,) = s.all_numbers("BATTERY_C_RATE")
    power = np.floor(kwh * rate * (s.step_seconds / 3600) * 1000 + DUST_WH)
    return Batteries(wh, wh * s.min_soc, wh * s.max_soc, power, exact)


def nearest(told: FloatArray, sizes: FloatArray) -> FloatArray:
    """Of these sizes, which ascend, the one nearest to each number."""
    above = np.clip(np.searchsorted(sizes, told), 1, len(sizes) - 1)
    low, high = sizes[above - 1], sizes[above]
    return np.asarray(np.where(told - low <= high - told, low, high))


def levels_before(saved: Saved) -> FloatArray:
    """What each battery held before each step (T N), in Wh: its level after it, less what flowed."""
    e, efficiency = saved.energy, saved.settings.efficiency
    after = e["battery_level_milliwh"] / 1000
    return np.asarray(
        after - e["battery_charge_wh"] * efficiency + e["battery_discharge_wh"] / efficiency
    )


# ------------------------------------------------------------------------------ in use


class Advice(NamedTuple):
    """What the regulator says of a step to all homes."""

    charge_share: float = 1.0  # of a surplus, to be stored before any is sold
    keeps: bool = False  # whether what is stored is kept for a later hour


class Slack(NamedTuple):
    """What rounding hides, in Wh: of the level, where room follows from it, and where charge does; and of the power."""

    room: float = 0.0
    charge: float = 0.0
    power: int = 0


@dataclass(frozen=True)
class Use:
    """Batteries in the steps of a run, by row (R), in Wh: what they had to do, and what they did."""

    row: IntArray
    member: IntArray
    surplus: IntArray  # of the home, before its battery
    need: IntArray
    level: FloatArray  # before the step
    charge: IntArray
    discharge: IntArray
    bought: IntArray  # from neighbours
    sold: IntArray
    asked: IntArray  # of the neighbours: an offer, below 0 a bid
    is_banned: BoolArray

    def where(self, chosen: BoolArray | IntArray) -> Use:
        """The same of some of these rows."""
        columns = {field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        return replace(self, **columns)


def use_of_batteries(saved: Saved, known: Batteries) -> Use:
    """Every step of every member with a battery."""
    row = np.flatnonzero(np.tile(known.capacity > 0, saved.steps))
    e, role = saved.energy, saved.trading["role"][row]
    order, balance = saved.trading["order_wh"][row], e["pv_wh"][row] - e["load_wh"][row]
    return Use(
        row=row,
        member=row % len(saved.members),
        surplus=np.maximum(balance, 0),
        need=np.maximum(-balance, 0),
        level=levels_before(saved)[row],
        charge=e["battery_charge_wh"][row],
        discharge=e["battery_discharge_wh"][row],
        bought=e["p2p_bought_wh"][row],
        sold=e["p2p_sold_wh"][row],
        asked=np.where(role == SELLER, order, 0) - np.where(role == BUYER, order, 0),
        is_banned=role == BANNED,
    )


@dataclass(frozen=True)
class Plan:
    """What batteries do for their homes (R), in Wh, and what they could do beside it."""

    charge: FloatArray
    discharge: FloatArray
    room: FloatArray  # left, whole Wh at the terminals
    spare: FloatArray  # left above what is kept
    power: FloatArray
    at_rest: BoolArray  # whether the home has nothing left and lacks nothing


def plan_of(use: Use, known: Batteries, efficiency: float, advice: Advice, slack: Slack) -> Plan:
    """The advised share of a surplus charges first, a deficit discharges first; at the terminals, in whole Wh."""
    power = known.power[use.member] + slack.power
    room = np.floor((known.most[use.member] - use.level - slack.room) / efficiency)
    held = known.most if advice.keeps else known.least
    spare = np.floor((use.level + slack.charge - held[use.member]) * efficiency)
    room, spare = np.maximum(room, 0), np.maximum(spare, 0)
    own = np.floor(advice.charge_share * use.surplus)
    charge = np.minimum(np.minimum(own, power), room)
    discharge = np.minimum(np.minimum(use.need, power), spare)
    at_rest = (charge == use.surplus) & (discharge == use.need)
    return Plan(charge, discharge, room - charge, spare - discharge, power, at_rest)


def slacks(known: Batteries) -> Iterator[Slack]:
    """Everything that rounding may hide, beginning with nothing."""
    level, power = (LEVEL_WH, (0,)) if known.exact else (ALIKE_WH, (0, -1, 1))
    yield Slack()
    for slack in product((-level, level), (-level, level), power):
        yield Slack(*slack)
