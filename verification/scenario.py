"""The second reading of a folder against its scenario: what params.json promises beyond the laws.

What energy costs outside, which levers an objective may set. A rule applies where params.json holds the
settings that it refers to.
"""

from __future__ import annotations

import numpy as np

from verification.findings import BoolArray, Findings, show
from verification.folder import Saved, step_name
from verification.params import OBJECTIVES, microeur

LEVERS = {
    "RENEWABLE_BONUS": "renewable_bonus",
    "P2P_BONUS": "p2p_bonus",
    "PENALTY_FOR_MARKET": "market_penalty",
}
DOUBLED = {"maximize_p2p": ("p2p_bonus", "market_penalty")}
"""Money levers that an objective sets to twice their setting; chaos draws up to that."""


def check_scenario(saved: Saved, findings: Findings) -> None:
    """All rules that follow from the settings of this very run."""
    check_meters_and_orders(saved, findings)
    check_outside_prices(saved, findings)
    check_levers(saved, findings)


# ------------------------------------------------------------------------------ meters and orders


def check_meters_and_orders(saved: Saved, findings: Findings) -> None:
    """Nobody buys from the utility while selling to it; nothing is curtailed; no order exceeds the cap."""
    if not saved.settings.ours:
        return
    e, order, name = saved.energy, saved.trading["order_wh"], saved.row_name
    taken, given = e["grid_import_wh"], e["grid_export_wh"]
    words = "{} Wh from the utility and {} Wh to it at once"
    findings.rows((taken > 0) & (given > 0), "both ways", name, words, taken, given)
    lost = e["curtailed_wh"]
    findings.rows(lost != 0, "curtailed", name, "{} Wh, although nothing limits exports", lost)
    words = f"order of {{}} Wh, at most {saved.settings.trade_cap_wh} Wh in a step"
    findings.rows(order > saved.settings.trade_cap_wh, "trade cap", name, words, order)


# -------------------------------------------------------------------------------- prices, levers


def check_outside_prices(saved: Saved, findings: Findings) -> None:
    """What the utility asks and pays, and the local market beside it where both follow from a price file."""
    c, name = saved.community, "{}_price_microeur_per_kwh".format
    pairs = {"grid_import": "RETAIL_PRICE", "grid_export": "FEED_IN_PRICE"}
    if saved.settings.took("prices"):
        for grid, market in (("grid_import", "market_buy"), ("grid_export", "market_sell")):
            rule = f"{market} price of the price file"
            findings.compare("price file", step_name, rule, c[name(market)], c[name(grid)])
        return
    for grid, setting in pairs.items():
        euro = saved.settings.number(setting)
        if euro is not None:
            due = np.full(saved.steps, microeur(euro))
            findings.compare("utility price", step_name, setting, c[name(grid)], due)


def check_levers(saved: Saved, findings: Findings) -> None:
    """Money levers are the settings, doubled where the objective says so; chaos draws up to double.

    Bonuses are 0 where the budget was spent before the step.
    By how much an objective scales them is another program's own affair, but nothing stays nothing.
    """
    objective = saved.settings.objective
    if not saved.settings.ours:
        check_no_lever_of_nothing(saved, findings)
        return
    if objective not in OBJECTIVES:
        words = f"REGULATOR_OBJECTIVE is {show(objective)}, expected one of {', '.join(OBJECTIVES)}"
        findings.add("params.json", "lever", words)
        return
    spent = is_budget_spent(saved)
    for setting, lever in LEVERS.items():
        (euro,) = saved.settings.all_numbers(setting)
        found = saved.community[f"{lever}_microeur_per_kwh"]
        due = np.full(saved.steps, microeur(euro) * (1 + (lever in DOUBLED.get(objective, ()))))
        due[spent & lever.endswith("bonus")] = 0
        if objective != "chaos":
            findings.compare("lever", step_name, setting, found, due)
        words = f"{setting} of {{}} under chaos, at most twice {{}}"
        wrong = (found > 2 * due) & (objective == "chaos")
        findings.rows(wrong, "lever", step_name, words, found, due)


def is_budget_spent(saved: Saved) -> BoolArray:
    """Whether, before each step (T), bonuses less penalties had reached REGULATOR_BUDGET."""
    (budget_eur,) = saved.settings.all_numbers("REGULATOR_BUDGET")
    paid, taken = (saved.actions[name] for name in ("bonus_nanoeur", "penalty_nanoeur"))
    handed_out = np.cumsum(saved.per_step(paid - taken))
    return np.concatenate([[0], handed_out[:-1]]) >= round(budget_eur * 1e9)


def check_no_lever_of_nothing(saved: Saved, findings: Findings) -> None:
    """An objective scales the money levers of the settings: where that is 0, so is the lever."""
    if not saved.settings.objective:
        return
    for setting, lever in LEVERS.items():
        if saved.settings.number(setting) == 0:
            found = saved.community[f"{lever}_microeur_per_kwh"]
            findings.compare("lever", step_name, setting, found, 0 * found)
