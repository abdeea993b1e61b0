"""The user's own files: what is understood, what is refused, and that every refusal says where."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import make_settings
from test_settings import CHANGES

import config
import main
import prosumer
import simulator
from errors import InputError
from household_data import (
    DECIDES,
    Files,
    choose_households,
    fingerprint,
    natural_order,
    read_meters,
)
from price_file import read_prices

HEADER = "timestamp,household_id,load_kwh,pv_kwh"
NOON = datetime(2024, 6, 1, 12)
Row = tuple[str, str, str, str]


def rows(
    homes: Iterable[str] = ("1", "2", "10"),
    steps: int = 4,
    minutes: float = 60,
    start: datetime = NOON,
    offset: str = "",
) -> list[Row]:
    """Readings whose load tells home and step: (0.5 + 0.1 * home's place + 0.01 * step) kWh."""
    return [
        (
            f"{start + k * timedelta(minutes=minutes)}{offset}",
            home,
            f"{0.5 + 0.1 * i + 0.01 * k:.3f}",
            f"{0.3 * k:.3f}",
        )
        for k in range(steps)
        for i, home in enumerate(homes)
    ]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(rows) makes a CSV file and returns its path; a text is written as it is."""

    def make(content: Any, header: str = HEADER, name: str = "data.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, (str, bytes)):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        else:
            lines = [",".join(row) for row in content]
            path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return make


def load_wh(path: Path, **changes: Any) -> list[list[int]]:
    """The load of each step and home, in Wh."""
    scenario = simulator.prepare(make_settings(**changes), Files(data=path))
    return scenario.profiles.load_wh.tolist()


def problems(path: Path, members: Path | None = None, prices: Path | None = None) -> list[str]:
    """What is wrong with these files, without the folder's name."""
    with pytest.raises(InputError) as caught:
        simulator.prepare(make_settings(), Files(path, members, prices))
    return [text.replace(f"{path.parent}/", "") for text in caught.value.problems]


EXPECTED_WH = [[500 + 100 * i + 10 * k for i in range(3)] for k in range(4)]

# ---------------------------------------------------------------- what is understood


def test_readings_become_whole_wh_of_each_step_and_home(write: Callable[..., Path]) -> None:
    path = write(rows())
    assert load_wh(path) == EXPECTED_WH
    scenario = simulator.prepare(make_settings(), Files(data=path))
    assert scenario.fleet.household_id == ("1", "2", "10"), "2 stands before 10"
    assert (scenario.settings.TIME_STEPS, scenario.settings.TIME_STEP_DURATION) == (4, 1.0)
    assert (scenario.settings.NUM_PROSUMERS, scenario.settings.NUM_CONSUMERS) == (3, 0)
    assert scenario.profiles.hour.tolist() == [12, 13, 14, 15]
    assert scenario.profiles.timestamp[0] == "2024-06-01 12:00:00"


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,id,consumption_kwh,production_kwh",
        "timestamp,household_id,consumption,production",
        "timestamp,id,load_kwh,generation_kwh",
        " Timestamp , Household_ID ,LOAD_kWh,PV_kwh",
    ],
)
def test_other_names_of_the_columns_are_understood(write: Callable[..., Path], header: str) -> None:
    assert load_wh(write(rows(), header)) == EXPECTED_WH


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_understood(write: Callable[..., Path], separator: str) -> None:
    assert (
        load_wh(
            write(
                ",".join([HEADER]).replace(",", separator)
                + "\n"
                + "".join(separator.join(row) + "\n" for row in rows())
            )
        )
        == EXPECTED_WH
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n\n" + text.replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(",1,", ", 1.0 ,"),
        lambda text: text.replace("\n", ",note\n", 1),
        lambda text: text.replace(" 12:00:00", "T12:00"),
    ],
    ids=["crlf", "bom", "blank lines", "no last newline", "id 1.0", "one more column", "T"],
)
def test_what_other_programs_write_is_understood(
    write: Callable[..., Path], change: Callable[[str], str]
) -> None:
    text = HEADER + "\n" + "".join(",".join(row) + "\n" for row in rows())
    assert load_wh(write(change(text))) == EXPECTED_WH


def test_rows_may_come_in_any_order(write: Callable[..., Path]) -> None:
    """The same readings are the same world, whichever program exported them."""
    in_order, shuffled = rows(offset="+02:00"), rows(offset="+02:00")
    random.Random(1).shuffle(shuffled)
    assert shuffled != in_order
    first = simulator.prepare(make_settings(), Files(write(in_order, name="a.csv")))
    second = simulator.prepare(make_settings(), Files(write(shuffled, name="b.csv")))
    assert np.array_equal(first.profiles.load_wh, second.profiles.load_wh)
    assert np.array_equal(first.profiles.pv_wh, second.profiles.pv_wh)
    assert first.profiles.timestamp == second.profiles.timestamp
    assert first.fleet.household_id == second.fleet.household_id


@pytest.mark.parametrize(("minutes", "hours"), [(5, 1 / 12), (15, 0.25), (30, 0.5), (60, 1.0)])
def test_the_timestamps_say_how_long_a_step_is(
    write: Callable[..., Path], minutes: int, hours: float
) -> None:
    scenario = simulator.prepare(make_settings(), Files(write(rows(minutes=minutes))))
    assert hours == scenario.settings.TIME_STEP_DURATION
    assert scenario.profiles.load_wh.tolist() == EXPECTED_WH, "kWh per step, whatever its length"


