"""The second reading of a folder against its scenario: what params.json promises beyond the laws.

How strong sun and homes can be, what energy costs outside, which levers an objective may set. A rule
applies where params.json holds the settings that it refers to.
"""

from __future__ import annotations

import numpy as np

from verification.findings import Findings, FloatArray, IntArray, show
from verification.folder import MARKET_PRICE, Saved, step_name
from verification.params import microeur
from verification.read import is_number
from verification.tables import LARGEST

LEVERS = {
    "RENEWABLE_BONUS": "renewable_bonus",
    "P2P_BONUS": "p2p_bonus",
    "PENALTY_FOR_MARKET": "market_penalty",
}
SECONDS_PER_DAY = 86_400
OBJECTIVES = ("maximize_renewable", "maximize_profit", "maximize_p2p", "chaos")
DOUBLED = {"maximize_p2p": ("p2p_bonus", "market_penalty")}
"""Money levers that an objective sets to twice their setting; chaos draws up to that."""


def check_scenario(saved: Saved, findings: Findings) -> None:
    """All rules that follow from the settings of this very run."""
    check_synthetic_day(saved, findings)
    check_meters_and_orders(saved, findings)
    check_outside_prices(saved, findings)
    check_levers(saved, findings)


# ------------------------------------------------------------------------------ meters and orders


