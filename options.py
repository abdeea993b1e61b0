"""What the command line says about the scenario, the same for every command that simulates."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import settings
import simulator
from household_data import Files, fingerprint
from settings import InputError, Settings
from trading import Mechanism


def add_scenario_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is simulated, the same for every command that simulates."""
    add = parser.add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting (lists as JSON)",
    )
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON file of settings; a params.json repeats its run",
    )
    add("--seed", type=int, metavar="N", help="short for --set SEED=N")
    add("--steps", type=int, metavar="N", help="simulate N steps")
    add(
        "--data",
        type=Path,
        metavar="FILE",
        help="CSV or Parquet: timestamp, household_id, load_kwh, pv_kwh",
    )
    add(
        "--members", type=Path, metavar="FILE", help="household_id, battery_kwh, battery_kw, pv_kwp"
    )
    add(
        "--prices", type=Path, metavar="FILE", help="timestep or timestamp, import and export price"
    )
    add("--households", metavar="LIST", help="homes of the data to take: 1,5,9 or flat:3,house:2")


def add_output_option(parser: argparse.ArgumentParser, default: str = "results") -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"folder (default: {default})",
    )


def read_scenario(
    options: argparse.Namespace,
    config: ModuleType,
    find_mechanism: Callable[[str], Mechanism],
    **changes: Any,
) -> simulator.Scenario:
    """The scenario of the command line: config.py, then --config, then the other options, then changes."""
    from_file = settings.read_json(options.config) if options.config else {}
    recorded = from_file.pop("inputs", {})
    assigned = dict(settings.parse_assignment(text) for text in options.set)
    if options.seed is not None:
        assigned["SEED"] = options.seed
    if options.households is not None:
        assigned["HOUSEHOLDS"] = options.households
    asked = settings.load(config, from_file, assigned, changes)
    files = Files(data=options.data, members=options.members, prices=options.prices)
    _demand_recorded(recorded, files, options.config)
    scenario = simulator.prepare(
        asked,
        files,
        _steps_wanted(options, asked, assigned, recorded),
        find_mechanism(asked.MARKET_MECHANISM),
    )
    _demand_no_contradiction(assigned, asked, scenario.settings)
    return scenario


def _steps_wanted(
    options: argparse.Namespace, asked: Settings, assigned: dict[str, Any], recorded: Any
) -> int | None:
    """How many steps were asked for; None leaves it to the data file, or to TIME_STEPS."""
    if options.steps is not None:
        if options.steps < 1 or options.steps > 1_000_000:
            raise InputError(
                [f"--steps {options.steps}: must be a whole number from 1 to 1,000,000"]
            )
        return int(options.steps)
    said = "TIME_STEPS" in assigned or "data" in recorded
    return asked.TIME_STEPS if said and options.data else None


def _demand_recorded(recorded: Any, files: Files, source: Path) -> None:
    """Raises InputError unless the files of a recorded run are given again, with the same contents."""
    if not isinstance(recorded, dict) or not all(
        isinstance(entry, dict) for entry in recorded.values()
    ):
        raise InputError([f"--config {source}: its inputs are not what a run writes"])
    problems = []
    for option, entry in recorded.items():
        path = files.given().get(option)
        if path is None:
            problems.append(
                f"--config {source}: the run used {entry.get('name')}; give it with --{option}"
            )
        elif fingerprint(path) != entry.get("sha256"):
            problems.append(
                f"--{option} {path}: is not the {entry.get('name')} of {source}; contents differ"
            )
    if problems:
        raise InputError(problems)


def _demand_no_contradiction(assigned: dict[str, Any], asked: Settings, in_force: Settings) -> None:
    """Raises InputError where the command line sets what the data file decides."""
    problems = [
        f"--set {name}={getattr(asked, name)}: the data file says {getattr(in_force, name)}"
        for name in assigned
        if getattr(asked, name) != getattr(in_force, name) and name != "TIME_STEPS"
    ]
    if problems:
        raise InputError(problems)