def test_steps_cut_the_end_off_and_cannot_lengthen_the_file(write: Callable[..., Path]) -> None:
    path = write(rows())
    scenario = simulator.prepare(make_settings(), Files(path), steps=3)
    assert scenario.profiles.load_wh.tolist() == EXPECTED_WH[:3]
    for steps in (1, 4):
        scenario = simulator.prepare(make_settings(), Files(path), steps=steps)
        assert scenario.profiles.steps == steps
    with pytest.raises(InputError) as caught:
        simulator.prepare(make_settings(), Files(path), steps=5)
    assert caught.value.problems == ["--steps 5: data.csv holds 4 steps"]


def test_homes_without_pv_and_battery_are_consumers_and_stand_last(
    write: Callable[..., Path],
) -> None:
    readings = [(t, home, load, "0" if home == "1" else pv) for t, home, load, pv in rows()]
    scenario = simulator.prepare(make_settings(), Files(write(readings)))
    assert scenario.fleet.household_id == ("2", "10", "1")
    assert scenario.fleet.kind == ("prosumer", "prosumer", "consumer")
    assert (scenario.settings.NUM_PROSUMERS, scenario.settings.NUM_CONSUMERS) == (2, 1)
    assert scenario.profiles.pv_wh[1].tolist() == [300, 300, 0], "columns move with their home"
    assert scenario.profiles.load_wh[0].tolist() == [600, 700, 500]


def test_power_and_usual_load_come_from_the_readings_whatever_the_step_length(
    write: Callable[..., Path],
) -> None:
    """0.9 kWh in a quarter of an hour are 3.6 kW; a mean of 0.515 kWh are 2.06 kWh per hour."""
    fleet = simulator.prepare(make_settings(), Files(write(rows(minutes=15)))).fleet
    assert fleet.pv_capacity_kw.tolist() == pytest.approx([3.6] * 3)
    assert fleet.base_load_kwh.tolist() == pytest.approx([2.06, 2.46, 2.86])


def test_without_a_members_file_homes_with_pv_may_own_the_battery_of_their_size(
    write: Callable[..., Path],
) -> None:
    """0.9 kW of PV is nearest to the smallest type, whose battery holds 5 kWh."""
    readings = [(t, home, load, "0" if home == "1" else pv) for t, home, load, pv in rows()]
    for share, expected in ((0.0, [0, 0, 0]), (1.0, [5000, 5000, 0])):
        fleet = simulator.prepare(make_settings(HAS_BATTERY=share), Files(write(readings))).fleet
        assert fleet.battery_capacity_wh.tolist() == expected


def test_a_run_may_begin_within_an_hour(write: Callable[..., Path]) -> None:
    path = write(rows(minutes=15, start=datetime(2024, 6, 1, 12, 30)))
    assert simulator.prepare(make_settings(), Files(path)).profiles.hour.tolist() == [
        12,
        12,
        13,
        13,
    ]


def test_timestamps_with_an_offset_run_through_a_change_of_clocks(
    write: Callable[..., Path],
) -> None:
    """2024-10-27 in Berlin has two hours that begin at 02:00; the offset tells them apart."""
    times = ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]
    readings = [(f"2024-10-27T{time}", "1", f"0.{i}00", "0") for i, time in enumerate(times)]
    for order in (readings, readings[::-1]):
        scenario = simulator.prepare(make_settings(), Files(write(order)))
        assert scenario.profiles.load_wh[:, 0].tolist() == [0, 100, 200, 300]
        assert scenario.profiles.hour.tolist() == [1, 2, 3, 4], "the first row's clock goes on"


def test_parquet_files_are_understood(tmp_path: Path, write: Callable[..., Path]) -> None:
    """Dates as dates or as texts, ids as numbers, and columns that pandas keeps in its index."""
    pytest.importorskip("pyarrow")
    import pandas as pd

    table = pd.read_csv(write(rows()))
    dates = table.assign(timestamp=pd.to_datetime(table["timestamp"]))
    for number, form in enumerate(
        [table, dates, dates.set_index(["timestamp", "household_id"]), dates.iloc[::-1]]
    ):
        path = tmp_path / f"{number}.parquet"
        form.to_parquet(path)
        assert load_wh(path) == EXPECTED_WH


# ---------------------------------------------------------------- which homes


def test_ids_are_put_in_natural_order() -> None:
    assert natural_order(["10", "9", "home 2", "2", "home 10", "a1b2", "a1b10", "02"]) == [
        "02", "2", "9", "10", "a1b2", "a1b10", "home 2", "home 10",
    ]  # fmt: skip
    assert natural_order(["1" * 6000, "2"])[0] == "2", (
        "a number too long for int() is no reason to stop"
    )


def test_homes_are_chosen_by_id(write: Callable[..., Path]) -> None:
    meters = read_meters(write(rows()), make_settings(HOUSEHOLDS=" 10 ,1"))
    assert meters.household_id == ["1", "10"]
    assert read_meters(write(rows()), make_settings(HOUSEHOLDS="1:2")).household_id == ["1", "10"]


def test_homes_are_drawn_by_prefix_from_the_seed() -> None:
    """The same seed draws the same homes in every world; another seed draws others."""
    known = natural_order([f"flat {i}" for i in range(30)] + [f"house {i}" for i in range(30)])

    def drawn(seed: int, **more: Any) -> list[str]:
        return choose_households(
            make_settings(HOUSEHOLDS="flat:5,house:2", SEED=seed, **more), known
        )

    assert [name.split()[0] for name in drawn(1)] == ["flat"] * 5 + ["house"] * 2
    assert drawn(1) == drawn(1, REGULATOR_OBJECTIVE="chaos", CONSENSUS="none")
    assert len({tuple(drawn(seed)) for seed in range(10)}) > 5
    alone = choose_households(make_settings(HOUSEHOLDS="flat:5", SEED=1), known)
    assert alone == drawn(1)[:5], "what else is asked for does not shift the draw"


