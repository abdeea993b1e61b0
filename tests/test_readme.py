"""README and docs: each command runs as it stands there; each file and each attack has its line."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import REPOSITORY, save_run
from test_attacks import ATTACKS

import checking
import main
import regulator
import simulator
from results_folder import FILES

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^    python main\.py([^\n#]*)|`python main\.py (-[^`]*|[a-z]+ [^`]*)`", README, re.M
)
TOO_LONG = ["--steps 672"]


@pytest.mark.slow
def test_the_commands_run_one_after_the_other_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without figures and on two seeds, to save time; in a folder that holds the examples and nothing else."""
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    lines = [(block or inline).strip() for block, inline in COMMANDS]
    assert len(lines) > 15, "the commands are not where this test looks for them"
    outputs = []
    for line in lines:
        if any(words in line for words in TOO_LONG):
            continue
        words = shlex.split(line.replace("--runs 30", "--runs 2"))
        if words != ["--settings"] and (words[:1] in ([], ["compare"]) or words[0][0] == "-"):
            words.append("--no-plots")
        if "HASH" in words:
            tip = json.loads(Path("results/summary.json").read_text())["chain_tip"]
            words[words.index("HASH")] = tip
        assert main.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
        assert "warning" not in capsys.readouterr().err
        if words[0] == "compare":
            outputs.append(words[words.index("-o") + 1] if "-o" in words else "comparison")
    assert len(outputs) == len(set(outputs)), "one comparison takes the place of another"


def test_the_examples_in_python_run_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A share between 0 and 1, a folder that is all right, the examples under another rule; then parts of one's own."""
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(regulator, "STRATEGIES", dict(regulator.STRATEGIES))
    first, second = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    names: dict[str, Any] = {}
    exec(first, names)
    share, right = capsys.readouterr().out.split()
    assert 0.5 < float(share) < 1 and right == "True"
    scenario = names["scenario"]
    assert (scenario.mechanism.name, scenario.fleet.size) == ("uniform", 4)
    exec(second, names)
    scenario, result, chain = names["scenario"], names["result"], names["chain"]
    assert (result.timestep, result.levers.p2p_bonus) == (23, 50_000)
    assert chain.tip == simulator.run(scenario).chain.tip  # type: ignore[union-attr]


def test_the_examples_of_chosen_homes_are_homes_of_the_example(tmp_path: Path) -> None:
    """flat1 and house2 by their ids; one flat and two houses by the beginning of theirs."""
    chosen = re.findall(r"--households ([\w:,]+)", README)
    counts = []
    for number, homes in enumerate(chosen):
        data = f"--data={REPOSITORY / 'examples' / 'homes.csv'}"
        folder = save_run(tmp_path / str(number), data, "--households", homes)
        counts.append(json.loads((folder / "summary.json").read_text())["members"])
    assert counts == [2, 3]


def test_the_examples_of_the_checks_ask_for_the_tip_that_this_page_prints() -> None:
    assert f"    {checking.TIP_OF_THE_DEFAULT_DAY}\n" in README


def test_what_neighbours_and_the_local_market_are_worth_is_measured(default_day: Path) -> None:
    """A trade is worth what its buyer would have paid more elsewhere, and its seller got less."""
    steps = pd.read_csv(default_day / "community_summary.csv").set_index("timestep")
    trades = pd.read_csv(default_day / "all_trades.csv")
    trades = trades.merge(steps, on="timestep", suffixes=("", "_of_step"))

    def worth_eur(kind: str, buying: str, selling: str) -> float:
        rows = trades[trades["trade_type"] == kind]
        price = rows["price_eur_per_kwh"]
        gain = (rows[f"{buying}_price_eur_per_kwh"] - price) * (rows["buyer_id"] >= 0)
        gain += (price - rows[f"{selling}_price_eur_per_kwh"]) * (rows["seller_id"] >= 0)
        return (gain * rows["energy_kwh"]).sum()

    text = " ".join(README.split())
    market = worth_eur("local_market", "grid_import", "grid_export")
    assert (
        f"the {steps['market_kwh'].sum():.1f} kWh traded there were worth {market:.2f} EUR" in text
    )
    against_the_utility = worth_eur("p2p", "grid_import", "grid_export")
    told = f"the {steps['p2p_kwh'].sum():.1f} kWh between neighbours were worth "
    assert f"{told}{against_the_utility:.2f} EUR more than at the utility's" in text
    more = worth_eur("p2p", "market_buy", "market_sell")
    assert f"only {more:.2f} EUR more than at the local market's" in text


def test_every_file_of_a_result_has_its_line() -> None:
    table = README[README.index("## Read a result") : README.index("### A typical day")]
    assert not [name for name in FILES if f"`{name}`" not in table]


