"""Market rules and regulators side by side, on the same weather, homes and seeds.

Every combination of rule and objective meets the same scenario of each seed (common random numbers), so
differences against the default are paired and their intervals are narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import report
import simulator
from errors import InputError
from extensions.mechanisms import MECHANISMS
from extensions.optimizer import community_optimum
from figures.data import ALMOST_NOTHING_EUR
from records import Real
from regulator import STRATEGIES
from settings import Settings

CONFIDENCE = 0.95
INDICES = (
    "value_tapping",
    "participation",
    "equality",
    "energy_balance",
    "power_flatness",
    "self_sufficiency",
)
FROM_SUMMARY = (
    "community_cost_eur",
    "stored_change_value_eur",
    "net_cost_eur",
    "p2p_kwh",
    "market_kwh",
    "grid_import_kwh",
    "grid_export_kwh",
    "community_import_kwh",
    "community_export_kwh",
    "self_sufficiency",
    "self_consumption",
)
MORE_FROM_SUMMARY = (
    "savings_eur",
    "bonuses_eur",
    "penalties_eur",
    "avoidable_penalties_eur",
    "banned_ever",
    "p2p_price_eur_per_kwh",
)


@dataclass(frozen=True)
class Case:
    """One run of the comparison: its row of figures, each member's savings, each step's price."""

    row: dict[str, Any]
    savings_eur: Real
    """(N) Net cost alone minus net cost here, without bonuses and penalties."""
    price_eur_per_kwh: Real
    """(T) Average price that sellers get from neighbours; NaN where nothing was traded at a price."""
    hour: NDArray[np.int64]
    peak_ratio: float | None
    """max|net| / mean|net| over the steps."""


Group = tuple[str, str]  # rule and objective
Prepare = Callable[[int], simulator.Scenario]


def compare(
    prepare: Prepare,
    mechanisms: Sequence[str],
    objectives: Sequence[str],
    seeds: Iterable[int],
    advance: Callable[[int], None] = lambda done: None,
) -> list[Case]:
    """One case for every seed, rule and objective; prepare(seed) draws the scenario that all share."""
    known: list[tuple[str, Sequence[str], Iterable[str]]] = [
        ("rule", mechanisms, MECHANISMS),
        ("objective", objectives, STRATEGIES),
    ]
    problems = [
        f"{name}: no such {kind}; there are {', '.join(there)}"
        for kind, asked, there in known
        for name in asked
        if name not in there
    ]
    if problems:
        raise InputError(problems)
    cases: list[Case] = []
    for seed in seeds:
        shared = prepare(seed)
        if seed != shared.settings.SEED:  # equal days would count as independent ones
            raise InputError([f"prepare({seed}) has SEED = {shared.settings.SEED}"])
        optima: dict[float, float] = {}
        of_seed = []
        for mechanism in mechanisms:
            for objective in objectives:
                of_seed.append(_case(with_rule(shared, mechanism, objective), optima))
                advance(len(cases) + len(of_seed))
        cases += _with_flatness(of_seed)
    return cases


def with_rule(shared: simulator.Scenario, mechanism: str, objective: str) -> simulator.Scenario:
    """The same homes, weather and prices under another rule and regulator, without ledger."""
    changes = {"MARKET_MECHANISM": mechanism, "REGULATOR_OBJECTIVE": objective, "CONSENSUS": "none"}
    settings: Settings = shared.settings.model_copy(update=changes)
    return replace(shared, settings=settings, mechanism=MECHANISMS[mechanism])


def _case(scenario: simulator.Scenario, optima: dict[float, float]) -> Case:
    run = simulator.run(scenario)
    history = report.History(run)
    members = report.member_totals(history)
    figures = report.summary(history, members)
    final_wh = float(run.end.stored_wh.sum())
    if final_wh not in optima:
        optima[final_wh] = community_optimum(scenario, final_wh).cost_eur
    here, savings = members["net_cost_nanoeur"] / 1e9, members["savings_nanoeur"] / 1e9
    steps = report.step_rows(history)
    price = np.array([row["p2p_price_microeur_per_kwh"] for row in steps], float) / 1e6
    if settles_at_the_end(scenario.settings.MARKET_MECHANISM):
        price[:] = np.nan
    energy = float(history.totals["load_wh"].sum() + history.totals["pv_wh"].sum())
    net = np.abs(history.net_wh).astype(float)
    best = optima[final_wh] - figures["stored_change_value_eur"]
    row = {
        "mechanism": scenario.settings.MARKET_MECHANISM,
        "objective": scenario.settings.REGULATOR_OBJECTIVE,
        "seed": scenario.settings.SEED,
        **{name: figures[name] for name in FROM_SUMMARY},
        "value_tapping": value_tapping(
            figures["net_cost_eur"], figures["net_cost_alone_eur"], best
        ),
        "participation": float(np.mean(savings > 1e-9)),
        "equality": equality(here.max() - here),
        "energy_balance": 1 - net.sum() / energy if energy else None,
        "power_flatness": None,
        "gini_savings": gini(savings),
        "regulator_balance_eur": figures["regulator_balance_eur"],
        "p2p_share": p2p_share(figures),
        "optimum_net_cost_eur": best,
        "net_cost_alone_eur": figures["net_cost_alone_eur"],
        **{name: figures[name] for name in MORE_FROM_SUMMARY},
    }
    ratio = float(net.max() / net.mean()) if net.any() else None
    return Case(row, savings, price, np.asarray(scenario.profiles.hour), ratio)


def settles_at_the_end(mechanism: str) -> bool:
    """Whether a rule's trades carry no price, because bills are shared after the last step."""
    return MECHANISMS[mechanism].settle_period is not None


