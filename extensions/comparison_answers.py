"""What a comparison answers: who wins, for whom, and at which prices, in numbers and in the sentence above each figure.

`comparison_plots.py` draws what these numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from extensions.comparison import (
    INDICES,
    Case,
    Group,
    base_of,
    groups_of,
    interval,
    of_group,
    table_of,
)
from figures.money import lorenz
from figures.style import amount, minus

ALIKE = 0.005
"""Means that differ by less than this part of the best are equal in practice, whatever a test says."""


class Comparison:
    """The cases by group (rule, objective), and the names of groups."""

    def __init__(self, cases: Sequence[Case], default: Group, same_days: bool = False):
        """same_days: whether all seeds share the energy of a data file."""
        self.cases, self.table, self.same_days = cases, table_of(cases), same_days
        self.groups = groups_of(self.table)
        self.rules = list(dict.fromkeys(rule for rule, _ in self.groups))
        self.objectives = list(dict.fromkeys(objective for _, objective in self.groups))
        self.default = base_of(self.table, default)
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
        names = [self.name(group) for group in groups]
        if self.noun != "rule and objective":
            return listed(names, 3)
        return listed([name.replace(", ", " (") + ")" for name in names], 1)

    def means_over(self) -> str:
        """What the means of a figure are taken over."""
        if self.runs == 1:
            return "One seed, another may differ"
        return f"Means over {self.runs} seeds{' (same days)' * self.same_days}"


def listed(names: Sequence[str], most: int) -> str:
    """'a', 'a and b', 'a, b and c', 'a, b, c and 4 more'."""
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def capitalized(names: str) -> str:
    """Names that begin a sentence."""
    return names[0].upper() + names[1:]


def best_of(means: dict[Group, float]) -> list[Group]:
    """The groups with the largest amount (EUR), and those that reach it in practice."""
    most = max(means.values())
    return [group for group, mean in means.items() if most - mean <= max(ALIKE * abs(most), 0.005)]


# ---------------------------------------------------------------- who wins


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
    others = data.names(near) if len(near) <= 3 else f"{len(near)} others"
    return f"{who}: {saved}, but not provably more than {others}"


def provably_less(data: Comparison, group: Group, best: Group) -> bool:
    """Whether the paired 95 % interval of what a group saves less than the best leaves out zero."""
    less = data.values(best, "savings_eur") - data.values(group, "savings_eur")
    difference, half = interval(less)
    return bool(difference > half + 1e-9)


def indices(data: Comparison, group: Group) -> np.ndarray:
    """The mean of each index (6); NaN where a seed has none. Value tapping is below 0 where members lose together."""
    return np.array([interval(data.values(group, name))[0] for name in INDICES])


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


# ---------------------------------------------------------------- for whom


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
        curve = lorenz(case.savings_eur)[0]
        curves.append(np.interp(people, np.linspace(0, 1, len(curve)), curve))
    return np.mean(curves, axis=0)


def evenness(ginis: Sequence[tuple[str, float]], runs: int = 1) -> str:
    """The title of the Lorenz curves, from names and Gini, the smallest first, of those that save in each run."""
    if not ginis:
        several = "In some of the seeds there are no savings to share"
        return several if runs > 1 else "Together nobody saved anything"
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
