"""The user's own files instead of the synthetic day: households, members, prices.

Every reader returns checked columns or raises InputError with all problems: file, line, value, what
is allowed. Rows may come in any order. Column names and meanings: README.md, "Your own data".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_generation import given_prices, make_clock, market_prices
from prosumer import assemble_fleet
from records import Fleet, Prices, Profiles, Real
from settings import InputError, Settings
from tables import (
    SHOWN,
    duplicates,
    empty_ids,
    ids,
    line_of,
    numbers,
    read_table,
    some_of,
    stop_if,
    times_of,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_KWH_PER_STEP = 1e6
MOST_EUR_PER_KWH = 1e3
NAMES = {
    "household_id": ("household_id", "id"),
    "load_kwh": ("load_kwh", "consumption_kwh", "consumption"),
    "pv_kwh": ("pv_kwh", "generation_kwh", "production_kwh", "production"),
}


@dataclass(frozen=True)
class Files:
    """The input files of a run; each may be absent."""

    data: Path | None = None
    members: Path | None = None
    prices: Path | None = None

    def given(self) -> dict[str, Path]:
        return {option: path for option, path in vars(self).items() if path is not None}

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Name and SHA-256 of each file, by its option."""
        return {
            option: {"name": p.name, "sha256": fingerprint(p)} for option, p in self.given().items()
        }


@dataclass(frozen=True)
class Meters:
    """Checked readings: homes (N) in natural order of their ids, steps (T) in order of time."""

    household_id: list[str]
    timestamps: Any
    step_seconds: int
    load_kwh: Real
    pv_kwh: Real


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise InputError([f"{path}: {error.strerror or error}"]) from None
    return digest.hexdigest()


def read_world(
    settings: Settings, files: Files, steps: int | None
) -> tuple[Settings, Fleet, Profiles]:
    """The settings in force, members and profiles of the user's homes.

    Step count, step length and numbers of members come from the file; `steps` may cut the end off.
    """
    assert files.data is not None
    meters = read_meters(files.data, settings)
    count = len(meters.timestamps)
    if steps is not None and steps > count:
        raise InputError([f"--steps {steps}: {files.data.name} holds {count} steps"])
    count = count if steps is None else steps
    settings = settings.model_copy(
        update={"TIME_STEPS": count, "TIME_STEP_DURATION": meters.step_seconds / 3600}
    )
    fleet = make_measured_fleet(settings, meters, files.members)
    order = sorted(range(fleet.size), key=lambda i: fleet.kind[i] == "consumer")
    fleet = _reordered(fleet, order)
    consumers = fleet.kind.count("consumer")
    settings = settings.model_copy(
        update={"NUM_PROSUMERS": fleet.size - consumers, "NUM_CONSUMERS": consumers}
    )
    times = meters.timestamps[:count]
    clock = make_clock(
        settings, count, int(times[0].hour * 3600 + times[0].minute * 60 + times[0].second)
    )
    prices = market_prices(settings, clock)
    if files.prices is not None:
        prices = read_prices(files.prices, settings, count, times)
    return (
        settings,
        fleet,
        Profiles(
            pv_wh=np.rint(meters.pv_kwh[:count, order] * 1000).astype(np.int64),
            load_wh=np.rint(meters.load_kwh[:count, order] * 1000).astype(np.int64),
            prices=prices,
            hour=clock.hour,
            timestamp=tuple(times.strftime("%Y-%m-%d %H:%M:%S")),
        ),
    )


# ---------------------------------------------------------------- households


def read_meters(path: Path, settings: Settings) -> Meters:
    """Load and PV of the chosen homes: every home at every step, equal steps, kWh per step."""
    table = read_table(path, "--data", NAMES | {"timestamp": ("timestamp",)})
    table["household_id"] = ids(table["household_id"])
    chosen = choose_households(settings, natural_order(table["household_id"].dropna().unique()))
    problems = empty_ids(table, path)
    table = table[table["household_id"].isin(chosen)]
    time = times_of(table, path, problems)
    values = {
        name: numbers(table, name, path, problems, MOST_KWH_PER_STEP, "kWh per step")
        for name in ("load_kwh", "pv_kwh")
    }
    stop_if(problems)
    home = table["household_id"].map({name: i for i, name in enumerate(chosen)}).to_numpy()
    stamps = time.drop_duplicates().sort_values()
    step_seconds = _step_seconds(stamps, path)
    row = stamps.searchsorted(time)
    _demand_complete(path, table, np.asarray(row), home, stamps, chosen)
    shape = len(stamps), len(chosen)
    filled = {name: np.empty(shape) for name in values}
    for name, column in values.items():
        filled[name][row, home] = column
    import pandas as pd

    return Meters(
        chosen, pd.DatetimeIndex(stamps), step_seconds, filled["load_kwh"], filled["pv_kwh"]
    )


