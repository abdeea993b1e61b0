"""Draw the figures of a run from its saved folder: `python plot_results.py results`.

Every figure answers one question; its title states the answer, the line below says how to read it.
`FIGURES` names them all; `plot_all` writes folder/plots/NAME.png, 1600 x 900 pixels, made for a
projector. The docstring of a figure is its question.

How to read this file: the figures stand in groups: energy, prices and trades, members, regulator and
money, ledger. `plot_data.py` reads the folder (`Results`), `plot_time.py` is the x axis (`Timeline`), `plot_style.py`
holds colours and small drawing tools. What a figure shows is computed by a function of its own that returns
plain numbers.

Conventions
- One colour per concept in every figure (`COLOUR`, after Okabe and Ito: safe for colour-blind readers).
- Energy over time is drawn as average power in kW, so hourly and 15-minute runs compare. One day has
  an axis of clock hours, more days an axis of days or dates. Beyond 14 days each point is the mean of
  one day, beyond 100 days of one week; the line below the title then says so. Where such means would
  hide what repeats every day, colours show hour of the day against day. Nothing is summed up over time
  unless the axis says "so far".
- A bill is cash paid for energy minus the value of the change in stored energy at the mean market
  price, so who empties a battery has not saved. Bonuses and penalties stand beside it.
- Where a run has nothing to show, the figure says so in one sentence. Only the figures of the ledger
  (`LEDGER_FIGURES`) are left out, and earlier ones removed, where CONSENSUS = "none".
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # loading takes a moment: Ctrl-C there ends it without a traceback
    try:
        import stopping

        stopping.stop_while_loading()
    except KeyboardInterrupt:
        os._exit(130)

import argparse
import difflib
import functools
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from guard import Parser, guarded
from plot_data import NothingToShow, Results, short_names
from plot_style import (
    COLOUR,
    DASHED,
    MAP_RIGHT,
    MUTED,
    NARROW_KEY,
    PALE,
    RIGHT,
    STYLE,
    TOP,
    WIDE_KEY,
    amount,
    bands,
    beside,
    canvas,
    day_map,
    dot,
    key,
    key_above,
    left_end,
    line,
    many,
    minus,
    patches,
    row_names,
    sentence,
    share,
    stack,
    stroke,
    time_axes,
    two_sided,
    whole_numbers,
    width_of,
    zero_line,
)
from plot_time import Timeline
from records import AGGREGATOR, FIRST_MINER, MINT, REGULATOR, UTILITY
from settings import InputError, gather
from stopping import ignore_stops

# ---------------------------------------------------------------- the registry

FIGURES: dict[str, Callable[[Results], Figure]] = {}
LEDGER_FIGURES = ("blockchain_growth", "mining_race", "hashes_per_block")


def figure(draw: Callable[[Results], Figure]) -> Callable[[Results], Figure]:
    """Enters a figure under its function's name; gives it the style, and a sentence without data."""

    @functools.wraps(draw)
    def styled(data: Results) -> Figure:
        with matplotlib.rc_context(STYLE):
            try:
                return draw(data)
            except NothingToShow as reason:
                return sentence(draw.__name__, str(reason))

    FIGURES[draw.__name__] = styled
    return styled