def check_synthetic_day(saved: Saved, findings: Findings) -> None:
    """PV and load are what the settings allow: of our own runs those of each home at this hour of the day."""
    if saved.settings.took("data"):
        return
    if not saved.settings.ours:
        check_largest(saved, findings)
        return
    begin = saved.settings.step_seconds * np.arange(saved.steps) % SECONDS_PER_DAY
    check_sun(saved, begin / 3600, findings)
    check_load(saved, begin // 3600, findings)


def check_largest(saved: Saved, findings: Findings) -> None:
    """Another program may let the sun rise when it likes, on no larger roof and home than the settings have."""
    s = saved.settings
    sun = s.all_numbers("PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "ROOF_VARIATION")
    use = s.all_numbers("LOAD_VARIATION", "MIN_LOAD", "TIME_STEP_DURATION")
    roofs, homes = s.numbers("PV_CAPACITY"), s.numbers("BASE_CONSUMPTION")
    pattern = s.numbers("LOAD_PATTERN")
    if not (sun and use and roofs and homes and pattern):
        return
    (efficiency, season, roof), (variation, least, hours) = sun, use
    most_pv = max(roofs) * efficiency * season * (1 + roof)
    most_load = max(max(homes) * max(pattern) * (1 + variation), least)
    for flow, kwh in (("pv_wh", most_pv), ("load_wh", most_load)):
        wh, most = saved.energy[flow], kwh * hours * 1000 + 1  # rounded
        words = f"{flow} is {{}}, at most {most:.0f} with these settings"
        findings.rows(wh > most, "synthetic day", saved.row_name, words, wh)


def check_sun(saved: Saved, begin: FloatArray, findings: Findings) -> None:
    """PV is that of a roof to the south, the east or the west: one and the same for all steps.

    Full power is a half sine from 6 to 18 h, earlier for the east and later for the west; clouds take
    a part of it, and each roof varies. Which way it looks is not told, so the best fit is compared.
    """
    names = ("PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "CLOUD_MIN_TRANSMISSION", "ROOF_VARIATION")
    told = saved.settings.all_numbers(*names, "ORIENTATION_SHIFT")
    roofs = [member.told.get("pv_capacity_kw") for member in saved.members]
    if not told or not all(map(is_number, roofs)):
        return  # homes.py tells a roof that is missing
    hours = saved.settings.step_seconds / 3600
    efficiency, season, clouds, roof, shift = told
    full = np.array(roofs, np.float64) * efficiency * season * 1000
    pv = saved.energy["pv_wh"].reshape(saved.steps, len(roofs))
    fewest = np.full(len(roofs), saved.steps + 1)
    low, high = np.zeros(pv.shape, np.int64), np.zeros(pv.shape, np.int64)
    for later in (0.0, -shift, shift):
        homes = np.flatnonzero(fewest)  # those that fit no way so far
        clear = sun_hours(begin - later, hours)[:, None] * full[homes]
        least, most = rounded(clear * clouds * (1 - roof), clear * (1 + roof))
        misfits = ((pv[:, homes] < least) | (pv[:, homes] > most)).sum(axis=0)
        better = misfits < fewest[homes]
        fewest[homes[better]] = misfits[better]
        low[:, homes[better]], high[:, homes[better]] = least[:, better], most[:, better]
    tell_outside(saved, "pv_wh", low, high, findings)


def sun_hours(begin: FloatArray, hours: float) -> FloatArray:
    """Hours of full power in steps that begin so many hours after midnight."""
    a, b = (np.clip(time - 6, 0, 12) * np.pi / 12 for time in (begin, begin + hours))
    return np.asarray((np.cos(a) - np.cos(b)) * 12 / np.pi)


def check_load(saved: Saved, hour: IntArray, findings: Findings) -> None:
    """Load is that of the home's type at this hour, varied, one for the hour, and never below MIN_LOAD."""
    told = saved.settings.all_numbers("LOAD_VARIATION", "MIN_LOAD")
    homes, pattern = (
        saved.settings.numbers("BASE_CONSUMPTION"),
        saved.settings.numbers("LOAD_PATTERN"),
    )
    types = {f"type {k}": kwh for k, kwh in enumerate(homes, 1)}
    names = [str(member.told.get("home_type")) for member in saved.members]
    if not told or len(pattern) != 24 or not set(names) <= set(types):
        return  # homes.py tells a type that there is not
    variation, least = told
    hours = saved.settings.step_seconds / 3600
    usual = np.array(pattern)[hour][:, None] * np.array([types[n] for n in names])
    kwh = (np.maximum(usual * (1 + sign * variation), least) for sign in (-1, 1))
    low, high = rounded(*(part * hours * 1000 for part in kwh))
    tell_outside(saved, "load_wh", low, high, findings)
    load = saved.energy["load_wh"].reshape(low.shape)
    other = (load != before_in_the_hour(saved, load)).ravel()
    words = "load_wh is {}, it was another in a step of this hour before"
    findings.rows(other, "synthetic day", saved.row_name, words, load.ravel())


def before_in_the_hour(saved: Saved, column: IntArray) -> IntArray:
    """What a column (T, ...) held in the step before; itself where an hour begins with the step."""
    before, hour = column.copy(), saved.community["hour"]
    same = np.flatnonzero(hour[1:] == hour[:-1]) + 1
    before[same] = column[same - 1]
    return before


def rounded(least: FloatArray, most: FloatArray) -> tuple[IntArray, IntArray]:
    """The whole Wh from which and up to which a number between these two can be rounded."""
    room = 0.5 + 1e-6  # products of factors in another order differ in the last digits
    bounds = np.ceil(least * (1 - 1e-12) - room), np.floor(most * (1 + 1e-12) + room)
    low, high = (np.clip(bound, 0, LARGEST).astype(np.int64) for bound in bounds)
    return low, high


def tell_outside(
    saved: Saved, flow: str, low: IntArray, high: IntArray, findings: Findings
) -> None:
    wh, words = saved.energy[flow], flow + " is {}, between {} and {} with these settings"
    low, high = low.ravel(), high.ravel()
    outside = (wh < low) | (wh > high)
    findings.rows(outside, "synthetic day", saved.row_name, words, wh, low, high)


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
    """What the utility asks and pays, what the local market may cost beside it, and what was expected."""
    check_forecast(saved, findings)
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
    if saved.settings.ours:
        check_price_of_the_hour(saved, findings)


def check_forecast(saved: Saved, findings: Findings) -> None:
    """The forecast misses the market price by FORECAST_ERROR at most."""
    error = saved.settings.number("FORECAST_ERROR")
    if error is None or not saved.settings.ours:
        return
    price, seen = saved.community[MARKET_PRICE], saved.community["price_forecast_microeur_per_kwh"]
    least, most = np.floor(price * (1 - error)), np.ceil(price * (1 + error))
    words = "forecast {}, market price {} micro-euro per kWh"
    findings.rows((seen < least) | (seen > most), "forecast", step_name, words, seen, price)


def check_price_of_the_hour(saved: Saved, findings: Findings) -> None:
    """The market price varies around that of its hour as much as the settings say."""
    told, pattern = (
        saved.settings.all_numbers("BASE_PRICE", "PRICE_VARIATION"),
        saved.settings.numbers("PRICE_PATTERN"),
    )
    if not told or len(pattern) != 24:
        return
    base, width = told
    price = saved.community[MARKET_PRICE]
    usual = base * 1e6 * np.array(pattern)[np.clip(saved.community["hour"], 0, 23)]
    wrong = (price < np.floor(usual * (1 - width))) | (price > np.ceil(usual * (1 + width)))
    wrong |= price != before_in_the_hour(saved, price)
    words = "market price {}, usual at this hour {:.0f} micro-euro per kWh"
    findings.rows(wrong, "market price", step_name, words, price, usual)


def check_levers(saved: Saved, findings: Findings) -> None:
    """Money levers are the settings, doubled where the objective says so; chaos draws up to double."""
    objective = saved.settings.told.get("REGULATOR_OBJECTIVE")
    if objective is not None and objective not in OBJECTIVES:
        words = f"REGULATOR_OBJECTIVE is {show(objective)}, expected one of {', '.join(OBJECTIVES)}"
        findings.add("params.json", "lever", words)
    for setting, lever in LEVERS.items():
        euro = saved.settings.number(setting)
        if euro is None or objective not in OBJECTIVES:
            continue
        found = saved.community[f"{lever}_microeur_per_kwh"]
        due = np.full(saved.steps, microeur(euro) * (1 + (lever in DOUBLED.get(objective, ()))))
        if objective != "chaos":
            findings.compare("lever", step_name, setting, found, due)
        words = f"{setting} of {{}} under chaos, at most twice {{}}"
        wrong = (found > 2 * due) & (objective == "chaos")
        findings.rows(wrong, "lever", step_name, words, found, due)
