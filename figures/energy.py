"""Figures of energy: what served the homes, what became of their PV, what the batteries did."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import HALF_A_WH, NothingToShow, Results
from figures.registry import figure
from figures.style import (
    COLOUR,
    DASHED,
    MAP_RIGHT,
    MOST_NAMED,
    MUTED,
    PALE,
    RIGHT,
    WIDE_KEY,
    amount,
    bands,
    beside,
    canvas,
    day_map,
    key,
    line,
    many,
    patches,
    row_names,
    share,
    stack,
    stroke,
    time_axes,
    two_sided,
    whole_numbers,
    zero_line,
)
from figures.timeline import Timeline


def poured(data: Results, column: str, into: dict[str, str]) -> dict[str, np.ndarray]:
    """One flow of each home (T, N) shared out over others, kWh: each is filled before the next begins."""
    rest, parts = data.flow(column), {}
    for name, flow in into.items():
        parts[name] = np.minimum(rest, data.flow(flow))
        rest = rest - parts[name]
    return parts


def sources_of_load(data: Results) -> dict[str, np.ndarray]:
    """What served each home's load (T, N), kWh: own PV, then battery, neighbours, market, utility."""
    return poured(
        data,
        "load_kwh",
        {
            "own PV": "pv_kwh",
            "own battery": "battery_discharge_kwh",
            "neighbours (P2P)": "p2p_bought_kwh",
            "local market": "market_bought_kwh",
            "utility": "grid_import_kwh",
        },
    )


def uses_of_pv(data: Results) -> dict[str, np.ndarray]:
    """Where each home's PV went (T, N), kWh: load, then battery, neighbours, market, utility, nowhere."""
    return poured(
        data,
        "pv_kwh",
        {
            "used at once at home": "load_kwh",
            "into own battery": "battery_charge_kwh",
            "to neighbours (P2P)": "p2p_sold_kwh",
            "to the local market": "market_sold_kwh",
            "to the utility": "grid_export_kwh",
            "curtailed": "curtailed_kwh",
        },
    )


def outside(data: Results) -> tuple[np.ndarray, np.ndarray]:
    """(import, export) of the community as one (T), kWh: trades among members are netted."""
    net = data.community["net_kwh"].to_numpy()
    return np.maximum(net, 0), np.maximum(-net, 0)


@figure
def energy_balance(data: Results) -> Figure:
    """When does the community make, store, take and give energy?"""
    taken, given = outside(data)
    pv, load = data.total("pv_kwh"), data.total("load_kwh")
    if not (taken.any() or given.any() or pv.any() or load.any()):
        raise NothingToShow("No home made or used any energy in this run.")
    into = {
        "PV": ("pv", pv),
        "from batteries": ("battery", data.total("battery_discharge_kwh")),
        "from outside": ("outside", taken),
    }
    out = {
        "load": ("load", load),
        "into batteries": ("battery", data.total("battery_charge_kwh")),
        "to outside": ("outside", given),
        "curtailed": ("curtailed", data.total("curtailed_kwh")),
    }
    return two_sided(
        data,
        bands(data, into),
        bands(data, out),
        f"PV made {amount(pv.sum(), 'kWh')}, the homes used {amount(load.sum(), 'kWh')} "
        f"in {data.timeline.span}",
        "Above zero where energy came from, below where it went: equal at any time.",
        ("Sources", "Uses"),
    )


def who_served(kwh: dict[str, float]) -> str:
    """The shares of home and neighbours; before them the market or the utility where it served most."""
    whole = sum(kwh.values())
    own, near = kwh["own PV"] + kwh["own battery"], kwh["neighbours (P2P)"]
    mine = {"roof": kwh["own PV"], "battery": kwh["own battery"]}
    home = "own " + " and ".join(name for name, part in mine.items() if part)
    outside = max(("local market", "utility"), key=lambda name: kwh[name])
    if not own:
        return f"The {outside} served {share(kwh[outside], whole)} of the load, neighbours {share(near, whole)}"
    if max(own, near) >= kwh[outside]:
        return f"{home.capitalize()} served {share(own, whole)} of the load, neighbours {share(near, whole)}"
    return (
        f"The {outside} served {share(kwh[outside], whole)} of the load, "
        f"{home} {share(own, whole)}, neighbours {share(near, whole)}"
    )


