"""Runs that many tests read: made once, by the program itself, never edited in place."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import config
import main
import settings
import simulator
import stopping

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

ALIKE = [
    *("--set=BATTERY_CAPACITY=[10,9.9999999]", "--set=PV_CAPACITY=[3,7]"),
    "--set=BASE_CONSUMPTION=[0.5,1.2]",
]
"""Options of a run with batteries of two sizes that six decimals cannot tell apart."""

posix = pytest.mark.skipif(os.name != "posix", reason="a shell and signals of POSIX")

os.environ["COLUMNS"] = "100"  # of a wide terminal, whatever the one is that starts the tests


@pytest.fixture(scope="session", autouse=True)
def signals_of_a_terminal() -> Iterator[None]:
    """A suite that a shell runs in the background inherits ignored signals; its tests send them."""
    inherited = {number: signal.getsignal(number) for number in stopping.STOPS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in set(stopping.STOPS) - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in inherited.items():
        if handler is not None:  # one that was not set from Python
            signal.signal(number, handler)


def make_settings(**changes: Any) -> settings.Settings:
    """The settings of config.py with these changes."""
    return settings.load(config, changes)


def make_run(**changes: Any) -> simulator.Run:
    """A run in memory; without ledger unless CONSENSUS says otherwise."""
    return simulator.run(simulator.prepare(make_settings(**{"CONSENSUS": "none"} | changes)))


def save_run(folder: Path, *arguments: str) -> Path:
    """A results folder made by the command line, without figures."""
    code = main.main(["--output", str(folder), "--no-plots", "--quiet", *arguments])
    assert code == 0, f"the run into {folder} ended with exit code {code}"
    return folder


@pytest.fixture(scope="session")
def default_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved default day, with ledger, without figures. Read only: copy it before changing it."""
    return save_run(tmp_path_factory.mktemp("default_day") / "results")


@pytest.fixture
def saved_run(tmp_path: Path) -> Callable[..., Path]:
    """saved_run("--steps", "3") makes a results folder with these options and returns its path."""
    return lambda *arguments: save_run(tmp_path / "results", *arguments)


@pytest.fixture(scope="session")
def homes() -> Path:
    """The folder of measured homes beside the repository; its tests skip where it is absent."""
    folder = SHARED / "data" / "homes"
    if not folder.is_dir():
        pytest.skip("the measured homes are not beside this repository")
    return folder


@pytest.fixture(scope="session")
def check_results() -> Path:
    """The independent checker beside the repository; its tests skip where it is absent."""
    tool = SHARED / "tools" / "check_results.py"
    if not tool.is_file():
        pytest.skip("check_results.py is not beside this repository")
    return tool


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """run("--seed", "7") gives (exit code, standard output, error output), in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by its path, timing.json left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "timing.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def copy(default_day: Path, tmp_path: Path) -> Path:
    """The default day in a folder that a test may damage."""
    return Path(shutil.copytree(default_day, tmp_path / "copy"))
