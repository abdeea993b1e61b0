"""The command line: exit codes, what is printed, what a stop leaves behind, and that a run can be repeated."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, contents, posix

import errors
import main
import options
import run_command
import simulator
import storage
import verification

SMALL = ["--set=NUM_PROSUMERS=6", "--set=DIFFICULTY_TARGET=1", "--steps=4", "--no-plots"]


def problems(err: str) -> list[str]:
    """The problems below the headline, which counts none: a line may stand for many."""
    headline, *lines = err.strip("\n").split("\n")
    assert headline == f"error: {'problems' if len(lines) > 1 else 'a problem'} in the input"
    return [line.removeprefix("  ") for line in lines]


# ---------------------------------------------------------------- a run


def test_a_run_ends_with_the_table_the_folder_and_the_chain_tip(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, _ = run(*SMALL, "-o", "mine")
    assert code == 0
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert out.rstrip().endswith(f"chain tip to note down: {summary['chain_tip']}")
    assert "results in mine\n" in out
    assert "6 members, 4 h, seed 42, midpoint, maximize_renewable" in out
    for word in ("energy", "P2P", "local market", "utility", "prices", "self-sufficiency"):
        assert f"│{word} " in out
    for word in ("net cost", "regulator", "balances", "bans", "ledger", "time"):
        assert f"│{word} " in out
    assert f"{summary['p2p_kwh']:,.1f} kWh in {summary['p2p_trades']:,} trades" in out


def test_energy_given_for_nothing_has_a_price_and_energy_whose_bill_is_shared_has_none(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """By the ratio of supply and demand a kWh costs nothing where the utility pays nothing for it.

    Under bill_sharing the 0 of a trade is settled at the end; without batteries or sun nobody trades.
    """

    def told(*options: str) -> tuple[str, float | None, float]:
        day = ["--set=NUM_PROSUMERS=20", "--set=DIFFICULTY_TARGET=1", "--no-plots"]
        sets = [f"--set={option}" for option in options]
        out = run(*day, *sets, "-o", "day")[1]
        summary = json.loads((tmp_path / "day" / "summary.json").read_text())
        return out, summary["p2p_price_eur_per_kwh"], summary["p2p_kwh"]

    free = told("MARKET_MECHANISM=supply_demand_ratio", "FEED_IN_PRICE=0")
    shared, nothing = (
        told("MARKET_MECHANISM=bill_sharing"),
        told("SEASON_FACTOR=0", "HAS_BATTERY=0"),
    )
    assert "P2P 0.0000, market 0." in free[0] and free[1] == 0 < free[2]
    assert "P2P -, market 0." in shared[0] and shared[1] is None and shared[2] > 0
    assert "P2P -, market 0." in nothing[0] and nothing[1] is None and nothing[2] == 0


def test_a_quiet_run_prints_nothing(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert run(*SMALL, "--quiet") == (0, "", "")
    assert (tmp_path / "results" / "params.json").is_file(), "the default folder is results/"


def test_figures_are_drawn_into_the_new_run_unless_not_wanted(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They belong to the run that is swapped in, so they are drawn before, from its saved files."""
    import plot_results

    def draw(folder: Path, *_: object, **__: object) -> None:
        assert folder.parent == tmp_path and folder.name.startswith(".results-")
        assert (folder / "summary.json").is_file()
        (folder / "plots").mkdir()
        (folder / "plots" / "energy_balance.png").write_bytes(b"")

    monkeypatch.setattr(plot_results, "plot_all", draw)
    assert run(*[word for word in SMALL if word != "--no-plots"], "--quiet")[0] == 0
    assert (tmp_path / "results" / "plots" / "energy_balance.png").is_file()
    assert run(*SMALL, "--quiet")[0] == 0
    assert not (tmp_path / "results" / "plots").exists()


