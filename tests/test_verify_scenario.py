"""verify against the settings of the run: forgeries that no law of energy or money forbids.

Each takes a real run, changes what an attacker would change, and must be found under the rule that it
breaks. Other rules may find it too: the accounts of most forgeries are left as they were.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from conftest import ALIKE, REPOSITORY, save_run

import config
import regulator
import settings
import simulator
import storage
from extensions.mechanisms import MECHANISMS
from figures.data import WITHOUT_MARKET
from household_data import Files
from setting_types import TYPES, Objective, bound
from trading import Mechanism, clear_midpoint, crossing, p2p_trades, without_spread
from verification import (
    Unreadable,
    bans,
    battery_use,
    drawn,
    folder,
    limits,
    market_rule,
    orders,
    params,
    prices,
    verify,
)
from verification.batteries import Advice, Batteries, Slack, Use, plan_of
from verification.battery_use import Shares

Row = dict[str, str]
SMALL = ["--set=NUM_PROSUMERS=14", "--set=NUM_CONSUMERS=3", "--set=DIFFICULTY_TARGET=1"]
RULES = [name for name in MECHANISMS if name != "none"]
AUCTIONS = tuple(name for name in RULES if MECHANISMS[name].has_limits)
SHARING = tuple(name for name in RULES if not MECHANISMS[name].has_limits)
OBJECTIVES = get_args(Objective)
PRICE_FILE = REPOSITORY / "examples" / "prices.csv"
HOMES, OWNERS = REPOSITORY / "examples" / "homes.csv", REPOSITORY / "examples" / "members.csv"
OTHERS = {
    "members file": [f"--data={HOMES}", f"--members={OWNERS}"],
    **{
        f"members file, {objective}": [
            *(f"--data={HOMES}", f"--members={OWNERS}"),
            *(f"--set=REGULATOR_OBJECTIVE={objective}", "--set=QUOTE_VARIATION=0"),
        ]
        for objective in OBJECTIVES[1:]
    },
    "members file, all alike": [
        *(f"--data={HOMES}", f"--members={OWNERS}", "--set=QUOTE_VARIATION=0"),
    ],
    "profit, shared": [
        *("--set=REGULATOR_OBJECTIVE=maximize_profit", "--set=MARKET_MECHANISM=mid_market_rate"),
        "--steps=60",
    ],
    "small budget": ["--set=REGULATOR_BUDGET=0.5"],
    "small budget, chaos": ["--set=REGULATOR_BUDGET=0.5", "--set=REGULATOR_OBJECTIVE=chaos"],
    "stakes that nobody needs": ["--set=VALIDATOR_STAKES=[0,1000000000000]"],
    "gain beyond all prices": ["--set=STORAGE_MARGIN=1", "--set=QUOTE_VARIATION=0"],
    "bonus beyond all prices": ["--set=P2P_BONUS=100", "--set=QUOTE_VARIATION=0"],
    "chaos, bans": [
        *("--set=REGULATOR_OBJECTIVE=chaos", "--set=BAN_BALANCE_LIMIT=5"),
        *("--set=QUOTE_MARGIN=0.9", "--steps=48"),
    ],
    "prices": [f"--prices={PRICE_FILE}"],
    "forecasts beyond all prices": [
        *("--set=FORECAST_ERROR=1", "--set=LOCAL_MARKET_FEE=0", "--set=QUOTE_VARIATION=0"),
        "--set=RETAIL_PRICE=0.252",
    ],
    **{
        f"cap below the threshold, {objective}": [
            *("--set=MAX_TRADE_CAP=0.04", f"--set=REGULATOR_OBJECTIVE={objective}"),
        ]
        for objective in OBJECTIVES
    },
    "no trade": ["--set=MAX_TRADE_CAP=0"],
    "sun at midnight": [
        *("--set=ORIENTATION_SHIFT=6", "--set=TIME_STEP_DURATION=0.9", "--set=ROOF_VARIATION=0"),
        "--steps=40",
    ],
    **{
        f"batteries alone, {objective}": [
            *("--set=MIN_LOAD=0", f"--set=LOAD_PATTERN={[0] * 24}"),
            *("--set=BATTERY_INITIAL_SOC=0.104", f"--set=REGULATOR_OBJECTIVE={objective}"),
        ]
        for objective in OBJECTIVES
    },
    "empty": ["--set=BATTERY_INITIAL_SOC=0.1"],
    "empty, and no use": [
        *("--set=BATTERY_INITIAL_SOC=0.1", "--set=MIN_LOAD=0"),
        f"--set=LOAD_PATTERN={[0] * 24}",
    ],
    "no offers": ["--set=OFFER_SHARE=0"],
    "all offered": ["--set=OFFER_SHARE=1"],
    "no bids": ["--set=STORAGE_BID_SHARE=0"],
    "weak batteries": ["--set=BATTERY_C_RATE=0.1"],
    "bans": ["--set=BAN_BALANCE_LIMIT=5", "--set=QUOTE_MARGIN=0.9"],
    "bans, wallet": [
        *("--set=BAN_BALANCE_LIMIT=5", "--set=INITIAL_WALLET=4.5", "--set=QUOTE_MARGIN=0.9"),
    ],
    "batteries that are told alike": ALIKE,
}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """run_of("huang") is a saved day under this rule, or objective, or one of OTHERS; read only."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            setting = "REGULATOR_OBJECTIVE" if name in OBJECTIVES else "MARKET_MECHANISM"
            options = OTHERS.get(name, [f"--set={setting}={name}"])
            folder = tmp_path_factory.mktemp("run") / "results"
            small = (
                SMALL[-1:] if name.startswith("members file") else SMALL
            )  # the file says how many
            folders[name] = save_run(folder, *small, *options)
        return folders[name]

    return make


