"""Figures of a comparison: who wins, by how much, for whom, and at which prices; comparison_answers.py has the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from extensions.comparison import INDICES, SHOWN, Case, Group, interval, settles_at_the_end
from extensions.comparison_answers import (
    Comparison,
    cheapest_and_dearest,
    evenness,
    hourly_price,
    indices,
    leading_sentence,
    mean_lorenz,
    mean_prices,
    what_the_median_saves,
    winning_sentence,
)
from extensions.mechanisms import MECHANISMS
from figures.data import ALMOST_NOTHING_EUR
from figures.style import MUTED, PALE, canvas, headline, key, minus, our_style, stroke
from regulator import STRATEGIES

MOST = 16
"""Groups that one figure can show on a projector."""

COLOURS = ["#0072B2", "#56B4E9", "#332288", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#8A8A8A"]
"""One colour per market rule, in the order of MECHANISMS whichever are compared; grey for nobody trading.

Eight rules need eight colours that colour-blind readers tell apart. Beside those of the concepts of a run
none are left, so here, and only here, they stand for rules; each figure names them.
"""
OBJECTIVES = ["#0B3C5D", "#56B4E9", "#4C7FA6", "#8A8A8A"]
"""One colour per regulator's objective under one rule: shades of the regulator's blue, which mean no energy."""
LINES = ["-", "--", "-.", ":"]
"""One kind of line per regulator's objective."""
DEEPEST = -100
"""Where the Lorenz axis ends at the latest (%): a curve far below zero would flatten all others."""


def plot_all(
    cases: Sequence[Case],
    folder: Path,
    default: Group,
    advance: Callable[[int, int], None] = lambda done, total: None,
    same_days: bool = False,
) -> list[Path]:
    """Writes every figure into `folder`; returns their paths. same_days: see Comparison."""
    folder.mkdir(parents=True, exist_ok=True)
    data, paths = Comparison(cases, default, same_days), []
    for name, draw in FIGURES.items():
        with our_style():
            paths.append(folder / f"{name}.png")
            draw(data).savefig(paths[-1], format="png", pil_kwargs={"compress_level": 6})
        advance(len(paths), len(FIGURES))
    return paths


def colour(data: Comparison, group: Group) -> str:
    """The same for a rule in every comparison of rules, and for an objective in every one of objectives."""
    if len(data.rules) == 1:
        return OBJECTIVES[list(STRATEGIES).index(group[1]) % len(OBJECTIVES)]
    return COLOURS[list(MECHANISMS).index(group[0]) % len(COLOURS)]


def pen(data: Comparison, group: Group) -> dict[str, Any]:
    """How the curve of a group is drawn, beside its colour."""
    kind = list(STRATEGIES).index(group[1]) if len(data.objectives) > 1 else 0
    return {"ls": LINES[kind % len(LINES)], "lw": 2.6}


def room_for_names(data: Comparison) -> float:
    """Where axes begin that have the names of groups on their left, as a part of the width."""
    return 0.31 if data.noun == "rule and objective" else 0.24


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
        + some_of(data.groups, which=", the best"),
        widths=(1, 1, 1),
        left=room_for_names(data),
    )
    order = order[-MOST:]
    for ax, name in zip(axes, names, strict=True):
        text, unit, _ = SHOWN[name]
        scale = 100 if unit == "%" else 1
        means, halves = np.array([interval(data.values(g, name) * scale) for g in order]).T
        ax.barh(range(len(order)), means, color=[colour(data, g) for g in order], height=0.7)
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


def some_of(groups: Sequence[Group], most: int = MOST, which: str = "") -> str:
    """What the reader must know where a figure cannot show every group, and which ones it shows."""
    return f" {most} of {len(groups)} shown{which}." if len(groups) > most else ""


