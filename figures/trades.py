"""Figures of trades: when, how much, at which prices, between whom."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import NothingToShow, Results
from figures.registry import figure
from figures.style import (
    COLOUR,
    NARROW_KEY,
    TOP,
    amount,
    bands,
    canvas,
    key,
    left_end,
    many,
    patches,
    share,
    stack,
    time_axes,
    two_sided,
    whole_numbers,
    width_of,
    zero_line,
)


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
    made = [orders[side] for side, found in enumerate((sellers, buyers)) if found.any()]
    kinds = (("P2P", "p2p", p2p), ("local market", "market", market))
    trades = [
        (name, COLOUR[colour], timeline.rate(counts))
        for name, colour, counts in kinds
        if counts.any()
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
    key(top, patches(made))
    key(bottom, patches(reversed(trades)))
    return fig


def parts_of_p2p(p2p: float, bought: float, sold: float) -> str:
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
        parts_of_p2p(p2p, all_bought, all_sold),
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
    priced = [kind for kind in kinds if kind[0] != "P2P" or not data.bills_are_shared]
    medians = [f"{amount(t['energy_kwh'].median(), 'kWh')} ({name})" for name, _, t in kinds]
    free = " Bills are shared, so a kWh between neighbours has no price." * data.bills_are_shared
    fig, (left, *right) = canvas(
        f"The median trade is {' and '.join(medians)}",
        f"{' and '.join(many(len(t), f'{name} trade') for name, _, t in kinds)} "
        f"in {data.timeline.span}." + free,
        widths=(1, 1) if priced else (1,),
        gap=0.11,
    )
    draw_histogram(left, kinds, "energy_kwh", 0.0)
    left.set(xlabel="Energy of a trade (kWh)", ylabel="Number of trades")
    whole_numbers(left.yaxis)
    shown = [Patch(fc=colour, label=name) for name, colour, _ in reversed(kinds)]
    left.legend(handles=shown, loc="upper right")
    for ax in right:
        draw_histogram(ax, priced, "price_eur_per_kwh", weight="energy_kwh")
        ax.locator_params(axis="x", nbins=6)  # labels of four decimals need room
        sellers = "Price, P2P that of sellers" if data.spread.any() else "Price"
        ax.set(xlabel=f"{sellers} (EUR/kWh)", ylabel="Traded energy (kWh)")
    return fig


def draw_histogram(
    ax: Axes,
    kinds: list[tuple[str, str, pd.DataFrame]],
    column: str,
    low: float | None = None,
    weight: str = "",
) -> None:
    """How a column of the trades is distributed, kind upon kind; each trade counts once or by `weight`."""
    values = pd.concat([trades[column] for _, _, trades in kinds])
    low, high = float(values.min()) if low is None else low, float(values.max())
    if high - low < 0.001:  # all alike: one bar, amid as much room as other bars would have had
        low, high = (low + high) / 2 - 0.0155, (low + high) / 2 + 0.0155
    edges = np.linspace(low, high, 32)
    layers = [
        (name, colour, np.histogram(t[column], edges, weights=t[weight] if weight else None)[0])
        for name, colour, t in kinds
    ]
    stack(ax, edges, layers)
    ax.margins(x=0)
    ax.grid(axis="y")


def p2p_pairs(data: Results) -> pd.DataFrame:
    """Energy of each pair of members that traded, in either direction: low_id, high_id, energy_kwh; largest first."""
    parties = np.sort(data.p2p[["seller_id", "buyer_id"]].to_numpy(), axis=1)
    table = pd.DataFrame(parties, columns=["low_id", "high_id"])
    table["energy_kwh"] = data.p2p["energy_kwh"].to_numpy()
    pairs = table.groupby(["low_id", "high_id"])["energy_kwh"].sum().reset_index()
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
    """Curves (L, 15, 2) from one of a pair to the other, bent towards the middle of the circle."""
    start = np.array([places[member] for member in pairs["low_id"]])[:, None, :]
    end = np.array([places[member] for member in pairs["high_id"]])[:, None, :]
    t = np.linspace(0, 1, 15)[None, :, None]
    return (1 - t) ** 2 * start + t * (1 - t) * 0.5 * (start + end) + t**2 * end


@figure
def trade_network(data: Results) -> Figure:
    """Who trades with whom?"""
    pairs, most = p2p_pairs(data), 300
    if not len(pairs):
        raise NothingToShow("No two neighbours traded in this run.")
    sold, bought = (
        data.p2p.groupby(f"{side}_id")["energy_kwh"].sum() for side in ("seller", "buyer")
    )
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
        free = abs(x) * radius + pixels[member] < box.width / 2 + 1 and all(
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
        homes = [data.called(member) for member in top.index.tolist()]
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
