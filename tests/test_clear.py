"""python main.py clear: a book in, its trades out, whatever the book or the place to write is like."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest

import main


def test_books_without_a_market_are_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "side,participant,energy_kwh,price_eur_per_kwh\n"
    one_sided, no_crossing = "buy,a,1,0.2\n", "sell,a,1,0.2\nbuy,b,1,0.1\n"
    for content in (
        "",
        "\n",
        " \n\n",
        "\ufeff",
        "\ufeff\n",
        header,
        header + one_sided,
        header + no_crossing,
    ):
        path = tmp_path / "book.csv"
        path.write_text(content)
        assert main.main(["clear", str(path)]) == 0
        assert "traded_kwh: 0.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("buy,a,-1,0.2", "line 2: energy_kwh is '-1'"),
        ("buy,a,0,0.2", "line 2: energy_kwh is zero"),
        ("buy,a,1,x", "line 2: price_eur_per_kwh is 'x'"),
        ("bid,a,1,0.2", "line 2: side is 'bid'"),
        ("buy,a,,0.2", "line 2: energy_kwh is empty"),
        ("buy,a,1,0.2\nbuy,,1,0.2", "line 3: participant is empty"),
        ('buy,"  ",1,0.2', "line 2: participant is empty"),
    ],
)
def test_a_bad_line_of_a_book_is_named(
    rows: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "book.csv"
    path.write_text("side,participant,energy_kwh,price_eur_per_kwh\n" + rows + "\n")
    assert main.main(["clear", str(path)]) == 2
    assert told in capsys.readouterr().err


def test_what_is_rounded_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two orders of 0.6 Wh trade a whole one; nobody should have to find out alone."""
    book = tmp_path / "book.csv"
    for energy, price, many in (("0.0006", "0.2", 2), ("1", "0.1000005", 1), ("1.001", "0.2", 0)):
        rows = f"buy,a,{energy},{price}\nsell,b,{energy},0.1\n"
        book.write_text("side,participant,energy_kwh,price_eur_per_kwh\n" + rows)
        assert main.main(["clear", str(book)]) == 0
        told = f"note: {book}: {many} of 2 orders are rounded to whole Wh and to millionths of a EUR/kWh"
        assert capsys.readouterr().err.splitlines() == [told] * bool(many)


