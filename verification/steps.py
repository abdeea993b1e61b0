"""Figures of single steps beyond sums over members: the clock, residuals, prices, penalties, and the log.

Columns that a run need not have are read here, as texts: they can be judged only beside the numbers of
other files.
"""

from __future__ import annotations

import csv
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from verification.columns import BadField, whole_units
from verification.findings import Findings, Unreadable, reason_of, show
from verification.folder import (
    BUY_PRICE,
    MARKET_PRICE,
    SELL_PRICE,
    Saved,
    community_columns,
    step_name,
)
from verification.params import microeur
from verification.read import Reader
from verification.tables import P2P, unit_of
from verification.told import close, shown

SECONDS_PER_DAY, SECONDS_PER_HOUR = 86_400, 3600
DAYS_BETWEEN_CHANGES = 28  # of clocks, at least: some countries interrupt summer time for a month
NEARLY = 0.015  # by which a part of an hour that is told rounded, as 0.33, may be missed
LOG_TOLERANCE = 1e-9  # the log tells the decimals of the table, as floats
P2P_PRICE = "p2p_price_eur_per_kwh"
OPTIONAL = ("timestamp", P2P_PRICE, "stored_kwh")
"""Columns of our community_summary.csv; another program may mean something else by them."""
CLOCK = ("timestep", "hour")
"""No figures, so another program's log need not tell them."""

Texts = dict[str, list[str]]  # columns of community_summary.csv as they stand there


def read_texts(folder: Path) -> Texts:
    """The OPTIONAL columns that there are, of a folder of ours that could be read."""
    reader, texts = Reader(folder, Findings()), Texts()
    try:
        for piece in reader.pieces("community_summary.csv", (), optional=OPTIONAL):
            for name in piece.place:
                texts.setdefault(name, []).extend(piece.texts(name))
    except (OSError, ValueError, csv.Error) as error:  # it changed since it was read
        raise Unreadable([f"community_summary.csv: {reason_of(error)}"]) from None
    return texts


def check_steps(saved: Saved, texts: Texts, findings: Findings) -> None:
    """All rules of this module; figures that the contract leaves open, only of our own runs."""
    if not saved.settings.ours:
        check_clock_of_others(saved, findings)
    else:
        check_clock(saved, texts, findings)
        check_residuals(saved, findings)
        check_market_price(saved, findings)
    if findings.totals["rows"] or any(len(column) != saved.steps for column in texts.values()):
        texts = {}  # they do not stand beside their numbers
    else:
        check_told_columns(saved, texts, findings)
    check_log(saved, texts, findings)


# ------------------------------------------------------------------------------------- the clock


def check_clock(saved: Saved, texts: Texts, findings: Findings) -> None:
    """hour follows from the step, its length and the start: midnight, or that of the data file."""
    start = 0
    if saved.settings.took("data"):
        begin = check_timestamps(saved, texts, findings)
        if begin is None:
            return
        start = begin.hour * 3600 + begin.minute * 60 + begin.second
    elif "timestamp" in texts:
        findings.add("community_summary.csv", "timestamp", "is told, but no data file gave a date")
    seconds = start + saved.settings.step_seconds * np.arange(saved.steps, dtype=np.int64)
    due = seconds % SECONDS_PER_DAY // 3600
    findings.compare("hour", step_name, "hour", saved.community["hour"], due)


def check_clock_of_others(saved: Saved, findings: Findings) -> None:
    """Another program may begin at any time, and its clocks may change now and then; else hour goes on with the steps."""
    length, hours = meant(saved.settings.step_seconds), saved.community["hour"].tolist()
    days = saved.steps * length // SECONDS_PER_DAY
    changes = 1 + days // DAYS_BETWEEN_CHANGES
    # changes seen, hours shifted, and between what seconds into the hour the run began
    states = {(0, 0, 0, SECONDS_PER_HOUR)}
    for t, hour in enumerate(hours):
        whole, rest = divmod(t * length, SECONDS_PER_HOUR)
        ahead, possible = hour - hours[0] - whole, set[tuple[int, int, int, int]]()
        for seen, shift, least, most in states:
            if bounds := begun((ahead - shift) % 24, rest, least, most):
                possible.add((seen, shift, *bounds))
            elif seen < changes:  # by an hour, or by half of it
                for shifted in (shift, shift + 1, shift - 1):
                    if bounds := begun((ahead - shifted) % 24, rest, 0, SECONDS_PER_HOUR):
                        possible.add((seen + 1, shifted, *bounds))
        if not possible:
            detail = f"hour is {hour}, {whole} whole hours after {hours[0]}"
            findings.add(step_name(t), "hour", detail)
            return
        states = possible