@pytest.mark.parametrize(
    "wish", ["flat1,flat2,flat:1", "flat:1,flat1,flat2", "flat:2,f:1", ":1,flat:2", ":2,house:1"]
)
def test_a_prefix_draws_from_the_homes_that_are_not_chosen_yet(wish: str) -> None:
    """Drawn from all of them, one in three of these wishes brought a home less than it asked for. The longest
    prefix draws first, so that a shorter one does not take its homes away."""
    known = ["flat1", "flat2", "flat3", "house1"]
    for seed in range(12):
        assert len(choose_households(make_settings(HOUSEHOLDS=wish, SEED=seed), known)) == 3


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("1,2,10,:1", "--households: ':1' asks for 1 of 0 homes '...' beside those named already"),
        ("7", "--households: '7' is not in the data; it holds 1, 2, 10; write ids or prefix:count"),
        ("1:5", "--households: '1:5' asks for 5 of 2 homes '1...'"),
        ("1:0", "--households: '1:0' asks for 0 of 2 homes '1...'"),
        (
            "1:\u00b2",
            "--households: '1:\u00b2' is not in the data; it holds 1, 2, 10; write ids or prefix:count",
        ),
        ("1:" + "9" * 5000, "--households: '1:99"),
        ("1, 1,10,1", "--households: '1' is named 3 times; name it once"),
        ("2:1,2:1", "--households: '2' is named 2 times; name it once"),
        (",", "--households: '' is not in the data; it holds 1, 2, 10; write ids or prefix:count"),
    ],
)
def test_a_wish_that_the_data_cannot_meet_is_refused(
    write: Callable[..., Path], wish: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_meters(write(rows()), make_settings(HOUSEHOLDS=wish))
    assert [problem[: len(told)] for problem in caught.value.problems] == [told]


def test_what_is_wrong_with_homes_left_out_does_not_matter(write: Callable[..., Path]) -> None:
    readings = [(t, home, "broken" if home == "2" else load, pv) for t, home, load, pv in rows()]
    assert load_wh(write(readings), HOUSEHOLDS="1,10") == [[a, c] for a, _, c in EXPECTED_WH]


# ---------------------------------------------------------------- a file that cannot be read


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "--data data.csv: is empty"),
        (b"\n\n", "data.csv: is empty"),
        (HEADER + "\n", "--data data.csv: has a header but no rows"),
        (b"\x93\x00\xff\xfe" * 50, "--data data.csv: is not UTF-8 text; save it as CSV (UTF-8) or Parquet"),
        ("h\u00f6use,1".encode("latin-1"), "--data data.csv: is not UTF-8 text; save it as CSV (UTF-8) or Parquet"),
        (HEADER + '\n"2024-06-01,1,2,3\n', "data.csv, line 2: cannot be read as cells (unexpected end of data); a quotation mark too many?"),
    ],
    ids=["empty", "blank", "header only", "binary", "latin-1", "open quote"],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused(
    write: Callable[..., Path], content: str | bytes, told: str
) -> None:
    assert problems(write(content)) == [told]


def test_an_empty_name_is_no_file() -> None:
    with pytest.raises(InputError, match="--data: is empty; name a file"):
        Files(data=" ")  # type: ignore[arg-type]


def test_a_file_that_went_away_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.csv: No such file or directory"):
        fingerprint(tmp_path / "none.csv")


def test_parquet_asks_for_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(pd, "read_parquet", Mock(side_effect=ImportError("pyarrow")))
    told = "--data data.parquet: Parquet needs a package: pip install pyarrow"
    assert problems(tmp_path / "data.parquet") == [told]


def test_of_many_gaps_the_first_are_told_and_the_others_counted(write: Callable[..., Path]) -> None:
    """Every fourth hour is missing from noon on: nine gaps until three o'clock of the second night."""
    readings = [row for row in rows(steps=40) if datetime.fromisoformat(row[0]).hour % 4]
    first, *others, last = problems(write(readings))
    assert first == (
        "data.csv: from 2024-06-01 15:00:00 to 2024-06-01 17:00:00 are 7,200 s, else 3,600 s: "
        "a gap, or time steps that change"
    )
    assert last == f"data.csv: and {9 - 1 - len(others)} more places of this kind"


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.csv") == ["--data none.csv: no such file"]
    (tmp_path / "folder.csv").mkdir()
    (told,) = problems(tmp_path / "folder.csv")
    assert told == "--data folder.csv: is a folder; name a CSV or Parquet file"


def test_a_broken_parquet_file_is_refused(write: Callable[..., Path]) -> None:
    pytest.importorskip("pyarrow")
    (told,) = problems(write(b"PAR1 and then nonsense", name="data.parquet"))
    assert told.startswith("--data data.parquet: cannot be read as a table (")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (
            "timestamp,home,load_kwh,pv_kwh",
            "--data data.csv: no column household_id or id; it has timestamp, home, load_kwh, pv_kwh",
        ),
        (
            "timestamp,id,load_kwh,load_kwh",
            "--data data.csv: more than one column for load_kwh: load_kwh, load_kwh",
        ),
        (
            "timestamp,household_id,pv_kwh,Generation_kWh",
            "--data data.csv: more than one column for pv_kwh: pv_kwh, generation_kwh",
        ),
    ],
)
def test_columns_that_are_missing_or_there_twice_are_named(
    write: Callable[..., Path], header: str, told: str
) -> None:
    assert told in problems(write(rows(), header))


