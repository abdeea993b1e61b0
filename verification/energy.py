"""The second reading of energy: meters, batteries and trades, by step and member."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verification.findings import Findings, FloatArray, show
from verification.folder import (
    AGGREGATOR,
    BUY_PRICE,
    ENERGY,
    SELL_PRICE,
    Saved,
    step_before,
    step_name,
)
from verification.tables import LOCAL_MARKET, NO_LIMIT, P2P, unit_of

FLOWS = tuple(unit for unit, _ in map(unit_of, ENERGY.split(",")) if unit.endswith("_wh"))
LEVEL_TOLERANCE_MILLIWH = 1.1  # two levels, each rounded to the last of its 6 decimals


def check_energy(saved: Saved, findings: Findings) -> None:
    """All rules of energy and trades on one folder."""
    check_meters(saved, findings)
    check_kinds(saved, findings)
    check_batteries(saved, findings)
    check_trades(saved, findings)
    check_limits_kept(saved, findings)
    check_heights(saved, findings)
    check_flows(saved, findings)
    check_hours(saved, findings)


# --------------------------------------------------------------------------- meters and batteries


def check_meters(saved: Saved, findings: Findings) -> None:
    """The energy law at each meter in each step; nothing flows backwards."""
    e, name = saved.energy, saved.row_name
    gained = e["pv_wh"] + e["battery_discharge_wh"] + e["p2p_bought_wh"]
    gained = gained + e["market_bought_wh"] + e["grid_import_wh"]
    used = e["load_wh"] + e["battery_charge_wh"] + e["p2p_sold_wh"] + e["market_sold_wh"]
    used = used + e["grid_export_wh"] + e["curtailed_wh"]
    findings.rows(gained != used, "energy law", name, "in {} Wh, out {} Wh", gained, used)
    for flow in FLOWS:
        findings.rows(e[flow] < 0, "negative flow", name, flow + " is {}", e[flow])
    renewable = np.minimum(e["pv_wh"], e["load_wh"] + e["battery_charge_wh"])
    findings.compare("renewable_used", name, "Wh", e["renewable_used_wh"], renewable)


def check_kinds(saved: Saved, findings: Findings) -> None:
    """Consumers have no PV, a storage no load either; members stand in order of their kinds."""
    kinds = [("prosumer", "consumer", "storage").index(member.kind) for member in saved.members]
    if kinds != sorted(kinds):
        detail = "members must be prosumers, then consumers, then storage"
        findings.add("prosumers.json", "kind", detail)
    kind = np.tile(np.array(kinds), saved.steps)
    pv, load = saved.energy["pv_wh"], saved.energy["load_wh"]
    findings.rows((kind > 0) & (pv != 0), "kind", saved.row_name, "no prosumer, but PV {} Wh", pv)
    wrong = (kind == 2) & (load != 0)
    findings.rows(wrong, "kind", saved.row_name, "a storage, but load {} Wh", load)


@np.errstate(over="ignore", invalid="ignore")  # of capacities that no battery has
def check_batteries(saved: Saved, findings: Findings) -> None:
    """level(t) = level(t-1) + charge*eta - discharge/eta, within the permitted state of charge.

    Our own runs round what they tell and not what they reckon with, so there the flows of all steps so far
    make the level too: no step may drift by what rounding hides.
    """
    e, s, name = saved.energy, saved.settings, saved.row_name
    charge, discharge = e["battery_charge_wh"], e["battery_discharge_wh"]
    both = (charge > 0) & (discharge > 0)
    findings.rows(both, "charge and discharge", name, "{} and {} Wh at once", charge, discharge)
    capacity = np.array([member.capacity_kwh * 1e6 for member in saved.members])  # milli-Wh
    initial = np.array([member.initial_kwh * 1e6 for member in saved.members])
    check_bounds(saved, initial, capacity, "member {}, before step 0".format, findings)
    capacity = np.tile(capacity, saved.steps)
    level = e["battery_level_milliwh"].astype(np.float64)
    check_bounds(saved, level, capacity, name, findings)
    change = charge * 1000.0 * s.efficiency - discharge * 1000.0 / s.efficiency
    since_before = step_before(level, initial) + change
    since_start = (initial + np.cumsum(change.reshape(saved.steps, -1), axis=0)).ravel()
    room = LEVEL_TOLERANCE_MILLIWH * (capacity > 0) + 1e-12 * capacity
    wrong, far = np.abs(level - since_before) > room, np.abs(level - since_start) > room
    due = np.where(wrong, since_before, since_start)
    wrong |= far & s.ours
    words = "level {:.6f} kWh, expected {:.6f}"
    findings.rows(wrong, "battery law", name, words, level / 1e6, due / 1e6)
    share = 1e4 * np.divide(level, capacity, out=np.zeros_like(level), where=capacity > 0)
    soc = e["battery_soc_e4"]  # of level and capacity before both were rounded to a milli-Wh
    rounding = np.divide(5000 + share / 2, capacity, out=np.zeros_like(level), where=capacity > 0)
    wrong = np.abs(soc - share) > rounding + 0.5001 * (capacity > 0)
    findings.rows(wrong, "battery_soc", name, "{} ten-thousandths, expected {:.1f}", soc, share)


def check_bounds(
    saved: Saved,
    level: FloatArray,
    capacity: FloatArray,
    name: Callable[[int], str],
    findings: Findings,
) -> None:
    """Levels (milli-Wh) stay within the permitted state of charge."""
    low, high = saved.settings.min_soc * capacity, saved.settings.max_soc * capacity
    slack = LEVEL_TOLERANCE_MILLIWH + 1e-12 * capacity
    wrong = (level < low - slack) | (level > high + slack)
    words = "level {:.6f} kWh, expected {:.6f} to {:.6f}"
    findings.rows(wrong, "battery bounds", name, words, level / 1e6, low / 1e6, high / 1e6)


# ---------------------------------------------------------------------------------------- trades


def check_trades(saved: Saved, findings: Findings) -> None:
    """Each trade for itself: number, step, parties, amount."""
    trades, n = saved.trades, len(saved.members)
    buyer, seller, step = trades["buyer_id"], trades["seller_id"], trades["timestep"]
    energy, price = trades["energy_wh"], trades["price_microeur_per_kwh"]
    row = np.arange(trades.rows)
    findings.compare("trade ids", saved.trade_name, "trade_id", trades["trade_id"], row)
    before = np.concatenate([step[:1], step[:-1]])
    words = "step {} after step {}"
    findings.rows(step < before, "trade order", saved.trade_name, words, step, before)
    outside = (step < 0) | (step >= saved.steps)
    findings.rows(outside, "rows", saved.trade_name, "there is no step {}", step)
    findings.rows(energy <= 0, "empty trade", saved.trade_name, "energy is {} Wh", energy)
    findings.rows(price < 0, "negative price", saved.trade_name, "{} micro-euro per kWh", price)
    findings.compare(
        "amount", saved.trade_name, "nano-euro", trades["amount_nanoeur"], energy * price
    )
    for side, party in (("buyer", buyer), ("seller", seller)):
        unknown = (party < AGGREGATOR) | (party >= n)
        findings.rows(unknown, "unknown party", saved.trade_name, side + " is {}", party)
    aggregators = (buyer == AGGREGATOR).astype(np.int64) + (seller == AGGREGATOR)
    wrong = (buyer == seller) | (aggregators != (trades["trade_type"] == LOCAL_MARKET))
    findings.rows(wrong, "parties", saved.trade_name, "buyer {}, seller {}", buyer, seller)


def check_limits_kept(saved: Saved, findings: Findings) -> None:
    """Neighbours trade within both limits, the local market at the price of the step."""
    trades, n = saved.trades, len(saved.members)
    price, sound = trades["price_microeur_per_kwh"], saved.sound_trades
    step = np.where(sound, trades["timestep"], 0)
    limits = saved.trading["limit_price_microeur_per_kwh"]
    for side, beyond in (("buyer", np.greater), ("seller", np.less)):
        party = trades[f"{side}_id"]
        own = limits[np.where(sound & (party >= 0), step * n + party, 0)]
        of_member = sound & (party >= 0) & (trades["trade_type"] == P2P) & (own != NO_LIMIT)
        words = f"price {{}}, limit of the {side} {{}}"
        findings.rows(
            of_member & beyond(price, own), "price limit", saved.trade_name, words, price, own
        )
    sell, buy = saved.community[SELL_PRICE][step], saved.community[BUY_PRICE][step]
    due = np.where(trades["buyer_id"] == AGGREGATOR, sell, buy)
    wrong = sound & (trades["trade_type"] == LOCAL_MARKET) & (price != due)
    findings.rows(wrong, "market price", saved.trade_name, "price {}, expected {}", price, due)


def check_heights(saved: Saved, findings: Findings) -> None:
    """block_height follows from the trades before; without ledger it is -1 and tx_id is empty."""
    trades, size = saved.trades, saved.settings.chain.block_size
    height = trades["block_height"]
    if saved.chain is None:
        tx_ids = np.array([show(trades.tx_ids[row]) for row in range(trades.rows)], object)
        on_chain = (height != -1) | (tx_ids != "''")
        words = "block_height is {}, tx_id is {}"
        findings.rows(on_chain, "no ledger", saved.trade_name, words, height, tx_ids)
        return
    steps, first, count = np.unique(trades["timestep"], return_index=True, return_counts=True)
    blocks = -(-count // size)
    of_trade = np.searchsorted(steps, trades["timestep"])
    earlier = (np.cumsum(blocks) - blocks)[of_trade]
    due = 1 + earlier + (np.arange(trades.rows) - first[of_trade]) // size
    findings.compare("block height", saved.trade_name, "block_height", height, due)


# ----------------------------------------------------------------------------- flows and the clock


def check_flows(saved: Saved, findings: Findings) -> None:
    """What a member bought and sold is the sum of its trades."""
    trades, n, e, o = saved.trades, len(saved.members), saved.energy, saved.trading
    counts = np.zeros(saved.steps * n, np.int64)
    for kind, market in ((P2P, "p2p"), (LOCAL_MARKET, "market")):
        for side, party in (("bought", trades["buyer_id"]), ("sold", trades["seller_id"])):
            mine = saved.sound_trades & (party >= 0) & (trades["trade_type"] == kind)
            row = trades["timestep"][mine] * n + party[mine]
            total = np.zeros_like(counts)
            np.add.at(total, row, trades["energy_wh"][mine])
            np.add.at(counts, row, kind == P2P)
            flow = f"{market}_{side}_wh"
            findings.compare("trades and flows", saved.row_name, flow, e[flow], total)
        told = e[f"{market}_bought_wh"] + e[f"{market}_sold_wh"]
        findings.compare(
            "prosumer_trading", saved.row_name, f"{market}_wh", o[f"{market}_wh"], told
        )
    findings.compare("prosumer_trading", saved.row_name, "p2p_trades", o["p2p_trades"], counts)


def check_hours(saved: Saved, findings: Findings) -> None:
    """Every file gives a step the same hour of the day."""
    hour, n = saved.community["hour"], len(saved.members)
    findings.rows((hour < 0) | (hour > 23), "hour", step_name, "hour is {}", hour)
    for table in (saved.energy, saved.trading, saved.actions):
        findings.compare("hour", saved.row_name, "hour", table["hour"], np.repeat(hour, n))
    trades = saved.trades
    due = hour[np.clip(trades["timestep"], 0, saved.steps - 1)]
    findings.compare("hour", saved.trade_name, "hour", trades["hour"], due)
