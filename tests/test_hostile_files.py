"""Files that nobody's run left behind: a clear message and exit code 2, soon, and without much memory.

Each command runs in a program of its own that may take 4 GB of addresses and 60 seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, save_run

import main
from errors import InputError
from figures.data import Results
from verification import Unreadable, verify

resource = pytest.importorskip("resource")  # what bounds the memory of a program

TABLES = ("prosumer_energy.csv", "all_trades.csv", "blocks.csv")
TARGETS = {
    **{f"verify {name}": ("results", name, ["verify", "results", "--quiet"]) for name in TABLES},
    "verify params.json": ("results", "params.json", ["verify", "results", "--quiet"]),
    "verify blockchain.json": ("results", "blockchain.json", ["verify", "results", "--quiet"]),
    "proof of a trade": ("results", "blockchain.json", ["proof", "results", "17"]),
    "check of a proof": (".", "trade.json", ["proof", "--check", "trade.json"]),
}


def fifo(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with a name")
    os.mkfifo(path)


def device(path: Path) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("this system has no /dev/zero")
    path.symlink_to("/dev/zero")


def file_that_waits(path: Path) -> None:
    if not Path("/proc/kmsg").is_file():
        pytest.skip("this system has no /proc/kmsg, a file of no bytes that waits for more")
    path.symlink_to("/proc/kmsg")


def unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path.write_text("{}")
    path.chmod(0)


def gigabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b" " * 2**20)
        file.truncate(2**30)


NOTHING_TO_READ: dict[str, Callable[[Path], object]] = {
    "pipe": fifo,
    "device": device,
    "file that waits": file_that_waits,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "unreadable": unreadable,
    "empty": Path.touch,
    "missing": lambda path: None,
}
CONTENTS = {
    "nested": b"[" * 100_000,
    "nested objects": b'{"blocks":' * 100_000,
    "nested to the last level": b"[" * 970 + b"]" * 970,
    "number of a million digits": b"9" * 10**6,
    "number of 4,300 digits": b"9" * 4_300,
    "half": b'{"version": 1, "blocks": [',
    "NaN": b'{"version": NaN}',
    "Infinity": b"-Infinity",
    "key twice": b'{"version": 1, "version": 1}',
    "not UTF-8": b'{"version": "\xff"}',
    "lone surrogate": b'"\\ud800"',
    "long text": b'"' + b"\x7f" * 10**6 + b'"',
}


@pytest.fixture
def spoilt(default_day: Path, tmp_path: Path) -> Callable[[str], Path]:
    """spoilt(target) is the path of a file that is to be spoilt, in a copy of the default day."""

    def make(target: str) -> Path:
        folder, name, _ = TARGETS[target]
        (tmp_path / "results").mkdir()
        for file in default_day.iterdir():
            if file.is_file() and file.name != name:
                (tmp_path / "results" / file.name).symlink_to(file)
        return tmp_path / folder / name

    return make


def run(target: str, folder: Path, most_memory: int = 2**32) -> None:
    """Runs the command of a target: one problem, about the file, and exit code 2."""

    def bound_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))

    _, name, command = TARGETS[target]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "main.py"), *command],
        cwd=folder,
        preexec_fn=bound_memory,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # each has a large stack of its own
    )
    first, *problems = done.stderr.splitlines()
    assert (done.returncode, first) == (2, "error: a problem in the input"), done.stderr
    assert problems[0].startswith(f"  {name}: ") and len(problems[0]) < 200
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["pipe", "device", "file that waits"])
def test_what_never_ends_is_not_read(
    target: str, kind: str, spoilt: Callable, tmp_path: Path
) -> None:
    NOTHING_TO_READ[kind](spoilt(target))
    run(target, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", [target for target in TARGETS if "energy" not in target])
def test_a_gigabyte_is_refused_before_it_is_read(
    target: str, spoilt: Callable, tmp_path: Path
) -> None:
    gigabyte(spoilt(target))
    run(target, tmp_path)


LONG_NONSENSE = {
    "list": b"[%s]",
    "member": b'{"version": [%s]}',
    "element": b'{"LIST": [[%s]]}',
    "within an element": b'{"LIST": [{"transactions": [%s]}]}',
}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["proof of a trade", "check of a proof"])
@pytest.mark.parametrize("kind", LONG_NONSENSE)
def test_nonsense_does_not_fill_the_memory(
    target: str, kind: str, spoilt: Callable, tmp_path: Path
) -> None:
    """A chain and a proof that read well, of 100 MB; as values of Python they would take 2 GB."""
    long = {"proof of a trade": b"blocks", "check of a proof": b"headers"}[target]
    shape, path = LONG_NONSENSE[kind].replace(b"LIST", long), spoilt(target)
    path.write_bytes(shape % (b"[]," * (100_000_000 // 3) + b"[]"))
    if target == "proof of a trade":
        (path.parent / "all_trades.csv").unlink()  # what bounds the chain, where it is there
    run(target, tmp_path, most_memory=2**31)


@pytest.fixture
def problems_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], list[str]]:
    """problems_of(target): what its command tells, line by line, in the program that runs the tests."""

    def told(target: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        assert main.main(TARGETS[target][2]) == 2
        out, err = capsys.readouterr()
        headline, *problems = err.splitlines()
        many = "problems" if len(problems) > 1 else "a problem"
        assert (out, headline) == ("", f"error: {many} in the input")
        return problems

    return told


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", [kind for kind in NOTHING_TO_READ if kind not in
                                  ("pipe", "device", "file that waits")])  # fmt: skip
def test_what_is_no_file_to_read_is_one_problem(
    target: str, kind: str, spoilt: Callable, problems_of: Callable[[str], list[str]]
) -> None:
    NOTHING_TO_READ[kind](spoilt(target))
    (problem,) = problems_of(target)
    assert problem.startswith(f"  {TARGETS[target][1]}: ")


@pytest.mark.parametrize("target", [target for target in TARGETS if "csv" not in target])
@pytest.mark.parametrize("kind", CONTENTS)
def test_what_is_no_such_json_is_named_and_not_quoted_at_length(
    target: str, kind: str, spoilt: Callable, problems_of: Callable[[str], list[str]]
) -> None:
    spoilt(target).write_bytes(CONTENTS[kind])
    problems = problems_of(target)
    assert problems and all(line.startswith(f"  {TARGETS[target][1]}: ") for line in problems)
    assert all(len(line) < 300 for line in problems)


def test_a_folder_that_is_none_is_one_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file", "x" * 5_000, "\0"):
        assert main.main(["proof", str(tmp_path / name), "17"]) == 2
        what = "a file, not a folder of results" if name == "file" else "no such folder"
        assert capsys.readouterr().err.rstrip().endswith(what)


def test_a_folder_without_any_results_is_called_so_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no results")
    with pytest.raises(Unreadable) as error:
        verify(tmp_path)
    assert [text.split(": ")[1] for text in error.value.problems] == [
        "holds no results; none of their files is there"
    ]


def test_more_members_than_the_rows_can_belong_to_are_not_read(
    default_day: Path, tmp_path: Path
) -> None:
    """24 steps in 250,000 bytes are of 115 members at most; some more are judged, but not as many as a file can hold."""
    folder = Path(shutil.copytree(default_day, tmp_path / "results"))
    member = {"kind": "consumer", "battery_capacity_kwh": 0, "initial_level_kwh": 0}
    many = [{"prosumer_id": i} | member for i in range(12_000)]
    (folder / "prosumers.json").write_text(json.dumps(many))
    with pytest.raises(Unreadable) as error:
        verify(folder)
    rows = (folder / "prosumer_energy.csv").stat().st_size // (24 * 90)
    told = f"prosumers.json: has more than {10_000 + rows:,} members, so many cannot belong here"
    assert told in error.value.problems


@pytest.mark.slow
def test_steps_that_no_member_has_are_not_laid_out_for_all_members(tmp_path: Path) -> None:
    """1,100 small rows of steps, times 1,000 members, would be tables of a million rows each."""
    folder = save_run(tmp_path / "results", "--steps=1", "--set=NUM_PROSUMERS=1000")
    assert verify(folder).ok
    path = folder / "community_summary.csv"
    header, row = path.read_text().splitlines()
    rows = [f"{step},{row.split(',', 1)[1]}" for step in range(1_100)]
    path.write_text("\n".join([header, *rows]) + "\n")
    told = "prosumer_energy.csv: has 1000 rows, other files say 1100 steps x 1000 members"
    with pytest.raises(Unreadable) as error:
        verify(folder)
    assert error.value.problems == [told]


def test_a_table_that_a_spreadsheet_saved_with_semicolons_is_called_so(
    default_day: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(default_day, tmp_path / "results"))
    table = folder / "all_trades.csv"
    table.write_text(table.read_text().replace(",", ";"))
    with pytest.raises(Unreadable) as error:
        verify(folder)
    told = "all_trades.csv: columns are separated by semicolons, expected are commas"
    assert error.value.problems == [told]
    with pytest.raises(InputError, match="has semicolons between its columns instead of commas"):
        Results(folder).trades  # noqa: B018