# ---------------------------------------------------------------- energy


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
    into = {
        "PV": ("pv", pv),
        "from batteries": ("battery", data.total("battery_discharge_kwh")),
        "from outside": ("utility", taken),
    }
    out = {
        "load": ("load", load),
        "into batteries": ("battery", data.total("battery_charge_kwh")),
        "to outside": ("utility", given),
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
    outside = max(("local market", "utility"), key=lambda name: kwh[name])
    if own + near >= kwh[outside]:
        return (
            f"Own roof and battery served {share(own, whole)} of the load, "
            f"neighbours {share(near, whole)}"
        )
    return (
        f"The {outside} served {share(kwh[outside], whole)} of the load, "
        f"own roof and battery {share(own, whole)}, neighbours {share(near, whole)}"
    )


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
        "Load by what served it: own PV first, then battery, neighbours, market, utility."
        + data.timeline.note,
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
    """How much exchange with outside does trading inside the community spare?"""
    timeline = data.timeline
    lack, left = (data.community[f"{name}_kwh"].to_numpy() for name in ("deficit", "surplus"))
    taken, given = outside(data)
    fig, (ax,) = canvas(
        f"Exchange with outside: {amount((lack + left).sum(), 'kWh')} without trading, "
        f"{amount((taken + given).sum(), 'kWh')} with it",
        "Above zero: taken from outside, below: given to outside. Same battery levels in both."
        + timeline.note,
        right=WIDE_KEY,
    )
    stack(ax, timeline.edges, [("", PALE, timeline.rate(lack))])
    stack(ax, timeline.edges, [("", PALE, timeline.rate(left))], sign=-1)
    for values in (taken - given,) if timeline.steps_per_point == 1 else (taken, -given):
        line(ax, timeline.edges, timeline.rate(values), COLOUR["community"], lw=3.2)
    zero_line(ax)
    time_axes([ax], timeline, ["Average power (kW)"])
    without = (
        "without the market: what\nhomes lack (above) and have\nleft (below) after their own\n"
        "battery, none netted\n"
        f"in {amount(lack.sum(), 'kWh')},\nout {amount(left.sum(), 'kWh')}"
    )
    within = (
        "with the market: all homes\nbehind one meter, trades\namong them netted\n"
        f"in {amount(taken.sum(), 'kWh')},\nout {amount(given.sum(), 'kWh')}"
    )
    key(ax, [Patch(fc=PALE, label=without), stroke(within, COLOUR["community"], lw=3.2)])
    return fig


def stored_kwh(data: Results) -> np.ndarray:
    """Content of all batteries together before the first step and after each (T + 1)."""
    return np.append(data.members["initial_level_kwh"].sum(), data.community["stored_kwh"])


def need_batteries(data: Results) -> pd.Series:
    """The capacity of each member's battery (N), kWh."""
    capacity = data.members["battery_capacity_kwh"]
    if not capacity.any():
        raise NothingToShow("No member of this community owns a battery.")
    return capacity


CHARGING = LinearSegmentedColormap.from_list("charging", ["#762A83", "#F7F7F7", COLOUR["battery"]])
TOO_HIGH = LinearSegmentedColormap.from_list("too high", [COLOUR["p2p"], "#F7F7F7", COLOUR["ban"]])


@figure
def battery_usage(data: Results) -> Figure:
    """When do the batteries work, and how full are they together?"""
    capacity, timeline = need_batteries(data), data.timeline
    charge, discharge = data.total("battery_charge_kwh"), data.total("battery_discharge_kwh")
    stored, long = stored_kwh(data), timeline.steps_per_point > 1
    change = stored[-1] - stored[0]
    length = "day" if timeline.hours <= 100 * 24 else "week"
    read = f"Colour: charging less discharging. Below: mean and range of each {length}."
    fig, (top, bottom) = canvas(
        f"Batteries took {amount(charge.sum(), 'kWh')} and gave {amount(discharge.sum(), 'kWh')}; "
        f"they end with {amount(abs(change), 'kWh')} {'more' if change >= 0 else 'less'}",
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


def soc_rows(data: Results, most: int = 240) -> tuple[np.ndarray, int]:
    """(state of charge of the battery owners (R, P), fullest first, 0 to 1; members per row)."""
    owners = np.flatnonzero(data.members["battery_capacity_kwh"] > 0)
    timeline = data.timeline
    steps = np.diff(np.append(timeline.firsts, timeline.steps))
    soc = timeline.total(data.flow("battery_soc")[:, owners]).T / steps
    soc = soc[np.argsort(-soc.mean(axis=1), kind="stable")]
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
        extent = (timeline.start, timeline.end, owners, 0)
        look: Any = {"aspect": "auto", "interpolation": "nearest", "cmap": "cividis"}
        fig.colorbar(ax.imshow(soc, vmin=0, vmax=1, extent=extent, **look), cax=scale)
        whole_numbers(ax.yaxis)
        scale.set_ylabel("State of charge")
    time_axes([ax], timeline, ["Hour of the day" if long else "Batteries, fullest first"])
    ax.grid(False)
    scale.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    return fig


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
        f"{amount(pv, 'kWh')} of PV: first into the load, then the battery, then neighbours, market, "
        "utility." + data.timeline.note,
        right=WIDE_KEY,
    )
    layers = bands(data, dict(zip(used, zip(colours, used.values(), strict=True), strict=True)))
    stack(ax, data.timeline.edges, layers)
    time_axes([ax], data.timeline, ["Average PV power (kW)"])
    key(ax, patches(reversed(layers)))
    return fig


# ---------------------------------------------------------------- prices and trades


@figure
def price_forecast(data: Results) -> Figure:
    """How good is the price forecast that members act on?"""
    forecast, settled = data.price("price_forecast"), data.price("market_price")
    missed, timeline = forecast - settled, data.timeline
    error, long = np.abs(missed), timeline.steps_per_point > 1
    fig, (top, bottom) = canvas(
        f"The forecast misses the settled price by {amount(100 * error.mean(), 'ct/kWh')} "
        f"({share(error.mean(), settled.mean())}) on average",
        "By hour of the day and day. Above: the price that settles. Below: forecast minus settled."
        if long
        else "Above: the price that members expect, and the one that settles. "
        "Below: forecast minus settled.",
        heights=(1, 1) if long else (2.2, 1),
        right=MAP_RIGHT if long else NARROW_KEY,
    )
    if long:
        most = 100 * float(error.max()) or 1.0
        seen = 0.0, max(float(settled.max()), 1e-9)
        day_map(top, beside(top), timeline, settled, "Price (EUR/kWh)", "cividis", seen)
        day_map(
            bottom,
            beside(bottom),
            timeline,
            100 * missed,
            "Error (ct/kWh)",
            TOO_HIGH,
            (-most, most),
        )
        time_axes([top, bottom], timeline, ["Hour of the day"] * 2)
        for ax in (top, bottom):
            ax.grid(False)
        return fig
    line(top, timeline.edges, settled, COLOUR["market"], lw=5)
    line(top, timeline.edges, forecast, COLOUR["load"], ls=DASHED, lw=2)
    stack(bottom, timeline.edges, [("", MUTED, 100 * missed)])
    zero_line(bottom)
    time_axes([top, bottom], timeline, ["Price (EUR/kWh)", "Error (ct/kWh)"])
    top.set_ylim(0, 1.1 * max(forecast.max(), settled.max(), 1e-9))
    in_order = [
        stroke("settled", COLOUR["market"], lw=5),
        stroke("forecast", COLOUR["load"], ls=DASHED, lw=2),
    ]
    key(top, in_order)
    return fig


def p2p_price_range(data: Results) -> tuple[np.ndarray, np.ndarray]:
    """(lowest, highest) P2P price of each step (T), EUR/kWh; NaN where nothing was traded."""
    prices = data.p2p.groupby("timestep")["price_eur_per_kwh"]
    every_step = range(data.shape[0])
    return (
        prices.min().reindex(every_step).to_numpy(),
        prices.max().reindex(every_step).to_numpy(),
    )


def p2p_in_band(data: Results) -> tuple[float, int, int]:
    """(mean P2P price, steps with P2P inside the local market's two prices, steps with P2P)."""
    average, energy = data.price("p2p_price"), data.community["p2p_kwh"].to_numpy()
    traded = (energy > 0) & np.isfinite(average)
    if not traded.any():
        return math.nan, 0, 0
    inside = (average >= data.price("market_sell_price")) & (
        average <= data.price("market_buy_price")
    )
    mean = float((average[traded] * energy[traded]).sum() / energy[traded].sum())
    return mean, int((inside & traded).sum()), int(traded.sum())


@figure
def price_dynamics(data: Results) -> Figure:
    """Do neighbours trade at better prices than the local market and the utility offer?"""
    timeline, edges = data.timeline, data.timeline.edges
    mean, inside, traded = p2p_in_band(data)
    unit = "hour" if timeline.step_hours == 1 else "step"
    fig, (ax,) = canvas(
        f"P2P trades at {mean:.3f} EUR/kWh, within the market's prices in "
        + ("all " if inside == traded else f"{inside:,} of the ")
        + f"{many(traded, unit)} with P2P trade"
        if traded
        else "Neighbours traded nothing: only the other prices applied",
        "What a kWh costs, and earns, with a neighbour, in the local market and at the utility."
        + timeline.note,
        right=WIDE_KEY,
    )
    entries = draw_other_prices(ax, data)
    if traded and timeline.steps_per_point == 1:
        low, high = p2p_price_range(data)
        style: Any = {"lw": float(np.clip(400 / len(low), 1, 6)), "alpha": 0.45}
        ax.vlines((edges[:-1] + edges[1:]) / 2, low, high, color=COLOUR["p2p"], **style)
        entries.append(stroke("P2P: lowest to highest", COLOUR["p2p"], lw=6, alpha=0.45))
    if traded:
        average = timeline.mean(data.price("p2p_price"), data.community["p2p_kwh"].to_numpy())
        line(ax, edges, average, COLOUR["p2p"], lw=4)
        entries.append(stroke("P2P: average, weighted\nby energy", COLOUR["p2p"], lw=4))
    time_axes([ax], timeline, ["Price (EUR/kWh)"])
    key(ax, entries)
    return fig


def draw_other_prices(ax: Axes, data: Results) -> list[Any]:
    """Draws the prices of the local market, as a band, and of the utility; returns their key."""
    timeline, edges = data.timeline, data.timeline.edges
    buy, sell, dear, cheap = (
        timeline.mean(data.price(f"{name}_price"))
        for name in ("market_buy", "market_sell", "grid_import", "grid_export")
    )
    band: Any = {"color": COLOUR["market"], "alpha": 0.35, "lw": 0}
    corners = np.repeat(edges, 2)[1:-1]
    ax.fill_between(corners, np.repeat(sell, 2), np.repeat(buy, 2), **band)
    for values in (buy, sell):
        line(ax, edges, values, COLOUR["market"])
    for values in (dear, cheap):
        line(ax, edges, values, COLOUR["utility"], ls=DASHED)
    ax.set_ylim(0, 1.06 * max(dear.max(), buy.max(), 1e-6))
    name = "local market: between\nselling and buying"
    return [
        stroke("utility: buying (upper),\nselling (lower)", COLOUR["utility"], ls=DASHED),
        Patch(fc="#EFD5E3", ec=COLOUR["market"], lw=2, label=name),
    ]


@figure
def trading_activity(data: Results) -> Figure:
    """When do members want to trade, and when do trades come about?"""
    community, timeline = data.community, data.timeline
    p2p, market = community["p2p_trades"].to_numpy(), community["market_trades"].to_numpy()
    sellers, buyers = (community[f"active_{side}s"].to_numpy() for side in ("seller", "buyer"))
    if not any(column.any() for column in (p2p, market, sellers, buyers)):
        raise NothingToShow("Nobody made an order in this run, so nothing was traded.")
    fig, (top, bottom) = canvas(
        f"{many(int(p2p.sum()), 'P2P trade')} and {many(int(market.sum()), 'local-market trade')} "
        f"in {timeline.span}",
        "Above: members with an order. Below: trades, as a rate per hour." + timeline.note,
        heights=(1, 1),
        right=NARROW_KEY,
    )
    orders = [
        ("sellers (up)", COLOUR["seller"], timeline.mean(sellers)),
        ("buyers (down)", COLOUR["buyer"], timeline.mean(buyers)),
    ]
    trades = [
        ("P2P", COLOUR["p2p"], timeline.rate(p2p)),
        ("local market", COLOUR["market"], timeline.rate(market)),
    ]
    stack(top, timeline.edges, orders[:1])
    stack(top, timeline.edges, orders[1:], sign=-1)
    stack(bottom, timeline.edges, trades)
    zero_line(top)
    time_axes([top, bottom], timeline, ["Members", "Trades per hour"])
    whole_numbers(top.yaxis)
    if timeline.step_hours == timeline.steps_per_point == 1:
        whole_numbers(bottom.yaxis)
    top.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    key(top, patches(orders))
    key(bottom, patches(reversed(trades)))
    return fig


def p2p_share(p2p: float, bought: float, sold: float) -> str:
    """What P2P is of the energy that members buy and sell; they may do only one of the two."""
    if not sold:
        return f"P2P is {share(p2p, bought)} of what members buy; they sell nothing"
    if not bought:
        return f"P2P is {share(p2p, sold)} of what members sell; they buy nothing"
    return (
        f"P2P is {share(p2p, bought)} of what members buy and {share(p2p, sold)} of what they sell"
    )


@figure
def p2p_vs_market(data: Results) -> Figure:
    """How much of what members buy and sell goes through neighbours, market and utility?"""
    names = {"P2P": "p2p", "local market": "market", "utility": "utility"}
    flows = (
        ("p2p_bought_kwh", "market_bought_kwh", "grid_import_kwh"),
        ("p2p_sold_kwh", "market_sold_kwh", "grid_export_kwh"),
    )
    bought, sold = (
        {
            name: (colour, data.total(flow))
            for (name, colour), flow in zip(names.items(), side, strict=True)
        }
        for side in flows
    )
    all_bought, all_sold = (sum(v.sum() for _, v in side.values()) for side in (bought, sold))
    if not all_bought and not all_sold:
        raise NothingToShow("No member bought or sold any energy in this run.")
    p2p = bought["P2P"][1].sum()
    return two_sided(
        data,
        bands(data, bought),
        bands(data, sold),
        p2p_share(p2p, all_bought, all_sold),
        "Above zero: bought by members, from whom. Below: sold by members, to whom.",
        (f"Bought: {amount(all_bought, 'kWh')}", f"Sold: {amount(all_sold, 'kWh')}"),
    )


def trade_kinds(data: Results) -> list[tuple[str, str, pd.DataFrame]]:
    """(name, colour, trades) of each kind of trade that there was."""
    names = {"p2p": ("P2P", COLOUR["p2p"]), "local_market": ("local market", COLOUR["market"])}
    found = data.trades.groupby("trade_type")
    return [(*names[kind], found.get_group(kind)) for kind in names if kind in found.groups]


@figure
def trade_volume_analysis(data: Results) -> Figure:
    """How large are the trades, and at which prices does the energy change hands?"""
    kinds = trade_kinds(data)
    if not kinds:
        raise NothingToShow("Nothing was traded in this run.")
    medians = [f"{amount(t['energy_kwh'].median(), 'kWh')} ({name})" for name, _, t in kinds]
    fig, (left, right) = canvas(
        f"The median trade is {' and '.join(medians)}",
        f"{' and '.join(many(len(t), f'{name} trade') for name, _, t in kinds)} "
        f"in {data.timeline.span}.",
        widths=(1, 1),
        gap=0.11,
    )
    least, dearest = (data.trades["price_eur_per_kwh"].agg(which) for which in ("min", "max"))
    largest = data.trades["energy_kwh"].max()
    for ax, column, weight, low, high in (
        (left, "energy_kwh", None, 0.0, largest),
        (right, "price_eur_per_kwh", "energy_kwh", least, dearest),
    ):
        edges = np.linspace(low, max(high, low + 0.001), 31)
        layers = [
            (name, colour, np.histogram(t[column], edges, weights=t[weight] if weight else None)[0])
            for name, colour, t in kinds
        ]
        stack(ax, edges, layers)
        ax.margins(x=0)
        ax.grid(axis="y")
    left.set(xlabel="Energy of a trade (kWh)", ylabel="Number of trades")
    right.set(xlabel="Price (EUR/kWh)", ylabel="Traded energy (kWh)")
    whole_numbers(left.yaxis)
    left.legend(handles=patches(reversed(layers)), loc="upper right")
    return fig


@dataclass(frozen=True)
class MeritOrder:
    """One step's offers: asks from the cheapest, bids from the dearest; and where they meet."""

    step: int
    ask_eur_per_kwh: np.ndarray
    ask_kwh: np.ndarray
    bid_eur_per_kwh: np.ndarray
    bid_kwh: np.ndarray
    edges_kwh: np.ndarray
    """Up to the crossing of the curves: where one of them steps (E + 1), and their prices between (E)."""
    met_ask: np.ndarray
    met_bid: np.ndarray

    @property
    def cleared_kwh(self) -> float:
        """The most that can be traded with every limit respected."""
        return float(self.edges_kwh[-1])

    @property
    def gain_eur(self) -> float:
        """What buyers and sellers gain together against their limits, if all of it is traded."""
        return float(((self.met_bid - self.met_ask) * np.diff(self.edges_kwh)).sum())


def merit_curves(data: Results) -> MeritOrder:
    """The offers of the step with the most P2P energy, sorted by price."""
    trading = data.trading
    limited = trading["limit_price_eur_per_kwh"].notna() & (trading["order_kwh"] > 0)
    sides = [limited & (trading["role"] == role) for role in ("seller", "buyer")]
    offered = [
        trading["order_kwh"].where(side, 0.0).to_numpy().reshape(data.shape).sum(axis=1)
        for side in sides
    ]
    both = np.minimum(*offered)
    if not both.any():
        raise NothingToShow("In no step did a seller and a buyer offer at a limit price at once.")
    traded = data.community["p2p_kwh"].to_numpy()
    step = int(np.argmax(np.where(both > 0, traded + 1e-9 * both, -1)))
    orders = [
        trading[(trading["timestep"] == step) & side].sort_values(
            "limit_price_eur_per_kwh", ascending=ascending, kind="stable"
        )
        for side, ascending in zip(sides, (True, False), strict=True)
    ]
    prices = [side["limit_price_eur_per_kwh"].to_numpy() for side in orders]
    energy = [side["order_kwh"].to_numpy() for side in orders]
    ends = [np.cumsum(kwh).round(6) for kwh in energy]
    edges = np.unique(np.concatenate([[0.0], *ends]))
    edges = edges[edges <= min(end[-1] for end in ends)]
    ask, bid = (
        price[np.searchsorted(end, edges[1:])] for price, end in zip(prices, ends, strict=True)
    )
    met = int((bid >= ask).sum())
    return MeritOrder(
        step, prices[0], energy[0], prices[1], energy[1], edges[: met + 1], ask[:met], bid[:met]
    )


@figure
def merit_order(data: Results) -> Figure:
    """Whose offers meet? One step's supply and demand."""
    order = merit_curves(data)
    traded = float(data.community["p2p_kwh"][order.step])
    supply, demand = order.ask_kwh.sum(), order.bid_kwh.sum()
    fig, (ax,) = canvas(
        f"Neighbours trade {amount(traded, 'kWh')} of {amount(demand, 'kWh')} wanted "
        f"{data.timeline.name(order.step)}",
        "The step with the most P2P energy: the least price of each seller, the highest of each buyer.",
        right=WIDE_KEY,
        left=0.1,
    )
    draw_merit_order(ax, order)
    prices = np.append(order.ask_eur_per_kwh, order.bid_eur_per_kwh)
    room = max(0.25 * np.ptp(prices), 0.02)
    reach = min(max(supply, demand), 3 * max(order.cleared_kwh, min(supply, demand)))
    ax.set(xlim=(0, 1.03 * reach), ylim=(max(prices.min() - room, 0), prices.max() + room))
    ax.set(xlabel="Energy, cumulated over the offers (kWh)", ylabel="Limit price (EUR/kWh)")
    ax.grid(axis="y")
    sellers, buyers = many(len(order.ask_kwh), "seller"), many(len(order.bid_kwh), "buyer")
    until = f"the offers meet up to\n{amount(order.cleared_kwh, 'kWh')}"
    gain = f"gain to be shared\n{amount(order.gain_eur, 'EUR')}"
    entries = [
        stroke(f"supply: {sellers}\n{amount(supply, 'kWh')}", COLOUR["seller"], lw=4),
        stroke(f"demand: {buyers}\n{amount(demand, 'kWh')}", COLOUR["buyer"], lw=4),
        stroke(until, COLOUR["p2p"], ls=DASHED),
        Patch(fc=COLOUR["p2p"], alpha=0.25, label=gain),
    ]
    key(ax, entries if len(order.met_bid) else entries[:2])
    return fig


def draw_merit_order(ax: Axes, order: MeritOrder) -> None:
    """The two curves, and between them the gain of the energy that can be traded."""
    if len(order.met_bid):
        gain: Any = {"fill": True, "fc": COLOUR["p2p"], "alpha": 0.25}
        ax.stairs(order.met_bid, order.edges_kwh, baseline=order.met_ask, **gain)
    for name, prices, kwh in (
        ("seller", order.ask_eur_per_kwh, order.ask_kwh),
        ("buyer", order.bid_eur_per_kwh, order.bid_kwh),
    ):
        line(ax, np.append(0, np.cumsum(kwh)), prices, COLOUR[name], lw=4, baseline=0)
    ax.axvline(order.cleared_kwh, color=COLOUR["p2p"], ls=DASHED)


def p2p_pairs(data: Results) -> pd.DataFrame:
    """Energy of each pair of members that traded: seller_id, buyer_id, energy_kwh; largest first."""
    pairs = data.p2p.groupby(["seller_id", "buyer_id"])["energy_kwh"].sum().reset_index()
    return pairs.sort_values("energy_kwh", ascending=False, ignore_index=True)


def places_on_circle(net: pd.Series) -> dict[int, tuple[float, float]]:
    """Net sellers on the left half of a circle, net buyers on the right, the largest in the middle."""
    places: dict[int, tuple[float, float]] = {}
    for members, middle in ((net[net > 0], np.pi), (net[net <= 0], 0.0)):
        ranked = members.abs().sort_values(ascending=False, kind="stable").index.tolist()
        order = ranked[1::2][::-1] + ranked[::2]
        angles = middle + np.pi * ((np.arange(len(order)) + 0.5) / max(len(order), 1) - 0.5)
        places |= dict(zip(order, zip(np.cos(angles), np.sin(angles), strict=True), strict=True))
    return places


def chords(places: dict[int, tuple[float, float]], pairs: pd.DataFrame) -> np.ndarray:
    """Curves (L, 15, 2) from seller to buyer, bent towards the middle of the circle."""
    start = np.array([places[member] for member in pairs["seller_id"]])[:, None, :]
    end = np.array([places[member] for member in pairs["buyer_id"]])[:, None, :]
    t = np.linspace(0, 1, 15)[None, :, None]
    return (1 - t) ** 2 * start + t * (1 - t) * 0.5 * (start + end) + t**2 * end


@figure
def trade_network(data: Results) -> Figure:
    """Who trades with whom?"""
    pairs, most = p2p_pairs(data), 300
    if not len(pairs):
        raise NothingToShow("No two neighbours traded in this run.")
    sold, bought = (pairs.groupby(f"{side}_id")["energy_kwh"].sum() for side in ("seller", "buyer"))
    net, size = sold.sub(bought, fill_value=0), sold.add(bought, fill_value=0)
    fig, (ax, ranks) = canvas(
        f"{many(len(net), 'member')} traded in {many(len(pairs), 'pair')}; "
        f"the strongest moved {amount(pairs['energy_kwh'][0], 'kWh')}",
        f"{f'The {most} strongest pairs' if len(pairs) > most else 'All pairs'} that traded P2P, "
        "the darker the more energy. Net sellers left, net buyers right.",
        widths=(1.35, 1),
        left=0.02,
        gap=0.15,
    )
    rank_bars(ranks, data, sold, bought)
    ax.set_position((0.02, 0.03, left_end(ranks) - 0.045, TOP - 0.02))
    ax.set_axis_off()
    places, shown = places_on_circle(net), pairs.head(most).iloc[::-1]
    least = shown["energy_kwh"].min() if len(pairs) > most else 0.0
    weight = ((shown["energy_kwh"] - least) / max(pairs["energy_kwh"][0] - least, 1e-9)).to_numpy()
    blue = matplotlib.colors.to_rgb(COLOUR["p2p"])
    colours = [(*blue, alpha) for alpha in 0.12 + 0.88 * weight**1.3]
    lines = list(chords(places, shown))
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=0.6 + 5 * weight))
    x, y = np.array([places[member] for member in net.index]).T
    marks = 12 + min(400, 12_000 / len(net)) * (size / size.max()).to_numpy()
    fill = np.where(net > 0, COLOUR["seller"], COLOUR["buyer"])
    ax.scatter(x, y, s=marks, c=fill, zorder=3, ec="white", lw=0.8)
    name_places(ax, data, places, size)
    return fig