def names_of_module(path: Path) -> set[str]:
    """What a module itself defines at its top level, without what it imports."""
    found = set[str]()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        goals = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        found |= {getattr(goal, "id", getattr(goal, "name", "")) for goal in goals}
    return found


def test_what_an_extension_edits_is_where_the_table_says() -> None:
    """Whoever follows the table to a file must find the name there, and not where it is only imported."""
    table = README[README.index("## Extend it") :].split("\n\n")[1]
    named = [
        (name, path)
        for *names, path in re.findall(
            r"`(\w+)`(?: (?:and|or) `(\w+)`)? (?:\(|in )`(\S+\.py)`", table
        )
        for name in names
        if name
    ]
    named += [(name, f"{module}.py") for module, name in re.findall(r"`(\w+)\.(\w{3,})`", table)]
    there = {name for name, _ in named}
    assert {"MECHANISMS", "AUCTIONS", "SHARING", "WITHOUT_MARKET", "WIDENED"} <= there
    for name, path in named:
        assert name in names_of_module(REPOSITORY / path), f"{name} is not in {path}"


def columns_of(file: Path) -> set[str]:
    """What a result file calls its numbers, at any depth."""
    if file.suffix == ".csv":
        with open(file, newline="", encoding="utf-8") as opened:
            return set(next(csv.reader(opened)))
    found, inside = set[str](), [json.loads(file.read_text(encoding="utf-8"))]
    while inside:
        value = inside.pop()
        inside += value if isinstance(value, list) else []
        if isinstance(value, dict):
            found |= set(value)
            inside += [part for name, part in value.items() if name != "versions"]
    return found


@pytest.mark.parametrize("file", [name for name in FILES if name != "params.json"])
def test_every_column_of_a_result_has_its_line_and_no_other(file: str, default_day: Path) -> None:
    """docs/results.md has a section for each file; a section may hold two of them."""
    text = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    section = next(part for part in text.split("\n## ")[1:] if file in part.splitlines()[0])
    cells = re.findall(r"^\| ([a-z0-9_, ]+) \|", section, re.M)
    told = {name for cell in cells for name in cell.split(", ")} - {"column", "timestamp"}
    files = [name for name in FILES if name in section.splitlines()[0] and name != "params.json"]
    there = set().union(*(columns_of(default_day / name) for name in files))
    assert told - {"figures_seconds"} == there


def rows_of_the_attack_table() -> list[tuple[str, set[str], set[str]]]:
    """(attack, rules that find it, tests that prove it) of docs/ledger.md."""
    text = (REPOSITORY / "docs" / "ledger.md").read_text(encoding="utf-8")
    table = text[text.index("| attack | rule that finds it |") :].split("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [(what, set(rule.split("; ")), set(tests.split(", "))) for what, rule, tests in cells]


def test_every_attack_stands_in_the_table_with_the_rule_that_finds_it() -> None:
    table = rows_of_the_attack_table()
    text = (REPOSITORY / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert f"`tests/test_attacks.py` ({len(ATTACKS)} of them" in text
    for name, (_, rule, *_) in ATTACKS.items():
        rows = [rules for _, rules, tests in table if name in tests]
        assert rows, f"{name} has no line in docs/ledger.md"
        assert any(rule in rules for rules in rows), f"{name} is found by {rule!r}, not by {rows}"


def test_every_test_that_the_attack_table_names_exists() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").glob("test_*.py")]
    exist = set(re.findall(r"^def (\w+)\(", "\n".join(texts), re.M))
    for what, _, tests in rows_of_the_attack_table():
        assert tests and not tests - exist, f"{what}: {sorted(tests - exist)}"


def test_every_attack_on_the_settings_stands_in_the_table() -> None:
    texts = [
        (REPOSITORY / "tests" / f"test_verify_{name}.py").read_text(encoding="utf-8")
        for name in ("scenario", "cheating")
    ]
    found = r"^def (test_\w+)\([^)]*\b(?:forged|cheat)\b"
    attacks = set(re.findall(found, "\n".join(texts), re.M))
    assert len(attacks) > 35, "the attacks are not where this test looks for them"
    assert attacks <= {name for *_, tests in rows_of_the_attack_table() for name in tests}


def test_the_examples_are_small() -> None:
    """To be read, and to be typed after."""
    sizes = {path.name: path.stat().st_size for path in (REPOSITORY / "examples").iterdir()}
    assert set(sizes) == {"homes.csv", "members.csv", "prices.csv", "book.csv"}
    assert max(sizes.values()) < 5000


def test_the_page_of_settings_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert main.main(["--settings"]) == 0
    shown = capsys.readouterr().out
    renew = "renew the table of docs/settings.md by: python main.py --settings"
    assert text.endswith(shown) and shown.count("\n") > 50, renew
