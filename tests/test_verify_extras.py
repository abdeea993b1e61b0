"""Figures that other files determine, promised or not: wherever one is changed, it is found.

Each attack changes one saved default day in a few places, so that they agree with each other; verify
must name the rule and the place.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import save_run

from verification import Report, Unreadable, verify

SUMMARY = [
    *("steps", "members", "prosumers", "consumers", "banned_member_steps", "bonuses_eur"),
    *("penalties_eur", "curtailed_kwh", "members_balance_eur", "aggregator_balance_eur"),
    *("utility_balance_eur", "mint_balance_eur", "p2p_price_eur_per_kwh", "savings_eur"),
    *("step_hours", "market_price_eur_per_kwh", "savings_share", "avoidable_penalties_eur"),
    *("cost_alone_eur", "stored_change_alone_kwh", "net_cost_alone_eur", "net_cost_eur"),
    *("stored_change_value_eur", "community_cost_eur", "self_sufficiency", "self_consumption"),
]
MEMBER = [
    *("charge_kwh", "discharge_kwh", "stored_change_kwh", "bonus_eur", "penalty_eur", "p2p_eur"),
    *("banned_steps", "outside_eur", "avoidable_eur", "alone_eur", "stored_change_alone_kwh"),
    *("pv_kwh", "load_kwh", "final_level_kwh", "final_balance_eur"),
    *("net_cost_eur", "net_cost_alone_eur", "savings_eur"),
]
PROMISED_OF_A_MEMBER = [
    *("home_type", "pv_capacity_kw", "pv_kwh", "load_kwh", "p2p_bought_kwh", "p2p_sold_kwh"),
    *("market_bought_kwh", "market_sold_kwh", "grid_import_kwh", "grid_export_kwh"),
    *("curtailed_kwh", "final_balance_eur"),
]
PROMISED_OF_THE_SUMMARY = [
    *("seed", "pv_kwh", "load_kwh", "p2p_kwh", "p2p_trades", "market_kwh", "market_trades"),
    *("grid_import_kwh", "grid_export_kwh", "community_import_kwh", "community_export_kwh"),
    *("self_sufficiency", "self_consumption", "community_cost_eur", "stored_change_kwh"),
    *("stored_change_value_eur", "net_cost_eur", "cost_alone_eur", "net_cost_alone_eur"),
    *("blocks", "hashes", "chain_tip", "banned_ever", "regulator_balance_eur", "versions"),
]
STRANGE = [None, "x", [], {}, True, -1, 1.5, 10**20, 10**308, -(10**308), 1e308, "3"]


class Files:
    """A folder whose files a test changes; tables are lists of rows, a dict of texts each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def json(self, name: str, change: Callable[[Any], None]) -> None:
        content = json.loads((self.folder / name).read_text())
        change(content)
        (self.folder / name).write_text(json.dumps(content))

    def table(self, name: str, change: Callable[[list[dict[str, str]]], None]) -> None:
        with (self.folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        change(rows)
        with (self.folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def set(self, name: str, row: int, column: str, text: str) -> None:
        self.table(name, lambda rows: rows[row].update({column: text}))


@pytest.fixture(scope="module")
def small_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of 24 homes, read only: large enough for every rule, small enough to be verified often."""
    folder = tmp_path_factory.mktemp("small_day") / "results"
    return save_run(folder, "--set=NUM_PROSUMERS=20", "--set=NUM_CONSUMERS=4")


@pytest.fixture
def files(small_day: Path, tmp_path: Path) -> Files:
    """A copy of the small day."""
    return Files(Path(shutil.copytree(small_day, tmp_path / "copy")))


def has(report: Report, rule: str, where: str, detail: str = "") -> bool:
    return any((f.rule, f.where) == (rule, where) and detail in f.detail for f in report.findings)


def told_by(report: Report) -> str:
    return "\n".join(f"{f.where}: {f.rule}: {f.detail}" for f in report.findings[:20])


# ------------------------------------------------------------------------- summary.json, members


@pytest.mark.parametrize("name", SUMMARY)
def test_a_changed_total_of_the_summary_is_found(name: str, files: Files) -> None:
    def change(summary: dict) -> None:
        summary[name] += 1 if isinstance(summary[name], int) else 0.00001

    files.json("summary.json", change)
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is ")


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        (["MARKET_MECHANISM=bill_sharing"], None, 0.0),
        (["MARKET_MECHANISM=supply_demand_ratio", "FEED_IN_PRICE=0"], 0.0, None),
        (["SEASON_FACTOR=0", "HAS_BATTERY=0"], None, 0.0),
    ],
    ids=["bills are shared", "given for nothing", "nobody trades"],
)
def test_no_price_between_neighbours_and_a_price_of_nothing_are_not_the_same(
    options: list[str], right: float | None, wrong: float | None, tmp_path: Path
) -> None:
    sets = [f"--set={option}" for option in ("NUM_PROSUMERS=12", "CONSENSUS=none", *options)]
    files = Files(save_run(tmp_path / "run", *sets))
    name = "p2p_price_eur_per_kwh"
    assert json.loads((files.folder / "summary.json").read_text())[name] == right
    report = verify(files.folder)
    assert report.ok, told_by(report)
    files.json("summary.json", lambda summary: summary.update({name: wrong}))
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is ")


@pytest.mark.parametrize("by", [-2e-9, -1e-9, 1e-9])
@pytest.mark.parametrize(
    "name",
    [
        *("members_balance_eur", "aggregator_balance_eur", "utility_balance_eur"),
        *("regulator_balance_eur", "mint_balance_eur", "community_cost_eur", "cost_alone_eur"),
        *("bonuses_eur", "penalties_eur", "avoidable_penalties_eur"),
        *("net_cost_eur", "savings_eur"),
    ],
)
def test_a_sum_of_money_is_told_to_the_nano_euro(name: str, by: float, files: Files) -> None:
    def change(summary: dict) -> None:
        summary[name] = round(summary[name] + by, 9)

    files.json("summary.json", change)
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is ")


@pytest.mark.parametrize(
    "name",
    [
        *("outside_eur", "p2p_eur", "bonus_eur", "penalty_eur", "avoidable_eur", "alone_eur"),
        "savings_eur",
    ],
)
def test_money_of_a_member_is_told_to_the_nano_euro(name: str, files: Files) -> None:
    def change(members: list) -> None:
        members[7][name] = round(members[7][name] + 1e-9, 9)

    files.json("prosumers.json", change)
    assert has(verify(files.folder), "prosumers.json", "member 7", f"{name} is ")


ENERGY = [
    *("pv_kwh", "load_kwh", "p2p_kwh", "market_kwh", "grid_import_kwh", "grid_export_kwh"),
    *("community_import_kwh", "community_export_kwh", "curtailed_kwh"),
]
ENERGY_OF_A_MEMBER = [
    *("pv_kwh", "load_kwh", "charge_kwh", "discharge_kwh", "p2p_bought_kwh", "p2p_sold_kwh"),
    *("market_bought_kwh", "market_sold_kwh", "grid_import_kwh", "grid_export_kwh"),
    *("curtailed_kwh", "renewable_used_kwh"),
]


@pytest.mark.parametrize("by", [-1e-6, 1e-8])
@pytest.mark.parametrize("name", ENERGY)
def test_a_sum_of_energy_is_told_to_the_wh_and_no_fraction_of_it(
    name: str, by: float, files: Files
) -> None:
    files.json("summary.json", lambda summary: summary.update({name: summary[name] + by}))
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is ")


@pytest.mark.parametrize("name", ENERGY_OF_A_MEMBER)
def test_energy_of_a_member_is_told_to_the_wh_and_no_fraction_of_it(
    name: str, files: Files
) -> None:
    def change(members: list) -> None:
        members[7][name] += 1e-6

    files.json("prosumers.json", change)
    assert has(verify(files.folder), "prosumers.json", "member 7", f"{name} is ")


@pytest.mark.parametrize("value", [None, "1.0", 1e300, True])
@pytest.mark.parametrize("name", ["alone_eur", "stored_change_alone_kwh"])
def test_a_bill_alone_is_a_number(name: str, value: object, files: Files) -> None:
    """Else nothing would hold the sum of all bills, beside a file of members."""
    files.json("prosumers.json", lambda members: members[7].update({name: value}))
    assert has(verify(files.folder), "prosumers.json", "member 7", f"{name} is ")


@pytest.mark.parametrize("text", ["type 9", "type 2", "nonsense", ""])
def test_a_home_has_one_type_in_all_files(text: str, files: Files) -> None:
    """In one step of one home; what it is called elsewhere is another type."""
    homes = json.loads((files.folder / "prosumers.json").read_text())
    row = next(i for i, home in enumerate(homes) if home["home_type"] != text)
    files.set("prosumer_energy.csv", 24 + row, "home_type", text)
    assert has(verify(files.folder), "home_type", f"step 1, member {row}")


@pytest.mark.parametrize("part", [0, 1], ids=["nothing and all", "a nano-euro and the rest"])
@pytest.mark.parametrize(
    ("reason", "mechanism"),
    [
        *((reason, "midpoint") for reason in ("renewable_bonus", "p2p_bonus", "p2p")),
        *((reason, "midpoint") for reason in ("local_market", "market_penalty", "block_reward")),
        *((reason, "bill_sharing") for reason in ("utility_import", "bill_sharing")),
        *((reason, "huang") for reason in ("auction_spread", "utility_export")),
    ],
)
def test_one_payment_is_not_told_as_two(
    reason: str, mechanism: str, part: int, tmp_path: Path
) -> None:
    """The sums are right, but nobody paid so."""

    def change(rows: list[dict[str, str]]) -> None:
        i = next(i for i, row in enumerate(rows) if row["reason"] == reason)
        nanoeur = round(float(rows[i]["amount_eur"]) * 1e9)
        rows.insert(i, rows[i] | {"amount_eur": f"{part / 1e9:.9f}"})
        rows[i + 1]["amount_eur"] = f"{(nanoeur - part) / 1e9:.9f}"

    homes = ["--set=NUM_PROSUMERS=15", f"--set=MARKET_MECHANISM={mechanism}"]
    files = Files(save_run(tmp_path / "results", *homes))
    assert verify(files.folder).ok
    files.table("transfers.csv", change)
    assert f"{reason} due" in {f.rule for f in verify(files.folder).findings}


def test_a_payment_of_nothing_for_nothing(files: Files) -> None:
    """Another program may write one down (tests/test_verify.py); ours never does."""
    nothing = {"timestep": "5", "payer_id": "-3", "payee_id": "0", "amount_eur": "0.000000000"}
    files.table("transfers.csv", lambda rows: rows.append(nothing | {"reason": "p2p_bonus"}))
    assert has(verify(files.folder), "p2p_bonus due", "step 5", "a payment of 0 nano-euro")


TABLES = [
    *("prosumer_energy", "prosumer_trading", "regulator_actions", "community_summary"),
    *("all_trades", "transfers", "accounts", "blocks"),
]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("row", [0, 3, -1])
def test_a_row_is_missed_in_every_table(name: str, row: int, files: Files) -> None:
    """Columns that our own runs tell beside stand in fewer rows, too."""
    files.table(f"{name}.csv", lambda rows: rows.pop(row))
    assert not verify(files.folder).ok


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("row", [0, 3, -1])
def test_a_row_that_stands_there_twice_is_seen_in_every_table(
    name: str, row: int, files: Files
) -> None:
    files.table(f"{name}.csv", lambda rows: rows.append(rows[row]))
    assert not verify(files.folder).ok


def test_payments_stand_in_the_order_of_their_steps(files: Files) -> None:
    def change(rows: list) -> None:
        rows.append(rows.pop(0))

    files.table("transfers.csv", change)
    assert set(verify(files.folder).totals) == {"rows"}


@pytest.mark.parametrize("by", [-2e-5, 2e-5])
def test_a_change_in_storage_is_told_as_exactly_as_flows_tell_it(by: float, files: Files) -> None:
    """Levels of 24 members, each told with six decimals, would leave room for it."""
    files.json(
        "summary.json",
        lambda summary: summary.update(stored_change_kwh=by + summary["stored_change_kwh"]),
    )
    assert has(verify(files.folder), "summary", "summary.json", "stored_change_kwh is ")


def test_nothing_is_found_in_a_run_of_the_largest_homes(tmp_path: Path) -> None:
    """A million kWh in an hour, each: what the market took of one times what it took of all is beyond 64 bits."""
    rows = [
        f"2024-06-01 {hour}:00,home {i},{10**6 * (i < 4)},{10**6 * (i >= 4)}"
        for hour in (10, 11)
        for i in range(16)
    ]
    path = tmp_path / "giants.csv"
    path.write_text("\n".join(["timestamp,household_id,load_kwh,pv_kwh", *rows]) + "\n")
    folder = save_run(tmp_path / "run", f"--data={path}", "--set=MAX_TRADE_CAP=1000000")
    with open(folder / "community_summary.csv", newline="") as file:
        assert min(float(step["market_kwh"]) for step in csv.DictReader(file)) > 5e6
    assert verify(folder).ok


def test_large_batteries_begin_as_charged_as_small_ones(tmp_path: Path) -> None:
    """Ten Wh are nothing to one of 10 MWh, but they are ten Wh."""
    options = (
        "--set=BATTERY_CAPACITY=[10000]",
        "--set=PV_CAPACITY=[5]",
        "--set=BASE_CONSUMPTION=[1]",
    )
    files = Files(
        save_run(tmp_path / "run", *options, "--set=NUM_PROSUMERS=3", "--set=HAS_BATTERY=1")
    )
    assert verify(files.folder).ok
    files.json("prosumers.json", lambda members: members[1].update(initial_level_kwh=5000.009))
    assert has(verify(files.folder), "equipment", "member 1", "initial_level_kwh is ")


def test_of_a_dozen_sizes_that_are_told_alike_nobody_looks_for_the_right_one(
    tmp_path: Path,
) -> None:
    sizes = ",".join(str(18 + k * 1e-8) for k in range(12))
    options = [
        f"--set=BATTERY_CAPACITY=[{sizes}]",
        f"--set=PV_CAPACITY={[4] * 12}",
        f"--set=BASE_CONSUMPTION={[0.5] * 12}",
    ]
    folder = save_run(tmp_path / "run", *options, "--set=NUM_PROSUMERS=24", "--steps=4")
    assert verify(folder).ok


@pytest.mark.parametrize("apart_kwh", [-5e-7, 1e-7, 1e-6, 1e-3])
def test_bills_alone_are_made_again_though_two_sizes_of_battery_are_told_alike(
    apart_kwh: float, tmp_path: Path
) -> None:
    """Each member's by the size that explains it; one more type would else leave all of them untold.

    What is half a milli-Wh less than 18 kWh charges with a Wh less in the hour.
    """
    sizes = f"--set=BATTERY_CAPACITY=[18,{18 + apart_kwh}]"
    options = (
        sizes,
        "--set=BATTERY_C_RATE=0.05",
        "--set=PV_CAPACITY=[4,5]",
        "--set=BASE_CONSUMPTION=[0.5,0.6]",
    )
    files = Files(save_run(tmp_path / "run", *options, "--set=NUM_PROSUMERS=12"))
    assert verify(files.folder).ok

    def change(members: list) -> None:
        members[3]["alone_eur"] += 1
        members[3]["net_cost_alone_eur"] += 1
        members[3]["savings_eur"] += 1

    files.json("prosumers.json", change)
    assert has(verify(files.folder), "prosumers.json", "member 3", "alone_eur is ")


def test_a_setting_that_was_taken_away_is_missed(tmp_path: Path) -> None:
    """Without ledger nothing binds the settings, and without one of them its law would be silent."""
    folder = save_run(tmp_path / "run", "--set=CONSENSUS=none", "--set=NUM_PROSUMERS=3")
    path = folder / "params.json"
    told = json.loads(path.read_text())
    for name in told:
        path.write_text(json.dumps({key: value for key, value in told.items() if key != name}))
        with pytest.raises(Unreadable, match=f"params.json: {name} is missing"):
            verify(folder)


@pytest.mark.parametrize("name", ["NOTE", "seed", "BAN_LIMIT"])
def test_a_setting_that_there_is_not_is_found(name: str, tmp_path: Path) -> None:
    """`main.py --config` refuses it, so the run could not be repeated from its own params.json."""
    folder = save_run(tmp_path / "run", "--set=CONSENSUS=none", "--set=NUM_PROSUMERS=3")
    told = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(told | {name: 7}))
    (finding,) = verify(folder).findings
    assert (finding.where, finding.rule) == ("params.json", "unknown key")
    assert f"'{name}'" in finding.detail


@pytest.mark.parametrize(
    ("name", "told"),
    [("total_seconds", [None]), ("save_seconds", None), ("mining_seconds", "x"), ("peak_memory_mb", -5), ("save_seconds", True)],
)  # fmt: skip
def test_seconds_and_memory_are_numbers(name: str, told: object, files: Files) -> None:
    """Which ones no file says; Windows does not tell the memory, and from Python nothing is measured."""
    (files.folder / "timing.json").write_text(
        json.dumps({"total_seconds": 1.5, "peak_memory_mb": None})
    )
    assert verify(files.folder).ok
    (files.folder / "timing.json").write_text(json.dumps({name: told}))
    with pytest.raises(Unreadable, match=f"timing.json: {name} is .* should be a number from 0"):
        verify(files.folder)


@pytest.mark.parametrize("home", ["x" * 10**6, "\x1b[2Jall right\n", 7, None, "\ud800"])
def test_a_strange_home_type_is_told_in_few_plain_letters(home: object, files: Files) -> None:
    files.json("prosumers.json", lambda members: members[3].update(home_type=home))
    report = verify(files.folder)
    assert has(report, "home_type", "step 0, member 3")
    assert all(f.detail.isascii() and f.detail.isprintable() for f in report.findings)
    assert max(len(f.detail) for f in report.findings) < 300


@pytest.mark.parametrize("name", ["mechanism", "objective"])
def test_a_word_of_the_summary_is_that_of_the_settings(name: str, files: Files) -> None:
    files.json("summary.json", lambda summary: summary.update({name: "chaotic"}))
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is 'chaotic'")


@pytest.mark.parametrize("name", MEMBER)
def test_a_changed_total_of_a_member_is_found(name: str, files: Files) -> None:
    def change(members: list) -> None:
        members[7][name] += 1 if isinstance(members[7][name], int) else 0.00001

    files.json("prosumers.json", change)
    found = [f for f in verify(files.folder).findings if f.where == "member 7"]
    wrong = [name] + ["savings_eur"] * name.startswith("net_cost")  # which no longer adds up
    assert [(f.rule, f.detail.split(" is ")[0]) for f in found] == [
        ("prosumers.json", figure) for figure in wrong
    ]


def test_bills_told_a_little_wrong_contradict_the_savings(files: Files) -> None:
    """Each bill has the tolerance of what batteries hold; their difference as told has none."""

    def change(members: list) -> None:
        members[7]["net_cost_eur"] = round(members[7]["net_cost_eur"] + 1e-9, 9)

    files.json("prosumers.json", change)
    assert has(verify(files.folder), "prosumers.json", "member 7", "savings_eur is ")


def test_savings_are_the_difference_of_the_bills_as_told(tmp_path: Path) -> None:
    """To the nano-euro, on days of several seeds: rounding them apart made one of three days differ."""
    for seed in range(8):
        words = ["--steps", "6", "--seed", str(seed), "--set", "CONSENSUS=none"]
        folder = save_run(tmp_path / str(seed), *words)
        for told in (
            json.loads((folder / "summary.json").read_text()),
            *json.loads((folder / "prosumers.json").read_text()),
        ):
            alone, here, saved = (
                Decimal(str(told[name]))
                for name in ("net_cost_alone_eur", "net_cost_eur", "savings_eur")
            )
            assert saved == alone - here


@pytest.mark.parametrize("by", [-1e-6, 1e-6])
def test_what_batteries_hold_is_the_same_in_every_file(by: float, files: Files) -> None:
    """To the last decimal, a thousandth of a Wh."""

    def change_member(members: list) -> None:
        members[7]["final_level_kwh"] = round(members[7]["final_level_kwh"] + by, 6)

    def change_log(log: list) -> None:
        log[12]["stored_kwh"] = round(log[12]["stored_kwh"] + by, 6)

    files.json("prosumers.json", change_member)
    files.json("simulation_log.json", change_log)
    report = verify(files.folder)
    assert has(report, "prosumers.json", "member 7", "final_level_kwh is ")
    assert has(report, "simulation_log", "step 12", "stored_kwh is ")


@pytest.mark.parametrize("name", sorted({*PROMISED_OF_THE_SUMMARY, *SUMMARY, "mechanism"}))
def test_a_missing_figure_of_the_summary_is_found(name: str, files: Files) -> None:
    files.json("summary.json", lambda summary: summary.pop(name))
    assert has(verify(files.folder), "summary", "summary.json", f"{name} is ")


@pytest.mark.parametrize("name", sorted({*PROMISED_OF_A_MEMBER, *MEMBER}))
def test_a_missing_figure_of_a_member_is_found(name: str, files: Files) -> None:
    files.json("prosumers.json", lambda members: members[3].pop(name))
    assert has(verify(files.folder), "prosumers.json", "member 3", f"{name} is missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [("final_balance_eur", None), ("pv_capacity_kw", "x"), ("pv_capacity_kw", -1), ("home_type", 3)],
)  # fmt: skip
def test_a_figure_of_a_member_has_its_type(name: str, value: object, files: Files) -> None:
    files.json("prosumers.json", lambda members: members[3].update({name: value}))
    assert has(verify(files.folder), "prosumers.json", "member 3", f"{name} is ")


@pytest.mark.parametrize("value", STRANGE, ids=map(repr, STRANGE))
def test_no_value_of_json_is_too_strange_to_compare(value: object, files: Files) -> None:
    names = {"summary.json": set(SUMMARY), "prosumers.json": set(MEMBER)}
    names["summary.json"] |= {*PROMISED_OF_THE_SUMMARY, "mechanism"}
    names["prosumers.json"] |= {*PROMISED_OF_A_MEMBER} - {"home_type"}
    files.json(
        "summary.json", lambda told: told.update(dict.fromkeys(names["summary.json"], value))
    )
    files.json(
        "prosumers.json", lambda told: told[3].update(dict.fromkeys(names["prosumers.json"], value))
    )
    files.json("simulation_log.json", lambda log: log[2].update(dict.fromkeys(log[2], value)))
    report = verify(files.folder)
    told = {f.detail.split(" is ")[0] for f in report.findings if f.where == "summary.json"}
    assert set(PROMISED_OF_THE_SUMMARY) <= told, told_by(report)
    assert has(report, "simulation_log", "step 2", "p2p_price_eur_per_kwh is ")


@pytest.mark.parametrize(
    "changes",
    [
        {"net_cost_alone_eur": 10**308, "net_cost_eur": -(10**308)},
        {"community_cost_eur": 10**308, "stored_change_value_eur": -(10**308)},
        {"community_cost_eur": 1e308, "stored_change_value_eur": -1e308, "net_cost_eur": 1e308},
        {"stored_change_kwh": 10**308},
        {"cost_alone_eur": -1e308, "stored_change_alone_kwh": 1e308},
    ],
)
def test_differences_of_huge_numbers_are_findings(changes: dict, files: Files) -> None:
    files.json("summary.json", lambda summary: summary.update(changes))
    assert not verify(files.folder).ok


def test_net_cost_cannot_move_with_the_value_of_stored_energy(files: Files) -> None:
    """Any mean price between sellers' and buyers' would do, were the market price not told."""

    def change(summary: dict) -> None:
        summary["stored_change_value_eur"] += 1.46
        summary["net_cost_eur"] -= 1.46
        summary["savings_eur"] += 1.46
        summary["savings_share"] = summary["savings_eur"] / summary["net_cost_alone_eur"]

    files.json("summary.json", change)
    assert has(verify(files.folder), "summary", "summary.json", "stored_change_value_eur is ")


def test_there_is_no_share_saved_of_an_income(tmp_path: Path) -> None:
    """A community that earns money even alone saves no part of a bill."""
    use = f"--set=LOAD_PATTERN={[0.1] * 24}"
    files = Files(save_run(tmp_path / "day", "--set=NUM_PROSUMERS=5", use))
    told = json.loads((files.folder / "summary.json").read_text())
    assert told["net_cost_alone_eur"] < 0 and told["savings_share"] is None
    assert verify(files.folder).ok
    share = told["savings_eur"] / told["net_cost_alone_eur"]
    files.json("summary.json", lambda summary: summary.update(savings_share=share))
    assert has(verify(files.folder), "summary", "summary.json", "savings_share is ")


def test_the_market_price_cannot_move_between_the_prices_of_sellers_and_buyers(
    files: Files,
) -> None:
    files.set("community_summary.csv", 5, "market_price_eur_per_kwh", "0.140000")
    assert has(verify(files.folder), "market price", "step 5", "market_price 140000")


def test_the_bill_alone_cannot_grow_in_every_file(files: Files) -> None:
    """All that is told of being alone fits together; only the run made again contradicts it."""

    def change_members(members: list) -> None:
        members[3]["alone_eur"] += 10

    def change_summary(summary: dict) -> None:
        for name in ("cost_alone_eur", "net_cost_alone_eur", "savings_eur"):
            summary[name] += 10
        summary["savings_share"] = summary["savings_eur"] / summary["net_cost_alone_eur"]

    files.json("prosumers.json", change_members)
    files.json("summary.json", change_summary)
    report = verify(files.folder)
    assert has(report, "summary", "summary.json", "cost_alone_eur is ")
    assert has(report, "prosumers.json", "member 3", "alone_eur is ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("pv_capacity_kw", 4.25), ("home_type", "type 11"), ("household_id", 3),
     ("household_id", None), ("battery_capacity_kwh", 11.0)],
)  # fmt: skip
def test_a_home_owns_what_its_type_has(name: str, value: object, files: Files) -> None:
    files.json("prosumers.json", lambda members: members[3].update({name: value}))
    assert has(verify(files.folder), "home", "member 3", f"{name} is ")


def test_a_share_of_nothing_is_null(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "run", "--steps", "4", "--set", "NUM_PROSUMERS=3")  # at night
    files = Files(folder)
    assert verify(folder).ok
    files.json("summary.json", lambda summary: summary.update({"self_consumption": 0.9}))
    assert has(verify(folder), "summary", "summary.json", "self_consumption is 0.9, expected None")


# ----------------------------------------------------------------------------- figures of a step


@pytest.mark.parametrize(
    ("column", "text"),
    [("surplus_kwh", "1000000.000"), ("deficit_kwh", "0.001"), ("net_kwh", "-0.001"),
     ("stored_kwh", "500.000000"), ("stored_kwh", "Infinity"), ("stored_kwh", "{}"),
     ("stored_kwh", ""), ("p2p_price_eur_per_kwh", ""), ("p2p_price_eur_per_kwh", "Infinity"),
     ("p2p_price_eur_per_kwh", "0.1"), ("p2p_price_eur_per_kwh", "٠.123456")],
)  # fmt: skip
def test_a_changed_figure_of_a_step_is_found(column: str, text: str, files: Files) -> None:
    files.set("community_summary.csv", 12, column, text)
    assert has(verify(files.folder), "community_summary", "step 12")


@pytest.mark.parametrize("column", ["net_kwh", "market_price_eur_per_kwh"])
@pytest.mark.parametrize("text", ["Infinity", "{}", "", "٠.123456", "0.1"])
def test_what_is_no_number_in_a_step_cannot_be_read(column: str, text: str, files: Files) -> None:
    files.set("community_summary.csv", 12, column, text)
    with pytest.raises(Unreadable, match=f"line 14: {column}"):
        verify(files.folder)


@pytest.mark.parametrize("value", [*STRANGE, "missing"], ids=repr)
@pytest.mark.parametrize(
    "name",
    [*("market_price_eur_per_kwh", "p2p_price_eur_per_kwh", "net_kwh", "stored_kwh"),
     *("p2p_trades", "surplus_kwh", "deficit_kwh", "hour")],
)  # fmt: skip
def test_the_log_tells_the_figures_of_the_table(name: str, value: object, files: Files) -> None:
    def change(log: list) -> None:
        log[12][name] = value
        if value == "missing":
            del log[12][name]

    files.json("simulation_log.json", change)
    assert has(verify(files.folder), "simulation_log", "step 12", f"{name} is ")


def test_the_log_counts_in_whole_numbers(files: Files) -> None:
    def change(log: list) -> None:
        log[12]["p2p_trades"] += 0.009

    files.json("simulation_log.json", change)
    assert has(verify(files.folder), "simulation_log", "step 12", "p2p_trades is ")


def test_the_log_tells_no_price_where_nobody_traded(tmp_path: Path) -> None:
    files = Files(save_run(tmp_path / "run", "--steps", "3", "--set", "MAX_TRADE_CAP=0"))
    assert verify(files.folder).ok
    files.json("simulation_log.json", lambda log: log[1].update(p2p_price_eur_per_kwh=0.1))
    assert has(verify(files.folder), "simulation_log", "step 1", "p2p_price_eur_per_kwh is 0.1")
    files.json("simulation_log.json", lambda log: log[1].pop("p2p_price_eur_per_kwh"))
    missing = "p2p_price_eur_per_kwh is missing"
    assert has(verify(files.folder), "simulation_log", "step 1", missing)


@pytest.mark.parametrize("column", ["p2p_price_eur_per_kwh", "stored_kwh"])
def test_a_figure_of_all_steps_that_is_missing_is_found(column: str, files: Files) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["renamed_" + column] = row.pop(column)

    files.table("community_summary.csv", change)
    rule, where = "community_summary", "community_summary.csv"
    assert has(verify(files.folder), rule, where, f"{column} is missing")


# ----------------------------------------------------------------------------------- the clock

HOURLY = ("prosumer_energy", "prosumer_trading", "regulator_actions", "all_trades")


@pytest.mark.parametrize("shift", [lambda hour: 13, lambda hour: (hour + 5) % 24])
def test_a_clock_changed_in_every_file_is_found(shift: Callable[[int], int], files: Files) -> None:
    def change(rows: list) -> None:
        for row in rows:
            row["hour"] = shift(int(row["hour"]))

    for name in (*HOURLY, "community_summary"):
        files.table(f"{name}.csv", change)
    files.json("simulation_log.json", change)
    report = verify(files.folder)
    assert report.totals["hour"] == 24 - (shift(13) == 13), told_by(report)


@pytest.fixture
def measured(tmp_path: Path) -> Files:
    """A run of a data file that begins at 22:30."""
    rows = [
        f"2024-05-31 {22 + k // 4}:{k % 4 * 15:02d}:00,{home},0.4,{0.1 * home}"
        for k in range(2, 8)
        for home in (0, 1)
    ]
    (tmp_path / "homes.csv").write_text(
        "timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows)
    )
    return Files(save_run(tmp_path / "run", "--data", str(tmp_path / "homes.csv")))


def test_a_run_of_a_data_file_has_its_clock(measured: Files) -> None:
    report = verify(measured.folder)
    assert report.ok, told_by(report)


@pytest.mark.parametrize(
    ("key", "told", "words"),
    [
        ("household_id", None, "household_id is None, should be a text"),
        ("household_id", ["b"], "household_id is ['b'], should be a text"),
        ("household_id", "a", "household_id is 'a', that of member 0"),
        ("pv_capacity_kw", 0.0, "pv_capacity_kw is 0.0, expected "),
        ("pv_capacity_kw", 1e30, "pv_capacity_kw is 1e+30, expected "),
    ],
)
@pytest.mark.parametrize("beside", ["", "members"])
def test_a_measured_home_has_a_name_and_a_roof_of_its_own(
    beside: str, key: str, told: object, words: str, tmp_path: Path
) -> None:
    """Member 0 is "b", whose meter saw 1.2 kW; a members file may call its roof smaller, and not absent."""
    steps = [
        f"2024-06-01 {hour:02d}:00:00,{home},0.5,{pv}\n"
        for hour in range(9, 12)
        for home, pv in (("a", 0), ("b", 1.2))
    ]
    (tmp_path / "homes.csv").write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "".join(steps))
    (tmp_path / "members.csv").write_text("household_id,battery_kwh,pv_kwp\na,0,0\nb,5,0.3\n")
    given = ["--members", str(tmp_path / "members.csv")] if beside else []
    files = Files(save_run(tmp_path / "run", "--data", str(tmp_path / "homes.csv"), *given))
    assert verify(files.folder).ok
    files.json("prosumers.json", lambda members: members[0].update({key: told}))
    report = verify(files.folder)
    assert any(words in f.detail for f in report.findings), report.findings


def test_roofs_of_honest_runs_are_what_the_settings_or_files_make_of_them(tmp_path: Path) -> None:
    """A synthetic roof makes more than its size under twice the sun; a size that rounds to 0 is the meter's."""
    assert verify(save_run(tmp_path / "sun", "--set=SEASON_FACTOR=2", "--set=NUM_PROSUMERS=3")).ok
    (tmp_path / "homes.csv").write_text(
        "timestamp,household_id,load_kwh,pv_kwh\n"
        "2024-06-01 09:00,a,0.5,0.0006\n2024-06-01 10:00,a,0.5,1.2004\n"
    )
    (tmp_path / "members.csv").write_text("household_id,battery_kwh,pv_kwp\na,5,0.0000000001\n")
    for given in ([], ["--members", str(tmp_path / "members.csv")]):
        folder = save_run(tmp_path / "run", "--data", str(tmp_path / "homes.csv"), *given)
        (home,) = json.loads((folder / "prosumers.json").read_text())
        assert home["pv_capacity_kw"] == 1.2004 and verify(folder).ok


def test_homes_with_long_names_and_the_largest_roof_are_told_apart(tmp_path: Path) -> None:
    """Names may share all letters that a message has room for; a million kWh in seven minutes is allowed."""
    names = ["\u0434\u043e\u043c " * 30 + number for number in "12"]
    rows = [
        f"2024-06-01 00:{7 * k:02d}:00,{name},0.5,1000000\n" for k in range(3) for name in names
    ]
    (tmp_path / "homes.csv").write_text(
        "timestamp,household_id,load_kwh,pv_kwh\n" + "".join(rows), "utf-8"
    )
    folder = save_run(tmp_path / "run", "--data", str(tmp_path / "homes.csv"))
    report = verify(folder)
    assert report.ok, told_by(report)


def test_a_date_that_does_not_follow_is_found(measured: Files) -> None:
    measured.set("community_summary.csv", 3, "timestamp", "2024-05-31 23:16:00")
    assert has(verify(measured.folder), "timestamp", "step 3", "expected 2024-05-31 23:15:00")


@pytest.mark.parametrize(
    "text", ["2024-05-31 20:30:00", "٢024-05-31 22:30:00", "", "9999-12-31 23:59:59"]
)
def test_a_date_that_is_another_or_none_is_found(text: str, measured: Files) -> None:
    measured.set("community_summary.csv", 0, "timestamp", text)
    report = verify(measured.folder)
    assert {"timestamp", "hour"} & set(report.totals), told_by(report)


def test_the_log_tells_the_dates_of_the_table(measured: Files) -> None:
    measured.json("simulation_log.json", lambda log: log[1].update(timestamp="2024-06-01 22:45:00"))
    assert has(verify(measured.folder), "simulation_log", "step 1", "timestamp is ")


def test_the_begin_of_the_data_must_be_told(measured: Files) -> None:
    def change(rows: list) -> None:
        for row in rows:
            del row["timestamp"]

    measured.table("community_summary.csv", change)
    measured.json("simulation_log.json", change)
    assert has(verify(measured.folder), "timestamp", "step 0", "timestamp is missing")


# ---------------------------------------------------------------------------- the regulator's deeds


@pytest.fixture
def banning(tmp_path: Path) -> Files:
    """A run in which members are banned for hours, and pay avoidable penalties."""
    changes = "BAN_PENALTY_LIMIT=0 BAN_BONUS_LIMIT=100 BAN_MARKET_HOURS=5 NUM_PROSUMERS=40"
    options = [part for change in changes.split() for part in ("--set", change)]
    return Files(save_run(tmp_path / "run", *options))


def test_a_ban_decided_in_the_last_step_has_banned_nobody_yet(banning: Files) -> None:
    """banned_ever counts who was banned, as banned_steps of each member does."""
    by_step = pd.read_csv(banning.folder / "regulator_actions.csv").groupby("timestep")
    last = int((by_step["ban_steps_left"].max() > 0).idxmax())
    params = json.loads((banning.folder / "params.json").read_text())
    path = banning.folder.parent / "params.json"
    path.write_text(json.dumps(params | {"TIME_STEPS": last + 1}))
    cut = Files(save_run(banning.folder.parent / "cut", "--config", str(path)))
    told = json.loads((cut.folder / "summary.json").read_text())
    assert told["banned_ever"] == 0 and verify(cut.folder).ok
    cut.json("summary.json", lambda summary: summary.update(banned_ever=1))
    assert has(verify(cut.folder), "summary", "summary.json", "banned_ever is ")


def test_a_ban_has_a_known_reason_and_keeps_it(banning: Files) -> None:
    with (banning.folder / "regulator_actions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row = next(
        i for i, r in enumerate(rows) if r["is_banned"] == "true" and r["ban_steps_left"] > "0"
    )
    where = "step {}, member {}".format(*divmod(row, 40))
    assert verify(banning.folder).ok
    banning.set("regulator_actions.csv", row, "ban_reason", "nonsense")
    assert has(verify(banning.folder), "ban reason", where, "no reason for a ban")
    banning.set("regulator_actions.csv", row, "ban_reason", "low_balance")
    assert has(verify(banning.folder), "ban reason", where, "'low_balance' while the ban")


@pytest.mark.parametrize("text", ["-0.000000001", "0.000000001", "99.000000000"])
def test_an_avoidable_penalty_is_a_part_of_the_penalty(text: str, files: Files) -> None:
    files.set("regulator_actions.csv", 12 * 24 + 7, "avoidable_penalty_eur", text)
    assert has(verify(files.folder), "avoidable penalty", "step 12, member 7")


# ------------------------------------------------------------------------------------ right runs

NO_LOAD = "LOAD_PATTERN=[" + ",".join("0" * 24) + "]"
RIGHT = {
    "a tiny load": ["--steps", "1", "--set", NO_LOAD, "--set", "TIME_STEP_DURATION=0.0833"],
    "no load": ["--steps", "3", "--set", NO_LOAD, "--set", "MIN_LOAD=0"],
    "no sun": ["--steps", "12", "--set", "SEASON_FACTOR=0"],
    "no battery": ["--steps", "12", "--set", "HAS_BATTERY=0"],
    "one consumer": ["--set", "NUM_PROSUMERS=0", "--set", "NUM_CONSUMERS=1"],
    "quarter hours": ["--steps", "60", "--set", "TIME_STEP_DURATION=0.25"],
    "a large fee": ["--set", "LOCAL_MARKET_FEE=1"],
    "no prices": [f"--set={name}=0" for name in ("BASE_PRICE", "FEED_IN_PRICE", "LOCAL_MARKET_FEE")],
    "other batteries": ["--set", "BATTERY_CAPACITY=[1.2345678]", "--set", "PV_CAPACITY=[3]",
                        "--set", "BASE_CONSUMPTION=[1]", "--set", "BATTERY_EFFICIENCY=0.7"],
    "levers that change": ["--set", "REGULATOR_OBJECTIVE=chaos"],
    "a market without limits": ["--set", "MARKET_MECHANISM=bill_sharing"],
    "without ledger": ["--set", "CONSENSUS=none"],
    "orders of just the threshold": ["--steps=1", "--set=IMBALANCE_THRESHOLD=0.26",
                                    "--set=LOAD_VARIATION=0", "--set=HAS_BATTERY=0"],
    "roofs that may look either way": ["--steps", "12", "--set", "ORIENTATION_SHIFT=0.02",
                                       "--set", "ROOF_VARIATION=0", "--set", "NUM_CONSUMERS=1"],
    "bills of a hundred million": [
        "--steps=3", "--set=TIME_STEP_DURATION=0.25", "--set=BASE_CONSUMPTION=[1000000]",
        "--set=PV_CAPACITY=[100000]", "--set=BATTERY_CAPACITY=[100000]", "--set=RETAIL_PRICE=307.973751",
        "--set=BASE_PRICE=0", "--set=FEED_IN_PRICE=0", "--set=LOCAL_MARKET_FEE=0", "--set=NUM_CONSUMERS=4",
    ],
    "roofs that do not matter": ["--steps", "12", "--set", "ROOF_VARIATION=1"],
}  # fmt: skip


@pytest.mark.parametrize("options", RIGHT.values(), ids=RIGHT)
def test_nothing_is_found_in_a_right_run(options: list[str], tmp_path: Path) -> None:
    first = [] if "NUM_PROSUMERS=0" in options else ["--set", "NUM_PROSUMERS=5"]
    report = verify(save_run(tmp_path / "run", *first, *options))
    assert report.ok, told_by(report)


@pytest.mark.parametrize("hours", ["1", "0.25"])
def test_nothing_is_found_in_a_run_of_given_prices(hours: str, tmp_path: Path) -> None:
    """In quarter-hours the forecast follows prices that change within the hour."""
    rows = [f"{t},{0.2 + 0.0123457 * t:.6f},{0.05 + 0.000333 * t:.6f}" for t in range(24)]
    prices = tmp_path / "prices.csv"
    prices.write_text(
        "timestep,import_price_eur_per_kwh,export_price_eur_per_kwh\n" + "\n".join(rows)
    )
    options = ["--set", "NUM_PROSUMERS=9", "--set", f"TIME_STEP_DURATION={hours}"]
    folder = save_run(tmp_path / "run", *options, "--prices", str(prices))
    report = verify(folder)
    assert report.ok, told_by(report)
    Files(folder).set("community_summary.csv", 5, "market_price_eur_per_kwh", "0.140000")
    assert has(verify(folder), "market price", "step 5")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("community_summary.csv", "market_price_eur_per_kwh"),
        ("regulator_actions.csv", "avoidable_penalty_eur"),
    ],
)
def test_a_column_that_our_own_runs_promise_cannot_be_left_out(
    name: str, column: str, small_day: Path, tmp_path: Path
) -> None:
    """Without it the rule that reads it would be silent; a folder by the contract alone has none."""
    copy = tmp_path / "results"
    shutil.copytree(small_day, copy)
    header, rest = (copy / name).read_text().split("\n", 1)
    (copy / name).write_text(header.replace(column, "another_" + column) + "\n" + rest)
    with pytest.raises(Unreadable) as raised:
        verify(copy)
    assert raised.value.problems == [f"{name}: columns missing: {column}"]
