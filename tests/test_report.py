"""The figures of a run, computed a second time from the bare flows and transfers, one definition each."""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from conftest import make_run

import report
import simulator
from records import Reason, TradeKind

CASES: list[dict[str, Any]] = [
    {},
    {"SEED": 3, "SEASON_FACTOR": 0.2, "NUM_CONSUMERS": 20, "NUM_PROSUMERS": 40},
    {"SEED": 5, "TIME_STEPS": 96, "TIME_STEP_DURATION": 0.25, "NUM_PROSUMERS": 20},
    {
        "SEED": 6,
        "HAS_BATTERY": 0.0,
        "NUM_PROSUMERS": 30,
        "CONSENSUS": "pow",
        "DIFFICULTY_TARGET": 1,
    },
]


@lru_cache(maxsize=8)
def case(number: int) -> tuple[simulator.Run, dict[str, Any], dict[str, np.ndarray]]:
    """(run, summary, totals of members) of one of the cases."""
    run = make_run(**CASES[number])
    history = report.History(run)
    members = report.member_totals(history)
    return run, report.summary(history, members), members


cases = pytest.mark.parametrize("number", range(len(CASES)), ids=[str(c) for c in CASES])


def flow(run: simulator.Run, name: str) -> list[int]:
    """One flow summed over members, step by step, in plain whole numbers."""
    return [sum(getattr(result.flows, name).tolist()) for result in run.steps]


def nets(run: simulator.Run) -> list[int]:
    """What the members together took from aggregator and utility, minus what they gave, step by step."""
    columns = ("market_bought_wh", "grid_import_wh", "market_sold_wh", "grid_export_wh")
    return [a + b - c - d for a, b, c, d in zip(*(flow(run, n) for n in columns), strict=True)]


def stored_change_wh(run: simulator.Run) -> float:
    return sum(run.end.stored_wh.tolist()) - sum(run.start.stored_wh.tolist())


def mean_market_price(run: simulator.Run) -> float:
    """EUR/kWh."""
    return sum(result.prices.market for result in run.steps) / len(run.steps) / 1e6


@cases
def test_energies_are_the_sums_of_all_meters(number: int) -> None:
    run, figures, _ = case(number)
    for key, name in (
        ("pv_kwh", "pv_wh"),
        ("load_kwh", "load_wh"),
        ("grid_import_kwh", "grid_import_wh"),
        ("grid_export_kwh", "grid_export_wh"),
        ("p2p_kwh", "p2p_bought_wh"),
        ("curtailed_kwh", "curtailed_wh"),
    ):
        assert figures[key] == sum(flow(run, name)) / 1000
    market = sum(flow(run, "market_bought_wh")) + sum(flow(run, "market_sold_wh"))
    assert figures["market_kwh"] == market / 1000
    kinds = [kind for result in run.steps for kind in result.trades.kind.tolist()]
    assert figures["p2p_trades"] == kinds.count(TradeKind.P2P)
    assert figures["market_trades"] == kinds.count(TradeKind.LOCAL_MARKET)


@cases
def test_p2p_energy_is_counted_once(number: int) -> None:
    """Bought equals sold; the sum of both would be double the energy."""
    run, figures, _ = case(number)
    p2p = [
        wh
        for result in run.steps
        for wh, kind in zip(result.trades.energy_wh.tolist(), result.trades.kind, strict=True)
        if kind == TradeKind.P2P
    ]
    assert figures["p2p_kwh"] == sum(p2p) / 1000


@cases
def test_the_communitys_import_is_what_trades_inside_cannot_cover(number: int) -> None:
    """Netted over the members within a step, never between steps."""
    run, figures, _ = case(number)
    assert figures["community_import_kwh"] == sum(max(net, 0) for net in nets(run)) / 1000
    assert figures["community_export_kwh"] == sum(max(-net, 0) for net in nets(run)) / 1000


@cases
def test_self_sufficiency_gives_no_credit_for_the_charge_at_the_start(number: int) -> None:
    """A battery that starts half full and ends empty has not produced anything (traps 3 and 28)."""
    run, figures, _ = case(number)
    imported = sum(max(net, 0) for net in nets(run))
    from_start = max(0.0, -stored_change_wh(run))
    expected = 1 - (imported + from_start) / sum(flow(run, "load_wh"))
    assert figures["self_sufficiency"] == pytest.approx(expected, abs=1e-6)
    exported = sum(max(-net, 0) for net in nets(run))
    if pv := sum(flow(run, "pv_wh")):
        assert figures["self_consumption"] == pytest.approx(1 - exported / pv, abs=1e-6)


