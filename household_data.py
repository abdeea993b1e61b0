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

if TYPE_CHECKING:
    import pandas as pd

MOST_KWH_PER_STEP = 1e6
MOST_EUR_PER_KWH = 1e3
SHOWN = 5
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
        return {option: {"name": p.name, "sha256": fingerprint(p)} for option, p in self.given().items()}


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


def read_world(settings: Settings, files: Files, steps: int | None) -> tuple[Settings, Fleet, Profiles]:
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
    clock = make_clock(settings, count, int(times[0].hour * 3600 + times[0].minute * 60 + times[0].second))
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
    table = _read_table(path, "--data", {**{n: a for n, a in NAMES.items()}, "timestamp": ("timestamp",)})
    table["household_id"] = _ids(table["household_id"])
    chosen = choose_households(settings, natural_order(table["household_id"].dropna().unique()))
    problems = _empty_ids(table, path)
    table = table[table["household_id"].isin(chosen)]
    time = _times(table, path, problems)
    values = {
        name: _numbers(table, name, path, problems, MOST_KWH_PER_STEP, "kWh per step")
        for name in ("load_kwh", "pv_kwh")
    }
    _stop(problems)
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

    return Meters(chosen, pd.DatetimeIndex(stamps), step_seconds, filled["load_kwh"], filled["pv_kwh"])


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
            problems.append(f"--households: {item!r} is not in the data; it holds {_list(known)}")
        else:
            pool = [name for name in known if name.startswith(prefix)]
            if int(number) > len(pool) or int(number) == 0:
                problems.append(f"--households: {item!r} asks for {number} of {len(pool)} homes '{prefix}...'")
            else:
                draw = settings.stream(f"households {prefix}").permutation(len(pool))[: int(number)]
                chosen.update(pool[i] for i in draw)
    _stop(problems)
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
    table = _read_table(path, "--members", columns | {name: (name,) for name in optional}, optional)
    table["household_id"] = _ids(table["household_id"])
    problems = _empty_ids(table, path)
    problems += _duplicates(table, path, ["household_id"])
    missing = [name for name in meters.household_id if name not in set(table["household_id"])]
    if missing:
        problems.append(f"{path}: has no row for household {_list(missing)}")
    _stop(problems)
    table = table[table["household_id"].isin(meters.household_id)]
    battery = _numbers(table, "battery_kwh", path, problems, 1e6, "kWh")
    power, kwp = battery * settings.BATTERY_C_RATE, None
    if "battery_kw" in table:
        power = _numbers(table, "battery_kw", path, problems, 1e6, "kW")
    if "pv_kwp" in table:
        kwp = _numbers(table, "pv_kwp", path, problems, 1e6, "kWp")
    _stop(problems)
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
    table = _read_table(path, "--prices", {name: (name,) for name in (*wanted, *clocks)}, clocks)
    problems: list[str] = []
    buy, sell = (_numbers(table, name, path, problems, MOST_EUR_PER_KWH, "EUR/kWh") for name in wanted)
    if not problems and (buy < sell).any():
        line = _line(path, table.index[np.argmax(buy < sell)])
        problems.append(
            f"{path}, {line}: the export price is above the import price; a kWh could be sold back at a gain"
        )
    if "timestamp" in table and "timestep" not in table:
        rows = _rows_by_time(table, path, problems, settings, steps, times)
    elif "timestep" in table:
        rows = _rows_by_step(table, path, problems, steps)
    else:
        raise InputError([*problems, f"{path}: needs a column timestep or timestamp"])
    _stop(problems)
    micro = [np.rint(column[rows] * 1e6).astype(np.int64) for column in (buy, sell)]
    start = 0
    if times is not None:
        start = int(times[0].hour * 3600 + times[0].minute * 60 + times[0].second)
    return given_prices(settings, make_clock(settings, steps, start), *micro)


