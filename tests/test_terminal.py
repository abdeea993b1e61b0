"""What a person reads when a run ends: each figure of the table under its own name, in its own unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import make_settings
from worlds import quick_settings

import main
import run_command
import terminal

FIGURES: dict[str, Any] = {
    "steps": 96,
    "step_hours": 0.25,
    "members": 101,
    "seed": 42,
    "mechanism": "midpoint",
    "objective": "chaos",
    "pv_kwh": 2001.5,
    "load_kwh": 1902.5,
    "stored_change_kwh": -3.14,
    "stored_change_value_eur": -0.46,
    "p2p_kwh": 404.25,
    "p2p_trades": 1005,
    "market_kwh": 306.75,
    "market_trades": 1,
    "grid_import_kwh": 207.1,
    "grid_export_kwh": 108.2,
    "community_import_kwh": 309.3,
    "community_export_kwh": 410.4,
    "p2p_price_eur_per_kwh": 0.16511,
    "market_price_eur_per_kwh": 0.15122,
    "self_sufficiency": 0.8312,
    "self_consumption": 0.7923,
    "net_cost_eur": -33.334,
    "net_cost_alone_eur": 72.668,
    "savings_eur": 106.002,
    "bonuses_eur": 29.5,
    "penalties_eur": 4.25,
    "avoidable_penalties_eur": 0.04,
    "members_balance_eur": 13.5,
    "aggregator_balance_eur": 24.6,
    "utility_balance_eur": -35.7,
    "regulator_balance_eur": -2.4,
    "banned_ever": 7,
    "banned_member_steps": 50,
    "blocks": 30,
    "hashes": 123_456,
}
"""Made up: no figure equals another, so that none can stand in another's place."""

TABLE = {
    "energy": "PV 2,001.5 kWh, load 1,902.5 kWh",
    "batteries": "change in content -3.1 kWh, worth -0.46 EUR",
    "P2P": "404.2 kWh in 1,005 trades",
    "local market": "306.8 kWh in 1 trade",
    "utility": "import 207.1 kWh, export 108.2 kWh",
    "community": "import 309.3 kWh, export 410.4 kWh as a whole",
    "prices": "P2P 0.1651, market 0.1512 EUR/kWh on average",
    "self-sufficiency": "83.1 %, self-consumption 79.2 %",
    "net cost": "-33.33 EUR together, 72.67 EUR alone: 106.00 EUR saved",
    "regulator": "bonuses 29.50 EUR, penalties 4.25 EUR (0.04 avoidable)",
    "balances": "members 13.50, aggregator 24.60, utility -35.70, regulator -2.40 EUR",
    "bans": "7 members, 12.5 member-hours",
    "ledger": "30 blocks with genesis, 123,456 hashes, 2.50 million/s",
    "time": "1.25 s, 48 MB",
}
TIMING = {"total_seconds": 1.25, "hashes_per_second": 2_500_000, "peak_memory_mb": 48}


def test_every_figure_stands_in_its_line() -> None:
    assert dict(terminal.summary_lines(FIGURES, TIMING, tariff=False)) == TABLE


@pytest.mark.parametrize(
    ("change", "name", "line"),
    [
        ({"p2p_price_eur_per_kwh": None}, "prices", "P2P -, market 0.1512 EUR/kWh on average"),
        ({"self_sufficiency": None}, "self-sufficiency", "-, self-consumption 79.2 %"),
        ({"hashes": 0}, "ledger", "30 blocks with genesis"),
        ({"blocks": 1, "hashes": 0}, "ledger", "1 block with genesis"),
        ({"net_cost_eur": -0.001}, "net cost", "0.00 EUR together, 72.67 EUR alone: 106.00 EUR saved"),
        ({"banned_ever": 1, "banned_member_steps": 4}, "bans", "1 member, 1 member-hour"),
    ],
)  # fmt: skip
def test_what_is_not_there_and_what_is_one_are_told_so(
    change: dict[str, Any], name: str, line: str
) -> None:
    assert dict(terminal.summary_lines(FIGURES | change, TIMING, tariff=False))[name] == line


