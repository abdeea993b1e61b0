"""The results folder: the contract's files, exact to the digit, in place as a whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import REPOSITORY, contents, make_run, save_run

import results_folder
import storage
from errors import InputError
from results_folder import FILES, refuse_unless_ours, replacing

SMALL = ["--set=NUM_PROSUMERS=6", "--set=DIFFICULTY_TARGET=1", "--steps=4"]

PROMISED = {
    "prosumer_energy.csv": "timestep,hour,prosumer_id,home_type,pv_kwh,load_kwh,battery_charge_kwh,"
    "battery_discharge_kwh,battery_level_kwh,battery_soc,p2p_bought_kwh,p2p_sold_kwh,market_bought_kwh,"
    "market_sold_kwh,grid_import_kwh,grid_export_kwh,curtailed_kwh,renewable_used_kwh",
    "prosumer_trading.csv": "timestep,hour,prosumer_id,role,is_banned,order_kwh,limit_price_eur_per_kwh,"
    "p2p_kwh,p2p_trades,market_kwh",
    "all_trades.csv": "trade_id,timestep,hour,trade_type,buyer_id,seller_id,energy_kwh,price_eur_per_kwh,"
    "amount_eur,block_height,tx_id",
    "regulator_actions.csv": "timestep,hour,prosumer_id,bonus_eur,penalty_eur,is_banned,ban_steps_left,"
    "ban_reason",
    "community_summary.csv": "timestep,hour,price_forecast_eur_per_kwh,pv_kwh,load_kwh,surplus_kwh,"
    "deficit_kwh,p2p_kwh,p2p_trades,market_kwh,market_trades,grid_import_kwh,grid_export_kwh,active_buyers,"
    "active_sellers,banned_prosumers,blocks_mined,market_buy_price_eur_per_kwh,market_sell_price_eur_per_kwh,"
    "grid_import_price_eur_per_kwh,grid_export_price_eur_per_kwh,renewable_bonus_eur_per_kwh,"
    "p2p_bonus_eur_per_kwh,market_penalty_eur_per_kwh",
    "blocks.csv": "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,previous_hash,"
    "merkle_root",
    "transfers.csv": "timestep,payer_id,payee_id,amount_eur,reason",
    "accounts.csv": "account_id,kind,opening_eur,balance_eur",
}


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small saved run; read only."""
    return save_run(tmp_path_factory.mktemp("small") / "results", *SMALL)


# ---------------------------------------------------------------- the files, to the byte


def test_equal_runs_leave_equal_bytes(small: Path, saved_run: Callable[..., Path]) -> None:
    """Same settings, same seed, same input; only timing.json may differ (trap 24)."""
    assert contents(saved_run(*SMALL)) == contents(small)
    assert (small / "timing.json").is_file()


def test_the_bytes_do_not_hang_on_how_a_process_orders_its_sets(tmp_path: Path) -> None:
    """Python salts the hashes of texts anew in each process: two runs in one would not show it."""
    for salt in "12":
        words = ["--no-plots", "--quiet", "-o", str(tmp_path / salt), *SMALL]
        program = [sys.executable, str(REPOSITORY / "main.py"), *words]
        subprocess.run(program, check=True, env=os.environ | {"PYTHONHASHSEED": salt})
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_saving_tells_how_many_files_are_done(tmp_path: Path) -> None:
    """A year is saved for ten seconds; a bar that stands still looks like a program that hangs."""
    told: list[tuple[int, int]] = []
    run = make_run(NUM_PROSUMERS=3, TIME_STEPS=2, CONSENSUS="pow", DIFFICULTY_TARGET=0)
    storage.write(run, tmp_path, lambda done, total: told.append((done, total)))
    files = len(list(tmp_path.iterdir())) - 1  # params.json is there before
    assert told == [(done, files) for done in range(files + 1)]


def test_what_fails_in_the_fresh_folder_is_told_of_the_one_that_was_named(tmp_path: Path) -> None:
    """The fresh one has a name that nobody gave, and is gone when the message is read."""
    folder = tmp_path / "results"
    with pytest.raises(InputError) as caught, replacing(folder) as fresh:
        raise InputError([f"{fresh / 'plots'}: cannot be written (No space left on device)"])
    told = f"--output {folder / 'plots'}: cannot be written (No space left on device)"
    assert caught.value.problems == [told]


