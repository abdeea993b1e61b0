"""The second reading of a folder against its scenario: what params.json promises beyond the laws.

How strong sun and homes can be, what energy costs outside, which levers an objective may set. A rule
applies where params.json holds the settings that it refers to.
"""

from __future__ import annotations

import numpy as np

from verification.findings import Findings, show
from verification.folder import MARKET_PRICE, Saved, step_name
from verification.read import is_number

LEVERS = {
    "RENEWABLE_BONUS": "renewable_bonus",
    "P2P_BONUS": "p2p_bonus",
    "PENALTY_FOR_MARKET": "market_penalty",
}
OBJECTIVES = ("maximize_renewable", "maximize_profit", "maximize_p2p", "chaos")
DOUBLED = {"maximize_p2p": ("p2p_bonus", "market_penalty")}
"""Money levers that an objective sets to twice their setting; chaos draws up to that."""
ROUNDED_WH = 1


def check_scenario(saved: Saved, findings: Findings) -> None:
    """All rules that follow from the settings of this very run."""
    check_synthetic_day(saved, findings)
    check_meters_and_orders(saved, findings)
    check_outside_prices(saved, findings)
    check_levers(saved, findings)
    check_length_of_bans(saved, findings)


# ------------------------------------------------------------------------------ what is promised


def inputs(saved: Saved, name: str) -> bool:
    """Whether the run took this file: data, members or prices."""
    given = saved.settings.told.get("inputs")
    return type(given) is dict and name in given


def number(saved: Saved, name: str) -> float | None:
    """A setting that is a number, None where it is not there."""
    value = saved.settings.told.get(name)
    return float(value) if is_number(value) else None


def all_numbers(saved: Saved, *names: str) -> list[float]:
    """These settings, or nothing unless all of them are there and numbers."""
    values = [number(saved, name) for name in names]
    return [] if None in values else [value or 0.0 for value in values]


def numbers(saved: Saved, name: str) -> list[float]:
    """A setting that is a list of numbers, empty where it is not there."""
    value = saved.settings.told.get(name)
    if type(value) is not list or not all(map(is_number, value)):
        return []
    return [float(one) for one in value]


def microeur(euro: float) -> int:
    return round(euro * 10**6)


# ------------------------------------------------------------------------------ meters and orders


def check_synthetic_day(saved: Saved, findings: Findings) -> None:
    """PV and load stay within what the largest roof and home could make and use in a step."""
    sun = all_numbers(saved, "PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "ROOF_VARIATION")
    use = all_numbers(saved, "LOAD_VARIATION", "MIN_LOAD", "TIME_STEP_DURATION")
    roofs, homes = numbers(saved, "PV_CAPACITY"), numbers(saved, "BASE_CONSUMPTION")
    pattern = numbers(saved, "LOAD_PATTERN")
    if inputs(saved, "data") or not (sun and use and roofs and homes and pattern):
        return
    (efficiency, season, roof), (variation, least, hours) = sun, use
    most_pv = max(roofs) * efficiency * season * (1 + roof)
    most_load = max(max(homes) * max(pattern) * (1 + variation), least)
    for flow, kwh in (("pv_wh", most_pv), ("load_wh", most_load)):
        wh, most = saved.energy[flow], kwh * hours * 1000 + ROUNDED_WH
        words = f"{flow} is {{}}, at most {most:.0f} with these settings"
        findings.rows(wh > most, "synthetic day", saved.row_name, words, wh)


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
    """What the utility asks and pays, and what the local market may cost beside it."""
    c, name = saved.community, "{}_price_microeur_per_kwh".format
    pairs = {"grid_import": "RETAIL_PRICE", "grid_export": "FEED_IN_PRICE"}
    if inputs(saved, "prices"):
        for grid, market in (("grid_import", "market_buy"), ("grid_export", "market_sell")):
            rule = f"{market} price of the price file"
            findings.compare("price file", step_name, rule, c[name(market)], c[name(grid)])
        return
    for grid, setting in pairs.items():
        euro = number(saved, setting)
        if euro is not None:
            due = np.full(saved.steps, microeur(euro))
            findings.compare("utility price", step_name, setting, c[name(grid)], due)
    if saved.settings.ours:
        check_price_of_the_hour(saved, findings)


def check_price_of_the_hour(saved: Saved, findings: Findings) -> None:
    """The market price varies around that of its hour as much as the settings say."""
    told, pattern = (
        all_numbers(saved, "BASE_PRICE", "PRICE_VARIATION"),
        numbers(saved, "PRICE_PATTERN"),
    )
    if not told or len(pattern) != 24:
        return
    base, width = told
    price = saved.community[MARKET_PRICE]
    usual = base * 1e6 * np.array(pattern)[np.clip(saved.community["hour"], 0, 23)]
    wrong = (price < np.floor(usual * (1 - width))) | (price > np.ceil(usual * (1 + width)))
    words = "market price {}, usual at this hour {:.0f} micro-euro per kWh"
    findings.rows(wrong, "market price", step_name, words, price, usual)


def check_levers(saved: Saved, findings: Findings) -> None:
    """Money levers are the settings, doubled where the objective says so; chaos draws up to double."""
    objective = saved.settings.told.get("REGULATOR_OBJECTIVE")
    if objective is not None and objective not in OBJECTIVES:
        words = f"REGULATOR_OBJECTIVE is {show(objective)}, expected one of {', '.join(OBJECTIVES)}"
        findings.add("params.json", "lever", words)
    for setting, lever in LEVERS.items():
        euro = number(saved, setting)
        if euro is None or objective not in OBJECTIVES:
            continue
        found = saved.community[f"{lever}_microeur_per_kwh"]
        due = np.full(saved.steps, microeur(euro) * (1 + (lever in DOUBLED.get(objective, ()))))
        if objective != "chaos":
            findings.compare("lever", step_name, setting, found, due)
        words = f"{setting} of {{}} under chaos, at most twice {{}}"
        wrong = (found > 2 * due) & (objective == "chaos")
        findings.rows(wrong, "lever", step_name, words, found, due)


def check_length_of_bans(saved: Saved, findings: Findings) -> None:
    """A ban begins with one of the two lengths in the settings, after a penalty in this very step."""
    told = all_numbers(saved, "BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "TIME_STEP_DURATION")
    if not told:
        return
    lengths = [-(-round(hours * 3600) // round(told[2] * 3600)) for hours in told[:2]]
    left, n = saved.actions["ban_steps_left"], len(saved.members)
    before = np.concatenate([np.zeros(n, np.int64), left])[: len(left)]
    begins = (before == 0) & (left > 0)
    words = f"a ban of {{}} steps begins, expected {lengths[0]} or {lengths[1]}"
    findings.rows(begins & ~np.isin(left, lengths), "ban length", saved.row_name, words, left)
    penalty = saved.actions["penalty_nanoeur"]
    words = "a ban begins without a penalty in this step"
    findings.rows(begins & (penalty == 0), "ban without cause", saved.row_name, words)