def test_a_spent_budget_is_told() -> None:
    """The regulator's account stands at -2.40 EUR: 2.40 is handed out, so a cent more is not yet spent."""
    for budget, told in ((2.4, ", its budget of 2.4 EUR is spent"), (2.41, ""), (4e9, "")):
        line = dict(terminal.summary_lines(FIGURES, TIMING, False, budget))["regulator"]
        assert line == TABLE["regulator"] + told


@pytest.mark.parametrize(("budget", "told"), [("1", True), ("1000", False)])
def test_a_run_tells_of_its_own_budget(
    budget: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--no-plots", f"--set=REGULATOR_BUDGET={budget}", "-o", str(tmp_path / "r")]
    assert main.main([*run, "--set=CONSENSUS=none"]) == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert (f"its budget of {budget} EUR is spent" in words) == told


def test_a_tariff_is_not_called_a_market() -> None:
    lines = dict(terminal.summary_lines(FIGURES, TIMING, tariff=True))
    assert lines["prices"] == "P2P 0.1651, tariff 0.1512 EUR/kWh on average"


def test_a_slow_race_is_not_told_as_none() -> None:
    """With ten thousand miners at difficulty 1 the time goes into beginning, not into hashing."""
    lines = dict(terminal.summary_lines(FIGURES, TIMING | {"hashes_per_second": 1_234}, False))
    assert lines["ledger"] == "30 blocks with genesis, 123,456 hashes, 1,234/s"


def test_a_run_without_ledger_tells_nothing_of_it() -> None:
    lines = dict(terminal.summary_lines(FIGURES | {"blocks": 0}, {"total_seconds": 0.5}, False))
    assert "ledger" not in lines and lines["time"] == "0.50 s"


def test_what_a_hard_block_will_cost_is_told_before_it_is_mined(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """16^8 attempts at three million a second: 1,432 s, 24 minutes."""
    settings = quick_settings(CONSENSUS="pow", DIFFICULTY_TARGET=8)
    run_command._find_race(settings, use_gpu=False, quiet=False)
    told = "difficulty 8: 4,294,967,296 attempts a block are expected, 24 minutes each on a CPU\n"
    assert capsys.readouterr().err == told
    run_command._find_race(settings, use_gpu=False, quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DIFFICULTY_TARGET": 3}, ""),
        ({"DIFFICULTY_TARGET": 8, "CONSENSUS": "pos"}, ""),
        (
            {"DIFFICULTY_TARGET": 8},
            "difficulty 8: 4,294,967,296 attempts a block are expected, 24 minutes each on a CPU",
        ),
        (
            {"DIFFICULTY_TARGET": 16},
            "difficulty 16: 18,446,744,073,709,551,616 attempts a block are expected, 194,847 years",
        ),
    ],
)
def test_work_that_will_take_long_is_told_before_it_begins(changes: dict, told: str) -> None:
    line = terminal.work_ahead(make_settings(**changes))
    assert line.startswith(told)
    assert bool(line) == bool(told)


def test_no_figure_is_told_as_minus_nothing() -> None:
    """A battery with less in it is worth -0.00 EUR where energy costs nothing; 0.02 kWh less are -0.0 kWh."""
    rounded = terminal.rounded
    assert (rounded(-0.0, sign="+"), rounded(-0.004), rounded(-0.02, 1)) == ("+0.00", "0.00", "0.0")
    assert (rounded(-0.006), rounded(1234.5, sign="+")) == ("-0.01", "+1,234.50")
    nothing = {"stored_change_kwh": -0.02, "stored_change_value_eur": -0.001}
    lines = dict(terminal.summary_lines(FIGURES | nothing, TIMING, tariff=False))
    assert lines["batteries"] == "change in content +0.0 kWh, worth +0.00 EUR"