def choose_households(settings: Settings, known: list[str]) -> list[str]:
    """The homes that HOUSEHOLDS names, in natural order: ids, or prefix:count drawn from the seed."""
    if not settings.HOUSEHOLDS.strip():
        return known
    chosen: set[str] = set()
    problems = []
    for item in (part.strip() for part in settings.HOUSEHOLDS.split(",")):
        prefix, colon, number = item.rpartition(":")
        if item in known:
            chosen.add(item)
        elif not colon or not number.isdigit():
            problems.append(f"--households: {item!r} is not in the data; it holds {some_of(known)}")
        else:
            pool = [name for name in known if name.startswith(prefix)]
            if int(number) > len(pool) or int(number) == 0:
                problems.append(
                    f"--households: {item!r} asks for {number} of {len(pool)} homes '{prefix}...'"
                )
            else:
                draw = settings.stream(f"households {prefix}").permutation(len(pool))[: int(number)]
                chosen.update(pool[i] for i in draw)
    stop_if(problems)
    return natural_order(chosen)


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorted so that 2 stands before 10."""

    def key(name: str) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", name)
        return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts if p]

    return sorted(names, key=key)


def make_measured_fleet(settings: Settings, meters: Meters, members: Path | None) -> Fleet:
    """The fleet of the measured homes; batteries from the members file, else as in the synthetic day."""
    n = len(meters.household_id)
    peak_kw = meters.pv_kwh.max(axis=0) / (meters.step_seconds / 3600)
    base = meters.load_kwh.mean(axis=0) / (meters.step_seconds / 3600)
    if members is not None:
        return _fleet_of_members(settings, meters, members, peak_kw, base)
    sizes = np.array(settings.PV_CAPACITY)
    nearest = np.abs(peak_kw[:, None] - sizes[None, :]).argmin(axis=1)
    owns = (peak_kw > 0) & (settings.stream("battery").random(n) < settings.HAS_BATTERY)
    return assemble_fleet(
        settings,
        household_id=tuple(meters.household_id),
        home_type=tuple(_type_of(name) for name in meters.household_id),
        pv_capacity_kw=peak_kw,
        base_load_kwh=base,
        battery_kwh=np.where(owns, np.array(settings.BATTERY_CAPACITY)[nearest], 0.0),
    )


def _fleet_of_members(
    settings: Settings, meters: Meters, path: Path, peak_kw: Real, base_load_kwh: Real
) -> Fleet:
    optional = ("battery_kw", "pv_kwp", "home_type")
    columns = {"household_id": NAMES["household_id"], "battery_kwh": ("battery_kwh",)}
    table = read_table(path, "--members", columns | {name: (name,) for name in optional}, optional)
    table["household_id"] = ids(table["household_id"])
    problems = empty_ids(table, path)
    problems += duplicates(table, path, ["household_id"])
    missing = [name for name in meters.household_id if name not in set(table["household_id"])]
    if missing:
        problems.append(f"{path}: has no row for household {some_of(missing)}")
    stop_if(problems)
    table = table[table["household_id"].isin(meters.household_id)]
    battery = numbers(table, "battery_kwh", path, problems, 1e6, "kWh")
    power, kwp = battery * settings.BATTERY_C_RATE, None
    if "battery_kw" in table:
        power = numbers(table, "battery_kw", path, problems, 1e6, "kW")
    if "pv_kwp" in table:
        kwp = numbers(table, "pv_kwp", path, problems, 1e6, "kWp")
    stop_if(problems)
    place = {name: i for i, name in enumerate(table["household_id"])}
    rows = np.array([place[name] for name in meters.household_id])
    types = table["home_type"].fillna("").astype(str).tolist() if "home_type" in table else None
    return assemble_fleet(
        settings,
        household_id=tuple(meters.household_id),
        home_type=tuple(
            (types[row] if types else "") or _type_of(name)
            for row, name in zip(rows, meters.household_id, strict=True)
        ),
        pv_capacity_kw=np.maximum(peak_kw > 0, 0) * kwp[rows] if kwp is not None else peak_kw,
        base_load_kwh=base_load_kwh,
        battery_kwh=battery[rows],
        battery_kw=power[rows],
    )


def _type_of(household: str) -> str:
    """The letters before the number of a household id; "home" where there are none."""
    letters = re.match(r"[^\W\d_]+(?:[ _-][^\W\d_]+)*", household)
    return letters.group().replace(",", " ") if letters else "home"


def _reordered(fleet: Fleet, order: list[int]) -> Fleet:
    columns: dict[str, Any] = {}
    for name, column in vars(fleet).items():
        if isinstance(column, tuple):
            columns[name] = tuple(column[i] for i in order)
        else:
            columns[name] = column[order] if isinstance(column, np.ndarray) else column
    return Fleet(**columns)


# ---------------------------------------------------------------- prices


def read_prices(path: Path, settings: Settings, steps: int, times: Any = None) -> Prices:
    """Import and export price of each step (T). A price holds until the next one of the file."""
    wanted = ("import_price_eur_per_kwh", "export_price_eur_per_kwh")
    clocks = ("timestamp", "timestep")
    table = read_table(path, "--prices", {name: (name,) for name in (*wanted, *clocks)}, clocks)
    problems: list[str] = []
    buy, sell = (
        numbers(table, name, path, problems, MOST_EUR_PER_KWH, "EUR/kWh") for name in wanted
    )
    if not problems and (buy < sell).any():
        line = line_of(path, table.index[int(np.argmax(buy < sell))])
        problems.append(
            f"{path}, {line}: the export price is above the import price; a kWh could be sold back at a gain"
        )
    if "timestamp" in table and "timestep" not in table:
        rows = _rows_by_time(table, path, problems, settings, steps, times)
    elif "timestep" in table:
        rows = _rows_by_step(table, path, problems, steps)
    else:
        raise InputError([*problems, f"{path}: needs a column timestep or timestamp"])
    stop_if(problems)
    micro = [np.rint(column[rows] * 1e6).astype(np.int64) for column in (buy, sell)]
    start = 0
    if times is not None:
        start = int(times[0].hour * 3600 + times[0].minute * 60 + times[0].second)
    return given_prices(settings, make_clock(settings, steps, start), *micro)


def _rows_by_step(table: pd.DataFrame, path: Path, problems: list[str], steps: int) -> np.ndarray:
    number = numbers(table, "timestep", path, problems, 1e9, "steps")
    if problems:
        return np.zeros(steps, int)
    problems += duplicates(table, path, ["timestep"])
    place = {value: row for row, value in enumerate(number.tolist())}
    missing = [str(t) for t in range(steps) if t not in place]
    if missing:
        problems.append(
            f"{path}: has no price for step {some_of(missing)}; the run has {steps} steps"
        )
    return np.array([place.get(t, 0) for t in range(steps)])


def _rows_by_time(
    table: pd.DataFrame, path: Path, problems: list[str], settings: Settings, steps: int, times: Any
) -> np.ndarray:
    import pandas as pd

    stamps = times_of(table, path, problems)
    if problems:
        return np.zeros(steps, int)
    problems += duplicates(table, path, ["timestamp"])
    order = np.argsort(stamps.to_numpy(), kind="stable")
    ordered = pd.DatetimeIndex(stamps.iloc[order])
    if (
        times is None
    ):  # the synthetic day has no date: the file's first midnight-to-midnight row is step 0
        step = pd.Timedelta(seconds=settings.step_seconds)
        times = pd.DatetimeIndex([ordered[0] + i * step for i in range(steps)])
    gaps = ordered[1:] - ordered[:-1]
    if len(gaps) and not problems:
        usual = gaps.min()
        for i in np.flatnonzero(gaps != usual)[:SHOWN]:
            problems.append(f"{path}: between {ordered[i]} and {ordered[i + 1]} prices are missing")
        last = times[-1] + pd.Timedelta(seconds=settings.step_seconds)
        if times[0] < ordered[0] or last > ordered[-1] + max(usual, pd.Timedelta(0)):
            problems.append(
                f"{path}: holds prices from {ordered[0]} to {ordered[-1]}; the run goes from {times[0]} to {last}"
            )
    elif not problems and steps > 1:
        problems.append(f"{path}: holds one price; the run has {steps} steps")
    return order[np.maximum(np.asarray(ordered.searchsorted(times, side="right")) - 1, 0)]


def _step_seconds(stamps: pd.Series, path: Path) -> int:
    """The length of the file's steps; raises InputError where they differ or do not suit."""
    if len(stamps) < 2:
        raise InputError(
            [f"{path}: holds one point in time; two are needed to know the step length"]
        )
    gaps = np.diff(stamps.to_numpy()).astype("timedelta64[s]").astype(int)
    lengths, counts = np.unique(gaps, return_counts=True)
    usual = int(lengths[counts.argmax()])
    problems = []
    for i in np.flatnonzero(gaps != usual)[:SHOWN]:
        before, after = stamps.iloc[i], stamps.iloc[i + 1]
        if gaps[i] > usual and gaps[i] % usual == 0:
            problems.append(
                f"{path}: gap, nothing between {before} and {after} (steps of {usual} s)"
            )
        else:
            problems.append(
                f"{path}: mixed time steps, {gaps[i]} s from {before} to {after}, else {usual} s"
            )
    if not 300 <= usual <= 3600 or usual % 60:
        problems.append(f"{path}: steps of {usual} s; allowed are whole minutes from 5 to 60")
    stop_if(problems)
    return usual


def _demand_complete(
    path: Path,
    table: pd.DataFrame,
    row: np.ndarray,
    home: np.ndarray,
    stamps: pd.Series,
    homes: list[str],
) -> None:
    """Raises InputError unless every home has exactly one row for every point in time."""
    count = np.zeros((len(stamps), len(homes)), np.int64)
    np.add.at(count, (row, home), 1)
    problems = []
    if (count > 1).any():
        problems += duplicates(table, path, ["household_id", "timestamp"]) or [
            f"{path}: household {homes[j]} has {count[i, j]} rows at {stamps.iloc[i]}"
            for i, j in np.argwhere(count > 1)[:SHOWN]
        ]
    absent = np.argwhere(count == 0)
    problems += [
        f"{path}: gap, household {homes[j]} has no row at {stamps.iloc[i]}"
        for i, j in absent[:SHOWN]
    ]
    if len(absent) > SHOWN:
        problems.append(f"{path}: and {len(absent) - SHOWN} more rows are missing")
    stop_if(problems)
