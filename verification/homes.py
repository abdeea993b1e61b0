"""What members own, as the settings allow, and what they would have paid alone.

Alone, a member has the same battery and only the utility: its surplus charges first, its deficit
discharges first, the rest goes at the utility's prices. PV, load and prices stand in the tables, the
battery in the settings; so the comparison that a run is sold with can be made again, to the nano-euro.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.findings import Findings, FloatArray, IntArray, show
from verification.folder import Member, Saved
from verification.scenario import all_numbers, inputs, numbers
from verification.steps import step_seconds
from verification.told import close

KWH_TOLERANCE = 1e-6  # capacities are told with 6 decimals
FRACTIONS = ("BATTERY_MIN_SOC", "BATTERY_MAX_SOC", "BATTERY_INITIAL_SOC", "BATTERY_C_RATE")


@dataclass(frozen=True)
class Alone:
    """Each member (N) without neighbours and local market."""

    cost_nanoeur: IntArray
    stored_change_wh: FloatArray


def check_homes(saved: Saved, findings: Findings) -> None:
    """A home of the synthetic day has the PV and the battery of its type, or no battery."""
    pv, battery = numbers(saved, "PV_CAPACITY"), numbers(saved, "BATTERY_CAPACITY")
    types = {f"type {k}": sizes for k, sizes in enumerate(zip(pv, battery, strict=False), 1)}
    synthetic = bool(types) and not inputs(saved, "data")
    check_home_types(saved, findings)
    for i, member in enumerate(saved.members):
        roof, size = types.get(str(member.told.get("home_type")), (None, None))
        told = member.told.get("pv_capacity_kw")
        due = 0.0 if member.kind == "consumer" else roof if synthetic else None
        if due is not None and not close(told, due, KWH_TOLERANCE):
            detail = f"pv_capacity_kw is {show(told)}, expected {due}"
            findings.add(f"member {i}", "home", detail)
        if synthetic:
            check_synthetic_home(i, member, size, findings)


def check_home_types(saved: Saved, findings: Findings) -> None:
    """prosumer_energy.csv calls each home, in each step, what prosumers.json calls it."""
    homes = [member.told.get("home_type") for member in saved.members]
    code = {home: k for k, home in enumerate(saved.home_types)}
    due = [code.get(home, -1) if type(home) is str else -1 for home in homes]
    told = saved.energy["home_type"]
    rows = np.flatnonzero(told != np.tile(due, saved.steps))
    said = np.array([*map(show, saved.home_types), "another"], object)[told[rows]]
    expected = np.array(list(map(show, homes)), object)[rows % len(homes)]
    findings.rows(
        np.ones(len(rows), np.bool_),
        "home_type",
        lambda k: saved.row_name(int(rows[k])),
        "home_type is {}, prosumers.json says {}",
        said,
        expected,
    )


def check_synthetic_home(i: int, member: Member, size: float | None, findings: Findings) -> None:
    """Name, type and battery of one home, `size` being that of its type; None: no such type."""
    name, home = member.told.get("household_id", str(i)), member.told.get("home_type")
    if name != str(i):
        findings.add(f"member {i}", "home", f"household_id is {show(name)}, expected '{i}'")
    if size is None:
        findings.add(f"member {i}", "home", f"home_type is {show(home)}, which is none of them")
    elif min(member.capacity_kwh, abs(member.capacity_kwh - size)) > KWH_TOLERANCE:
        detail = f"battery_capacity_kwh is {member.capacity_kwh}, {home} has {size} or none"
        findings.add(f"member {i}", "home", detail)


# ------------------------------------------------------------------------------------- alone


@np.errstate(all="ignore")
def alone(saved: Saved) -> Alone | None:
    """The run again with every member alone; None where files do not say how strong batteries are."""
    sizes, fractions = numbers(saved, "BATTERY_CAPACITY"), all_numbers(saved, *FRACTIONS)
    if inputs(saved, "members") or not sizes or not fractions:
        return None
    low, high, initial, c_rate = fractions
    n, eta = len(saved.members), saved.settings.efficiency
    capacity_kwh = np.array([member.capacity_kwh for member in saved.members])
    exact = np.array([0.0, *sizes])  # what is told of a member is rounded
    capacity_kwh = exact[np.abs(capacity_kwh[:, None] - exact).argmin(axis=1)]
    capacity = capacity_kwh * 1000
    power = np.floor(capacity_kwh * c_rate * (step_seconds(saved) / 3600) * 1000)
    least, most, start = capacity * low, capacity * high, capacity * initial
    balance = (saved.energy["pv_wh"] - saved.energy["load_wh"]).reshape(saved.steps, n)
    rest = balance.copy()
    owners = np.flatnonzero(capacity > 0)
    stored, least, most, power = start[owners], least[owners], most[owners], power[owners]
    for t, wish in enumerate(balance[:, owners].astype(np.float64)):
        room = np.maximum(np.floor((most - stored) / eta), 0)
        above = np.maximum(np.floor((stored - least) * eta), 0)
        charge = np.minimum(np.minimum(np.maximum(wish, 0), power), room)
        discharge = np.minimum(np.minimum(np.maximum(-wish, 0), power), above)
        stored = stored + eta * charge - discharge / eta
        rest[t, owners] += (discharge - charge).astype(np.int64)
    buy, sell = (
        saved.community[f"grid_{way}_price_microeur_per_kwh"][:, None]
        for way in ("import", "export")
    )
    change = np.zeros(n)
    change[owners] = stored - start[owners]
    return Alone(-(rest * np.where(rest < 0, buy, sell)).sum(axis=0), change)
