"""python main.py compare: market rules and regulators side by side on the same days."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from errors import gather
from extensions.comparison import Case, base_of, compare, groups_of, interval, write
from extensions.mechanisms import MECHANISMS, mechanism_called
from guard import Parser
from options import (
    add_output_option,
    add_scenario_options,
    read_config,
    read_scenario,
    unit_hints,
)
from regulator import STRATEGIES
from results_folder import pictures, refuse_unless_ours, replacing
from terminal import plain_console, print_warnings, progress

DEFAULT_RUNS, MOST_RUNS = 30, 10_000
MAIN = {
    "net_cost_eur": "net cost\nEUR",
    "savings_eur": "saved\nEUR",
    "p2p_share": "P2P share\n%",
    "self_sufficiency": "self-\nsufficiency\n%",
}
"""What the terminal shows of each rule, and its heads."""


def command(arguments: list[str]) -> int:
    """Runs every combination on every seed; writes the tables and figures of a comparison."""
    config, problems = read_config(), list[str]()
    options = _parser().read(arguments, problems)
    mechanisms = _chosen("--mechanisms", options.mechanisms, list(MECHANISMS), problems)
    objectives = _chosen("--objectives", options.objectives, list(STRATEGIES), problems)
    runs = _runs(options.runs, problems)
    gather(problems, lambda: refuse_unless_ours(options.output, _is_a_comparison))
    first = read_scenario(options, config, mechanism_called, problems)
    if not options.quiet:
        print_warnings(unit_hints(first, options))
    default = first.settings.MARKET_MECHANISM, first.settings.REGULATOR_OBJECTIVE
    objectives = objectives or [default[1]]
    seeds = range(first.settings.SEED, first.settings.SEED + runs)

    with (
        progress(options.quiet) as advance,
        replacing(options.output, NAMES, _is_a_comparison) as folder,
    ):
        total = runs * len(mechanisms) * len(objectives)
        cases = compare(
            lambda seed: read_scenario(options, config, mechanism_called, SEED=seed),
            mechanisms,
            objectives,
            seeds,
            lambda done: advance("comparing", done, total),
        )
        told = "python main.py compare " + shlex.join(arguments)
        same_days = options.data is not None
        table = write(cases, folder, default, told.strip(), same_days)
        if not options.no_plots:
            _draw(cases, folder, default, advance, same_days)
    if not options.quiet:
        print_means(table, same_days)
        print(f"comparison in {options.output}")
        base = base_of(table, default)
        whom = "the default" if base == default else ", ".join(base)
        against = f", and the differences against {whom}" * (len(groups_of(table)) > 1)
        print(f"  comparison.md: all columns{against}")
        print("  comparison.csv: every run" + ("" if options.no_plots else "\n  plots: figures"))
    return 0


FIGURES = ("winners", "radar", "savings_per_member", "lorenz_curves", "price_by_hour")
"""Those of comparison_plots.py, named here because importing it loads matplotlib."""
NAMES = ("comparison.csv", "comparison.md", *pictures(FIGURES))


def _parser() -> Parser:
    parser = Parser(
        prog="python main.py compare",
        description="Run market rules and regulators on the same homes, weather and seeds; say who wins.",
        epilog="example: python main.py compare --mechanisms midpoint,uniform,none --runs 30 -o comparison",
        allow_abbrev=False,
    )
    add_scenario_options(parser)
    add_output_option(parser, "comparison")
    add = parser.add_argument
    add(
        "--mechanisms",
        default="all",
        metavar="A,B",
        help=f"default: all ({', '.join(MECHANISMS)})",
    )
    add(
        "--objectives",
        metavar="A,B",
        help=f"default: the one in force; or all; or some of {', '.join(STRATEGIES)}",
    )
    add(
        "--runs",
        default=str(DEFAULT_RUNS),
        metavar="N",
        help="seeds (default: 30), from SEED on",
    )
    add("--no-plots", action="store_true", help="write the tables only")
    add("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _chosen(option: str, text: str | None, known: list[str], problems: list[str]) -> list[str]:
    """The names of a comma list, all of them for "all"; none without the option."""
    if text is None:
        return []
    if text.strip() == "all":
        return known
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"{', '.join(unknown)} is not allowed" if unknown else "names none"
        told = f"{wrong}; allowed are {', '.join(known)} and 'all'"
        problems.append(f"{option} {text}: {told}")
    return list(dict.fromkeys(names))


def _runs(text: str, problems: list[str]) -> int:
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_RUNS:
        return int(text)
    problems.append(f"--runs {text}: must be a whole number from 1 to {MOST_RUNS:,}")
    return 0


def print_means(table: pd.DataFrame, same_days: bool = False) -> None:
    """The main figures of each rule and regulator, narrow enough for a terminal of 80 columns."""
    from rich import box
    from rich.table import Table

    varied = [name for name in ("mechanism", "objective") if table[name].nunique() > 1]
    varied = varied or ["mechanism"]
    shown = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    shown.add_column(" and ".join(varied).replace("mechanism", "rule"))
    for head in MAIN.values():
        shown.add_column(head, justify="right", no_wrap=True)
    for group, rows in table.groupby(varied, sort=False):
        name = ", ".join(group).replace("maximize_", "")
        shown.add_row(name, *(_mean(rows[name], "%" in head) for name, head in MAIN.items()))
    plain_console().print(shown)
    runs = table["seed"].nunique()
    which = " of the same days, those of the data file" * same_days
    told = f"mean and 95 % interval over {runs} seeds{which}"
    print(told if runs > 1 else "one seed: no intervals")


def _mean(values: pd.Series, percent: bool) -> str:
    mean, half = interval(values * (100 if percent else 1))
    width = "" if np.isnan(half) else f" ± {half:.1f}"
    return "-" if np.isnan(mean) else f"{mean:.1f}{width}"


def _is_a_comparison(folder: Path) -> bool:
    return (folder / "comparison.csv").is_file() and (folder / "comparison.md").is_file()


def _draw(
    cases: list[Case],
    folder: Path,
    default: tuple[str, str],
    advance: Callable[[str, int, int], None],
    same_days: bool,
) -> None:
    from extensions.comparison_plots import plot_all

    def told(done: int, total: int) -> None:
        advance("drawing", done, total)

    plot_all(cases, folder / "plots", default, told, same_days)