def test_another_seed_leaves_other_bytes_in_every_table(
    small: Path, saved_run: Callable[..., Path]
) -> None:
    """The test above would pass for a program that always writes the same."""
    first, second = contents(small), contents(saved_run(*SMALL, "--seed", "7"))
    assert {name for name in first if first[name] == second[name]} == set()


def test_a_run_leaves_the_files_of_the_contract(small: Path) -> None:
    assert {path.name for path in small.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", PROMISED)
def test_the_promised_columns_come_first_and_in_their_order(small: Path, name: str) -> None:
    """Columns of our own may stand to the right of them."""
    header = (small / name).read_text(encoding="utf-8").splitlines()[0]
    assert (header + ",").startswith(PROMISED[name] + ",")


@pytest.mark.parametrize("name", PROMISED)
def test_tables_are_utf_8_with_plain_line_ends_and_rows_of_one_length(
    small: Path, name: str
) -> None:
    text = (small / name).read_bytes().decode("utf-8")
    assert "\r" not in text and text.endswith("\n") and not text.endswith("\n\n")
    assert len({line.count(",") for line in text.splitlines()}) == 1


DECIMALS = {"battery_level_kwh": 6, "stored_kwh": 6, "battery_soc": 4}


@pytest.mark.parametrize("name", PROMISED)
def test_numbers_have_exactly_the_decimals_of_their_unit(default_day: Path, name: str) -> None:
    """Whole Wh, whole micro-euro per kWh, whole nano-euro: nothing is rounded, nothing is padded."""
    for row in table(default_day, name):
        for column, text in row.items():
            unit = 3 if column.endswith("_kwh") else 9 if column.endswith("_eur") else None
            places = DECIMALS.get(column, 6 if column.endswith("_eur_per_kwh") else unit)
            if places is not None and text:
                assert re.fullmatch(rf"-?\d+\.\d{{{places}}}", text), f"{name}, {column}: {text}"


def test_rows_are_ordered_by_step_then_member(small: Path) -> None:
    for name in ("prosumer_energy.csv", "prosumer_trading.csv", "regulator_actions.csv"):
        keys = [(int(row["timestep"]), int(row["prosumer_id"])) for row in table(small, name)]
        assert keys == [(step, member) for step in range(4) for member in range(6)]


def test_amounts_are_energy_times_price_without_rounding(default_day: Path) -> None:
    """The three texts of a row multiply exactly, as decimal numbers."""
    for row in table(default_day, "all_trades.csv"):
        product = Decimal(row["energy_kwh"]) * Decimal(row["price_eur_per_kwh"])
        assert product == Decimal(row["amount_eur"])


def test_params_hold_every_setting_in_force_and_bind_the_chain(small: Path) -> None:
    import hashlib

    params = json.loads((small / "params.json").read_text())
    assert (params["NUM_PROSUMERS"], params["TIME_STEPS"], params["CONSENSUS"]) == (6, 4, "pow")
    genesis = table(small, "blocks.csv")[0]
    assert (
        genesis["merkle_root"] == hashlib.sha256((small / "params.json").read_bytes()).hexdigest()
    )


def test_without_ledger_there_is_no_chain(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "results", *SMALL, "--set", "CONSENSUS=none")
    assert not (folder / "blocks.csv").exists() and not (folder / "blockchain.json").exists()
    for row in table(folder, "all_trades.csv"):
        assert (row["block_height"], row["tx_id"]) == ("-1", "")
    assert not [row for row in table(folder, "transfers.csv") if row["reason"] == "block_reward"]
    assert not [row for row in table(folder, "accounts.csv") if row["kind"] == "miner"]


def test_a_run_without_trades_can_be_saved(tmp_path: Path) -> None:
    """One member has no neighbour, and no cap means no market: empty tables, but tables (trap 13)."""
    run = make_run(NUM_PROSUMERS=1, MAX_TRADE_CAP=0.0, TIME_STEPS=2)
    storage.save(run, tmp_path)
    assert table(tmp_path, "all_trades.csv") == []
    assert len(table(tmp_path, "prosumer_energy.csv")) == 2


@hypothesis.given(st.lists(st.integers(-(2**62), 2**62), min_size=1), st.sampled_from([3, 4, 6, 9]))
def test_whole_numbers_become_decimal_texts_and_back(values: list[int], decimals: int) -> None:
    """Also -0.5, whose whole part has no sign of its own."""
    texts = storage.fixed(np.array(values, np.int64), decimals)
    assert [int(Decimal(text).scaleb(decimals)) for text in texts] == values


# ---------------------------------------------------------------- whole, or not at all


@pytest.fixture
def earlier(small: Path, tmp_path: Path) -> Path:
    """A results folder with an earlier run, figures, and things of the user's own."""
    folder = tmp_path / "home" / "results"
    shutil.copytree(small, folder)
    (folder / "plots").mkdir()
    (folder / "plots" / "merit_order.png").write_bytes(b"old")
    (folder / "plots" / "my_slide.pptx").write_bytes(b"a slide")
    (folder / "sim_1").mkdir()
    (folder / "sim_1" / "params.json").write_text("{}")
    (folder / "runs.sqlite").write_bytes(b"a database")
    (folder / "deck.pptx").write_bytes(b"a deck")
    return folder


OWN = {"sim_1/params.json", "runs.sqlite", "deck.pptx", "plots/my_slide.pptx"}


def beside(folder: Path) -> list[str]:
    """What lies beside a folder, hidden or not."""
    return [path.name for path in folder.parent.iterdir() if path != folder]


def write_run(fresh: Path, text: str = "new", *names: str) -> None:
    for name in names or ("params.json", "summary.json", "timing.json"):
        (fresh / name).write_text(text)


def test_a_new_run_takes_the_place_of_the_old_one_and_leaves_the_rest(earlier: Path) -> None:
    """What the new run does not have, as the figures here, must not survive from the old one."""
    others = {name: data for name, data in contents(earlier).items() if name in OWN}
    with replacing(earlier) as fresh:
        write_run(fresh)
    now = contents(earlier)
    assert set(now) == OWN | {"params.json", "summary.json"}
    assert now["params.json"] == b"new"
    assert {name: now[name] for name in OWN} == others
    assert beside(earlier) == []


def test_a_run_without_figures_and_ledger_removes_those_of_the_run_before(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "results", *SMALL)
    (folder / "plots").mkdir()
    save_run(folder, *SMALL, "--set", "CONSENSUS=none")
    assert {"plots", "blocks.csv", "blockchain.json"} & set(os.listdir(folder)) == set()


def test_of_the_figures_only_those_of_ours_are_replaced(earlier: Path) -> None:
    """The user's slide and a figure of a name of his own stay; what we drew before goes."""
    (earlier / "plots" / "mine.png").write_bytes(b"mine")
    with replacing(earlier) as fresh:
        write_run(fresh)
        (fresh / "plots").mkdir()
        (fresh / "plots" / "prosumer_day.png").write_bytes(b"new")
    assert {path.name: path.read_bytes() for path in (earlier / "plots").iterdir()} == {
        "mine.png": b"mine",
        "my_slide.pptx": b"a slide",
        "prosumer_day.png": b"new",
    }


def test_a_first_folder_of_figures_is_taken_back_with_a_swap_that_fails(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    shutil.copytree(small, folder)
    before = sorted(folder.iterdir())
    monkeypatch.setattr(results_folder.os, "replace", lambda *_: (folder / "no").stat())
    with pytest.raises(InputError), replacing(folder) as fresh:
        write_run(fresh)
        (fresh / "plots").mkdir()
    assert sorted(folder.iterdir()) == before


def test_a_file_called_as_our_folder_and_a_folder_called_as_our_file_are_refused(
    small: Path, tmp_path: Path
) -> None:
    """Before the run, and all of them: each would be lost in the swap, or stop it."""
    folder = tmp_path / "results"
    shutil.copytree(small, folder)
    (folder / "timing.json").unlink()
    (folder / "timing.json").mkdir()
    (folder / "plots").write_text("notes")
    with pytest.raises(InputError) as caught, replacing(folder):
        pytest.fail("it must not begin")
    assert caught.value.problems == [
        f"--output {folder / 'plots'}: is a file, where figures belong; move it away",
        f"--output {folder / 'timing.json'}: is a folder, where a file of the results belongs; "
        "move it away",
    ]
    assert (folder / "plots").read_text() == "notes"


def test_the_figures_that_a_folder_owns_are_those_that_are_drawn() -> None:
    """A figure without a line there would be drawn and never arrive."""
    import plot_results
    from extensions import compare_command, comparison_plots
    from figures.registry import DRAWN

    assert set(results_folder.FIGURES) == set(DRAWN), "its line in results_folder.FIGURES"
    assert list(plot_results.FIGURES) == list(results_folder.FIGURES)
    assert set(compare_command.FIGURES) == set(comparison_plots.FIGURES)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, ValueError, InputError([]), MemoryError, BrokenPipeError]
)
def test_a_run_that_fails_leaves_the_earlier_results_as_they_were(
    earlier: Path, error: BaseException
) -> None:
    before = contents(earlier)
    with pytest.raises(BaseException) as caught, replacing(earlier) as fresh:  # noqa: PT011, B017
        write_run(fresh)
        raise error
    assert caught.type is (error if isinstance(error, type) else type(error))
    assert contents(earlier) == before
    assert beside(earlier) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_swap_that_is_cut_short_at_any_move_is_taken_back(
    earlier: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, moment: str
) -> None:
    """15 files go out and 15 come in; a failure before or after each single move changes nothing."""
    before = contents(earlier)
    moves = {"left": 0}
    genuine = os.replace

    def move(source: Path, goal: Path) -> None:
        moves["left"] -= 1
        if moves["left"] == 0 and moment == "before":
            raise error
        genuine(source, goal)
        if moves["left"] == 0:
            raise error

    monkeypatch.setattr(results_folder.os, "replace", move)
    for count in range(1, 31):
        moves["left"] = count
        with pytest.raises((InputError, KeyboardInterrupt)), replacing(earlier) as fresh:
            write_run(fresh, "new", *FILES)
            (fresh / "plots").mkdir()
            (fresh / "plots" / "prosumer_day.png").write_bytes(b"new")
        assert moves["left"] <= 0, f"move {count} never happened"
        assert contents(earlier) == before
        assert beside(earlier) == []