def _with_flatness(cases: list[Case]) -> list[Case]:
    """Power flatness refers to the highest peak ratio of the compared."""
    reference = max((c.peak_ratio for c in cases if c.peak_ratio is not None), default=None)
    return [
        replace(c, row=c.row | {"power_flatness": 1 - c.peak_ratio / reference})
        if c.peak_ratio is not None and reference
        else c
        for c in cases
    ]


# ---------------------------------------------------------------- indices


def value_tapping(net_cost: float, net_cost_alone: float, net_cost_optimum: float) -> float | None:
    """The part of the possible savings that was realised (Zhou et al. 2018)."""
    possible = net_cost_alone - net_cost_optimum
    return (net_cost_alone - net_cost) / possible if possible > 1e-9 else None


def p2p_share(figures: dict[str, Any]) -> float | None:
    """P2P / (P2P + local market + utility import): how the community's trading divides, in kWh.

    What is sold to the utility does not count, so it rises where sellers leave the local market for the utility.
    """
    traded = figures["p2p_kwh"] + figures["market_kwh"] + figures["grid_import_kwh"]
    return figures["p2p_kwh"] / traded if traded else None


def equality(income: Real) -> float:
    """1 - sum sum |I_n - I_m| / (2 N sum I) (Zhou et al. 2018); 1 where all are equal.

    An income is what the member with the highest net cost pays more: costs, turned and shifted to be positive.
    """
    total = float(income.sum())
    return 1 - absolute_differences(income) / (2 * len(income) * total) if total > 0 else 1.0


def gini(values: Real) -> float | None:
    """sum |x_i - x_j| / (2 n^2 mean) of amounts in EUR; None where on average hardly anything is there to share."""
    mean = float(values.mean())
    if mean <= ALMOST_NOTHING_EUR:
        return None
    return absolute_differences(values) / (2 * len(values) ** 2 * mean)


def absolute_differences(values: Real) -> float:
    """sum over all pairs i, j of |x_i - x_j|, by one sort."""
    ordered, n = np.sort(values), len(values)
    return float(2 * np.sum((2 * np.arange(1, n + 1) - n - 1) * ordered))


# ---------------------------------------------------------------- tables


def table_of(cases: Sequence[Case]) -> pd.DataFrame:
    """comparison.csv: one row per run."""
    return pd.DataFrame([case.row for case in cases])


def interval(values: pd.Series) -> tuple[float, float]:
    """(mean, half width of its 95 % interval) by Student's t; NaN where a seed has no such figure.

    A Gini is missing where all together save nothing: the mean of the other seeds would be that of good days.
    """
    values = values.astype(float)
    mean = float(values.mean(skipna=False))
    if len(values) < 2:
        return mean, float("nan")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1, skipna=False)
    return mean, float(half / np.sqrt(len(values)))


SHOWN = {
    "net_cost_eur": ("net cost", "EUR", 2),
    "savings_eur": ("savings", "EUR", 2),
    "p2p_share": ("P2P share", "%", 1),
    "self_sufficiency": ("self-sufficiency", "%", 1),
    "self_consumption": ("self-consumption", "%", 1),
    "value_tapping": ("value tapping", "%", 1),
    "participation": ("participation", "%", 1),
    "equality": ("equality", "%", 1),
    "energy_balance": ("energy balance", "%", 1),
    "power_flatness": ("power flatness", "%", 1),
    "gini_savings": ("Gini of savings", "", 3),
    "regulator_balance_eur": ("regulator", "EUR", 2),
    "avoidable_penalties_eur": ("avoidable penalties", "EUR", 2),
    "banned_ever": ("members banned", "", 1),
}


