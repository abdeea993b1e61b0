"""The second reading of sums: over members in each step, over steps of each member, over the run."""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.energy import FLOWS
from verification.findings import Findings, IntArray, show
from verification.folder import BUY_PRICE, MARKET_PRICE, REGULATOR, SELL_PRICE, Saved, step_name
from verification.read import is_number
from verification.scenario import LEVERS
from verification.tables import BUYER, P2P, SELLER
from verification.told import Nanoeur, check_figure, difference

KWH_TOLERANCE = 2e-6  # levels are told with 6 decimals, and so perhaps are sums by other programs
OUR_TOLERANCE = 1e-9  # our own runs tell sums of whole Wh, as floats
EUR_TOLERANCE = 2e-9  # differences of two figures that are told as floats
SHARE_TOLERANCE = 1e-6


def check_totals(saved: Saved, cash_nanoeur: int, findings: Findings) -> None:
    """All rules on sums; `cash_nanoeur` is what members paid to aggregator and utility."""
    check_community(saved, findings)
    check_totals_of_members(saved, findings)
    check_summary(saved, cash_nanoeur, findings)


# ------------------------------------------------------------------- community, members' totals


def check_community(saved: Saved, findings: Findings) -> None:
    """Each row of community_summary.csv is the sum of its members, trades and blocks."""
    c, levers = saved.community, [f"{lever}_microeur_per_kwh" for lever in LEVERS.values()]
    for name, due in community(saved).items():
        findings.compare("community_summary", step_name, name, c[name], due)
    for name in c.parts:
        column = c[name]
        if name.endswith("_wh") and name != "net_wh":
            findings.rows(column < 0, "negative flow", step_name, name + " is {}", column)
        if name.endswith("_price_microeur_per_kwh") or name in levers:
            findings.rows(column < 0, "negative price", step_name, name + " is {}", column)
    sell, buy = c[SELL_PRICE], c[BUY_PRICE]
    words = "sellers get {}, buyers pay {}"
    findings.rows(sell > buy, "market price", step_name, words, sell, buy)


