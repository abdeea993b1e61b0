"""Tables as users bring them: read, renamed, checked; every fault with file, line and value."""

from __future__ import annotations

import contextlib
import csv
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
LONGEST_HEADER = 1_000_000
HAS_OFFSET = r"(?:[Zz]|[Tt ]\d\d.*[+-]\d\d(?::?\d\d)?)$"


# ---------------------------------------------------------------- files


def read_table(
    path: Path,
    option: str,
    columns: dict[str, tuple[str, ...]],
    optional: tuple[str, ...] = (),
    may_be_empty: bool = False,
) -> pd.DataFrame:
    """The wished columns under their first name, as texts or as the file's types; raises InputError.

    The index holds what `line_of` prints: the line of a CSV file, the row of a Parquet file.
    """
    if not path.exists():
        raise InputError([f"{option} {path}: no such file"])
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no plain file"
        raise InputError([f"{option} {path}: is {kind}; name a CSV or Parquet file"])
    if not path.stat().st_size:
        raise InputError([f"{option} {path}: is empty"])
    try:
        table = _read_parquet(path) if _is_parquet(path) else _read_csv(path)
    except InputError:
        raise
    except ImportError:
        raise InputError(
            [f"{option} {path}: Parquet needs a package: pip install pyarrow"]
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            [f"{option} {path}: is not UTF-8 text; save it as CSV (UTF-8) or Parquet"]
        ) from None
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError([f"{option} {path}: cannot be read ({reason})"]) from None
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError([f"{option} {path}: cannot be read as a table ({reason})"]) from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    found = _find_columns(list(table.columns), f"{option} {path}", columns, optional)
    if not len(table) and not may_be_empty:
        raise InputError([f"{option} {path}: has a header but no rows"])
    return table[list(found)].rename(columns=found)


def _find_columns(
    present: list[str],
    where: str,
    columns: dict[str, tuple[str, ...]],
    optional: tuple[str, ...],
) -> dict[str, str]:
    """Name in the file -> our name, for each wished column."""
    found, problems = {}, []
    for name, aliases in columns.items():
        met = [column for column in present if column in aliases]
        if len(met) > 1:
            problems.append(f"{where}: more than one column for {name}: {', '.join(met)}")
        elif met:
            found[met[0]] = name
        elif name not in optional:
            problems.append(f"{where}: no column {' or '.join(aliases)}; it has {some_of(present)}")
    stop_if(problems)
    return found


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_parquet(path)
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    return table.reset_index(drop=True)


