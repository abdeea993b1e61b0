"""The second reading of energy: meters, batteries, trades, orders and bans, by step and member."""

from __future__ import annotations

import numpy as np

from verify_chain import TRADE_KINDS, Transaction
from verify_folder import AGGREGATOR, FLOWS, Saved, step_name
from verify_read import NO_LIMIT, WORDS, BoolArray, Findings, IntArray, compare

BUYER, SELLER, NEUTRAL, BANNED = range(4)  # places in WORDS["role"]
P2P, LOCAL_MARKET = range(2)  # places in WORDS["trade_type"]
LEVEL_TOLERANCE_MILLIWH = 1.1  # two levels, each rounded to the last of its 6 decimals


def check_members(saved: Saved, findings: Findings) -> None:
    """All rules of energy, trades and bans on one folder."""
    check_energy(saved, findings)
    check_batteries(saved, findings)
    check_trades(saved, findings)
    check_orders(saved, findings)
    check_bans(saved, findings)
    check_clock(saved, findings)


# --------------------------------------------------------------------------- energy and batteries


def check_energy(saved: Saved, findings: Findings) -> None:
    """The energy law of each meter in each step, and what flows there can be."""
    e = saved.energy
    gained = e["pv_wh"] + e["battery_discharge_wh"] + e["p2p_bought_wh"] + e["market_bought_wh"]
    gained = gained + e["grid_import_wh"]
    used = e["load_wh"] + e["battery_charge_wh"] + e["p2p_sold_wh"] + e["market_sold_wh"]
    used = used + e["grid_export_wh"] + e["curtailed_wh"]
    findings.rows(
        gained != used,
        "energy law",
        saved.row_name,
        lambda i: f"in {gained[i]} Wh, out {used[i]} Wh",
    )
    for name in FLOWS:
        findings.rows(
            e[name] < 0, "negative flow", saved.row_name, lambda i: f"{name} is {e[name][i]}"
        )
    renewable = np.minimum(e["pv_wh"], e["load_wh"] + e["battery_charge_wh"])
    compare(findings, "renewable_used", saved.row_name, "Wh", e["renewable_used_wh"], renewable)
    kinds = np.array([member.kind for member in saved.members])
    sunless, loadless = (
        np.tile(kinds != "prosumer", saved.steps),
        np.tile(kinds == "storage", saved.steps),
    )
    wrong = (sunless & (e["pv_wh"] != 0)) | (loadless & (e["load_wh"] != 0))
    findings.rows(
        wrong, "kind", saved.row_name, lambda i: "a consumer has no PV, a storage no PV and no load"
    )
    rank = {"prosumer": 0, "consumer": 1, "storage": 2}
    ranks = [rank[member.kind] for member in saved.members]
    if ranks != sorted(ranks):
        findings.add(
            "prosumers.json", "kind", "members are prosumers, then consumers, then storage"
        )


def check_batteries(saved: Saved, findings: Findings) -> None:
    """level(t) = level(t-1) + charge*eta - discharge/eta, within the permitted state of charge."""
    e, s, n = saved.energy, saved.settings, len(saved.members)
    charge, discharge = e["battery_charge_wh"], e["battery_discharge_wh"]
    both = (charge > 0) & (discharge > 0)
    findings.rows(
        both,
        "charge and discharge at once",
        saved.row_name,
        lambda i: f"{charge[i]}, {discharge[i]} Wh",
    )
    capacity = np.tile([member.capacity_kwh * 1e6 for member in saved.members], saved.steps)
    initial = np.array([member.initial_kwh * 1e6 for member in saved.members])
    level = e["battery_level_milliwh"].astype(np.float64)
    before = np.concatenate([initial, level])[: len(level)]
    expected = before + charge * 1000.0 * s.efficiency - discharge * 1000.0 / s.efficiency
    slack = LEVEL_TOLERANCE_MILLIWH + 1e-12 * capacity
    findings.rows(
        np.abs(level - expected) > slack,
        "battery law",
        saved.row_name,
        lambda i: f"level {level[i] / 1e6:.6f} kWh, expected {expected[i] / 1e6:.6f}",
    )
    findings.rows(
        (level < s.min_soc * capacity - slack) | (level > s.max_soc * capacity + slack),
        "battery bounds",
        saved.row_name,
        lambda i: f"level {level[i] / 1e6:.6f} of {capacity[i] / 1e6:.6f} kWh",
    )
    outside = (initial < s.min_soc * capacity[:n] - slack[:n]) | (
        initial > s.max_soc * capacity[:n] + slack[:n]
    )
    findings.rows(
        outside,
        "battery bounds",
        "member {}".format,
        lambda i: "initial_level_kwh is out of bounds",
    )
    soc = np.divide(level * 1e4, capacity, out=np.zeros_like(level), where=capacity > 0)
    findings.rows(
        np.abs(e["battery_soc_e4"] - soc)
        > 0.51 + np.divide(1e4, capacity, out=soc * 0, where=capacity > 0),
        "battery_soc",
        saved.row_name,
        lambda i: f"{e['battery_soc_e4'][i] / 1e4:.4f}, expected {soc[i] / 1e4:.4f}",
    )