def both_ends(order: Sequence[Group]) -> list[Group]:
    """As many as one figure can show, half of them from each end of the order: titles name both."""
    return list(order) if len(order) <= MOST else [*order[: MOST // 2], *order[-MOST // 2 :]]


def radar(data: Comparison) -> Figure:
    """How do the six indices of each rule or objective compare with the default's?"""
    shown = data.groups[:8]
    fig, axes = canvas(
        leading_sentence(data),
        f"From 0 (centre) to 1 (rim). Filled: the {data.noun}. Grey line: {data.name(data.default)}. "
        f"{data.means_over()}." + some_of(data.groups, 8) + nowhere(data, shown),
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
        ax.fill(angles, values, color=colour(data, group), alpha=0.45)
        ax.plot(np.append(angles, 0), np.append(values, values[0]), color=colour(data, group), lw=2)
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


def nowhere(data: Comparison, shown: Sequence[Group]) -> str:
    """What the reader must know where an index is not defined."""
    values = np.array([indices(data, group) for group in shown])
    unknown = np.flatnonzero(~np.isfinite(values).all(axis=0))
    missing = [str(place + 1) for place in unknown]
    return f" At the centre where not defined: {', '.join(missing)}." if missing else ""


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
        + some_of(order, which=", both ends"),
        left=room_for_names(data),
        right=0.86,
    )
    order = both_ends(order)
    for y, group in enumerate(order):
        values = data.savings(group)
        low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
        ax.plot([low, high], [y, y], color=colour(data, group), lw=2)
        ax.barh(y, third - first, left=first, height=0.6, color=colour(data, group), alpha=0.6)
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


def lorenz_curves(data: Comparison) -> Figure:
    """How evenly are the savings spread over the members?"""
    ginis = {group: interval(data.values(group, "gini_savings"))[0] for group in data.groups}
    order = sorted((g for g in data.groups if np.isfinite(ginis[g])), key=lambda g: ginis[g])
    without = [data.name(group) for group in data.groups if group not in order]
    curves = {group: 100 * mean_lorenz(data, group) for group in both_ends(order)}
    deep = min((float(curve.min()) for curve in curves.values()), default=0) < DEEPEST
    fig, (ax,) = canvas(
        evenness([(data.name(group), ginis[group]) for group in order], data.runs),
        f"Lorenz curves and Gini. {data.means_over()}. Below zero: members that lose. "
        "Straight: all alike." + some_of(order, which=", both ends"),
        right=0.9 - room_for_names(data),
    )
    ax.plot([0, 100], [0, 100], color=PALE, lw=2)
    handles = []
    for group, curve in curves.items():
        hue, style = colour(data, group), pen(data, group)
        ax.plot(np.arange(101), curve, color=hue, **style)
        handles.append(stroke(f"{data.name(group)}: Gini {ginis[group]:.2f}", hue, **style))
    ax.set_xlim(0, 100)
    ax.set_ylim(max(ax.get_ylim()[0], DEEPEST), 100)
    ax.set_xlabel("Members, from the least saving (%)")
    ax.set_ylabel("Share of all savings (%)" + ", lower parts cut off" * deep)
    ax.grid()
    key(ax, handles, without_a_curve(data, without, len(handles)))
    return fig


def without_a_curve(data: Comparison, names: Sequence[str], curves: int) -> str:
    """What a key says of groups without a Gini: who they are, where there is room beside so many curves."""
    if not names:
        return ""
    some = "in some seed" if data.runs > 1 else "together"
    told = f"{len(names)} without a curve:\nnothing saved {some}"
    return "\n  ".join([told, *names]) if curves + len(names) <= 10 else told


# ---------------------------------------------------------------- at which prices


def price_by_hour(data: Comparison) -> Figure:
    """What does a kWh cost between neighbours, hour by hour, under each rule?"""
    prices = {group: hourly_price(data, group) for group in data.groups}
    prices = {group: price for group, price in prices.items() if np.isfinite(price).any()}
    means = mean_prices({data.name(group): price for group, price in prices.items()})
    own = {group: float(np.nanmean(price)) for group, price in prices.items()}
    order = sorted(prices, key=lambda group: means.get(data.name(group), own[group]))
    shown = [group for group in prices if group in both_ends(order)]
    free = any(settles_at_the_end(rule) for rule in data.rules)
    fig, (ax,) = canvas(
        cheapest_and_dearest(means, data.noun),
        "What sellers get, where at least half of the seeds traded in an hour."
        + " Bill sharing has no price per trade." * free
        + some_of(order, which=", both ends"),
        right=0.9 - room_for_names(data),
    )
    handles = []
    for group in shown:
        hue, style, price = colour(data, group), pen(data, group), prices[group]
        ax.plot(np.arange(24) + 0.5, price, marker="o", ms=4, color=hue, **style)
        name = data.name(group)
        told = f"{name}: " + minus(f"{means[name]:.3f}") if name in means else name
        handles.append(stroke(told, hue, **style))
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
