"""`verify` finds nothing in a right folder, names what it cannot read, and misses no flipped bit."""

from __future__ import annotations

import csv
import errno
import gc
import json
import math
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import save_run
from day_by_hand import (
    AGGREGATOR,
    MINT,
    REGULATOR,
    UTILITY,
    Folder,
    Row,
    checker_says,
    decimal,
    has,
    number,
    told,
    told_by,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import main
from verification import Unreadable, verify
from verification.findings import Findings, show
from verification.folder import check_sizes
from verification.params import OUR_COLUMNS, OUR_SETTINGS
from verification.steps import check_clock_of_others, read_texts

# --------------------------------------------------------------------------------- right folders

RIGHT = {
    "as it is": {},
    "at difficulty 2": {"DIFFICULTY_TARGET": 2},
    "at difficulty 0": {"DIFFICULTY_TARGET": 0},
    "with unequal hash power": {"MINER_HASH_POWER": [3, 1, 2]},
    "with an empty list of hash power": {"MINER_HASH_POWER": []},
    "in blocks of 50": {"MAX_TRANSACTIONS_PER_BLOCK": 50},
    "one trade per block": {"MAX_TRANSACTIONS_PER_BLOCK": 1},
    "by proof of stake": {"CONSENSUS": "pos", "VALIDATOR_STAKES": [5, 0, 7]},
    "without ledger": {"CONSENSUS": "none"},
    "without reward": {"BLOCK_REWARD": 0.0},
    "without wallet": {"INITIAL_WALLET": 0.0},
    "without TIME_STEPS": {"TIME_STEPS": 0},
    "with stakes beyond 64 bits": {"CONSENSUS": "pos", "VALIDATOR_STAKES": [32 * 10**18, 0, 2**70]},
    "with a setting of ours": {"MARKET_MECHANISM": "midpoint"},
    "with homes of ours": {"PV_CAPACITY": [4.0, 9.0], "BATTERY_CAPACITY": [10.0, 12.0]},
    "with bans of our length": {"BAN_MARKET_HOURS": 1.0, "BAN_BALANCE_HOURS": 1.0},
}


@pytest.mark.parametrize("params", RIGHT.values(), ids=RIGHT)
def test_nothing_is_found_in_a_right_folder(params: Row, tmp_path: Path) -> None:
    report = verify(Folder(**params).write(tmp_path), race=True)
    assert report.ok, told_by(report)


@pytest.mark.parametrize("params", RIGHT.values(), ids=RIGHT)
def test_the_independent_checker_finds_nothing_either(params: Row, tmp_path: Path) -> None:
    assert checker_says(Folder(**params).write(tmp_path)) == 0


# --------------------------------------------------------------------------- what cannot be read

FILES = (
    "params.json", "prosumers.json", "summary.json", "simulation_log.json", "timing.json",
    "blockchain.json", "blocks.csv", "prosumer_energy.csv", "prosumer_trading.csv",
    "all_trades.csv", "regulator_actions.csv", "community_summary.csv", "transfers.csv",
    "accounts.csv",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The right folder, to be spoilt."""
    return Folder().write(tmp_path / "results")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(Unreadable) as caught:
        verify(folder)
    assert all(problem.isascii() for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert f"{name}: missing" in problems_of(folder)


def test_money_beyond_64_bits_is_not_summed_round_the_corner(tmp_path: Path) -> None:
    """16 gifts of 2^60 nano-euro are 2^64, which int64 takes for nothing: no account would show them."""
    run = Folder()
    for _ in range(16):
        run.transfer(0, UTILITY, 1, 2**60, "gift")
    told = "transfers.csv: moves more than 9,000,000,000 EUR"
    assert problems_of(run.write(tmp_path / "results")) == [told]


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "timing.json").write_text("{}")  # with no file at all it is no results folder
    missing = set(FILES) - {"timing.json"}
    assert {problem.split(":")[0] for problem in problems_of(tmp_path)} == missing


@pytest.mark.parametrize("name", ["nowhere", "file", "file/below", "\0", "x" * 5_000])
def test_what_is_no_folder_is_one_problem(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (problem,) = problems_of(tmp_path / name)
    assert problem.endswith(
        "a file, not a folder of results" if name == "file" else "no such folder"
    )


def test_a_folder_that_may_not_be_entered_is_told_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "holds no results" it sent people looking for their files."""

    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", closed)
    (problem,) = problems_of(folder)
    assert problem.endswith(": cannot be read (Permission denied)")


@pytest.mark.parametrize("name", FILES)
def test_a_disk_that_fails_while_it_is_read_is_told(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system says of the disk, not what half a file would be taken for."""
    usual = Path.open

    def failing(path: Path, *how: Any) -> Any:
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return usual(path, *how)

    monkeypatch.setattr(Path, "open", failing)
    assert problems_of(folder) == [f"{name}: cannot be read (Input/output error)"]


@pytest.mark.parametrize("name", FILES[1:])  # by the first one the folder is tried
def test_a_file_that_may_not_be_looked_at_is_told_as_such(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a folder may be listed and not entered."""
    usual = Path.stat

    def closed(path: Path, **how: Any) -> Any:
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, **how)

    monkeypatch.setattr(Path, "stat", closed)
    monkeypatch.setattr(Path, "is_file", lambda path: stat.S_ISREG(path.stat().st_mode))
    monkeypatch.setattr(Path, "exists", lambda path: bool(path.stat()))
    assert f"{name}: cannot be read (Permission denied)" in problems_of(folder)


def test_a_table_that_went_away_while_it_was_read_is_told(folder: Path) -> None:
    (folder / "community_summary.csv").unlink()
    with pytest.raises(Unreadable, match="community_summary.csv: No such file or directory"):
        read_texts(folder)


def test_a_value_nested_without_end_can_be_shown() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert show(nested) == "something nested deeply"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize("more", ["x", "[]", "\0"])
def test_nothing_stands_behind_what_a_json_file_holds(name: str, more: str, folder: Path) -> None:
    """Two values in one file: each reader could take another one."""
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(more)
    assert any(
        problem.startswith(f"{name}: is not readable JSON") for problem in problems_of(folder)
    )


@pytest.mark.parametrize("name", FILES)
def test_half_a_file_is_found(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    try:
        assert not verify(folder).ok
    except Unreadable as error:
        assert any(problem.startswith(name) for problem in error.problems)


TELL_TOO_LITTLE = {
    ("simulation_log.json", b"[]"),
    ("prosumers.json", b"[]"),
    ("summary.json", b"{}"),
}
"""These read well."""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff\xfe\x00", b"null", b"[]", b"{}", b"NaN", b"[" * 100_000, b"1" * 5_000,
     b'{"a": 1, "a": 2}', b'"\\ud800"', b"\x00" * 1_000, b"a,b\n1,2\n", b'"', b"x" * 100_000],
    ids=["nothing", "a line feed", "not UTF-8", "null", "list", "object", "NaN", "nested", "digits",
         "a key twice", "lone surrogate", "zero bytes", "other table", "quote", "one long line"],
)  # fmt: skip
def test_a_file_of_something_else_cannot_be_read(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    if name == "timing.json" and content == b"{}":
        assert verify(folder).ok
    elif (name, content) in TELL_TOO_LITTLE:
        assert not verify(folder).ok
    else:
        assert any(problem.startswith(name) for problem in problems_of(folder))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_cannot_be_read(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert f"{name}: is not a file" in problems_of(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "prosumer_energy.csv"])
def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(name: str, folder: Path) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(2**30)
    assert any(
        problem.startswith(f"{name}: has 1,073,741,824 bytes") for problem in problems_of(folder)
    )


def test_a_gigabyte_of_meters_is_refused_at_its_first_bad_line(folder: Path) -> None:
    with (folder / "prosumer_energy.csv").open("r+b") as file:
        file.truncate(2**30)
    assert any(problem.startswith("prosumer_energy.csv") for problem in problems_of(folder))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"nonce": ', '"nonce": "'), ('"nonce": ', '"nonce": 1.0, "x": '), ('"height": 1', '"height": true'),
     ('"energy_wh": 1000', '"energy_wh": 1000.0'), ('"energy_wh": 1000', '"energy_wh": null'),
     ('"energy_wh": 1000', '"energy_wh": [1000]'), ('"energy_wh": 1000', '"energy_wh": NaN'),
     ('"energy_wh": 1000', '"energy_wh": Infinity'), ('"energy_wh": 1000', '"energy_wh": 1e3'),
     ('"energy_wh": 1000', '"energy_wh": ' + "9" * 5000), ('"energy_wh": 1000', '"energy": 1000'),
     ('"energy_wh": 1000', '"energy_wh": 1, "energy_wh": 1000'), ('"kind": 1', '"kind": true'),
     ('"version": 1', '"version": "1"'), ('"miners": 3', '"miners": 3.0'),
     ('"transactions": []', '"transactions": {}'), ('"transactions": []', '"transactions": [[]]'),
     ('"transactions": []', '"transactions": [{}]'), ('"blocks": [', '"blocks": [[], '),
     ('"block_reward_eur": "0.100000000"', '"block_reward_eur": 0.1')],
)  # fmt: skip
def test_wrong_types_on_the_chain_cannot_be_read(old: str, new: str, folder: Path) -> None:
    path = folder / "blockchain.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert all(problem.startswith("blockchain.json") for problem in problems_of(folder))


@pytest.mark.parametrize("lone", ['"\\ud800"', '"\\u0000"', '"{}"'])
def test_a_text_that_is_no_hash_is_a_finding_that_can_be_printed(lone: str, folder: Path) -> None:
    path = folder / "blockchain.json"
    chain = json.loads(path.read_text(encoding="utf-8"))
    tip = chain["blocks"][-1]["block_hash"]
    text = path.read_text(encoding="utf-8").replace(f'"{tip}"', lone)
    path.write_text(text, encoding="utf-8")
    report = verify(folder)
    assert has(report, "hash text", "block 4")
    assert told_by(report).isascii()


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [("all_trades.csv", ",1.000,", ",1.0,", "line 2: energy_kwh is '1.0'"),
     ("all_trades.csv", ",1.000,", ",abc,", "line 2: energy_kwh is 'abc'"),
     ("all_trades.csv", ",1.000,", ",1e3,", "line 2: energy_kwh is '1e3'"),
     ("all_trades.csv", ",1.000,", ",,", "line 2: energy_kwh is ''"),
     ("all_trades.csv", ",1.000,", ",nan,", "line 2: energy_kwh is 'nan'"),
     ("all_trades.csv", ",1.000,", ", 1.000,", "line 2: energy_kwh is ' 1.000'"),
     ("all_trades.csv", ",1.000,", ",٣.000,", "line 2: energy_kwh is"),
     ("all_trades.csv", ",1.000,", ",2000001.000,", "is beyond 2,000,000"),
     ("all_trades.csv", ",0.112000,", ",2001.000000,", "is beyond 2,000"),
     ("all_trades.csv", "0.112000000", "9999999999.112000000", "is too large a number"),
     ("all_trades.csv", ",1.000,", ",1.000,1.000,", "line 2 has 12 fields, the header has 11"),
     ("all_trades.csv", "energy_kwh", "energy_wh", "columns missing: energy_kwh"),
     ("all_trades.csv", "energy_kwh,", "energy_kwh,energy_kwh,", "two columns"),
     ("all_trades.csv", "\n", "\r\n", "carriage return"),
     ("blocks.csv", "nonce", "once", "columns missing: nonce"),
     ("prosumer_trading.csv", "False", "maybe", "line 2: is_banned is 'maybe'"),
     ("params.json", '"pow"', '"poa"', "CONSENSUS is 'poa', should be one of pow, pos, none"),
     ("params.json", '"NUM_MINERS": 3', '"NUM_MINERS": 0', "NUM_MINERS is 0"),
     ("params.json", '"NUM_MINERS": 3', '"NUM_MINERS": true', "NUM_MINERS is True"),
     ("params.json", '"MAX_TRADE_CAP": 3.0', '"MAX_TRADE_CAP": 1e999', "MAX_TRADE_CAP is inf"),
     ("params.json", '"SEED": 7', '"SEED": 7, "MINER_HASH_POWER": [1]', "list of 3 whole numbers"),
     ("prosumers.json", '"consumer"', '"producer"', "member 2: kind is 'producer'"),
     ("prosumers.json", '"initial_level_kwh": 5.0', '"initial_level_kwh": "5"', "member 0: initial")],
)  # fmt: skip
def test_a_problem_names_file_place_and_value(
    name: str, old: str, new: str, why: str, folder: Path
) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_bytes(text.replace(old, new, 1).encode())
    problems = problems_of(folder)
    assert any(problem.startswith(name) and why in problem for problem in problems), problems