def begun(ahead: int, rest: int, low: int, high: int) -> tuple[int, int] | None:
    """Seconds into the hour, from and to, at which a run began whose clock is so far ahead of its whole hours."""
    if ahead == 0:
        high = min(high, SECONDS_PER_HOUR - rest)
    elif ahead == 1:
        low = max(low, SECONDS_PER_HOUR - rest)
    return (low, high) if ahead <= 1 and low < high else None


def meant(seconds: int) -> int:
    """A step's length; what is nearly a half, a third or another part of an hour is told with few decimals."""
    part = SECONDS_PER_HOUR // max(round(SECONDS_PER_HOUR / seconds), 1)
    return part if abs(seconds - part) <= NEARLY * part else seconds


def check_timestamps(saved: Saved, texts: Texts, findings: Findings) -> datetime | None:
    """Steps of a data file begin one step length after another; gives the first begin."""
    told = texts.get("timestamp", [])
    step = timedelta(seconds=saved.settings.step_seconds)
    try:
        begin = datetime.strptime(told[0], "%Y-%m-%d %H:%M:%S")
        due = [(begin + t * step).isoformat(" ") for t in range(len(told))]
    except (IndexError, ValueError, OverflowError):
        found = show(told[0]) if told else "missing"
        detail = f"timestamp is {found}, should be the begin of the data: 2017-06-05 13:00:00"
        findings.add("step 0", "timestamp", detail)
        return None
    for t, text in enumerate(told):
        if text != due[t]:
            findings.add(step_name(t), "timestamp", f"timestamp is {show(text)}, expected {due[t]}")
    return begin


# ------------------------------------------------------------------ residuals, prices, penalties


def check_residuals(saved: Saved, findings: Findings) -> None:
    """surplus, deficit and net of each step, from its meters.

    The residual is what a home leaves after its own battery. A battery that trades for itself does so
    only where the residual is 0, and a home with a deficit does not charge, nor one with a surplus
    discharge: so who charges and bought from neighbours bought for the battery, and who discharges
    and sold to them sold from it.
    """
    e, c = saved.energy, saved.community
    charge, discharge = e["battery_charge_wh"], e["battery_discharge_wh"]
    own_charge = charge - np.where(charge > 0, e["p2p_bought_wh"], 0)
    own_discharge = discharge - np.where(discharge > 0, e["p2p_sold_wh"], 0)
    residual = e["pv_wh"] + own_discharge - e["load_wh"] - own_charge
    net = e["market_bought_wh"] + e["grid_import_wh"] - e["market_sold_wh"] - e["grid_export_wh"]
    for name, due in (
        ("surplus_wh", saved.per_step(np.maximum(residual, 0))),
        ("deficit_wh", saved.per_step(np.maximum(-residual, 0))),
        ("net_wh", saved.per_step(net)),
    ):
        findings.compare("community_summary", step_name, name, c[name], due)


def check_market_price(saved: Saved, findings: Findings) -> None:
    """The market price lies a fee below what buyers pay and a fee above what sellers get.

    The fee is cut where the utility would be the better choice; beside a price file there is none, and
    the market price is the mean of import and export price.
    """
    c = saved.community
    price, sell, buy = c[MARKET_PRICE], c[SELL_PRICE], c[BUY_PRICE]
    words = "market_price {}, sellers get {}, buyers pay {} (micro-euro per kWh)"
    wrong = (price < sell) | (price > buy)
    (fee,) = saved.settings.all_numbers("LOCAL_MARKET_FEE")
    if saved.settings.took("prices"):
        wrong |= price != (buy + sell) // 2
    else:
        fee_microeur = microeur(fee)
        retail, feed_in = (c[f"grid_{way}_price_microeur_per_kwh"] for way in ("import", "export"))
        wrong |= buy != np.minimum(price + fee_microeur, retail)
        wrong |= sell != np.maximum(price - fee_microeur, feed_in)
    findings.rows(wrong, "market price", step_name, words, price, sell, buy)