def test_lines_with_more_cells_than_the_header_are_named(write: Callable[..., Path]) -> None:
    """Decimal commas between commas shift every value by one column."""
    readings = [(t, home, load.replace(".", ","), pv) for t, home, load, pv in rows(steps=3)]
    told = problems(write(readings))
    assert told[0] == "data.csv, line 2: has 5 cells; the header has 4"
    assert told[-1] == "data.csv: and 4 more lines of this kind"
    for place in (0, 3):
        some = rows()
        some[place] = (*some[place][:3], "0.1,0.2,0.3")
        assert problems(write(some)) == [
            f"data.csv, line {place + 2}: has 6 cells; the header has 4"
        ]


def test_a_separator_at_the_end_of_each_line_does_no_harm(write: Callable[..., Path]) -> None:
    assert load_wh(write([(*row, "") for row in rows()])) == EXPECTED_WH


def test_a_file_cut_off_in_the_middle_of_a_line_is_refused(write: Callable[..., Path]) -> None:
    text = HEADER + "\n" + "".join(",".join(row) + "\n" for row in rows())
    (told,) = problems(write(text[: text.rindex(",")]))
    assert told.startswith("data.csv, line 13: pv_kwh is empty")
    told = problems(write(text[: text.rindex(",10,")]))
    assert [line.partition(";")[0] for line in told] == [
        f"data.csv, line 13: {name} is empty" for name in ("household_id", "load_kwh", "pv_kwh")
    ]


# ---------------------------------------------------------------- values


ALLOWED = "allowed is a number from 0 to 1,000,000 kWh per step"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("abc", "is 'abc'"),
        ("", "is empty"),
        ("nan", "is 'nan'"),
        ("-0.1", "is '-0.1'"),
        ("inf", "is 'inf'"),
        ("1e300", "is '1e300'"),
        ("1000001", "is '1000001'"),
        ('"0,5"', "is '0,5', with a decimal comma (write a point)"),
        ("1.2.3", "is '1.2.3'"),
        ("9" * 99, f"is '{'9' * 27}...'"),
    ],
)
def test_a_value_that_is_no_energy_is_named_with_its_line(
    write: Callable[..., Path], value: str, said: str
) -> None:
    readings = rows()
    readings[4] = (*readings[4][:2], value, "0")
    assert problems(write(readings)) == [f"data.csv, line 6: load_kwh {said}; {ALLOWED}"]


def test_all_faults_of_a_file_come_together_and_many_of_a_kind_are_counted(
    write: Callable[..., Path],
) -> None:
    readings = [(t, home, "x", pv) for t, home, _, pv in rows()]
    readings[0] = ("soon", "1", "0.5", "-1")
    readings[1] = ("Total", "", "0.5", "0")
    told = problems(write(readings))
    assert told[0] == "data.csv, line 3: household_id is empty"
    assert told.pop(2).startswith("data.csv, line 3: timestamp 'Total' is not a date and time")
    assert told[1] == (
        "data.csv, line 2: timestamp 'soon' is not a date and time such as 2017-06-05 13:00:00"
    )
    assert told[2] == f"data.csv, line 4: load_kwh is 'x'; {ALLOWED}"
    assert told[-2] == "data.csv: and 5 more lines of this kind"
    assert told[-1] == f"data.csv, line 2: pv_kwh is '-1'; {ALLOWED}"


def test_truth_dates_and_lists_in_a_parquet_file_are_no_energy(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    table = pd.read_csv(write(rows()))
    for wrong in ([True], [pd.Timestamp("2024-06-01")], [[1, 2]]):
        path = tmp_path / "data.parquet"
        table.assign(load_kwh=wrong * len(table)).to_parquet(path)
        assert problems(path)[0].startswith("data.parquet, row 0: load_kwh is ")


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    "text",
    [
        "01.06.2024 12:00",
        "06/01/2024 12:00",
        "1717243200",
        "noon",
        "now",
        "today",
        "2024-06-31 12:00",
        "",
    ],
)
def test_a_timestamp_that_could_mean_two_things_is_refused(
    write: Callable[..., Path], text: str
) -> None:
    readings = rows()
    readings[0] = (text, *readings[0][1:])
    (told,) = problems(write(readings))
    assert told == (
        f"data.csv, line 2: timestamp {text!r} is not a date and time such as 2017-06-05 13:00:00"
    )


def test_times_with_and_without_offset_are_not_mixed(write: Callable[..., Path]) -> None:
    readings = rows(offset="Z")
    readings[2] = (readings[2][0].rstrip("Z"), *readings[2][1:])
    assert problems(write(readings)) == [
        "data.csv, line 4: timestamp '2024-06-01 12:00:00' has no offset from UTC, other lines have one; "
        "give all of them or none"
    ]


def test_values_gaps_and_repeated_rows_are_told_together(write: Callable[..., Path]) -> None:
    """Whoever mends one of them should not learn of the next only then."""
    readings = rows(steps=4)
    del readings[8]
    readings[4] = (*readings[4][:2], "-4", "0")
    readings.append(readings[0])
    assert problems(write(readings)) == [
        "data.csv, line 6: load_kwh is '-4'; " + ALLOWED,
        "data.csv, line 13: repeats household_id 1, timestamp 2024-06-01 12:00:00",
        "data.csv: gap, household 10 has no row at 2024-06-01 14:00:00",
    ]
    readings[1] = ("soon", *readings[1][1:])
    told = problems(write(readings))
    assert ["soon" in line or "-4" in line or "repeats" in line for line in told] == [True] * 3, (
        "where a time is unreadable, gaps would be told that are none"
    )


def test_a_gap_of_one_home_is_named(write: Callable[..., Path]) -> None:
    readings = [row for i, row in enumerate(rows()) if i not in (4, 7)]
    assert problems(write(readings)) == [
        "data.csv: gap, household 2 has no row at 2024-06-01 13:00:00 and at 1 more times"
    ]