def test_problems_of_all_files_are_told_together_and_not_endlessly(folder: Path) -> None:
    chain = (folder / "blockchain.json").read_text(encoding="utf-8")
    (folder / "blockchain.json").write_text(chain.replace('"kind": 1', '"kind": "1"'))
    (folder / "prosumers.json").write_text(json.dumps([{} for _ in range(100)]))
    (folder / "accounts.csv").unlink()
    problems = problems_of(folder)
    assert {p.split(":")[0] for p in problems} == {
        "blockchain.json", "prosumers.json", "accounts.csv"
    }  # fmt: skip
    assert "prosumers.json: 380 more problems" in problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prosumers.json", "[" + "{}," * 300_000 + "0]"),
        ("prosumers.json", "[" + "null," * 300_000 + "null]"),
        ("blockchain.json", '{"blocks": [' + "{}," * 300_000 + "0]}"),
        ("blockchain.json", '{"blocks": [{"transactions": [' + "0," * 300_000 + "0]}]}"),
    ],
    ids=["members", "no members", "blocks", "transactions"],
)
def test_what_is_wrong_from_end_to_end_is_not_read_to_the_end(
    name: str, text: str, folder: Path
) -> None:
    """Each of these took more than ten seconds when every element was judged."""
    (folder / name).write_text(text)
    began = time.process_time()
    problems = problems_of(folder)
    assert len(problems) < 50
    assert time.process_time() - began < 5


