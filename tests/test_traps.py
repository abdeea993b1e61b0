"""One short test for each known trap: what earlier simulators of this kind got wrong.

Each was seen by running or reading an existing program. The number in a test's name is that of the list;
the numbers left out concern parts that have tests of their own (optimiser, network, database, set-up).
"""

from __future__ import annotations

import ast
import random
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from math import sqrt
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, make_run
from worlds import (
    STILL,
    grow,
    make_book,
    make_homes,
    make_profiles,
    quick_settings,
    rows,
    take_step,
    with_ban,
)

import blockchain
import prosumer
import regulator
import report
import simulator
import trading
from records import (
    AGGREGATOR,
    UTILITY,
    Reason,
    TradeKind,
    Transfers,
    account_changes,
    joined,
    number_of_accounts,
)


def figures_of(run: simulator.Run) -> dict[str, Any]:
    history = report.History(run)
    return report.summary(history, report.member_totals(history))


# ---------------------------------------------------------------- energy


def test_trap_1_banned_members_and_energy_above_the_cap_are_served_and_paid_for() -> None:
    """They vanished: 30 to 85 kWh of a day's load unserved, at no cost."""
    settings = quick_settings(**STILL)
    fleet = make_homes(settings, battery_kwh=[0, 0])
    state = with_ban(prosumer.initial_state(settings, fleet), 0, 2)
    result = take_step(settings, fleet, [0, 0], [2000, 7000], state=state)
    assert result.flows.grid_import_wh.tolist() == [2000, 4000]
    assert result.flows.market_bought_wh.tolist() == [0, 3000]
    assert result.state.balance_nanoeur[0] == -2000 * 320_000


def test_trap_2_a_round_trip_loses_five_percent_once() -> None:
    """It was applied on charge and again on discharge (0.9025), or not at all when energy was sold.

    Here the charge is bought from a neighbour and sold to a neighbour: 2 kWh in, 1.9 kWh out.
    """
    eager = {"PENALTY_FOR_MARKET": 0.2, "P2P_BONUS": 0.2, "OFFER_SHARE": 1.0}
    settings = quick_settings(**STILL, **eager, STORAGE_BID_SHARE=1.0, BATTERY_INITIAL_SOC=0.1)
    fleet = make_homes(settings, battery_kwh=[20, 0, 0])
    state = prosumer.initial_state(settings, fleet)
    bought = take_step(settings, fleet, [0, 2000, 0], [0, 0, 0], state=state)
    assert bought.flows.p2p_bought_wh[0] == bought.flows.charge_wh[0] == 2000
    sold = take_step(settings, fleet, [0, 0, 0], [0, 0, 3000], state=bought.state)
    assert sold.flows.p2p_sold_wh[0] == sold.flows.discharge_wh[0] == 1900 - 1
    assert sold.state.stored_wh[0] == pytest.approx(2000, abs=1.1)


def test_trap_3_the_charge_at_the_start_is_neither_free_nor_renewable() -> None:
    """It was 12 to 14 % of the day's load, reported as saving."""
    run = make_run(SEASON_FACTOR=0.0, NUM_PROSUMERS=30)
    figures = figures_of(run)
    assert figures["stored_change_kwh"] < -10
    assert figures["net_cost_eur"] > figures["community_cost_eur"]
    assert figures["self_sufficiency"] == pytest.approx(0, abs=0.03), "there was no sun"
    assert figures["self_sufficiency"] <= 0.005
    assert not any(result.flows.renewable_used_wh.any() for result in run.steps)


def test_trap_4_the_baseline_discharges_through_its_losses() -> None:
    """Discharging through the charge efficiency creates energy: 1 kWh out costs 1.026 kWh, not 0.975."""
    settings = quick_settings()
    fleet = make_homes(settings, battery_kwh=[10])
    scenario = simulator.Scenario(settings, fleet, make_profiles(settings, [[0]], [[1000]]))
    _, stored = simulator.alone(scenario)
    assert stored[0] == pytest.approx(5000 - 1000 / sqrt(0.95))