def test_a_gap_of_all_homes_is_named(write: Callable[..., Path]) -> None:
    readings = [row for i, row in enumerate(rows(steps=6)) if i // 3 != 2]
    assert problems(write(readings)) == [
        "data.csv: from 2024-06-01 13:00:00 to 2024-06-01 15:00:00 are 7,200 s, else 3,600 s: "
        "a gap, or time steps that change"
    ]


@pytest.mark.parametrize("seconds", [330, 3570])
def test_steps_of_half_minutes_are_refused(write: Callable[..., Path], seconds: int) -> None:
    (told,) = problems(write(rows(minutes=seconds / 60)))
    assert told.endswith("allowed are whole minutes from 5 to 60")


def test_mixed_time_steps_are_named(write: Callable[..., Path]) -> None:
    readings = rows(steps=4) + rows(steps=2, start=datetime(2024, 6, 1, 15, 20))
    told = problems(write(readings))
    assert told == [
        "data.csv: from 2024-06-01 15:00:00 to 2024-06-01 15:20:00 are 1,200 s, else 3,600 s: "
        "mixed time steps"
    ]


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(1, "60"), (4, "240"), (61, "3,660"), (120, "7,200"), (1440, "86,400")]
)
def test_steps_under_five_minutes_or_over_an_hour_are_refused(
    write: Callable[..., Path], minutes: int, seconds: str
) -> None:
    assert problems(write(rows(minutes=minutes))) == [
        f"data.csv: steps of {seconds} s; allowed are whole minutes from 5 to 60"
    ]


def test_one_point_in_time_tells_no_step_length(write: Callable[..., Path]) -> None:
    assert problems(write(rows(steps=1))) == [
        "data.csv: holds one point in time; two are needed to know the step length"
    ]


def test_dates_far_away_are_no_reason_to_stop(write: Callable[..., Path]) -> None:
    """Nanoseconds since 1970 reach to 1677 and 2262; a typing error reaches further."""
    assert problems(
        write([("0001-01-01 00:00", "1", "1", "0"), ("9999-01-01 00:00", "1", "1", "0")])
    )


def test_a_repeated_row_is_named_with_its_line(write: Callable[..., Path]) -> None:
    assert problems(write([*rows(), rows()[1]])) == [
        "data.csv, line 14: repeats household_id 2, timestamp 2024-06-01 12:00:00"
    ]


def test_a_change_of_clocks_is_suspected_where_an_hour_is_missing_or_twice_in_the_night(
    write: Callable[..., Path],
) -> None:
    """Local time without offset: the commonest fault in a year of European readings."""
    hint = "where clocks were changed: write timestamps with their offset from UTC, 2017-10-29 02:00+02:00"
    for day, hours in (("2024-10-27", [1, 2, 2, 3]), ("2024-03-31", [0, 1, 3, 4])):
        readings = [(f"{day} {hour:02}:00", "1", "1", "0") for hour in hours]
        told = problems(write(readings))
        assert told[-1] == hint and len(told) == 2


def test_an_id_column_that_counts_rows_does_not_fill_the_memory(write: Callable[..., Path]) -> None:
    """`id` may hold a row number: a matrix of 20,000 homes and 20,000 times would need 3 GB."""
    readings = [(str(NOON + k * timedelta(minutes=5)), str(k), "1", "0") for k in range(20_000)]
    told = problems(write(readings))
    assert told[0] == (
        "data.csv: gap, household 0 has no row at 2024-06-01 12:05:00 and at 19,998 more times"
    )
    assert told[-1] == "data.csv: and 19,995 more households with gaps"


# ---------------------------------------------------------------- members


MEMBERS = "household_id,battery_kwh,battery_kw,pv_kwp,home_type"


def test_the_members_file_says_what_homes_own(write: Callable[..., Path]) -> None:
    """Its rows come in any order; homes that take no part and columns of the user's own are ignored."""
    told = "10,8,4,2,villa\n99,x,x,x,x\n1,0,0,0,\n2,6.4,5,4,flat\n"
    members = write(MEMBERS + "\n" + told, name="members.csv")
    readings = [(t, home, load, "0" if home == "1" else pv) for t, home, load, pv in rows()]
    fleet = simulator.prepare(make_settings(), Files(write(readings), members)).fleet
    assert fleet.household_id == ("2", "10", "1"), "home 1 owns nothing: a consumer, and last"
    assert fleet.kind == ("prosumer", "prosumer", "consumer")
    assert fleet.battery_capacity_wh.tolist() == [6400, 8000, 0]
    assert fleet.max_step_wh.tolist() == [5000, 4000, 0], "battery_kw for one hour"
    assert fleet.pv_capacity_kw.tolist() == [4, 2, 0]
    assert fleet.home_type == ("flat", "villa", "home")


def test_without_power_in_the_file_the_c_rate_holds(write: Callable[..., Path]) -> None:
    members = write("id,battery_kwh\n1,5\n2,0\n10,8\n", name="members.csv")
    scenario = simulator.prepare(make_settings(BATTERY_C_RATE=0.25), Files(write(rows()), members))
    assert scenario.fleet.max_step_wh.tolist() == [1250, 0, 2000]


def test_a_home_without_pv_in_the_readings_has_none(write: Callable[..., Path]) -> None:
    """A roof that made nothing all year must not count as one that could."""
    readings = [(t, home, load, "0" if home == "2" else pv) for t, home, load, pv in rows()]
    members = write("id,battery_kwh,pv_kwp\n1,0,4\n2,0,4\n10,0,4\n", name="members.csv")
    fleet = simulator.prepare(make_settings(), Files(write(readings), members)).fleet
    assert fleet.household_id == ("1", "10", "2")
    assert fleet.pv_capacity_kw.tolist() == [4, 4, 0]