def of_batteries(data: Results, served: dict[str, np.ndarray]) -> str:
    """What they hold of others, in words: energy of neighbours, and the charge that they began with.

    Both serve a home as its own battery's. Self-sufficiency counts that charge as bought.
    """
    bought, stored, nothing = data.total("p2p_bought_kwh").sum(), stored_kwh(data), "0 kWh"
    filled = amount(bought - served["neighbours (P2P)"].sum(), "kWh")
    told = [f"{filled} of {amount(bought, 'kWh')} P2P filled them"] * (filled != nothing)
    told += [f"they end with {more_or_less(stored)}"] * (more_or_less(stored) != AS_BEFORE)
    return "; " * bool(told) + ", ".join(told)


def what_serves_first(data: Results, served: dict[str, np.ndarray]) -> str:
    """The order in which a home's load is met, in words."""
    told = of_batteries(data, served) if data.has_batteries else ""
    if data.total("pv_kwh").any():
        then = "own batteries" if data.has_batteries else "what is bought"
        return f"Own PV serves first, then {then}{told}."
    return f"Own batteries serve first{told}." if data.has_batteries else "All of it is bought."


@figure
def energy_by_source(data: Results) -> Figure:
    """Who serves the homes' load?"""
    load = data.total("load_kwh")
    if not load.any():
        raise NothingToShow("No home used any energy in this run.")
    served = {name: part.sum(axis=1) for name, part in sources_of_load(data).items()}
    colours = dict(zip(served, ("pv", "battery", "p2p", "market", "utility"), strict=True))
    fig, (ax,) = canvas(
        who_served({name: float(part.sum()) for name, part in served.items()}),
        what_serves_first(data, served) + data.timeline.note,
        right=WIDE_KEY,
    )
    layers = bands(data, {name: (colours[name], part) for name, part in served.items()})
    stack(ax, data.timeline.edges, layers)
    line(ax, data.timeline.edges, data.timeline.rate(load), COLOUR["load"])
    time_axes([ax], data.timeline, ["Average power of the load (kW)"])
    load_key = stroke(f"load\n{amount(load.sum(), 'kWh')}", COLOUR["load"])
    key(ax, [load_key, *patches(reversed(layers))])
    return fig


@figure
def community_net_power(data: Results) -> Figure:
    """How much less do the homes exchange with outside as one community than one by one?"""
    timeline = data.timeline
    lack, left = (data.community[f"{name}_kwh"].to_numpy() for name in ("deficit", "surplus"))
    netted = np.maximum(lack - left, 0), np.maximum(left - lack, 0)
    taken, given = outside(data)
    fig, (ax,) = canvas(
        f"Exchange with outside: {amount((lack + left).sum(), 'kWh')} home by home, "
        f"{amount((taken + given).sum(), 'kWh')} as one community",
        "Above zero: taken from outside, below: given to outside." + timeline.note,
        right=WIDE_KEY,
    )
    stack(ax, timeline.edges, [("", PALE, timeline.rate(lack))])
    stack(ax, timeline.edges, [("", PALE, timeline.rate(left))], sign=-1)
    thin: Any = {"lw": 2, "ls": DASHED}
    curves: list[Any] = [(netted, COLOUR["load"], thin)]
    curves += [((taken, given), COLOUR["community"], {"lw": 3.2})]
    is_same = np.allclose(netted, (taken, given), rtol=0, atol=HALF_A_WH)
    for (above, below), colour, style in curves[is_same:]:
        for values in (above - below,) if timeline.steps_per_point == 1 else (above, -below):
            line(ax, timeline.edges, timeline.rate(values), colour, **style)
    zero_line(ax)
    time_axes([ax], timeline, ["Average power (kW)"])
    sums = [
        f"in {amount(above.sum(), 'kWh')},\nout {amount(below.sum(), 'kWh')}"
        for above, below in ((lack, left), netted, (taken, given))
    ]
    without = "home by home: what homes\nlack (above) and have left\n(below)"
    without += " after own batteries" * data.has_batteries
    meter = "netted: the same, all homes\nbehind one meter"
    within = "as one community: netted,\nand batteries that trade\nwith neighbours"
    if is_same:
        within = "as one community: the same,\nall homes behind one meter"
    entries = [
        stroke(f"{meter}\n{sums[1]}", COLOUR["load"], **thin),
        stroke(f"{within}\n{sums[2]}", COLOUR["community"], lw=3.2),
    ]
    key(ax, [Patch(fc=PALE, label=f"{without}\n{sums[0]}"), *entries[is_same:]])
    return fig