def _rows_by_step(table: pd.DataFrame, path: Path, problems: list[str], steps: int) -> np.ndarray:
    number = _numbers(table, "timestep", path, problems, 1e9, "steps")
    if problems:
        return np.zeros(steps, int)
    problems += _duplicates(table, path, ["timestep"])
    place = {value: row for row, value in enumerate(number.tolist())}
    missing = [str(t) for t in range(steps) if t not in place]
    if missing:
        problems.append(f"{path}: has no price for step {_list(missing)}; the run has {steps} steps")
    return np.array([place.get(t, 0) for t in range(steps)])


def _rows_by_time(
    table: pd.DataFrame, path: Path, problems: list[str], settings: Settings, steps: int, times: Any
) -> np.ndarray:
    import pandas as pd

    stamps = _times(table, path, problems)
    if problems:
        return np.zeros(steps, int)
    problems += _duplicates(table, path, ["timestamp"])
    order = np.argsort(stamps.to_numpy(), kind="stable")
    ordered = pd.DatetimeIndex(stamps.iloc[order])
    if times is None:  # the synthetic day has no date: the file's first midnight-to-midnight row is step 0
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


# ---------------------------------------------------------------- tables and their faults


def _read_table(
    path: Path, option: str, columns: dict[str, tuple[str, ...]], optional: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The wished columns under their first name, as texts or as the file's types; raises InputError."""
    import pandas as pd

    if not path.is_file():
        raise InputError([f"{option} {path}: no such file"])
    if not path.stat().st_size:
        raise InputError([f"{option} {path}: is empty"])
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(
                path, dtype=str, encoding="utf-8-sig", skip_blank_lines=False, sep=_separator(path)
            )
            table = table.dropna(how="all")
    except ImportError:
        raise InputError([f"{option} {path}: Parquet needs a package: pip install pyarrow"]) from None
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError([f"{option} {path}: cannot be read as a table ({reason})"]) from None
    table = table.rename(columns=lambda name: str(name).strip().lower())
    found, problems = {}, []
    for name, aliases in columns.items():
        present = [alias for alias in aliases if alias in table.columns]
        if len(present) > 1 or (present and list(table.columns).count(present[0]) > 1):
            problems.append(f"{option} {path}: more than one column for {name}: {', '.join(present)}")
        elif present:
            found[present[0]] = name
        elif name not in optional:
            problems.append(
                f"{option} {path}: no column {' or '.join(aliases)}; it has {_list(map(str, table.columns))}"
            )
    if not problems and not len(table):
        problems.append(f"{option} {path}: has a header but no rows")
    _stop(problems)
    return table[list(found)].rename(columns=found)


def _separator(path: Path) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(100_000)
    return max(",;\t", key=header.count)


def _ids(column: pd.Series) -> pd.Series:
    """Household ids as texts: 7, 7.0 and " 7 " are the same home."""
    text = column.astype("string").str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    return text.where(text != "").astype(object).where(text.notna() & (text != ""), None)


def _empty_ids(table: pd.DataFrame, path: Path) -> list[str]:
    empty = table.index[table["household_id"].isna()]
    return _examples(path, [(row, "household_id is empty") for row in empty])


def _times(table: pd.DataFrame, path: Path, problems: list[str]) -> pd.Series:
    """Timestamps without zone; with an offset, in the wall clock of the first row's offset."""
    import pandas as pd

    raw = table["timestamp"]
    offset = None
    if not pd.api.types.is_datetime64_any_dtype(raw):
        raw = raw.astype("string").str.strip()
        has_offset = raw.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", na=False)
        if has_offset.any():
            first = pd.to_datetime(raw[has_offset].iloc[0], errors="coerce")
            offset = first.utcoffset() if first is not pd.NaT else None
        time = pd.to_datetime(raw, errors="coerce", format="ISO8601", utc=bool(has_offset.any()))
    else:
        time = raw
        if getattr(raw.dt, "tz", None) is not None:
            offset = raw.iloc[0].utcoffset()
            time = raw.dt.tz_convert("UTC")
    wrong = [
        (row, f"timestamp {_show(table['timestamp'][row])} is not a date and time such as 2017-06-05 13:00:00")
        for row in table.index[time.isna()]
    ]
    problems += _examples(path, wrong)
    if getattr(time.dt, "tz", None) is not None:
        time = time.dt.tz_localize(None)
        time = time + offset if offset is not None else time
    return time.astype("datetime64[ns]")


def _numbers(
    table: pd.DataFrame, name: str, path: Path, problems: list[str], most: float, unit: str
) -> np.ndarray:
    """A column as numbers from 0 to `most`; what is not joins the problems."""
    import pandas as pd

    value = pd.to_numeric(table[name], errors="coerce").to_numpy(float, na_value=np.nan)
    bad = ~(np.isfinite(value) & (value >= 0) & (value <= most))
    wrong = []
    for row in table.index[bad]:
        raw = table[name][row]
        what = "is empty" if pd.isna(raw) or str(raw).strip() == "" else f"is {_show(raw)}"
        wrong.append((row, f"{name} {what}; allowed is a number from 0 to {most:,.0f} {unit}"))
        if len(wrong) > SHOWN:
            wrong += [(row, "")] * (int(bad.sum()) - len(wrong))
            break
    problems += _examples(path, wrong)
    return np.where(bad, 0.0, value)


def _duplicates(table: pd.DataFrame, path: Path, columns: list[str]) -> list[str]:
    again = table.duplicated(columns)
    told = [(row, "repeats " + ", ".join(f"{c} {table[c][row]}" for c in columns)) for row in table.index[again]]
    return _examples(path, told)


def _step_seconds(stamps: pd.Series, path: Path) -> int:
    """The length of the file's steps; raises InputError where they differ or do not suit."""
    if len(stamps) < 2:
        raise InputError([f"{path}: holds one point in time; two are needed to know the step length"])
    gaps = np.diff(stamps.to_numpy()).astype("timedelta64[s]").astype(int)
    lengths, counts = np.unique(gaps, return_counts=True)
    usual = int(lengths[counts.argmax()])
    problems = []
    for i in np.flatnonzero(gaps != usual)[:SHOWN]:
        before, after = stamps.iloc[i], stamps.iloc[i + 1]
        if gaps[i] > usual and gaps[i] % usual == 0:
            problems.append(f"{path}: gap, nothing between {before} and {after} (steps of {usual} s)")
        else:
            problems.append(f"{path}: mixed time steps, {gaps[i]} s from {before} to {after}, else {usual} s")
    if not 300 <= usual <= 3600 or usual % 60:
        problems.append(f"{path}: steps of {usual} s; allowed are whole minutes from 5 to 60")
    _stop(problems)
    return usual


def _demand_complete(
    path: Path, table: pd.DataFrame, row: np.ndarray, home: np.ndarray, stamps: pd.Series, homes: list[str]
) -> None:
    """Raises InputError unless every home has exactly one row for every point in time."""
    count = np.zeros((len(stamps), len(homes)), np.int64)
    np.add.at(count, (row, home), 1)
    problems = []
    if (count > 1).any():
        problems += _duplicates(table, path, ["household_id", "timestamp"]) or [
            f"{path}: household {homes[j]} has {count[i, j]} rows at {stamps.iloc[i]}"
            for i, j in np.argwhere(count > 1)[:SHOWN]
        ]
    absent = np.argwhere(count == 0)
    problems += [f"{path}: gap, household {homes[j]} has no row at {stamps.iloc[i]}" for i, j in absent[:SHOWN]]
    if len(absent) > SHOWN:
        problems.append(f"{path}: and {len(absent) - SHOWN} more rows are missing")
    _stop(problems)


def _examples(path: Path, faults: list[tuple[Any, str]]) -> list[str]:
    told = [f"{path}, {_line(path, row)}: {text}" for row, text in faults[:SHOWN]]
    if len(faults) > SHOWN:
        told.append(f"{path}: and {len(faults) - SHOWN} more lines of this kind")
    return told


def _line(path: Path, row: Any) -> str:
    return f"row {row}" if path.suffix.lower() in (".parquet", ".pq") else f"line {int(row) + 2}"


def _show(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 30 else text[:27] + "...")


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _stop(problems: list[str]) -> None:
    if problems:
        raise InputError(problems)