@pytest.mark.parametrize("hours", [1.0, 0.5, 0.25, 1 / 12])
def test_trap_5_a_limit_is_a_power_whatever_the_step(hours: float) -> None:
    """kW were compared with kWh per step, and limits changed their meaning with the step."""
    settings = quick_settings(TIME_STEP_DURATION=hours)
    fleet = make_homes(settings, battery_kwh=[12])
    assert fleet.max_step_wh[0] / hours == pytest.approx(6000, abs=1 / hours)
    assert prosumer.trade_cap_wh(settings) / hours == pytest.approx(3000)
    assert settings.steps_of(2) * hours == pytest.approx(2)


def test_trap_6_sold_energy_leaves_the_battery_once() -> None:
    """It was deducted by the trade and again by the clamp."""
    settings = quick_settings(**STILL, PENALTY_FOR_MARKET=0.2, P2P_BONUS=0.2)
    fleet = make_homes(settings, battery_kwh=[10, 0])
    result = take_step(settings, fleet, [0, 0], [0, 500])
    assert result.flows.p2p_sold_wh[0] == 500
    assert result.state.stored_wh[0] == pytest.approx(5000 - 500 / sqrt(0.95))


# ---------------------------------------------------------------- money


def test_trap_7_bonuses_are_of_this_step_and_not_of_a_running_total() -> None:
    """Applied to totals in each step, they were paid ten times over."""
    settings = quick_settings()
    fleet = make_homes(settings, battery_kwh=[0])
    state, paid = prosumer.initial_state(settings, fleet), []
    for _ in range(5):
        result = take_step(settings, fleet, [400], [400], state=state)
        paid.append(int(result.ruling.bonus_nanoeur[0]))
        state = result.state
    lever = result.levers.renewable_bonus
    assert paid == [400 * lever] * 5
    assert state.balance_nanoeur[0] == 5 * 400 * lever


def test_trap_8_money_comes_from_somebody_and_goes_to_somebody() -> None:
    """Bonuses and rewards came from nowhere, fees and penalties went to nowhere."""
    run = make_run(CONSENSUS="pow", DIFFICULTY_TARGET=1, NUM_PROSUMERS=40, INITIAL_WALLET=2.5)
    assert run.start.balance_nanoeur.sum() == 40 * 2_500_000_000
    for result in run.steps:
        assert result.state.balance_nanoeur.sum() == run.start.balance_nanoeur.sum()
        assert (result.transfers.payer != result.transfers.payee).all()


def test_trap_9_a_buyer_pays_each_of_two_sellers_its_own_price() -> None:
    """The last seller's price was paid for everything; payments and receipts differed."""
    trades = trading.match(make_book([(1000, 200_000)], [(600, 100_000), (400, 180_000)]))
    assert rows(trades) == [
        (1, 0, 600, 150_000, TradeKind.P2P),
        (2, 0, 400, 190_000, TradeKind.P2P),
    ]
    assert trades.amount_nanoeur.sum() == 600 * 150_000 + 400 * 190_000


def test_trap_10_two_identical_bids_of_one_member_stay_two() -> None:
    """They collapsed into one entry of a dictionary."""
    book = make_book([(500, 9), (500, 9)], [(1000, 1)])
    same = replace(book, member=np.array([0, 0, 1], np.int32))
    assert trading.match(same).energy_wh.sum() == 1000


def test_trap_11_the_fee_that_members_weigh_is_the_fee_they_pay() -> None:
    """A cost stood in the objective and not in the bill. Fee and penalty are in both."""
    settings = quick_settings(**STILL)
    fleet = make_homes(settings, battery_kwh=[0])
    result = take_step(settings, fleet, [0], [1000])
    weighed, _ = prosumer.outside_option(result.prices, result.levers.market_penalty)
    assert result.state.balance_nanoeur[0] == -1000 * weighed
    assert weighed == 150_000 + 30_000 + 20_000


def test_trap_12_an_average_price_is_money_per_kwh() -> None:
    """Money per trade lets a trade of 10 Wh weigh as much as one of 3 kWh."""
    run = make_run(NUM_PROSUMERS=30)
    p2p = joined([result.trades for result in run.steps])
    kept = p2p.kind == TradeKind.P2P
    energy, price = p2p.energy_wh[kept], p2p.price_microeur_per_kwh[kept]
    average = figures_of(run)["p2p_price_eur_per_kwh"] * 1e6
    assert average == pytest.approx((energy * price).sum() / energy.sum(), abs=1)
    assert abs(average - price.mean()) > 10, "both averages agree, so this test says nothing"