def name_places(
    ax: Axes, data: Results, places: dict[int, tuple[float, float]], size: pd.Series
) -> None:
    """Names the members with the most energy around the circle, as far as there is room for a name.

    The circle (radius 1) becomes as large as the names at its sides leave room for.
    """
    fig, letters, gap = ax.figure, 13, 24
    first = size.sort_values(ascending=False).index[:40].tolist()
    pixels = {m: fig.bbox.width * width_of(fig, data.home[m], letters) for m in first}
    box = ax.get_window_extent()
    radius = min(box.width / 2 - max(pixels.values()) - gap, box.height / 2 - gap)
    radius = max(radius, 0.2 * box.width)
    away = 1 + gap / radius
    ax.set(xlim=np.array([-0.5, 0.5]) * box.width / radius, aspect="equal")
    ax.set_ylim(-0.5 * box.height / radius, 0.5 * box.height / radius)
    taken: list[tuple[float, float, float]] = []
    for member in first:
        (x, y), width = np.multiply(places[member], away), pixels[member] / radius + 0.1
        middle = x + (0.5 if x > 0 else -0.5) * width
        free = abs(x) * radius + pixels[member] < box.width / 2 and all(
            abs(y - other_y) * radius > 25 or abs(middle - other) > (width + other_width) / 2
            for other, other_y, other_width in taken
        )
        if free and len(taken) < 16:
            taken.append((middle, y, width))
            side = "left" if x > 0 else "right"
            name = data.home[member]
            ax.text(x, y, name, ha=side, va="center", fontsize=letters)


