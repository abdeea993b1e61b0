"""python main.py compare: market rules and regulators side by side on the same days."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from extensions.comparison import Case, compare, markdown, table_of, write
from extensions.mechanisms import MECHANISMS
from guard import Parser
from options import add_output_option, add_scenario_options, read_scenario
from regulator import STRATEGIES
from results_folder import replacing
from settings import InputError
from terminal import progress

DEFAULT_RUNS, MOST_RUNS = 30, 10_000


def command(arguments: list[str], config: ModuleType) -> int:
    """Runs every combination on every seed; writes the tables and figures of a comparison."""
    options = _parser().parse_args(arguments)
    mechanisms = _chosen("--mechanisms", options.mechanisms, list(MECHANISMS))
    objectives = _chosen("--objectives", options.objectives, list(STRATEGIES))
    if not 1 <= options.runs <= MOST_RUNS:
        raise InputError([f"--runs {options.runs}: must be a whole number from 1 to {MOST_RUNS:,}"])
    first = read_scenario(options, config, MECHANISMS.__getitem__)
    default = first.settings.MARKET_MECHANISM, first.settings.REGULATOR_OBJECTIVE
    objectives = objectives or [default[1]]
    seeds = range(first.settings.SEED, first.settings.SEED + options.runs)

    with (
        progress(options.quiet) as advance,
        replacing(options.output, NAMES, _is_a_comparison) as folder,
    ):
        total = options.runs * len(mechanisms) * len(objectives)
        cases = compare(
            lambda seed: read_scenario(options, config, MECHANISMS.__getitem__, SEED=seed),
            mechanisms,
            objectives,
            seeds,
            lambda done: advance("comparing", done, total),
        )
        told = "python main.py compare " + shlex.join(arguments)
        write(cases, folder, default, told.strip())
        if not options.no_plots:
            _draw(cases, folder, default, advance)
    if not options.quiet:
        print(markdown(table_of(cases), default, told.strip()))
        print(f"comparison in {options.output}")
    return 0


NAMES = ("comparison.csv", "comparison.md", "plots")


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
    add("--mechanisms", metavar="A,B", help=f"default: all ({', '.join(MECHANISMS)})")
    add(
        "--objectives",
        metavar="A,B",
        help=f"default: the one in force; or of {', '.join(STRATEGIES)}",
    )
    add(
        "--runs",
        type=int,
        default=DEFAULT_RUNS,
        metavar="N",
        help="seeds (default: 30), from SEED on",
    )
    add("--no-plots", action="store_true", help="write the tables only")
    add("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _chosen(option: str, text: str | None, known: list[str]) -> list[str]:
    """The names of a comma list; all mechanisms where none is named."""
    if text is None:
        return known if option == "--mechanisms" else []
    if text.strip() == "all":
        return known
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError([f"{option} {text}: allowed are {', '.join(known)} and 'all'"])
    return list(dict.fromkeys(names))


def _is_a_comparison(folder: Path) -> bool:
    return (folder / "comparison.csv").is_file() and (folder / "comparison.md").is_file()


def _draw(
    cases: list[Case],
    folder: Path,
    default: tuple[str, str],
    advance: Callable[[str, int, int], None],
) -> None:
    from extensions.comparison_plots import plot_all

    plot_all(cases, folder / "plots", default, lambda done, total: advance("drawing", done, total))