def test_timing_tells_the_seconds_of_each_phase_and_the_hash_rate(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """The phases follow each other, so they cannot take longer than the whole."""
    began = time.perf_counter()
    assert run(*SMALL, "--quiet")[0] == 0
    elapsed = time.perf_counter() - began
    timing = json.loads((tmp_path / "results" / "timing.json").read_text())
    hashes = json.loads((tmp_path / "results" / "summary.json").read_text())["hashes"]
    phases = [timing[f"{name}_seconds"] for name in ("prepare", "simulate", "save")]
    assert min(phases) > 0 and sum(phases) <= timing["total_seconds"] + 1e-5 <= elapsed + 1e-5
    assert 0 < timing["mining_seconds"] <= timing["simulate_seconds"]
    assert timing["hashes_per_second"] == pytest.approx(hashes / timing["mining_seconds"], rel=0.05)
    if sys.platform == "linux":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert timing["peak_memory_mb"] <= peak / 1024 + 0.1
        assert timing["peak_memory_mb"] > 20, "Python and numpy alone need that"


def test_the_word_run_may_be_left_out(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert run(*SMALL, "--quiet", "-o", "a")[0] == run("run", *SMALL, "--quiet", "-o", "b")[0] == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_options_override_the_settings_file_and_that_overrides_config(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text('{"SEED": 1, "NUM_MINERS": 3, "NUM_PROSUMERS": 50}')
    assert run("--config", "mine.json", *SMALL, "--quiet", "--seed", "9")[0] == 0
    params = json.loads((tmp_path / "results" / "params.json").read_text())
    assert [params[name] for name in ("SEED", "NUM_MINERS", "NUM_PROSUMERS", "TIME_STEPS")] == [
        9,
        3,
        6,
        4,
    ]
    assert params["NUM_CONSUMERS"] == 0


def test_the_help_of_a_run_names_every_other_command() -> None:
    assert {"run", *run_command.OTHER_COMMANDS} == set(main.COMMANDS)


@pytest.mark.parametrize("command", sorted(main.COMMANDS))
def test_every_command_explains_itself_with_an_example(
    command: str, run: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(command, "--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert re.search("examples?: python main.py", text)


# ---------------------------------------------------------------- bad input: one list, exit code 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sed", "7"], "unrecognized arguments: --sed 7; did you mean --seed?"),
        (["--xyzzy"], "unrecognized arguments: --xyzzy; see python main.py --help"),
        (["--seed"], "argument --seed: expected one argument; see python main.py --help"),
        (["verfy"], "verfy: no such command; did you mean verify?"),
        (["--seed", "abc"], 'SEED = "abc": must be a whole number from 0 to 9,223,372,036,854,775,807'),
        (["--seed", "-1"], "SEED = -1: must be a whole number from 0 to 9,223,372,036,854,775,807"),
        (["--steps", "1.5"], "TIME_STEPS = 1.5: must be a whole number from 1 to 1,000,000 (steps)"),
        (["--steps", "0"], "TIME_STEPS = 0: must be a whole number from 1 to 1,000,000 (steps)"),
        (["--set", "SEED"], "--set SEED: write it as NAME=value, for example --set NUM_MINERS=5"),
        (["--set", "SED=1"], "SED: no such setting; did you mean SEED?"),
        (["--set", "SEED=1", "--set", "SEED=2"], "SEED: set to both 1 and 2; set it once"),
        (["--seed", "1", "--set", "SEED=2"], "SEED: set to both 2 and 1; set it once"),
        (["--steps", "1", "--set", "TIME_STEPS=2"], "TIME_STEPS: set to both 2 and 1; set it once"),
        (["--seed", "1", "--seed", "2"], "--seed: given as both 1 and 2; give it once"),
        (["-o", "a", "--output", "b"], "--output: given as both a and b; give it once"),
        (["compare", "--runs", "1", "--runs", "2"], "--runs: given as both 1 and 2; give it once"),
        (["--members", "m.csv"], "--members: describes the homes of a data file; give it with --data"),
        (["--households", "1"], "HOUSEHOLDS: picks homes of a data file; give it with --data"),
        (["--prices", "p.csv"], "--prices p.csv: no such file"),
        (["--data", "."], "--data .: is a folder; name a CSV or Parquet file"),
        (["-o", "file"], "--output file: is a file; name a folder"),
        (["verify", "nowhere"], "'nowhere': no such folder"),
        (["verify", "--rice"], "unrecognized arguments: --rice; did you mean --race?"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line_with_exit_code_2(
    arguments: list[str], told: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run(*arguments)
    assert (code, out, problems(err)) == (2, "", [told])
    assert os.listdir(tmp_path) == ["file"], "nothing was written"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--output=--"], "--output"),
        (["-o--"], "-o"),
        (["--config=--"], "--config"),
        (["--seed=--"], "--seed"),
        (["verify", "--tip=--"], "--tip"),
        (["compare", "--runs=--"], "--runs"),
        (["clear", "book.csv", "--mechanism=--"], "--mechanism"),
        (["proof", "results", "1", "--output=--"], "--output"),
    ],
)
def test_an_option_whose_value_is_two_dashes_has_none(
    words: list[str], option: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """argparse drops them: an option ended in a traceback, or was ignored without a word."""
    code, _, err = run(*words)
    assert code == 2 and problems(err)[0].startswith(f"argument {option}: expected one argument")
    assert not list(tmp_path.iterdir())


def test_the_same_value_twice_is_no_contradiction(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run(*SMALL, "--quiet", "--seed", "7", "--set", "SEED=7", "--seed", "7")[0] == 0


@pytest.mark.parametrize("command", [[], ["compare"]])
def test_an_unknown_option_does_not_hide_other_mistakes(
    command: list[str], run: Callable[..., tuple[int, str, str]]
) -> None:
    words = "--sed 7 --stps 4 --steps 1 --steps 2 --set NUM_PROSUMER=3 --data a --data b"
    code, _, err = run(*command, *words.split())
    assert code == 2
    assert problems(err) == [
        "--steps: given as both 1 and 2; give it once",
        "--data: given as both a and b; give it once",
        "unrecognized arguments: --sed 7; did you mean --seed?",
        "unrecognized arguments: --stps 4; did you mean --steps?",
        "NUM_PROSUMER: no such setting; did you mean NUM_PROSUMERS?",
        "--data b: no such file",
    ]


def test_the_problems_of_all_options_come_together(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """One attempt shows everything that is to be mended, in settings, files and folder."""
    (tmp_path / "half.json").write_text('{"SEED": 1,')
    (tmp_path / "bad.csv").write_text("timestamp,id,load_kwh,pv_kwh\n2024-06-01 00:00,1,x,0\n")
    words = (
        "--config half.json --set FOO=1 --set NUM_MINERS=0 --seed x --data bad.csv --prices p.csv"
    )
    code, _, err = run(*words.split(), "--members", "m.csv", "--output", "half.json")
    assert code == 2
    assert [told.split(":")[0].split(" =")[0] for told in problems(err)] == [
        "--output half.json",
        "--config half.json",
        "FOO",
        "SEED",
        "NUM_MINERS",
        "bad.csv, line 2",
        "bad.csv",  # one row tells no step length
        "--members m.csv",
        "--prices p.csv",
    ]


def test_what_a_file_decides_cannot_be_set_beside_it(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """It would be read and ignored."""
    rows = [f"2024-06-01 {hour:02}:00,1,1,0" for hour in range(3)]
    (tmp_path / "d.csv").write_text("\n".join(["timestamp,id,load_kwh,pv_kwh", *rows]) + "\n")
    code, _, err = run("--data", "d.csv", "--set", "SEASON_FACTOR=0.3", "--set", "NUM_PROSUMERS=5")
    assert (code, problems(err)) == (
        2,
        [
            "--set NUM_PROSUMERS: has no effect, since the file of --data says it; leave one of them out",
            "--set SEASON_FACTOR: has no effect, since the file of --data says it; leave one of them out",
        ],
    )


def test_what_a_file_decides_cannot_be_set_in_a_settings_file_either(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """But a params.json, which names all settings that there were, says only what was in force."""
    rows = [f"2024-06-01 {hour:02}:00,1,1,0" for hour in range(6)]
    (tmp_path / "d.csv").write_text("\n".join(["timestamp,id,load_kwh,pv_kwh", *rows]) + "\n")
    (tmp_path / "some.json").write_text('{"SEASON_FACTOR": 0.3, "SEED": 4}')
    code, _, err = run("--data", "d.csv", "--config", "some.json")
    told = "has no effect, since the file of --data says it; leave one of them out"
    assert (code, problems(err)) == (2, [f"--config some.json: SEASON_FACTOR: {told}"])
    assert run("--steps=2", "--no-plots", "--quiet", "-o", "synthetic")[0] == 0
    params = json.loads((tmp_path / "synthetic" / "params.json").read_text())
    del params["STORAGE_MARGIN"]
    (tmp_path / "older.json").write_text(json.dumps(params))
    for whole in ("synthetic/params.json", "older.json"):
        assert run("--data", "d.csv", "--config", whole, "--no-plots", "--quiet")[0] == 0


def test_a_run_that_no_memory_can_hold_is_refused_before_it_begins(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    began = time.perf_counter()
    code, _, err = run("--set", "NUM_PROSUMERS=1000000", "--set", "TIME_STEPS=1000000")
    (told,) = problems(err)
    assert code == 2 and time.perf_counter() - began < 2
    # 2 kB for each member and step are 1.86 million GB, 20 kB for each step and 8 for each member 26 GB
    assert told.startswith("1,000,000 members for 1,000,000 steps need about 1,862,671.2 GB of")
    assert told.endswith("use fewer members (NUM_PROSUMERS, NUM_CONSUMERS) or steps (TIME_STEPS)")


def test_memory_that_runs_out_all_the_same_is_told(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(storage, "write", exhausted)
    code, _, err = run(*SMALL, "--quiet")
    assert code == 2 and err.startswith("error: not enough memory for a run of this size")
    assert os.listdir(tmp_path) == []


def test_a_broken_law_saves_nothing_and_ends_with_1(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise errors.LawBroken("energy, step 0")

    monkeypatch.setattr(simulator, "run", broken)
    code, _, err = run(*SMALL, "--quiet")
    assert (code, err) == (
        1,
        "error: a law of the simulation broke, nothing was saved: energy, step 0\n",
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "SEED = 1\nBASE_PRICE = 0.15 EUR\n",
            "config.py, line 2: invalid syntax: BASE_PRICE = 0.15 EUR",
        ),
        ("SEED = fifty\n", "config.py, line 1: name 'fifty' is not defined"),
        ("from settings import Sead\n", "config.py, line 1: cannot import name 'Sead'"),
        ("SEED = 1\n\nNUM_MINERS = 1 / 0\n", "config.py, line 3: division by zero"),
        ("import nowhere\n", "config.py, line 1: No module named 'nowhere'"),
    ],
)
def test_a_config_that_does_not_load_is_named_with_its_line(
    text: str,
    told: str,
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "edited").mkdir()
    (tmp_path / "edited" / "config.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "edited"))
    monkeypatch.delitem(sys.modules, "config")
    code, _, err = run(*SMALL)
    (problem,) = problems(err)
    assert code == 2 and problem.startswith(told)
    assert problem.endswith("; a line reads NAME: Type = value")


def test_a_config_that_may_not_be_read_is_told_without_a_line(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told with the line of Python's own import that had tried."""

    load = importlib.import_module

    def closed(name: str) -> Any:
        if name == "config":
            raise PermissionError(13, "Permission denied", "/somewhere/config.py")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", closed)
    code, _, err = run(*SMALL)
    assert (code, problems(err)) == (
        2,
        ["config.py: cannot be read (Permission denied)"],
    )


def test_a_config_that_is_missing_is_told_as_such(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "path", [path for path in sys.path if path not in ("", str(REPOSITORY))]
    )
    monkeypatch.delitem(sys.modules, "config")
    code, _, err = run(*SMALL)
    told = "config.py: is missing; put it back beside main.py (git checkout config.py)"
    assert (code, problems(err)) == (2, [told])


def test_an_id_with_a_line_break_does_not_break_the_list(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(
        'timestamp,id,load_kwh,pv_kwh\n2024-06-01 00:00,"a\nb",1,0\n2024-06-01 01:00,c,1,0\n'
    )
    assert len(problems(run("--data", "d.csv")[2])) == 2


# ---------------------------------------------------------------- a run can be repeated


REPEATED = {
    "another seed and fewer steps": ["--seed", "7", "--steps", "3"],
    "quarter hours": ["--set", "TIME_STEP_DURATION=0.25", "--steps", "5"],
    "five minutes, rounded": ["--set", "TIME_STEP_DURATION=0.0833", "--steps", "5"],
    "lists and words": [
        "--set",
        "LOAD_PATTERN=" + json.dumps([1.5] * 24),
        "--set",
        "CONSENSUS=none",
    ],
}


@pytest.mark.parametrize("case", REPEATED)
def test_a_params_json_repeats_its_run_byte_for_byte(
    case: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    small = [word for word in SMALL if not word.startswith("--steps")]
    assert run(*small, *REPEATED[case], "--quiet", "-o", "first")[0] == 0
    again = ["--config", "first/params.json", "--no-plots", "--quiet", "-o", "second"]
    assert run(*again)[0] == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert run("--config", "first/params.json", "--no-plots", "--quiet", "-o", "first")[0] == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second"), "also in its own place"


@pytest.mark.parametrize(
    "words", [["--data="], ["--config", ""], ["-o", " "], ["verify", ""], ["proof", "--check="]]
)
def test_an_empty_name_is_not_the_folder_one_is_in(
    words: list[str], run: Callable[..., tuple[int, str, str]]
) -> None:
    """A shell leaves it where a variable has no value."""
    code, _, err = run(*words)
    assert code == 2 and "is empty; name a file or a folder" in err


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """--data and --prices: four homes, six hours in five-minute steps, and hourly prices."""
    rows = ["timestamp,household_id,load_kwh,pv_kwh"]
    for step in range(72):
        clock = f"2024-06-01 {9 + step // 12:02}:{step % 12 * 5:02}"
        rows += [f"{clock},flat {home},{0.05 + 0.01 * home},{0.02 * home}" for home in range(4)]
    (tmp_path / "homes.csv").write_text("\n".join(rows) + "\n")
    prices = [f"2024-06-01 {hour:02}:00,0.3,0.1" for hour in range(24)]
    header = "timestamp,import_price_eur_per_kwh,export_price_eur_per_kwh"
    (tmp_path / "prices.csv").write_text("\n".join([header, *prices]) + "\n")
    return ["--data", "homes.csv", "--prices", "prices.csv"]


def test_steps_cut_a_data_file_and_config_does_not(
    files: list[str], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """The file runs whole, 72 steps, although config.py says 24, unless the command line says less."""
    (tmp_path / "mine.json").write_text('{"TIME_STEPS": 5}')
    for words, steps in ((["--steps", "9"], 9), (["--set", "TIME_STEPS=9"], 9), ([], 72)):
        easy = ["--config", "mine.json", "--set", "CONSENSUS=none", "--no-plots", "--quiet"]
        assert run(*files, *words, *easy)[0] == 0
        assert json.loads((tmp_path / "results" / "params.json").read_text())["TIME_STEPS"] == steps


def test_numbers_that_look_like_another_unit_are_told_once_and_taken_as_they_are(
    files: list[str], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Five minutes at 9 kWh are 108 kW; who meant Wh, or ct instead of EUR, sees it at once."""
    few = ["--steps", "2", "--set", "CONSENSUS=none", "--no-plots"]
    assert "warning" not in run(*files, *few)[2]
    text = (tmp_path / "homes.csv").read_text().replace("flat 2,0.07", "flat 2,9.0")
    (tmp_path / "homes.csv").write_text(text)
    (tmp_path / "prices.csv").write_text(
        (tmp_path / "prices.csv").read_text().replace("0.3,0.1", "30,10")
    )
    expected = [
        "warning: --data homes.csv: household flat 2 uses 108 kWh an hour on average; "
        "loads look like Wh, kWh per step are expected",
        "warning: --prices prices.csv: a kWh costs up to 30.00 EUR; "
        "prices look like ct or EUR per MWh, EUR/kWh are expected",
    ]
    code, _, err = run(*files, *few)
    assert (code, err.split("\n")[:2]) == (0, expected)
    assert run(*files, *few, "--quiet") == (0, "", "")
    code, _, err = run("compare", *files, *few[:2], "--runs", "2", "--no-plots")
    assert (code, [line for line in err.splitlines() if line]) == (0, expected)


@pytest.mark.parametrize(
    ("readings", "columns", "sizes", "told"),
    [
        ("40", "battery_kwh,battery_kw", "9,4", ["data.csv: household flat 2 makes 480 kWh an hour on average; PV looks like Wh, kWh per step are expected"]),
        ("0.04", "battery_kwh", "5000", ["members.csv: household flat 1 has a battery of 5,000 kWh; sizes look like Wh, kWh are expected"]),
        ("0.04", "battery_kwh,battery_kw", "5,2500", ["members.csv: household flat 1 has a battery of 2,500 kW; powers look like W, kW are expected"]),
        ("0.04", "battery_kwh,pv_kwp", "5,3000", ["members.csv: household flat 1 has 3,000 kW of PV; sizes look like W, kW are expected"]),
        ("0.04", "battery_kwh,battery_kw,pv_kwp", "1000,1000,1000", []),
    ],
)  # fmt: skip
def test_sizes_and_pv_that_look_like_another_unit_are_told_once(
    readings: str,
    columns: str,
    sizes: str,
    told: list[str],
    files: list[str],
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    """Power follows from size, and size of PV from its energy, where the members file does not tell them."""
    text = (tmp_path / "homes.csv").read_text().replace(",0.04\n", f",{readings}\n")
    (tmp_path / "data.csv").write_text(text)
    other = ",".join("1" for _ in columns.split(","))
    rows = [f"flat {home},{sizes if home == 1 else other}" for home in range(4)]
    lines = [f"household_id,{columns}", *rows]
    (tmp_path / "members.csv").write_text("\n".join(lines) + "\n")
    words = ["--data", "data.csv", "--members", "members.csv", "--set", "CONSENSUS=none"]
    code, _, err = run(*words, "--no-plots")
    warnings = [line for line in err.splitlines() if line.startswith("warning")]
    due = [f"warning: --{text.partition('.')[0]} {text}" for text in told]
    assert (code, warnings) == (0, due)


@pytest.mark.parametrize("wish", [[], ["--households", "flat:2"], ["--steps", "9"]])
def test_a_params_json_repeats_a_run_with_files_if_they_are_given_again(
    wish: list[str], files: list[str], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    easy = ["--set", "DIFFICULTY_TARGET=1", "--no-plots", "--quiet"]
    assert run(*files, *wish, *easy, "-o", "first")[0] == 0
    again = ["--config", "first/params.json", "--no-plots", "--quiet", "-o", "second"]
    assert run(*again, *files)[0] == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_a_recorded_run_with_other_files_is_refused(
    files: list[str], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """One reading changed, one file left out: another run."""
    assert run(*files, "--steps", "3", "--no-plots", "--quiet", "-o", "first")[0] == 0
    text = (tmp_path / "homes.csv").read_text()
    (tmp_path / "other.csv").write_text(text.replace("0.05", "0.06", 1))
    code, _, err = run("--config", "first/params.json", "--data", "other.csv", "-o", "second")
    assert (code, problems(err)) == (
        2,
        [
            "--data other.csv: is not the homes.csv of first/params.json; contents differ",
            "--config first/params.json: the run used prices.csv; give it with --prices",
        ],
    )


@pytest.mark.parametrize("inputs", ["7", '{"data": 1}', '{"data": {"name": "a"}}'])
def test_a_recorded_run_with_nonsense_for_inputs_is_refused(
    inputs: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text(f'{{"inputs": {inputs}}}')
    code, _, err = run("--config", "p.json")
    assert (code, problems(err)) == (2, ["--config p.json: its inputs are not what a run writes"])


def test_a_folder_whose_settings_may_not_be_read_is_not_called_somebody_elses(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*SMALL, "-o", "out")[0] == 0
    read = Path.read_text

    def closed(path: Path, *ways: Any, **more: Any) -> str:
        if path.name == "params.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *ways, **more)

    monkeypatch.setattr(Path, "read_text", closed)
    code, _, err = run(*SMALL, "-o", "out")
    assert (code, problems(err)) == (2, ["--output out: cannot be read (Permission denied)"])


# ---------------------------------------------------------------- terminals and folders of all kinds


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The line in a shell, where $RUN stands for a small run."""
    command = shlex.join([sys.executable, str(REPOSITORY / "main.py"), *SMALL])
    line = line.replace("$RUN", command)
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        timeout=60,
    )


@posix
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$RUN | true; exit ${PIPESTATUS[0]}", {0, 141}),
        ("$RUN > /dev/full", {2}),
        ("$RUN >&-", {0}),
        ("$RUN 2>&-", {0}),
        ("PYTHONIOENCODING=ascii $RUN -o r\u00e9sultats", {0}),
    ],
    ids=["reader gone", "disk full", "no output", "no errors", "ASCII only"],
)
def test_results_are_saved_whatever_becomes_of_the_terminal(
    line: str, code: set[int], tmp_path: Path
) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    ended = shell(line, tmp_path)
    assert ended.returncode in code, ended
    assert b"Traceback" not in ended.stderr and b"Exception ignored" not in ended.stderr
    if "/dev/full" in line:
        assert ended.stderr.strip().endswith(b"No space left on device)")
    (folder,) = tmp_path.iterdir()
    assert (folder / "summary.json").is_file()


def test_wrong_settings_and_wrong_prices_are_told_together(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    columns = "timestep,import_price_eur_per_kwh,export_price_eur_per_kwh"
    (tmp_path / "prices.csv").write_text(f"{columns}\n0,x,0.1\n")
    code, _, err = run("--prices", "prices.csv", "--set", "NUM_MINERS=0")
    assert code == 2
    assert [told.split(": ")[0] for told in problems(err)] == [
        "NUM_MINERS = 0",
        "prices.csv, line 2",
    ]


def test_the_table_of_settings_stands_alone(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("--settings", "--seed", "7")
    told = "--settings: prints what config.py holds, beside no other option"
    assert (code, out, problems(err)) == (2, "", [told])


def test_a_folder_that_fills_the_memory_is_told_as_such(
    default_day: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(verification, "verify", full)
    code, out, err = run("verify", str(default_day))
    told = f"{default_day}: not enough memory to read it; is every file what it should be?"
    assert (code, out, problems(err)) == (2, "", [told])


@posix
def test_an_answer_that_nobody_can_read_is_none(default_day: Path, tmp_path: Path) -> None:
    """With standard output closed Python prints nothing, and without a word."""
    begin = f"{shlex.quote(sys.executable)} {shlex.quote(str(REPOSITORY / 'main.py'))}"
    day, book = shlex.quote(str(default_day)), shlex.quote(str(REPOSITORY / "examples/book.csv"))
    told = b"standard output is closed; the answer cannot be written"
    for words in (
        f"verify {day}",
        f"proof {day} 17",
        "proof --check p.json",
        f"clear {book}",
        "--settings",
    ):
        ended = shell(f"{begin} proof {day} 17 -o p.json; {begin} {words} >&-", tmp_path)
        assert (ended.returncode, told in ended.stderr) == (2, True), words
    for words in (f"verify {day} --quiet", f"proof {day} 17 -o p.json", f"clear {book} -o t.csv"):
        assert shell(f"{begin} {words} >&-", tmp_path).returncode == 0, words


@posix
def test_a_sound_folder_is_not_called_broken_because_nobody_reads_on(default_day: Path) -> None:
    """Exit code 1 says that something is wrong; the shell's own word for a reader that has gone is 141."""
    verify = shlex.join([sys.executable, str(REPOSITORY / "main.py"), "verify", str(default_day)])
    line = f"( sleep 0.2; {verify}; echo $? >&2 ) | true"
    assert shell(line, default_day).stderr.strip() == b"141"


@posix
def test_a_run_works_from_another_folder_and_writes_where_it_is_called(tmp_path: Path) -> None:
    ended = shell("$RUN --quiet", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert os.listdir(tmp_path) == ["results"]


def test_things_in_the_results_folder_survive_a_run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert run(*SMALL, "--quiet")[0] == 0
    (tmp_path / "results" / "sim_1").mkdir()
    (tmp_path / "results" / "runs.sqlite").write_bytes(b"a database")
    assert run(*SMALL, "--quiet", "--seed", "7")[0] == 0
    assert (tmp_path / "results" / "sim_1").is_dir()
    assert (tmp_path / "results" / "runs.sqlite").read_bytes() == b"a database"


def test_a_data_file_that_no_memory_can_hold_is_refused_before_the_run(
    files: list[str], run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How large it is stands in the file, so the way out is to take fewer homes or steps of it."""
    monkeypatch.setattr(options, "BYTES_PER_MEMBER", 2**50)
    code, _, err = run(*files, "--no-plots", "--quiet")
    (told,) = problems(err)
    assert code == 2 and "72 steps need about" in told
    assert told.endswith("use fewer homes (--households) or steps (--steps)")


def test_only_a_run_with_a_ledger_needs_the_memory_for_one(
    files: list[str], run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "BYTES_PER_STEP", (0, 2**50))
    arguments = [*files, "--no-plots", "--quiet"]
    assert run(*arguments)[0] == 2
    assert run(*arguments, "--set", "CONSENSUS=none")[0] == 0


@pytest.mark.parametrize(("members", "steps"), [(3000, 24), (20, 1000), (20_000, 2)])
@pytest.mark.parametrize("consensus", ["none", "pow"])
def test_a_run_needs_no_more_memory_than_the_guard_counts_with(
    consensus: str, members: int, steps: int, tmp_path: Path
) -> None:
    """The figures in options.py are measured; this notices when a run grows by a tenth."""
    code = (
        "import resource, main\n"
        f"arguments = ['--no-plots', '--quiet', '--set=CONSENSUS={consensus}', '--set=DIFFICULTY_TARGET=0']\n"
        "def peak(members, steps):\n"
        "    size = [f'--set=NUM_PROSUMERS={members}', f'--steps={steps}']\n"
        "    assert main.main([*arguments, *size, '-o', 'r']) == 0\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"print((-peak(5, 1) + peak({members}, {steps})) * 1024)\n"
    )
    if sys.platform != "linux":
        pytest.skip("ru_maxrss counts in other units elsewhere")
    known = filter(None, [os.environ.get("PYTHONPATH")])
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *known])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert int(ended.stdout) < 1.1 * options.bytes_needed(members, steps, consensus == "pow")


# ---------------------------------------------------------------- the independent checker agrees


CHECKED = {
    "seed 1": ["--seed", "1"],
    "48 steps": ["--steps", "48"],
    "15-minute steps": ["--set", "TIME_STEP_DURATION=0.25", "--steps", "96"],
    "5-minute steps": ["--set", "TIME_STEP_DURATION=0.0833", "--steps", "60"],
    "two members": ["--set", "NUM_PROSUMERS=2"],
    "a thousand members": ["--set", "NUM_PROSUMERS=1000"],
    "consumers": ["--set", "NUM_CONSUMERS=40"],
    "no ledger": ["--set", "CONSENSUS=none"],
    "winter": ["--set", "SEASON_FACTOR=0.3"],
}


def check(tool: Path, folder: Path) -> None:
    ended = subprocess.run([sys.executable, str(tool), str(folder)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert main.main(["verify", str(folder), "--quiet"]) == 0


def test_the_checker_agrees_on_the_default_day(check_results: Path, default_day: Path) -> None:
    check(check_results, default_day)


@pytest.mark.parametrize("case", CHECKED)
def test_the_checker_agrees(case: str, check_results: Path, saved_run: Callable[..., Path]) -> None:
    check(check_results, saved_run(*CHECKED[case]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 21))
def test_the_checker_agrees_on_every_seed(
    seed: int, check_results: Path, saved_run: Callable[..., Path]
) -> None:
    check(check_results, saved_run("--seed", str(seed)))


@pytest.mark.parametrize("members", [False, True])
def test_the_checker_agrees_on_the_measured_week(
    members: bool, check_results: Path, homes: Path, saved_run: Callable[..., Path]
) -> None:
    files = ["--data", str(homes / "sample_week_2017-06-05.csv")]
    files += ["--members", str(homes / "households.csv")] if members else []
    check(check_results, saved_run(*files))


def test_the_checker_agrees_on_a_run_with_files(
    check_results: Path, files: list[str], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert run(*files, "--no-plots", "--quiet")[0] == 0
    check(check_results, tmp_path / "results")
