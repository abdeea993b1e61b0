"""The user's own homes instead of the synthetic day: their meters, and what the members own.

Every reader returns checked columns or raises InputError with all problems: file, line, value, what
is allowed. Rows may come in any order. Column names and meanings: README.md, "Your own data".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_generation import make_clock, market_prices
from errors import InputError, gather
from input_tables import (
    SHOWN,
    duplicates,
    empty_ids,
    ids,
    numbers,
    read_table,
    some_of,
    stop_if,
    times_of,
)
from price_file import Calendar, prices_of_run, read_prices, read_tariff
from prosumer import assemble_fleet
from records import Fleet, Prices, Profiles, Real
from settings import LEAST_BATTERY_KWH, Settings

if TYPE_CHECKING:
    import pandas as pd

MOST_KWH_PER_STEP = 1e6
DECIDES = {
    "data": [
        *["NUM_PROSUMERS", "NUM_CONSUMERS", "TIME_STEP_DURATION", "BASE_CONSUMPTION"],
        *["LOAD_PATTERN", "LOAD_VARIATION", "MIN_LOAD", "SEASON_FACTOR", "PV_SYSTEM_EFFICIENCY"],
        *["CLOUD_MIN_TRANSMISSION", "CLOUD_PERSISTENCE", "ROOF_VARIATION", "ORIENTATION_SHIFT"],
    ],
    "members": ["PV_CAPACITY", "BATTERY_CAPACITY", "HAS_BATTERY"],
    "prices": [
        *["BASE_PRICE", "PRICE_PATTERN", "PRICE_VARIATION"],
        *["RETAIL_PRICE", "FEED_IN_PRICE", "LOCAL_MARKET_FEE"],
    ],
}
"""The settings that have no effect beside a file, by its option: the file says what they would say."""
CLOCK_CHANGE = (
    "where clocks were changed: write timestamps with their offset from UTC, 2017-10-29 02:00+02:00"
)
NAMES = {
    "household_id": ("household_id", "id"),
    "load_kwh": ("load_kwh", "consumption_kwh", "consumption"),
    "pv_kwh": ("pv_kwh", "generation_kwh", "production_kwh", "production"),
}


@dataclass(frozen=True)
class Files:
    """The input files of a run; each may be absent, and given as a text."""

    data: Path | None = None
    members: Path | None = None
    prices: Path | None = None

    def __post_init__(self) -> None:
        for option, path in self.given().items():
            if not str(path).strip():
                raise InputError([f"--{option}: is empty; name a file"])
            object.__setattr__(self, option, Path(path))

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
    utc_offset: Any = None


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


def check(settings: Settings, files: Files, steps: int | None) -> None:
    """Raises InputError with all problems of these files, where a run cannot begin anyway."""
    if files.data is not None:
        read_world(settings, files, steps)
    elif files.prices is not None:
        read_prices(files.prices, settings, settings.TIME_STEPS)


def read_world(
    settings: Settings, files: Files, steps: int | None
) -> tuple[Settings, Fleet, Profiles]:
    """The settings in force, members and profiles of the user's homes.

    Step count, step length and numbers of members come from the file; `steps` may cut the end off.
    """
    meters, owned, prices, count = _read_files(settings, files, steps)
    settings = settings.model_copy(
        update={"TIME_STEPS": count, "TIME_STEP_DURATION": meters.step_seconds / 3600}
    )
    fleet = make_measured_fleet(settings, meters, owned)
    order = sorted(range(fleet.size), key=lambda i: fleet.kind[i] == "consumer")
    fleet = _reordered(fleet, order)
    consumers = fleet.kind.count("consumer")
    settings = settings.model_copy(
        update={"NUM_PROSUMERS": fleet.size - consumers, "NUM_CONSUMERS": consumers}
    )
    calendar = Calendar(count, meters.timestamps[:count], meters.utc_offset)
    clock = make_clock(settings, count, calendar.start_seconds)
    profiles = Profiles(
        pv_wh=np.rint(meters.pv_kwh[:count, order] * 1000).astype(np.int64),
        load_wh=np.rint(meters.load_kwh[:count, order] * 1000).astype(np.int64),
        prices=prices or market_prices(settings, clock),
        hour=clock.hour,
        timestamp=tuple(calendar.times.strftime("%Y-%m-%d %H:%M:%S")),
    )
    return settings, fleet, profiles


def _read_files(
    settings: Settings, files: Files, steps: int | None
) -> tuple[Meters, pd.DataFrame | None, Prices | None, int]:
    """What the files hold, and how many steps run; raises InputError with the problems of all of them."""
    problems: list[str] = []
    assert files.data is not None
    path, owned, tariff, prices = files.data, None, None, None
    meters = gather(problems, lambda: read_meters(path, settings))
    if files.members is not None:
        source = files.members
        owned = gather(problems, lambda: read_members(source, meters))
    if files.prices is not None:
        tariff = gather(problems, partial(read_tariff, files.prices))
    count = len(meters.timestamps) if meters else 0
    if meters and steps is not None:
        if steps > count:
            problems.append(f"--steps {steps}: {path.name} holds {count} steps")
        count = min(steps, count)
    if meters and tariff:
        calendar = Calendar(count, meters.timestamps[:count], meters.utc_offset)
        length = {"TIME_STEP_DURATION": meters.step_seconds / 3600}
        prices = gather(
            problems,
            lambda: prices_of_run(tariff, settings.model_copy(update=length), calendar),
        )
    if meters is None or problems:
        raise InputError(problems)
    return meters, owned, prices, count


# ---------------------------------------------------------------- households


def read_meters(path: Path, settings: Settings) -> Meters:
    """Load and PV of the chosen homes: every home at every step, equal steps, kWh per step."""
    import pandas as pd

    table = read_table(path, "--data", NAMES | {"timestamp": ("timestamp",)})
    table["household_id"] = ids(table["household_id"])
    problems = empty_ids(table, path)
    known = natural_order(table["household_id"].dropna().unique())
    chosen = gather(problems, lambda: choose_households(settings, known)) or known
    table = table[table["household_id"].isin(chosen) | table["household_id"].isna()]
    time, offset = times_of(table, path, problems)
    timed = table.assign(timestamp=time)
    is_timed = not problems  # else gaps would be told that are none
    values = {
        name: numbers(table, name, path, problems, MOST_KWH_PER_STEP, "kWh per step")
        for name in ("load_kwh", "pv_kwh")
    }
    if not is_timed:
        known_rows = timed.dropna(subset=["household_id", "timestamp"])
        stop_if(problems + duplicates(known_rows, path, ["household_id", "timestamp"]))
    home = table["household_id"].map({name: i for i, name in enumerate(chosen)}).to_numpy()
    stamps = pd.DatetimeIndex(time.drop_duplicates().sort_values())
    row = np.asarray(stamps.searchsorted(time))
    step_seconds = gather(problems, lambda: _step_seconds(stamps, path))
    gather(problems, lambda: _demand_complete(path, timed, row, home, stamps, chosen))
    if step_seconds is None or problems:
        raise InputError(problems)
    filled = {name: np.empty((len(stamps), len(chosen))) for name in values}
    for name, column in values.items():
        filled[name][row, home] = column
    return Meters(chosen, stamps, step_seconds, filled["load_kwh"], filled["pv_kwh"], offset)


def choose_households(settings: Settings, known: list[str]) -> list[str]:
    """The homes that HOUSEHOLDS names, in natural order: ids, and prefix:count drawn from the others by the seed."""
    if not settings.HOUSEHOLDS.strip():
        return known
    items = [part.strip() for part in settings.HOUSEHOLDS.split(",")]
    wishes = [item if item in known else item.rpartition(":")[0] or item for item in items]
    problems = [
        f"--households: {wish!r} is named {wishes.count(wish)} times; name it once"
        for wish in dict.fromkeys(wishes)
        if wish and wishes.count(wish) > 1
    ]
    chosen = set(items) & set(known)
    longest_first = sorted(dict.fromkeys(items), key=lambda item: -len(item.rpartition(":")[0]))
    for item in [item for item in longest_first if item not in known]:
        prefix, colon, number = item.rpartition(":")
        if not colon or not re.fullmatch("[0-9]{1,9}", number):
            problems.append(
                f"--households: {item!r} is not in the data; it holds {some_of(known)}; "
                "write ids or prefix:count"
            )
        else:
            pool = [name for name in known if name.startswith(prefix) and name not in chosen]
            if int(number) > len(pool) or int(number) == 0:
                named = any(name.startswith(prefix) for name in chosen)
                problems.append(
                    f"--households: {item!r} asks for {number} of {len(pool)} homes '{prefix}...'"
                    + " beside those named already" * named
                )
            else:
                draw = settings.stream(f"households {prefix}").permutation(len(pool))[: int(number)]
                chosen.update(pool[i] for i in draw)
    stop_if(problems)
    return natural_order(chosen)


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorted so that 2 stands before 10."""

    def key(name: str) -> list[tuple[bool, int, str, str]]:
        parts = re.split(r"([0-9]+)", name)
        bare = [part.lstrip("0") if part.isdecimal() else "" for part in parts]
        return [
            (not part.isdecimal(), len(number), number, part)
            for part, number in zip(parts, bare, strict=True)
            if part
        ]

    return sorted(names, key=key)


