"""Market rules: published cases, formulas recomputed by hand, and what holds for every rule."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHARED, make_run, make_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import main
import simulator
from extensions.clear_command import backstop
from extensions.mechanisms import MECHANISMS, cut_equally, mechanism_called, share_out
from records import AGGREGATOR, Orders, Reason, StepPrices
from report import net_paid

RETAIL, FEED_IN = 320_000, 30_000
AUCTIONS = tuple(name for name, rule in MECHANISMS.items() if rule.has_limits)
SHARING = ("mid_market_rate", "supply_demand_ratio", "bill_sharing")


def book(buys: list[tuple[float, float]], sells: list[tuple[float, float]]) -> Orders:
    """Orders from (kWh, EUR/kWh) pairs, one owner each, in the order given."""
    rows = [(e, p, False) for e, p in buys] + [(e, p, True) for e, p in sells]
    count = len(rows)
    return Orders(
        member=np.arange(count, dtype=np.int32),
        is_sale=np.array([sale for *_, sale in rows], bool),
        energy_wh=np.array([round(e * 1000) for e, *_ in rows], np.int64),
        limit_microeur_per_kwh=np.array([round(p * 1e6) for _, p, _ in rows], np.int64),
        of_battery=np.zeros(count, bool),
        tie=np.arange(count),
    )


def outside() -> StepPrices:
    zero = dict.fromkeys(StepPrices.__dataclass_fields__, 0)
    return StepPrices(**zero | {"grid_import": RETAIL, "grid_export": FEED_IN})


def cleared(name: str, orders: Orders) -> Any:
    rule = MECHANISMS[name]
    return rule.clear(rule.admit(orders), outside())


def welfare_nanoeur(orders: Orders, name: str) -> int:
    trades = cleared(name, orders).trades
    limit = orders.limit_microeur_per_kwh
    return int(((limit[trades.buyer] - limit[trades.seller]) * trades.energy_wh).sum())


@st.composite
def books(draw: st.DrawFn) -> Orders:
    order = st.tuples(st.integers(1, 60), st.integers(1, 40))
    buys, sells = draw(st.lists(order, max_size=9)), draw(st.lists(order, max_size=9))
    return book([(e / 10, p / 100) for e, p in buys], [(e / 10, p / 100) for e, p in sells])


# ---------------------------------------------------------------- cases from elsewhere


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    path = SHARED / "data" / "order_books" / "expected.json"
    if not path.is_file():
        pytest.skip("the order books are not beside this repository")
    return json.loads(path.read_text())


def case_of(published: dict[str, Any], name: str) -> tuple[Orders, dict[str, Any]]:
    case = next(c for c in published["cases"] if c["id"] == name)
    sides = [[(float(e), float(p)) for _, e, p in case[side]] for side in ("buy", "sell")]
    return book(*sides), case["expect"]


@pytest.mark.parametrize("name", ["book_20", "book_100"])
def test_the_published_books_clear_with_the_known_energy_welfare_and_margin(
    published: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = SHARED / "data" / "order_books" / f"{name}.csv"
    assert main.main(["clear", str(path), "--mechanism", "uniform"]) == 0
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    expected = published["books"][name]
    assert float(told["traded_kwh"]) == expected["energy_kwh"]
    assert float(told["welfare_eur"]) == pytest.approx(expected["welfare_eur"], abs=1e-9)
    assert float(told["marginal_bid_eur_per_kwh"]) == expected["marginal_bid_eur_per_kwh"]
    assert float(told["marginal_ask_eur_per_kwh"]) == expected["marginal_offer_eur_per_kwh"]
    assert float(told["price_eur_per_kwh"]) == expected["midpoint_of_marginals"]


def test_huang_trades_what_the_published_case_says(published: dict[str, Any]) -> None:
    """One unit between the best buyer and the best seller, at 3 and 2: both marginal orders stay out."""
    orders, expected = case_of(published, "pymarket_ds0")
    found = cleared("huang", orders)
    assert found.trades.energy_wh.sum() == 1000 * expected["huang"]["sold_qty"]
    assert set(found.trades.price_microeur_per_kwh) == {
        1_000_000 * expected["huang"]["seller_price"]
    }
    assert (found.trades.buyer.tolist(), found.trades.seller.tolist()) == ([1], [4])
    spread = expected["huang"]["buyer_price"] - expected["huang"]["seller_price"]
    assert found.spread_nanoeur.tolist() == [spread * 10**9]


def test_huang_trades_the_published_part_of_the_volume(published: dict[str, Any]) -> None:
    """One of the three units that there are; the marginal pair, 3 against 2, stays out."""
    orders, expected = case_of(published, "pymarket_market_init")
    traded = int(cleared("huang", orders).trades.energy_wh.sum())
    part = traded / (1000 * expected["max_volume"])
    assert part == pytest.approx(expected["huang"]["traded_fraction"], abs=1e-6)


def test_the_mid_market_rate_is_the_published_one(published: dict[str, Any]) -> None:
    """Between prices of 35 and 15 outside, whatever the orders ask: 25, for all 1,500 units."""
    orders, expected = case_of(published, "rec_op_mmr")
    rule = MECHANISMS["mid_market_rate"]
    trades = rule.clear(rule.admit(orders), backstop(35_000_000, 15_000_000)).trades
    assert trades.energy_wh.sum() == 1_500_000
    assert set(trades.price_microeur_per_kwh) == {
        round(1e6 * expected["mmr_between_min_buy_and_max_sell"])
    }


def test_one_bid_and_one_ask_trade_midway_where_another_program_takes_the_ask(
    published: dict[str, Any],
) -> None:
    """The one published case that differs (docs/validation.md): 2.25 between 2.5 and 2, not 2."""
    orders, expected = case_of(published, "simply_2pac_basic")
    trades = cleared("uniform", orders).trades
    assert trades.energy_wh.tolist() == [1000 * expected["pay_as_clear"]["qty"]]
    assert trades.price_microeur_per_kwh.tolist() == [2_250_000]


@pytest.mark.parametrize("name", ["midpoint", "uniform", "pay_as_bid"])
def test_auctions_reach_the_published_welfare(published: dict[str, Any], name: str) -> None:
    for case in ("pymarket_ds0", "pymarket_market_init"):
        orders, expected = case_of(published, case)
        assert welfare_nanoeur(orders, name) == expected["max_welfare"] * 10**9


@pytest.mark.parametrize("name", AUCTIONS)
def test_a_book_that_does_not_cross_trades_nothing_in_an_auction(
    published: dict[str, Any], name: str
) -> None:
    orders, _ = case_of(published, "pymarket_issue25_no_cross")
    assert cleared(name, orders).trades.size == 0


@pytest.mark.parametrize("name", ["midpoint", "uniform", "pay_as_bid"])
def test_two_identical_bids_stay_two(published: dict[str, Any], name: str) -> None:
    orders, _ = case_of(published, "lemlab_duplicate_bids")
    bids = cleared(name, book([(1, 0.2), (1, 0.2)], [(2, 0.1)]))
    assert bids.trades.energy_wh.sum() == 2000
    assert orders.size == 3


# ---------------------------------------------------------------- formulas by hand


def test_the_mid_market_rate_gives_the_payments_of_its_formula() -> None:
    """S = 6 kWh, D = 10 kWh, m = 0.175: sellers get m; buyers pay (S m + (D - S) lb) / D = 0.233."""
    found = cleared("mid_market_rate", book([(6, 0.3), (4, 0.1)], [(5, 0.3), (1, 0.1)])).trades
    assert found.energy_wh.sum() == 6000
    assert set(found.price_microeur_per_kwh) == {175_000}
    bought = [int(found.energy_wh[found.buyer == member].sum()) for member in (0, 1)]
    assert bought == [3600, 2400], "pro rata: 60 % of each buyer's 6 and 4 kWh"
    paid = bought[0] * 175_000 + (6000 - bought[0]) * RETAIL
    assert Fraction(paid, 6000) == Fraction(6 * 175_000 + 4 * RETAIL, 10)


def test_the_supply_demand_ratio_gives_the_payments_of_its_formula() -> None:
    """r = 0.6: sell = lb ls / ((lb - ls) r + ls) = 47,058.8 micro-euro; buy = sell r + lb (1 - r)."""
    found = cleared("supply_demand_ratio", book([(10, 0)], [(6, 0.3)])).trades
    exact = Fraction(RETAIL * FEED_IN) / (Fraction(RETAIL - FEED_IN) * Fraction(6, 10) + FEED_IN)
    assert found.price_microeur_per_kwh.tolist() == [round(exact)] == [47_059]
    paid = 6000 * round(exact) + 4000 * RETAIL
    buy = exact * Fraction(6, 10) + RETAIL * Fraction(4, 10)
    assert abs(Fraction(paid, 10_000) - buy) < 1


def test_with_more_supply_than_demand_the_ratio_rule_pays_feed_in() -> None:
    found = cleared("supply_demand_ratio", book([(2, 0)], [(3, 0.3), (1, 0.2)])).trades
    assert set(found.price_microeur_per_kwh) == {FEED_IN}
    assert [int(found.energy_wh[found.seller == m].sum()) for m in (1, 2)] == [1500, 500]


def test_bill_sharing_shares_the_communitys_bill_by_net_imports_over_the_period() -> None:
    """buy = lb * sum of community imports / sum of members' imports, sell likewise: each member's total."""
    run = simulator.run(
        simulator.prepare(
            make_settings(MARKET_MECHANISM="bill_sharing", CONSENSUS="none", NUM_CONSUMERS=20),
            mechanism=MECHANISMS["bill_sharing"],
        )
    )
    flows = [result.flows for result in run.steps]
    imports = sum(f.p2p_bought_wh + f.grid_import_wh for f in flows)
    exports = sum(f.p2p_sold_wh + f.grid_export_wh for f in flows)
    buy = Fraction(RETAIL * int(sum(f.grid_import_wh.sum() for f in flows)), int(imports.sum()))
    sell = Fraction(FEED_IN * int(sum(f.grid_export_wh.sum() for f in flows)), int(exports.sum()))
    reasons = (Reason.UTILITY_IMPORT, Reason.UTILITY_EXPORT, Reason.BILL_SHARING, Reason.P2P)
    paid = net_paid(run, reasons)
    for member in range(120):
        due = buy * int(imports[member]) - sell * int(exports[member])
        assert abs(int(paid[member]) - due) <= 2, f"member {member}, in nano-euro"


def test_uniform_takes_the_middle_of_the_marginal_orders() -> None:
    found = cleared(
        "uniform", book([(1, 0.30), (1, 0.20), (1, 0.10)], [(1, 0.05), (1, 0.14)])
    ).trades
    assert found.energy_wh.sum() == 2000
    assert set(found.price_microeur_per_kwh) == {170_000}


def test_pay_as_bid_charges_each_buyer_its_own_bid() -> None:
    found = cleared("pay_as_bid", book([(1, 0.30), (1, 0.20)], [(2, 0.05)])).trades
    assert found.price_microeur_per_kwh.tolist() == [300_000, 200_000]


# ---------------------------------------------------------------- what holds for every rule


@settings(max_examples=80, deadline=None)
@given(books())
def test_energy_and_money_are_conserved_and_limits_respected(orders: Orders) -> None:
    for name, rule in MECHANISMS.items():
        found = cleared(name, orders)
        trades = found.trades
        assert (trades.energy_wh > 0).all()
        for party, wanted in ((trades.buyer, ~orders.is_sale), (trades.seller, orders.is_sale)):
            sums = np.zeros(orders.size, np.int64)
            np.add.at(sums, party, trades.energy_wh)
            assert (sums <= np.where(wanted, orders.energy_wh, 0)).all(), name
        if rule.has_limits and trades.size:
            limit, price = orders.limit_microeur_per_kwh, trades.price_microeur_per_kwh
            assert (price >= limit[trades.seller]).all(), name
            assert (
                trades.amount_nanoeur + found.spread_nanoeur
                <= limit[trades.buyer] * trades.energy_wh
            ).all()


@settings(max_examples=60, deadline=None)
@given(books())
def test_sorted_rules_reach_the_welfare_of_the_linear_program(orders: Orders) -> None:
    buys, sells = np.flatnonzero(~orders.is_sale), np.flatnonzero(orders.is_sale)
    limit, energy = orders.limit_microeur_per_kwh, orders.energy_wh
    best = 0.0
    if len(buys) and len(sells):
        value = np.concatenate([-limit[buys], limit[sells]]).astype(float)
        balance = np.concatenate([np.ones(len(buys)), -np.ones(len(sells))])[None]
        bounds = [(0, e) for e in np.concatenate([energy[buys], energy[sells]])]
        best = -linprog(value, A_eq=balance, b_eq=[0], bounds=bounds, method="highs").fun
    for name in ("midpoint", "uniform", "pay_as_bid"):
        assert welfare_nanoeur(orders, name) == pytest.approx(best, abs=1)


@settings(max_examples=60, deadline=None)
@given(books())
def test_sharing_rules_trade_all_that_both_sides_have(orders: Orders) -> None:
    supply = int(orders.energy_wh[orders.is_sale].sum())
    demand = int(orders.energy_wh[~orders.is_sale].sum())
    for name in SHARING:
        assert cleared(name, orders).trades.energy_wh.sum() == min(supply, demand)


@settings(max_examples=60, deadline=None)
@given(books(), st.integers(0, 8), st.integers(1, 40))
def test_in_the_truthful_rule_no_buyer_gains_by_another_bid(
    orders: Orders, who: int, price: int
) -> None:
    """A unit buyer's gain, value less what it pays, is never larger with another bid (McAfee)."""
    unit = book(
        [(1, p / 1e6) for p in orders.limit_microeur_per_kwh[~orders.is_sale]],
        [(1, p / 1e6) for p in orders.limit_microeur_per_kwh[orders.is_sale]],
    )
    buyers = np.flatnonzero(~unit.is_sale)
    if not len(buyers):
        return
    who = int(buyers[who % len(buyers)])
    value = int(unit.limit_microeur_per_kwh[who])

    def gain(bid: int) -> int:
        limits = unit.limit_microeur_per_kwh.copy()
        limits[who] = bid
        found = cleared("huang", Orders(**{**vars(unit), "limit_microeur_per_kwh": limits}))
        mine = found.trades.buyer == who
        if not mine.any():
            return 0
        paid = found.trades.amount_nanoeur[mine].sum() + found.spread_nanoeur[mine].sum()
        return int(value * found.trades.energy_wh[mine].sum() - paid)

    assert gain(price * 10_000) <= gain(value)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.data())
