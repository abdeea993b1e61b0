"""The second reading of the market between neighbours: whom a rule serves first, and how much of it."""

from __future__ import annotations

from functools import partial

import numpy as np

from verification.findings import BoolArray, Findings, IntArray, show
from verification.folder import AGGREGATOR, Saved, step_name
from verification.limits import check_limits
from verification.params import AUCTIONS, EVERY_RULE, SHARING
from verification.prices import check_prices, limits_of, limits_of_side
from verification.tables import BUYER, LOCAL_MARKET, NO_LIMIT, P2P, SELLER


def check_market_rule(saved: Saved, findings: Findings) -> None:
    """Limits, queues and prices are those that MARKET_MECHANISM makes of the orders."""
    mechanism = saved.settings.mechanism
    if not saved.settings.ours:
        return
    if mechanism not in EVERY_RULE:
        words = f"MARKET_MECHANISM is {show(mechanism)}, expected one of {', '.join(EVERY_RULE)}"
        findings.add("params.json", "market rule", words)
        return
    check_limits(saved, findings)
    p2p = saved.sound_trades & (saved.trades["trade_type"] == P2P)
    rows = np.flatnonzero(p2p & (saved.trades["buyer_id"] >= 0) & (saved.trades["seller_id"] >= 0))
    check_pairs(saved, rows, mechanism in AUCTIONS, findings)
    check_neighbours_first(saved, findings)
    if mechanism in AUCTIONS:
        check_queue_of_market(saved, findings)
    if mechanism == "huang":
        check_reduction(saved, findings)
        check_equal_cut(saved, findings)
    elif mechanism in AUCTIONS:
        check_priority(saved, findings)
    if mechanism in SHARING:
        check_pro_rata(saved, findings)
    check_prices(saved, rows, findings)


def check_priority(saved: Saved, findings: Findings) -> None:
    """The best orders are served first, one after the other, and no two are left that would have agreed."""
    o, e = saved.trading, saved.energy
    limit, beyond = o["limit_price_microeur_per_kwh"], np.iinfo(np.int64).max
    traded = e["p2p_bought_wh"] + e["p2p_sold_wh"]
    left = o["order_wh"] > traded

    def best(role: int, chosen: BoolArray, worst: bool = False) -> IntArray:
        """The best (or worst) limit of each step (T) among these orders, seen as a price to pay."""
        bids = role == BUYER
        fill = -1 if bids != worst else beyond
        column = np.where((o["role"] == role) & chosen & (limit != NO_LIMIT), limit, fill)
        by_step = column.reshape(saved.steps, len(saved.members))
        return np.asarray(by_step.max(axis=1) if bids != worst else by_step.min(axis=1))

    bid, ask = best(BUYER, left), best(SELLER, left)
    words = "a bid of {} and an ask of {} were left, although they agree"
    findings.rows((bid >= ask) & (bid >= 0), "priority", step_name, words, bid, ask)
    served = best(BUYER, e["p2p_bought_wh"] > 0, worst=True)
    words = "a bid of {} was served, one of {} was left"
    findings.rows(served < bid, "priority", step_name, words, served, bid)
    served = best(SELLER, e["p2p_sold_wh"] > 0, worst=True)
    words = "an ask of {} was served, one of {} was left"
    findings.rows(served > ask, "priority", step_name, words, served, ask)
    parts = saved.per_step(left & (traded > 0))
    words = "{} orders were served in part, only one at the crossing can be"
    findings.rows(parts > 1, "priority", step_name, words, parts)


def check_reduction(saved: Saved, findings: Findings) -> None:
    """Under huang as much is traded as the orders before the pair that sets the prices have on both sides."""
    due, traded = saved.reduction, saved.per_step(saved.energy["p2p_bought_wh"])
    wrong = (traded < due.least_wh) | (traded > due.most_wh)
    words = "{} Wh traded, the orders before the pair at the crossing make it {} to {} Wh"
    findings.rows(wrong, "priority", step_name, words, traded, due.least_wh, due.most_wh)


def check_pairs(saved: Saved, rows: IntArray, by_limit: bool, findings: Findings) -> None:
    """Two queues are served side by side: whoever was served once has had its turn (`rows` of trades).

    Those of an auction are ordered by limit: bids fall, asks rise.
    """
    step, place = saved.trades["timestep"][rows], partial(trade_of, saved, rows)
    again = follows(step)
    buyer, seller = saved.trades["buyer_id"][rows], saved.trades["seller_id"][rows]
    split = follows(step, buyer, seller)
    words = "buyer {} and seller {} have traded in this step before"
    findings.rows(split, "pairs", place, words, buyer, seller)
    for side, party, sign in (("buyer", buyer, -1), ("seller", seller, 1)):
        returns = repeated(step, party) & ~follows(step, party)
        findings.rows(returns, "pairs", place, side + " {} was served before", party)
        if by_limit:
            limit = limits_of_side(saved, rows, side)
            before = np.concatenate([limit[:1], limit[:-1]])
            wrong = again & (sign * limit < sign * before)
            words = f"the {side} with a limit of {{}} comes after one with {{}}"
            findings.rows(wrong, "pairs", place, words, limit, before)