# ---------------------------------------------------------------------- trades, orders and bans


def transactions(saved: Saved) -> list[Transaction]:
    """The rows of all_trades.csv as the transactions that the chain must hold, in order."""
    trades = saved.trades
    kind = np.array([*TRADE_KINDS.values(), 0])[trades["trade_type"]]  # an unknown word is kind 0
    names = ("timestep", "trade_id", "buyer_id", "seller_id", "energy_wh", "price_microeur_per_kwh")
    return list(
        zip(trades.texts["tx_id"], kind.tolist(), *(trades[name].tolist() for name in names))
    )


def check_trades(saved: Saved, findings: Findings) -> None:
    """Each trade for itself: number, order, parties, amount, and its place on the chain."""
    trades, name = saved.trades, "trade {}".format
    buyer, seller, step = trades["buyer_id"], trades["seller_id"], trades["timestep"]
    energy, price = trades["energy_wh"], trades["price_microeur_per_kwh"]
    compare(findings, "trade ids", name, "trade_id", trades["trade_id"], np.arange(trades.rows))
    backwards = np.concatenate([[False], np.diff(step) < 0])[: trades.rows]
    findings.rows(
        backwards, "trade order", name, lambda i: f"step {step[i]} after step {step[i - 1]}"
    )
    outside = (step < 0) | (step >= saved.steps)
    findings.rows(outside, "rows", name, lambda i: f"step {step[i]} of {saved.steps}")
    findings.rows(energy <= 0, "empty trade", name, lambda i: f"energy is {energy[i]} Wh")
    findings.rows(
        price < 0, "negative price", name, lambda i: f"price is {price[i]} micro-euro per kWh"
    )
    compare(findings, "amount", name, "nano-euro", trades["amount_nanoeur"], energy * price)
    p2p, market = trades["trade_type"] == P2P, trades["trade_type"] == LOCAL_MARKET
    n = len(saved.members)
    members = ((buyer >= 0) & (buyer < n)).astype(int) + ((seller >= 0) & (seller < n))
    aggregators = (buyer == AGGREGATOR).astype(int) + (seller == AGGREGATOR)
    wrong = (members + aggregators != 2) | (buyer == seller) | (aggregators != market)
    findings.rows(wrong, "parties", name, lambda i: f"buyer {buyer[i]}, seller {seller[i]}")
    check_prices(saved, findings, p2p & ~wrong & ~outside, market & ~wrong & ~outside)
    check_placing(saved, findings)


def check_prices(saved: Saved, findings: Findings, p2p: IntArray, market: IntArray) -> None:
    """Neighbours trade within both limits, the local market at the price of the step."""
    trades, n = saved.trades, len(saved.members)
    limit = saved.trading["limit_price_microeur_per_kwh"]
    price = trades["price_microeur_per_kwh"]
    for side, beyond in (("buyer", np.greater), ("seller", np.less)):
        row = np.where(p2p, trades["timestep"] * n + trades[f"{side}_id"], 0)
        own = limit[row]
        wrong = p2p & (own != NO_LIMIT) & beyond(price, own)
        findings.rows(
            wrong,
            "price limit",
            "trade {}".format,
            lambda i: f"price {price[i]}, {side}'s limit {own[i]}",
        )
    step = np.where(market, trades["timestep"], 0)
    sold = trades["buyer_id"] == AGGREGATOR
    due = np.where(
        sold,
        saved.community["market_sell_price_microeur_per_kwh"][step],
        saved.community["market_buy_price_microeur_per_kwh"][step],
    )
    wrong = market & (price != due)
    findings.rows(
        wrong, "market price", "trade {}".format, lambda i: f"price {price[i]}, expected {due[i]}"
    )