def test_a_home_with_sun_in_its_readings_has_a_roof_whatever_the_file_says(
    write: Callable[..., Path],
) -> None:
    """pv_kwp 0 beside measured PV: the strongest reading counts, and the home is no consumer."""
    members = write("id,battery_kwh,pv_kwp\n1,0,0\n2,0,4\n10,0,4\n", name="members.csv")
    scenario = simulator.prepare(make_settings(), Files(write(rows()), members))
    assert scenario.fleet.kind == ("prosumer",) * 3
    measured = scenario.profiles.pv_wh[:, 0].max() / 1000
    assert scenario.fleet.pv_capacity_kw.tolist() == [pytest.approx(measured), 4, 4]


def test_a_home_type_cannot_break_the_files_that_quote_it(write: Callable[..., Path]) -> None:
    members = write('id,battery_kwh,home_type\n1,5,"a,b ""c""\nd"\n2,0,\n10,0,e;f\n', name="m.csv")
    fleet = simulator.prepare(make_settings(), Files(write(rows()), members)).fleet
    assert fleet.home_type == ("a b c d", "home", "e f")


def test_all_faults_of_a_members_file_come_together(write: Callable[..., Path]) -> None:
    text = MEMBERS + "\n1,5,-2,4,\n1,a,,4,\n,1,1,1,\n10,1,1,1e300,\n"
    told = problems(write(rows()), write(text, name="members.csv"))
    assert told == [
        "members.csv, line 4: household_id is empty",
        "members.csv, line 3: repeats household_id 1",
        "members.csv: has no row for household 2",
        "members.csv, line 3: battery_kwh is 'a'; allowed is a number from 0 to 1,000,000 kWh",
        "members.csv, line 2: battery_kw is '-2'; allowed is a number from 0 to 1,000,000 kW",
        "members.csv, line 3: battery_kw is empty; allowed is a number from 0 to 1,000,000 kW",
        "members.csv, line 5: pv_kwp is '1e300'; allowed is a number from 0 to 1,000,000 kWp",
    ]


def test_a_battery_that_could_never_move_a_wh_is_refused(write: Callable[..., Path]) -> None:
    text = "household_id,battery_kwh\n1,0.0009\n2,0.001\n10,0\n"
    assert problems(write(rows()), write(text, name="members.csv")) == [
        "members.csv: household 1 has a battery of 0.0009 kWh; it is at least 0.001 kWh, or 0"
    ]


def test_members_need_a_data_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--members: describes the homes of a data file"):
        simulator.prepare(make_settings(), Files(members=tmp_path / "m.csv"))


# ---------------------------------------------------------------- prices


PRICES = "import_price_eur_per_kwh,export_price_eur_per_kwh"


def price_rows(
    count: int, minutes: int = 60, start: datetime = NOON, offset: str = ""
) -> list[Any]:
    """Import price 0.300, 0.301, ...; export price 0.1."""
    return [
        (f"{start + k * timedelta(minutes=minutes)}{offset}", f"{0.3 + 0.001 * k:.3f}", "0.1")
        for k in range(count)
    ]


@pytest.fixture
def prices(write: Callable[..., Path]) -> Callable[..., Path]:
    """prices(rows) makes a price file by time; prices(rows, "timestep") one by step."""
    return lambda content, clock="timestamp": write(content, f"{clock},{PRICES}", "prices.csv")