def test_cutting_equally_keeps_the_sum_and_the_order(
    energies: list[int], data: st.DataObject
) -> None:
    energy = np.array(energies, np.int64)
    for total in {data.draw(st.integers(0, int(energy.sum()))), max(int(energy.sum()) - 1, 0)}:
        kept = cut_equally(energy, total)
        assert kept.sum() == total
        assert ((kept >= 0) & (kept <= energy)).all()
        cut = (energy - kept)[kept > 0]
        assert not len(cut) or cut.max() - cut.min() <= 1, "all who still trade gave up the same"


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=12), st.integers(0, 10**17))
def test_sharing_out_is_exact_in_sum_and_within_one_of_each_share(
    weights: list[int], total: int
) -> None:
    parts = share_out(total, np.array(weights, np.int64))
    if sum(weights):
        assert parts.sum() == total
        for part, weight in zip(parts.tolist(), weights, strict=True):
            assert abs(part - Fraction(total * weight, sum(weights))) < 1


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_run_under_every_rule_passes_verify_and_the_independent_checker(
    name: str, tmp_path: Path, check_results: Path
) -> None:
    import subprocess
    import sys

    from conftest import save_run

    folder = save_run(tmp_path / "results", "--set", f"MARKET_MECHANISM={name}", "--steps", "12")
    assert main.main(["verify", str(folder)]) == 0
    done = subprocess.run([sys.executable, check_results, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_spread_of_the_truthful_rule_goes_to_the_aggregator() -> None:
    run = simulator.run(
        simulator.prepare(
            make_settings(MARKET_MECHANISM="huang", CONSENSUS="none"), mechanism=MECHANISMS["huang"]
        )
    )
    payees = {
        int(payee)
        for result in run.steps
        for payee in result.transfers.payee[result.transfers.reason == Reason.AUCTION_SPREAD]
    }
    assert payees == {AGGREGATOR}


def test_what_buyers_pay_holds_the_spread_that_sellers_do_not_get(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 kWh of the best pair at the marginal bid of 0.25 and the marginal ask of 0.15 EUR/kWh."""
    book = tmp_path / "book.csv"
    rows = ("buy,a,1,0.30", "buy,b,1,0.25", "sell,c,1,0.10", "sell,d,1,0.15")
    book.write_text("\n".join(("side,participant,energy_kwh,price_eur_per_kwh", *rows)) + "\n")
    assert main.main(["clear", str(book), "--mechanism", "huang"]) == 0
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert float(told["paid_by_buyers_eur"]) == 0.25
    assert float(told["received_by_sellers_eur"]) == 0.15
    assert float(told["welfare_eur"]) == pytest.approx(0.30 - 0.10)


def test_a_rule_that_is_in_no_list_is_told_with_those_that_are() -> None:
    with pytest.raises(simulator.InputError, match="'best': extensions/mechanisms.py has midpoint"):
        mechanism_called("best")


def test_a_rule_that_was_not_handed_over_is_refused() -> None:
    """A setting that names a rule which the run would not use is a contradiction, not a detail."""
    with pytest.raises(simulator.InputError, match="MARKET_MECHANISM"):
        make_run(MARKET_MECHANISM="uniform")


def test_a_book_of_billions_is_paid_to_the_euro(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten million kWh at 950 EUR are more nano-euro than 64 bits hold."""
    book = tmp_path / "book.csv"
    lines = [f"buy,b{i},1000000,1000\nsell,s{i},1000000,900\n" for i in range(10)]
    book.write_text("side,participant,energy_kwh,price_eur_per_kwh\n" + "".join(lines))
    assert main.main(["clear", str(book)]) == 0
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert float(told["traded_kwh"]) == 1e7
    assert float(told["price_eur_per_kwh"]) == 950
    assert float(told["paid_by_buyers_eur"]) == 9.5e9
    assert float(told["welfare_eur"]) == 1e9


def test_a_large_book_is_told_to_the_nano_euro(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """999,999.999 kWh at 999.999999 EUR are 999999998.000000000001 EUR; a float has 16 digits."""
    book = tmp_path / "book.csv"
    rows = ("buy,b,999999.999,999.999999", "sell,s,999999.999,999.999999")
    book.write_text("\n".join(("side,participant,energy_kwh,price_eur_per_kwh", *rows)) + "\n")
    assert main.main(["clear", str(book)]) == 0
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    due = Decimal("999999.999") * Decimal("999.999999")
    assert told["paid_by_buyers_eur"] == told["received_by_sellers_eur"] == str(due)