def _read_csv(path: Path) -> pd.DataFrame:
    """All columns as texts, '' where nothing stands; blank lines left out."""
    import pandas as pd

    header, lines, separator = _header(path)
    if not header:
        raise InputError([f"{path}: is empty"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                dtype=str,
                encoding="utf-8-sig",
                sep=separator,
                header=None,
                names=list(range(len(header) + 1)),
                index_col=False,
                skiprows=lines,
                skip_blank_lines=False,
                keep_default_na=False,
                compression=None,
            ).fillna("")
        except (pd.errors.ParserError, pd.errors.ParserWarning):
            raise InputError(_misshapen(path, len(header), lines, separator)) from None
    if (table.pop(len(header)) != "").any():
        raise InputError(_misshapen(path, len(header), lines, separator))
    table.columns = pd.Index(header)
    table.index = pd.RangeIndex(lines + 1, lines + 1 + len(table))
    return table[(table != "").any(axis=1)]


def _header(path: Path) -> tuple[list[str], int, str]:
    """(names, number of lines up to and with the header, separator) of a CSV file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        blank = 0
        while (line := file.readline(LONGEST_HEADER)) and not line.strip():
            blank += 1
        separator = max(",;\t|", key=line.count)
        rows = csv.reader([line, *file.readlines(LONGEST_HEADER)], delimiter=separator)
        return next(rows, []), blank + rows.line_num, separator


def _misshapen(path: Path, width: int, lines: int, separator: str) -> list[str]:
    """The lines with more cells than the header has names, or where a quotation mark stays open."""
    faults: list[tuple[Any, str]] = []
    begins = 1
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        try:
            for row in rows:
                if begins > lines and any(cell.strip() for cell in row[width:]):
                    faults.append((begins, f"has {len(row)} cells; the header has {width}"))
                begins = rows.line_num + 1
        except csv.Error as error:
            faults.append(
                (begins, f"cannot be read as cells ({error}); a quotation mark too many?")
            )
    return examples(path, faults) or [f"{path}: cannot be read as a table"]


# ---------------------------------------------------------------- columns


def ids(column: pd.Series) -> pd.Series:
    """Household ids as texts: 7, 7.0 and " 7 " are the same home."""
    text = column.astype("string").str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    return text.astype(object).where(text.notna() & (text != ""), None)


def empty_ids(table: pd.DataFrame, path: Path) -> list[str]:
    empty = table.index[table["household_id"].isna()]
    return examples(path, [(row, "household_id is empty") for row in empty])


def times_of(table: pd.DataFrame, path: Path, problems: list[str]) -> tuple[pd.Series, Any]:
    """(timestamps in whole seconds without zone, their offset from UTC or None).

    Timestamps with offsets become the wall clock of the earliest one's offset, whatever the order.
    """
    import pandas as pd

    raw = table["timestamp"]
    if pd.api.types.is_datetime64_any_dtype(raw):
        zone = getattr(raw.dt, "tz", None)
        text = raw
        zoned = pd.Series(zone is not None, index=raw.index)
        time = raw if zone is None else raw.dt.tz_convert("UTC").dt.tz_localize(None)
    else:
        text = raw.astype("string").str.strip()
        zoned = text.str.contains(HAS_OFFSET, regex=True, na=False).astype(bool)
        dated = text.where(text.str.match(r"\d", na=False))  # pandas would read "now" as well
        time = pd.to_datetime(dated, errors="coerce", format="ISO8601", utc=True)
        time = time.dt.tz_localize(None)
    wrong = [
        (row, f"timestamp {_show(raw[row])} is not a date and time such as 2017-06-05 13:00:00")
        for row in table.index[time.isna()]
    ]
    problems += examples(path, wrong)
    odd = time.notna() & (zoned != bool(zoned[time.notna()].mean() > 0.5))
    told = "has no offset from UTC, other lines have one; give all of them or none"
    other = "has an offset from UTC, other lines have none; give all of them or none"
    problems += examples(
        path,
        [(r, f"timestamp {_show(raw[r])} {other if zoned[r] else told}") for r in odd.index[odd]],
    )
    offset = None
    if zoned.any() and time.notna().any():
        offset = min(
            pd.Timestamp(t).utcoffset() for t in text[zoned & (time == time.min())].unique()
        )
        time = time + offset
    return time.dt.round("s").astype("datetime64[s]"), offset


def numbers(
    table: pd.DataFrame,
    name: str,
    path: Path,
    problems: list[str],
    most: float,
    unit: str,
    instead: float = 0.0,
) -> np.ndarray:
    """A column as numbers from 0 to `most`; what is not joins the problems, and is `instead`."""
    import pandas as pd

    column = table[name]
    value = np.full(len(column), np.nan)
    if column.dtype.kind not in "bmMc":  # truth, time spans, dates, complex numbers
        with contextlib.suppress(TypeError, ValueError):  # lists in the cells of a Parquet file
            value = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    bad = ~(np.isfinite(value) & (value >= 0) & (value <= most))
    rows = table.index[bad]
    allowed = f"allowed is a number from 0 to {most:,.0f} {unit}"
    told = [(row, f"{name} {_wrong_number(column[row])}; {allowed}") for row in rows[:SHOWN]]
    problems += examples(path, [*told, *((row, "") for row in rows[SHOWN:])])
    return np.where(bad, instead, value)


def _wrong_number(raw: Any) -> str:
    text = str(raw).strip()
    if text in ("", "None", "nan", "<NA>") and not (isinstance(raw, str) and text):
        return "is empty"
    comma = ", with a decimal comma (write a point)" if re.fullmatch(r"-?\d+,\d+", text) else ""
    return f"is {_show(raw)}{comma}"


# ---------------------------------------------------------------- problems


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
        more = len(faults) - SHOWN
        told.append(f"{path}: and {more:,} more line{'s' * (more > 1)} of this kind")
    return told


def line_of(path: Path, row: Any) -> str:
    """Where a row of read_table stands: the line of a CSV file, the row of a Parquet file from 0 on."""
    return f"row {row}" if _is_parquet(path) else f"line {row}"


def _show(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 30 else text[:27] + "...")


def some_of(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 12:,} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def stop_if(problems: list[str]) -> None:
    if problems:
        raise InputError(problems)
