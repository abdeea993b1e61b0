"""The figure of offers: supply and demand of one step, and the prices at which they met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import HALF_A_WH, NothingToShow, Results
from figures.registry import figure
from figures.style import COLOUR, DASHED, WIDE_KEY, amount, canvas, key, line, many, stroke


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


def offers_with_limits(data: Results) -> list[pd.DataFrame]:
    """The asks and the bids of all steps: what prosumer_trading.csv says of orders with a limit price."""
    orders = data.trading[data.trading["order_kwh"] > 0]
    if not len(orders):
        raise NothingToShow("Nobody made an order in this run.")
    limited = orders[orders["limit_price_eur_per_kwh"].notna()]
    if not len(limited):
        raise NothingToShow(
            "The market rule of this run shares by quantity: it asks nobody for a limit price."
        )
    return [limited[limited["role"] == role] for role in ("seller", "buyer")]


def telling_step(data: Results, asks: pd.DataFrame, bids: pd.DataFrame) -> tuple[int, str]:
    """(the step whose offers tell most, why it was chosen, in words).

    It is the step with the most P2P energy among those in which the offers are most unlike: neither all asks
    nor all bids are equal, and the lowest bid lies below the dearest ask. Where a run has none, among those
    in which neither side is all equal; where it has none of these, among all with both sides.
    """
    steps = range(data.shape[0])
    ask, bid = (
        side.groupby("timestep")["limit_price_eur_per_kwh"].agg(["min", "max"]).reindex(steps)
        for side in (asks, bids)
    )
    both = (ask["min"].notna() & bid["min"].notna()).to_numpy()
    if not both.any():
        raise NothingToShow("In no step did a seller and a buyer offer at a limit price at once.")
    differ = ((ask["min"] < ask["max"]) & (bid["min"] < bid["max"])).to_numpy()
    unlike = differ & (bid["min"] < ask["max"]).to_numpy()
    choices = {
        "Of the steps whose asks and bids differ and do not all agree, the one": unlike,
        "Of the steps whose asks and bids differ, the one": differ,
        "Of the steps with asks and bids, the one": both,
    }
    which, among = next((which, among) for which, among in choices.items() if among.any())
    traded = data.community["p2p_kwh"].to_numpy()
    step = int(np.argmax(np.where(among, traded, -1)))
    if traded[step]:
        return step, f"{which} with most P2P energy"
    return step, f"{which.removesuffix('one')}first; none has P2P energy"


def merit_curves(data: Results) -> tuple[MeritOrder, str]:
    """(the offers of the step that tells most, sorted by price; why it was chosen)."""
    asks, bids = offers_with_limits(data)
    step, why = telling_step(data, asks, bids)
    orders = [
        side[side["timestep"] == step].sort_values(
            "limit_price_eur_per_kwh", ascending=ascending, kind="stable"
        )
        for side, ascending in ((asks, True), (bids, False))
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
    found = MeritOrder(
        step, prices[0], energy[0], prices[1], energy[1], edges[: met + 1], ask[:met], bid[:met]
    )
    return found, why


def of_batteries(data: Results, step: int) -> tuple[float, float]:
    """What batteries offered, and bid for, in a step (kWh).

    What a home has left, or lacks, goes somewhere in full: to neighbours, market or utility. So an order of which
    something went nowhere is a battery's, and so is one whose trade went with its discharge, or its charge.
    """
    flows = {name: data.flow(f"{name}_kwh")[step] for name in FLOWS_OF_ORDERS}
    order = data.trading["order_kwh"].to_numpy().reshape(data.shape)[step]
    role = data.trading["role"].to_numpy().reshape(data.shape)[step]

    def kwh(side: str, traded: str, went: tuple[str, str], battery: str) -> float:
        nowhere = order - flows[traded] - sum(flows[name] for name in went) > HALF_A_WH
        stored = nowhere | ((flows[traded] > 0) & (flows[f"battery_{battery}"] > 0))
        return float(order[(role == side) & stored].sum())

    return (
        kwh("seller", "p2p_sold", ("market_sold", "grid_export"), "discharge"),
        kwh("buyer", "p2p_bought", ("market_bought", "grid_import"), "charge"),
    )


FLOWS_OF_ORDERS = (
    *("p2p_sold", "market_sold", "grid_export", "battery_discharge"),
    *("p2p_bought", "market_bought", "grid_import", "battery_charge"),
)


def traded_prices(data: Results, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The P2P trades of a step in their order: (energy so far (M + 1), what sellers get, what buyers pay (M))."""
    trades = data.p2p[data.p2p["timestep"] == step]
    got = trades["price_eur_per_kwh"].to_numpy()
    return np.append(0.0, np.cumsum(trades["energy_kwh"])), got, got + data.spread[step]