def test_a_price_file_replaces_every_price_towards_the_outside(
    write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    """Import price for what comes from outside, export price for what goes there, and no fee."""
    path = prices([(str(k), "0.25", "0.0625") for k in range(4)][::-1], "timestep")
    column = simulator.prepare(make_settings(), Files(write(rows()), prices=path)).profiles.prices
    for name in ("grid_import", "market_buy", "wholesale_buy"):
        assert getattr(column, name).tolist() == [250_000] * 4
    for name in ("grid_export", "market_sell", "wholesale_sell"):
        assert getattr(column, name).tolist() == [62_500] * 4
    assert set(column.market.tolist()) == {156_250}, "midway"


def test_neighbours_use_a_market_that_costs_the_same_as_the_utility(
    write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    """Both sides come to it, in every step: one known tariff leaves no room for an error of forecast."""
    path = prices([(str(k), "0.25", "0.0625") for k in range(4)], "timestep")
    in_force = make_settings(
        CONSENSUS="none", HAS_BATTERY=0.0, PENALTY_FOR_MARKET=0.0, FORECAST_ERROR=0.5
    )
    run = simulator.run(simulator.prepare(in_force, Files(write(rows()), prices=path)))
    levers = run.steps[0].levers
    assert [prosumer.accepts_market(r.prices, levers) for r in run.steps] == [(True, True)] * 4
    assert sum(int(r.flows.market_bought_wh.sum()) for r in run.steps) > 1000


def grid_import(path: Path, steps: int, **changes: Any) -> list[int]:
    return read_prices(path, make_settings(**changes), steps).grid_import.tolist()


def test_import_and_export_may_cost_the_same(prices: Callable[..., Path]) -> None:
    path = prices([(str(k), "0.2", "0.2") for k in range(3)], "timestep")
    assert grid_import(path, 3) == [200_000] * 3


MIDNIGHT = datetime(2024, 6, 1)


def test_a_price_holds_until_the_next_one(prices: Callable[..., Path]) -> None:
    path = prices(price_rows(2, minutes=120, start=MIDNIGHT))
    assert grid_import(path, 4) == [300_000, 300_000, 301_000, 301_000]
    assert grid_import(path, 8, TIME_STEP_DURATION=0.5) == [300_000] * 4 + [301_000] * 4


def test_a_single_price_holds_for_one_step(prices: Callable[..., Path]) -> None:
    """Nothing says how long else; a second step is beyond the file."""
    path = prices(price_rows(1, minutes=60, start=MIDNIGHT))
    assert grid_import(path, 1) == [300_000]
    with pytest.raises(InputError, match="holds prices from"):
        grid_import(path, 2)


def test_of_prices_that_change_within_a_step_the_mean_counts(prices: Callable[..., Path]) -> None:
    """(0.300 + 0.301 + 0.302 + 0.303) / 4 = 0.3015: no quarter of an hour is left out."""
    path = prices(price_rows(8, minutes=15, start=MIDNIGHT))
    assert grid_import(path, 2) == [301_500, 305_500]


def test_a_price_counts_as_long_as_it_holds(prices: Callable[..., Path]) -> None:
    """40-minute prices 0.300, 0.301, 0.302: the first hour is 40 minutes of one and 20 of the next."""
    path = prices(price_rows(3, minutes=40, start=MIDNIGHT))
    assert grid_import(path, 2) == [300_333, 301_667]


def test_prices_may_change_within_the_hour(prices: Callable[..., Path]) -> None:
    """Prices from half past to half past: each hour has half of one and half of the next."""
    path = prices(price_rows(4, start=MIDNIGHT - timedelta(minutes=30)))
    assert grid_import(path, 3) == [300_500, 301_500, 302_500]


def test_beyond_its_end_the_last_day_of_a_price_file_repeats(prices: Callable[..., Path]) -> None:
    """What is stored at 18 h is valued by the next 24 hours: six of this day, then the same day again."""
    path = prices(price_rows(24, start=MIDNIGHT))
    ahead = read_prices(path, make_settings(FORECAST_ERROR=0.0), 24).mean_24h
    mean = (300_000 + 23 * 500 + 100_000) / 2  # of import and export price, over any 24 hours
    assert ahead[[0, 18, 23]].tolist() == [pytest.approx(mean, abs=1)] * 3


def test_a_synthetic_run_begins_with_the_first_midnight_of_the_file(
    prices: Callable[..., Path],
) -> None:
    """It has no date, but its first hour is midnight: a price of noon is not for it."""
    path = prices(price_rows(36, start=NOON))
    assert grid_import(path, 24)[0] == 312_000


def test_measured_homes_take_the_prices_of_their_own_time(
    write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    path = prices(price_rows(24, start=MIDNIGHT))
    scenario = simulator.prepare(make_settings(), Files(write(rows()), prices=path))
    assert scenario.profiles.prices.grid_import.tolist() == [312_000, 313_000, 314_000, 315_000]


@pytest.mark.parametrize(("offset", "first"), [("Z", 310), ("+01:00", 311), ("-03:00", 307)])
def test_prices_and_readings_with_offsets_meet_at_the_same_instant(
    offset: str, first: int, write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    """12:00 at +02:00 is 10:00 UTC, in which exchanges publish, 11:00 at +01:00 and 7:00 at -03:00."""
    path = prices(price_rows(24, start=MIDNIGHT, offset=offset))
    homes = write(rows(offset="+02:00"))
    scenario = simulator.prepare(make_settings(), Files(homes, prices=path))
    expected = [(first + k) * 1000 for k in range(4)]
    assert scenario.profiles.prices.grid_import.tolist() == expected
    assert scenario.profiles.hour.tolist() == [12, 13, 14, 15]
    assert problems(write(rows()), prices=path) == [
        "prices.csv: its timestamps have an offset from UTC, unlike those of --data; both or none"
    ]


@pytest.mark.parametrize(
    ("content", "clock", "told"),
    [
        ([("0", "0.3", "0.1"), ("2", "0.3", "0.1")], "timestep", "has no price for step 1, 3; the run has 4 steps"),
        ([("0", "0.3", "0.1")] * 2, "timestep", ", line 3: repeats the timestep of another line"),
        ([("0.5", "0.3", "0.1")], "timestep", ", line 2: timestep 0.5 is no whole number; steps count 0, 1, 2, ..."),
        ([("x", "0.3", "0.1")], "timestep", ", line 2: timestep is 'x'; allowed is a number from 0 to 1,000,000,000 steps"),
        ([("0", "nan", "0.1")], "timestep", ", line 2: import_price_eur_per_kwh is 'nan'; allowed is a number from 0 to 1,000 EUR/kWh"),
        ([("0", "0.3", "-0.1")], "timestep", ", line 2: export_price_eur_per_kwh is '-0.1'; allowed is a number from 0 to 1,000 EUR/kWh"),
        ([("0", "0.1", "0.3")], "timestep", ", line 2: the export price is above the import price; a kWh could be bought and sold at a gain"),
        ([("0", "0.3", "0.1")], "when", "needs a column timestep or timestamp"),
        (price_rows(4)[:1] + price_rows(4)[:3], "timestamp", ", line 3: repeats the timestamp of another line"),
        (price_rows(6)[:2] + price_rows(6)[3:], "timestamp", "between 2024-06-01 13:00:00 and 2024-06-01 15:00:00 prices are missing, or the time step changes"),
        (price_rows(3), "timestamp", "holds prices from 2024-06-01 12:00:00 to 2024-06-01 14:00:00; the run goes from 2024-06-01 12:00:00 to 2024-06-01 16:00:00"),
        (price_rows(9, start=datetime(2024, 6, 1, 13)), "timestamp", "holds prices from 2024-06-01 13:00:00 to 2024-06-01 21:00:00; the run goes from 2024-06-01 12:00:00 to 2024-06-01 16:00:00"),
    ],
)  # fmt: skip
def test_prices_that_are_wrong_or_do_not_cover_the_run_are_refused(
    write: Callable[..., Path], prices: Callable[..., Path], content: Any, clock: str, told: str
) -> None:
    assert told in problems(write(rows()), prices=prices(content, clock))[0]


def test_all_faults_of_a_price_file_come_together(
    write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    content = [list(row) for row in price_rows(9)]
    content[1][1], content[2][1:], content[3][2] = "-1", ["0", "0.5"], "0"
    del content[6]
    told = problems(write(rows()), prices=prices([tuple(row) for row in content], "timestamp"))
    assert [line.partition(": ")[2].partition(";")[0] for line in told] == [
        "import_price_eur_per_kwh is '-1'",
        "the export price is above the import price",
        "between 2024-06-01 17:00:00 and 2024-06-01 19:00:00 prices are missing, or the time step changes",
    ]


def test_the_faults_of_all_files_come_together(
    write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    """Three files, three owners: each can mend his own at the same time."""
    data = write(rows(minutes=1))
    members = write("household_id,battery_kwh\n1,x\n", name="members.csv")
    told = problems(data, members, prices([("0", "0.1", "0.3")], "timestep"))
    assert [problem.split(".csv")[0] for problem in told] == ["data", "members", "prices"]


# ---------------------------------------------------------------- what a file decides


def contents(record: Any) -> dict[str, Any]:
    """The columns of a record as lists, and those of the records inside."""
    return {
        name: contents(value) if hasattr(value, "__dict__") else np.asarray(value).tolist()
        for name, value in vars(record).items()
    }


@pytest.mark.parametrize("option", ["data", "members", "prices"])
def test_a_setting_that_a_file_replaces_has_no_effect_beside_it(
    option: str, write: Callable[..., Path], prices: Callable[..., Path]
) -> None:
    """So the command line refuses it there, instead of letting its user wait for an effect."""
    members = write("id,battery_kwh,battery_kw\n1,5,2\n2,0,0\n10,8,4\n", name="members.csv")
    tariff = prices([(str(k), "0.25", "0.0625") for k in range(24)], "timestep")
    files = {
        "data": Files(write(rows())),
        "members": Files(write(rows()), members),
        "prices": Files(prices=tariff),
    }[option]

    def world(**changes: Any) -> list[dict[str, Any]]:
        scenario = simulator.prepare(make_settings(**{"NUM_PROSUMERS": 9} | changes), files)
        return [contents(scenario.fleet), contents(scenario.profiles)]

    before = world()
    for name in DECIDES[option]:
        assert world(**{name: CHANGES[name][0]}) == before, name


# ---------------------------------------------------------------- the measured homes


def test_the_measured_week_runs_and_its_sums_are_those_of_the_file(homes: Path) -> None:
    import pandas as pd

    path = homes / "sample_week_2017-06-05.csv"
    scenario = simulator.prepare(make_settings(), Files(path, homes / "households.csv"))
    table = pd.read_csv(path)
    assert scenario.profiles.load_wh.shape == (168, 17)
    assert scenario.profiles.timestamp[0] == "2017-06-05 00:00:00"
    for name, column in (("load_wh", "consumption_kwh"), ("pv_wh", "pv_kwh")):
        expected = np.rint(table[column] * 1000).sum()
        assert getattr(scenario.profiles, name).sum() == expected
    assert set(scenario.fleet.battery_capacity_wh) == {6400.0}


def test_a_week_cut_from_the_year_is_the_sample_week(homes: Path) -> None:
    """CSV and Parquet (in single precision), texts and dates, sorted differently: one world."""
    import pandas as pd

    week = read_meters(homes / "sample_week_2017-06-05.csv", make_settings())
    year = read_meters(homes / "households_hourly.parquet", make_settings())
    assert (len(year.timestamps), year.step_seconds) == (8760, 3600)
    begin = year.timestamps.get_loc(pd.Timestamp("2017-06-05"))
    assert year.household_id == week.household_id
    assert np.abs(year.load_kwh[begin : begin + 168] - week.load_kwh).max() < 1e-6
    assert np.abs(year.pv_kwh[begin : begin + 168] - week.pv_kwh).max() < 1e-6


@pytest.mark.slow
def test_the_measured_year_runs_under_all_laws(homes: Path) -> None:
    """17 homes, 8,760 hours; every step checks energy and money before the next begins."""
    files = Files(homes / "households_hourly.parquet", homes / "households.csv")
    scenario = simulator.prepare(make_settings(CONSENSUS="none"), files)
    load = sum(int(result.flows.load_wh.sum()) for result in simulator.simulate(scenario, None))
    assert load == scenario.profiles.load_wh.sum()


def test_the_command_line_takes_the_files_and_records_them(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    import hashlib
    import json

    path = write(rows())
    folder = tmp_path / "results"
    arguments = ["--data", str(path), "--households", "1,2", "-o", str(folder)]
    assert main.main([*arguments, "--quiet", "--no-plots"]) == 0
    params = json.loads((folder / "params.json").read_text())
    assert params["inputs"] == {
        "data": {"name": "data.csv", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    }
    with open(path, "a", encoding="utf-8") as file:  # of a file of any size, every byte counts
        file.write(" " * 2**21)
    assert fingerprint(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert params["HOUSEHOLDS"] == "1,2"
    assert (params["TIME_STEPS"], params["NUM_PROSUMERS"]) == (4, 2)
    assert config.TIME_STEPS == 24, "the file, not config.py, says how long"