def stored_kwh(data: Results) -> np.ndarray:
    """Content of all batteries together before the first step and after each (T + 1)."""
    return np.append(data.members["initial_level_kwh"].sum(), data.community["stored_kwh"])


def more_or_less(stored: np.ndarray) -> str:
    """What batteries hold at the end beside the start, in words."""
    change = stored[-1] - stored[0]
    told = amount(abs(change), "kWh")
    return AS_BEFORE if told == "0 kWh" else f"{told} {'more' if change > 0 else 'less'}"


AS_BEFORE = "as much as they began with"


def need_batteries(data: Results) -> pd.Series:
    """The capacity of each member's battery (N), kWh."""
    capacity = data.members["battery_capacity_kwh"]
    if not capacity.any():
        raise NothingToShow("No member of this community owns a battery.")
    return capacity


CHARGING = LinearSegmentedColormap.from_list("charging", ["#762A83", "#F7F7F7", COLOUR["battery"]])


@figure
def battery_usage(data: Results) -> Figure:
    """When do the batteries work, and how full are they together?"""
    capacity, timeline = need_batteries(data), data.timeline
    charge, discharge = data.total("battery_charge_kwh"), data.total("battery_discharge_kwh")
    stored, long = stored_kwh(data), timeline.steps_per_point > 1
    length = "day" if timeline.hours <= 100 * 24 else "week"
    read = f"Colour: charging less discharging. Below: mean and range of each {length}."
    fig, (top, bottom) = canvas(
        f"Batteries took {amount(charge.sum(), 'kWh')} and gave {amount(discharge.sum(), 'kWh')}; "
        f"they end with {more_or_less(stored)}",
        f"{many(int((capacity > 0).sum()), 'battery', 'batteries')}, "
        f"{amount(capacity.sum(), 'kWh')} in all. "
        + (read if long else "Above zero charging, below discharging."),
        heights=(1.5, 1),
        right=MAP_RIGHT if long else RIGHT,
    )
    if long:
        power = (charge - discharge) / timeline.step_hours
        most = float(np.nanmax(np.abs(timeline.by_hour_and_day(power)))) or 1.0
        day_map(top, beside(top), timeline, power, "Power (kW)", CHARGING, (-most, most))
    else:
        stack(top, timeline.edges, [("", COLOUR["battery"], timeline.rate(charge))])
        stack(top, timeline.edges, [("", "#7FCEB9", timeline.rate(discharge))], sign=-1)
        zero_line(top)
    draw_content(bottom, timeline, stored)
    for setting, usual, name in (("MAX", 1.0, "full"), ("MIN", 0.0, "empty")):
        level = data.setting(f"BATTERY_{setting}_SOC", usual) * capacity.sum()
        bottom.axhline(level, color=MUTED, lw=1.5, ls=DASHED)
        bottom.annotate(
            name, (timeline.end, level), (-4, 3), textcoords="offset points", ha="right"
        )
    bottom.set_ylim(0, capacity.sum() * 1.15)
    names = ["Hour of the day" if long else "Average power (kW)", "Stored (kWh)"]
    time_axes([top, bottom], timeline, names)
    if long:
        top.grid(False)
    return fig


def draw_content(ax: Axes, timeline: Timeline, stored: np.ndarray) -> None:
    """The content over time as a line; where points gather steps, their mean and their range."""
    if timeline.steps_per_point == 1:
        ax.fill_between(timeline.edges, stored, color=COLOUR["battery"], alpha=0.35, lw=0)
        ax.plot(timeline.edges, stored, color=COLOUR["battery"])
        return
    low, high = (f.reduceat(stored[1:], timeline.firsts) for f in (np.minimum, np.maximum))
    ax.stairs(high, timeline.edges, baseline=low, fill=True, fc=COLOUR["battery"], alpha=0.35)
    line(ax, timeline.edges, timeline.mean(stored[1:]), COLOUR["battery"])


def fullest_first(data: Results) -> np.ndarray:
    """The battery owners (B), from the highest mean state of charge on."""
    owners = np.flatnonzero(data.members["battery_capacity_kwh"] > 0)
    mean = data.flow("battery_soc")[:, owners].mean(axis=0)
    return owners[np.argsort(-mean, kind="stable")]