def test_of_transactions_that_are_none_the_first_are_told(folder: Path) -> None:
    """The block around them is whole, so each is judged for itself."""
    chain = json.loads((folder / "blockchain.json").read_text())
    chain["blocks"][1]["transactions"] = [0] * 100_000
    (folder / "blockchain.json").write_text(json.dumps(chain))
    problems = problems_of(folder)
    assert problems[0] == "blockchain.json: block 1, transaction 0 is 0, should be an object"
    assert problems[-1] == "blockchain.json: 980 more problems, not read further"


def test_a_log_of_more_steps_than_the_run_can_have_is_not_read_on(folder: Path) -> None:
    (folder / "simulation_log.json").write_text("[" + "0," * 400_000 + "0]")
    (problem,) = problems_of(folder)
    assert problem.startswith("simulation_log.json: has more than 250,0")
    assert problem.endswith(" steps, so many cannot belong here")


@pytest.mark.parametrize(("miners", "told"), [(10**8, 0), (2 * 10**8, 1)])
def test_payments_between_more_parties_than_64_bits_can_name_are_refused(
    miners: int, told: int
) -> None:
    """A reason, a step and two parties are one number: of ten reasons and 24 steps 2.4e18, and four times as many.

    No file that memory holds has so many today; this does not hang on how many miners a setting may name.
    """
    reader = Mock(problem=Mock())
    many = SimpleNamespace(chain=SimpleNamespace(miners=miners))
    nothing = {"amount_nanoeur": np.zeros(0, np.int64)}
    check_sizes(reader, many, 100, 2400, 24, nothing)  # type: ignore[arg-type]
    assert reader.problem.call_count == told