# ---------------------------------------------------------------- markets


def test_trap_13_the_book_is_sorted_crossed_shared_and_may_be_empty() -> None:
    """Reversed order, bids below asks, one seller per buyer, crash without trades, pairwise matrices."""
    book = make_book([(5, 3), (5, 9)], [(4, 8), (9, 1), (4, 2)])
    trades = rows(trading.match(book))
    assert [(seller, buyer, wh) for seller, buyer, wh, *_ in trades] == [
        (3, 1, 5),  # the dearest bid meets the cheapest ask
        (3, 0, 4),
        (4, 0, 1),  # one buyer, two sellers; the bid of 3 never meets the ask of 8
    ]
    assert trading.match(make_book([], [])).size == 0
    half = 10_000
    orders = make_book([(7, 5)] * half, [(7, 4)] * half)
    tracemalloc.start()
    assert trading.match(orders).size == half
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_trap_14_batteries_serve_neighbours_who_would_import() -> None:
    """Owners stood idle, because the need was reduced by what a seller offered, not by what it sold.

    Two batteries offer 2 and 2 kWh; the neighbour needs 2.5 kWh: it gets all of it.
    """
    settings = quick_settings(**STILL, PENALTY_FOR_MARKET=0.2, P2P_BONUS=0.2)
    fleet = make_homes(settings, battery_kwh=[10, 10, 0])
    result = take_step(settings, fleet, [0, 0, 0], [0, 0, 2500])
    assert result.flows.p2p_bought_wh[2] == 2500
    assert result.flows.market_bought_wh[2] == result.flows.grid_import_wh[2] == 0


def test_trap_15_every_world_meets_the_same_homes_and_the_same_day() -> None:
    """A baseline with other random prices or households measures noise."""
    worlds = [
        make_run(REGULATOR_OBJECTIVE=objective, P2P_BONUS=bonus, NUM_PROSUMERS=15)
        for objective in regulator.STRATEGIES
        for bonus in (0.0, 0.02)
    ]
    for world in worlds[1:]:
        first, other = worlds[0].scenario, world.scenario
        assert np.array_equal(first.fleet.battery_capacity_wh, other.fleet.battery_capacity_wh)
        assert np.array_equal(first.profiles.pv_wh, other.profiles.pv_wh)
        assert np.array_equal(first.profiles.load_wh, other.profiles.load_wh)
        assert np.array_equal(first.profiles.prices.market, other.profiles.prices.market)
    assert len({figures_of(world)["net_cost_alone_eur"] for world in worlds}) == 1


def test_trap_17_the_regulator_steers_and_nobody_is_banned_without_a_choice() -> None:
    """An objective was only printed, incentives moved nobody, and the unavoidable was penalised."""
    energies = {
        objective: figures_of(make_run(REGULATOR_OBJECTIVE=objective))["p2p_kwh"]
        for objective in regulator.STRATEGIES
    }
    assert len(set(energies.values())) == len(energies)
    settings = quick_settings(BAN_PENALTY_LIMIT=0.0, BAN_BONUS_LIMIT=1e6, BAN_BALANCE_LIMIT=1e6)
    fleet = make_homes(settings, battery_kwh=[0, 0])
    result = take_step(settings, fleet, [0, 0], [3000, 3000])
    assert result.ruling.penalty_nanoeur.all(), "both had to buy in the market"
    assert not result.ruling.new_ban_steps.any(), "nobody sold, so neither had a choice"


# ---------------------------------------------------------------- ledger


def test_trap_18_the_work_covers_trades_miner_scenario_and_difficulty() -> None:
    """Proof of work over fields that leave out the content proves nothing about the content."""
    run = make_run(CONSENSUS="pow", DIFFICULTY_TARGET=1, NUM_PROSUMERS=15)
    block = run.chain.blocks[1]
    root = blockchain.merkle_root(block.records)
    edited = bytes([block.records[0][0] ^ 1]) + block.records[0][1:]
    assert blockchain.merkle_root((edited, *block.records[1:])) != root == block.merkle_root
    header = b"".join(
        value.to_bytes(4, "little")
        for value in (1, block.height, block.timestep, block.miner, 1, len(block.records))
    )
    header += block.previous_hash + root + block.nonce.to_bytes(8, "little")
    assert sha256(header).digest() == block.block_hash
    assert run.chain.blocks[0].merkle_root == sha256(run.scenario.params).digest()
    for name in (b'"BLOCK_REWARD"', b'"NUM_MINERS"', b'"SEED"', b'"DIFFICULTY_TARGET"'):
        assert name in run.scenario.params