@pytest.fixture
def forged(run_of: Callable[[str], Path], tmp_path: Path) -> Callable[..., set[str]]:
    """forged(file, change, run) gives the rules that verify finds broken after change(rows)."""

    def judge(file: str, change: Callable[[Any], Any], rule: str = "midpoint") -> set[str]:
        folder = tmp_path / "results"
        shutil.copytree(run_of(rule), folder)
        path = folder / file
        if file.endswith(".json"):
            content = json.loads(path.read_text())
            changed = change(content)
            path.write_text(json.dumps(content if changed is None else changed, indent=1) + "\n")
        else:
            rows = rows_of(folder, file)
            columns = list(rows[0])
            changed = change(rows)
            rows = rows if changed is None else changed
            names = list(rows[0]) if rows else columns
            with open(path, "w", newline="") as opened:
                writer = csv.DictWriter(opened, names, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        return {finding.rule for finding in verify(folder).findings}

    return judge


def rows_of(folder: Path, file: str) -> list[Row]:
    with open(folder / file, newline="") as opened:
        return list(csv.DictReader(opened))


def first(rows: list[Row], **wanted: str) -> Row:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def raised(text: str, by: float) -> str:
    return f"{float(text) + by:.{len(text.split('.')[1])}f}"


def test_the_second_reading_knows_each_rule_and_its_price() -> None:
    """A rule that it does not know would be a traceback, or a folder in which all is wrong."""
    assert (set(params.AUCTIONS), set(params.SHARING)) == (set(AUCTIONS), set(SHARING))
    assert set(prices.PRICES) == set(params.EVERY_RULE) == set(MECHANISMS)
    follows = {name for name, rule in MECHANISMS.items() if rule.market_follows}
    assert set(params.MARKET_FOLLOWS) == follows == set(MECHANISMS) - set(WITHOUT_MARKET)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_auction_without_a_local_market_can_be_taught(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members then quote against the utility, and the second reading needs the rule in two tables."""
    name, rules = "neighbours_only", (*params.AUCTIONS, "neighbours_only")
    rule = Mechanism(name, clear_midpoint, market_follows=False)
    change = {"REGULATOR_OBJECTIVE": objective, "NUM_PROSUMERS": 30}
    wish = settings.load(config, change).model_copy(update={"MARKET_MECHANISM": name})
    run = simulator.run(simulator.prepare(wish, mechanism=rule))
    bids = [
        step.orders.limit_microeur_per_kwh[~step.orders.is_sale & ~step.orders.of_battery]
        for step in run.steps
    ]
    dearest_market = max(step.prices.market_buy for step in run.steps)
    assert max(map(np.max, filter(len, bids))) > dearest_market
    storage.save(run, tmp_path)
    for module in (params, battery_use, drawn, folder, limits, market_rule):
        monkeypatch.setattr(module, "AUCTIONS", rules)
    for module in (bans, params, market_rule, orders):
        monkeypatch.setattr(module, "EVERY_RULE", (*params.EVERY_RULE, name))
    monkeypatch.setitem(prices.PRICES, name, prices.midpoint)
    report = verify(tmp_path)
    assert report.ok, report.findings[:5]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_of_data_that_begin_at_any_hour_keeps_its_promises(
    objective: str, tmp_path: Path
) -> None:
    """Prices then follow their pattern from that hour on, also after the run, where no file tells them."""
    times = [f"2024-06-{1 + hour // 24:02d} {hour % 24:02d}:30" for hour in range(17, 27)]
    rows = [f"{t},{home},{0.1 * home + 0.2},{0.5 * home}" for t in times for home in range(8)]
    data = tmp_path / "evening.csv"
    data.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows) + "\n")
    told = (f"--set=REGULATOR_OBJECTIVE={objective}", "--set=DIFFICULTY_TARGET=1")
    exact = [f"--set={name}=0" for name in ("QUOTE_VARIATION", "FORECAST_ERROR", "PRICE_VARIATION")]
    report = verify(save_run(tmp_path / "results", f"--data={data}", *told, *exact))
    assert report.ok, report.findings[:5]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_a_rule_that_it_does_not_know_nothing_else_is_said(seed: int, tmp_path: Path) -> None:
    """What its members could have traded, and whom that bans, follows from the rule."""

    def pay_as_ask(orders: Any, _: Any) -> Any:
        buying, selling, wh = crossing(orders)
        price = orders.limit_microeur_per_kwh[selling]
        return without_spread(p2p_trades(orders, buying, selling, wh, price))

    change = {"SEED": seed, "DIFFICULTY_TARGET": 1, "BAN_PENALTY_LIMIT": 0.0}
    wish = settings.load(config, change).model_copy(update={"MARKET_MECHANISM": "pay_as_ask"})
    scenario = simulator.prepare(wish, mechanism=Mechanism("pay_as_ask", pay_as_ask))
    storage.save(simulator.run(scenario), tmp_path)
    assert verify(tmp_path).totals == {"market rule": 1}


@pytest.mark.parametrize(
    "levers",
    [
        {"margin": 0.7},
        {"reserve_share": 0.3},
        {"stored_value": 3.0},
        {"stored_value": 0.1, "offer_share": 0.1},
    ],
)
def test_of_an_objective_that_it_does_not_know_nothing_else_is_said(
    levers: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its members are told, quote for it, and keep of their charge, follows from the objective."""

    def calm(settings: Any, outlook: Any) -> Any:
        return replace(regulator.default_levers(settings, outlook), **levers)

    monkeypatch.setitem(regulator.STRATEGIES, "calm", calm)
    wish = settings.load(config, {"NUM_PROSUMERS": 30, "DIFFICULTY_TARGET": 1})
    wish = wish.model_copy(update={"REGULATOR_OBJECTIVE": "calm"})
    homes = [f"h{k}" for k in range(6)]
    rows = [f"2024-06-01 {t:02d}:00,{home},{0.4 * (t < 6)},0" for t in range(12) for home in homes]
    data, owned = tmp_path / "homes.csv", tmp_path / "members.csv"
    data.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows) + "\n")
    sizes = [f"{home},{10 if home == 'h0' else 40},5" for home in homes]
    owned.write_text("household_id,battery_kwh,battery_kw\n" + "\n".join(sizes) + "\n")
    for k, files in enumerate((None, Files(data, owned))):
        folder = tmp_path / str(k)
        storage.save(simulator.run(simulator.prepare(wish, files)), folder)
        assert verify(folder).totals == {"lever": 1}


@pytest.mark.parametrize("name", [*AUCTIONS, *SHARING, "none", *OBJECTIVES, *OTHERS])
def test_a_run_under_any_rule_and_objective_keeps_its_own_promises(
    name: str, run_of: Callable[[str], Path]
) -> None:
    report = verify(run_of(name))
    assert report.ok, report.findings[:5]
    banned = ",banned," in (run_of(name) / "prosumer_trading.csv").read_text()
    assert banned or name != "bans"


# ---------------------------------------------------------------- members and equipment


def test_a_member_more_or_less_than_the_settings_say(forged: Callable[..., set[str]]) -> None:
    def change(params: dict) -> None:
        params["NUM_CONSUMERS"] += 1

    assert "members" in forged("params.json", change)