def community(saved: Saved) -> dict[str, IntArray]:
    """What community_summary.csv must say in each step (T)."""
    e, o, trades, sound = saved.energy, saved.trading, saved.trades, saved.sound_trades
    all_trades = np.bincount(trades["timestep"][sound], minlength=saved.steps)
    p2p = sound & (trades["trade_type"] == P2P)
    p2p_trades = np.bincount(trades["timestep"][p2p], minlength=saved.steps)
    blocks = -(-all_trades // saved.settings.chain.block_size)
    flows = ("pv_wh", "load_wh", "grid_import_wh", "grid_export_wh")
    return {name: saved.per_step(e[name]) for name in flows} | {
        "p2p_wh": saved.per_step(e["p2p_bought_wh"]),
        "p2p_trades": p2p_trades,
        "market_wh": saved.per_step(e["market_bought_wh"] + e["market_sold_wh"]),
        "market_trades": all_trades - p2p_trades,
        "active_buyers": saved.per_step(o["role"] == BUYER),
        "active_sellers": saved.per_step(o["role"] == SELLER),
        "banned_prosumers": saved.per_step(o["is_banned"]),
        "blocks_mined": blocks if saved.chain else np.zeros_like(blocks),
    }


def check_totals_of_members(saved: Saved, findings: Findings) -> None:
    """prosumers.json tells each member's totals and last level as prosumer_energy.csv has them."""
    n, level = len(saved.members), saved.energy["battery_level_milliwh"]
    due = {f"{name[:-3]}_kwh": column_sum(saved, name) / 1e3 for name in FLOWS}
    due["final_level_kwh"] = level[-n:] / 1e6
    for name, column in due.items():
        values, tolerance = column.tolist(), kwh_tolerance(saved, name)
        for i, member in enumerate(saved.members):
            ours = saved.settings.ours and not name.startswith("battery_")  # extras.py has these
            if ours or name in member.told:
                where, rule = f"member {i}", "prosumers.json"
                check_figure(findings, where, rule, member.told, name, values[i], tolerance)


def kwh_tolerance(saved: Saved, name: str) -> float:
    """What may be missing from a figure in kWh, or be too much."""
    return OUR_TOLERANCE if saved.settings.ours else KWH_TOLERANCE


def column_sum(saved: Saved, name: str) -> IntArray:
    """Sums over steps (N) of a column by step and member."""
    by_step = saved.energy[name].reshape(saved.steps, len(saved.members))
    return np.asarray(by_step.sum(axis=0))


# ------------------------------------------------------------------------------------- summary


def check_summary(saved: Saved, cash_nanoeur: int, findings: Findings) -> None:
    """summary.json: every total that the other files determine."""
    told, where, rule = saved.summary, "summary.json", "summary"
    for name, value in counted(saved).items():
        check_figure(findings, where, rule, told, name, value)
    for name, (due, tolerance) in measured(saved, cash_nanoeur).items():
        check_figure(findings, where, rule, told, name, due, tolerance)
    check_bans_ever(saved, findings)
    for name, (due, tolerance) in net_costs(saved).items():
        check_figure(findings, where, rule, told, name, due, tolerance)


def counted(saved: Saved) -> dict[str, Any]:
    """The totals that are whole numbers, and the hash that the chain ends with."""
    return {
        "seed": saved.settings.seed,
        "p2p_trades": int(saved.community["p2p_trades"].sum()),
        "market_trades": int(saved.community["market_trades"].sum()),
        "blocks": len(saved.blocks),
        "hashes": sum(block.hashes_tried for block in saved.blocks),
        "chain_tip": saved.chain.tip if saved.chain else "",
    }


def measured(saved: Saved, cash_nanoeur: int) -> dict[str, tuple[float | Nanoeur | None, float]]:
    """The totals that are real numbers, each with its tolerance; None is a share of nothing."""
    e, totals = saved.energy, ("pv", "load", "p2p", "market", "grid_import", "grid_export")
    kwh = {f"{name}_kwh": int(saved.community[f"{name}_wh"].sum()) / 1000 for name in totals}
    net_wh = e["market_bought_wh"] + e["grid_import_wh"] - e["market_sold_wh"] - e["grid_export_wh"]
    net_wh = saved.per_step(net_wh)
    imported = kwh["community_import_kwh"] = int(np.maximum(net_wh, 0).sum()) / 1000
    exported = kwh["community_export_kwh"] = int(np.maximum(-net_wh, 0).sum()) / 1000
    result: dict[str, tuple[float | Nanoeur | None, float]] = {}
    result |= {name: (value, kwh_tolerance(saved, name)) for name, value in kwh.items()}
    stored, stored_tolerance = stored_change_kwh(saved)
    result["stored_change_kwh"] = stored, stored_tolerance
    result["community_cost_eur"] = Nanoeur(cash_nanoeur), 0.0
    result["self_sufficiency"] = result["self_consumption"] = None, 0.0
    if kwh["load_kwh"]:
        supplied = imported + max(0.0, -stored)
        tolerance = SHARE_TOLERANCE + stored_tolerance / kwh["load_kwh"]
        result["self_sufficiency"] = 1 - supplied / kwh["load_kwh"], tolerance
    if kwh["pv_kwh"]:
        lost = exported + int(e["curtailed_wh"].sum()) / 1000
        result["self_consumption"] = 1 - lost / kwh["pv_kwh"], SHARE_TOLERANCE
    accounts = saved.accounts
    for nanoeur in accounts["balance_nanoeur"][accounts["account_id"] == REGULATOR].tolist():
        result["regulator_balance_eur"] = Nanoeur(nanoeur), 0.0
    return result


def stored_change_kwh(saved: Saved) -> tuple[float, float]:
    """(kWh, plus or minus) that all batteries together hold at the end more than at the start.

    Levels are told with 6 decimals each; flows tell it better, in a run of ours to what is told of the sum.
    """
    if saved.settings.ours:
        e, efficiency = saved.energy, saved.settings.efficiency
        charged, given = (int(e[f"battery_{way}_wh"].sum()) for way in ("charge", "discharge"))
        change = (charged * efficiency - given / efficiency) / 1000
        return change, 1e-6 + 1e-15 * (charged + given)
    last = saved.energy["battery_level_milliwh"][-len(saved.members) :]
    told = sum(member.initial_kwh for member in saved.members)
    return int(last.sum()) / 1e6 - told, 1e-6 * (1 + len(saved.members))


def check_bans_ever(saved: Saved, findings: Findings) -> None:
    """banned_ever counts members; in another program a ban decided in the last step may count or not."""
    n = len(saved.members)
    banned = (saved.trading["is_banned"] > 0).reshape(-1, n).any(axis=0)
    decided = (saved.actions["ban_steps_left"] > 0).reshape(-1, n).any(axis=0)
    told = saved.summary.get("banned_ever")
    least = int(banned.sum())
    most = least if saved.settings.ours else int((banned | decided).sum())
    if type(told) is not int or not least <= told <= most:
        detail = f"banned_ever is {show(told)}, expected {least}" + f" to {most}" * (most > least)
        findings.add("summary.json", "summary", detail)


def net_costs(saved: Saved) -> dict[str, tuple[float | Nanoeur, float]]:
    """What stored energy is worth at the mean market price, and cost less that, with tolerances.

    Both follow from figures that are told: those were compared with the tables, and every one of them
    is rounded. The same holds for the members alone, as far as that is told.
    """
    told, (mean, width) = saved.summary, mean_market_price(saved)
    due: dict[str, tuple[float | Nanoeur, float]] = {}
    stored = told.get("stored_change_kwh")
    if is_number(stored):
        tolerance = width * abs(float(stored)) + 0.6e-6 * mean + EUR_TOLERANCE
        due["stored_change_value_eur"] = float(stored) * mean, tolerance
    cost, value = told.get("community_cost_eur"), told.get("stored_change_value_eur")
    if is_number(cost) and is_number(value):
        exact, doubt = difference(float(cost), float(value))
        loosely = float(cost) - float(value), EUR_TOLERANCE + 1e-12 * abs(float(cost))
        due["net_cost_eur"] = (exact, doubt) if saved.settings.ours else loosely
    cost, stored = told.get("cost_alone_eur"), told.get("stored_change_alone_kwh")
    if is_number(cost) and is_number(stored):
        tolerance = width * abs(float(stored)) + 0.6e-6 * mean + EUR_TOLERANCE
        tolerance += 1e-12 * abs(float(cost))
        due["net_cost_alone_eur"] = float(cost) - float(stored) * mean, tolerance
    return due


def mean_market_price(saved: Saved) -> tuple[float, float]:
    """(EUR/kWh, plus or minus): exact where the table tells it, else between sellers' and buyers'."""
    if saved.settings.ours:
        return float(saved.community[MARKET_PRICE].mean()) / 1e6, 0.0
    low, high = sorted(
        float(saved.community[name].mean()) / 1e6 for name in (SELL_PRICE, BUY_PRICE)
    )
    return (low + high) / 2, (high - low) / 2
