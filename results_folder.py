"""The results folder: a run takes its place whole or not at all, and nothing else in it is touched."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import InputError
from stopping import stop_if_asked, stop_no_more

FILES = (
    "params.json",
    "prosumer_energy.csv",
    "prosumer_trading.csv",
    "all_trades.csv",
    "regulator_actions.csv",
    "community_summary.csv",
    "blocks.csv",
    "transfers.csv",
    "accounts.csv",
    "summary.json",
    "prosumers.json",
    "simulation_log.json",
    "timing.json",
    "blockchain.json",
)
FIGURES = (
    *("energy_balance", "energy_by_source", "community_net_power", "battery_usage"),
    *("soc_heatmap", "renewable_usage", "price_forecast", "price_dynamics", "trading_activity"),
    *("p2p_vs_market", "trade_volume_analysis", "merit_order", "trade_network"),
    *("home_type_analysis", "balance_distribution", "bill_before_after", "top_prosumers"),
    *("prosumer_performance", "prosumer_day", "lorenz_fairness", "regulator_impact"),
    *("ban_timeline", "money_by_party", "blockchain_growth", "mining_race", "hashes_per_block"),
)
"""In the order in which plot_results.py draws them; named here because importing it loads matplotlib."""


def pictures(figures: Iterable[str]) -> tuple[str, ...]:
    """The files of these figures; whatever else lies in plots/ is the user's."""
    return tuple(f"plots/{name}.png" for name in figures)


HARMLESS = {".gitkeep", ".gitignore", ".DS_Store"}
UNFINISHED = ".new"
"""How the name of a folder ends whose run is not yet complete; what a killed run left behind may be deleted."""


def _is_a_run(folder: Path) -> bool:
    try:
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    except PermissionError:  # whose it is cannot be told
        raise
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(params, dict) and "SEED" in params and "CONSENSUS" in params


def refuse_unless_ours(folder: Path, is_ours: Callable[[Path], bool] = _is_a_run) -> None:
    """Raises InputError where a run must not be written: no folder, not permitted, or somebody else's."""
    problem = ""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if not there.is_dir():
            problem = "is a file; name a folder" if there == folder else f"{there} is a file"
        elif not os.access(there, os.W_OK | os.X_OK):
            problem = "cannot be written (no permission)"
        elif there == folder and _has_foreign_files(folder) and not is_ours(folder):
            problem = "holds files, but not what this command writes; name an empty or new folder"
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
    if problem:
        raise InputError([f"--output {folder}: {problem}"])


def _has_foreign_files(folder: Path) -> bool:
    names = {entry.name for entry in folder.iterdir()} - HARMLESS
    return any(not (name.startswith(".") and name.endswith(UNFINISHED)) for name in names)


def _refuse_what_is_in_the_way(folder: Path, names: tuple[str, ...]) -> None:
    """Raises InputError where a file has the name of one of our folders, or a folder that of a file."""
    homes = dict.fromkeys(path for name in names if (path := (folder / name).parent) != folder)
    problems = [f"{path}: is a file, where figures belong" for path in homes if path.is_file()]
    taken = [folder / name for name in names if (folder / name).is_dir()]
    problems += [f"{path}: is a folder, where a file of the results belongs" for path in taken]
    if problems:
        raise InputError([f"--output {problem}; move it away" for problem in problems])


@contextmanager
def replacing(
    folder: Path,
    names: tuple[str, ...] = (*FILES, *pictures(FIGURES)),
    is_ours: Callable[[Path], bool] = _is_a_run,
) -> Iterator[Path]:
    """A fresh folder beside `folder`; when the block ends well its files take the old ones' place.

    `names` are the files that a run owns. A run that fails or is stopped leaves the earlier ones as
    they were. What else lies in `folder` survives. Raises InputError where nothing can be written.
    """
    refuse_unless_ours(folder, is_ours)
    _refuse_what_is_in_the_way(folder, names)
    made: list[Path] = []
    fresh = None
    try:
        goal = Path(os.path.realpath(folder))
        made = [parent for parent in goal.parents if not parent.exists()]
        goal.parent.mkdir(parents=True, exist_ok=True)
        fresh = _fresh_folder(goal)
        yield fresh
        stop_no_more()
        stop_if_asked()
        _swap(fresh, goal, names)
    except BrokenPipeError:
        raise
    except InputError as error:  # of who writes into the fresh folder, which nobody has named
        told = [problem.replace(str(fresh), f"--output {folder}") for problem in error.problems]
        raise InputError(told) from None
    except OSError as error:
        raise InputError(
            [f"--output {folder}: cannot be written ({error.strerror or error})"]
        ) from None
    finally:
        stop_no_more()
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)
        remove_empty(made)


def _fresh_folder(goal: Path) -> Path:
    """A new folder beside `goal`; inside it where nothing can be moved in, as into a mounted volume."""
    begin = f".{goal.name[:64]}-"
    if not goal.is_dir():
        return Path(tempfile.mkdtemp(UNFINISHED, begin, goal.parent))
    fresh = None
    try:
        fresh = Path(tempfile.mkdtemp(UNFINISHED, begin, goal.parent))
        os.rename(fresh, goal / fresh.name)
        os.rename(goal / fresh.name, fresh)
        return fresh
    except OSError:
        if fresh:
            fresh.rmdir()
        return Path(tempfile.mkdtemp(UNFINISHED, begin, goal))


def _swap(fresh: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Moves the old files of ours aside, the new ones in; on any failure everything moves back."""
    aside = fresh / ".old"
    homes = {Path(name).parent for name in names} - {Path(".")}
    moves: list[tuple[Path, Path]] = []
    made: list[Path] = []
    try:
        for home in (Path("."), *homes):
            (aside / home).mkdir(parents=True)
            if (fresh / home).is_dir() and not (folder / home).is_dir():
                made.append(folder / home)
                made[-1].mkdir()
        for name in names:
            for source, goal in ((folder / name, aside / name), (fresh / name, folder / name)):
                if source.exists():
                    moves.append((source, goal))
                    os.replace(source, goal)
    except BaseException:
        for source, goal in reversed(moves):
            if not source.exists():  # the last move may not have taken place
                os.replace(goal, source)
        remove_empty(made[::-1])
        raise
    remove_empty([folder / home for home in homes])


def remove_empty(folders: list[Path]) -> None:
    """Removes those of the folders that hold nothing; an inner one stands before the one around it."""
    for folder in folders:
        with suppress(OSError):  # it holds something, or was never made
            folder.rmdir()