def test_a_full_disk_is_told_as_such(earlier: Path) -> None:
    with pytest.raises(InputError) as caught, replacing(earlier):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.problems == [
        f"--output {earlier}: cannot be written (No space left on device)"
    ]


def test_a_run_that_fails_leaves_no_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a" / "b" / "results"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", range(1, 5))
def test_a_first_swap_that_fails_leaves_no_empty_folders_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The disk is full at the first to fourth of four moves; the results were complete beside their place."""
    genuine, moves = os.replace, iter(range(1, 100))

    def move(source: Path, goal: Path) -> None:
        if next(moves) == count:
            raise OSError(errno.ENOSPC, "No space left")
        genuine(source, goal)

    monkeypatch.setattr(results_folder.os, "replace", move)
    with pytest.raises(InputError), replacing(tmp_path / "a" / "results") as fresh:
        write_run(fresh, "new", "params.json", "summary.json")
        (fresh / "plots").mkdir()
        for name in ("prosumer_day.png", "merit_order.png"):
            (fresh / "plots" / name).write_bytes(b"new")
    assert list(tmp_path.iterdir()) == []


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b" / "results") as fresh:
        write_run(fresh)
    assert (tmp_path / "a" / "b" / "results" / "params.json").read_text() == "new"


def test_a_folder_into_which_nothing_can_be_moved_is_filled_from_inside(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted volume, as results/ in a container: a rename from beside it is refused."""

    def rename(source: Path, goal: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(results_folder.os, "rename", rename)
    with replacing(earlier) as fresh:
        assert fresh.parent == earlier and beside(earlier) == []
        write_run(fresh)
    assert set(contents(earlier)) == OWN | {"params.json", "summary.json"}


@pytest.mark.parametrize("name", ["results/", "./results", "deep/../results"])
def test_spellings_of_a_path_mean_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    with replacing(Path(name)) as fresh:
        write_run(fresh)
    assert (tmp_path / "results" / "params.json").is_file()


def test_the_folder_one_stands_in_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with replacing(Path(".")) as fresh:
        write_run(fresh)
    assert sorted(os.listdir(tmp_path / "here")) == ["params.json", "summary.json", "timing.json"]
    assert os.listdir(tmp_path) == ["here"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    with replacing(tmp_path / "results") as fresh:
        write_run(fresh)
    assert (tmp_path / "results").is_symlink()
    assert (tmp_path / "disk" / "params.json").is_file()


# ---------------------------------------------------------------- where nothing is written


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        refuse_unless_ours(folder)
    (told,) = caught.value.problems
    return told.removeprefix(f"--output {folder}: ")


def test_a_folder_of_somebody_else_is_refused_and_untouched(tmp_path: Path) -> None:
    """`--output ~` does no harm."""
    (tmp_path / "thesis.tex").write_text("years of work")
    told = "holds files, but not what this command writes; name an empty or new folder"
    assert refusal(tmp_path) == told
    for params in ("{}", "[]", '{"SEED": 1}', "not JSON", "[" * 100_000):
        (tmp_path / "params.json").write_text(params)
        assert refusal(tmp_path) == told, "a params.json alone does not make it ours"
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert refusal(file) == "is a file; name a folder"
    assert refusal(file / "results" / "deeper") == f"{file} is a file"


def test_a_folder_without_permission_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after ten minutes of mining."""
    monkeypatch.setattr(results_folder.os, "access", lambda path, mode: False)
    assert refusal(tmp_path / "results") == "cannot be written (no permission)"


@pytest.mark.parametrize("name", [".gitkeep", ".gitignore", ".DS_Store", ".results-abc.new"])
def test_a_folder_with_nothing_of_anybody_s_in_it_counts_as_empty(
    tmp_path: Path, name: str
) -> None:
    """Also with what a killed run left there."""
    (tmp_path / name).write_text("")
    refuse_unless_ours(tmp_path)


@pytest.mark.parametrize("name", ["notes.new", ".bashrc", ".git"])
def test_hidden_files_and_new_ones_of_somebody_else_count(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert refusal(tmp_path).startswith("holds files, but not what")


def test_a_folder_with_results_of_ours_is_welcome(small: Path) -> None:
    refuse_unless_ours(small)


def test_a_figure_is_told_in_the_unit_that_its_name_says() -> None:
    """Whatever it is called: a lever or share that somebody adds is no raw micro-euro and no 0."""
    row = {
        "grid_fee_microeur_per_kwh": 10_000,
        "margin": 0.35,
        "shifted_wh": 1_234,
        "stored_wh": 1_234.5678,
        "earned_nanoeur": -5,
        "active": 3,
    }
    assert storage.community_table([row]) == {
        "grid_fee_eur_per_kwh": ["0.010000"],
        "margin": ["0.350"],
        "shifted_kwh": ["1.234"],
        "stored_kwh": ["1.234568"],
        "earned_eur": ["-0.000000005"],
        "active": ["3"],
    }
    assert storage._plain_units(row) == {
        "grid_fee_eur_per_kwh": 0.01,
        "margin": 0.35,
        "shifted_kwh": 1.234,
        "stored_kwh": 1.234568,
        "earned_eur": -5e-9,
        "active": 3,
    }


def test_a_price_that_nobody_paid_is_empty_in_the_table_and_null_in_the_log() -> None:
    row = {"timestep": 0, "p2p_price_microeur_per_kwh": None}
    assert storage.community_table([row]) == {"timestep": ["0"], "p2p_price_eur_per_kwh": [""]}
    assert storage._plain_units(row) == {"timestep": 0, "p2p_price_eur_per_kwh": None}


def test_a_run_without_dates_has_no_timestamps(default_day: Path) -> None:
    """Neither in the table nor in the log, which hold the same columns row by row."""
    with open(default_day / "community_summary.csv", newline="") as file:
        table = list(csv.DictReader(file))
    log = json.loads((default_day / "simulation_log.json").read_text())
    assert "timestamp" not in table[0]
    assert [list(row) for row in log] == [list(row) for row in table]
    prices = [
        (row["p2p_price_eur_per_kwh"], told["p2p_price_eur_per_kwh"])
        for row, told in zip(table, log, strict=True)
    ]
    assert ("", None) in prices and all((not text) == (price is None) for text, price in prices)