def rank_bars(ax: Axes, data: Results, sold: pd.Series, bought: pd.Series) -> None:
    """The five largest sellers and buyers as bars."""
    rows: list[tuple[str, float, str]] = []
    for side, totals in (("sold", sold), ("bought", bought)):
        colour = COLOUR["seller" if side == "sold" else "buyer"]
        rows.append((f"{side} most:", 0.0, colour))
        top = totals.nlargest(5)
        homes = [f"home {data.home[member]}" for member in top.index.tolist()]
        rows += [(home, kwh, colour) for home, kwh in zip(homes, top, strict=True)]
    place = np.arange(len(rows))
    names, energy, colours = zip(*rows, strict=True)
    ax.barh(place, energy, color=colours, height=0.75)
    ax.set_yticks(place, names)
    for label, name, colour in zip(ax.get_yticklabels(), names, colours, strict=True):
        if name.endswith(":"):
            label.set(color=colour, fontweight="bold")
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(max(len(place), 5) - 0.4, -0.6), xlabel="P2P energy (kWh)")
    ax.set_xlim(right=1.02 * max(energy))


# ---------------------------------------------------------------- members

GROUPS = {
    "PV and battery": "battery",
    "PV only": "pv",
    "battery only": "market",
    "no PV, no battery": "load",
}
"What a member owns, and the colour that stands for it."
ALMOST_NOTHING_EUR = 0.0005


def bills(data: Results) -> pd.DataFrame:
    """Each member's bill (N), EUR: alone with the utility, here, and the saving.

    Cash for energy minus the value of the change in stored energy at the mean market price.
    """
    members, worth = data.members, data.price("market_price").mean()
    alone = members["alone_eur"] - worth * members["stored_change_alone_kwh"]
    here = members["outside_eur"] + members["p2p_eur"] - worth * members["stored_change_kwh"]
    return pd.DataFrame({"alone": alone, "here": here, "saving": alone - here})


def groups(data: Results) -> np.ndarray:
    """What each member owns (N): a name of GROUPS."""
    pv, battery = data.members["pv_capacity_kw"] > 0, data.members["battery_capacity_kwh"] > 0
    return np.select([pv & battery, pv, battery], list(GROUPS)[:3], list(GROUPS)[3])


def group_colours(data: Results) -> np.ndarray:
    """The colour of what each member owns (N)."""
    return np.array([COLOUR[GROUPS[name]] for name in groups(data)])


def group_key(data: Results, make: Callable[[str, str], Any] = dot) -> list[Any]:
    """Entries of a key for the groups that this community has, with their sizes."""
    found = pd.Series(groups(data)).value_counts()
    names = [name for name in GROUPS if name in found]
    return [make(f"{name} ({found[name]:,})", COLOUR[GROUPS[name]]) for name in names]


def self_sufficiency(data: Results) -> np.ndarray:
    """Share of each member's load (N) neither bought nor taken from the initial charge; NaN without load."""
    members = data.members
    bought = members["p2p_bought_kwh"] + members["market_bought_kwh"] + members["grid_import_kwh"]
    foreign = (bought + np.maximum(-members["stored_change_kwh"], 0)).to_numpy()
    load = members["load_kwh"].to_numpy()
    part = np.divide(foreign, load, out=np.full(len(load), np.nan), where=load > 0)
    return np.clip(1 - part, 0, 1)


def by_home_type(data: Results, most: int = 12) -> tuple[pd.DataFrame, list[str]]:
    """(each member's type, PV, load in kWh per day, saving in EUR per day (N); the types in order)."""
    days, members = data.timeline.hours / 24, data.members
    found = members["home_type"].value_counts()
    frequent = found.index if len(found) <= most else found.index[: most - 1]
    kind = members["home_type"].where(members["home_type"].isin(frequent), "others")
    order = sorted(set(kind), key=lambda name: (name == "others", len(name), name))
    numbers = {
        "PV": members["pv_kwh"],
        "load": members["load_kwh"],
        "saving": bills(data)["saving"],
    }
    return pd.DataFrame({"type": kind} | {name: n / days for name, n in numbers.items()}), order


def explained(values: pd.Series, kinds: Any) -> float:
    """Part of the variance of values (N) between kinds (N), corrected for their number (adjusted R^2)."""
    count, size = len(np.unique(kinds)), len(values)
    if size <= count or not np.ptp(values):
        return math.nan
    within = ((values - values.groupby(np.asarray(kinds)).transform("mean")) ** 2).sum()
    whole = ((values - values.mean()) ** 2).sum()
    return max(0.0, 1 - within / (size - count) / (whole / (size - 1)))


def type_or_possession(saving: pd.Series, kind: pd.Series, owned: np.ndarray) -> str:
    """Whether its type or what it owns tells what a home saves; with too few homes, the median."""
    parts = explained(saving, kind), explained(saving, owned)
    if kind.nunique() < 2 or not np.isfinite(parts).all():
        home = "median home" if len(saving) > 1 else "home"
        return f"The {home} saves {amount(float(saving.median()), 'EUR')} per day"
    by_type, by_owned = (share(part, 1) for part in parts)
    if len(set(owned)) < 2:
        return f"The type of a home explains {by_type} of the differences in saving"
    return f"Having PV or a battery explains {by_owned} of the differences in saving, the type {by_type}"


