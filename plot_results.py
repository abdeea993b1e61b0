"""Draw the figures of a run from its saved folder: `python plot_results.py results`.

Every figure answers one question; its title states the answer, the line below says how to read it.
`FIGURES` names them all; `plot_all` writes folder/plots/NAME.png, 1600 x 900 pixels, made for a
projector. The docstring of a figure is its question.

One short function draws one figure. They stand in rooms by subject: `figures/energy.py`, `prices.py`,
`trades.py`, `offers.py`, `members.py`, `money.py`, `regulator.py`, `ledger.py`. What they share:
`figures/data.py` reads the folder (`Results`), `timeline.py` is the x axis, `style.py` holds colours and
small drawing tools. What a figure shows is computed by a function of its own that returns plain numbers.
A new figure is such a function with `@figure` above it, and its name in `results_folder.FIGURES`.

Conventions
- One colour per concept in every figure (`COLOUR`, after Okabe and Ito: safe for colour-blind readers).
- Energy over time is drawn as average power in kW, so hourly and 15-minute runs compare. One day has
  an axis of clock hours, more days an axis of days or dates. Beyond 14 days each point is the mean of
  one day, beyond 100 days of one week; the line below the title then says so. Where such means would
  hide what repeats every day, colours show hour of the day against day. Nothing is summed up over time
  unless the axis says "so far".
- A bill is cash paid for energy minus the value of the change in stored energy at the mean market
  price, so who empties a battery has not saved. Bonuses and penalties stand beside it.
- Where a run has nothing to show, the figure says so in one sentence. Only the figures of the ledger
  (`LEDGER_FIGURES`) are left out, and earlier ones removed, where CONSENSUS = "none".
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # loading takes a moment: Ctrl-C there ends it without a traceback
    try:
        import stopping

        stopping.stop_while_loading()
    except KeyboardInterrupt:
        os._exit(130)

import argparse
import difflib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

import results_folder
from errors import InputError, gather
from figures import (  # noqa: F401 - importing enters them
    energy,
    ledger,
    members,
    money,
    offers,
    prices,
    regulator,
    trades,
)
from figures.data import Results
from figures.registry import DRAWN
from figures.style import many, our_style
from guard import Parser, guarded
from stopping import ignore_stops
from terminal import progress

FIGURES: dict[str, Callable[[Results], Figure]] = {
    name: DRAWN[name] for name in results_folder.FIGURES
}
LEDGER_FIGURES = ("blockchain_growth", "mining_race", "hashes_per_block")
MAKER = "Prosumer community"
"""Stands at the beginning of each picture: in a folder of the user's no other may be lost."""


def plot_all(
    folder: Path,
    only: Sequence[str] | str | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    output: Path | None = None,
) -> list[Path]:
    """Writes the figures (all, or the one or those named) into folder/plots, or `output`; returns their paths.

    `progress` is told ("drawing", done, total) before each and in the end. Raises InputError with all that is wrong.
    """
    named = [only] if isinstance(only, str) else only
    names = list(FIGURES) if named is None else list(dict.fromkeys(named))
    problems = unknown_figures(names)
    data, goal = gather(problems, lambda: Results(folder)), Path(output or Path(folder) / "plots")
    if data is None or problems:
        raise InputError(problems)
    made = [place for place in (goal, *goal.parents) if not place.exists()]
    try:
        left_out = () if data.has_ledger else LEDGER_FIGURES
        if goal.exists() and not goal.is_dir():
            raise InputError([f"{goal}: is a file; name a folder"])
        if output is not None:
            refuse_pictures_of_others(goal, [*names, *left_out])
        goal.mkdir(parents=True, exist_ok=True)
        for name in left_out:
            (goal / f"{name}.png").unlink(missing_ok=True)
        paths, drawn = list[Path](), [name for name in names if name not in left_out]
        for name in drawn:
            progress("drawing", len(paths), len(drawn))
            paths.append(write(name, data, goal))
        progress("drawing", len(paths), len(drawn))
        return paths
    except InputError as error:
        raise InputError(list(dict.fromkeys([*error.problems, *data.problems()]))) from None
    except OSError as error:
        raise InputError([f"{goal}: cannot be written ({error.strerror or error})"]) from None
    finally:
        results_folder.remove_empty(made)


def refuse_pictures_of_others(goal: Path, names: Sequence[str]) -> None:
    """Raises InputError where something that this program did not draw has the name of one of these figures."""
    paths = [goal / f"{name}.png" for name in dict.fromkeys(names)]
    taken = [path for path in paths if path.exists() and not _is_ours(path)]
    told = "is there already and is no figure of this program; remove it, or name another folder"
    if taken:
        raise InputError([f"--output {path}: {told}" for path in taken])


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return MAKER.encode() in file.read(256)


def unknown_figures(names: Sequence[str]) -> list[str]:
    """A problem for each name that no figure has: the name that was meant, or once all names."""
    problems, listed = [], False
    for name in (name for name in names if name not in FIGURES):
        near = difflib.get_close_matches(name, FIGURES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if not near and not listed:
            hint, listed = f"; there are {', '.join(FIGURES)}", True
        problems.append(f"no figure is called {name!r}{hint}")
    return problems


def write(name: str, data: Results, goal: Path) -> Path:
    """Draws one figure; the picture appears under its name when it is complete."""
    path, fresh = goal / f"{name}.png", goal / f".{name}.new"
    try:
        with our_style():
            figure = FIGURES[name](data)
            signed = {"Software": MAKER}
            figure.savefig(fresh, format="png", metadata=signed, pil_kwargs={"compress_level": 1})
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return path


def command_line() -> argparse.ArgumentParser:
    questions = "\n".join(f"  {name:<22}{draw.__doc__}" for name, draw in FIGURES.items())
    parser = Parser(
        prog="python plot_results.py",
        description="Draw the figures of a run from its results folder.",
        epilog="example:\n  python plot_results.py results --only merit_order,trade_network\n\n"
        f"figures and their questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="results folder of a run")
    parser.add_argument(
        "--only", metavar="A,B", help="only these figures, names with commas between"
    )
    parser.add_argument(
        "--output", "-o", metavar="DIR2", type=Path, help="folder for the pictures (DIR/plots)"
    )
    return parser


def draw_command(arguments: Sequence[str] | None = None) -> None:
    """Draws what the command line asks for."""
    options = command_line().parse_args(arguments)
    only = None
    if options.only is not None:
        only = [name.strip() for name in options.only.split(",")]
    begun = time.monotonic()
    with progress(quiet=False) as advance:
        drawn = plot_all(options.folder, only, advance, options.output)
    goal = options.output or options.folder / "plots"
    print(f"{many(len(drawn), 'figure')} in {goal} ({time.monotonic() - begun:.1f} s)")
    if len(drawn) < len(set(only or FIGURES)):
        print("without the figures of the ledger: this run has none (CONSENSUS = none)")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    told = "stopped; the figures drawn so far are new, the others as they were"
    return guarded(lambda: draw_command(arguments), told)


if __name__ == "__main__":
    exit_code = main()
    ignore_stops()
    sys.exit(exit_code)
