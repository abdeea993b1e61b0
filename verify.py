"""The second reading of a saved results folder: every number derived again, from the files alone.

`verify(folder)` reads what a run left behind, computes what each file must say if the others are
true, and reports every place where it says something else. It shares no code with the simulation.
verify_read reads single files, verify_folder the folder; verify_energy judges energy, trades and bans,
verify_chain the chain, verify_money transfers and accounts, this module the totals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verify_chain import Progress, check_chain
from verify_energy import BUYER, P2P, SELLER, check_members, transactions
from verify_folder import COMMUNITY, REGULATOR, Saved, read_folder, step_name
from verify_money import check_money
from verify_read import Finding, Findings, Unreadable, compare, is_number, show, unit_of

__all__ = ["Finding", "Report", "Unreadable", "verify"]

SHARE_TOLERANCE = 5e-5  # a share of summary.json may be rounded to 4 decimals
EUR_TOLERANCE = 1e-6
KWH_TOLERANCE = 1e-5  # totals are whole Wh


@dataclass(frozen=True)
class Report:
    """What verification found: the findings (the first of each rule), their number by rule, the tip."""

    findings: list[Finding]
    totals: dict[str, int]
    counts: dict[str, int]  # members, steps, trades, blocks
    tip: str | None

    @property
    def ok(self) -> bool:
        return not self.totals


def verify(
    folder: Path, tip: str | None = None, race: bool = False, progress: Progress | None = None
) -> Report:
    """Everything in a results folder that its files, settings and laws do not allow.

    `tip` demands that the chain ends with this block hash, `race` mines every block again. `progress`
    is told what is being done and which share of it. Raises Unreadable with all problems of reading.
    """
    tell = progress or (lambda phase, share: None)
    findings = Findings()
    saved = read_folder(Path(folder), findings, tell)
    tell("energy, trades and bans", 0.0)
    check_members(saved, findings)
    if saved.chain:
        check_chain(
            saved.chain, saved.settings.chain, transactions(saved.trades), findings, race, tell
        )
    tell("money", 0.0)
    cash_nanoeur = check_money(saved, findings)
    tell("totals", 0.0)
    check_community(saved, findings)
    check_log(saved, findings)
    check_summary(saved, cash_nanoeur, findings)
    found = saved.chain.tip if saved.chain else None
    if tip is not None and tip.strip().lower() != found:
        findings.add("chain", "tip", f"the chain ends with {show(found)}, expected {show(tip)}")
    counts = {
        "members": len(saved.members),
        "steps": saved.steps,
        "trades": saved.trades.rows,
        "blocks": blocks_mined(saved),
    }
    return Report(findings.kept, dict(findings.totals), counts, found)


# ---------------------------------------------------------------------------------------- totals


def blocks_mined(saved: Saved) -> int:
    """Blocks after the genesis."""
    return max(len(saved.chain.blocks) - 1, 0) if saved.chain else 0


def check_community(saved: Saved, findings: Findings) -> None:
    """Each row of community_summary.csv is the sum of its members, trades and blocks."""
    c, e, o, trades = saved.community, saved.energy, saved.trading, saved.trades
    steps = trades["timestep"][saved.sound_trades]
    is_p2p = trades["trade_type"][saved.sound_trades] == P2P
    trades_of = np.bincount(steps, minlength=saved.steps)
    p2p_of = np.bincount(steps[is_p2p], minlength=saved.steps)
    size = saved.settings.chain.block_size
    expected = {
        "pv_wh": saved.per_step(e["pv_wh"]),
        "load_wh": saved.per_step(e["load_wh"]),
        "p2p_wh": saved.per_step(e["p2p_bought_wh"]),
        "p2p_trades": p2p_of,
        "market_wh": saved.per_step(e["market_bought_wh"] + e["market_sold_wh"]),
        "market_trades": trades_of - p2p_of,
        "grid_import_wh": saved.per_step(e["grid_import_wh"]),
        "grid_export_wh": saved.per_step(e["grid_export_wh"]),
        "active_buyers": saved.per_step((o["role"] == BUYER).astype(np.int64)),
        "active_sellers": saved.per_step((o["role"] == SELLER).astype(np.int64)),
        "banned_prosumers": saved.per_step(o["is_banned"]),
        "blocks_mined": -(-trades_of // size) if saved.chain else np.zeros(saved.steps, np.int64),
    }
    for name, value in expected.items():
        compare(findings, "community_summary", step_name, name, c[name], value)
    for name, column in c.columns.items():
        if name.endswith(("_wh", "_microeur_per_kwh")):
            findings.rows(
                column < 0, "negative price", step_name, lambda t: f"{name} is {column[t]}"
            )
    low, high = c["market_sell_price_microeur_per_kwh"], c["market_buy_price_microeur_per_kwh"]
    findings.rows(
        low > high,
        "market price",
        step_name,
        lambda t: f"sellers get {low[t]}, buyers pay {high[t]}",
    )


def check_log(saved: Saved, findings: Findings) -> None:
    """simulation_log.json tells the same community figures, step by step."""
    findings.differ(
        "simulation_log.json", "simulation_log", "number of steps", len(saved.log), saved.steps
    )
    for step, told in enumerate(saved.log[: saved.steps]):
        if type(told) is not dict:
            findings.add(step_name(step), "simulation_log", f"is {show(told)}, expected an object")
            continue
        for column in COMMUNITY.split(","):
            name, decimals = unit_of(column)
            value, expected = told.get(column), int(saved.community[name][step])
            if column in told and not near(value, expected / 10**decimals, 0.01 / 10**decimals):
                detail = f"{column} is {show(value)}, community_summary.csv says {expected / 10**decimals}"
                findings.add(step_name(step), "simulation_log", detail)


def near(told: object, expected: float, tolerance: float) -> bool:
    """Whether a JSON value is this number; no text, no truth value, nothing infinite."""
    return is_number(told) and abs(float(told) - expected) <= tolerance + 1e-12 * abs(expected)


def check_summary(saved: Saved, cash_nanoeur: int, findings: Findings) -> None:
    """summary.json: every total that the other files determine."""
    told, e, c = saved.summary, saved.energy, saved.community
    blocks = saved.chain.blocks if saved.chain else []
    net = saved.per_step(
        e["market_bought_wh"] + e["grid_import_wh"] - e["market_sold_wh"] - e["grid_export_wh"]
    )
    imported, exported = int(np.maximum(net, 0).sum()), int(np.maximum(-net, 0).sum())
    stored_kwh = stored_change_kwh(saved)
    exact = {
        "seed": saved.settings.seed,
        "p2p_trades": int(c["p2p_trades"].sum()),
        "market_trades": int(c["market_trades"].sum()),
        "blocks": blocks_mined(saved),
        "hashes": sum(block.hashes_tried for block in blocks),
    }
    for name, value in exact.items():
        findings.differ("summary.json", "summary", name, told.get(name), value)
    tip = saved.chain.tip if saved.chain else None
    if told.get("chain_tip") != tip and (saved.chain or told.get("chain_tip")):
        findings.differ("summary.json", "summary", "chain_tip", told.get("chain_tip"), tip)
    totals = ("pv", "load", "p2p", "market", "grid_import", "grid_export")
    real = {f"{name}_kwh": (int(c[f"{name}_wh"].sum()) / 1000, KWH_TOLERANCE) for name in totals}
    real["community_import_kwh"] = imported / 1000, KWH_TOLERANCE
    real["community_export_kwh"] = exported / 1000, KWH_TOLERANCE
    real["community_cost_eur"] = cash_nanoeur / 1e9, EUR_TOLERANCE
    real["stored_change_kwh"] = stored_kwh, 1e-3 + 1e-6 * len(saved.members)
    load_kwh, pv_kwh = real["load_kwh"][0], real["pv_kwh"][0]
    if load_kwh:
        inside = 1 - (imported / 1000 + max(0.0, -stored_kwh)) / load_kwh
        real["self_sufficiency"] = inside, SHARE_TOLERANCE
    if pv_kwh:
        kept = 1 - (exported + int(e["curtailed_wh"].sum())) / 1000 / pv_kwh
        real["self_consumption"] = kept, SHARE_TOLERANCE
    for name, (value, tolerance) in real.items():
        if not near(told.get(name), value, tolerance):
            findings.add(
                "summary.json", "summary", f"{name} is {show(told.get(name))}, expected {value}"
            )
    check_value_of_storage(saved, stored_kwh, findings)
    check_bans_and_regulator(saved, findings)


def stored_change_kwh(saved: Saved) -> float:
    """What all batteries together hold at the end more than at the start."""
    last = saved.energy["battery_level_milliwh"][-len(saved.members) :]
    return int(last.sum()) / 1e6 - sum(member.initial_kwh for member in saved.members)


def check_value_of_storage(saved: Saved, stored_kwh: float, findings: Findings) -> None:
    """The stored energy is valued at a mean price between buyers' and sellers', and taken off the cost."""
    told, c = saved.summary, saved.community
    value, cost, net = (
        told.get(f"{name}_eur") for name in ("stored_change_value", "community_cost", "net_cost")
    )
    if not (is_number(value) and is_number(cost) and is_number(net)):
        findings.add(
            "summary.json", "summary", f"costs are {show([value, cost, net])}, expected numbers"
        )
        return
    if saved.steps:
        names = ("market_sell_price_microeur_per_kwh", "market_buy_price_microeur_per_kwh")
        bounds = sorted(stored_kwh * float(c[name].mean()) / 1e6 for name in names)
        if not bounds[0] - 1e-3 <= value <= bounds[1] + 1e-3:
            detail = (
                f"stored_change_value_eur is {value}, expected {bounds[0]:.6f} to {bounds[1]:.6f}"
            )
            findings.add("summary.json", "summary", detail)
    if not near(net, cost - value, 2 * EUR_TOLERANCE):
        findings.add("summary.json", "summary", f"net_cost_eur is {net}, expected {cost - value}")


def check_bans_and_regulator(saved: Saved, findings: Findings) -> None:
    """Who was ever banned, and what the regulator's account holds."""
    told, n = saved.summary, len(saved.members)
    by_member = (
        saved.actions["is_banned"].reshape(-1, n),
        saved.actions["ban_steps_left"].reshape(-1, n),
    )
    in_force, decided = (int((column > 0).any(axis=0).sum()) for column in by_member)
    ever = told.get("banned_ever")
    if type(ever) is not int or not in_force <= ever <= decided:
        detail = f"banned_ever is {show(ever)}, expected {in_force} to {decided}"
        findings.add("summary.json", "summary", detail)
    rows = np.flatnonzero(saved.accounts["account_id"] == REGULATOR)
    for nanoeur in saved.accounts["balance_nanoeur"][rows].tolist():
        if not near(told.get("regulator_balance_eur"), nanoeur / 1e9, EUR_TOLERANCE):
            detail = f"regulator_balance_eur is {show(told.get('regulator_balance_eur'))}, expected {nanoeur / 1e9}"
            findings.add("summary.json", "summary", detail)