def test_trap_19_the_winner_is_found_by_work_and_no_clock_is_hashed() -> None:
    """A miner was drawn, then "mined"; the time of day stood in the header; 12,000 hashes a second."""
    run, again = (
        make_run(CONSENSUS="pow", DIFFICULTY_TARGET=2, NUM_PROSUMERS=15) for _ in range(2)
    )
    assert run.chain.tip == again.chain.tip
    assert len({block.miner for block in run.chain.blocks[1:]}) > 3
    chain = blockchain.Chain(quick_settings(CONSENSUS="pow", DIFFICULTY_TARGET=4), b"")
    trades = next(result.trades for result in run.steps if result.trades.size)
    began = time.process_time()  # other programs of the machine do not count
    tried = sum(block.hashes_tried for block in grow(chain, 0, trades))
    assert tried / (time.process_time() - began) > 250_000


def test_trap_20_nothing_is_pending_and_the_chain_says_what_was_settled() -> None:
    """Transactions stayed in a queue at the end; on-chain values were rounded differently."""
    run = make_run(CONSENSUS="pow", DIFFICULTY_TARGET=0, NUM_PROSUMERS=40)
    on_chain = [record for block in run.chain.blocks for record in block.records]
    settled = [row for result in run.steps for row in rows(result.trades)]
    amounts = sum(wh * price for *_, wh, price, _ in settled)
    assert len(on_chain) == len(settled) > 0
    chain_amount = sum(
        int.from_bytes(r[21:29], "little") * int.from_bytes(r[29:37], "little") for r in on_chain
    )
    assert chain_amount == amounts
    paid = sum(
        int(r.transfers.amount_nanoeur[np.isin(r.transfers.reason, (Reason.P2P, Reason.LOCAL_MARKET))].sum())
        for r in run.steps
    )  # fmt: skip
    assert paid == amounts


# ---------------------------------------------------------------- software

CORE = (
    "data_generation",
    "prosumer",
    "trading",
    "regulator",
    "blockchain",
    "audit",
    "simulator",
    "report",
    "storage",
    "household_data",
    "records",
    "settings",
)