@figure
def merit_order(data: Results) -> Figure:
    """Whose offers meet, and at which prices? One step's supply and demand."""
    order, why = merit_curves(data)
    traded = float(data.community["p2p_kwh"][order.step])
    supply, demand = order.ask_kwh.sum(), order.bid_kwh.sum()
    fig, (ax,) = canvas(
        f"Neighbours trade {amount(traded, 'kWh')} of {amount(demand, 'kWh')} wanted "
        f"{data.timeline.name(order.step)}",
        f"{why}. Each offer at its limit.",
        right=WIDE_KEY,
        left=0.1,
    )
    sellers, buyers = many(len(order.ask_kwh), "seller"), many(len(order.bid_kwh), "buyer")
    from_stores, for_stores = (
        f",\n{amount(kwh, 'kWh')} of it {words} batteries" if kwh else ""
        for kwh, words in zip(of_batteries(data, order.step), ("from", "for"), strict=True)
    )
    entries = [
        stroke(f"demand: {buyers}\n{amount(demand, 'kWh')}{for_stores}", COLOUR["buyer"], lw=4),
        stroke(f"supply: {sellers}\n{amount(supply, 'kWh')}{from_stores}", COLOUR["seller"], lw=4),
        *draw_meeting(ax, order),
        *draw_traded_prices(ax, data, order.step),
    ]
    draw_curves(ax, order)
    prices = np.append(order.ask_eur_per_kwh, order.bid_eur_per_kwh)
    room = max(0.1 * np.ptp(prices), 0.01)
    longest, reach = max(supply, demand), 3 * max(order.cleared_kwh, min(supply, demand))
    is_cut = longest > reach
    ax.set_xlim(0, reach if is_cut else 1.03 * longest)
    ax.set_ylim(max(prices.min() - room, 0), prices.max() + room)
    beyond = f"; cut at {amount(reach, 'kWh')}" if is_cut else ""
    ax.set(
        xlabel=f"Energy, cumulated over the offers (kWh{beyond})", ylabel="Limit price (EUR/kWh)"
    )
    ax.grid(axis="y")
    key(ax, entries)
    return fig


def draw_curves(ax: Axes, order: MeritOrder) -> None:
    """Supply and demand; where all asks are taken no price brings more, where all bids are, none is bought."""
    for name, prices, kwh, end in (
        ("seller", order.ask_eur_per_kwh, order.ask_kwh, HIGH_EUR_PER_KWH),
        ("buyer", order.bid_eur_per_kwh, order.bid_kwh, 0.0),
    ):
        energy = np.append(0.0, np.cumsum(kwh))
        ax.plot(
            np.append(energy, energy[-1]),
            np.concatenate([prices[:1], prices, [end]]),
            drawstyle="steps-pre",
            color=COLOUR[name],
            lw=4,
            solid_joinstyle="miter",
        )


HIGH_EUR_PER_KWH = 1e6
"Above every price: a line to it leaves the picture."


def draw_meeting(ax: Axes, order: MeritOrder) -> list[Any]:
    """Draws how far the offers meet, and the gain between the curves so far; returns their key."""
    if not len(order.met_bid):
        return []
    look: Any = {"fill": True, "fc": COLOUR["p2p"], "alpha": 0.25}
    ax.stairs(order.met_bid, order.edges_kwh, baseline=order.met_ask, **look)
    ax.axvline(order.cleared_kwh, color=COLOUR["p2p"], ls=DASHED, zorder=1.5)
    until = f"the offers meet up to\n{amount(order.cleared_kwh, 'kWh')}"
    gain = f"gain to be shared\n{amount(order.gain_eur, 'EUR')}"
    return [
        stroke(until, COLOUR["p2p"], ls=DASHED),
        Patch(fc=COLOUR["p2p"], alpha=0.25, label=gain),
    ]


def draw_traded_prices(ax: Axes, data: Results, step: int) -> list[Any]:
    """Draws the price of each trade over the energy traded so far; returns its key."""
    edges, got, paid = traded_prices(data, step)
    if not len(got):
        return []
    sides = {"what sellers get": got, "what buyers pay": paid}
    named = sides if data.spread[step] else {"price of the trades": got}
    entries = []
    for name, prices in named.items():
        style: Any = {
            "lw": 2.6,
            "zorder": 3,
            "ls": (0, (3, 1.5)) if name == "what buyers pay" else "-",
        }
        line(ax, edges, prices, COLOUR["p2p"], **style)
        told = " to ".join(dict.fromkeys(f"{p:.3f}" for p in (prices.min(), prices.max())))
        entries.append(stroke(f"{name}\n{told} EUR/kWh", COLOUR["p2p"], lw=2.6, ls=style["ls"]))
    return entries
