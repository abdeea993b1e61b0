"""Figures of a comparison: who wins, by how much, for whom, and at which prices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from extensions.comparison import (
    INDICES,
    SHOWN,
    Case,
    Group,
    groups_of,
    interval,
    of_group,
    settles_at_the_end,
    table_of,
)
from figures.data import ALMOST_NOTHING_EUR
from figures.money import lorenz
from figures.style import MUTED, PALE, STYLE, amount, canvas, headline, key, minus, stroke

MOST = 16
"""Groups that one figure can show on a projector."""

COLOURS = ["#0072B2", "#56B4E9", "#332288", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#8A8A8A"]
"""One colour per market rule, in the order of the comparison; grey comes last, for nobody trading.

Eight rules need eight colours that colour-blind readers tell apart. Beside those of the concepts of a run
none are left, so here, and only here, they stand for rules; each figure names them.
"""
OBJECTIVES = ["#0B3C5D", "#56B4E9", "#4C7FA6", "#8A8A8A"]
"""One colour per regulator's objective under one rule: shades of the regulator's blue, which mean no energy."""
LINES = ["-", "--", "-.", ":"]
"""One kind of line per regulator's objective."""
ALIKE = 0.005
"""Means that differ by less than this part of the best are equal in practice, whatever a test says."""


class Comparison:
    """The cases by group (rule, objective), with names and colours."""

    def __init__(self, cases: Sequence[Case], default: Group):
        self.cases, self.table = cases, table_of(cases)
        self.groups = groups_of(self.table)
        self.rules = list(dict.fromkeys(rule for rule, _ in self.groups))
        self.objectives = list(dict.fromkeys(objective for _, objective in self.groups))
        self.default = default if default in self.groups else self.groups[0]
        self.runs = self.table["seed"].nunique()

    @property
    def noun(self) -> str:
        """What is compared."""
        if len(self.objectives) == 1:
            return "rule"
        return "objective" if len(self.rules) == 1 else "rule and objective"

    @property
    def plural(self) -> str:
        return "rules and objectives" if self.noun == "rule and objective" else f"{self.noun}s"

    @property
    def left(self) -> float:
        """Where axes begin that leave room for the names of groups."""
        return 0.24 if self.noun != "rule and objective" else 0.31

    def of(self, group: Group) -> list[Case]:
        return [c for c in self.cases if (c.row["mechanism"], c.row["objective"]) == group]

    def values(self, group: Group, name: str) -> pd.Series:
        return of_group(self.table, group)[name]

    def savings(self, group: Group) -> np.ndarray:
        """Savings of all members of all runs of a group, EUR."""
        return np.concatenate([case.savings_eur for case in self.of(group)])

    def name(self, group: Group) -> str:
        rule = "no trading" if group[0] == "none" else group[0].replace("_", " ")
        if len(self.objectives) == 1:
            return rule
        goal = group[1].removeprefix("maximize_")
        return goal if len(self.rules) == 1 else f"{rule}, {goal}"

    def names(self, groups: Sequence[Group]) -> str:
        """Groups in a sentence, as many as there is room for."""
        both = self.noun == "rule and objective"
        return listed([self.name(g).replace(", ", " with ") for g in groups], 1 if both else 3)

    def colour(self, group: Group) -> str:
        if len(self.rules) == 1:
            return OBJECTIVES[self.objectives.index(group[1]) % len(OBJECTIVES)]
        return COLOURS[self.rules.index(group[0]) % len(COLOURS)]

    def line(self, group: Group) -> str:
        return LINES[self.objectives.index(group[1]) % len(LINES)]

    def means_over(self) -> str:
        """What the means of a figure are taken over."""
        return f"Means over {self.runs} seeds" if self.runs > 1 else "One seed, another may differ"


