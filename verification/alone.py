"""What members would have paid without the community.

Alone, a member has the same battery and only the utility: its surplus charges first, its deficit
discharges first, the rest goes at the utility's prices. PV, load and prices stand in the tables, the
battery in the settings; so the comparison that a run is sold with can be made again, to the nano-euro.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.batteries import batteries
from verification.findings import FloatArray, IntArray
from verification.folder import Saved


@dataclass(frozen=True)
class Alone:
    """Each member (N) without neighbours and local market."""

    cost_nanoeur: IntArray
    stored_change_wh: FloatArray


@np.errstate(all="ignore")
def alone(saved: Saved) -> Alone | None:
    """The run again with every member alone; None where files do not say how strong batteries are."""
    known, initial = batteries(saved), saved.settings.number("BATTERY_INITIAL_SOC")
    if known is None or not known.exact or initial is None:
        return None
    n, eta, start = len(saved.members), saved.settings.efficiency, known.capacity * initial
    balance = (saved.energy["pv_wh"] - saved.energy["load_wh"]).reshape(saved.steps, n)
    rest = balance.copy()
    owners = np.flatnonzero(known.capacity > 0)
    least, most, power = known.least[owners], known.most[owners], known.power[owners]
    stored = start[owners]
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