def test_trap_24_nothing_depends_on_global_chance_or_on_the_clock() -> None:
    """Two equal runs differed. The core names no global random function, and no time but for timing."""
    for name in CORE:
        tree = ast.parse((REPOSITORY / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert not names & {"random", "uuid", "secrets"}, name
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
                assert node.attr in ("Generator", "PCG64", "SeedSequence"), f"{name}: {node.attr}"
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time",
                "datetime.now",
            ):
                raise AssertionError(f"{name} reads the clock")
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    one = make_run(NUM_PROSUMERS=10)
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    two = make_run(NUM_PROSUMERS=10)
    assert np.array_equal(one.end.balance_nanoeur, two.end.balance_nanoeur)


def test_trap_24_the_second_day_is_not_merged_with_the_first() -> None:
    """Days were averaged on an hour axis: each step keeps its own number and its clock hour."""
    table = report.step_rows(report.History(make_run(TIME_STEPS=50, NUM_PROSUMERS=3)))
    assert [row["timestep"] for row in table] == list(range(50))
    assert [row["hour"] for row in table] == [t % 24 for t in range(50)]


def test_trap_26_a_setting_reaches_the_run_that_it_names() -> None:
    """Flags were parsed and never used. Each constant has its test in test_settings.py."""
    run = make_run(SEED=9, NUM_PROSUMERS=7, NUM_CONSUMERS=2, TIME_STEPS=5)
    assert run.scenario.fleet.size == 9 and len(run.steps) == 5
    other = make_run(SEED=8, NUM_PROSUMERS=7, NUM_CONSUMERS=2, TIME_STEPS=5)
    assert not np.array_equal(run.end.stored_wh, other.end.stored_wh)


def test_trap_28_emptying_the_batteries_saves_nothing() -> None:
    """A community that ends with empty batteries is charged for what it took out of them.

    Batteries lossless, one price for everything: then using stored energy or not must come to the same.
    """
    flat = STILL | {
        "BATTERY_EFFICIENCY": 1.0,
        "LOCAL_MARKET_FEE": 0.0,
        "RETAIL_PRICE": 0.15,
        "FEED_IN_PRICE": 0.15,
        "NUM_PROSUMERS": 30,
    }
    used = figures_of(make_run(**flat))
    kept = figures_of(make_run(**flat, BATTERY_C_RATE=0.0))
    assert used["stored_change_kwh"] < -20 and kept["stored_change_kwh"] == 0
    assert used["community_cost_eur"] < kept["community_cost_eur"] - 1
    assert used["net_cost_eur"] == pytest.approx(kept["net_cost_eur"], abs=1e-3)


def test_trap_29_a_million_members_money_adds_up_to_the_nano_euro() -> None:
    """np.bincount with weights adds in float64, exact only to 9 million EUR in nano-euro.

    Every member pays the utility 1,000 EUR and an odd nano-euro, then gets some of it back.
    """
    members = 1_000_000
    who = np.arange(members, dtype=np.int32)
    amount = np.full(members, 1_000_000_000_001)
    back = np.full(members, 3, np.int64)
    moves = Transfers(
        np.concatenate([who, np.full(members, UTILITY, np.int32)]),
        np.concatenate([np.full(members, UTILITY, np.int32), who]),
        np.concatenate([amount, back]),
        np.full(2 * members, Reason.UTILITY_IMPORT, np.uint8),
    )
    change = account_changes(moves, number_of_accounts(members, 15))
    total = members * (1_000_000_000_001 - 3)
    assert int(change[UTILITY]) == total > 2**59
    assert np.array_equal(change[:members], 3 - amount)
    assert int(change.sum()) == 0
    assert not change[members:UTILITY].any() and not change[AGGREGATOR], "others' accounts moved"


def test_trap_29_energies_of_a_million_members_add_up_to_the_watt_hour() -> None:
    members = 1_000_000
    huge = np.full(members, 10**12 + 1, np.int64)
    sums = trading.total(np.zeros(members, np.int32), huge, 3)
    assert sums.tolist() == [members * (10**12 + 1), 0, 0]


def test_trap_30_no_miner_has_an_edge_by_its_number() -> None:
    """At difficulty 1 the first of 15 in a fixed order wins 10 %, the last 4 %."""
    settings = quick_settings(CONSENSUS="pow", DIFFICULTY_TARGET=1)
    chain = blockchain.Chain(settings, b"fair")
    trades = trading.match(make_book([(1, 2)], [(1, 1)]))
    for step in range(3000):
        grow(chain, step, trades)
    wins = Counter(block.miner for block in chain.blocks[1:])
    chi_square = sum((wins[miner] - 200) ** 2 / 200 for miner in range(15))
    assert chi_square < 36.1, f"0.1 % of fair races are as uneven as {dict(wins)}"


def test_trap_30_no_member_has_an_edge_by_its_number() -> None:
    """Equal offers are served in an order drawn anew in each step: over a day everybody's turn comes."""
    settings = quick_settings(**STILL)
    fleet = make_homes(settings, battery_kwh=[0] * 11)
    first: Counter[int] = Counter()
    for step in range(24):
        result = take_step(settings, fleet, [0] * 10 + [500], [500] * 10 + [0], timestep=step)
        first.update(buyer for _, buyer, *_, kind in rows(result.trades) if kind == TradeKind.P2P)
    assert len(first) >= 7 and max(first.values()) <= 8, first


def test_a_day_trades_as_much_in_short_steps_as_in_long_ones() -> None:
    """Trap 5, of a whole day: limits, shares and thresholds mean the same at 60, 15 and 5 minutes."""
    traded = {
        hours: sum(
            int(result.flows.p2p_sold_wh.sum())
            for seed in range(4)
            for result in make_run(
                SEED=seed, TIME_STEP_DURATION=hours, TIME_STEPS=round(24 / hours)
            ).steps
        )
        for hours in (1.0, 0.25, 1 / 12)
    }
    assert [energy / traded[1.0] for energy in traded.values()] == pytest.approx(
        [1.0] * 3, abs=0.03
    )