def plot_all(
    cases: Sequence[Case],
    folder: Path,
    default: Group,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Writes every figure into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, paths = Comparison(cases, default), []
    for name, draw in FIGURES.items():
        with matplotlib.rc_context(STYLE):
            paths.append(folder / f"{name}.png")
            draw(data).savefig(paths[-1], format="png", pil_kwargs={"compress_level": 6})
        advance(len(paths), len(FIGURES))
    return paths


# ---------------------------------------------------------------- who wins


def winners(data: Comparison) -> Figure:
    """Which rule and regulator is best at what, and is the difference more than noise?"""
    names = ("savings_eur", "self_sufficiency", "p2p_share")
    places = {group: place for place, group in enumerate(data.groups)}
    order = sorted(
        places, key=lambda g: (round(data.values(g, "savings_eur").mean(), 1), -places[g])
    )
    interval_told = " with 95 % interval" * (data.runs > 1)
    fig, axes = canvas(
        winning_sentence(data),
        f"{data.means_over()}{interval_told}. The same homes, weather and prices for all."
        + some_of(data),
        widths=(1, 1, 1),
        left=data.left,
    )
    order = order[-MOST:]
    for ax, name in zip(axes, names, strict=True):
        text, unit, _ = SHOWN[name]
        scale = 100 if unit == "%" else 1
        means, halves = np.array([interval(data.values(g, name) * scale) for g in order]).T
        ax.barh(range(len(order)), means, color=[data.colour(g) for g in order], height=0.7)
        ax.errorbar(
            means,
            range(len(order)),
            xerr=halves,
            fmt="none",
            ecolor="black",
            capsize=4,
        )
        shown = ax is axes[0]
        ax.set_yticks(
            range(len(order)), [data.name(g) for g in order] if shown else [""] * len(order)
        )
        ax.set_xlabel(f"{text} ({unit})")
        ax.grid(axis="x")
        ax.axvline(0, color="black", lw=1)
    return fig


def some_of(data: Comparison, most: int = MOST) -> str:
    """What the reader must know where a figure cannot show every group."""
    return f" {most} of {len(data.groups)} shown." if len(data.groups) > most else ""


def winning_sentence(data: Comparison) -> str:
    """Who saves most, who as much in practice, and who no less beyond noise: paired, 95 %.

    A price rule moves money between members, so rules with the same trades save the same but for rounding;
    over many seeds a test could prove even that difference. One seed proves nothing.
    """
    means = {group: float(data.values(group, "savings_eur").mean()) for group in data.groups}
    first = best_of(means)
    best = max(means, key=means.__getitem__)
    near = [g for g in means if g not in first and not provably_less(data, g, best)]
    saved = amount(means[best], "EUR")
    if len(means) == 1:
        return f"{capitalized(data.name(best))} saves {saved} against being alone"
    if len(first) == len(means):
        return f"All {data.plural} save alike: {saved} against being alone"
    verb = "saves most" if len(first) == 1 else "save most, all alike"
    who = f"{capitalized(data.names(first))} {verb}"
    if data.runs == 1:
        return f"{who}: {saved} in this one seed"
    if not near:
        return f"{who}: {saved} against being alone"
    return f"{who}: {saved}, but not provably more than {data.names(near)}"


def best_of(means: dict[Group, float]) -> list[Group]:
    """The groups with the largest amount (EUR), and those that reach it in practice."""
    most = max(means.values())
    return [group for group, mean in means.items() if most - mean <= max(ALIKE * abs(most), 0.005)]


def capitalized(names: str) -> str:
    """Names that begin a sentence."""
    return names[0].upper() + names[1:]


def provably_less(data: Comparison, group: Group, best: Group) -> bool:
    """Whether the paired 95 % interval of what a group saves less than the best leaves out zero."""
    less = data.values(best, "savings_eur") - data.values(group, "savings_eur")
    difference, half = interval(less)
    return bool(difference > half + 1e-9)


def listed(names: Sequence[str], most: int) -> str:
    """'a', 'a and b', 'a, b and c', 'a, b, c and 4 more'."""
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def radar(data: Comparison) -> Figure:
    """How do the six indices of each rule or objective compare with the default's?"""
    shown = data.groups[:8]
    fig, axes = canvas(
        leading_sentence(data),
        f"From 0 (centre) to 1 (rim). Filled: the {data.noun}. Grey line: {data.name(data.default)}. "
        f"{data.means_over()}." + some_of(data, 8),
    )
    axes[0].remove()
    angles = np.linspace(0, 2 * math.pi, len(INDICES), endpoint=False)
    base = drawn_indices(data, data.default)
    columns = min(4, len(shown))
    width, height = 0.94 / columns, 0.74 / math.ceil(len(shown) / columns)
    for k, group in enumerate(shown):
        row, column = divmod(k, columns)
        place = (
            *(0.03 + (column + 0.12) * width, 0.84 - (row + 0.95) * height),
            *(0.76 * width, 0.72 * height),
        )
        ax = fig.add_axes(place, projection="polar")
        values = drawn_indices(data, group)
        ax.fill(angles, values, color=data.colour(group), alpha=0.45)
        ax.plot(np.append(angles, 0), np.append(values, values[0]), color=data.colour(group), lw=2)
        ax.plot(np.append(angles, 0), np.append(base, base[0]), color="#555555", lw=1.6)
        ax.set_ylim(0, 1)
        ax.set_yticks([0.5, 1.0], ["", ""])
        ax.set_xticks(angles, [str(number + 1) for number in range(len(angles))], fontsize=14)
        ax.tick_params(pad=0)
        ax.set_title(data.name(group), fontsize=15, loc="center", pad=10, fontweight="bold")
    notes = {"power_flatness": " (0: highest peak)"}
    words = [
        f"{place} {SHOWN[name][0]}{notes.get(name, '')}" for place, name in enumerate(INDICES, 1)
    ]
    headline(fig, "    ".join(words), 0.045, fontsize=15)
    return fig


def leading_sentence(data: Comparison) -> str:
    """Who has the highest mean in most of the indices; two that differ by less than 0.01 share a lead."""
    values = np.array([indices(data, group) for group in data.groups])
    known = values[:, np.isfinite(values).any(axis=0)]
    number = ("no", "one", "two", "three", "four", "five", "six")[known.shape[1]]
    if len(values) == 1:
        return f"{number.capitalize()} indices of {data.name(data.groups[0])}"
    all_of_them = f"all {number} indices"
    leads = (np.nanmax(known, axis=0) - known < 0.01).sum(axis=1)
    leaders = [
        group for group, count in zip(data.groups, leads, strict=True) if count == max(leads)
    ]
    first, alone = data.names(leaders), len(leaders) == 1
    if max(leads) == known.shape[1]:
        if len(leaders) == len(data.groups):
            return f"All {data.plural} are alike in {all_of_them}"
        return f"{capitalized(first)} {'leads' if alone else 'lead'} in {all_of_them}"
    verb = "leads" if alone else "each lead"
    return f"No {data.noun} is best in {all_of_them}; {first} {verb} in {max(leads)}"


def indices(data: Comparison, group: Group) -> np.ndarray:
    """The mean of each index (6); NaN where it is not defined. Value tapping is below 0 where members lose together."""
    return np.array([interval(data.values(group, name))[0] for name in INDICES])


def drawn_indices(data: Comparison, group: Group) -> np.ndarray:
    """The same between the centre and the rim."""
    return np.clip(np.nan_to_num(indices(data, group)), 0, 1)


# ---------------------------------------------------------------- for whom


def savings_per_member(data: Comparison) -> Figure:
    """Who gains and who loses against being alone?"""
    medians = {group: float(np.median(data.savings(group))) for group in data.groups}
    order = sorted(medians, key=medians.__getitem__)
    fig, (ax,) = canvas(
        what_the_median_saves(data, medians),
        "Savings of each member against being alone, without bonuses; box: the middle half; line: 5 to 95 %."
        + some_of(data),
        left=data.left,
        right=0.86,
    )
    order = order[-MOST:]
    for y, group in enumerate(order):
        values = data.savings(group)
        low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
        ax.plot([low, high], [y, y], color=data.colour(group), lw=2)
        ax.barh(y, third - first, left=first, height=0.6, color=data.colour(group), alpha=0.6)
        ax.plot([median, median], [y - 0.3, y + 0.3], color="black", lw=2.5)
        losing = 100 * np.mean(values < -ALMOST_NOTHING_EUR)
        ax.annotate(
            f"{losing:.0f} % lose",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=13,
        )
    ax.set_yticks(range(len(order)), [data.name(g) for g in order])
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.set_xlabel("Savings of a member (EUR in the run)")
    ax.axvline(0, color="black", lw=1)
    ax.grid(axis="x")
    return fig


def what_the_median_saves(data: Comparison, medians: dict[Group, float]) -> str:
    """With which rule or objective the member in the middle saves most."""
    first, saved = best_of(medians), amount(max(medians.values()), "EUR")
    if len(medians) == 1:
        return f"The median member saves with {data.names(first)}: {saved}"
    if len(first) == len(medians):
        return f"The median member saves the same with all {data.plural}: {saved}"
    alike = ", all alike" * (len(first) > 1)
    return f"The median member saves most with {data.names(first)}{alike}: {saved}"


def mean_lorenz(data: Comparison, group: Group) -> np.ndarray:
    """Mean of the Lorenz curves of the seeds (101), so that its area is the mean Gini of the tables."""
    people, curves = np.linspace(0, 1, 101), []
    for case in data.of(group):
        if case.row["gini_savings"] is not None:
            curve = lorenz(case.savings_eur)[0]
            curves.append(np.interp(people, np.linspace(0, 1, len(curve)), curve))
    return np.mean(curves, axis=0) if curves else np.full(len(people), np.nan)


def lorenz_curves(data: Comparison) -> Figure:
    """How evenly are the savings spread over the members?"""
    ginis = {group: interval(data.values(group, "gini_savings"))[0] for group in data.groups}
    order = sorted((g for g in data.groups if np.isfinite(ginis[g])), key=lambda g: ginis[g])
    fig, (ax,) = canvas(
        evenness([(data.name(group), ginis[group]) for group in order]),
        f"Lorenz curves and Gini. {data.means_over()}. Below zero: members that lose. "
        "Straight: all save the same." + some_of(data),
        right=0.9 - data.left,
    )
    ax.plot([0, 100], [0, 100], color=PALE, lw=2)
    handles = []
    for group in both_ends(order):
        curve = 100 * mean_lorenz(data, group)
        colour = data.colour(group)
        style: dict[str, Any] = {"ls": data.line(group), "lw": 2.6}
        ax.plot(np.arange(101), curve, color=colour, **style)
        handles.append(stroke(f"{data.name(group)}: Gini {ginis[group]:.2f}", colour, **style))
    ax.set_xlim(0, 100)
    ax.set_ylim(max(ax.get_ylim()[0], -100), 100)
    ax.set_xlabel("Members, from the least saving (%)")
    ax.set_ylabel("Share of all savings (%)")
    ax.grid()
    key(ax, handles)
    return fig


def both_ends(order: Sequence[Group]) -> list[Group]:
    """As many of the first as one figure can show, and the last: the title names both ends."""
    return list(order) if len(order) <= MOST else [*order[: MOST - 1], order[-1]]


def evenness(ginis: Sequence[tuple[str, float]]) -> str:
    """The title of the Lorenz curves, from names and Gini, the smallest first."""
    if not ginis:
        return "Together nobody saved anything"
    (even, low), (uneven, high) = ginis[0], ginis[-1]
    if len(ginis) == 1:
        return f"Gini {low:.2f}: how evenly the savings are spread"
    if f"{low:.2f}" == f"{high:.2f}":
        return f"Savings are spread alike: Gini {low:.2f}"
    return f"Savings are spread most evenly with {even} (Gini {low:.2f}), least with {uneven} ({high:.2f})"


# ---------------------------------------------------------------- at which prices


def hourly_price(data: Comparison, group: Group) -> np.ndarray:
    """Mean P2P price of each hour (24), EUR/kWh; NaN where fewer than half of the seeds traded in it.

    A few odd days would otherwise stand beside the mean of all.
    """
    of_seed = [
        pd.Series(case.price_eur_per_kwh).groupby(case.hour).mean().reindex(range(24))
        for case in data.of(group)
    ]
    table = pd.concat(of_seed, axis=1)
    often = table.notna().sum(axis=1) * 2 >= table.shape[1]
    return table.mean(axis=1).where(often).to_numpy()


def mean_prices(prices: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean of each over the hours in which all have a price; empty where there is no such hour.

    Who trades at noon only is not cheaper for that.
    """
    shared = np.isfinite(list(prices.values())).all(axis=0) if prices else np.array(False)
    return (
        {name: float(price[shared].mean()) for name, price in prices.items()}
        if shared.any()
        else {}
    )


def cheapest_and_dearest(means: dict[str, float], noun: str) -> str:
    """The title of the prices, from the averages of the hours in which all trade, EUR/kWh."""
    if not means:
        return f"In no hour do neighbours trade at a price under every {noun}"
    (low, cheap), (high, dear) = (pick(means.items(), key=lambda m: m[1]) for pick in (min, max))
    if minus(f"{cheap:.3f}") == minus(f"{dear:.3f}"):
        return f"Neighbours trade at {minus(f'{dear:.3f}')} EUR/kWh on average"
    return (
        f"Average price where all trade: from {minus(f'{cheap:.3f}')} ({low}) "
        f"to {minus(f'{dear:.3f}')} EUR/kWh ({high})"
    )


def price_by_hour(data: Comparison) -> Figure:
    """What does a kWh cost between neighbours, hour by hour, under each rule?"""
    prices = {group: hourly_price(data, group) for group in data.groups[:MOST]}
    prices = {group: price for group, price in prices.items() if np.isfinite(price).any()}
    means = mean_prices({data.name(group): price for group, price in prices.items()})
    free = any(settles_at_the_end(rule) for rule in data.rules)
    fig, (ax,) = canvas(
        cheapest_and_dearest(means, data.noun),
        "What sellers get, where at least half of the seeds traded in an hour."
        + " Bill sharing settles at the end: its trades have no price." * free
        + some_of(data),
        right=0.9 - data.left,
    )
    handles = []
    for group, price in prices.items():
        colour = data.colour(group)
        style: dict[str, Any] = {"ls": data.line(group), "lw": 2.6}
        ax.plot(np.arange(24) + 0.5, price, marker="o", ms=4, color=colour, **style)
        name = data.name(group)
        told = f"{name}: " + minus(f"{means[name]:.3f}") if name in means else name
        handles.append(stroke(told, colour, **style))
    ax.set_xlim(0, 24)
    ax.set_ylim(0, None)
    ax.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    ax.set_xlabel("Hour of the day")
    ax.set_ylabel("Price (EUR/kWh)")
    ax.grid(axis="y")
    key(ax, handles, "average of the hours\nin which all trade" if means else "")
    if not handles:
        ax.text(12, 0.5, "Hardly anything was traded", ha="center", fontsize=24, color=MUTED)
    return fig


FIGURES: dict[str, Callable[[Comparison], Figure]] = {
    draw.__name__: draw
    for draw in (winners, radar, savings_per_member, lorenz_curves, price_by_hour)
}