def make_measured_fleet(settings: Settings, meters: Meters, owned: pd.DataFrame | None) -> Fleet:
    """The fleet of the measured homes; batteries from the members file, else as in the synthetic day."""
    n = len(meters.household_id)
    peak_kw = meters.pv_kwh.max(axis=0) / (meters.step_seconds / 3600)
    base = meters.load_kwh.mean(axis=0) / (meters.step_seconds / 3600)
    if owned is not None:
        return _fleet_of_members(settings, meters, owned, peak_kw, base)
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


def read_members(path: Path, meters: Meters | None) -> pd.DataFrame:
    """battery_kwh, and battery_kw, pv_kwp, home_type where given: a row for each home of `meters`, in its
    order; where there are no meters to compare with, all rows."""
    optional = ("battery_kw", "pv_kwp", "home_type")
    columns = {"household_id": NAMES["household_id"], "battery_kwh": ("battery_kwh",)}
    table = read_table(path, "--members", columns | {name: (name,) for name in optional}, optional)
    table["household_id"] = ids(table["household_id"])
    named = table[table["household_id"].notna()]
    problems = empty_ids(table, path) + duplicates(named, path, ["household_id"])
    wanted = meters.household_id if meters else [*named["household_id"]]
    missing = [name for name in wanted if name not in set(named["household_id"])]
    if missing:
        problems.append(f"{path}: has no row for household {some_of(missing)}")
    named = named[named["household_id"].isin(wanted)]
    for name, unit in (("battery_kwh", "kWh"), ("battery_kw", "kW"), ("pv_kwp", "kWp")):
        if name in named:
            named = named.assign(**{name: numbers(named, name, path, problems, 1e6, unit)})
    stop_if(problems)
    tiny = named[(named["battery_kwh"] > 0) & (named["battery_kwh"] < LEAST_BATTERY_KWH)]
    for _, home in tiny.iterrows():
        told = (
            f"{path}: household {home['household_id']} has a battery of {home['battery_kwh']} kWh"
        )
        problems.append(f"{told}; it is at least {LEAST_BATTERY_KWH} kWh, or 0")
    stop_if(problems)
    return named.set_index("household_id").loc[wanted]


