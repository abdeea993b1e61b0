"""What members would have paid without the community.

Alone, a member has the same battery and only the utility: its surplus charges first, its deficit
discharges first, the rest goes at the utility's prices. PV, load and prices stand in the tables, the
battery in the settings; so the comparison that a run is sold with can be made again, to the nano-euro.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.batteries import TOLD_KWH, Batteries, likely_batteries
from verification.findings import FloatArray, IntArray
from verification.folder import Saved
from verification.told import is_amount


@dataclass(frozen=True)
class Alone:
    """Each member (N) without neighbours and local market."""

    cost_nanoeur: IntArray
    stored_change_wh: FloatArray
    doubt_kwh: float = 0.0  # of all changes together, where sizes are told alike


def alone(saved: Saved) -> Alone | None:
    """The run again with every member alone; None where files do not say how strong batteries are.

    Of batteries whose sizes are told alike, the one counts that makes the bill that is told.
    """
    (initial,) = saved.settings.all_numbers("BATTERY_INITIAL_SOC")
    chosen: Alone | None = None
    for known in likely_batteries(saved):
        this = alone_with(saved, known, initial)
        if chosen is None:
            chosen = this
            continue
        told = [
            is_amount(m.told.get("alone_eur"), c)
            for m, c in zip(saved.members, this.cost_nanoeur.tolist(), strict=True)
        ]
        chosen = Alone(
            np.where(told, this.cost_nanoeur, chosen.cost_nanoeur),
            np.where(told, this.stored_change_wh, chosen.stored_change_wh),
            doubt_kwh=2 * TOLD_KWH * len(saved.members),
        )
    return chosen


@np.errstate(all="ignore")
def alone_with(saved: Saved, known: Batteries, initial: float) -> Alone:
    """The same with these batteries."""
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
