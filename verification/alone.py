"""What members would have paid without the community.

Alone, a member has the same battery and only the utility: its surplus charges first, its deficit
discharges first, the rest goes at the utility's prices. PV, load and prices stand in the tables, the
battery in the settings; so the comparison that a run is sold with can be made again, to the nano-euro.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.findings import FloatArray, IntArray
from verification.folder import Saved

FRACTIONS = ("BATTERY_MIN_SOC", "BATTERY_MAX_SOC", "BATTERY_INITIAL_SOC", "BATTERY_C_RATE")


@dataclass(frozen=True)
class Alone:
    """Each member (N) without neighbours and local market."""

    cost_nanoeur: IntArray
    stored_change_wh: FloatArray


@np.errstate(all="ignore")
def alone(saved: Saved) -> Alone | None:
    """The run again with every member alone; None where files do not say how strong batteries are."""
    sizes, fractions = (
        saved.settings.numbers("BATTERY_CAPACITY"),
        saved.settings.all_numbers(*FRACTIONS),
    )
    if saved.settings.took("members") or not sizes or not fractions:
        return None
    low, high, initial, c_rate = fractions
    n, eta = len(saved.members), saved.settings.efficiency
    capacity_kwh = np.array([member.capacity_kwh for member in saved.members])
    exact = np.array([0.0, *sizes])  # what is told of a member is rounded
    capacity_kwh = exact[np.abs(capacity_kwh[:, None] - exact).argmin(axis=1)]
    capacity = capacity_kwh * 1000
    power = np.floor(capacity_kwh * c_rate * (saved.settings.step_seconds / 3600) * 1000 + 1e-6)
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