@figure
def home_type_analysis(data: Results) -> Figure:
    """What tells how much a home saves, its type or what it owns?"""
    table, order = by_home_type(data)
    mean, rows = table.groupby("type")[["PV", "load"]].mean().loc[order], np.arange(len(order))
    fig, (left, right) = canvas(
        type_or_possession(table["saving"], table["type"], groups(data)),
        "Left: energy of the average home of a type. "
        "Right: saving of each home against being alone, median and quartiles.",
        widths=(1, 1.2),
        gap=0.03,
        left=0.135,
        top=0.79,
    )
    left.barh(rows - 0.2, mean["PV"], 0.38, color=COLOUR["pv"])
    left.barh(rows + 0.2, mean["load"], 0.38, color=COLOUR["load"])
    sizes = table["type"].value_counts()
    short = short_names(order)
    row_names(left, [f"{s} ({sizes[name]:,})" for s, name in zip(short, order, strict=True)])
    left.set(ylim=(len(order) - 0.4, -0.6), xlabel="Energy per home (kWh per day)")
    draw_savings(right, data, table, order)
    right.set(ylim=left.get_ylim(), ylabel="", xlabel="Saving (EUR per day)", yticks=[])
    for ax in (left, right):
        ax.grid(axis="x")
    key_above(
        left, [Patch(fc=COLOUR[c], label=n) for n, c in (("PV", "pv"), ("load", "load"))], "left"
    )
    return fig


def draw_savings(ax: Axes, data: Results, table: pd.DataFrame, order: list[str]) -> None:
    """A box for each type; a dot for each home, coloured by what it owns, unless there are too many."""
    rows, spread = np.arange(len(order)), table.groupby("type")["saving"]
    least, low, middle, high, most = (
        spread.quantile(part).loc[order].to_numpy() for part in (0, 0.25, 0.5, 0.75, 1)
    )
    ax.use_sticky_edges = False
    ax.hlines(rows, least, most, color=MUTED, lw=1.6, zorder=0.9)
    ax.barh(rows, high - low, left=low, height=0.62, color="#E4E4E4", ec=MUTED, lw=1.6)
    ax.vlines(middle, rows - 0.31, rows + 0.31, color="black", lw=2.6)
    ax.axvline(0, color="black", lw=1.2)
    ax.margins(x=0.08)
    if len(table) <= 2000:
        jitter = np.random.default_rng(1).uniform(-0.22, 0.22, len(table))
        place = table["type"].map({name: row for row, name in enumerate(order)}) + jitter
        size, colours = float(np.clip(4000 / len(table), 8, 40)), group_colours(data)
        ax.scatter(table["saving"], place, s=size, c=colours, zorder=3, ec="white", lw=0.4)
        key_above(ax, group_key(data), "right")


@figure
def balance_distribution(data: Results) -> Figure:
    """How is the money distributed at the end?"""
    balance, found = data.members["final_balance_eur"], groups(data)
    low, middle, high = (
        amount(float(balance.quantile(q)), "EUR", signed=True) for q in (0, 0.5, 1)
    )
    wallet, middle_eur = amount(data.setting("INITIAL_WALLET", 0), "EUR"), float(balance.median())
    fig, (ax,) = canvas(
        f"The median balance is {middle}; they reach from {low} to {high}"
        if low != high
        else f"{'Every' if len(balance) > 1 else 'The one'} member ends with {middle}",
        f"Money after {data.timeline.span}, {wallet} at the start: energy, bonuses and penalties. "
        "Stored energy is not valued.",
        right=WIDE_KEY + 0.02,
    )
    bars: Any = {"multiple": "stack", "alpha": 1, "edgecolor": "white", "linewidth": 0.8}
    sns.histplot(
        x=balance,
        hue=found,
        hue_order=[name for name in reversed(GROUPS) if name in found],
        palette={name: COLOUR[colour] for name, colour in GROUPS.items()},
        bins=int(np.clip(3 * len(balance) ** 0.5, 5, 40)),
        binrange=(balance.min(), balance.max())
        if np.ptp(balance) >= 0.01
        else (middle_eur - 0.01, middle_eur + 0.01),
        legend=False,
        ax=ax,
        **bars,
    )
    ax.axvline(balance.median(), color="white", lw=5)
    ax.axvline(balance.median(), color=COLOUR["community"], lw=3, ls=DASHED)
    ax.set(xlabel="Balance (EUR)", ylabel="Members")
    whole_numbers(ax.yaxis)
    ax.grid(axis="y")
    median = stroke("median", COLOUR["community"], lw=3, ls=DASHED)
    key(ax, [*group_key(data, lambda name, colour: Patch(fc=colour, label=name)), median])
    return fig


def who_pays_less(saving: pd.Series) -> str:
    """How many members pay less here than alone, and how much less all pay."""
    whole, better = float(saving.sum()), int((saving > ALMOST_NOTHING_EUR).sum())
    difference = f"{amount(abs(whole), 'EUR')} {'less' if whole >= 0 else 'more'}"
    if abs(whole) <= ALMOST_NOTHING_EUR * len(saving):
        difference = "as much as alone"
    if len(saving) == 1:
        return f"The one member pays {difference} here" + " than alone" * ("EUR" in difference)
    pay = "pays" if better == 1 else "pay"
    return f"{better:,} of {len(saving):,} members {pay} less here than alone; all together {difference}"


@figure
def bill_before_after(data: Results) -> Figure:
    """What does each member pay alone with the utility, and what here?"""
    table = bills(data).sort_values("alone", ignore_index=True)
    worse = int((table["saving"] < -ALMOST_NOTHING_EUR).sum())
    fig, (ax,) = canvas(
        who_pays_less(table["saving"]),
        f"Bill of {data.timeline.span}: cash for energy minus the value of the change in stored energy, "
        "without bonuses and penalties.",
        right=WIDE_KEY + 0.03,
    )
    draw_bills(ax, table)
    sums = [amount(table[life].sum(), "EUR") for life in ("alone", "here")]
    entries = [
        dot(f"alone with the utility\n{sums[0]} in all", COLOUR["utility"]),
        dot(f"here\n{sums[1]} in all", COLOUR["community"]),
        stroke("pays less here", PAYS_LESS, lw=6),
        stroke(f"pays more here ({worse:,})", "black", lw=6),
    ]
    key(ax, entries if worse else entries[:3])
    return fig


PAYS_LESS = "#BDB9DB"


def draw_bills(ax: Axes, table: pd.DataFrame) -> None:
    """Two dots for each member, its bill alone and here, and a line between them."""
    x, loses = np.arange(1, len(table) + 1), (table["saving"] < 0).to_numpy()
    size, width = float(np.clip(4000 / len(x), 3, 110)), float(np.clip(400 / len(x), 0.5, 6))
    for rows, colour in ((~loses, PAYS_LESS), (loses, "black")):
        ax.vlines(x[rows], table["here"][rows], table["alone"][rows], color=colour, lw=width)
    ax.scatter(x, table["alone"], s=size, c=COLOUR["utility"], zorder=3, lw=0)
    ax.scatter(x, table["here"], s=size, c=COLOUR["community"], zorder=4, lw=0)
    zero_line(ax)
    ax.set(xlim=(0.2, len(x) + 0.8), xlabel="Members, sorted by their bill alone")
    ax.set_ylabel("Bill (EUR); below zero: earned")
    whole_numbers(ax.xaxis)
    if len(x) <= 20:
        ax.set_xticks(x)
    ax.grid(axis="y")


@figure
def top_prosumers(data: Results) -> Figure:
    """Who saves most, and what do they own?"""
    saving = bills(data)["saving"]
    table, rows = saving.nlargest(10), np.arange(min(10, len(saving)))
    names = [f"home {data.home[member]}: {data.describe(member)}" for member in table.index]
    fig, (ax,) = canvas(
        f"The ten best make {share(table.sum(), saving.sum())} of all savings: "
        f"{amount(table.sum(), 'EUR')} of {amount(saving.sum(), 'EUR')}"
        if len(saving) > 10 and saving.sum() > 0
        else f"Home {data.home[table.index[0]]} saves {'most: ' if len(saving) > 1 else ''}"
        + amount(table.iloc[0], "EUR"),
        f"Saving of {data.timeline.span} against being alone with the utility; colour: what the home owns.",
    )
    ax.barh(rows, table, color=group_colours(data)[table.index], height=0.72)
    row_names(ax, names)
    reach = (max(table.max(), 0) - min(table.min(), 0)) or 1.0
    for row, value in enumerate(table):
        place = max(value, 0) + 0.01 * reach
        ax.text(place, row, amount(value, "EUR"), va="center", fontsize=14)
    ax.set(xlim=(min(table.min(), 0), max(table.max(), 0) + 0.18 * reach), xlabel="Saving (EUR)")
    ax.set_ylim(max(len(rows), 5) - 0.4, -0.6)
    ax.grid(axis="x")
    return fig


def performance(data: Results) -> pd.DataFrame:
    """Self-sufficiency (%), saving (EUR per day), group and PV (kW) of each member that has a load."""
    return pd.DataFrame(
        {
            "sufficiency": 100 * self_sufficiency(data),
            "saving": bills(data)["saving"] / (data.timeline.hours / 24),
            "group": groups(data),
            "PV": data.members["pv_capacity_kw"],
        }
    ).dropna()


def correlation(x: pd.Series, y: pd.Series) -> float:
    """Pearson's correlation; NaN for fewer than three values or where one does not vary."""
    return float(x.corr(y)) if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0 else math.nan


