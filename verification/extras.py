"""Figures beyond the contract that the other files determine, checked wherever they are told."""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.energy import P2P
from verification.folder import Saved
from verification.read import Findings, is_number, show

AGGREGATOR, UTILITY, MINT = -1, -2, -4
TOLERANCE = {"_eur": 2e-9, "_kwh": 2e-6, "_kwh_price": 6e-7}


def check_extras(saved: Saved, findings: Findings) -> None:
    """summary.json and prosumers.json, key by key, where they tell more than they must."""
    for name, due in summary_extras(saved).items():
        _compare(findings, "summary.json", "summary", name, saved.summary, due)
    for name, values in member_extras(saved).items():
        for i, member in enumerate(saved.members):
            _compare(findings, f"member {i}", "prosumers.json", name, member.told, values[i])


def summary_extras(saved: Saved) -> dict[str, Any]:
    """Totals of the run that its tables determine."""
    actions, told = saved.actions, saved.summary
    kinds = [member.told.get("kind") for member in saved.members]
    due: dict[str, Any] = {
        "steps": saved.steps,
        "members": len(saved.members),
        "prosumers": kinds.count("prosumer"),
        "consumers": kinds.count("consumer"),
        "banned_member_steps": int((actions["is_banned"] > 0).sum()),
        "bonuses_eur": int(actions["bonus_nanoeur"].sum()) / 1e9,
        "penalties_eur": int(actions["penalty_nanoeur"].sum()) / 1e9,
        "curtailed_kwh": int(saved.energy["curtailed_wh"].sum()) / 1e3,
    }
    accounts = saved.accounts
    ids, balance = accounts["account_id"], accounts["balance_nanoeur"]
    for name, rows in {
        "members": ids >= 0,
        "aggregator": ids == AGGREGATOR,
        "utility": ids == UTILITY,
        "mint": ids == MINT,
    }.items():
        due[f"{name}_balance_eur"] = int(balance[rows].sum()) / 1e9
    p2p = saved.trades["trade_type"] == P2P
    energy = int(saved.trades["energy_wh"][p2p].sum())
    if energy:
        amount = int(saved.trades["amount_nanoeur"][p2p].sum())
        due["p2p_price_eur_per_kwh"] = amount / energy / 1e6
    alone, here = told.get("net_cost_alone_eur"), told.get("net_cost_eur")
    if is_number(alone) and is_number(here):
        due["savings_eur"] = alone - here
    return due


def member_extras(saved: Saved) -> dict[str, Any]:
    """Totals of each member (N) that the tables determine."""
    n = len(saved.members)

    def total(column: Any) -> Any:
        return column.reshape(saved.steps, n).sum(axis=0)

    trades, between = saved.trades, np.zeros(n, np.int64)
    p2p = trades["trade_type"] == P2P
    for party, sign in (("buyer_id", 1), ("seller_id", -1)):
        inside = p2p & (trades[party] >= 0) & (trades[party] < n)
        np.add.at(between, trades[party][inside], sign * trades["amount_nanoeur"][inside])
    start = np.array([member.initial_kwh for member in saved.members])
    return {
        "charge_kwh": total(saved.energy["battery_charge_wh"]) / 1e3,
        "discharge_kwh": total(saved.energy["battery_discharge_wh"]) / 1e3,
        "stored_change_kwh": saved.energy["battery_level_milliwh"][-n:] / 1e6 - start,
        "bonus_eur": total(saved.actions["bonus_nanoeur"]) / 1e9,
        "penalty_eur": total(saved.actions["penalty_nanoeur"]) / 1e9,
        "p2p_eur": between / 1e9,
        "banned_steps": total(saved.actions["is_banned"] > 0),
    }


def _compare(
    findings: Findings, where: str, rule: str, name: str, told: dict[str, Any], due: Any
) -> None:
    if name not in told:
        return
    value = told[name]
    ending = "_kwh_price" if name.endswith("_per_kwh") else name[name.rfind("_") :]
    if not is_number(value) or abs(value - due) > TOLERANCE.get(ending, 0) + 1e-12 * abs(due):
        findings.add(where, rule, f"{name} is {show(value)}, expected {due}")