def _fleet_of_members(
    settings: Settings, meters: Meters, owned: pd.DataFrame, peak_kw: Real, base_load_kwh: Real
) -> Fleet:
    battery = owned["battery_kwh"].to_numpy(float)
    power, kwp, types = battery * settings.BATTERY_C_RATE, peak_kw, [""] * len(battery)
    if "battery_kw" in owned:
        power = owned["battery_kw"].to_numpy(float)
    if "pv_kwp" in owned:
        given = owned["pv_kwp"].to_numpy(float)
        is_told = np.round(given, 6) > 0  # as prosumers.json writes it
        kwp = np.where(is_told & (peak_kw > 0), given, peak_kw)  # what the meter saw is there
    if "home_type" in owned:
        types = [_one_word(text) for text in owned["home_type"].fillna("").astype(str)]
    return assemble_fleet(
        settings,
        household_id=tuple(meters.household_id),
        home_type=tuple(
            given or _type_of(name) for given, name in zip(types, meters.household_id, strict=True)
        ),
        pv_capacity_kw=kwp,
        base_load_kwh=base_load_kwh,
        battery_kwh=battery,
        battery_kw=power,
    )


def _one_word(text: str) -> str:
    """The text without what would break a cell of a CSV file."""
    return " ".join(re.sub(r"[,\";]", " ", text).split())