def in_words(sufficiency: pd.Series, saving: pd.Series) -> str:
    """What self-sufficiency (%) says about saving (EUR per day): nothing where one of them hardly varies."""
    related = correlation(sufficiency, saving)
    if len(saving) > 1 and np.ptp(saving) < 2 * ALMOST_NOTHING_EUR:
        return f"All members save the same: {amount(float(saving.mean()), 'EUR')} per day"
    if len(saving) > 1 and np.ptp(sufficiency) < 1:
        all_of_them = share(float(sufficiency.mean()), 100)
        return (
            f"All members are {all_of_them} self-sufficient: their savings differ for other reasons"
        )
    if not np.isfinite(related):
        return "Self-sufficiency and saving of each member"
    number = minus(f"{related:+.2f}")
    if abs(related) < 0.2:
        return f"Self-sufficiency hardly tells who saves (correlation {number})"
    more = "more" if related > 0 else "less"
    return f"The more self-sufficient save {more} by trading (correlation {number})"


@figure
def prosumer_performance(data: Results) -> Figure:
    """Do the members who need little from others save most?"""
    table = performance(data)
    fig, (ax,) = canvas(
        in_words(table["sufficiency"], table["saving"]),
        "Each dot a member, the larger the more PV. "
        "Self-sufficiency: load neither bought nor taken from the initial charge.",
        right=WIDE_KEY + 0.02,
    )
    sns.scatterplot(
        table,
        x="sufficiency",
        y="saving",
        hue="group",
        size="PV",
        sizes=(60, 420) if len(table) <= 300 else (20, 120),
        palette={name: COLOUR[colour] for name, colour in GROUPS.items()},
        alpha=0.75,
        edgecolor="white",
        legend=False,
        ax=ax,
    )
    zero_line(ax)
    ax.set(xlim=(-3, 103), xlabel="Self-sufficiency (% of the load)", ylabel="Saving (EUR per day)")
    ax.grid()
    key(ax, group_key(data))
    return fig


def best_and_worst(data: Results) -> list[int]:
    """The members with the largest and the smallest saving; one where there is one."""
    saving = bills(data)["saving"]
    return list(dict.fromkeys([int(saving.argmax()), int(saving.argmin())]))


HOME_GETS = {
    "pv": "pv_kwh",
    "battery": "battery_discharge_kwh",
    "p2p": "p2p_bought_kwh",
    "market": "market_bought_kwh",
    "utility": "grid_import_kwh",
}
HOME_GIVES = {
    "battery": "battery_charge_kwh",
    "p2p": "p2p_sold_kwh",
    "market": "market_sold_kwh",
    "utility": "grid_export_kwh",
    "curtailed": "curtailed_kwh",
}


@figure
def prosumer_day(data: Results) -> Figure:
    """What do the best and the worst member do, hour by hour?"""
    chosen, saving, timeline = best_and_worst(data), bills(data)["saving"], data.timeline
    told = [amount(saving[member], "EUR", signed=True) for member in chosen]
    fig, axes = canvas(
        f"Best and worst saving: home {data.home[chosen[0]]} {told[0]}, home {data.home[chosen[-1]]} {told[-1]}"
        if len(chosen) > 1
        else f"Home {data.home[chosen[0]]}: saving {told[0]}",
        "Up: what the home gets, down: what it stores and gives; the black line is what it uses."
        + timeline.note,
        heights=[1] * len(chosen),
        right=NARROW_KEY,
        top=0.79,
        gap=0.08,
    )
    for ax, member in zip(axes, chosen, strict=True):
        draw_home(ax, data, member)
    time_axes(axes, timeline, ["Average power (kW)"] * len(axes))
    words = {"utility": "utility", "market": "local market", "p2p": "P2P", "battery": "battery"}
    entries = [Patch(fc=COLOUR[c], label=word) for c, word in {**words, "pv": "PV"}.items()]
    key(axes[0], [stroke("load", COLOUR["load"]), *entries])
    return fig


def draw_home(ax: Axes, data: Results, member: int) -> None:
    """What one home gets (up), gives and stores (down), and its load as a line."""

    def power(name: str) -> np.ndarray:
        return data.timeline.rate(data.flow(name)[:, member])

    for flows, sign in ((HOME_GETS, 1), (HOME_GIVES, -1)):
        layers = [("", COLOUR[c], power(name)) for c, name in flows.items()]
        stack(ax, data.timeline.edges, [layer for layer in layers if layer[2].any()], sign)
    line(ax, data.timeline.edges, power("load_kwh"), COLOUR["load"])
    zero_line(ax)
    ax.set_title(f"Home {data.home[member]}: {data.describe(member)}")


def lorenz(values: np.ndarray) -> tuple[np.ndarray, float]:
    """(share of the total that the least k of n hold, k = 0..n; Gini = sum|x_i - x_j| / (2 n^2 mean)).

    Defined for a positive total. Negative values count in full: the curve then dips below zero, and
    Gini, still 1 - 2 * area below the curve, may exceed 1.
    """
    ordered = np.sort(values)
    curve = np.append(0.0, np.cumsum(ordered)) / ordered.sum()
    return curve, float(1 - (curve[:-1] + curve[1:]).sum() / len(values))


@figure
def lorenz_fairness(data: Results) -> Figure:
    """How evenly are the savings shared among the members?"""
    saving = bills(data)["saving"].to_numpy()
    whole, losers = amount(saving.sum(), "EUR"), saving[saving < -ALMOST_NOTHING_EUR]
    if len(saving) < 2:
        raise NothingToShow("A community of one member has no savings to share.")
    if saving.sum() <= ALMOST_NOTHING_EUR * len(saving):
        raise NothingToShow(
            f"All members together saved {whole} against being alone: nothing to share."
        )
    curve, gini = lorenz(saving)
    people = 100 * np.arange(len(curve)) / (len(curve) - 1)
    best = share(1 - np.interp(80, people, curve), 1)
    lost = f" {many(len(losers), 'member')} lost {amount(-losers.sum(), 'EUR')}, counted in full."
    fig, (ax,) = canvas(
        f"Gini {gini:.2f}: the fifth that saves most has {best} of the savings",
        f"Lorenz curve of the savings against being alone, {whole} in all."
        + lost * (len(losers) > 0),
        right=WIDE_KEY,
    )
    ax.fill_between(people, people, 100 * curve, color=COLOUR["community"], alpha=0.2, lw=0)
    ax.plot([0, 100], [0, 100], color=MUTED, ls=DASHED, lw=2)
    ax.plot(people, 100 * curve, color=COLOUR["community"], lw=4, clip_on=False)
    if len(losers):
        zero_line(ax)
    ax.set(xlim=(0, 100), ylim=(min(0.0, 105 * curve.min()), max(100.0, 100 * curve.max())))
    ax.set(xlabel="Members, from the least saving (%)", ylabel="Share of all savings (%)")
    ax.grid()
    equal = stroke("all save the same:\nGini 0", MUTED, ls=DASHED, lw=2)
    ours = stroke("this community", COLOUR["community"], lw=4)
    key(ax, [equal, ours, Patch(fc=COLOUR["community"], alpha=0.2, label="its area: half of Gini")])
    return fig


# ---------------------------------------------------------------- regulator and money

REGULATED = {
    "market_penalty": ("penalty for local market", "market"),
    "renewable_bonus": ("bonus for own PV used", "pv"),
    "p2p_bonus": ("bonus for P2P", "p2p"),
}


def money_by_step(data: Results, reason: str) -> np.ndarray:
    """Money that moved for a reason (T), EUR."""
    moves = data.transfers[data.transfers["reason"] == reason]
    return np.bincount(moves["timestep"], moves["amount_eur"], data.shape[0])


@figure
def regulator_impact(data: Results) -> Figure:
    """What does the regulator's policy cost, and what does it pay for?"""
    money, timeline = {reason: money_by_step(data, reason) for reason in REGULATED}, data.timeline
    taken, paid = money["market_penalty"], money["renewable_bonus"] + money["p2p_bonus"]
    if not taken.any() and not paid.any():
        raise NothingToShow("The regulator paid no bonus and took no penalty in this run.")
    fig, (top, bottom) = canvas(
        f"The regulator pays {amount(paid.sum(), 'EUR')} and takes {amount(taken.sum(), 'EUR')}: "
        f"{amount((taken - paid).sum(), 'EUR', signed=True)} in all",
        "Above: what it takes (up) and pays (down), per hour. Below: its account so far."
        + timeline.note,
        heights=(1.5, 1),
        right=WIDE_KEY,
    )
    bars = {reason: timeline.rate(values) for reason, values in money.items()}
    for reasons, sign in ((("market_penalty",), 1), (("renewable_bonus", "p2p_bonus"), -1)):
        layers = [("", COLOUR[REGULATED[reason][1]], bars[reason]) for reason in reasons]
        stack(top, timeline.edges, layers, sign)
    zero_line(top)
    account = np.append(0, np.cumsum(timeline.total(taken - paid)))
    bottom.plot(timeline.edges, account, color=COLOUR["regulator"], lw=4)
    bottom.fill_between(timeline.edges, account, color=COLOUR["regulator"], alpha=0.3, lw=0)
    zero_line(bottom)
    time_axes([top, bottom], timeline, ["Money (EUR per hour)", "So far (EUR)"])
    entries: list[Any] = [
        Patch(fc=COLOUR[colour], label=f"{name}\n{amount(money[reason].sum(), 'EUR')}")
        for reason, (name, colour) in REGULATED.items()
    ]
    key(top, [*entries, stroke("the regulator's account", COLOUR["regulator"], lw=4)])
    return fig


