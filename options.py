"""What the command line says about the scenario, the same for every command that simulates."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import household_data
import settings
import simulator
from errors import InputError, gather
from household_data import Files
from trading import Mechanism

BYTES_PER_MEMBER, BYTES_PER_MEMBER_STEP, BYTES_PER_STEP = 8_000, (800, 2_000), (10_000, 20_000)
"""What a run that keeps and saves every step needs at its peak; steps without and with a ledger; measured."""

UNLIKELY_KWH_PER_HOUR, UNLIKELY_EUR_PER_KWH, UNLIKELY_KW_OF_A_HOME = 100, 5, 1000


def read_config() -> ModuleType:
    """config.py; raises InputError where an edit broke it."""
    try:
        return importlib.import_module("config")
    except ModuleNotFoundError as error:
        if error.name == "config":
            raise InputError(
                ["config.py: is missing; put it back beside main.py (git checkout config.py)"]
            ) from None
        lines, told = _lines(error), str(error)
    except SyntaxError as error:
        lines, told = [str(error.lineno or 1)], f"{error.msg}: {(error.text or '').strip()}"
    except Exception as error:  # whatever an edited line may raise
        lines, told = _lines(error), str(error)
        if not lines:  # not even its first line was reached
            told = getattr(error, "strerror", None) or told
            raise InputError([f"config.py: cannot be read ({told})"]) from None
    raise InputError([f"config.py, line {lines[-1]}: {told}; a line reads NAME: Type = value"])


def _lines(error: Exception) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [str(frame.lineno) for frame in frames if Path(frame.filename).name == "config.py"]


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
    add("--seed", metavar="N", help="short for --set SEED=N")
    add("--steps", metavar="N", help="simulate N steps: short for --set TIME_STEPS=N")
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
    add(
        "--households",
        metavar="LIST",
        help="homes of the data to take: ids, flat1,house2, or so many by prefix of the id, flat:1,house:2",
    )


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
    problems: list[str] | None = None,
    **changes: Any,
) -> simulator.Scenario:
    """The scenario of the command line: config.py, then --config, then the other options, then changes.

    Raises InputError with everything that is wrong in settings and files, after the `problems` found so far.
    """
    problems = [] if problems is None else problems
    from_file = {}
    if options.config:
        from_file = gather(problems, lambda: read_json(options.config)) or {}
    recorded = from_file.pop("inputs", {})
    assigned = _assigned(options, problems)
    files = Files(data=options.data, members=options.members, prices=options.prices)
    asked, wrong = settings.attempt(config, from_file, assigned, changes)
    problems += wrong + _unlike_recorded(recorded, files, options.config)
    is_of_a_run = asked and 2 * len(from_file) > len(asked.to_json())
    picked = {} if is_of_a_run else from_file  # a params.json, also an older one, names them all
    problems += _without_effect(picked, files, f"--config {options.config}:")
    problems += _without_effect(assigned, files, "--set")
    if asked and not files.data:
        by = "members (NUM_PROSUMERS, NUM_CONSUMERS) or steps (TIME_STEPS)"
        problems += _too_large(asked.num_members, asked.TIME_STEPS, asked.CONSENSUS != "none", by)
    cut = asked and files.data and ("TIME_STEPS" in assigned or "data" in recorded)
    steps = asked.TIME_STEPS if asked and cut else None
    if problems:
        if asked:
            gather(problems, lambda: household_data.check(asked, files, steps))
        raise InputError(list(dict.fromkeys(problems)))
    assert asked is not None
    rule = find_mechanism(asked.MARKET_MECHANISM)
    scenario = simulator.prepare(asked, files, steps, rule)
    if files.data:  # how large it is stands in the file
        size, by = (
            (scenario.fleet.size, scenario.profiles.steps),
            "homes (--households) or steps (--steps)",
        )
        problems = _too_large(*size, asked.CONSENSUS != "none", by)
    if problems:
        raise InputError(problems)
    return scenario


def unit_hints(scenario: simulator.Scenario, options: argparse.Namespace) -> list[str]:
    """One line for each kind of number that looks like another unit; they are taken as they are."""
    fleet, profiles, hints = scenario.fleet, scenario.profiles, list[str]()
    per_hour = 1000 * scenario.settings.step_hours
    looks = [  # option, what, one value of each home, the largest that is likely, what a larger one says
        (
            *("data", "load", profiles.load_wh.mean(axis=0) / per_hour, UNLIKELY_KWH_PER_HOUR),
            "uses {} kWh an hour on average; loads look like Wh, kWh per step are expected",
        ),
        (
            *("data", "PV", profiles.pv_wh.mean(axis=0) / per_hour, UNLIKELY_KWH_PER_HOUR),
            "makes {} kWh an hour on average; PV looks like Wh, kWh per step are expected",
        ),
        (
            *("members", "PV", fleet.pv_capacity_kw, UNLIKELY_KW_OF_A_HOME),
            "has {} kW of PV; sizes look like W, kW are expected",
        ),
        (
            *("members", "battery", fleet.battery_capacity_wh / 1000, UNLIKELY_KW_OF_A_HOME),
            "has a battery of {} kWh; sizes look like Wh, kWh are expected",
        ),
        (
            *("members", "battery", fleet.max_step_wh / per_hour, UNLIKELY_KW_OF_A_HOME),
            "has a battery of {} kW; powers look like W, kW are expected",
        ),
    ]
    # one number may follow from another: power from size, the size of PV from its energy
    known = set[str]()
    for option, what, value, likely, told in looks:
        path, most = getattr(options, option), int(value.argmax())
        if path and what not in known and value[most] > likely:
            known.add(what)
            home = f"household {fleet.household_id[most]} {told.format(f'{value[most]:,.0f}')}"
            hints.append(f"--{option} {path}: {home}")
    dearest = int(profiles.prices.grid_import.max()) / 1e6
    if options.prices and dearest > UNLIKELY_EUR_PER_KWH:
        told = f"a kWh costs up to {dearest:,.2f} EUR; prices look like ct or EUR per MWh"
        hints.append(f"--prices {options.prices}: {told}, EUR/kWh are expected")
    return [f"warning: {hint}" for hint in hints]


def _assigned(options: argparse.Namespace, problems: list[str]) -> dict[str, Any]:
    """NAME -> value of --set and of the options that are short for it."""
    pairs = [gather(problems, partial(parse_assignment, text)) for text in options.set]
    if options.seed is not None:
        pairs.append(("SEED", parse_value(options.seed)))
    if options.steps is not None:
        pairs.append(("TIME_STEPS", parse_value(options.steps)))
    if options.households is not None:
        pairs.append(("HOUSEHOLDS", options.households))
    assigned: dict[str, Any] = {}
    for name, value in filter(None, pairs):
        if repr(assigned.setdefault(name, value)) != repr(value):  # as texts, for NaN is not itself
            problems.append(f"{name}: set to both {assigned[name]!r} and {value!r}; set it once")
    return assigned


def _unlike_recorded(recorded: Any, files: Files, source: Path) -> list[str]:
    """What is missing of the files of a recorded run, or has other contents now."""
    if not isinstance(recorded, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
        for entry in recorded.values()
    ):
        return [f"--config {source}: its inputs are not what a run writes"]
    given, problems = files.given(), list[str]()
    for option, entry in recorded.items():
        path, name = given.get(option), entry.get("name")
        if path is None:
            problems.append(f"--config {source}: the run used {name}; give it with --{option}")
        elif path.is_file() and household_data.fingerprint(path) != entry["sha256"]:
            problems.append(f"--{option} {path}: is not the {name} of {source}; contents differ")
    return problems


def _without_effect(assigned: dict[str, Any], files: Files, source: str) -> list[str]:
    """What somebody sets, where `source` says, although a file of the command line decides it."""
    return [
        f"{source} {name}: has no effect, since the file of --{option} says it; leave one of them out"
        for option in files.given()
        for name in household_data.DECIDES[option]
        if name in assigned
    ]


def bytes_needed(members: int, steps: int, ledger: bool) -> int:
    """What a run of this size needs at its peak, which is when it is saved."""
    per_step = BYTES_PER_MEMBER_STEP[ledger] * members + BYTES_PER_STEP[ledger]
    return per_step * steps + BYTES_PER_MEMBER * members


def _too_large(members: int, steps: int, ledger: bool, by: str) -> list[str]:
    """The problem, where the memory of this computer cannot hold a run of this size; `by` says what makes it less."""
    need = bytes_needed(members, steps, ledger)
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows does not say
        there = 64 * 2**30
    if need <= there:
        return []
    return [
        f"{members:,} members for {steps:,} steps need about {need / 2**30:,.1f} GB of memory, this computer "
        f"has {there / 2**30:,.1f} GB; use fewer {by}"
    ]


# ---------------------------------------------------------------- texts and JSON


def parse_assignment(text: str) -> tuple[str, Any]:
    """('NAME', value) of a command line's NAME=value; the value is read as JSON where it is JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError([f"--set {text}: write it as NAME=value, for example --set NUM_MINERS=5"])
    return name.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """A value of the command line: JSON where it is JSON, else the text; True and False are welcome too."""
    try:
        return json.loads(text, object_pairs_hook=_named_once)
    except (ValueError, RecursionError):
        return {"true": True, "false": False}.get(text.strip().lower(), text.strip())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON settings file; raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_named_once)
    except OSError as error:
        raise InputError([f"--config {path}: cannot be read ({error.strerror or error})"]) from None
    except UnicodeDecodeError:
        raise InputError([f"--config {path}: is not UTF-8 text, so no JSON"]) from None
    except (ValueError, RecursionError) as error:
        raise InputError([f"--config {path}: is not JSON ({error})"]) from None
    if not isinstance(content, dict):
        raise InputError([f'--config {path}: needs an object of settings, {{"NAME": value, ...}}'])
    return content


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; a name that stands there twice would hide one of its values."""
    names = [name for name, _ in pairs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}: named more than once")
    return dict(pairs)