@pytest.mark.parametrize(
    ("kind", "battery"),
    [
        ("prosumer", {"initial_level_kwh": 9.0}),
        ("prosumer", {"battery_capacity_kwh": 100.0, "initial_level_kwh": 50.0}),
        ("consumer", {"battery_capacity_kwh": 10.0, "initial_level_kwh": 5.0}),
    ],
)
def test_a_battery_that_the_settings_do_not_give(
    kind: str, battery: dict[str, float], forged: Callable[..., set[str]]
) -> None:
    """Too full at the start; of a size, half full as it should be, that no home type has; or a consumer's."""

    def change(members: list[dict]) -> None:
        next(m for m in members if m["kind"] == kind).update(battery)

    assert "equipment" in forged("prosumers.json", change)


def test_a_battery_faster_than_its_rate(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        row = next(row for row in rows if float(row["battery_discharge_kwh"]) > 0)
        row["battery_discharge_kwh"] = raised(row["battery_discharge_kwh"], 12)
        row["load_kwh"] = raised(row["load_kwh"], 12)

    assert "battery power" in forged("prosumer_energy.csv", change)


def test_sun_and_use_beyond_the_largest_roof_and_home(forged: Callable[..., set[str]]) -> None:
    """100 kWh of PV that the home uses at once: the energy law holds, and the bonus would be due."""

    def change(rows: list[Row]) -> None:
        for name in ("pv_kwh", "load_kwh", "renewable_used_kwh"):
            rows[5][name] = raised(rows[5][name], 100)

    assert "synthetic day" in forged("prosumer_energy.csv", change)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        (("grid_import_kwh", "grid_export_kwh"), "both ways"),
        (("grid_import_kwh", "curtailed_kwh"), "curtailed"),
    ],
)
@pytest.mark.parametrize("role", ["buyer", "seller", "neutral"])
def test_energy_that_only_passes_through_a_meter(
    role: str,
    columns: tuple[str, str],
    rule: str,
    forged: Callable[..., set[str]],
    run_of: Callable[[str], Path],
) -> None:
    """In and out at once: the sum is right, and somebody pays for it. Of a member that asks for nothing, too."""
    roles = [row["role"] for row in rows_of(run_of("midpoint"), "prosumer_trading.csv")]

    def change(rows: list[Row]) -> None:
        for name in columns:
            row = rows[roles.index(role)]
            row[name] = raised(row[name], 5)

    assert rule in forged("prosumer_energy.csv", change)


def test_dates_in_a_run_without_a_data_file(forged: Callable[..., set[str]]) -> None:
    """No hour of a synthetic day has a date, so none can be told."""

    def change(rows: list[Row]) -> None:
        for row in rows:
            row["timestamp"] = f"2024-06-01T{int(row['hour']):02d}:00:00"

    assert "timestamp" in forged("community_summary.csv", change)


@pytest.mark.parametrize("flow", ["battery_charge_kwh", "battery_discharge_kwh"])
def test_a_battery_that_deals_with_the_outside_beside_a_members_file(
    flow: str, forged: Callable[..., set[str]], run_of: Callable[[str], Path]
) -> None:
    """Where nobody knows how strong it is: it serves its home and neighbours, and not the utility."""
    members = json.loads((run_of("members file") / "prosumers.json").read_text())
    outside = "grid_import_kwh" if flow == "battery_charge_kwh" else "grid_export_kwh"

    def change(rows: list[Row]) -> None:
        for row in rows:
            owns = members[int(row["prosumer_id"])]["battery_capacity_kwh"]
            if owns and not float(row["battery_charge_kwh"]) + float(row["battery_discharge_kwh"]):
                for name in (flow, outside):
                    row[name] = raised(row[name], 0.1)
                return
        raise AssertionError("no battery was at rest")

    assert "battery use" in forged("prosumer_energy.csv", change, "members file")


def test_a_full_battery_may_bid_where_its_charge_is_kept_for_a_dearer_hour(tmp_path: Path) -> None:
    """At night, beside an empty house: what it holds is not on offer, so it asks for more."""
    readings, members = tmp_path / "homes.csv", tmp_path / "members.csv"
    rows = [
        f"2024-06-01 {hour:02d}:00,{home},{load},0"
        for hour in range(24)
        for home, load in (("empty", 0), ("full", 0.3))
    ]
    readings.write_text("timestamp,household_id,load_kwh,pv_kwh\n" + "\n".join(rows))
    members.write_text("household_id,battery_kwh,battery_kw\nempty,10,2\nfull,10,2\n")
    options = f"--data={readings}", f"--members={members}", "--set=DIFFICULTY_TARGET=1"
    day = save_run(tmp_path / "day", *options, "--set=REGULATOR_OBJECTIVE=maximize_profit")
    first_hour = rows_of(day, "prosumer_trading.csv")[0]
    assert (first_hour["prosumer_id"], first_hour["role"]) == ("0", "buyer")
    assert verify(day).ok


@pytest.mark.parametrize("name", ["alone_eur", "stored_change_alone_kwh"])
def test_what_a_member_would_have_paid_alone_is_told_beside_a_members_file(
    name: str, forged: Callable[..., set[str]]
) -> None:
    """It cannot be made again there, only added up; left out it would not be missed."""

    def change(members: list[Any]) -> None:
        members[1][name] = "much"

    assert "prosumers.json" in forged("prosumers.json", change, "members file")


@pytest.mark.parametrize("name", ["alone_eur", "stored_change_alone_kwh"])
def test_what_members_would_have_paid_alone_adds_up_beside_a_members_file(
    name: str, forged: Callable[..., set[str]]
) -> None:
    """A euro, or a kWh, of one member, told wherever it speaks of itself."""

    def change(members: list[Any]) -> None:
        bill = "net_cost_alone_eur", "savings_eur"
        for part in (name, *bill) if name == "alone_eur" else (name,):
            members[1][part] = round(members[1][part] + 1, 9)

    assert "summary" in forged("prosumers.json", change, "members file")