# ----------------------------------------------------------------- columns told beyond the contract


def check_told_columns(saved: Saved, texts: Texts, findings: Findings) -> None:
    """stored_kwh and the mean price between neighbours, where community_summary.csv tells them."""
    n, rule = len(saved.members), "community_summary"
    for name in ("stored_kwh", P2P_PRICE):
        if name not in texts and saved.settings.ours:
            findings.add("community_summary.csv", rule, f"{name} is missing")
    if "stored_kwh" in texts:
        try:
            stored = whole_units(texts["stored_kwh"], 6)
        except BadField as bad:
            detail = f"stored_kwh is {show(texts['stored_kwh'][bad.row])}, {bad.why}"
            findings.add(step_name(bad.row), rule, detail)
        else:
            due = saved.per_step(saved.energy["battery_level_milliwh"])
            wrong = np.abs(stored - due) > 1 + n / 2  # each level is rounded by itself
            words = "stored {} milli-Wh, expected {}"
            findings.rows(wrong, rule, step_name, words, stored, due)
    prices = [f"{price:.6f}" if price is not None else "" for price in p2p_prices(saved)]
    for t, told in enumerate(texts.get(P2P_PRICE, [])):
        if told != prices[t]:
            detail = f"{P2P_PRICE} is {show(told)}, expected {show(prices[t])}"
            findings.add(step_name(t), rule, detail)


def p2p_prices(saved: Saved) -> list[float | None]:
    """Mean price between neighbours in each step (T), whole micro-euro cut off; None without trades."""
    trades, wh, nanoeur = saved.trades, *np.zeros((2, saved.steps), np.int64)
    p2p = saved.sound_trades & (trades["trade_type"] == P2P)
    np.add.at(wh, trades["timestep"][p2p], trades["energy_wh"][p2p])
    np.add.at(nanoeur, trades["timestep"][p2p], trades["amount_nanoeur"][p2p])
    prices = (nanoeur // np.maximum(wh, 1)).tolist()
    return [price / 1e6 if some else None for price, some in zip(prices, wh > 0, strict=True)]


# ------------------------------------------------------------------------------------- the log


def check_log(saved: Saved, texts: Texts, findings: Findings) -> None:
    """simulation_log.json tells the same community figures, step by step."""
    rule = "simulation_log"
    findings.differ("simulation_log.json", rule, "number of steps", len(saved.log), saved.steps)
    columns = log_columns(saved, texts)
    for step, told in enumerate(saved.log[: saved.steps]):
        if type(told) is not dict:
            findings.add(step_name(step), rule, f"is {show(told)}, expected an object")
            continue
        for name, values, tolerance in columns:
            due, value = values[step], told.get(name)
            if value == due and type(value) is type(due):  # as nearly always
                if value is not None or name in told or not saved.settings.ours:
                    continue
            if name in CLOCK and name not in told and not saved.settings.ours:
                continue
            if not (type(due) is float and close(value, due, tolerance)):
                detail = f"{name} is {shown(told, name)}, community_summary.csv says {show(due)}"
                findings.add(step_name(step), rule, detail)


def log_columns(saved: Saved, texts: Texts) -> list[tuple[str, list[Any], float]]:
    """(name, value in each step, tolerance) of every column of community_summary.csv."""
    columns: list[tuple[str, list[Any], float]] = []
    for name in community_columns(saved.settings).split(","):
        unit, decimals = unit_of(name)
        values = saved.community[unit]
        due = (values / 10**decimals if decimals else values).tolist()
        columns.append((name, due, LOG_TOLERANCE))
    if "stored_kwh" in texts:
        with suppress(BadField):  # which is told where the column is read
            stored = whole_units(texts["stored_kwh"], 6) / 1e6
            tolerance = LOG_TOLERANCE if saved.settings.ours else 1.1e-6  # rounded once more
            columns.append(("stored_kwh", stored.tolist(), tolerance))
    if P2P_PRICE in texts:
        columns.append((P2P_PRICE, p2p_prices(saved), LOG_TOLERANCE))
    if len(texts.get("timestamp", [])) == saved.steps:
        columns.append(("timestamp", texts["timestamp"], 0.0))
    return columns