def check_placing(saved: Saved, findings: Findings) -> None:
    """block_height follows from the trades before; without ledger it is -1 and tx_id is empty."""
    trades, size = saved.trades, saved.settings.chain.block_size
    if saved.chain is None:
        placed = (trades["block_height"] != -1) | np.array(
            [text != "" for text in trades.texts["tx_id"]], bool
        )
        findings.rows(placed, "no ledger", "trade {}".format, lambda i: "has a place on a chain")
        return
    steps, first, count = np.unique(trades["timestep"], return_index=True, return_counts=True)
    blocks = -(-count // size)
    of_trade = np.searchsorted(steps, trades["timestep"])
    within = np.arange(trades.rows) - first[of_trade]
    due = 1 + (np.cumsum(blocks) - blocks)[of_trade] + within // size
    compare(
        findings, "block height", "trade {}".format, "block_height", trades["block_height"], due
    )


def check_orders(saved: Saved, findings: Findings) -> None:
    """Flows are sums of trades; roles, orders and the trade cap allow what was traded."""
    e, o = saved.energy, saved.trading
    sums, counts = traded(saved)
    for name, total in sums.items():
        compare(findings, "trades and flows", saved.row_name, name, e[name], total)
    p2p, market = e["p2p_bought_wh"] + e["p2p_sold_wh"], e["market_bought_wh"] + e["market_sold_wh"]
    bought, sold = (
        e["p2p_bought_wh"] + e["market_bought_wh"],
        e["p2p_sold_wh"] + e["market_sold_wh"],
    )
    for name, value in (("p2p_wh", p2p), ("p2p_trades", counts), ("market_wh", market)):
        compare(findings, "prosumer_trading", saved.row_name, name, o[name], value)
    role, order, energy = o["role"], o["order_wh"], p2p + market

    def words(i: int) -> str:
        return f"{WORDS['role'][role[i]]} with an order of {order[i]} Wh bought {bought[i]}, sold {sold[i]} Wh"

    no_order = (role == NEUTRAL) | (role == BANNED)
    limit = o["limit_price_microeur_per_kwh"]
    wrong = (no_order & ((order != 0) | (limit != NO_LIMIT))) | (~no_order & (order <= 0))
    wrong |= ((role == BUYER) & (sold != 0)) | ((role == SELLER) & (bought != 0))
    findings.rows(wrong, "role", saved.row_name, words)
    findings.rows(energy > np.maximum(order, 0), "traded above order", saved.row_name, words)
    banned = o["is_banned"] == 1
    findings.rows(banned != (role == BANNED), "role and ban", saved.row_name, words)
    findings.rows(banned & (energy != 0), "banned member", saved.row_name, words)
    cap = saved.settings.trade_cap_wh
    findings.rows(
        energy > cap, "trade cap", saved.row_name, lambda i: f"{energy[i]} Wh traded, at most {cap}"
    )


def traded(saved: Saved) -> tuple[dict[str, IntArray], IntArray]:
    """By step and member: Wh bought and sold in each market, and the number of P2P trades."""
    trades, n, size = saved.trades, len(saved.members), saved.steps * len(saved.members)
    names = [(market, side) for market in ("p2p", "market") for side in ("bought", "sold")]
    sums = {f"{market}_{side}_wh": np.zeros(size, np.int64) for market, side in names}
    counts = np.zeros(size, np.int64)
    for side, party in (("bought", trades["buyer_id"]), ("sold", trades["seller_id"])):
        for kind, market in ((P2P, "p2p"), (LOCAL_MARKET, "market")):
            mine = saved.sound_trades & (party >= 0) & (trades["trade_type"] == kind)
            row = trades["timestep"][mine] * n + party[mine]
            np.add.at(sums[f"{market}_{side}_wh"], row, trades["energy_wh"][mine])
            if kind == P2P:
                np.add.at(counts, row, 1)
    return sums, counts


def check_bans(saved: Saved, findings: Findings) -> None:
    """A ban in force is one that the step before left; it counts down by one, and has a reason."""
    a, n = saved.actions, len(saved.members)
    left, banned = a["ban_steps_left"], a["is_banned"]
    before = np.concatenate([np.zeros(n, np.int64), left])[: len(left)]
    name = saved.row_name
    compare(findings, "ban in force", name, "is_banned", banned, (before > 0).astype(np.int64))
    compare(
        findings,
        "ban in force",
        name,
        "prosumer_trading: is_banned",
        saved.trading["is_banned"],
        banned,
    )
    findings.rows(left < 0, "ban countdown", name, lambda i: f"ban_steps_left is {left[i]}")
    wrong = (before > 0) & (left != before - 1)
    findings.rows(
        wrong,
        "ban countdown",
        name,
        lambda i: f"{left[i]} steps left, {before[i]} before this step",
    )
    reason = a["ban_reason"] == 1
    wrong = ((left > 0) & ~reason) | (reason & (left == 0) & (banned == 0))
    findings.rows(
        wrong,
        "ban reason",
        name,
        lambda i: f"{left[i]} steps left, reason given: {bool(reason[i])}",
    )


def check_clock(saved: Saved, findings: Findings) -> None:
    """Every file gives a step the same hour of the day."""
    hour, n = saved.community["hour"], len(saved.members)
    findings.rows((hour < 0) | (hour > 23), "hour", step_name, lambda t: f"hour is {hour[t]}")
    for file, table in (
        ("prosumer_energy", saved.energy),
        ("prosumer_trading", saved.trading),
        ("regulator_actions", saved.actions),
    ):
        compare(
            findings, "hour", saved.row_name, f"{file}: hour", table["hour"], np.repeat(hour, n)
        )
    step = np.clip(saved.trades["timestep"], 0, saved.steps - 1)
    compare(findings, "hour", "trade {}".format, "hour", saved.trades["hour"], hour[step])
