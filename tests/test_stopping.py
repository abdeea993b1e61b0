"""Ctrl-C, a kill, a closed terminal: a command ends in one line and leaves everything as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, contents, posix, save_run

import main
import results_folder
import simulator
import stopping
import terminal

SMALL = ["--set=NUM_PROSUMERS=6", "--set=DIFFICULTY_TARGET=1", "--steps=4", "--no-plots"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run in a process of its own that mines for hours; returns when it is at work."""
    command = [sys.executable, str(REPOSITORY / "main.py"), "-o", str(folder), "--no-plots"]
    process = subprocess.Popen(
        [*command, "--set", "DIFFICULTY_TARGET=12", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not list(folder.parent.glob(f".{folder.name}-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    return process


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_in_one_line_and_leaves_everything_as_it_was(
    number: signal.Signals, tmp_path: Path
) -> None:
    folder = save_run(tmp_path / "results", *SMALL)
    before = contents(folder)
    process = start(folder)
    process.send_signal(number)
    process.send_signal(number)  # an impatient second time must not cut the clearing up short
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "stopped; earlier results are as they were"
    assert "Traceback" not in err and out == ""
    assert contents(folder) == before
    assert os.listdir(tmp_path) == ["results"]


@posix
def test_a_stopped_first_run_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path / "new" / "results")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert os.listdir(tmp_path) == []


@posix
def test_a_killed_run_leaves_the_earlier_results_and_the_next_one_works(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "results", *SMALL)
    before = contents(folder)
    process = start(folder)
    process.kill()
    process.communicate(timeout=30)
    assert contents(folder) == before
    save_run(folder, *SMALL, "--seed", "7")
    assert contents(folder) != before


class Raising:
    """Python drops what a destructor raises: a Ctrl-C that comes within one is lost."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@posix
@pytest.mark.parametrize("phase", ["simulator.run", "plot_results.plot_all"])
def test_a_stop_that_python_dropped_is_raised_again_before_results_are_replaced(
    phase: str,
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(*SMALL, "--quiet")[0] == 0
    before = contents(tmp_path / "results")
    simulate = simulator.run

    def interrupted(*arguments: Any, **_: object) -> object:
        Raising()
        return simulate(*arguments) if phase == "simulator.run" else []

    monkeypatch.setattr(phase, interrupted)
    words = [word for word in SMALL if word != "--no-plots"]
    code, out, err = run(*words, "--seed", "7", "--quiet")
    assert (code, out) == (130, "")
    assert err == "\nstopped; earlier results are as they were\n", "and no traceback"
    assert contents(tmp_path / "results") == before
    assert os.listdir(tmp_path) == ["results"]


@posix
def test_a_second_stop_counts_when_the_first_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once, where it would meet the clearing up of the first; but after a moment."""
    with stopping.stoppable():
        Raising()
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    stopping.stop_if_asked()  # and the next command begins without it


@posix
def test_what_else_python_drops_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command's own stop nobody wants to read a traceback; of an error in a destructor one does."""

    class Failing:
        def __del__(self) -> None:
            raise ValueError("in a destructor")

    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with stopping.stoppable():
        Failing()
        Raising()
    assert [dropped.exc_type for dropped in told] == [ValueError]


@posix
def test_progress_raises_a_dropped_stop_again(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with stopping.stoppable(), terminal.progress(quiet) as advance:
            Raising()
            with pytest.raises(KeyboardInterrupt):
                advance("drawing", 1, 2)


@posix
def test_clearing_up_and_moving_in_cannot_be_stopped(tmp_path: Path) -> None:
    """From the failure, or the finished run, on: the second Ctrl-C of an impatient user."""
    before = signal.getsignal(signal.SIGINT)
    with stopping.stoppable():
        with pytest.raises(KeyboardInterrupt), results_folder.replacing(tmp_path / "r"):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is before
    with results_folder.replacing(tmp_path / "r"):
        pass
    assert signal.getsignal(signal.SIGINT) is before, (
        "whoever writes a folder himself keeps his own way"
    )


@posix
def test_a_closed_terminal_stops_a_command_as_ctrl_c_does() -> None:
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} == set(stopping.STOPS)


def test_signals_are_as_before_after_a_command(run: Callable[..., tuple[int, str, str]]) -> None:
    """A notebook that calls main keeps its own way to stop."""
    before = [signal.getsignal(number) for number in stopping.STOPS]
    assert run(*SMALL, "--quiet")[0] == 0
    assert run("--sed")[0] == 2
    assert [signal.getsignal(number) for number in stopping.STOPS] == before


def test_a_command_runs_outside_the_main_thread(tmp_path: Path) -> None:
    """Only the main thread may set signals; a dashboard runs elsewhere."""
    from concurrent.futures import ThreadPoolExecutor

    arguments = [*SMALL, "--quiet", "-o", str(tmp_path / "results")]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main.main, arguments).result() == 0
