"""Figures of prices: the forecast, and what a kWh cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import Results
from figures.registry import figure
from figures.style import (
    COLOUR,
    DASHED,
    MAP_RIGHT,
    MUTED,
    NARROW_KEY,
    WIDE_KEY,
    beside,
    canvas,
    day_map,
    key,
    line,
    many,
    share,
    stack,
    stroke,
    time_axes,
    zero_line,
)

TOO_HIGH = LinearSegmentedColormap.from_list("too high", [COLOUR["p2p"], "#F7F7F7", COLOUR["ban"]])


@figure
def price_forecast(data: Results) -> Figure:
    """How good is the price forecast?"""
    forecast, settled = data.price("price_forecast"), data.price("market_price")
    missed, timeline = forecast - settled, data.timeline
    error, long = np.abs(missed), timeline.steps_per_point > 1
    name, price = "settled", "the price that settles"
    if not data.has_local_market:
        name, price = "market price", "the market price"
    if data.tariff_is_given:
        name, price = "mean of import\nand export price", "the tariff's mean"
    fig, (top, bottom) = canvas(
        f"{'Of later hours, the' if data.tariff_is_given else 'The'} forecast misses {price} by "
        f"{error.mean():.4f} EUR/kWh ({share(error.mean(), settled.mean())}) on average",
        ("By hour of the day and day. " if long else "")
        + f"Above: {price}{'' if long else ', and what members forecast'}. Below: forecast minus that."
        + " A step's own tariff is known." * data.tariff_is_given,
        heights=(1, 1) if long else (2.2, 1),
        right=MAP_RIGHT - 0.02 if long else NARROW_KEY,
    )
    if long:
        most = float(error.max()) or 0.01
        seen = 0.0, float(settled.max()) or 0.01
        day_map(top, beside(top), timeline, settled, "Price (EUR/kWh)", "cividis", seen)
        day_map(
            bottom,
            beside(bottom),
            timeline,
            missed,
            "Error (EUR/kWh)",
            TOO_HIGH,
            (-most, most),
        )
        time_axes([top, bottom], timeline, ["Hour of the day"] * 2)
        for ax in (top, bottom):
            ax.grid(False)
        return fig
    line(top, timeline.edges, settled, COLOUR["market"], lw=5)
    line(top, timeline.edges, forecast, COLOUR["load"], ls=DASHED, lw=2)
    stack(bottom, timeline.edges, [("", MUTED, missed)])
    zero_line(bottom)
    time_axes([top, bottom], timeline, ["Price (EUR/kWh)", "Error (EUR/kWh)"])
    top.set_ylim(0, 1.1 * (max(forecast.max(), settled.max()) or 0.01))
    in_order = [
        stroke(name, COLOUR["market"], lw=5),
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
    """(mean P2P price, steps with P2P inside the two prices that are to be had outside, steps with P2P).

    Outside is the local market, or the utility where the rule leaves none.
    """
    average, energy = data.price("p2p_price"), data.community["p2p_kwh"].to_numpy()
    traded = (energy > 0) & np.isfinite(average)
    if not traded.any():
        return math.nan, 0, 0
    names = (
        ("market_sell", "market_buy") if data.has_local_market else ("grid_export", "grid_import")
    )
    low, high = (data.price(f"{name}_price") for name in names)
    inside = (average >= low) & (average <= high)
    mean = float((average[traded] * energy[traded]).sum() / energy[traded].sum())
    return mean, int((inside & traded).sum()), int(traded.sum())


def what_neighbours_pay(data: Results) -> str:
    """The mean P2P price and where it lies, in words."""
    mean, inside, traded = p2p_in_band(data)
    if not traded:
        return "Neighbours traded nothing: only the other prices applied"
    if data.bills_are_shared:
        return "Bills are shared, so a kWh between neighbours has no price of its own"
    if data.spread.any():
        energy = data.community["p2p_kwh"].to_numpy()
        paid = mean + (data.spread * energy).sum() / energy.sum()
        return f"P2P sellers get {mean:.3f} EUR/kWh, buyers pay {paid:.3f}; the aggregator keeps the rest"
    steps = many(traded, "hour" if data.timeline.step_hours == 1 else "step")
    few = f"{inside:,}" if inside else "none"
    where = f"all {steps}" if inside == traded else f"{few} of the {steps}"
    if traded == 1:
        where = f"the one {steps[2:]}" if inside else f"none of {steps}"
    whose = "the market's" if data.has_local_market else "the utility's"
    return f"P2P at {mean:.3f} EUR/kWh, within {whose} prices in {where} with P2P"


@figure
def price_dynamics(data: Results) -> Figure:
    """Do neighbours trade at better prices than the local market and the utility offer?"""
    timeline = data.timeline
    with_neighbours = bool(data.community["p2p_kwh"].any()) and not data.bills_are_shared
    places = ["with a neighbour"] * with_neighbours
    places += ["in the local market"] * data.has_local_market
    and_there = ", ".join(places) + " and " * bool(places)
    fig, (ax,) = canvas(
        what_neighbours_pay(data),
        f"What a kWh costs, and earns, {and_there}at the utility." + timeline.note,
        right=WIDE_KEY,
    )
    entries = draw_other_prices(ax, data)
    if with_neighbours:
        entries += draw_p2p_prices(ax, data)
    ax.set_ylim(0, 1.06 * max(ax.dataLim.ymax, 1e-6))
    time_axes([ax], timeline, ["Price (EUR/kWh)"])
    key(ax, entries)
    return fig


def draw_p2p_prices(ax: Axes, data: Results) -> list[Any]:
    """Draws the range and the average of the P2P prices; where a rule has two, both; returns their key."""
    timeline, edges, entries = data.timeline, data.timeline.edges, list[Any]()
    weight, blue = data.community["p2p_kwh"].to_numpy(), COLOUR["p2p"]
    low, high = p2p_price_range(data)
    if timeline.steps_per_point == 1 and (high > low).any():
        style: Any = {"lw": float(np.clip(400 / len(low), 1, 6)), "alpha": 0.45}
        ax.vlines((edges[:-1] + edges[1:]) / 2, low, high, color=blue, **style)
        entries.append(stroke("P2P: lowest to highest", blue, lw=6, alpha=0.45))
    thickness = float(np.clip(400 / len(edges), 2.6, 4))
    line(ax, edges, timeline.mean(data.price("p2p_price"), weight), blue, lw=thickness)
    name = "what sellers get,\nweighted by" if data.spread.any() else "average, weighted\nby"
    average = stroke(f"P2P: {name} energy", blue, lw=thickness)
    if not data.spread.any():
        return [*entries, average]
    paid = timeline.mean(data.price("p2p_price") + data.spread, weight)
    line(ax, edges, paid, blue, lw=thickness, ls=DASHED)
    return [stroke("P2P: what buyers pay", blue, lw=thickness, ls=DASHED), *entries, average]


def draw_other_prices(ax: Axes, data: Results) -> list[Any]:
    """Draws the prices of the local market, as a band, where there is one, and of the utility; returns their key."""
    timeline, edges = data.timeline, data.timeline.edges
    buy, sell, dear, cheap = (
        timeline.mean(data.price(f"{name}_price"))
        for name in ("market_buy", "market_sell", "grid_import", "grid_export")
    )
    for values in (dear, cheap):
        line(ax, edges, values, COLOUR["utility"], ls=DASHED)
    utility = stroke("utility: buying (upper),\nselling (lower)", COLOUR["utility"], ls=DASHED)
    if not data.has_local_market:
        return [utility]
    band: Any = {"color": COLOUR["market"], "alpha": 0.35, "lw": 0}
    corners = np.repeat(edges, 2)[1:-1]
    ax.fill_between(corners, np.repeat(sell, 2), np.repeat(buy, 2), zorder=0.9, **band)
    for values in (buy, sell):
        line(ax, edges, values, COLOUR["market"], zorder=0.95)
    unused = "" if data.community["market_trades"].any() else "\n(nobody used it)"
    name = "local market: between\nselling and buying" + unused
    return [utility, Patch(fc="#EFD5E3", ec=COLOUR["market"], lw=2, label=name)]
