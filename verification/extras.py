"""Figures beyond the contract that settings and tables determine: our own runs tell every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from verification.alone import Alone, alone
from verification.findings import Findings, FloatArray, IntArray
from verification.folder import AGGREGATOR, MINT, UTILITY, Saved
from verification.read import is_number
from verification.tables import P2P, WORDS
from verification.told import Nanoeur, check_figure, difference, shown
from verification.totals import OUR_TOLERANCE, mean_market_price

FLOAT_DIGITS = 1e-15  # of a number, what a few operations on it may change
OUTSIDE = ("local_market", "utility_import", "utility_export", "auction_spread", "bill_sharing")
ALONE = ("alone_eur", "stored_change_alone_kwh")  # what our own runs tell of each member
TOLERANCE = {
    "_change_kwh": 2e-6,
    "_change_alone_kwh": 2e-6,
    "_per_kwh": 6e-7,
    "_kwh": OUR_TOLERANCE,
    "_hours": 1e-12,
}
"""What rounding leaves of a figure whose name ends so; the first that fits counts."""


def check_extras(saved: Saved, findings: Findings) -> None:
    """summary.json and prosumers.json of our own runs, key by key."""
    if not saved.settings.ours:
        return
    told, where, rule = saved.summary, "summary.json", "summary"
    for name, due in summary_extras(saved).items():
        check_figure(findings, where, rule, told, name, due, tolerance_of(name))
    for part in ALONE:
        for i, member in enumerate(saved.members):
            if not is_number(member.told.get(part)):
                words = f"{part} is {shown(member.told, part)}, should be a number"
                findings.add(f"member {i}", "prosumers.json", words)
    without = alone(saved)
    for name, (value, tolerance) in comparisons(saved, without).items():
        check_figure(findings, where, rule, told, name, value, tolerance)
    check_savings(findings, where, rule, told)
    of_members = member_extras(saved) | members_alone(without)
    for name, column in of_members.items():
        values = list(map(Nanoeur, column)) if name.endswith("_eur") else column.tolist()
        for i, member in enumerate(saved.members):
            where, rule, told = f"member {i}", "prosumers.json", member.told
            check_figure(findings, where, rule, told, name, values[i], tolerance_of(name))
    for name, (dues, tolerances) in bills(saved, of_members).items():
        for i in np.flatnonzero(~np.isnan(dues)).tolist():
            where, rule, told = f"member {i}", "prosumers.json", saved.members[i].told
            check_figure(findings, where, rule, told, name, float(dues[i]), float(tolerances[i]))
    for i, member in enumerate(saved.members):
        check_savings(findings, f"member {i}", "prosumers.json", member.told)


def check_savings(findings: Findings, where: str, rule: str, told: Mapping[str, Any]) -> None:
    """What is told to be saved is the bill alone less the bill here, as these are told."""
    before, here = told.get("net_cost_alone_eur"), told.get("net_cost_eur")
    if is_number(before) and is_number(here):
        due, tolerance = difference(float(before), float(here))
        check_figure(findings, where, rule, told, "savings_eur", due, tolerance)


def tolerance_of(name: str) -> float:
    return next((most for end, most in TOLERANCE.items() if name.endswith(end)), 0.0)


# ------------------------------------------------------------------------------------- summary


def summary_extras(saved: Saved) -> dict[str, Any]:
    """Totals of the run that its settings and tables determine."""
    actions, kinds = saved.actions, [member.kind for member in saved.members]
    due: dict[str, Any] = {
        "mechanism": saved.settings.told.get("MARKET_MECHANISM"),
        "objective": saved.settings.told.get("REGULATOR_OBJECTIVE"),
        "steps": saved.steps,
        "step_hours": saved.settings.step_seconds / 3600,
        "members": len(saved.members),
        "prosumers": kinds.count("prosumer"),
        "consumers": kinds.count("consumer"),
        "market_price_eur_per_kwh": mean_market_price(saved)[0],
        "banned_member_steps": int((actions["is_banned"] > 0).sum()),
        "bonuses_eur": Nanoeur(actions["bonus_nanoeur"].sum()),
        "penalties_eur": Nanoeur(actions["penalty_nanoeur"].sum()),
        "avoidable_penalties_eur": Nanoeur(actions["avoidable_penalty_nanoeur"].sum()),
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
        due[f"{name}_balance_eur"] = Nanoeur(balance[rows].sum())
    p2p = saved.trades["trade_type"] == P2P
    energy, amount = (int(saved.trades[c][p2p].sum()) for c in ("energy_wh", "amount_nanoeur"))
    priced = energy and saved.settings.mechanism != "bill_sharing"  # which settles at the end
    due["p2p_price_eur_per_kwh"] = amount / energy / 1e6 if priced else None
    return due


def comparisons(
    saved: Saved, without: Alone | None
) -> dict[str, tuple[float | Nanoeur | None, float]]:
    """The share saved and the bills alone, with tolerances: from other told figures, or from the run again."""
    told, due = saved.summary, dict[str, tuple[float | Nanoeur | None, float]]()
    before, here = told.get("net_cost_alone_eur"), told.get("net_cost_eur")
    if is_number(before) and is_number(here):
        before, savings = float(before), float(before) - float(here)
        tolerance = 2e-9 + 1e-12 * abs(before)
        if before > 1e-9:  # nearer to 0 its rounding decides
            share = savings / before
            due["savings_share"] = share, 1e-6 + tolerance * (1 + abs(share)) / before
        elif before < 0:
            due["savings_share"] = None, 0.0
    for name, part, tolerance in (
        ("cost_alone_eur", "alone_eur", 2e-9),
        ("stored_change_alone_kwh", "stored_change_alone_kwh", 1e-6 * (1 + len(saved.members))),
    ):
        parts = [member.told.get(part) for member in saved.members]
        values = [float(value) for value in parts if is_number(value)]
        if len(values) == len(parts):
            rounding = 1e-12 * sum(map(abs, values))
            due[name] = sum(values), tolerance + rounding
    if without is not None:
        nanoeur, stored = int(without.cost_nanoeur.sum()), without.stored_change_wh.sum() / 1e3
        cost = nanoeur / 1e9
        due["cost_alone_eur"] = Nanoeur(nanoeur), 0.0
        due["stored_change_alone_kwh"] = float(stored), 2e-6 + without.doubt_kwh
        mean, _ = mean_market_price(saved)
        tolerance = 2e-9 + 1e-12 * abs(cost) + without.doubt_kwh * mean
        due["net_cost_alone_eur"] = cost - float(stored) * mean, tolerance
    return due


# ------------------------------------------------------------------------------------- members


def members_alone(without: Alone | None) -> dict[str, Any]:
    """What each member (N) would have paid and stored without the community, where that is known."""
    if without is None:
        return {}
    return {
        "alone_eur": without.cost_nanoeur,
        "stored_change_alone_kwh": without.stored_change_wh / 1e3,
    }


def member_extras(saved: Saved) -> dict[str, Any]:
    """Figures of each member (N) that the tables determine; amounts are whole nano-euro."""
    n = len(saved.members)

    def total(column: Any) -> Any:
        return column.reshape(saved.steps, n).sum(axis=0)

    energy, actions = saved.energy, saved.actions
    start = np.array([member.initial_kwh for member in saved.members])
    return {
        "charge_kwh": total(energy["battery_charge_wh"]) / 1e3,
        "discharge_kwh": total(energy["battery_discharge_wh"]) / 1e3,
        "stored_change_kwh": energy["battery_level_milliwh"][-n:] / 1e6 - start,
        "outside_eur": net_paid(saved, OUTSIDE),
        "p2p_eur": net_paid(saved, ("p2p",)),
        "bonus_eur": total(actions["bonus_nanoeur"]),
        "penalty_eur": total(actions["penalty_nanoeur"]),
        "avoidable_eur": total(actions["avoidable_penalty_nanoeur"]),
        "banned_steps": total(actions["is_banned"] > 0),
    }


def bills(saved: Saved, due: dict[str, Any]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """What each member (N) pays for energy, here and alone, with tolerances (N).

    Each is cash less what the battery gained, at the mean market price. Where nobody knows the battery's
    power (`due` lacks the bill alone) that is taken as told, and is NaN where that is no number.
    """
    price, _ = mean_market_price(saved)

    def alone_as_told(name: str) -> FloatArray:
        values = [member.told.get(name) for member in saved.members]
        return np.array([float(v) if is_number(v) else np.nan for v in values])

    cash, kept = (due.get(name) for name in ALONE)
    alone_eur = alone_as_told(ALONE[0]) if cash is None else cash / 1e9
    kept_kwh = alone_as_told(ALONE[1]) if kept is None else kept
    cash_eur, stored_kwh = (due["outside_eur"] + due["p2p_eur"]) / 1e9, due["stored_change_kwh"]
    here, without = cash_eur - stored_kwh * price, alone_eur - kept_kwh * price
    tolerance, other = (
        2e-9 + 2e-6 * abs(price) + FLOAT_DIGITS * (np.abs(paid) + np.abs(kwh * price))
        for paid, kwh in ((cash_eur, stored_kwh), (alone_eur, kept_kwh))
    )
    return {
        "net_cost_eur": (here, tolerance),
        "net_cost_alone_eur": (without, other),
    }


def net_paid(saved: Saved, reasons: tuple[str, ...]) -> IntArray:
    """What each member (N) paid less what it got for these reasons, in nano-euro."""
    moves, n = saved.transfers, len(saved.members)
    wanted = np.isin(moves["reason"], [WORDS["reason"].index(word) for word in reasons])
    paid = np.zeros(n, np.int64)
    for party, sign in (("payer_id", 1), ("payee_id", -1)):
        rows = wanted & (moves[party] >= 0) & (moves[party] < n)
        np.add.at(paid, moves[party][rows], sign * moves["amount_nanoeur"][rows])
    return paid