def outside_cash(run: simulator.Run) -> int:
    """What members paid to aggregator and utility minus what they got, from the transfers."""
    paid = 0
    for result in run.steps:
        moves = result.transfers
        for payer, payee, amount in zip(
            moves.payer.tolist(), moves.payee.tolist(), moves.amount_nanoeur.tolist(), strict=True
        ):
            paid += amount if payer >= 0 and payee in (-1, -2) else 0
            paid -= amount if payee >= 0 and payer in (-1, -2) else 0
    return paid


@cases
def test_cost_is_cash_and_net_cost_is_cash_minus_the_value_of_what_is_stored(number: int) -> None:
    run, figures, _ = case(number)
    cash = outside_cash(run) / 1e9
    value = stored_change_wh(run) / 1000 * mean_market_price(run)
    assert figures["community_cost_eur"] == pytest.approx(cash, abs=1e-9)
    assert figures["stored_change_kwh"] == pytest.approx(stored_change_wh(run) / 1000, abs=1e-6)
    assert figures["stored_change_value_eur"] == pytest.approx(value, abs=1e-8)
    assert figures["net_cost_eur"] == pytest.approx(cash - value, abs=1e-8)


@cases
def test_savings_compare_net_costs_with_being_alone(number: int) -> None:
    """Not cash with cash: whoever ends the day with an empty battery has not saved (traps 3 and 28)."""
    run, figures, _ = case(number)
    cash, stored = simulator.alone(run.scenario)
    alone_change = sum(stored.tolist()) - sum(run.start.stored_wh.tolist())
    alone = -sum(cash.tolist()) / 1e9
    net_alone = alone - alone_change / 1000 * mean_market_price(run)
    assert figures["cost_alone_eur"] == pytest.approx(alone, abs=1e-9)
    assert figures["net_cost_alone_eur"] == pytest.approx(net_alone, abs=1e-8)
    saved = figures["net_cost_alone_eur"] - figures["net_cost_eur"]
    assert figures["savings_eur"] == pytest.approx(saved, abs=1e-8)
    if figures["net_cost_alone_eur"] > 0:
        share = saved / figures["net_cost_alone_eur"]
        assert figures["savings_share"] == pytest.approx(share, abs=1e-6)


@cases
def test_the_average_price_is_money_per_kwh_and_not_per_trade(number: int) -> None:
    """A trade of 10 Wh does not weigh as much as one of 3 kWh (trap 12)."""
    run, figures, _ = case(number)
    amount = energy = 0
    for result in run.steps:
        p2p = result.trades.kind == TradeKind.P2P
        amount += sum(result.trades.amount_nanoeur[p2p].tolist())
        energy += sum(result.trades.energy_wh[p2p].tolist())
    if not energy:
        assert figures["p2p_price_eur_per_kwh"] is None
        return
    assert figures["p2p_price_eur_per_kwh"] == pytest.approx(amount / energy / 1e6, abs=1e-6)


@cases
def test_the_market_price_is_the_mean_over_steps(number: int) -> None:
    """The price at which the change in stored energy is valued."""
    run, figures, _ = case(number)
    assert figures["market_price_eur_per_kwh"] == pytest.approx(mean_market_price(run), abs=1e-6)


@cases
def test_the_accounts_of_all_parties_sum_to_the_wallets_at_the_start(number: int) -> None:
    run, figures, _ = case(number)
    parties = ("members", "aggregator", "utility", "regulator", "mint")
    total = sum(figures[f"{party}_balance_eur"] for party in parties)
    miners = sum(run.end.balance_nanoeur[run.scenario.fleet.size : -4].tolist()) / 1e9
    assert total + miners == pytest.approx(0, abs=1e-6)
    policy = figures["penalties_eur"] - figures["bonuses_eur"]
    assert figures["regulator_balance_eur"] == pytest.approx(policy, abs=1e-9)


@cases
def test_bans_are_counted_by_member_and_by_step(number: int) -> None:
    run, figures, _ = case(number)
    banned = [set(np.flatnonzero(result.was_banned).tolist()) for result in run.steps]
    assert figures["banned_ever"] == len(set().union(*banned))
    assert figures["banned_member_steps"] == sum(len(who) for who in banned)