BAN_REASONS = {"excessive_market_use": COLOUR["ban"], "low_balance": "#7A3300"}


def bans(data: Results) -> pd.DataFrame:
    """One row per step and member under a ban: timestep, prosumer_id, ban_reason."""
    found = data.rulings[data.rulings["is_banned"]]
    return found.assign(ban_reason=found["ban_reason"].fillna("").astype(str))


def ban_hours(data: Results) -> dict[str, float]:
    """Member-hours under a ban for each reason."""
    steps = bans(data)["ban_reason"].value_counts().sort_index()
    return {str(reason): n * data.timeline.step_hours for reason, n in steps.items()}


@figure
def ban_timeline(data: Results) -> Figure:
    """Who was banned, when, and why?"""
    found, timeline = bans(data), data.timeline
    hours = ban_hours(data)
    members = found["prosumer_id"].unique()
    if not len(members):
        raise NothingToShow(f"The regulator banned no member in {timeline.span}.")
    named = len(members) <= 30 and timeline.steps_per_point == 1
    fig, (ax,) = canvas(
        f"{many(len(members), 'member')} of {data.shape[1]:,} banned, "
        f"{sum(hours.values()):,.6g} member-hours in all",
        "Each bar: a ban in force." if named else "Members under a ban." + timeline.note,
        right=WIDE_KEY,
    )
    if named:
        draw_bans(ax, data, found, members)
    else:
        counts = {
            str(reason): np.bincount(rows["timestep"], minlength=timeline.steps) * 1.0
            for reason, rows in found.groupby("ban_reason")
        }
        layers = [("", BAN_REASONS.get(r, MUTED), timeline.mean(n)) for r, n in counts.items()]
        stack(ax, timeline.edges, layers)
    time_axes([ax], timeline, ["Home" if named else "Members under a ban"])
    if named:
        ax.grid(False)
    names = [f"{r.replace('_', ' ')}\n{h:,.6g} member-hours" for r, h in hours.items()]
    colours = [BAN_REASONS.get(reason, MUTED) for reason in hours]
    key(ax, [Patch(fc=c, label=name) for name, c in zip(names, colours, strict=True)])
    return fig


def draw_bans(ax: Axes, data: Results, found: pd.DataFrame, members: np.ndarray) -> None:
    """One bar for each step of each ban, a row for each member, the first banned on top."""
    timeline, row = data.timeline, {member: place for place, member in enumerate(members)}
    y = found["prosumer_id"].map(row).to_numpy()
    x = timeline.start + timeline.step_hours * found["timestep"].to_numpy()
    box = np.array([[0, -0.38], [1, -0.38], [1, 0.38], [0, 0.38]]) * [timeline.step_hours, 1]
    boxes = np.stack([x, y], axis=1)[:, None, :] + box
    colours = [BAN_REASONS.get(reason, MUTED) for reason in found["ban_reason"]]
    ax.add_collection(PolyCollection(list(boxes), fc=colours, ec=colours, lw=0.5))
    ax.hlines(
        np.arange(len(members)), timeline.start, timeline.end, color="#DDDDDD", lw=1, zorder=0
    )
    ax.set_ylabel("Home")
    row_names(ax, [data.home[member] for member in members])
    ax.set_ylim(max(len(members), 4) - 0.4, -0.6)


PARTIES = ("members", "aggregator", "utility", "regulator", "mint", "miners")
CHANNELS = {
    "p2p": ("P2P", ("p2p",)),
    "market": ("local market", ("local_market",)),
    "utility": ("utility", ("utility_import", "utility_export")),
    "regulator": ("bonuses, penalties", ("renewable_bonus", "p2p_bonus", "market_penalty")),
    "ledger": ("block rewards", ("block_reward",)),
    "settlement": ("market rule: spread,\nshared bill", ("auction_spread", "bill_sharing")),
}


def party(account: pd.Series) -> np.ndarray:
    """The position in PARTIES of each account."""
    institutions = [account == number for number in (AGGREGATOR, UTILITY, REGULATOR, MINT)]
    return np.select([account >= 0, *institutions, account <= FIRST_MINER], range(6), 0)


def money_flows(data: Results) -> tuple[np.ndarray, np.ndarray]:
    """EUR received and EUR paid, each by channel and party (6, 6)."""
    moves = data.transfers
    channel = np.full(len(moves), len(CHANNELS) - 1)
    for place, (_, reasons) in enumerate(CHANNELS.values()):
        channel[moves["reason"].isin(reasons).to_numpy()] = place
    received, paid = (
        np.bincount(6 * channel + party(moves[side]), moves["amount_eur"], 36).reshape(6, 6)
        for side in ("payee_id", "payer_id")
    )
    return received, paid


@figure
def money_by_party(data: Results) -> Figure:
    """Where does the money go? Every payment has a payer and a payee."""
    received, paid = money_flows(data)
    net, moved = (received - paid).sum(axis=0), (received + paid).sum(axis=0)
    shown = np.flatnonzero(moved)
    if not len(shown):
        raise NothingToShow("No money moved in this run.")
    fig, (ax,) = canvas(
        f"Members end with {amount(net[0], 'EUR', signed=True)}, the utility with "
        f"{amount(net[2], 'EUR', signed=True)}; all together 0 EUR",
        f"Received (right) and paid (left) in {data.timeline.span}; the diamond and the number: what remains.",
        right=WIDE_KEY + 0.03,
        left=0.15,
    )
    rows, ax.use_sticky_edges = np.arange(len(shown)), False
    for table, sign in ((received, 1), (paid, -1)):
        base = np.zeros(len(shown))
        for colour, values in zip(CHANNELS, table[:, shown], strict=True):
            ax.barh(rows, sign * values, left=base, color=COLOUR[colour], height=0.66)
            base += sign * values
    ax.scatter(net[shown], rows, marker="D", s=130, c="black", ec="white", lw=1.5, zorder=4)
    names = [f"{PARTIES[p]}\n{amount(net[p], 'EUR', signed=True)}" for p in shown]
    row_names(ax, names)
    ax.axvline(0, color="black", lw=1.2)
    ax.set(ylim=(max(len(shown), 4) - 0.4, -0.6), xlabel="Money (EUR)")
    ax.grid(axis="x")
    used = dict(zip(CHANNELS, (received + paid).any(axis=1), strict=True))
    key(ax, [Patch(fc=COLOUR[c], label=name) for c, (name, _) in CHANNELS.items() if used[c]])
    return fig


# ---------------------------------------------------------------- ledger


def need_blocks(data: Results) -> pd.DataFrame:
    """The blocks after genesis."""
    if not len(data.blocks):
        raise NothingToShow("Nothing was traded in this run, so no block came after genesis.")
    return data.blocks


@figure
def blockchain_growth(data: Results) -> Figure:
    """How does the chain grow with the trades?"""
    blocks, timeline = need_blocks(data), data.timeline
    mined = np.bincount(blocks["timestep"], minlength=timeline.steps)
    trades = np.bincount(blocks["timestep"], blocks["transactions"], timeline.steps)
    fig, (top, bottom) = canvas(
        f"{many(len(blocks), 'block')} for {many(int(trades.sum()), 'trade')}: "
        f"{trades.sum() / len(blocks):.1f} per block",
        "Above: blocks added, per hour. Below: trades on the chain so far. Without genesis."
        + timeline.note,
        heights=(1, 1.2),
        left=0.105,
    )
    rate = timeline.rate(mined)
    stack(top, timeline.edges, [("", COLOUR["ledger"], rate)])
    so_far = np.append(0, np.cumsum(timeline.total(trades)))
    bottom.fill_between(timeline.edges, so_far, color=COLOUR["ledger"], alpha=0.35, lw=0)
    bottom.plot(timeline.edges, so_far, color=COLOUR["ledger"], lw=4)
    time_axes([top, bottom], timeline, ["Blocks per hour", "Trades so far"])
    if timeline.step_hours == timeline.steps_per_point == 1:
        whole_numbers(top.yaxis)
    bottom.set_ylim(bottom=0)
    return fig


def binomial_band(draws: int, chance: float, inside: float = 0.95) -> tuple[int, int]:
    """The range (lowest, highest) that holds the number of successes with probability `inside` or more."""
    if draws == 0 or chance <= 0:
        return 0, 0
    if chance >= 1:
        return draws, draws
    k = np.arange(1, draws + 1)
    log_ratio = np.log((draws - k + 1) / k) + math.log(chance / (1 - chance))
    log_weight = np.append(0.0, np.cumsum(log_ratio))
    weight = np.exp(log_weight - log_weight.max())
    cumulated, tail = np.cumsum(weight) / weight.sum(), (1 - inside) / 2
    return int(np.searchsorted(cumulated, tail)), int(np.searchsorted(cumulated, 1 - tail))