def check_neighbours_first(saved: Saved, findings: Findings) -> None:
    """The trades of a step between neighbours stand before those with the aggregator."""
    rows = np.flatnonzero(saved.sound_trades)
    step, kind = saved.trades["timestep"][rows], saved.trades["trade_type"][rows]
    late = follows(step)
    late[1:] &= kind[1:] < kind[:-1]
    words = "trade between neighbours {} and {} after one with the local market"
    parties = (saved.trades[side][rows] for side in ("seller_id", "buyer_id"))
    findings.rows(late, "pairs", partial(trade_of, saved, rows), words, *parties)


def check_queue_of_market(saved: Saved, findings: Findings) -> None:
    """In the local market buyers come first, the dearest bid of them, then sellers; each of them once."""
    trades = saved.trades
    rows = np.flatnonzero(saved.sound_trades & (trades["trade_type"] == LOCAL_MARKET))
    step, sale = trades["timestep"][rows], (trades["buyer_id"][rows] == AGGREGATOR) * 1
    party = np.where(sale == 1, trades["seller_id"][rows], trades["buyer_id"][rows])
    limit = limits_of(saved, rows, np.maximum(party, 0))
    rank = np.where(sale == 1, limit, -limit)
    before = np.zeros(len(rows), np.bool_)
    before[1:] = (sale[1:] < sale[:-1]) | ((sale[1:] == sale[:-1]) & (rank[1:] < rank[:-1]))
    place, words = partial(trade_of, saved, rows), "member {} comes after one whose turn is later"
    findings.rows(follows(step) & before, "pairs", place, words, party)
    findings.rows(repeated(step, party), "pairs", place, "member {} was served before", party)


def follows(*columns: IntArray) -> BoolArray:
    """Which rows say in all these columns what the row before them says."""
    same = np.zeros(len(columns[0]), np.bool_)
    same[1:] = np.all([column[1:] == column[:-1] for column in columns], axis=0)
    return same


def repeated(step: IntArray, party: IntArray) -> BoolArray:
    """Which rows name a party that stood in an earlier row of the same step."""
    again = np.ones(len(step), np.bool_)
    _, first = np.unique(2**32 * step + party, return_index=True)
    again[first] = False
    return again


def trade_of(saved: Saved, rows: IntArray, k: int) -> str:
    return saved.trade_name(int(rows[k]))


def check_pro_rata(saved: Saved, findings: Findings) -> None:
    """As much is traded as both sides have; on the longer side everybody trades the same share."""
    o, e, n = saved.trading, saved.energy, len(saved.members)
    sides = {"bought": o["role"] == BUYER, "sold": o["role"] == SELLER}
    whole = {way: saved.per_step(np.where(mine, o["order_wh"], 0)) for way, mine in sides.items()}
    traded = np.minimum(whole["bought"], whole["sold"])
    for way, mine in sides.items():
        wh = e[f"p2p_{way}_wh"]
        got, words = saved.per_step(wh), f"{{}} Wh {way}, both sides have {{}} Wh"
        findings.rows(got != traded, "pro rata", step_name, words, got, traded)
        share = np.divide(traded, whole[way], out=np.zeros(saved.steps), where=whole[way] > 0)
        due = np.where(mine, o["order_wh"], 0) * np.repeat(share, n)
        words = f"{{}} Wh {way}, its share is {{:.1f}} Wh"
        findings.rows(np.abs(wh - due) > 1 + 1e-6, "pro rata", saved.row_name, words, wh, due)


def check_equal_cut(saved: Saved, findings: Findings) -> None:
    """Under huang all orders before the pair at the crossing trade, on the longer side less the same amount, to the Wh;

    of those after it nobody does, and of those at its limits one stays.
    """
    o, e, due, beyond = saved.trading, saved.energy, saved.reduction, np.iinfo(np.int64).max
    limit, n, cuts = o["limit_price_microeur_per_kwh"], len(saved.members), []
    any_trade = saved.per_step(e["p2p_bought_wh"]) > 0
    for role, way, sign, price in ((BUYER, "bought", 1, due.bid), (SELLER, "sold", -1, due.ask)):
        wh, mine = e[f"p2p_{way}_wh"], o["role"] == role
        served, cut = mine & (wh > 0), o["order_wh"] - wh
        ahead = sign * (limit - np.repeat(price, n))
        least = np.where(served, cut, beyond).reshape(saved.steps, n).min(axis=1)
        cuts.append(np.where(least == beyond, 0, least))
        least = np.repeat(cuts[-1], n)
        passed = mine & ~served & (ahead > 0) & (limit != NO_LIMIT) & np.repeat(any_trade, n)
        wrong = (served & ((cut > least + 1) | (ahead < 0))) | (
            passed & (o["order_wh"] > least + 1)
        )
        words = f"order of {{}} Wh, {way} {{}} Wh, others were cut by {{}} Wh"
        findings.rows(wrong, "equal cut", saved.row_name, words, o["order_wh"], wh, least)
        whole = saved.per_step(np.where(served, o["order_wh"], 0))
        words = f"orders of {{}} Wh {way} in part or whole, those at the crossing end at {{}} Wh"
        far = any_trade & (whole >= due.met_wh)
        findings.rows(far, "equal cut", step_name, words, whole, due.met_wh)
        stays = saved.per_step(mine & (ahead == 0) & ~served)
        words = f"all orders at {{}} micro-euro per kWh {way}, the one at the crossing too"
        findings.rows(any_trade & (stays == 0), "equal cut", step_name, words, price)
    words = "buyers were cut by {} Wh each, and sellers by {} Wh"
    findings.rows((cuts[0] > 0) & (cuts[1] > 0), "equal cut", step_name, words, *cuts)