def test_a_chain_of_a_hundred_names_is_none(folder: Path) -> None:
    """Read name by name, so that a gigabyte of them does not stay in memory."""
    chain = json.loads((folder / "blockchain.json").read_text())
    more = {f"more {k}": 0 for k in range(200)} | chain
    (folder / "blockchain.json").write_text(json.dumps(more))
    (problem,) = problems_of(folder)
    assert "more than 100 names in an object" in problem


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".csv")])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [(lambda text: text[:-1], "the last line does not end with a line feed"),
     (lambda text: text.replace("\n", ",1\n").replace(",1\n", "\n", 1), "line 2 has"),
     (lambda text: text.replace("\n", "\n\n", 2), "line 2 has 1 fields"),
     (lambda text: text.split("\n")[0], "the header does not end with a line feed"),
     (lambda text: "", "is empty")],
    ids=["line cut", "field too many", "empty line", "header alone", "nothing"],
)  # fmt: skip
def test_every_table_is_cut_into_rows_as_strictly(
    name: str, spoil: Callable[[str], str], why: str, folder: Path
) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(spoil(text), encoding="utf-8", newline="\n")
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{name}: {why}")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".csv")])
def test_rows_without_end_are_one_problem(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well-formed rows as well: memory is bounded, by 250,000 rows beyond what can belong there."""
    if name == "blocks.csv":
        pytest.skip("its size is bounded by that of all_trades.csv")
    monkeypatch.setattr("verification.folder.SLACK_ROWS", 10_000)
    header, *rows = (folder / name).read_text(encoding="utf-8").splitlines()
    more = [rows[i % len(rows)] for i in range(25_000)]
    (folder / name).write_text("\n".join([header, *more]) + "\n", encoding="utf-8")
    (problem,) = problems_of(folder)
    assert problem.endswith(("rows, so many cannot belong here", "can belong here"))
    assert problem.startswith(f"{name}: has ")


@pytest.mark.parametrize("name", ["all_trades.csv", "transfers.csv", "prosumer_energy.csv"])
def test_rows_repeated_thousands_of_times_read_well_and_are_wrong(name: str, folder: Path) -> None:
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(5_000 * (folder / name).read_text(encoding="utf-8").splitlines(True)[-1])
    assert not verify(folder).ok
    assert checker_says(folder) == 1


def test_a_block_repeated_hundreds_of_times_is_named(folder: Path) -> None:
    path = folder / "blockchain.json"
    chain = json.loads(path.read_text(encoding="utf-8"))
    chain["blocks"] += 400 * chain["blocks"][-1:]
    path.write_text(json.dumps(chain, indent=1), encoding="utf-8")
    report = verify(folder)
    assert has(report, "height", "block 404"), told_by(report)
    assert checker_says(folder) == 1


def test_no_limit_price_is_larger_than_any_price(folder: Path) -> None:
    path = folder / "prosumer_trading.csv"
    header, first, *rows = path.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index("limit_price_eur_per_kwh")] = "2000.000001"
    path.write_text("\n".join([header, ",".join(cells), *rows]) + "\n")
    told = "limit_price_eur_per_kwh is '2000.000001', is beyond 2,000"
    assert problems_of(folder)[0] == f"prosumer_trading.csv: line 2: {told}"


@pytest.mark.parametrize("limit", ["-0.000001", "-1.000000", "-2000.000001"])
def test_no_limit_price_passes_for_none(limit: str, folder: Path) -> None:
    """Member 2 is banned in step 2 and has no limit: nothing that a file says may read as that."""
    path = folder / "prosumer_trading.csv"
    text = path.read_text(encoding="utf-8")
    assert ",banned,True,0.000,," in text
    path.write_text(text.replace(",banned,True,0.000,,", f",banned,True,0.000,{limit},"))
    assert f"limit_price_eur_per_kwh is '{limit}'" in problems_of(folder)[0]


@pytest.mark.parametrize(
    "name", ["height", "timestep", "miner", "difficulty", "nonce", "hashes_tried"]
)
@pytest.mark.parametrize("value", [9 * 10**4299, -9 * 10**4298, 2**64, -1], ids=int.bit_length)
def test_a_number_that_no_field_holds_is_found(name: str, value: int, tmp_path: Path) -> None:
    """Two of 4,300 digits have a sum of 4,301, which Python turns into no text."""
    run = Folder()
    for block in run.chain["blocks"][1:3]:
        block[name] = value
    report = verify(run.write(tmp_path))
    assert has(report, "number range", "block 1"), told_by(report)
    assert has(report, "number range", "block 2")


@pytest.mark.parametrize("digits", [10**101, 17 * 10**307, 10**4000], ids=int.bit_length)
def test_figures_of_hundreds_of_digits_are_found(digits: int, tmp_path: Path) -> None:
    run = Folder()
    run.summary |= {"net_cost_alone_eur": digits, "net_cost_eur": -digits, "savings_eur": 0.0}
    assert has(verify(run.write(tmp_path)), "summary", "summary.json")


def test_quoted_fields_and_extra_columns_are_welcome(folder: Path) -> None:
    for name in ("regulator_actions.csv", "transfers.csv"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        more = [f'{line},"a note, quoted"' for line in lines[1:]]
        (folder / name).write_text("\n".join([lines[0] + ",note", *more]) + "\n", encoding="utf-8")
    assert verify(folder).ok


def test_findings_are_counted_though_only_the_first_thousand_of_a_rule_are_kept(
    tmp_path: Path,
) -> None:
    run = Folder()
    run.transfers += [run.transfers[0] | {"payee_id": 99} for _ in range(1_500)]
    report = verify(run.write(tmp_path))
    kept = [finding for finding in report.findings if finding.rule == "unknown party"]
    assert (report.totals["unknown party"], len(kept)) == (1_500, 1_000)
    assert "1,500 x unknown party" in report.summary()


# ------------------------------------------------------------------------------------ properties


@pytest.fixture(scope="module")
def right_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder to spoil again and again, and what its files held."""
    folder = Folder().write(tmp_path_factory.mktemp("right") / "results")
    return folder, {name: (folder / name).read_bytes() for name in FILES}


def is_found(folder: Path) -> bool:
    """Whether verify finds anything, readable or not; any other exception fails the test."""
    try:
        return not verify(folder).ok
    except Unreadable:
        return True


def same_values(old: bytes, new: bytes) -> bool:
    try:
        return bool(json.loads(old) == json.loads(new))
    except ValueError:
        return False


MANY = settings(
    max_examples=int(os.environ.get("VERIFY_EXAMPLES", "250")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@MANY
@given(data=st.data())
def test_any_flipped_bit_of_the_chain_that_changes_a_value_is_found(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    old = files["blockchain.json"]
    place, bit = data.draw(st.integers(0, len(old) - 1)), data.draw(st.integers(0, 7))
    new = bytearray(old)
    new[place] ^= 1 << bit
    (folder / "blockchain.json").write_bytes(new)
    try:
        assert is_found(folder) != same_values(old, bytes(new))
    finally:
        (folder / "blockchain.json").write_bytes(old)


FREE_COLUMNS = {"ban_reason", "limit_price_eur_per_kwh", "order_kwh"}
ROUNDED_COLUMNS = {"battery_level_kwh", "battery_soc"}


@MANY
@given(data=st.data())
def test_any_changed_digit_of_a_table_that_the_laws_determine_is_found(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    name = data.draw(st.sampled_from([name for name in FILES if name.endswith(".csv")]))
    lines = files[name].decode().splitlines()
    row = data.draw(st.integers(1, len(lines) - 1))
    header, fields = lines[0].split(","), lines[row].split(",")
    column = data.draw(st.sampled_from([
        i for i, title in enumerate(header)
        if title not in FREE_COLUMNS | ROUNDED_COLUMNS and any(map(str.isdigit, fields[i]))
    ]))  # fmt: skip
    place = data.draw(st.sampled_from([i for i, c in enumerate(fields[column]) if c.isdigit()]))
    old = int(fields[column][place])
    digit = data.draw(st.integers(0, 9).filter(lambda new: new != old))
    fields[column] = fields[column][:place] + str(digit) + fields[column][place + 1 :]
    lines[row] = ",".join(fields)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        assert is_found(folder), f"{name} line {row + 1}: {header[column]} = {fields[column]}"
    finally:
        (folder / name).write_bytes(files[name])


@MANY
@given(data=st.data())
def test_no_bytes_whatever_end_in_a_traceback(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    name = data.draw(st.sampled_from(FILES))
    old = files[name]
    begin = data.draw(st.integers(0, len(old)))
    end = data.draw(st.integers(begin, min(len(old), begin + 200)))
    splinters = [b"", b"-", b"0", b"9" * 20, b"9" * 5000, b"\n", b",", b'"', b"null", b"true", b"{}",
                 b"[", b"-1", b"1e400", b"\\ud800", b"\xf0\x9f\x98\x80"]  # fmt: skip
    middle = data.draw(st.one_of(st.sampled_from(splinters), st.binary(max_size=20)))
    (folder / name).write_bytes(old[:begin] + middle + old[end:])
    try:
        is_found(folder)
    finally:
        (folder / name).write_bytes(old)


# --------------------------------------------------------------------------- the project's own day


@pytest.fixture
def own_day(default_day: Path, tmp_path: Path) -> Path:
    """The default day, to be spoilt."""
    shutil.copytree(default_day, tmp_path / "day")
    return tmp_path / "day"


def test_nothing_is_found_in_the_default_day(own_day: Path) -> None:
    report = verify(own_day, race=True)
    assert report.ok, told_by(report)
    assert checker_says(own_day) == 0


@pytest.mark.parametrize("name", ["all_trades.csv", "transfers.csv", "accounts.csv"])
def test_a_changed_digit_in_the_default_day_is_found_by_both(name: str, own_day: Path) -> None:
    lines = (own_day / name).read_text(encoding="utf-8").splitlines()
    row = next(
        i for i, line in enumerate(lines) if i > len(lines) // 3 and "1.0" in line or i == 40
    )
    digit = lines[row].rindex(".") + 3
    changed = str((int(lines[row][digit]) + 1) % 10)
    lines[row] = lines[row][:digit] + changed + lines[row][digit + 1 :]
    (own_day / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not verify(own_day).ok
    assert checker_says(own_day) == 1


def test_an_edited_block_of_the_default_day_is_named(own_day: Path) -> None:
    path = own_day / "blockchain.json"
    chain = json.loads(path.read_text(encoding="utf-8"))
    height = len(chain["blocks"]) // 2
    edited = chain["blocks"][height]["transactions"][0]
    edited["price_microeur_per_kwh"] += 1
    path.write_text(json.dumps(chain), encoding="utf-8")
    report = verify(own_day)
    assert has(report, "tx_id", f"block {height}, trade {edited['trade_id']}"), told_by(report)
    assert has(report, "merkle root", f"block {height}")
    assert checker_says(own_day) == 1


# ------------------------------------------------------------------- what another program may write


def test_every_field_of_a_table_may_stand_in_quotation_marks(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    assert verify(folder).ok


@pytest.mark.parametrize(
    "change",
    [
        {"MARKET_MECHANISM": 3},
        {"LOAD_PATTERN": ["much"]},
        {"LOAD_PATTERN": []},
        {"PV_CAPACITY": 5},
        {"BATTERY_C_RATE": "fast"},
    ],
)
def test_settings_that_another_program_shares_with_ours_have_their_type(
    change: dict[str, object], tmp_path: Path
) -> None:
    folder = Folder().write(tmp_path)
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(params | change))
    (problem,) = problems_of(folder)
    assert problem.startswith(f"params.json: {next(iter(change))} is ")


@pytest.mark.parametrize("told", [["1", "2"], None, 5])
def test_settings_that_no_law_reads_are_another_programs_own(told: object, tmp_path: Path) -> None:
    run = Folder(HOUSEHOLDS=told, QUOTE_MARGIN=told, CLOUD_PERSISTENCE=told)
    assert verify(run.write(tmp_path)).ok


@pytest.mark.parametrize("power", [{}, 0, "", False])
def test_hash_power_that_is_no_list_is_not_taken_for_equal(power: object, tmp_path: Path) -> None:
    (problem,) = problems_of(Folder(MINER_HASH_POWER=power).write(tmp_path))
    assert problem.startswith("params.json: MINER_HASH_POWER is ")


def test_without_a_ledger_another_program_need_not_speak_of_one(tmp_path: Path) -> None:
    run = Folder(CONSENSUS="none")
    for name in ("NUM_MINERS", "DIFFICULTY_TARGET", "BLOCK_REWARD", "MAX_TRANSACTIONS_PER_BLOCK"):
        del run.params[name]
    written = run.write(tmp_path)
    found = {finding.rule for finding in verify(written).findings}
    assert found <= {"accounts", "unknown party"}, "its miners' accounts are another matter"


@pytest.mark.parametrize("more_nanoeur_per_wh", [0, 1, -1])
def test_the_spread_of_another_program_is_that_of_the_crossing_too(
    more_nanoeur_per_wh: int, tmp_path: Path
) -> None:
    """The same for each Wh of a step, but a micro-euro per kWh away from what bids and asks make it."""
    options = ("--set=CONSENSUS=none", "--set=MARKET_MECHANISM=huang", "--set=NUM_PROSUMERS=20")
    day = of_another_program(save_run(tmp_path / "day", *options), without="BASE_PRICE")
    bought = pd.read_csv(day / "prosumer_energy.csv").set_index(["timestep", "prosumer_id"])

    def change(rows: list[dict[str, str]]) -> None:
        for row in (row for row in rows if row["reason"] == "auction_spread"):
            kwh = bought["p2p_bought_kwh"][int(row["timestep"]), int(row["payer_id"])]
            row["amount_eur"] = f"{float(row['amount_eur']) + more_nanoeur_per_wh * kwh / 1e6:.9f}"

    found = changed(day, "transfers.csv", change)
    assert ("auction_spread due" in found) == bool(more_nanoeur_per_wh)


def test_what_is_taken_from_a_run_of_ours_is_missed(own_day: Path) -> None:
    """Its columns alone, or half of its settings alone: neither makes it a folder of another program."""
    path = own_day / "params.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    few = {name: value for name, value in told.items() if name not in OUR_SETTINGS[:22]}
    path.write_text(json.dumps(few), encoding="utf-8")
    with pytest.raises(Unreadable, match="is missing"):
        verify(own_day)
    of_another_program(own_day)
    for lost in ("", "VERBOSE", "QUOTE_MARGIN"):
        left = {name: value for name, value in told.items() if name != lost}
        path.write_text(json.dumps(left), encoding="utf-8")
        with pytest.raises(Unreadable, match="columns missing"):
            verify(own_day)


def test_columns_in_quotation_marks_are_columns_of_ours(own_day: Path) -> None:
    """Else a setting could be taken away, and every reader of tables would still see a day of ours."""
    for name in ("regulator_actions.csv", "community_summary.csv"):
        path = own_day / name
        head, rest = path.read_text(encoding="utf-8").split("\n", 1)
        quoted = ",".join(f'"{column}"' for column in head.split(","))
        path.write_text(f"{quoted}\n{rest}", encoding="utf-8")
    assert verify(own_day).ok and verify(own_day).ours
    path = own_day / "params.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {"OFFER_SHARE": None}), encoding="utf-8")
    with pytest.raises(Unreadable, match="OFFER_SHARE"):
        verify(own_day)
    del told["OFFER_SHARE"]
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(Unreadable, match="OFFER_SHARE is missing"):
        verify(own_day)


def test_a_ban_may_have_another_reason(tmp_path: Path) -> None:
    run = Folder()
    for row in run.actions:
        row["ban_reason"] = row["ban_reason"] and "too much market, says another regulator"
    assert any(row["ban_reason"] for row in run.actions)
    written = run.write(tmp_path)
    assert verify(written).ok and checker_says(written) == 0


@pytest.mark.parametrize("rate", [1e15, 1e99])
def test_another_program_may_have_batteries_as_strong_as_it_likes(
    rate: float, own_day: Path
) -> None:
    """Of one of our own runs, whose settings end at 10, that is no number to reckon with."""
    path = own_day / "params.json"
    params = json.loads(path.read_text(encoding="utf-8")) | {"BATTERY_C_RATE": rate}
    path.write_text(json.dumps(params), encoding="utf-8")
    with pytest.raises(Unreadable, match="BATTERY_C_RATE"):
        verify(own_day)
    found = verify(of_another_program(own_day)).findings
    assert not any(finding.rule == "battery power" for finding in found)


def nothing_was_due(run: Folder) -> None:
    run.transfers.append({"timestep": 1, "payer_id": REGULATOR, "payee_id": 0,
                          "amount_nanoeur": 0, "reason": "p2p_bonus"})  # fmt: skip


def homes_and_versions_of_other_kinds(run: Folder) -> None:
    run.summary["versions"] = "another program 2.1"
    for rows in (run.members, run.energy):
        for row in rows:
            row["home_type"] = int(row["home_type"].removeprefix("type "))


def settings_that_mean_nothing_to_it(run: Folder) -> None:
    """It caps no trade, and what members bring with them is told by their accounts alone."""
    del run.params["MAX_TRADE_CAP"], run.params["INITIAL_WALLET"]
    run.derive()
    run.accounts[0]["opening_nanoeur"] += 7
    run.accounts[0]["balance_nanoeur"] += 7
    run.members[0]["final_balance_eur"] += 7e-9


def no_cap_and_no_wallet_of_all(run: Folder) -> None:
    """As JSON says it, where the names are there."""
    run.params |= {"MAX_TRADE_CAP": None, "INITIAL_WALLET": None}
    run.derive()


def load_that_was_shed_and_paid_for(run: Folder) -> None:
    """Half a kWh at 3 EUR/kWh, which the utility pays, under a word of that program."""
    for row in run.energy:
        row["shed_kwh"] = "0.500" if row["timestep"] == row["prosumer_id"] == 0 else "0.000"
    run.transfer(0, UTILITY, 0, 1_500_000_000, "load_shedding")
    run.settle()
    run.sum_up()


def sun_that_no_battery_and_no_line_could_take(run: Folder) -> None:
    run.at(0, 0).update(pv_wh=3300, curtailed_wh=300)
    run.derive()


def an_institution_that_brings_money(run: Folder) -> None:
    for row in run.accounts:
        if row["account_id"] == UTILITY:
            row["opening_nanoeur"] += 1000 * 10**9
            row["balance_nanoeur"] += 1000 * 10**9


def balances_of_another_name(run: Folder) -> None:
    for member in run.members:
        member["balance_eur"] = member.pop("final_balance_eur")


def balances_as_texts(run: Folder) -> None:
    """Digit by digit as in a table; one member owes more than it owns."""
    del run.params["INITIAL_WALLET"]
    run.derive()
    run.accounts[0]["opening_nanoeur"] -= 1000 * 10**9
    run.accounts[0]["balance_nanoeur"] -= 1000 * 10**9
    for member, account in zip(run.members, run.accounts, strict=False):
        member["final_balance_eur"] = decimal(account["balance_nanoeur"], 9)
    assert run.members[0]["final_balance_eur"].startswith("-")


def columns_without_a_name(run: Folder) -> None:
    for row in run.community:
        row |= {"": "1", " ": "2"}


def bans_as_they_are_after_the_step(run: Folder) -> None:
    for row in run.actions:
        row["is_banned"] = row["ban_steps_left"] > 0


def columns_of_its_own(run: Folder) -> None:
    """Of names that mean something else in our own runs."""
    for row in run.community:
        row |= {"timestamp": "20240601", "stored_kwh": "4.000", "p2p_price_eur_per_kwh": "0.1"}


def a_log_without_clock(run: Folder) -> None:
    rows = [told(row) for row in run.community]
    for row in rows:
        del row["hour"], row["timestep"]
    log = [{name: number(text) for name, text in row.items()} for row in rows]
    run.extra_files["simulation_log.json"] = json.dumps(log).encode()


def a_ban_for_a_low_balance(run: Folder) -> None:
    """Of a member without penalty in any step; decided in the last one, so banned_ever need not count it."""
    assert not any(row["penalty_nanoeur"] for row in run.actions[1::3])
    run.actions[-2] |= {"ban_steps_left": 1, "ban_reason": "low_balance"}


def a_ban_of_the_last_step_that_is_counted(run: Folder) -> None:
    a_ban_for_a_low_balance(run)
    run.summary["banned_ever"] += 1


def that_ban_as_it_is_after_the_step(run: Folder) -> None:
    a_ban_for_a_low_balance(run)
    bans_as_they_are_after_the_step(run)


def levers_scaled_as_its_regulator_likes(run: Folder) -> None:
    """By 2 and by 1, where our own objective of this name scales by 1 and by 2."""
    run.params |= {"REGULATOR_OBJECTIVE": "maximize_p2p", "RENEWABLE_BONUS": 0.01}
    run.params |= {"PENALTY_FOR_MARKET": 0.02}
    run.derive()


def an_objective_of_its_own(run: Folder) -> None:
    run.params |= {"REGULATOR_OBJECTIVE": "peace and quiet", "RENEWABLE_BONUS": 0.02}
    run.derive()


@pytest.mark.parametrize(
    "change",
    [
        nothing_was_due,
        homes_and_versions_of_other_kinds,
        settings_that_mean_nothing_to_it,
        no_cap_and_no_wallet_of_all,
        levers_scaled_as_its_regulator_likes,
        an_objective_of_its_own,
        load_that_was_shed_and_paid_for,
        sun_that_no_battery_and_no_line_could_take,
        an_institution_that_brings_money,
        balances_of_another_name,
        balances_as_texts,
        columns_without_a_name,
        bans_as_they_are_after_the_step,
        columns_of_its_own,
        a_log_without_clock,
        a_ban_for_a_low_balance,
        a_ban_of_the_last_step_that_is_counted,
        that_ban_as_it_is_after_the_step,
    ],
)
def test_another_program_may_do_what_the_contract_leaves_open(
    change: Callable[[Folder], None], tmp_path: Path
) -> None:
    run = Folder(BAN_MARKET_HOURS=1.0, BAN_BALANCE_HOURS=1.0)
    change(run)
    folder = run.write(tmp_path)
    (folder / "timing.json").write_text('{"step_seconds": [0.1, 0.2], "total_seconds": "1.25"}')
    report = verify(folder)
    assert report.ok, told_by(report)
    assert checker_says(folder) == 0


NOTHING_PAID = [
    ("utility_import", 0, AGGREGATOR),
    ("utility_export", REGULATOR, 0),
    ("renewable_bonus", MINT, 0),
    ("p2p_bonus", 1, 0),
    ("p2p", UTILITY, 0),
    ("local_market", 0, 1),
    ("block_reward", MINT, 0),
]


@pytest.mark.parametrize(("reason", "payer", "payee"), NOTHING_PAID)
def test_a_payment_of_nothing_stands_between_the_right_parties(
    reason: str, payer: int, payee: int, tmp_path: Path
) -> None:
    """A reason tells who pays whom, so the independent checker looks at those of amount 0 as well."""
    run = Folder()
    run.transfers.append(
        {"timestep": 1, "payer_id": payer, "payee_id": payee, "amount_nanoeur": 0, "reason": reason}
    )
    folder = run.write(tmp_path)
    report = verify(folder)
    assert set(report.totals) == {f"{reason} due"}, told_by(report)
    assert checker_says(folder) == (reason not in ("p2p", "local_market"))  # it looks at their sums


def test_a_reward_of_nothing_goes_to_a_winner(tmp_path: Path) -> None:
    run = Folder(BLOCK_REWARD=0.0)
    loser = next(m for m in range(3) if m not in {block["miner"] for block in run.chain["blocks"]})
    nothing = {"timestep": 1, "payer_id": MINT, "payee_id": -100 - loser, "amount_nanoeur": 0}
    run.transfers.append(nothing | {"reason": "block_reward"})
    assert set(verify(run.write(tmp_path)).totals) == {"block_reward due"}


def test_who_was_paid_has_an_account_though_nothing_of_it_is_left(tmp_path: Path) -> None:
    """Without ledger the mint needs none, unless it gives and takes."""
    run = Folder(CONSENSUS="none")
    run.transfer(1, MINT, 0, 7, "loan")
    run.transfer(2, 0, MINT, 7, "loan")
    run.settle()
    run.accounts = [row for row in run.accounts if row["account_id"] > MINT]
    folder = run.write(tmp_path)
    assert has(verify(folder), "accounts", "mint")
    assert checker_says(folder) == 1


@pytest.mark.parametrize(
    ("hours", "length", "right"),
    [
        ([5, 6, 7], 1.0, True),
        ([23, 0, 1], 1.0, True),
        ([5, 5, 6], 0.5, True),  # begun in the first half of the hour
        ([5, 6, 6], 0.5, True),
        ([1, 3, 4], 1.0, True),  # the night in which clocks go forward
        ([2, 2, 3], 1.0, True),  # and back
        ([3, 3, 3], 1.0, False),
        ([5, 8, 9], 1.0, False),
        ([5, 7, 9], 0.25, False),
        ([1, 3, 5], 1.0, False),
        ([9, 8, 7], 1.0, False),
    ],
)
def test_the_clock_of_another_program_goes_on(
    hours: list[int], length: float, right: bool, tmp_path: Path
) -> None:
    run = Folder(TIME_STEP_DURATION=length, MAX_TRADE_CAP=3.0 / length)
    tables = run.energy, run.trading, run.actions, run.community, run.trades
    for row in (row for table in tables for row in table):
        row["hour"] = hours[row["timestep"]]
    report = verify(run.write(tmp_path))
    assert ("hour" not in report.totals) == right, told_by(report)


@pytest.mark.parametrize(
    ("hours", "length", "right"),
    [
        ([5, 5, 5, 5, 6, 6, 6, 6, 7], 0.25, True),
        ([5, 6, 6, 6, 6, 7, 7, 7, 7], 0.25, True),
        ([5, 5, 5, 5, 5, 6, 6, 6, 6, 6], 0.25, False),  # five quarters in each hour
        ([5, 6, 5, 6, 5], 0.25, False),
        ([*range(24)] * 200, 1.0, True),
        ([*range(24)] * 80 + [*range(1, 24), 0] * 80 + [*range(24)] * 80, 1.0, True),
        (
            [t // 12 % 24 for t in range(2000)],
            0.083,
            True,
        ),  # five minutes, told as docs/settings.md does
        ([t // 3 % 24 for t in range(2000)], 0.33, True),
        ([t // 2 % 24 for t in range(20)] + [(t + 1) // 2 % 24 for t in range(20, 40)], 0.5, True),
        ([*range(24)] * 8 + [*range(1, 24), 0] * 8 + [*range(24)] * 8, 1.0, False),
    ],
    ids=range(10),
)
def test_the_clock_of_another_program_goes_on_for_long(
    hours: list[int], length: float, right: bool
) -> None:
    """Summer and winter time are the only reason to jump, and half a year apart."""
    seconds = SimpleNamespace(step_seconds=round(length * 3600))
    columns = {"hour": np.array(hours)}
    saved: Any = SimpleNamespace(settings=seconds, community=columns, steps=len(hours))
    findings = Findings()
    check_clock_of_others(saved, findings)
    assert (not findings.totals) == right


def test_verify_says_that_a_folder_is_another_programs(
    folder: Path, own_day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that nobody takes the few laws of any program for all the promises of this one."""
    assert main.main(["verify", str(folder)]) == main.main(["verify", str(own_day)]) == 0
    other, ours = capsys.readouterr().out.splitlines()
    assert "written by another program" in other and "another" not in ours


def test_a_consumer_has_no_roof_in_any_program(tmp_path: Path) -> None:
    run = Folder()
    run.members[2]["pv_capacity_kw"] = 3.0
    assert has(verify(run.write(tmp_path)), "home", "member 2")


def test_a_ban_for_market_use_needs_a_penalty_within_a_day(tmp_path: Path) -> None:
    run = Folder(BAN_MARKET_HOURS=1.0, BAN_BALANCE_HOURS=1.0)
    a_ban_for_a_low_balance(run)
    run.actions[-2]["ban_reason"] = "excessive_market_use"
    assert has(verify(run.write(tmp_path)), "ban without cause", "step 2, member 1")


def test_a_program_that_asks_for_a_check_keeps_its_search_for_cycles(tmp_path: Path) -> None:
    """It is paused meanwhile; a caller whose memory it no longer frees would find out late."""
    folder = Folder().write(tmp_path)
    for is_on in (False, True):
        (gc.enable if is_on else gc.disable)()
        try:
            assert verify(folder).ok and gc.isenabled() == is_on
        finally:
            gc.enable()


@pytest.mark.parametrize(("left", "wrong"), [(1, False), (2, True), (3, False), (4, True)])
def test_another_programs_ban_lasts_as_long_as_one_of_its_settings_says(
    left: int, wrong: bool, tmp_path: Path
) -> None:
    """The day has a ban of one hour for market use; this one begins in its last step."""
    run = Folder(BAN_MARKET_HOURS=1.0, BAN_BALANCE_HOURS=3.0)
    a_ban_for_a_low_balance(run)
    run.actions[-2]["ban_steps_left"] = left
    assert set(verify(run.write(tmp_path)).totals) == ({"ban length"} if wrong else set())


def test_the_clock_in_another_programs_log_is_right_where_it_is_told(tmp_path: Path) -> None:
    run = Folder()
    folder = run.write(tmp_path)
    log = json.loads((folder / "simulation_log.json").read_text())
    log[1]["hour"] = 7
    (folder / "simulation_log.json").write_text(json.dumps(log))
    assert has(verify(folder), "simulation_log", "step 1")


@pytest.mark.parametrize("kind", ["prosumer", "storage"])
def test_a_central_battery_is_of_no_home_type(kind: str, tmp_path: Path) -> None:
    """Neither in size nor in power; a home's battery is."""
    run = Folder(BATTERY_CAPACITY=[7.0], BATTERY_C_RATE=0.05, BATTERY_INITIAL_SOC=0.6)
    run.members[0]["kind"] = kind
    found = verify(run.write(tmp_path)).totals
    assert ("equipment" in found) == ("battery power" in found) == (kind == "prosumer")
    assert "home" not in found


def of_another_program(day: Path, without: str = "MARKET_MECHANISM") -> Path:
    """The day as one that promises what the contract demands, and no more."""
    path = day / "params.json"
    params = json.loads(path.read_text(encoding="utf-8"))
    params.pop(without, None)
    path.write_text(json.dumps(params), encoding="utf-8")
    for name in ("regulator_actions.csv", "community_summary.csv"):
        table = pd.read_csv(day / name, dtype=str, keep_default_na=False)
        table = table.drop(columns=table.columns.intersection(OUR_COLUMNS))
        table.to_csv(day / name, index=False, lineterminator="\n")
    return day


def changed(day: Path, file: str, change: Callable[[list[dict[str, str]]], None]) -> set[str]:
    """The rules broken after change(rows)."""
    with open(day / file, newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    change(rows)
    with open(day / file, "w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return set(verify(day).totals)


@pytest.mark.parametrize(("lost_kwh", "wrong"), [(0.0, False), (1e-5, True)])
def test_another_program_may_go_on_from_the_level_that_it_told(
    lost_kwh: float, wrong: bool, own_day: Path
) -> None:
    """One that drops what the sixth decimal does not hold drifts in a day, by less than 1.1 in each step."""
    eta, level = math.sqrt(0.95), math.nan

    def change(rows: list[dict[str, str]]) -> None:
        nonlocal level
        level = start
        for row in (row for row in rows if row["prosumer_id"] == "0"):
            gained = float(row["battery_charge_kwh"]) * eta
            level += gained - float(row["battery_discharge_kwh"]) / eta - lost_kwh
            level = math.floor(level * 1e6) / 1e6
            row["battery_level_kwh"] = f"{level:.6f}"

    start = json.loads((own_day / "prosumers.json").read_text())[0]["initial_level_kwh"]
    end = json.loads((own_day / "prosumers.json").read_text())[0]["final_level_kwh"]
    rules = changed(of_another_program(own_day), "prosumer_energy.csv", change)
    assert ("battery law" in rules) == wrong
    assert end - level > 5e-6, "nothing has drifted, so this test says nothing"


def test_bans_and_sun_of_another_program_keep_to_the_settings_it_has(own_day: Path) -> None:
    def ban(rows: list[dict[str, str]]) -> None:
        rows[-3] |= {"ban_steps_left": "500", "ban_reason": "too much"}

    other = of_another_program(own_day)
    assert "synthetic day" not in verify(other).totals, "of roofs of all sizes"
    assert "ban length" in changed(other, "regulator_actions.csv", ban)
    for flow, within, beyond in (
        ("pv_kwh", "6.776", "6.778"),  # that the largest roof can make, rounded
        ("load_kwh", "3.277", "3.280"),  # that the largest home can use
    ):
        for kwh, is_found in ((within, False), (beyond, True)):
            told = {"pv_kwh": "0.000", flow: kwh}
            found = changed(
                other, "prosumer_energy.csv", lambda rows, told=told: rows[0].update(told)
            )
            assert ("synthetic day" in found) == is_found, kwh