def mining_chances(data: Results) -> np.ndarray:
    """Each miner's chance to win a block (K): by stake, by hash power, or equal."""
    by_stake = data.params.get("CONSENSUS") == "pos"
    weights = data.params.get("VALIDATOR_STAKES" if by_stake else "MINER_HASH_POWER")
    miners = max(int(data.setting("NUM_MINERS", 1)), int(data.blocks["miner"].max()) + 1)
    if not isinstance(weights, list) or len(weights) != miners:
        weights = [1] * miners
    return np.array(weights, float) / sum(weights)


@figure
def mining_race(data: Results) -> Figure:
    """Does any miner win more blocks than chance allows?"""
    blocks, chances = len(need_blocks(data)), mining_chances(data)
    won = np.bincount(data.blocks["miner"], minlength=len(chances))
    limits = {chance: binomial_band(blocks, chance) for chance in np.unique(chances)}
    low, high = np.array([limits[chance] for chance in chances]).T
    out = int(((won < low) | (won > high)).sum())
    noun = "validator" if data.params.get("CONSENSUS") == "pos" else "miner"
    fig, (ax,) = canvas(
        f"{out:,} of {many(len(won), noun)} won outside the 95 % range of chance",
        f"{many(blocks, 'block')}. A fair {noun} is inside in at least 95 % of all runs, "
        f"so up to {0.05 * len(won):.1f} of {len(won):,} are outside by luck.",
        right=WIDE_KEY,
    )
    edges = np.arange(len(won) + 1) - 0.5
    band: Any = {"fill": True, "fc": PALE, "zorder": 0.9}
    ax.stairs(high + 0.5, edges, baseline=np.where(low > 0, low - 0.5, 0), **band)
    bars = np.arange(len(won))
    ax.bar(bars, won, 0.55 if len(won) <= 60 else 1.0, color=COLOUR["ledger"], zorder=2)
    line(ax, edges, blocks * chances, "black", ls=DASHED, lw=2, zorder=3)
    ax.set(xlim=(edges[0], edges[-1]), xlabel=noun.capitalize(), ylabel="Blocks won")
    whole_numbers(ax.xaxis, ax.yaxis)
    if len(won) <= 20:
        ax.set_xticks(bars)
    ax.set_ylim(0, 1.06 * max(won.max(), high.max() + 0.5))
    ax.grid(axis="y")
    expected = f"{blocks * chances[0]:.1f}" if np.ptp(chances) == 0 else "by its weight"
    won_key = Patch(fc=COLOUR["ledger"], label="blocks won")
    mean_key = stroke(f"expected: {expected}", "black", ls=DASHED, lw=2)
    band_key = Patch(fc=PALE, label="95 % range of chance\n(binomial)")
    key(ax, [won_key, mean_key, band_key])
    return fig


def expected_blocks(edges: np.ndarray, blocks: int, chance: float) -> np.ndarray:
    """Blocks that the geometric law expects to take more than edges[i], at most edges[i + 1] hashes."""
    survival = np.power(1 - chance, edges)
    return blocks * (survival[:-1] - survival[1:])


def hash_edges(tried: np.ndarray) -> np.ndarray:
    """Whole numbers that divide the hashes of blocks into classes, more where there are more blocks."""
    classes = int(np.clip(2 * len(tried) ** 0.5, 6, 50))
    return np.unique(np.ceil(np.linspace(0, max(tried.max(), 1), classes + 1)))


@figure
def hashes_per_block(data: Results) -> Figure:
    """Does the work per block follow the law of independent tries?"""
    tried = need_blocks(data)["hashes_tried"].to_numpy()
    if not tried.any():
        raise NothingToShow(
            "The blocks of this run were not found by hashing: there is no work to count."
        )
    odds = 16 ** int(data.setting("DIFFICULTY_TARGET", 0))
    edges = hash_edges(tried)
    fig, (ax,) = canvas(
        f"{amount(tried.mean(), 'hashes')} per block on average; chance expects {odds:,}",
        f"{many(len(tried), 'block')} by the hashes that all miners tried for it; "
        f"each is valid with probability 1/{odds:,}.",
        right=WIDE_KEY,
    )
    stack(ax, edges, [("", COLOUR["ledger"], np.histogram(tried, edges + 0.5)[0])])
    line(ax, edges, expected_blocks(edges, len(tried), 1 / odds), "black", ls=DASHED)
    ax.set(xlim=(0, edges[-1]), xlabel="Hashes tried for a block", ylabel="Blocks")
    whole_numbers(ax.yaxis)
    ax.grid(axis="y")
    law = stroke("expected: geometric\nlaw of chance", "black", ls=DASHED)
    key(ax, [Patch(fc=COLOUR["ledger"], label="blocks of this run"), law])
    return fig


# ---------------------------------------------------------------- all of them


def plot_all(
    folder: Path,
    only: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
    output: Path | None = None,
) -> list[Path]:
    """Writes the figures (all, or those named) into folder/plots, or `output`; returns their paths.

    `progress` is told each name before its figure is drawn. Raises InputError with all that is wrong.
    """
    names = list(FIGURES) if only is None else list(dict.fromkeys(only))
    problems = unknown_figures(names)
    data, goal = gather(problems, lambda: Results(folder)), Path(output or Path(folder) / "plots")
    if data is None or problems:
        raise InputError(problems)
    try:
        left_out = () if data.has_ledger else LEDGER_FIGURES
        goal.mkdir(parents=True, exist_ok=True)
        for name in left_out:
            (goal / f"{name}.png").unlink(missing_ok=True)
        return [write(name, data, goal, progress) for name in names if name not in left_out]
    except InputError as error:
        raise InputError(list(dict.fromkeys([*error.problems, *data.problems()]))) from None
    except OSError as error:
        raise InputError([f"{goal}: cannot be written ({error.strerror or error})"]) from None


def unknown_figures(names: Sequence[str]) -> list[str]:
    """A problem for each name that no figure has: the name that was meant, or once all names."""
    problems, listed = [], False
    for name in (name for name in names if name not in FIGURES):
        near = difflib.get_close_matches(name, FIGURES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if not near and not listed:
            hint, listed = f"; there are {', '.join(FIGURES)}", True
        problems.append(f"no figure is called {name!r}{hint}")
    return problems


def write(
    name: str, data: Results, goal: Path, progress: Callable[[str], None] | None = None
) -> Path:
    """Draws one figure; the picture appears under its name when it is complete."""
    if progress:
        progress(name)
    path, fresh = goal / f"{name}.png", goal / f".{name}.new"
    try:
        with matplotlib.rc_context(STYLE):
            FIGURES[name](data).savefig(fresh, format="png", pil_kwargs={"compress_level": 1})
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return path


class Progress:
    """Tells on stderr what is being drawn, once the drawing takes longer than two seconds."""

    def __init__(self, total: int):
        self.total, self.done, self.since, self.told = total, 0, time.monotonic(), False

    def __call__(self, name: str) -> None:
        self.done += 1
        live = sys.stderr.isatty()
        if time.monotonic() - self.since > 2 and (live or not self.told):
            text = f"drawing figure {self.done} of {self.total}: {name}"
            if live:
                print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)
            else:
                print(text, file=sys.stderr)
            self.told = True

    def finish(self) -> None:
        if self.told and sys.stderr.isatty():
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


def command_line() -> argparse.ArgumentParser:
    questions = "\n".join(f"  {name:<22}{draw.__doc__}" for name, draw in FIGURES.items())
    parser = Parser(
        prog="python plot_results.py",
        description="Draw the figures of a run from its results folder.",
        epilog="example:\n  python plot_results.py results --only merit_order,trade_network\n\n"
        f"figures and their questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="results folder of a run")
    parser.add_argument(
        "--only", metavar="A,B", help="only these figures, names with commas between"
    )
    parser.add_argument(
        "--output", "-o", metavar="DIR2", type=Path, help="folder for the pictures (DIR/plots)"
    )
    return parser


def draw_command(arguments: Sequence[str] | None = None) -> None:
    """Draws what the command line asks for."""
    options = command_line().parse_args(arguments)
    only = None
    if options.only is not None:
        only = [name.strip() for name in options.only.split(",")]
    begun, progress = time.monotonic(), Progress(len(only or FIGURES))
    try:
        drawn = plot_all(options.folder, only, progress, options.output)
    finally:
        progress.finish()
    goal = options.output or options.folder / "plots"
    print(f"{many(len(drawn), 'figure')} in {goal} ({time.monotonic() - begun:.1f} s)")
    if len(drawn) < len(set(only or FIGURES)):
        print("without the figures of the ledger: this run has none (CONSENSUS = none)")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    told = "stopped; the figures drawn so far are new, the others as they were"
    return guarded(lambda: draw_command(arguments), told)


if __name__ == "__main__":
    exit_code = main()
    ignore_stops()
    sys.exit(exit_code)