@cases
def test_members_totals_sum_to_the_communitys_figures(number: int) -> None:
    run, figures, members = case(number)
    assert members["load_wh"].sum() / 1000 == figures["load_kwh"]
    assert members["outside_nanoeur"].sum() == outside_cash(run)
    assert members["p2p_nanoeur"].sum() == 0, "what neighbours pay, neighbours get"
    assert members["alone_nanoeur"].sum() / 1e9 == pytest.approx(figures["cost_alone_eur"])
    change = run.end.balance_nanoeur - run.start.balance_nanoeur
    expected = members["bonus_nanoeur"] - members["penalty_nanoeur"]
    expected -= members["outside_nanoeur"] + members["p2p_nanoeur"]
    assert np.array_equal(change[: run.scenario.fleet.size], expected)


@cases
def test_a_members_bill_is_its_cash_less_what_its_battery_gained(number: int) -> None:
    """At the mean market price; bonuses and penalties stand beside it. An emptied battery is no saving."""
    run, figures, members = case(number)
    worth = sum(result.prices.market for result in run.steps) / len(run.steps)
    for i in range(run.scenario.fleet.size):
        cash = members["outside_nanoeur"][i] + members["p2p_nanoeur"][i]
        gained = float(run.end.stored_wh[i]) - float(run.start.stored_wh[i])
        assert members["net_cost_nanoeur"][i] == pytest.approx(cash - worth * gained, abs=1)
        alone, kept = members["alone_nanoeur"][i], float(members["stored_change_alone_wh"][i])
        assert members["net_cost_alone_nanoeur"][i] == pytest.approx(alone - worth * kept, abs=1)
    saved = members["net_cost_alone_nanoeur"] - members["net_cost_nanoeur"]
    assert np.array_equal(members["savings_nanoeur"], saved)
    for name in ("net_cost", "net_cost_alone", "savings"):
        together = members[f"{name}_nanoeur"].sum() / 1e9
        assert figures[f"{name}_eur"] == pytest.approx(together, abs=1e-8 * len(saved))


@cases
def test_step_rows_sum_to_the_run_and_keep_their_hour(number: int) -> None:
    run, figures, _ = case(number)
    table = report.step_rows(report.History(run))
    for key in ("pv", "load", "p2p", "market", "grid_import", "grid_export"):
        assert sum(row[f"{key}_wh"] for row in table) / 1000 == figures[f"{key}_kwh"]
    for t, (row, result) in enumerate(zip(table, run.steps, strict=True)):
        assert row["timestep"] == t
        assert row["hour"] == int(t * run.scenario.settings.step_hours + 1e-9) % 24
        residual = result.residual_wh.tolist()
        assert row["surplus_wh"] == sum(r for r in residual if r > 0)
        assert row["deficit_wh"] == -sum(r for r in residual if r < 0)
        assert row["active_sellers"] + row["active_buyers"] == result.orders.size
        assert row["banned_prosumers"] == result.was_banned.sum()
        assert row["net_wh"] == nets(run)[t]


def test_the_ledgers_figures_are_those_of_the_chain() -> None:
    run, figures, _ = case(3)
    assert figures["blocks"] == len(run.chain.blocks)
    assert figures["hashes"] == sum(block.hashes_tried for block in run.chain.blocks)
    assert figures["chain_tip"] == run.chain.blocks[-1].block_hash.hex()
    rewards = sum(
        int(r.transfers.amount_nanoeur[r.transfers.reason == Reason.BLOCK_REWARD].sum())
        for r in run.steps
    )
    assert figures["mint_balance_eur"] == -rewards / 1e9


def test_the_programs_that_made_a_result_are_named() -> None:
    """Who repeats a run with others may meet other floats."""
    told = dict(report.versions())
    assert told.pop("python") == sys.version.split()[0]
    assert told == {
        name: importlib.import_module(name).__version__
        for name in ("numpy", "pandas", "matplotlib", "seaborn", "scipy", "pydantic")
    }


def test_a_run_without_sun_has_no_self_consumption_instead_of_a_wrong_one() -> None:
    """0 / 0 is no share; and nothing crashes when nothing trades (trap 13)."""
    run = make_run(SEASON_FACTOR=0.0, HAS_BATTERY=0.0, NUM_PROSUMERS=5)
    history = report.History(run)
    figures = report.summary(history, report.member_totals(history))
    assert figures["self_consumption"] is None
    assert figures["self_sufficiency"] == 0
    assert figures["p2p_kwh"] == 0 and figures["p2p_price_eur_per_kwh"] is None
