"""The user's own prices: one import and one export price towards everything outside the community.

A price holds until the next one of the file, so hourly prices serve quarter-hour steps; of prices that
change within a step the mean counts. Column names and meanings: README.md, "Your own data".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_generation import given_prices, make_clock
from input_tables import SHOWN, examples, numbers, read_table, some_of, stop_if, times_of
from records import Price, Prices
from settings import Settings

if TYPE_CHECKING:
    import pandas as pd

MOST_EUR_PER_KWH = 1e3
IMPORT, EXPORT = "import_price_eur_per_kwh", "export_price_eur_per_kwh"
CLOCKS = ("timestep", "timestamp")


@dataclass(frozen=True)
class Tariff:
    """Checked rows (P) of a price file, in micro-euro per kWh, in the order of their begin."""

    path: Path
    buy: Price
    sell: Price
    begins: Any
    """The steps, or the times, from which each price holds."""
    by_time: bool
    utc_offset: Any = None


@dataclass(frozen=True)
class Calendar:
    """When a run's steps begin (T): dates where the input has them, else only a first day."""

    steps: int
    times: Any = None
    utc_offset: Any = None

    @property
    def start_seconds(self) -> int:
        if self.times is None:
            return 0
        first = self.times[0]
        return int(first.hour * 3600 + first.minute * 60 + first.second)


def read_prices(path: Path, settings: Settings, steps: int) -> Prices:
    """Prices of each step (T) of a synthetic run: without dates, it begins with the file's first day."""
    return prices_of_run(read_tariff(path), settings, Calendar(steps))


def read_tariff(path: Path) -> Tariff:
    """The checked rows of a price file; raises InputError."""
    import pandas as pd

    columns: dict[str, tuple[str, ...]] = {name: (name,) for name in (IMPORT, EXPORT, *CLOCKS)}
    table = read_table(path, "--prices", columns, optional=CLOCKS)
    problems: list[str] = []
    if not set(CLOCKS) & set(table):
        problems.append(f"--prices {path}: needs a column timestep or timestamp")
    buy, sell = (
        numbers(table, name, path, problems, MOST_EUR_PER_KWH, "EUR/kWh", instead=np.nan)
        for name in (IMPORT, EXPORT)
    )
    told = "the export price is above the import price; a kWh could be bought and sold at a gain"
    problems += examples(path, [(row, told) for row in table.index[buy < sell]])
    begins, offset, by_time = pd.Series(dtype=int), None, "timestep" not in table
    if not by_time:
        begins = _steps_of(table, path, problems)
    elif "timestamp" in table:
        begins, offset = times_of(table, path, problems)
    told = "repeats the " + ("timestamp" if by_time else "timestep") + " of another line"
    again = begins.index[begins.duplicated() & begins.notna()]
    problems += examples(path, [(row, told) for row in again])
    if by_time and begins.notna().all():
        problems += _gaps(path, pd.DatetimeIndex(begins.drop_duplicates().sort_values()))
    stop_if(problems)
    order = np.argsort(begins.to_numpy(), kind="stable")
    buy, sell = (np.rint(column[order] * 1e6).astype(np.int64) for column in (buy, sell))
    return Tariff(path, buy, sell, begins.to_numpy()[order], by_time, offset)


def _steps_of(table: pd.DataFrame, path: Path, problems: list[str]) -> pd.Series:
    import pandas as pd

    found = len(problems)
    number = numbers(table, "timestep", path, problems, 1e9, "steps")
    if len(problems) > found:
        return pd.Series(np.nan, table.index)
    told = "timestep {} is no whole number; steps count 0, 1, 2, ..."
    broken = table.index[number != np.floor(number)]
    problems += examples(path, [(row, told.format(table["timestep"][row])) for row in broken])
    return pd.Series(number.astype(np.int64), table.index).where(~table.index.isin(broken))


def prices_of_run(tariff: Tariff, settings: Settings, calendar: Calendar) -> Prices:
    """Prices of each step of a run (T); raises InputError where the file does not cover it."""
    clock = make_clock(settings, calendar.steps, calendar.start_seconds)
    if tariff.by_time:
        begins, ends, seconds = _steps_in_file(tariff, settings, calendar)
        means = [_means(price, seconds, begins, ends) for price in (tariff.buy, tariff.sell)]
    else:
        rows = _rows_by_step(tariff, calendar.steps)
        means = [tariff.buy[rows], tariff.sell[rows]]
    return given_prices(settings, clock, *means)


def _means(price: Price, seconds: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> Price:
    """The mean over each step (T) of a price that holds from its second on until the next one."""
    before = np.concatenate([[0], np.cumsum(price[:-1] * np.diff(seconds))])

    def summed(until: np.ndarray) -> np.ndarray:
        row = np.searchsorted(seconds, until, side="right") - 1
        return before[row] + price[row] * (until - seconds[row])

    return np.rint((summed(ends) - summed(begins)) / (ends - begins)).astype(np.int64)


def _rows_by_step(tariff: Tariff, steps: int) -> np.ndarray:
    """The row of each step (T)."""
    wanted = np.arange(steps)
    rows = np.searchsorted(tariff.begins, wanted)
    missing = wanted[~np.isin(wanted, tariff.begins)]
    if len(missing):
        told = some_of(map(str, missing.tolist()))
        stop_if([f"{tariff.path}: has no price for step {told}; the run has {steps} steps"])
    return rows


def _steps_in_file(
    tariff: Tariff, settings: Settings, calendar: Calendar
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(begin, end) of each step (T each) and begin of each price (R), in seconds of the file."""
    import pandas as pd

    path, stamps, times = tariff.path, pd.DatetimeIndex(tariff.begins), calendar.times
    step = pd.Timedelta(seconds=settings.step_seconds)
    if times is None:
        midnight = stamps[0].ceil("D")
        times = pd.DatetimeIndex([midnight + i * step for i in range(calendar.steps)])
    elif (tariff.utc_offset is None) != (calendar.utc_offset is None):
        which = "no offset" if tariff.utc_offset is None else "an offset"
        stop_if(
            [f"{path}: its timestamps have {which} from UTC, unlike those of --data; both or none"]
        )
    elif tariff.utc_offset is not None:
        stamps = stamps + (calendar.utc_offset - tariff.utc_offset)
    usual = (stamps[1:] - stamps[:-1]).min() if len(stamps) > 1 else step
    last = times[-1] + step
    if times[0] < stamps[0] or last > stamps[-1] + usual:
        told = (
            f"holds prices from {stamps[0]} to {stamps[-1]}; the run goes from {times[0]} to {last}"
        )
        stop_if([f"{path}: {told}"])
    second = pd.Timedelta(seconds=1)
    begins = np.asarray((times - stamps[0]) // second, np.int64)
    return begins, begins + settings.step_seconds, np.asarray((stamps - stamps[0]) // second)


def _gaps(path: Path, stamps: Any) -> list[str]:
    """Where prices stand further apart than elsewhere in the file."""
    gaps = stamps[1:] - stamps[:-1]
    wide = np.flatnonzero(gaps != gaps.min()) if len(gaps) else np.zeros(0, int)
    told = [
        f"{path}: between {stamps[i]} and {stamps[i + 1]} prices are missing, or the time step changes"
        for i in wide[:SHOWN]
    ]
    return told + ([f"{path}: and {len(wide) - SHOWN:,} more gaps"] if len(wide) > SHOWN else [])
