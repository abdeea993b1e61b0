"""Figures of money: balances, bills, savings, and where each euro went."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import ALMOST_NOTHING_EUR, NothingToShow, Results
from figures.members import GROUPS, group_key, groups
from figures.registry import figure
from figures.style import (
    COLOUR,
    DASHED,
    MUTED,
    WIDE_KEY,
    amount,
    canvas,
    dot,
    key,
    many,
    row_names,
    share,
    stroke,
    whole_numbers,
    zero_line,
)
from records import AGGREGATOR, FIRST_MINER, MINT, REGULATOR, UTILITY


@figure
def balance_distribution(data: Results) -> Figure:
    """How is the money distributed at the end?"""
    balance, found = data.members["final_balance_eur"], groups(data)
    low, middle, high = (
        amount(float(balance.quantile(q)), "EUR", signed=True) for q in (0, 0.5, 1)
    )
    wallet, middle_eur = amount(data.setting("INITIAL_WALLET", 0), "EUR"), float(balance.median())
    fig, (ax,) = canvas(
        f"The median balance is {middle}; balances reach from {low} to {high}"
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
    table = data.bills.sort_values("alone", ignore_index=True)
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
        dot(f"pays more here ({worse:,})", COLOUR["community"], mec="black", mew=RING),
    ]
    drawn = [True, True, bool((table["saving"] > ALMOST_NOTHING_EUR).any()), worse > 0]
    key(ax, [entry for entry, there in zip(entries, drawn, strict=True) if there])
    return fig


PAYS_LESS, RING = "#BDB9DB", 2.2
"The line of who pays less, and the width of the black ring around who pays more: a few cents are no line."


def draw_bills(ax: Axes, table: pd.DataFrame) -> None:
    """Two dots for each member, its bill alone and here, and a line between them."""
    x = np.arange(1, len(table) + 1)
    loses = (table["saving"] < -ALMOST_NOTHING_EUR).to_numpy()
    size, width = float(np.clip(4000 / len(x), 3, 110)), float(np.clip(400 / len(x), 0.5, 6))
    for rows, colour in ((~loses, PAYS_LESS), (loses, "black")):
        ax.vlines(x[rows], table["here"][rows], table["alone"][rows], color=colour, lw=width)
    is_same = table["saving"].abs() <= ALMOST_NOTHING_EUR  # the dot below has a rim to be seen by
    sizes = np.where(is_same, 2.5 * size, size)
    ax.scatter(x, table["alone"], s=sizes, c=COLOUR["utility"], zorder=3, lw=0)
    edges = np.where(loses, "black", COLOUR["community"])
    ring = np.where(loses, min(RING, width), 0.0)
    ax.scatter(x, table["here"], s=size, c=COLOUR["community"], zorder=4, lw=ring, ec=edges)
    zero_line(ax)
    ax.set(xlim=(0.2, len(x) + 0.8), xlabel="Members, sorted by their bill alone")
    ax.set_ylabel("Bill (EUR); below zero: earned")
    whole_numbers(ax.xaxis)
    if len(x) <= 20:
        ax.set_xticks(x)
    ax.grid(axis="y")


def lorenz(values: np.ndarray) -> tuple[np.ndarray, float]:
    """(share of the total that the least k of n hold, k = 0..n; Gini = sum|x_i - x_j| / (2 n^2 mean)).

    Defined for a positive total. Negative values count in full: the curve then dips below zero, and
    Gini, still 1 - 2 * area below the curve, may exceed 1.
    """
    ordered = np.sort(values)
    curve = np.append(0.0, np.cumsum(ordered)) / ordered.sum()
    return curve, float(1 - (curve[:-1] + curve[1:]).sum() / len(values))


def what_the_best_fifth_saves(saving: np.ndarray) -> str:
    """The part of all savings that the fifth with the largest has, by the Lorenz curve; of a few, the best.

    Where members lose, that fifth can save more than all together, so both are told in EUR.
    """
    curve, _ = lorenz(saving)
    few = len(saving) < 5
    who = "the member" if few else "the fifth"
    best = 1 - (curve[-2] if few else np.interp(0.8, np.linspace(0, 1, len(curve)), curve))
    if (saving >= -ALMOST_NOTHING_EUR).all():
        return f"{who} that saves most has {share(best, 1)} of the savings"
    whole = float(saving.sum())
    return f"{who} that saves most saves {amount(best * whole, 'EUR')}, all together {amount(whole, 'EUR')}"


@figure
def lorenz_fairness(data: Results) -> Figure:
    """How evenly are the savings shared among the members?"""
    saving = data.bills["saving"].to_numpy()
    whole, losers = amount(saving.sum(), "EUR"), saving[saving < -ALMOST_NOTHING_EUR]
    if len(saving) < 2:
        raise NothingToShow("A community of one member has no savings to share.")
    if saving.sum() <= ALMOST_NOTHING_EUR * len(saving):
        raise NothingToShow(
            f"All members together saved {whole} against being alone: nothing to share."
        )
    curve, gini = lorenz(saving)
    people = 100 * np.arange(len(curve)) / (len(curve) - 1)
    lost = f" {many(len(losers), 'member')} lost {amount(-losers.sum(), 'EUR')}, counted in full."
    fig, (ax,) = canvas(
        f"Gini {gini:.2f}: {what_the_best_fifth_saves(saving)}",
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


def gained(change_eur: float, of: int = 1) -> str:
    """What an account gained or lost, in words: a change says nothing of the wallet that it began with."""
    told = amount(abs(change_eur), "EUR")
    verb = "lose" if change_eur < 0 and told != amount(0.0, "EUR") else "gain"
    return f"{verb}{'s' * (of == 1)} {told}"


@figure
def money_by_party(data: Results) -> Figure:
    """Where does the money go? Every payment has a payer and a payee."""
    received, paid = money_flows(data)
    net, moved = (received - paid).sum(axis=0), (received + paid).sum(axis=0)
    shown = np.flatnonzero(moved)
    if not len(shown):
        raise NothingToShow("No money moved in this run.")
    who = "Members" if len(data.members) > 1 else "The one member"
    other = 1 + int(np.abs(net[1:4]).argmax())  # minted money is no exchange
    whom = f"the {PARTIES[other]} {gained(net[other])}"
    fig, (ax,) = canvas(
        f"{who} {gained(net[0], len(data.members))}, {whom}; all together 0 EUR",
        f"Received (right) and paid (left) in {data.timeline.span}; the diamond and the number: "
        "the difference. Stored energy is not valued.",
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