def _type_of(household: str) -> str:
    """The letters before the number of a household id; "home" where there are none."""
    letters = re.match(r"[^\W\d_]+(?:[ _-][^\W\d_]+)*", household)
    return letters.group() if letters else "home"


def _reordered(fleet: Fleet, order: list[int]) -> Fleet:
    columns: dict[str, Any] = {}
    for name, column in vars(fleet).items():
        if isinstance(column, tuple):
            columns[name] = tuple(column[i] for i in order)
        else:
            columns[name] = column[order] if isinstance(column, np.ndarray) else column
    return Fleet(**columns)


# ---------------------------------------------------------------- complete or not


def _step_seconds(stamps: pd.DatetimeIndex, path: Path) -> int:
    """The length of the file's steps; raises InputError where they differ or do not suit."""
    if len(stamps) < 2:
        raise InputError(
            [f"{path}: holds one point in time; two are needed to know the step length"]
        )
    gaps = np.diff(stamps.to_numpy()).astype("timedelta64[s]").astype(np.int64)
    lengths, counts = np.unique(gaps, return_counts=True)
    usual = int(lengths[counts.argmax()])
    odd = np.flatnonzero(gaps != usual)
    problems = [
        f"{path}: from {stamps[i]} to {stamps[i + 1]} are {gaps[i]:,} s, else {usual:,} s: "
        + ("a gap, or time steps that change" if gaps[i] % usual == 0 else "mixed time steps")
        for i in odd[:SHOWN]
    ]
    if len(odd) > SHOWN:
        problems.append(f"{path}: and {len(odd) - SHOWN:,} more places of this kind")
    if not 300 <= usual <= 3600 or usual % 60:
        problems.append(f"{path}: steps of {usual:,} s; allowed are whole minutes from 5 to 60")
    stop_if(problems + _clock_change(stamps[odd[gaps[odd] == usual + 3600]]))
    return usual


def _clock_change(times: pd.DatetimeIndex) -> list[str]:
    """A hint, where an hour is missing or twice there in those nights in which clocks are changed."""
    nightly = (times.hour < 4) & np.isin(times.month, [3, 4, 9, 10, 11])
    return [CLOCK_CHANGE] if len(times) and nightly.all() else []


def _demand_complete(
    path: Path,
    table: pd.DataFrame,
    row: np.ndarray,
    home: np.ndarray,
    stamps: pd.DatetimeIndex,
    homes: list[str],
) -> None:
    """Raises InputError unless every home has exactly one row for every point in time."""
    import pandas as pd

    key = home.astype(np.int64) * len(stamps) + row
    present = np.unique(key)
    if len(present) == len(key) == len(stamps) * len(homes):
        return
    problems = duplicates(table, path, ["household_id", "timestamp"])
    if problems:
        again = table["timestamp"][table.duplicated(["household_id", "timestamp"])]
        problems += _clock_change(pd.DatetimeIndex(again))
    missing = len(stamps) - np.bincount(present // len(stamps), minlength=len(homes))
    short = np.flatnonzero(missing)
    for j in short[:SHOWN]:
        begin, end = np.searchsorted(present, [j * len(stamps), (j + 1) * len(stamps)])
        absent = np.setdiff1d(np.arange(len(stamps)), present[begin:end] - j * len(stamps))
        problems.append(
            f"{path}: gap, household {homes[j]} has no row at {stamps[absent[0]]}"
            + (f" and at {len(absent) - 1:,} more times" if len(absent) > 1 else "")
        )
    if len(short) > SHOWN:
        problems.append(f"{path}: and {len(short) - SHOWN:,} more households with gaps")
    stop_if(problems)