SAME_DAYS = (
    "All seeds share the days of the data file: the intervals tell how much matters what is drawn besides (quotes, ties, "
    "forecasts; without `--members` batteries, without `--prices` prices; with prefix:count which homes are taken), not how "
    "other days would differ."
)


def markdown(table: pd.DataFrame, default: Group, command: str, same_days: bool = False) -> str:
    """comparison.md: means with intervals, then paired differences against the default.

    same_days: whether all seeds share the energy of a data file.
    """
    groups, base = groups_of(table), base_of(table, default)
    runs = table["seed"].nunique()
    counted = f"{len(table)} run{'s' * (len(table) > 1)} on {runs} seed{'s' * (runs > 1)}"
    over = "mean and 95 % interval over the seeds" if runs > 1 else "one seed has no intervals"
    gap = " A dash: a seed has no such figure (no Gini, for example, where all together save nothing)."
    lines = [
        "# Market rules and regulators side by side",
        "",
        f"{counted}; {over}. Made with `{command}`.{gap * has_gaps(table)}",
        "",
        *[SAME_DAYS, ""] * (same_days and runs > 1),
        *_rows(groups, lambda group, name: _cell(of_group(table, group)[name], name)),
    ]
    if len(groups) > 1:
        stars = "; a star marks an interval that leaves out zero" * (runs > 1)
        missing = f" The default, {', '.join(default)}, is not among the compared."
        first = of_group(table, base)
        lines += [
            "",
            f"## Differences against {', '.join(base)}",
            "",
            f"Paired by seed{stars}.{missing * (base != default)}",
            "",
            *_rows(
                [group for group in groups if group != base],
                lambda group, name: _cell(
                    of_group(table, group)[name] - first[name], name, star=True
                ),
            ),
        ]
    return "\n".join(lines) + "\n"


def base_of(table: pd.DataFrame, default: Group) -> Group:
    """What the others are held against: the default, or the first where it is not among the compared."""
    groups = groups_of(table)
    return default if default in groups else groups[0]


def has_gaps(table: pd.DataFrame) -> bool:
    """Whether a figure that is shown is not defined in some run."""
    return bool(table[list(SHOWN)].isna().to_numpy().any())


def groups_of(table: pd.DataFrame) -> list[Group]:
    """The rules and objectives that are compared, in the order of the table."""
    return list(dict.fromkeys(zip(table["mechanism"], table["objective"], strict=True)))


def of_group(table: pd.DataFrame, group: Group) -> pd.DataFrame:
    """The figures of a group, by seed."""
    chosen = (table["mechanism"] == group[0]) & (table["objective"] == group[1])
    return table[chosen].set_index("seed").sort_index()


def _rows(groups: Sequence[Group], cell: Callable[[Group, str], str]) -> list[str]:
    heads = [f"{text} ({unit})" if unit else text for text, unit, _ in SHOWN.values()]
    lines = [
        "| mechanism | objective | " + " | ".join(heads) + " |",
        "|---|---|" + "---:|" * len(heads),
    ]
    for group in groups:
        cells = [cell(group, name) for name in SHOWN]
        lines.append(f"| {group[0]} | {group[1]} | " + " | ".join(cells) + " |")
    return lines


def _cell(values: pd.Series, name: str, star: bool = False) -> str:
    _, unit, decimals = SHOWN[name]
    mean, half = interval(values * (100 if unit == "%" else 1))
    if np.isnan(mean):
        return "-"
    sign = "+" if star else ""
    mark = "*" if star and abs(mean) > half else ""
    width = "" if np.isnan(half) else f" ± {half:.{decimals}f}"
    return f"{round(mean, decimals) + 0.0:{sign}.{decimals}f}{width}{mark}"


def write(
    cases: Sequence[Case], folder: Path, default: Group, command: str, same_days: bool = False
) -> pd.DataFrame:
    """Writes comparison.csv and comparison.md; returns the table."""
    table = table_of(cases)
    table.to_csv(folder / "comparison.csv", index=False, lineterminator="\n", float_format="%.9g")
    (folder / "comparison.md").write_text(
        markdown(table, default, command, same_days), encoding="utf-8", newline="\n"
    )
    return table
