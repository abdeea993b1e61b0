"""The golden day: totals and chain tip of the default settings, noted down once.

A golden value says only that something changed, not that it was right before; so each total is also tied
to relations that hold for independent reasons. The values may change when an equation, a default of
config.py or a random stream changes on purpose: then the changelog has a line for it, README's typical
day and chain tip are renewed, and this file is written anew with

    REGENERATE_GOLDEN_DAY=1 python -m pytest tests/test_golden_day.py
"""

from __future__ import annotations

import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from conftest import make_settings

import report
import simulator

FILE = Path(__file__).with_name("golden_day.json")
KEYS = (
    "seed",
    "members",
    "steps",
    "pv_kwh",
    "load_kwh",
    "p2p_kwh",
    "p2p_trades",
    "market_kwh",
    "market_trades",
    "grid_import_kwh",
    "grid_export_kwh",
    "self_sufficiency",
    "community_cost_eur",
    "cost_alone_eur",
    "regulator_balance_eur",
    "banned_ever",
    "blocks",
    "hashes",
    "chain_tip",
)


@lru_cache(maxsize=1)
def the_day() -> tuple[simulator.Run, dict[str, Any]]:
    """The default day with its ledger, and its figures."""
    run = simulator.run(simulator.prepare(make_settings()))
    history = report.History(run)
    return run, report.summary(history, report.member_totals(history))


def test_the_default_day_is_the_one_that_was_noted_down() -> None:
    figures = {key: the_day()[1][key] for key in KEYS}
    if os.environ.get("REGENERATE_GOLDEN_DAY"):
        FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    assert figures == golden, "changed on purpose? this file's first lines say what to do then"


def test_the_suns_total_is_what_capacity_and_weather_allow() -> None:
    """Capacity * 0.88 * 24 / pi hours of full power, times the mean of clouds between 0.5 and 1."""
    run, figures = the_day()
    clear = run.scenario.fleet.pv_capacity_kw.sum() * 0.88 * 24 / math.pi
    assert 0.5 * clear < figures["pv_kwh"] < clear
    assert figures["pv_kwh"] == pytest.approx(0.75 * clear, rel=0.25)


def test_the_loads_total_is_what_base_and_pattern_allow() -> None:
    """Base load times the pattern's sum, 22.45 hours of average load, within the noise of 100 homes."""
    run, figures = the_day()
    usual = run.scenario.fleet.base_load_kwh.sum() * 22.45
    assert sum(run.scenario.settings.LOAD_PATTERN) == pytest.approx(22.45)
    assert figures["load_kwh"] == pytest.approx(usual, rel=0.03)


def test_the_days_energy_adds_up_over_the_communitys_border() -> None:
    """Sun + import - export - load is what the batteries took in and lost; the loss is small and positive.

    Each kWh through a battery loses 1 - sqrt(0.95) = 2.5 % on each way.
    """
    run, figures = the_day()
    net_import = figures["community_import_kwh"] - figures["community_export_kwh"]
    into_batteries = figures["pv_kwh"] - figures["load_kwh"] + net_import
    loss = into_batteries - figures["stored_change_kwh"]
    charged = sum(int(r.flows.charge_wh.sum()) for r in run.steps) / 1000
    discharged = sum(int(r.flows.discharge_wh.sum()) for r in run.steps) / 1000
    eta = math.sqrt(0.95)
    assert loss == pytest.approx((1 - eta) * charged + (1 / eta - 1) * discharged, abs=1e-3)
    assert 0 < loss < 0.03 * (charged + discharged)


def test_the_chain_has_the_blocks_and_the_work_that_its_trades_need() -> None:
    """At most 50 trades a block; about 16 to the power of 3 attempts for each."""
    run, figures = the_day()
    needed = sum(-(-result.trades.size // 50) for result in run.steps)
    assert figures["blocks"] == needed + 1
    assert figures["hashes"] / needed == pytest.approx(16**3, rel=3 / math.sqrt(needed))
    assert figures["chain_tip"].startswith("000")
    assert run.end.balance_nanoeur[-4] == -needed * 100_000_000


def test_the_day_is_worth_showing() -> None:
    """Neighbours trade at midday and in the evening, the market takes the rest, a handful is banned."""
    run, figures = the_day()
    p2p = [int(result.flows.p2p_sold_wh.sum()) for result in run.steps]
    assert sum(p2p[10:15]) > 20_000 and sum(p2p[18:23]) > 20_000
    assert figures["p2p_kwh"] > 0.1 * figures["load_kwh"]
    assert figures["market_kwh"] > 0.05 * figures["load_kwh"]
    assert 1 <= figures["banned_ever"] <= 10
    assert figures["net_cost_eur"] < figures["net_cost_alone_eur"]


def test_the_readme_prints_the_chain_tip_of_the_default_day() -> None:
    """What a reader is told to compare with is what the program makes."""
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    golden = json.loads((Path(__file__).with_name("golden_day.json")).read_text(encoding="utf-8"))
    assert golden["chain_tip"] in readme
