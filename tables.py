"""Tables as users bring them: read, renamed, checked; every fault with file, line and value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from settings import InputError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5


def read_table(
    path: Path,
    option: str,
    columns: dict[str, tuple[str, ...]],
    optional: tuple[str, ...] = (),
    may_be_empty: bool = False,
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
        raise InputError(
            [f"{option} {path}: Parquet needs a package: pip install pyarrow"]
        ) from None
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError([f"{option} {path}: cannot be read as a table ({reason})"]) from None
    table = table.rename(columns=lambda name: str(name).strip().lower())
    found, problems = {}, []
    for name, aliases in columns.items():
        present = [alias for alias in aliases if alias in table.columns]
        if len(present) > 1 or (present and list(table.columns).count(present[0]) > 1):
            problems.append(
                f"{option} {path}: more than one column for {name}: {', '.join(present)}"
            )
        elif present:
            found[present[0]] = name
        elif name not in optional:
            problems.append(
                f"{option} {path}: no column {' or '.join(aliases)}; it has {some_of(map(str, table.columns))}"
            )
    if not problems and not len(table) and not may_be_empty:
        problems.append(f"{option} {path}: has a header but no rows")
    stop_if(problems)
    return table[list(found)].rename(columns=found)


def _separator(path: Path) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(100_000)
    return max(",;\t", key=header.count)


def ids(column: pd.Series) -> pd.Series:
    """Household ids as texts: 7, 7.0 and " 7 " are the same home."""
    text = column.astype("string").str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    return text.where(text != "").astype(object).where(text.notna() & (text != ""), None)


def empty_ids(table: pd.DataFrame, path: Path) -> list[str]:
    empty = table.index[table["household_id"].isna()]
    return examples(path, [(row, "household_id is empty") for row in empty])


def times_of(table: pd.DataFrame, path: Path, problems: list[str]) -> pd.Series:
    """Timestamps without zone; with an offset, in the wall clock of the first row's offset."""
    import pandas as pd

    raw = table["timestamp"]
    offset = None
    if not pd.api.types.is_datetime64_any_dtype(raw):
        raw = raw.astype("string").str.strip()
        has_offset = raw.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", na=False)
        if has_offset.any():
            first = pd.to_datetime(raw[has_offset].iloc[0], errors="coerce")
            offset = first.utcoffset() if isinstance(first, pd.Timestamp) else None
        time = pd.to_datetime(raw, errors="coerce", format="ISO8601", utc=bool(has_offset.any()))
    else:
        time = raw
        if getattr(raw.dt, "tz", None) is not None:
            offset = raw.iloc[0].utcoffset()
            time = raw.dt.tz_convert("UTC")
    wrong = [
        (
            row,
            f"timestamp {_show(table['timestamp'][row])} is not a date and time such as 2017-06-05 13:00:00",
        )
        for row in table.index[time.isna()]
    ]
    problems += examples(path, wrong)
    if getattr(time.dt, "tz", None) is not None:
        time = time.dt.tz_localize(None)
        time = time + offset if offset is not None else time
    return time.astype("datetime64[ns]")


def numbers(
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
    problems += examples(path, wrong)
    return np.where(bad, 0.0, value)


def duplicates(table: pd.DataFrame, path: Path, columns: list[str]) -> list[str]:
    again = table.duplicated(columns)
    told = [
        (row, "repeats " + ", ".join(f"{c} {table[c][row]}" for c in columns))
        for row in table.index[again]
    ]
    return examples(path, told)


def examples(path: Path, faults: list[tuple[Any, str]]) -> list[str]:
    told = [f"{path}, {line_of(path, row)}: {text}" for row, text in faults[:SHOWN]]
    if len(faults) > SHOWN:
        told.append(f"{path}: and {len(faults) - SHOWN} more lines of this kind")
    return told


def line_of(path: Path, row: Any) -> str:
    return f"row {row}" if path.suffix.lower() in (".parquet", ".pq") else f"line {int(row) + 2}"


def _show(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 30 else text[:27] + "...")


def some_of(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def stop_if(problems: list[str]) -> None:
    if problems:
        raise InputError(problems)
