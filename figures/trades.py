"""Figures of trades: how much, at which prices, between whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    DASHED,
    NARROW_KEY,
    TOP,
    WIDE_KEY,
    amount,
    bands,
    canvas,
    key,
    left_end,
    line,
    many,
    patches,
    share,
    stack,
    stroke,
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
