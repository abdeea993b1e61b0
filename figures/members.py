"""Figures of the members: what they own, how they fare, what they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import ALMOST_NOTHING_EUR, NothingToShow, Results, short_names
from figures.energy import sources_of_load, uses_of_pv
from figures.registry import figure
from figures.style import (
    COLOUR,
    MUTED,
    NARROW_KEY,
    WIDE_KEY,
    amount,
    canvas,
    dot,
    key,
    key_above,
    line,
    minus,
    row_names,
    share,
    stack,
    stroke,
    time_axes,
    zero_line,
)

GROUPS = {
    "PV and battery": "owns both",
    "PV only": "owns PV",
    "battery only": "owns battery",
    "no PV, no battery": "owns neither",
}
"What a member owns, and the colour that stands for it."

FEWEST = 10
"""Members of whom something can be said in general; what fewer have in common may be chance."""


def groups(data: Results) -> np.ndarray:
    """What each member owns (N): a name of GROUPS."""
    pv, battery = data.members["pv_capacity_kw"] > 0, data.members["battery_capacity_kwh"] > 0
    return np.select([pv & battery, pv, battery], list(GROUPS)[:3], list(GROUPS)[3])


def group_colours(data: Results) -> np.ndarray:
    """The colour of what each member owns (N)."""
    return np.array([COLOUR[GROUPS[name]] for name in groups(data)])


def group_key(
    data: Results, make: Callable[[str, str], Any] = dot, shown: Any = slice(None)
) -> list[Any]:
    """Entries of a key for the groups of the members `shown`, with their sizes in the community."""
    found = pd.Series(groups(data)).value_counts()
    names = [name for name in GROUPS if name in groups(data)[shown]]
    return [make(f"{name} ({found[name]:,})", COLOUR[GROUPS[name]]) for name in names]


def self_sufficiency(data: Results) -> np.ndarray:
    """Share of each member's load (N) neither bought nor taken from the initial charge; NaN without load.

    What a battery sold is taken first of what others had filled it with, and of the charge it began with.
    """
    load, charge, discharge = (
        data.flow(f"{name}_kwh").sum(axis=0)
        for name in ("load", "battery_charge", "battery_discharge")
    )
    served = {name: part.sum(axis=0) for name, part in sources_of_load(data).items()}
    sun, battery = served["own PV"], served["own battery"]
    from_others = charge - uses_of_pv(data)["into own battery"].sum(axis=0)
    from_others += np.maximum(-data.members["stored_change_kwh"].to_numpy(), 0)
    sold = discharge - battery
    own = sun + battery - np.clip(from_others - sold, 0, battery)
    part = np.divide(own, load, out=np.full(len(load), np.nan), where=load > 0)
    return np.clip(part, 0, 1)


def by_home_type(data: Results, most: int = 12) -> tuple[pd.DataFrame, list[str]]:
    """(each member's type, PV and load in kWh, saving in EUR (N), per day; the types in order)."""
    (days, _), members = data.timeline.per_day, data.members
    found = members["home_type"].value_counts()
    frequent = found.index if len(found) <= most else found.index[: most - 1]
    kind = members["home_type"].where(members["home_type"].isin(frequent), "others")
    order = sorted(set(kind), key=lambda name: (name == "others", len(name), name))
    numbers = {
        "PV": members["pv_kwh"],
        "load": members["load_kwh"],
        "saving": data.bills["saving"],
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


EXPLAINS = "accounts for"
"""In a title that tells parts of the variance; the line below then names the measure."""


def type_or_possession(saving: pd.Series, kind: pd.Series, owned: np.ndarray, per: str) -> str:
    """Whether its type or what it owns tells what a home saves; of a few homes, the median."""
    parts = explained(saving, kind), explained(saving, owned)
    if len(saving) < FEWEST or kind.nunique() < 2 or not np.isfinite(parts).all():
        home = "median home" if len(saving) > 1 else "home"
        return f"The {home} saves {amount(float(saving.median()), 'EUR')} {per}"
    by_type, by_owned = (share(part, 1) for part in parts)
    if len(set(owned)) < 2:
        return f"The type of a home {EXPLAINS} {by_type} of the differences in saving"
    told = f"{EXPLAINS} {by_owned} of the differences in saving, the type for {by_type}"
    return f"Owning {what_varies(set(owned))} {told}"


def what_varies(owned: set[str]) -> str:
    """What some of the members own and others do not, of these GROUPS."""
    of_pv = {name in ("PV and battery", "PV only") for name in owned}
    of_batteries = {name in ("PV and battery", "battery only") for name in owned}
    if len(of_pv) == len(of_batteries) == 2:
        return "PV or a battery"
    return "PV" if len(of_pv) == 2 else "a battery"


@figure
def home_type_analysis(data: Results) -> Figure:
    """What tells how much a home saves, its type or what it owns?"""
    table, order = by_home_type(data)
    mean, rows = table.groupby("type")[["PV", "load"]].mean().loc[order], np.arange(len(order))
    _, per = data.timeline.per_day
    has_pv = data.members["pv_capacity_kw"] > 0
    some = " (some without PV)" * bool(has_pv.any() and not has_pv.all())
    title = type_or_possession(table["saving"], table["type"], groups(data), per)
    fig, (left, right) = canvas(
        title,
        f"Left: average home of a type{some}. "
        "Right: saving against being alone, median, quartiles."
        + " Shares: adjusted R\u00b2."
        * (EXPLAINS in title),
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
    left.set(ylim=(len(order) - 0.4, -0.6), xlabel=f"Energy per home (kWh {per})")
    draw_savings(right, data, table, order)
    right.set(ylim=left.get_ylim(), ylabel="", xlabel=f"Saving (EUR {per})", yticks=[])
    for ax in (left, right):
        ax.grid(axis="x")
    drawn = [name for name in ("PV", "load") if mean[name].any()]
    key_above(left, [Patch(fc=COLOUR[name.lower()], label=name) for name in drawn], "left")
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


def what_the_best_save(saving: pd.Series, best: str) -> str:
    """What the ten best members save, beside all; of a few members, what the best one saves.

    Where members lose, the best can save more than all together, so their part of it is not told.
    """
    ten, whole = saving.nlargest(10).sum(), saving.sum()
    if len(saving) <= 10:
        most = "most: " if len(saving) > 1 else ""
        return f"{best} saves {most}{amount(saving.max(), 'EUR')}"
    if (saving < -ALMOST_NOTHING_EUR).any():
        return f"The ten best save {amount(ten, 'EUR')}, all together {amount(whole, 'EUR')}"
    return (
        f"The ten best make {share(ten, whole)} of all savings: "
        f"{amount(ten, 'EUR')} of {amount(whole, 'EUR')}"
    )


@figure
def top_prosumers(data: Results) -> Figure:
    """Who saves most, and what do they own?"""
    saving = data.bills["saving"]
    if saving.max() < ALMOST_NOTHING_EUR:
        raise NothingToShow("Nobody saved anything against being alone with the utility.")
    table, rows = saving.nlargest(10), np.arange(min(10, len(saving)))
    names = [f"{data.called(member)}: {data.describe(member)}" for member in table.index]
    fig, (ax,) = canvas(
        what_the_best_save(saving, data.called(table.index[0], "Home")),
        f"Saving of {data.timeline.span} against being alone with the utility.",
        top=0.79,
    )
    ax.barh(rows, table, color=group_colours(data)[table.index], height=0.72)
    key_above(
        ax, group_key(data, lambda name, colour: Patch(fc=colour, label=name), table.index), "left"
    )
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
            "saving": data.bills["saving"] / data.timeline.per_day[0],
            "group": groups(data),
            "PV": data.members["pv_capacity_kw"],
        }
    ).dropna()


def correlation(x: pd.Series, y: pd.Series) -> float:
    """Pearson's correlation; NaN for fewer than FEWEST values or where one does not vary."""
    vary = np.ptp(x) > 1e-9 and np.ptp(y) > 1e-9
    return float(x.corr(y)) if len(x) >= FEWEST and vary else math.nan


def what_the_best_needs(table: pd.DataFrame, per: str) -> str:
    """How self-sufficient the one is who saves most: all that can be said of a few members."""
    if not len(table):
        return "Self-sufficiency and saving of each member"
    best = table.loc[table["saving"].idxmax()]
    saved, own = amount(float(best["saving"]), "EUR"), share(float(best["sufficiency"]), 100)
    if len(table) == 1:
        return f"The one member saves {saved} {per} and is {own} self-sufficient"
    return f"Who saves most, {saved} {per}, is {own} self-sufficient"


def in_words(table: pd.DataFrame, per: str) -> str:
    """What self-sufficiency (%) says about saving (EUR) among members of the same group.

    Who owns a battery has more of the one and less of the other, so homes that own different things would
    show a correlation that no two alike homes have.
    """
    sufficiency, saving = table["sufficiency"], table["saving"]
    alike = [
        values - values.groupby(table["group"]).transform("mean")
        for values in (sufficiency, saving)
    ]
    related = correlation(*alike)
    if len(saving) > 1 and np.ptp(saving) < 2 * ALMOST_NOTHING_EUR:
        return f"All members save the same: {amount(float(saving.mean()), 'EUR')} {per}"
    if len(saving) > 1 and np.ptp(sufficiency) < 1:
        all_of_them = share(float(sufficiency.mean()), 100)
        return (
            f"All members are {all_of_them} self-sufficient: their savings differ for other reasons"
        )
    if not np.isfinite(related):
        return what_the_best_needs(table, per)
    number = minus(f"{related:+.2f}")
    homes = "Among homes that own alike, " if table["group"].nunique() > 1 else ""
    more = "more" if related > 0 else "less"
    found = (
        "self-sufficiency hardly tells who saves"
        if abs(related) < 0.2
        else f"the more self-sufficient save {more}"
    )
    told = f"{homes}{found} (correlation {number})"
    return told[0].upper() + told[1:]


@figure
def prosumer_performance(data: Results) -> Figure:
    """Do the members who need little from others save most?"""
    table, (_, per) = performance(data), data.timeline.per_day
    if table.empty:
        raise NothingToShow("Nobody uses energy, so nobody is more or less self-sufficient.")
    fig, (ax,) = canvas(
        in_words(table, per),
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
    ax.set(xlim=(-3, 103), xlabel="Self-sufficiency (% of the load)", ylabel=f"Saving (EUR {per})")
    ax.grid()
    key(ax, group_key(data))
    return fig


def best_and_worst(data: Results) -> list[int]:
    """The members with the largest and the smallest saving; one where there is one."""
    saving = data.bills["saving"]
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

IN_WORDS = {
    "curtailed": "curtailed",
    "utility": "utility",
    "market": "local market",
    "p2p": "P2P",
    "battery": "battery",
    "pv": "PV",
}


@figure
def prosumer_day(data: Results) -> Figure:
    """What do the best and the worst member do, hour by hour?"""
    chosen, saving, timeline = best_and_worst(data), data.bills["saving"], data.timeline
    told = [amount(saving[member], "EUR", signed=True) for member in chosen]
    fig, axes = canvas(
        f"Best saving: {told[0]}, {data.called(chosen[0])}; worst: {told[-1]}, {data.called(chosen[-1])}"
        if len(chosen) > 1
        else f"{data.called(chosen[0], 'Home')}: saving {told[0]}",
        "Up: what the home gets, down: what it stores and gives; the black line is what it uses."
        + timeline.note,
        heights=[1] * len(chosen),
        right=NARROW_KEY,
        top=0.79,
        gap=0.08,
    )
    drawn = [draw_home(ax, data, member) for ax, member in zip(axes, chosen, strict=True)]
    time_axes(axes, timeline, ["Average power (kW)"] * len(axes))
    used = [concept for concept in IN_WORDS if any(concept in of_home for of_home in drawn)]
    entries = [Patch(fc=COLOUR[concept], label=IN_WORDS[concept]) for concept in used]
    key(axes[0], [stroke("load", COLOUR["load"]), *entries])
    return fig


def draw_home(ax: Axes, data: Results, member: int) -> set[str]:
    """Draws what one home gets (up), gives and stores (down), its load as a line; returns its concepts."""

    def power(name: str) -> np.ndarray:
        return data.timeline.rate(data.flow(name)[:, member])

    used: set[str] = set()
    for flows, sign in ((HOME_GETS, 1), (HOME_GIVES, -1)):
        layers = {concept: power(name) for concept, name in flows.items()}
        bands = [("", COLOUR[concept], kw) for concept, kw in layers.items() if kw.any()]
        stack(ax, data.timeline.edges, bands, sign)
        used |= {concept for concept, kw in layers.items() if kw.any()}
    line(ax, data.timeline.edges, power("load_kwh"), COLOUR["load"])
    zero_line(ax)
    ax.set_title(f"{data.called(member, 'Home')}: {data.describe(member)}")
    return used
