"""python plot_results.py: damaged folders, wrong names, a place to write; no traceback whatever happens."""

from __future__ import annotations

import errno
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, posix, save_run

import plot_results as plots
from errors import InputError
from plot_results import FIGURES


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swapped(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def replaced(old: str, new: str) -> Any:
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_dates(path: Path) -> None:
    header, *rows = path.read_text().splitlines()
    dated = [f"{header},timestamp", *(f"{row},tomorrow at noon" for row in rows)]
    path.write_text("\n".join(dated) + "\n")


DAMAGE = {
    "missing": (Path.unlink, "prosumer_energy.csv", "missing"),
    "missing json": (Path.unlink, "prosumers.json", "missing"),
    "a folder for a table": (made_a_folder, "prosumer_energy.csv", "cannot be read (Is a dir"),
    "a folder for json": (made_a_folder, "prosumers.json", "cannot be read (Is a directory)"),
    "no date": (with_dates, "community_summary.csv", "timestamp 'tomorrow at noon' is no date"),
    "cut in a row": (cut, "prosumer_energy.csv", "prosumer_energy.csv: "),
    "cut after a row": (
        lambda path: path.write_text("".join(path.read_text().splitlines(True)[:1000])),
        "prosumer_energy.csv",
        "needs 24 steps x 100 members in order, has 999 rows",
    ),
    "rows in another order": (
        lambda path: path.write_text("".join(swapped(path.read_text().splitlines(True)))),
        "prosumer_energy.csv",
        "2,400 rows in another order",
    ),
    "empty": (lambda path: path.write_text(""), "community_summary.csv", "cannot be read"),
    "no rows": (
        lambda path: path.write_text(path.read_text().split("\n")[0] + "\n"),
        "community_summary.csv",
        "no steps",
    ),
    "no column": (replaced("p2p_kwh", "p2p"), "community_summary.csv", "has no column p2p_kwh"),
    "a word for a number": (replaced(",0.000,", ",lots,"), "prosumer_energy.csv", "cannot be read"),
    "broken json": (cut, "prosumers.json", "is not JSON"),
    "other json": (lambda path: path.write_text("[1, 2]"), "prosumers.json", "no list of members"),
    "no members": (lambda path: path.write_text("[]"), "prosumers.json", "prosumers.json"),
    "other params": (
        lambda path: path.write_text("[1, 2]"),
        "params.json",
        "not a table of settings",
    ),
    "no step length": (lambda path: path.write_text("{}"), "params.json", "TIME_STEP_DURATION"),
    "a stranger": (replaced(",59,", ",5900,"), "transfers.csv", "member that is not there"),
    "a word for a setting": (
        replaced('"TIME_STEP_DURATION": ', '"TIME_STEP_DURATION": "long", "it was": '),
        "params.json",
        "TIME_STEP_DURATION = 'long' is no number",
    ),
    "a step that is not there": (
        lambda path: path.write_text(path.read_text() + "24,0,1,0.5,p2p\n"),
        "transfers.csv",
        "column timestep names what this run does not have",
    ),
    "a member without a bill": (
        lambda path: path.write_text(
            re.sub('"net_cost_eur": [^,]*', '"net_cost_eur": NaN', path.read_text(), count=1)
        ),  # fmt: skip
        "prosumers.json",
        "members without numbers",
    ),
    "bytes": (
        lambda path: path.write_bytes(bytes(range(256)) * 40),
        "all_trades.csv",
        "all_trades.csv: ",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_gives_one_message_and_exit_code_2(
    case: str, copy: Path, capsys: pytest.CaptureFixture[str]
):
    damage, name, told = DAMAGE[case]
    damage(copy / name)
    names = [
        "energy_balance",
        "p2p_vs_market",
        "trade_network",
        "money_by_party",
        "lorenz_fairness",
    ]
    assert plots.main([str(copy), "--only", ",".join(names)]) == 2
    message = capsys.readouterr().err
    headline, problem = message.splitlines()
    assert headline == "error: a problem in the input"
    assert told in problem and name in problem, message


def test_every_damaged_file_is_named(copy: Path, capsys: pytest.CaptureFixture[str]):
    names = ("prosumers.json", "blocks.csv", "all_trades.csv")
    for name in names:
        (copy / name).write_text("x")
    assert plots.main([str(copy), "--only", "trade_network"]) == 2
    headline, *problems = capsys.readouterr().err.splitlines()
    assert headline == "error: problems in the input"
    assert all(any(name in problem for problem in problems) for name in names)


def test_a_missing_folder_a_file_and_an_unknown_figure_give_exit_code_2(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for arguments, told in (
        ([str(tmp_path / "nowhere")], "no such folder"),
        ([str(default_day / "summary.json")], "is a file; name a results folder"),
        ([str(default_day), "--only", "energy_balanse"], "no figure is called 'energy_balanse'"),
        ([str(default_day), "--only", ""], "no figure is called ''"),
        ([str(default_day), "-o", str(default_day / "summary.json")], "is a file; name a folder"),
        ([str(default_day), "--onyl", "x"], "did you mean --only?"),
        ([], "required: DIR"),
    ):
        assert plots.main(arguments) == 2
        headline, problem = capsys.readouterr().err.splitlines()
        assert headline == "error: a problem in the input" and told in problem


def test_a_picture_that_cannot_be_written_leaves_no_folder(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shutil.rmtree(copy / "plots", ignore_errors=True)
    monkeypatch.setattr(plots, "write", full)
    before = sorted(copy.iterdir())
    for output in ([], ["-o", str(copy / "a" / "b")]):
        assert plots.main([str(copy), "--only", "merit_order", *output]) == 2
        assert "cannot be written (No space left on device)" in capsys.readouterr().err
        assert sorted(copy.iterdir()) == before


def test_a_misspelt_figure_is_guessed_and_all_names_are_listed_once():
    problems = plots.unknown_figures(["merit_ordr", "merit_order", "zzz", "qqq"])
    assert problems[0] == "no figure is called 'merit_ordr'; did you mean merit_order?"
    assert [problem.count("lorenz_fairness") for problem in problems] == [0, 1, 0]


def test_unknown_figures_and_a_missing_folder_are_told_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert plots.main([str(tmp_path / "nowhere"), "--only", "merit_ordr"]) == 2
    told = capsys.readouterr().err
    assert "did you mean merit_order?" in told and "no such folder" in told


def test_ctrl_c_ends_with_130(default_day: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "plot_all", stopped)
    assert plots.main([str(default_day)]) == 130


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "output"),
    [
        ("$PLOT | true; exit ${PIPESTATUS[0]}", {0, 141}, "plots"),
        ("$PLOT --help | true; exit ${PIPESTATUS[0]}", {0, 141}, "plots"),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii $PLOT", {0}, "pl\u00fcts"),
        ("timeout --preserve-status -s INT 0.4 $PLOT", {130, 0}, "plots"),
    ],
    ids=["reader gone", "reader of help gone", "ASCII only", "stopped"],
)
def test_no_traceback_whatever_becomes_of_the_terminal(
    line: str, code: set[int], output: str, default_day: Path, tmp_path: Path
):
    words = [sys.executable, REPOSITORY / "plot_results.py", default_day]
    words += ["--only", "merit_order", "-o", tmp_path / output]
    line = line.replace("$PLOT", shlex.join(map(str, words)))
    ended = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60)
    assert ended.returncode in code, ended
    assert b"Traceback" not in ended.stderr and b"Exception ignored" not in ended.stderr


HOMES = str(REPOSITORY / "examples" / "homes.csv")


@posix
def test_a_benchmark_ends_without_traceback(tmp_path: Path):
    """A file or a column that is missing, half of a pair, no runs, nowhere to write."""
    for arguments in (
        ("validation.py", "--data", "nowhere.csv", "--members", "nowhere.csv"),
        ("validation.py", "--data", "nowhere.csv"),
        ("validation.py", "--data", HOMES, "--members", HOMES.replace("homes", "members")),
        ("validation.py", "--runs", "0"),
        ("run.py", "--only", "mining", "--runs", "0", "-o", str(tmp_path / "figures.json")),
        (
            "run.py",
            "--only",
            "mining",
            "--runs",
            "1",
            "-o",
            str(tmp_path / "nowhere" / "figures.json"),
        ),
    ):
        command = [sys.executable, str(REPOSITORY / "benchmarks" / arguments[0]), *arguments[1:]]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended


@pytest.mark.parametrize("live", [True, False])
def test_drawing_moves_a_bar_in_a_terminal_and_leaves_a_file_alone(
    default_day: Path,
    tmp_path: Path,
    live: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """One stray line of many was left in the file."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: live)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    arguments = [str(default_day), "--only", "price_forecast", "-o", str(tmp_path / "pictures")]
    assert plots.main(arguments) == 0
    told = capsys.readouterr().err
    assert ("drawing" in told and "1/1" in told) == live
    assert live or not told


def test_a_picture_of_somebody_else_is_not_lost(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """It is named before anything is drawn; our own are drawn again as often as asked for."""
    taken = tmp_path / "merit_order.png"
    taken.mkdir()
    assert plots.main([str(default_day), "-o", str(tmp_path), "--only", "merit_order"]) == 2
    assert f"--output {taken}: is there already and is no figure" in capsys.readouterr().err
    taken.rmdir()
    taken.write_bytes(b"precious")
    asked = [str(default_day), "-o", str(tmp_path), "--only"]
    assert plots.main([*asked, "price_forecast,merit_order"]) == 2
    assert f"--output {taken}: is there already and is no figure" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["merit_order.png"]
    assert taken.read_bytes() == b"precious"
    for _ in range(2):
        assert plots.main([*asked, "price_forecast"]) == 0


def test_figures_of_a_ledger_that_there_is_not_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = save_run(tmp_path / "results", "--set=CONSENSUS=none", "--steps=4")
    assert plots.main([str(folder), "--only", "mining_race,energy_balance"]) == 0
    assert [path.name for path in (folder / "plots").iterdir()] == ["energy_balance.png"]
    told = capsys.readouterr().out
    assert "1 figure in " in told
    assert "without the figures of the ledger: this run has none (CONSENSUS = none)" in told


def test_plot_all_refuses_what_the_command_line_refuses(default_day: Path):
    with pytest.raises(InputError, match="no figure is called 'x'"):
        plots.plot_all(default_day, only=["x"])


@pytest.mark.slow
def test_the_command_draws_and_helps(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = [sys.executable, str(REPOSITORY / "plot_results.py"), str(default_day)]
    command += ["--only", "merit_order, lorenz_fairness", "--output", "pictures"]
    drawn = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.startswith("2 figures in pictures")
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        "merit_order.png",
        "lorenz_fairness.png",
    }
    with pytest.raises(SystemExit) as ended:
        plots.main(["--help"])
    told = capsys.readouterr().out
    assert not ended.value.code and "example:" in told and all(name in told for name in FIGURES)
    assert plots.main(["nowhere"]) == 2
    assert plots.main([]) == 2