def soc_rows(data: Results, most: int = 240) -> tuple[np.ndarray, int]:
    """(state of charge of the battery owners (R, P), fullest first, 0 to 1; members per row)."""
    owners, timeline = fullest_first(data), data.timeline
    steps = np.diff(np.append(timeline.firsts, timeline.steps))
    soc = timeline.total(data.flow("battery_soc")[:, owners]).T / steps
    per_row = math.ceil(len(soc) / most)
    firsts = np.arange(0, len(soc), per_row)
    sizes = np.diff(np.append(firsts, len(soc)))
    return np.add.reduceat(soc, firsts, axis=0) / sizes[:, None], per_row


@figure
def soc_heatmap(data: Results) -> Figure:
    """How full are the batteries at each time?"""
    capacity, timeline = need_batteries(data), data.timeline
    owners, long = int((capacity > 0).sum()), timeline.steps_per_point > 1
    soc, per_row = soc_rows(data)
    stored = stored_kwh(data)
    count = many(owners, "battery", "batteries")
    fig, (ax, scale) = canvas(
        f"The batteries begin {share(stored[0], capacity.sum())} full "
        f"and end {share(stored[-1], capacity.sum())} full",
        f"State of charge of {count} together, by hour of the day and day."
        if long
        else f"State of charge at the end of each step, {count}, the fullest on top."
        + (f" Each row: mean of {per_row}." if per_row > 1 else ""),
        widths=(40, 1),
        gap=0.02,
        right=MAP_RIGHT,
    )
    if long:
        together = stored[1:] / capacity.sum()
        day_map(ax, scale, timeline, together, "State of charge", "cividis", (0, 1))
    else:
        extent = (timeline.start, timeline.end, owners + 0.5, 0.5)
        look: Any = {"aspect": "auto", "interpolation": "nearest", "cmap": "cividis"}
        fig.colorbar(ax.imshow(soc, vmin=0, vmax=1, extent=extent, **look), cax=scale)
        scale.set_ylabel("State of charge")
        name_batteries(ax, data)
    time_axes([ax], timeline, ["Hour of the day" if long else ax.get_ylabel()])
    ax.grid(False)
    scale.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    return fig


def name_batteries(ax: Axes, data: Results) -> None:
    """Names the rows of a map, 1 on top, by their homes; where those are too many, by their rank."""
    homes = [data.home[member] for member in fullest_first(data)]
    if len(homes) > MOST_NAMED:
        ax.set_ylabel("Batteries, fullest first")
        whole_numbers(ax.yaxis)
    else:
        ax.set_ylabel("Home, fullest battery first")
        row_names(ax, homes, first=1)


def from_batteries(data: Results, near: float) -> str:
    """What batteries sold to neighbours, in words: it is no sun of its hour."""
    sold = data.total("p2p_sold_kwh").sum()
    if amount(sold - near, "kWh") == amount(0.0, "kWh"):
        return ""
    return f". Batteries sold {amount(sold - near, 'kWh')} of {amount(sold, 'kWh')} P2P"


@figure
def renewable_usage(data: Results) -> Figure:
    """What became of the sun's energy?"""
    pv = data.total("pv_kwh").sum()
    if not pv:
        raise NothingToShow("There was no PV energy in this run.")
    used = {name: part.sum(axis=1) for name, part in uses_of_pv(data).items()}
    colours = ("pv", "battery", "p2p", "market", "utility", "curtailed")
    home = used["used at once at home"].sum() + used["into own battery"].sum()
    near = used["to neighbours (P2P)"].sum()
    fig, (ax,) = canvas(
        f"{share(home, pv)} of the PV energy stayed in its home, {share(near, pv)} went to neighbours",
        f"{amount(pv, 'kWh')} of PV, from below in the order of their turn"
        f"{from_batteries(data, near)}." + data.timeline.note,
        right=WIDE_KEY,
    )
    layers = bands(data, dict(zip(used, zip(colours, used.values(), strict=True), strict=True)))
    stack(ax, data.timeline.edges, layers)
    time_axes([ax], data.timeline, ["Average PV power (kW)"])
    key(ax, patches(reversed(layers)))
    return fig