def test_an_order_above_the_cap(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        first(rows, role="seller")["order_kwh"] = "2000.000"

    assert "trade cap" in forged("prosumer_trading.csv", change)


# ---------------------------------------------------------------- prices, levers, bans

PRICES = [
    ("grid_import_price_eur_per_kwh", 0.1, "utility price"),
    ("grid_export_price_eur_per_kwh", 900.0, "utility price"),
    ("market_buy_price_eur_per_kwh", 0.001, "market price"),
    ("market_sell_price_eur_per_kwh", -0.001, "market price"),
    ("renewable_bonus_eur_per_kwh", 1.0, "lever"),
    ("p2p_bonus_eur_per_kwh", 0.01, "lever"),
    ("market_penalty_eur_per_kwh", -0.01, "lever"),
]


@pytest.mark.parametrize(("name", "by", "rule"), PRICES)
def test_a_price_or_lever_that_the_settings_do_not_set(
    name: str, by: float, rule: str, forged: Callable[..., set[str]]
) -> None:
    def change(rows: list[Row]) -> None:
        rows[12][name] = raised(rows[12][name], by)

    assert rule in forged("community_summary.csv", change)


@pytest.mark.parametrize(("role", "limit"), [("buyer", "0.900000"), ("seller", "0.000000")])
def test_a_limit_of_a_battery_that_its_owner_cannot_accept(
    role: str, limit: str, forged: Callable[..., set[str]], run_of: Callable[[str], Path]
) -> None:
    """Of an order that nobody served, and whose home has nothing left and lacks nothing: a battery's."""
    meters = rows_of(run_of("midpoint"), "prosumer_energy.csv")
    outside = ("p2p_bought_kwh", "p2p_sold_kwh", "market_bought_kwh", "market_sold_kwh")
    flows = (*outside, "grid_import_kwh", "grid_export_kwh")

    def change(rows: list[Row]) -> None:
        row = next(
            row
            for meter, row in zip(meters, rows, strict=True)
            if row["role"] == role and not any(float(meter[flow]) for flow in flows)
        )
        row["limit_price_eur_per_kwh"] = limit

    assert "limit price" in forged("prosumer_trading.csv", change)


@pytest.mark.parametrize("lever", ["p2p_bonus", "market_penalty"])
def test_levers_of_an_objective_that_does_not_double_them(
    lever: str, forged: Callable[..., set[str]]
) -> None:
    """maximize_p2p pays and takes twice what the settings say; once would be another regulator's."""

    def change(rows: list[Row]) -> None:
        for row in rows:
            name = f"{lever}_eur_per_kwh"
            row[name] = raised("0.000000", float(row[name]) / 2)

    assert "lever" in forged("community_summary.csv", change, "maximize_p2p")


@pytest.mark.parametrize("run", ["small budget", "small budget, chaos"])
@pytest.mark.parametrize("lever", ["renewable_bonus", "p2p_bonus"])
def test_a_bonus_beyond_the_budget(
    lever: str, run: str, forged: Callable[..., set[str]], run_of: Callable[[str], Path]
) -> None:
    """Once what was paid beyond the penalties has reached REGULATOR_BUDGET, no bonus is promised."""
    rows = rows_of(run_of(run), "community_summary.csv")
    name = f"{lever}_eur_per_kwh"
    spent = [step for step, row in enumerate(rows) if float(row[name]) == 0]
    assert spent and spent[0] > 0, "it was paid first, and then no more"

    def change(rows: list[Row]) -> None:
        rows[spent[0]][name] = "0.000001"

    assert "lever" in forged("community_summary.csv", change, run)


def test_a_lever_above_what_chaos_draws(forged: Callable[..., set[str]]) -> None:
    """At most twice the setting: 0.02 EUR/kWh of P2P_BONUS; a micro-euro more is too much."""

    def change(rows: list[Row]) -> None:
        rows[5]["p2p_bonus_eur_per_kwh"] = "0.020001"

    assert "lever" in forged("community_summary.csv", change, "chaos")


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_local_market_beside_a_price_file_that_costs_something_else(
    side: str, forged: Callable[..., set[str]]
) -> None:
    """One tariff holds towards everything outside."""

    def change(rows: list[Row]) -> None:
        name = f"market_{side}_price_eur_per_kwh"
        rows[5][name] = raised(rows[5][name], 0.000001)

    assert "price file" in forged("community_summary.csv", change, "prices")


@pytest.mark.parametrize(
    ("run", "share", "kwh"),
    [("midpoint", 0.5, kwh) for kwh in (0.003, 0.001, -0.001, -0.05, None)]
    + [("maximize_p2p", 0.875, kwh) for kwh in (0.001, -0.001, None)]
    + [("maximize_profit", 0.5, kwh) for kwh in (0.003, 0.001, -0.001, None)]
    + [("members file", 0.5, 0.002)],
)
def test_an_order_of_a_battery_that_is_not_its_share(
    run: str,
    share: float,
    kwh: float | None,
    forged: Callable[..., set[str]],
    run_of: Callable[[str], Path],
) -> None:
    """It offers its share of what lies above the reserve, at the terminals, rounded down: not a Wh more or less."""
    members = json.loads((run_of(run) / "prosumers.json").read_text())
    meters = rows_of(run_of(run), "prosumer_energy.csv")
    least, eta = 0.1, math.sqrt(0.95)

    def change(rows: list[Row]) -> None:
        for meter, row in zip(meters, rows, strict=True):
            gave, sold = float(meter["battery_discharge_kwh"]), float(meter["p2p_sold_kwh"])
            before = float(meter["battery_level_kwh"]) + gave / eta
            reserve = least * members[int(row["prosumer_id"])]["battery_capacity_kwh"]
            left = (before - reserve) * eta - (gave - sold)  # its own home comes first
            offer, order = math.floor(1000 * share * left + 1e-3), float(row["order_kwh"])
            in_part = sold + 0.05 < order and (sold == 0 if kwh is None else gave > 0)
            if row["role"] == "seller" and in_part and round(1000 * order) == offer:
                if kwh is None:
                    row |= {"role": "neutral", "order_kwh": "0.000", "limit_price_eur_per_kwh": ""}
                else:
                    row["order_kwh"] = raised(row["order_kwh"], kwh)
                return
        raise AssertionError("no battery offered its share in vain")

    assert "order" in forged("prosumer_trading.csv", change, run)


@pytest.mark.parametrize("run", ["midpoint", "empty"])
@pytest.mark.parametrize("by", [0.001, -0.001])
def test_a_bid_of_a_battery_that_is_not_its_share(
    by: float, run: str, forged: Callable[..., set[str]], run_of: Callable[[str], Path]
) -> None:
    """It bids for three quarters of its room, once its home's surplus is stored, as far as power and cap allow."""
    members = json.loads((run_of(run) / "prosumers.json").read_text())
    meters = rows_of(run_of(run), "prosumer_energy.csv")
    least, most, eta = 0.1, 0.95, math.sqrt(0.95)

    def change(rows: list[Row]) -> None:
        for meter, row in zip(meters, rows, strict=True):
            stored, bought = float(meter["battery_charge_kwh"]), float(meter["p2p_bought_kwh"])
            before = float(meter["battery_level_kwh"]) - stored * eta
            capacity = members[int(row["prosumer_id"])]["battery_capacity_kwh"]
            own, order = stored - bought, float(row["order_kwh"])
            room, power = (most * capacity - before) / eta - own, capacity / 2 - own
            bid = math.floor(1000 * min(0.75 * room, power, 3) + 1e-3)  # 3 is the trade cap
            is_empty = (before - least * capacity) * eta < 0.001
            in_part = bought < order and is_empty == (run == "empty")
            if row["role"] == "buyer" and in_part and round(1000 * order) == bid:
                row["order_kwh"] = raised(row["order_kwh"], by)
                return
        raise AssertionError("no battery bid for its share in vain")

    assert "order" in forged("prosumer_trading.csv", change, run)


@pytest.mark.parametrize(
    ("above", "order", "found"),
    [
        (2500.9996, 1250, False),  # told as 0.0004 Wh less than the 2501 of which it offers half
        (2500.4, 1250, False),
        (2501.9996, 1251, False),  # 2502.0001 before it was rounded
        (2501.9996, 1250, False),
        (2501.4, 1251, True),
        (2502.4, 1250, True),
    ],
)
def test_a_level_that_was_rounded_hides_a_wh_of_an_order_where_that_decides_and_nowhere_else(
    above: float, order: int, found: bool
) -> None:
    """A battery of 10 kWh without losses, `above` Wh above its reserve, offers half of the whole Wh of that."""
    nothing, level = np.zeros(1, np.int64), np.array([1000 + above])
    flows = dict.fromkeys(("surplus", "need", "charge", "discharge", "bought", "sold"), nothing)
    asked, is_banned = np.array([order]), np.zeros(1, np.bool_)
    use = Use(row=nothing, member=nothing, level=level, asked=asked, is_banned=is_banned, **flows)
    saved: Any = SimpleNamespace(settings=SimpleNamespace(efficiency=1.0))
    known = Batteries(*np.array([[10_000.0], [1000.0], [9500.0], [5000.0]]), exact=True)
    misfits = battery_use.misfits(saved, use, known, Shares(0.5, 0.75, 1, 3000), Advice())
    assert misfits.tolist() == [found]


@pytest.mark.parametrize(
    ("below", "order", "found"),
    [(2500.4, 1250, False), (2500.4, 1249, True), (2500.0004, 1249, False)]
    + [(2499.9996, 1250, False), (2499.4, 1250, True), (2499.4, 1249, False)],
)
def test_a_level_that_was_rounded_hides_a_wh_of_a_bid_where_that_decides_and_nowhere_else(
    below: float, order: int, found: bool
) -> None:
    """An empty battery of which `below` Wh of room are left bids for half of the whole Wh of that."""
    nothing, level = np.zeros(1, np.int64), np.array([9500 - below])
    flows = dict.fromkeys(("surplus", "need", "charge", "discharge", "bought", "sold"), nothing)
    asked, is_banned = np.array([-order]), np.zeros(1, np.bool_)
    use = Use(row=nothing, member=nothing, level=level, asked=asked, is_banned=is_banned, **flows)
    saved: Any = SimpleNamespace(settings=SimpleNamespace(efficiency=1.0))
    sizes = np.array([[10_000.0], [9400.0], [9500.0], [5000.0]])  # nothing above the reserve
    misfits = battery_use.misfits(
        saved, use, Batteries(*sizes, exact=True), Shares(0.5, 0.5, 1, 3000), Advice()
    )
    assert misfits.tolist() == [found]


def test_of_an_advised_share_whole_wh_are_stored() -> None:
    """Half of 279 Wh are 139, though no objective of today advises a half."""
    nothing = np.zeros(1, np.int64)
    names = ("need", "charge", "discharge", "bought", "sold", "asked", "row", "member")
    flows = dict.fromkeys(names, nothing)
    use = Use(surplus=nothing + 279, level=nothing + 5000.0, is_banned=nothing > 0, **flows)
    known = Batteries(*np.array([[10_000.0], [1000.0], [9500.0], [5000.0]]), exact=True)
    assert plan_of(use, known, 1.0, Advice(0.5), Slack()).charge.tolist() == [139]


@pytest.mark.parametrize(
    ("wh", "whole", "doubt", "limit", "least", "bounds"),
    [
        pytest.param(3, 10, 0, 100, 0, (0.3, 0.4), id="in whole Wh"),
        pytest.param(3, 10, 1, 100, 0, (3 / 11, 4 / 9), id="of a Wh more or less"),
        pytest.param(3, 10, 0, 3, 0, (0.3, np.inf), id="all that it can"),
        pytest.param(3, 10, 0, 4, 0, (0.3, np.inf), id="nearly, as rounding may have it"),
        pytest.param(3, 10, 0, 5, 0, (0.3, 0.4), id="less than it can"),
        pytest.param(0, 10, 0, 100, 0, (0, 0.1), id="nothing"),
        pytest.param(0, 10, 0, 100, 4.2, (0, 0.5), id="too little for an order"),
        pytest.param(0, 10, 0, 3, 4.2, (0, np.inf), id="never enough for an order"),
        pytest.param(0, 1, 1, 100, 0, (0, 1e9), id="of nothing, or two"),
    ],
)
def test_what_was_taken_of_a_whole_bounds_the_share_that_was_drawn(
    wh: int, whole: int, doubt: int, limit: int, least: float, bounds: tuple[float, float]
) -> None:
    use: Any = None
    most = np.array([limit])
    of_row = np.array([wh]), np.array([whole]), doubt, most, most, least
    low, high = drawn.bounds_of_share(drawn.Part("of it", "order", use, *of_row))
    assert (*low, *high) == pytest.approx(bounds, abs=1e-6)


@pytest.mark.parametrize(("wh", "bounds"), [(0, (0, 0.5)), (3, (0.42, np.inf))])
def test_a_cap_cuts_what_was_taken_and_hides_not_whether_it_was(
    wh: int, bounds: tuple[float, float]
) -> None:
    """Of 10 Wh at least 4.2 are an order, of which the cap leaves 3: none means less than 5, 3 mean 4.2 or more."""
    use: Any = None
    cap, power = np.array([3]), np.array([100])
    of_row = np.array([wh]), np.array([10]), 0, cap, power, 4.2
    low, high = drawn.bounds_of_share(drawn.Part("of it", "order", use, *of_row))
    assert (*low, *high) == pytest.approx(bounds, abs=1e-6)


def test_a_market_price_that_this_hour_cannot_have(forged: Callable[..., set[str]]) -> None:
    """Both prices moved alike, so that the fee is right: 0.15 * 1.3 varies by 5 %, not by 10 cents."""

    def change(rows: list[Row]) -> None:
        for name in ("market_buy_price_eur_per_kwh", "market_sell_price_eur_per_kwh"):
            rows[12][name] = raised(rows[12][name], -0.1)

    assert "market price" in forged("community_summary.csv", change)


def test_a_ban_of_an_invented_length(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        rows[-3] |= {"ban_steps_left": "500", "ban_reason": "excessive_market_use"}

    assert "ban due" in forged("regulator_actions.csv", change)


def test_a_ban_of_a_member_that_paid_no_penalty(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        row = next(r for r in reversed(rows) if float(r["penalty_eur"]) == 0)
        row |= {"ban_steps_left": "2", "ban_reason": "excessive_market_use"}

    assert "ban due" in forged("regulator_actions.csv", change)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_battery_where_all_homes_have_one_or_none(
    share: float, forged: Callable[..., set[str]]
) -> None:
    def change(params: dict) -> None:
        params["HAS_BATTERY"] = share

    assert "home" in forged("params.json", change)


@pytest.mark.parametrize("role", ["buyer", "seller"])
def test_an_order_of_a_home_whose_battery_rests(
    role: str, forged: Callable[..., set[str]], run_of: Callable[[str], Path]
) -> None:
    """It trades what the home has left, so the order is no larger, though a battery is there."""
    meters = rows_of(run_of("midpoint"), "prosumer_energy.csv")
    flow = "p2p_bought_kwh" if role == "buyer" else "p2p_sold_kwh"
    rests = [
        i
        for i, row in enumerate(meters)
        if float(row[flow])
        and not float(row["battery_charge_kwh"]) + float(row["battery_discharge_kwh"])
    ]

    def change(rows: list[Row]) -> None:
        row = rows[rests[0]]
        row["order_kwh"] = raised(row["order_kwh"], 0.01)

    assert "order" in forged("prosumer_trading.csv", change)


def test_the_sun_of_any_step_length_is_the_same_for_both_readings(tmp_path: Path) -> None:
    """Steps of 0.175 h meet midnight only after a week, and a shift of six hours puts dawn there."""
    options = ["--set=TIME_STEP_DURATION=0.175", "--set=ORIENTATION_SHIFT=6", "--steps=2900"]
    few = ["--set=NUM_PROSUMERS=3", "--set=CONSENSUS=none"]
    report = verify(save_run(tmp_path / "results", *options, *few))
    assert report.ok, report.summary()


def test_a_state_of_charge_is_that_of_the_battery_not_of_its_rounded_figures(
    tmp_path: Path,
) -> None:
    """Of 3.02797249 kWh 0.897649999 are 0.8976; what the files tell gives 2.718060 / 3.027972 = 0.89765028."""
    battery = ["--set=BATTERY_CAPACITY=[3.02797249]", "--set=HAS_BATTERY=1"]
    level = ["--set=BATTERY_INITIAL_SOC=0.897649999", "--set=BATTERY_MAX_SOC=1"]
    idle = ["--set=PV_CAPACITY=[1]", "--set=BASE_CONSUMPTION=[0]", "--set=MIN_LOAD=0", "--steps=1"]
    home = ["--set=NUM_PROSUMERS=1", "--set=NUM_CONSUMERS=0", "--set=CONSENSUS=none"]
    folder = save_run(tmp_path / "results", *battery, *level, *idle, *home)
    table = folder / "prosumer_energy.csv"
    assert ",2.718060,0.8976," in table.read_text()
    assert verify(folder).ok
    table.write_text(table.read_text().replace(",0.8976,", ",0.8978,"))
    assert set(verify(folder).totals) == {"battery_soc"}


def test_of_a_small_battery_the_state_of_charge_is_known_no_worse_than_its_figures(
    tmp_path: Path,
) -> None:
    """Of 0.010000 kWh, told to the thousandth of a Wh, half a thousandth is half of the last digit."""
    idle = ["--set=PV_CAPACITY=[1]", "--set=BASE_CONSUMPTION=[0]", "--set=MIN_LOAD=0", "--steps=1"]
    home = ["--set=NUM_PROSUMERS=1", "--set=NUM_CONSUMERS=0", "--set=CONSENSUS=none"]
    battery = ["--set=BATTERY_CAPACITY=[0.01]", "--set=HAS_BATTERY=1"]
    folder = save_run(tmp_path / "results", *battery, *idle, *home)
    table = folder / "prosumer_energy.csv"
    table.write_text(table.read_text().replace(",0.005000,0.5000,", ",0.005000,0.5003,"))
    assert set(verify(folder).totals) == {"battery_soc"}


def test_a_battery_that_gains_a_thousandth_of_a_wh_in_each_step(
    forged: Callable[..., set[str]],
) -> None:
    """No step differs from the one before by more than rounding may; a day of them does."""

    def change(rows: list[Row]) -> None:
        for t, row in enumerate(r for r in rows if r["prosumer_id"] == "0"):
            row["battery_level_kwh"] = raised(row["battery_level_kwh"], 1e-6 * t)

    assert "battery law" in forged("prosumer_energy.csv", change)


def test_a_home_without_battery_stores_nothing(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        row = first(rows, prosumer_id="16", timestep="5")
        row |= {"battery_level_kwh": "-0.000001", "battery_soc": "-0.0001"}

    assert {"battery law", "battery_soc"} <= forged("prosumer_energy.csv", change)


def test_an_institution_of_ours_that_brings_money(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        row = first(rows, kind="utility")
        row |= {name: raised(row[name], 1000) for name in ("opening_eur", "balance_eur")}

    assert "opening" in forged("accounts.csv", change)


def test_homes_picked_without_a_file_of_homes(forged: Callable[..., set[str]]) -> None:
    with pytest.raises(Unreadable, match="no data, whose homes were picked"):
        forged("params.json", lambda params: params.update(HOUSEHOLDS="flat:3"))


def test_money_for_a_reason_that_this_program_does_not_know(
    forged: Callable[..., set[str]],
) -> None:
    """Another program may have documented one; ours has not."""

    def change(rows: list[Row]) -> None:
        rows.append(rows[-1] | {"payer_id": "3", "payee_id": "5", "reason": "gift"})

    assert "unknown word" in forged("transfers.csv", change)


@pytest.mark.parametrize(
    "change",
    [
        {"RETAIL_PRICE": "free", "BATTERY_C_RATE": None},
        {"BASE_CONSUMPTION": ["many"], "REGULATOR_OBJECTIVE": 3},
        {"BAN_BALANCE_LIMIT": True, "LOAD_PATTERN": []},
        {"LOCAL_MARKET_FEE": 1e20, "BAN_MARKET_HOURS": 1e20, "BAN_COOLDOWN_HOURS": -1e20},
        {"PV_CAPACITY": [1e300]},
        {"PV_CAPACITY": [5.0], "LOAD_PATTERN": [1.0] * 23, "PRICE_PATTERN": [1.0] * 25},
        {"NUM_PROSUMERS": 7.0, "NUM_CONSUMERS": 55.5},
        {"HAS_BATTERY": 7.5, "PRICE_VARIATION": 1e6, "OFFER_SHARE": -0.1, "QUOTE_MARGIN": "x"},
        {"TIME_STEPS": 0, "TIME_STEP_DURATION": 2.0, "SEED": 2**70, "DIFFICULTY_TARGET": 20},
        {"SEASON_FACTOR": 20.0, "BATTERY_C_RATE": 50.0, "RENEWABLE_BONUS": 500.0},
        {"ORIENTATION_SHIFT": 12.0, "LOAD_PATTERN": [200.0] * 24, "BAN_MARKET_HOURS": 10_000.0},
        {"MINER_HASH_POWER": [5000] * 15, "VALIDATOR_STAKES": ["x", None]},
        {"BATTERY_EFFICIENCY": 0.001, "MAX_TRADE_CAP": 1e8, "INITIAL_WALLET": 1e8},
        {"BLOCK_REWARD": 1e8, "MAX_TRANSACTIONS_PER_BLOCK": 10**7},
    ],
)
def test_settings_of_the_wrong_type_do_not_switch_laws_off(
    change: dict[str, Any], run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run_of("none"), tmp_path / "results"))
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(params | change))
    with pytest.raises(Unreadable) as error:
        verify(folder)
    assert {problem.split()[1] for problem in error.value.problems} == set(change)


def test_settings_are_read_in_the_range_in_which_they_may_be_set() -> None:
    """verify has a table of its own; both are what docs/settings.md says."""
    read = params.OUR_NUMBERS | params.OURS
    for name, kind in TYPES.items():
        number = get_args(get_args(kind)[0])[0] if name in LISTS else kind
        known = {**read, **params.OUR_LISTS, **dict.fromkeys(params.OUR_COUNTS)}
        is_number = (bound(number, "ge"), bound(number, "le")) != (None, None)
        assert name in known or not is_number, f"{name}: no range in verification/params.py"
        due = bound(number, "ge"), bound(number, "le")
        if name == "TIME_STEPS":  # a data file may have more steps than a user may ask for
            assert read[name][0] == due[0] and read[name][1] >= due[1]
        elif name in params.OUR_LISTS:
            assert (0, params.OUR_LISTS[name]) == due, name
        elif name in params.OUR_COUNTS:
            assert due == (0, params.LARGEST), name
        elif due != (None, None):
            assert read[name] == due, name
    assert settings.LEAST_VALIDATORS == params.LEAST_VALIDATORS


LISTS = (*params.OUR_LISTS, "MINER_HASH_POWER", "VALIDATOR_STAKES")


def test_a_list_out_of_range_is_told_with_the_range_of_the_settings(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "results", *SMALL, "--set=CONSENSUS=pos")
    path = folder / "params.json"
    wrong = {"MINER_HASH_POWER": [1001] * 15, "VALIDATOR_STAKES": [10**12 + 1] * 15}
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(Unreadable) as error:
        verify(folder)
    power, stakes = sorted(error.value.problems)
    assert "15 whole numbers from 1 to 1000" in power
    assert "15 whole numbers from 0 to 1000000000000" in stakes


@pytest.mark.parametrize("stakes", [None, [], [1], [5, 3, 2], [1] * 14, [-1] * 15])
def test_stakes_that_nobody_has(stakes: object, tmp_path: Path) -> None:
    """All equal, as hash power is where nothing is said, would be another lottery."""
    folder = save_run(tmp_path / "results", *SMALL, "--set=CONSENSUS=pos")
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(params | {"VALIDATOR_STAKES": stakes}))
    with pytest.raises(Unreadable, match="VALIDATOR_STAKES"):
        verify(folder)


@pytest.mark.parametrize(("count", "enough"), [(9, False), (10, True)])
def test_too_few_validators_for_a_lottery(count: int, enough: bool, tmp_path: Path) -> None:
    """Each has a stake, so nothing but their number is wrong."""
    ten = ["--set=NUM_MINERS=10", f"--set=VALIDATOR_STAKES={[1] * 10}"]
    folder = save_run(tmp_path / "results", *SMALL, "--set=CONSENSUS=pos", *ten)
    path = folder / "params.json"
    few = {"NUM_MINERS": count, "VALIDATOR_STAKES": [1] * count}
    path.write_text(json.dumps(json.loads(path.read_text()) | few, indent=1) + "\n")
    if enough:
        assert verify(folder).ok
        return
    with pytest.raises(Unreadable, match="has 9 values, at least 10 validators are needed"):
        verify(folder)


HASH = "0" * 64


@pytest.mark.parametrize(
    "inputs",
    [
        {"members": None},
        {"data": {}},
        {"data": {"name": "homes.csv", "sha256": "zz"}},
        {"members": {"name": "members.csv", "sha256": HASH}},
        {"weather": {"name": "sun.csv", "sha256": HASH}},
        ["data"],
    ],
)
def test_input_files_that_are_none_do_not_switch_laws_off(
    inputs: object, run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """A file of members says how strong batteries are, one of data what sun and use were: so laws are silent."""
    folder = Path(shutil.copytree(run_of("none"), tmp_path / "results"))
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(params | {"inputs": inputs}))
    with pytest.raises(Unreadable, match="inputs"):
        verify(folder)


@pytest.mark.parametrize("name", ["MARKET_MECHANISM", "REGULATOR_OBJECTIVE"])
def test_a_rule_or_an_objective_that_does_not_exist(
    name: str, forged: Callable[..., set[str]]
) -> None:
    def change(params: dict) -> None:
        params[name] = "nonsense"

    assert {"MARKET_MECHANISM": "market rule", "REGULATOR_OBJECTIVE": "lever"}[name] in forged(
        "params.json", change
    )


def test_the_name_of_a_rule_elsewhere_in_the_settings_allows_nothing(
    forged: Callable[..., set[str]],
) -> None:
    """HOUSEHOLDS = "bill_sharing" must not let the utility share out money."""

    def change(rows: list[Row]) -> None:
        rows.append(
            {"timestep": "23", "payer_id": "-1", "payee_id": "5", "amount_eur": "50.000000000", "reason": "bill_sharing"}
        )  # fmt: skip

    assert "bill_sharing due" in forged("transfers.csv", change)


# ---------------------------------------------------------------- the market rule


@pytest.mark.parametrize("rule", [*AUCTIONS, "mid_market_rate", "bill_sharing"])
def test_a_price_between_neighbours_that_the_rule_does_not_make(
    rule: str, forged: Callable[..., set[str]]
) -> None:
    """A millionth of a euro more in one trade."""

    def change(rows: list[Row]) -> None:
        row = first(rows, trade_type="p2p")
        row["price_eur_per_kwh"] = raised(row["price_eur_per_kwh"], 1e-6)

    assert "market rule" in forged("all_trades.csv", change, rule)


def test_the_price_of_supply_and_demand_is_that_of_the_orders(
    forged: Callable[..., set[str]],
) -> None:
    def change(rows: list[Row]) -> None:
        row = first(rows, trade_type="p2p")
        row["price_eur_per_kwh"] = raised(row["price_eur_per_kwh"], 0.0001)

    assert "market rule" in forged("all_trades.csv", change, "supply_demand_ratio")


def test_a_limit_taken_away_so_that_any_price_fits(forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        first(rows, role="buyer")["limit_price_eur_per_kwh"] = ""

    assert "limit price" in forged("prosumer_trading.csv", change)


@pytest.mark.parametrize("role", ["buyer", "seller"])
def test_a_better_order_that_was_passed_over(role: str, forged: Callable[..., set[str]]) -> None:
    """An order that found no neighbour, with a limit that would have been served first.

    In a step in which nobody is left on the other side, so that it would agree with none of those.
    """
    other = "seller" if role == "buyer" else "buyer"

    def change(rows: list[Row]) -> None:
        busy = {r["timestep"] for r in rows if float(r["p2p_kwh"]) > 0}
        opposite = (r for r in rows if r["role"] == other and r["p2p_kwh"] != r["order_kwh"])
        busy -= {r["timestep"] for r in opposite}
        left = (r for r in rows if r["role"] == role and float(r["p2p_kwh"]) == 0)
        row = next(r for r in left if r["timestep"] in busy)
        row["limit_price_eur_per_kwh"] = "0.900000" if role == "buyer" else "0.000001"

    assert "priority" in forged("prosumer_trading.csv", change)


# ---------------------------------------------------------------- money


def of(reason: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["reason"] == reason]


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("market_penalty", "midpoint"),
        ("auction_spread", "huang"),
        ("bill_sharing", "bill_sharing"),
    ],
)
@pytest.mark.parametrize("left", ["none", "all but one"])
def test_payments_that_were_due_and_are_missing(
    reason: str, rule: str, left: str, forged: Callable[..., set[str]]
) -> None:
    def change(rows: list[Row]) -> list[Row]:
        gone = of(reason, rows) if left == "none" else of(reason, rows)[:1]
        assert gone
        return [row for row in rows if row not in gone]

    assert f"{reason} due" in forged("transfers.csv", change, rule)


@pytest.mark.parametrize("step", ["24", "-1000", "4000000000"])
def test_a_payment_in_a_step_that_there_is_not(step: str, forged: Callable[..., set[str]]) -> None:
    def change(rows: list[Row]) -> None:
        rows.append(rows[-1] | {"timestep": step, "payer_id": "3", "payee_id": "5"})

    assert "rows" in forged("transfers.csv", change)


@pytest.mark.parametrize(
    ("payer", "payee"),
    [("3", "-1"), ("-1", "5"), ("-2", "5"), ("3", "5"), ("-1", "-2"), ("-2", "-1")],
)
def test_money_in_the_name_of_shared_bills(
    payer: str, payee: str, forged: Callable[..., set[str]]
) -> None:
    """Through the aggregator, from the utility, from member to member, or beside all members."""

    def change(rows: list[Row]) -> None:
        rows.append(
            {"timestep": "23", "payer_id": payer, "payee_id": payee, "amount_eur": "50.000000000", "reason": "bill_sharing"}
        )  # fmt: skip

    assert "bill_sharing due" in forged("transfers.csv", change, "bill_sharing")


def test_shared_bills_are_paid_through_the_aggregator(forged: Callable[..., set[str]]) -> None:
    """One who owes pays another who is owed: everybody has what is due, but that is no bill of the community."""

    def change(rows: list[Row]) -> list[Row]:
        bills = of("bill_sharing", rows)
        one = next(row for row in bills if row["payee_id"] == "-1")
        other = next(row for row in bills if row["payer_id"] == "-1")
        less, more = sorted((one, other), key=lambda row: float(row["amount_eur"]))
        more["amount_eur"] = f"{float(more['amount_eur']) - float(less['amount_eur']):.9f}"
        direct = less | {"payer_id": one["payer_id"], "payee_id": other["payee_id"]}
        return [direct if row is less else row for row in rows]

    assert forged("transfers.csv", change, "bill_sharing") == {"bill_sharing due"}


def test_the_aggregator_settles_at_the_market_price_and_no_other(
    forged: Callable[..., set[str]],
) -> None:
    """It sold to the utility at the price that buyers pay: twice the fee for each kWh."""

    def change(rows: list[Row]) -> None:
        row = next(
            r for r in of("utility_export", rows) if (r["payer_id"], r["payee_id"]) == ("-2", "-1")
        )
        row["amount_eur"] = raised(row["amount_eur"], 0.03)

    assert "aggregator exchange" in forged("transfers.csv", change)