def test_a_book_that_may_not_be_read_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as an output that cannot be written."""
    book = tmp_path / "book.csv"
    book.write_text("side,participant,energy_kwh,price_eur_per_kwh\nbuy,a,1,0.2\n")
    opened = open

    def closed(path: object, *rest: object, **more: object) -> object:
        if path == book:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", closed)
    assert main.main(["clear", str(book)]) == 2
    assert f"BOOK {book}: cannot be read (Permission denied)" in capsys.readouterr().err


def test_a_nameless_participant_of_a_parquet_book_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    book = tmp_path / "book.parquet"
    pd.DataFrame(
        {
            "side": ["buy", "sell"],
            "participant": ["a", None],
            "energy_kwh": [1.0, 1.0],
            "price_eur_per_kwh": [0.2, 0.1],
        }
    ).to_parquet(book)
    assert main.main(["clear", str(book)]) == 2
    assert "participant is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["plain", "A, B", 'the "Sun"', "two\nlines", "\u65e5\u672c", " b "]
)
def test_any_name_can_be_read_back_from_the_trades(name: str, tmp_path: Path) -> None:
    book, trades = tmp_path / "book.csv", tmp_path / "trades.csv"
    with open(book, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["side", "participant", "energy_kwh", "price_eur_per_kwh"])
        writer.writerows([["buy", name, 1, 0.2], ["sell", "c", 1, 0.1]])
    assert main.main(["clear", str(book), "-o", str(trades)]) == 0
    with open(trades, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1] == ["c", name, "1.000", "0.150000"]


def test_the_trades_of_a_book_are_written(tmp_path: Path) -> None:
    book, trades = tmp_path / "book.csv", tmp_path / "trades.csv"
    book.write_text(
        'side,participant,energy_kwh,price_eur_per_kwh\nbuy,"A, B",1,0.2\nsell,c,2,0.1\nbuy,d,0.5,0.15\n'
    )
    assert main.main(["clear", str(book), "-o", str(trades)]) == 0
    with open(trades, newline="") as file:
        assert list(csv.reader(file)) == [
            ["seller", "buyer", "energy_kwh", "price_eur_per_kwh"],
            ["c", "A, B", "1.000", "0.150000"],
            ["c", "d", "0.500", "0.125000"],
        ]


def test_the_trades_never_take_the_place_of_the_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.csv"
    content = "side,participant,energy_kwh,price_eur_per_kwh\nbuy,a,1,0.2\nsell,b,1,0.1\n"
    book.write_text(content)
    assert main.main(["clear", str(book), "-o", str(tmp_path / "." / "book.csv")]) == 2
    assert "is the book itself" in capsys.readouterr().err
    assert book.read_text() == content


@pytest.mark.parametrize("name", ["config.py", "book.csv", "trades.txt"])
def test_the_trades_never_take_the_place_of_another_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only of trades that were written before, or of an empty file."""
    book, output = tmp_path / "orders.csv", tmp_path / name
    header = "side,participant,energy_kwh,price_eur_per_kwh\n"
    book.write_text(header + "buy,a,1,0.2\nsell,b,1,0.1\n")
    output.write_text("mine")
    assert main.main(["clear", str(book), "-o", str(output)]) == 2
    told = f"--output {output}: is there already and is not a file of trades; name another file"
    assert told in capsys.readouterr().err
    assert output.read_text() == "mine"
    for content in ("", "seller,buyer,energy_kwh,price_eur_per_kwh\nold,old,1,1\n"):
        output.write_text(content)
        assert main.main(["clear", str(book), "-o", str(output)]) == 0
        assert output.read_text().endswith("\nb,a,1.000,0.150000\n")
    assert sorted(os.listdir(tmp_path)) == sorted(["orders.csv", name])


def test_all_problems_of_a_clearing_come_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without permission is told in the same form as everything else."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    output = tmp_path / "trades.csv"
    assert main.main(["clear", "absent.csv", "--mechanism", "x", "-o", str(output)]) == 2
    assert [line.strip().partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "error",
        "--mechanism x",
        f"--output {output}",
        "BOOK absent.csv",
    ]


@pytest.mark.skipif(os.name != "posix", reason="a device file of POSIX")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere/trades.csv", "name a file in an existing folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_clearing(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.csv"
    book.write_text("side,participant,energy_kwh,price_eur_per_kwh\nbuy,a,1,0.2\nsell,b,1,0.1\n")
    assert main.main(["clear", str(book), "--output", str(tmp_path / name)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, told in printed.err) == ("", True)


def test_what_is_no_plain_file_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may write in /dev would lose the device."""
    book, pipe = tmp_path / "book.csv", tmp_path / "pipe"
    book.write_text("side,participant,energy_kwh,price_eur_per_kwh\n")
    os.mkfifo(pipe)
    assert main.main(["clear", str(book), "-o", str(pipe)]) == 2
    assert "is no plain file" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_the_earlier_trades(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    book, trades = tmp_path / "book.csv", tmp_path / "trades.csv"
    book.write_text("side,participant,energy_kwh,price_eur_per_kwh\nbuy,a,1,0.2\nsell,b,1,0.1\n")
    assert main.main(["clear", str(book), "-o", str(trades)]) == 0
    before = trades.read_text()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main.main(["clear", str(book), "-o", str(trades), "--mechanism", "uniform"]) == 2
    told = f"--output {trades}: cannot be written (No space left on device)"
    assert told in capsys.readouterr().err
    assert trades.read_text() == before
    assert sorted(os.listdir(tmp_path)) == ["book.csv", "trades.csv"]
