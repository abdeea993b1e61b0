"""The second reading of a folder against its scenario: what params.json promises beyond the laws.

Who takes part, what batteries hold, what energy costs outside, which levers an objective may set, how
the market rule makes a price. A rule applies where params.json holds the settings that it refers to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verification.columns import NO_LIMIT
from verification.energy import BUYER, P2P, SELLER
from verification.findings import BoolArray, Findings, IntArray, show
from verification.folder import Saved, step_name
from verification.read import is_number

AUCTIONS = ("midpoint", "uniform", "pay_as_bid", "huang")
MECHANISMS = (*AUCTIONS, "mid_market_rate", "supply_demand_ratio", "bill_sharing", "none")
LEVERS = {
    "RENEWABLE_BONUS": "renewable_bonus",
    "P2P_BONUS": "p2p_bonus",
    "PENALTY_FOR_MARKET": "market_penalty",
}
OBJECTIVES = ("maximize_renewable", "maximize_profit", "maximize_p2p", "chaos")
DOUBLED = {"maximize_p2p": ("p2p_bonus", "market_penalty")}
"""Money levers that an objective sets to twice their setting; chaos draws up to that."""
ROUNDED_WH = 1
MARKET_PRICE = "market_price_microeur_per_kwh"


def check_scenario(saved: Saved, findings: Findings) -> None:
    """All rules that follow from the settings of this very run."""
    check_number_of_members(saved, findings)
    check_equipment(saved, findings)
    check_battery_power(saved, findings)
    check_synthetic_day(saved, findings)
    check_meters_and_orders(saved, findings)
    check_outside_prices(saved, findings)
    check_levers(saved, findings)
    check_length_of_bans(saved, findings)
    check_market_rule(saved, findings)


# ------------------------------------------------------------------------------ what is promised


def inputs(saved: Saved, name: str) -> bool:
    """Whether the run took this file: data, members or prices."""
    given = saved.settings.told.get("inputs")
    return type(given) is dict and name in given


def number(saved: Saved, name: str) -> float | None:
    """A setting that is a number, None where it is not there."""
    value = saved.settings.told.get(name)
    return float(value) if is_number(value) else None


def all_numbers(saved: Saved, *names: str) -> list[float]:
    """These settings, or nothing unless all of them are there and numbers."""
    values = [number(saved, name) for name in names]
    return [] if None in values else [value or 0.0 for value in values]


def numbers(saved: Saved, name: str) -> list[float]:
    """A setting that is a list of numbers, empty where it is not there."""
    value = saved.settings.told.get(name)
    if type(value) is not list or not all(map(is_number, value)):
        return []
    return [float(one) for one in value]


def microeur(euro: float) -> int:
    return round(euro * 10**6)


# ------------------------------------------------------------------------- members and equipment


def check_number_of_members(saved: Saved, findings: Findings) -> None:
    """As many prosumers and consumers as the settings say; a data file writes its own numbers there."""
    kinds = [member.kind for member in saved.members]
    for name, kind in (("NUM_PROSUMERS", "prosumer"), ("NUM_CONSUMERS", "consumer")):
        due = saved.settings.told.get(name)
        if type(due) is int:
            findings.differ(
                "prosumers.json", "members", f"number of {kind}s", kinds.count(kind), due
            )


def check_equipment(saved: Saved, findings: Findings) -> None:
    """Batteries are of a home type's size, begin as charged as all, and belong to no pure consumer."""
    start, sizes = number(saved, "BATTERY_INITIAL_SOC"), numbers(saved, "BATTERY_CAPACITY")
    for i, member in enumerate(saved.members):
        where, capacity = f"member {i}", member.capacity_kwh
        if member.kind == "consumer" and capacity:
            findings.add(where, "equipment", f"a consumer with a battery of {capacity} kWh")
        if start is not None and abs(member.initial_kwh - start * capacity) > 1e-6 * (1 + capacity):
            detail = f"initial_level_kwh is {member.initial_kwh}, expected {start * capacity}"
            findings.add(where, "equipment", detail)
        of_a_type = not capacity or any(abs(capacity - size) <= 1e-6 for size in sizes)
        if sizes and not inputs(saved, "members") and not of_a_type:
            findings.add(where, "equipment", f"no home type has a battery of {capacity} kWh")


def check_battery_power(saved: Saved, findings: Findings) -> None:
    """No battery charges or discharges faster than BATTERY_C_RATE allows; a members file may say else."""
    told = all_numbers(saved, "BATTERY_C_RATE", "TIME_STEP_DURATION")
    if not told or inputs(saved, "members"):
        return
    c_rate, hours = told
    most = np.array([member.capacity_kwh * c_rate * hours * 1000 for member in saved.members])
    most = np.tile(np.ceil(most - 1e-6).astype(np.int64), saved.steps)
    for flow in ("battery_charge_wh", "battery_discharge_wh"):
        wh, words = saved.energy[flow], f"{flow} is {{}}, at most {{}} at BATTERY_C_RATE"
        findings.rows(wh > most, "battery power", saved.row_name, words, wh, most)


def check_synthetic_day(saved: Saved, findings: Findings) -> None:
    """PV and load stay within what the largest roof and home could make and use in a step."""
    sun = all_numbers(saved, "PV_SYSTEM_EFFICIENCY", "SEASON_FACTOR", "ROOF_VARIATION")
    use = all_numbers(saved, "LOAD_VARIATION", "MIN_LOAD", "TIME_STEP_DURATION")
    roofs, homes = numbers(saved, "PV_CAPACITY"), numbers(saved, "BASE_CONSUMPTION")
    pattern = numbers(saved, "LOAD_PATTERN")
    if inputs(saved, "data") or not (sun and use and roofs and homes and pattern):
        return
    (efficiency, season, roof), (variation, least, hours) = sun, use
    most_pv = max(roofs) * efficiency * season * (1 + roof)
    most_load = max(max(homes) * max(pattern) * (1 + variation), least)
    for flow, kwh in (("pv_wh", most_pv), ("load_wh", most_load)):
        wh, most = saved.energy[flow], kwh * hours * 1000 + ROUNDED_WH
        words = f"{flow} is {{}}, at most {most:.0f} with these settings"
        findings.rows(wh > most, "synthetic day", saved.row_name, words, wh)


def check_meters_and_orders(saved: Saved, findings: Findings) -> None:
    """Nobody buys from the utility while selling to it; nothing is curtailed; no order exceeds the cap."""
    if not saved.settings.ours:
        return
    e, order, name = saved.energy, saved.trading["order_wh"], saved.row_name
    taken, given = e["grid_import_wh"], e["grid_export_wh"]
    words = "{} Wh from the utility and {} Wh to it at once"
    findings.rows((taken > 0) & (given > 0), "both ways", name, words, taken, given)
    lost = e["curtailed_wh"]
    findings.rows(lost != 0, "curtailed", name, "{} Wh, although nothing limits exports", lost)
    words = f"order of {{}} Wh, at most {saved.settings.trade_cap_wh} Wh in a step"
    findings.rows(order > saved.settings.trade_cap_wh, "trade cap", name, words, order)


# -------------------------------------------------------------------------------- prices, levers


def check_outside_prices(saved: Saved, findings: Findings) -> None:
    """What the utility asks and pays, and what the local market may cost beside it."""
    c, name = saved.community, "{}_price_microeur_per_kwh".format
    pairs = {"grid_import": "RETAIL_PRICE", "grid_export": "FEED_IN_PRICE"}
    if inputs(saved, "prices"):
        for grid, market in (("grid_import", "market_buy"), ("grid_export", "market_sell")):
            rule = f"{market} price of the price file"
            findings.compare("price file", step_name, rule, c[name(market)], c[name(grid)])
        return
    for grid, setting in pairs.items():
        euro = number(saved, setting)
        if euro is not None:
            due = np.full(saved.steps, microeur(euro))
            findings.compare("utility price", step_name, setting, c[name(grid)], due)
    if saved.settings.ours:
        check_price_of_the_hour(saved, findings)


def check_price_of_the_hour(saved: Saved, findings: Findings) -> None:
    """The market price varies around that of its hour as much as the settings say."""
    told, pattern = (
        all_numbers(saved, "BASE_PRICE", "PRICE_VARIATION"),
        numbers(saved, "PRICE_PATTERN"),
    )
    if not told or len(pattern) != 24:
        return
    base, width = told
    price = saved.community[MARKET_PRICE]
    usual = base * 1e6 * np.array(pattern)[np.clip(saved.community["hour"], 0, 23)]
    wrong = (price < np.floor(usual * (1 - width))) | (price > np.ceil(usual * (1 + width)))
    words = "market price {}, usual at this hour {:.0f} micro-euro per kWh"
    findings.rows(wrong, "market price", step_name, words, price, usual)


def check_levers(saved: Saved, findings: Findings) -> None:
    """Money levers are the settings, doubled where the objective says so; chaos draws up to double."""
    objective = saved.settings.told.get("REGULATOR_OBJECTIVE")
    if objective is not None and objective not in OBJECTIVES:
        words = f"REGULATOR_OBJECTIVE is {show(objective)}, expected one of {', '.join(OBJECTIVES)}"
        findings.add("params.json", "lever", words)
    for setting, lever in LEVERS.items():
        euro = number(saved, setting)
        if euro is None or objective not in OBJECTIVES:
            continue
        found = saved.community[f"{lever}_microeur_per_kwh"]
        due = np.full(saved.steps, microeur(euro) * (1 + (lever in DOUBLED.get(objective, ()))))
        if objective != "chaos":
            findings.compare("lever", step_name, setting, found, due)
        words = f"{setting} of {{}} under chaos, at most twice {{}}"
        wrong = (found > 2 * due) & (objective == "chaos")
        findings.rows(wrong, "lever", step_name, words, found, due)


def check_length_of_bans(saved: Saved, findings: Findings) -> None:
    """A ban begins with one of the two lengths in the settings, after a penalty in this very step."""
    told = all_numbers(saved, "BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "TIME_STEP_DURATION")
    if not told:
        return
    lengths = [-(-round(hours * 3600) // round(told[2] * 3600)) for hours in told[:2]]
    left, n = saved.actions["ban_steps_left"], len(saved.members)
    before = np.concatenate([np.zeros(n, np.int64), left])[: len(left)]
    begins = (before == 0) & (left > 0)
    words = f"a ban of {{}} steps begins, expected {lengths[0]} or {lengths[1]}"
    findings.rows(begins & ~np.isin(left, lengths), "ban length", saved.row_name, words, left)
    penalty = saved.actions["penalty_nanoeur"]
    words = "a ban begins without a penalty in this step"
    findings.rows(begins & (penalty == 0), "ban without cause", saved.row_name, words)


# ------------------------------------------------------------------------------------ market rule


def check_market_rule(saved: Saved, findings: Findings) -> None:
    """Prices between neighbours are those that MARKET_MECHANISM makes of the limits."""
    mechanism = saved.settings.mechanism
    if not saved.settings.ours:
        return
    if mechanism not in MECHANISMS:
        words = f"MARKET_MECHANISM is {show(mechanism)}, expected one of {', '.join(MECHANISMS)}"
        findings.add("params.json", "market rule", words)
        return
    check_limits(saved, mechanism in AUCTIONS, findings)
    p2p = saved.sound_trades & (saved.trades["trade_type"] == P2P)
    rows = np.flatnonzero(p2p & (saved.trades["buyer_id"] >= 0) & (saved.trades["seller_id"] >= 0))
    if mechanism in AUCTIONS:
        check_priority(saved, mechanism == "huang", findings)
    due = PRICES[mechanism](saved, rows)
    price = saved.trades["price_microeur_per_kwh"][rows]
    away = np.abs(price - due) > (mechanism == "supply_demand_ratio")  # its quotient is rounded
    words = f"price {{}}, {mechanism} makes it {{}}"
    findings.rows(away, "market rule", lambda k: saved.trade_name(int(rows[k])), words, price, due)


def check_limits(saved: Saved, limits: bool, findings: Findings) -> None:
    """Every order of an auction has a limit; rules that ask nobody for a price have none."""
    o = saved.trading
    orders = (o["role"] == BUYER) | (o["role"] == SELLER)
    has = o["limit_price_microeur_per_kwh"] != NO_LIMIT
    words = "order of {} Wh with" + ("out a" if limits else " a") + " limit price"
    findings.rows(orders & (has != limits), "limit price", saved.row_name, words, o["order_wh"])


def check_priority(saved: Saved, one_pair_stays: bool, findings: Findings) -> None:
    """The best orders are served first, and no two are left that would have agreed (but one, under huang)."""
    o, e = saved.trading, saved.energy
    limit, beyond = o["limit_price_microeur_per_kwh"], np.iinfo(np.int64).max
    left = o["order_wh"] - e["p2p_bought_wh"] - e["p2p_sold_wh"] > 0

    def best(role: int, chosen: BoolArray, worst: bool = False) -> IntArray:
        """The best (or worst) limit of each step (T) among these orders, seen as a price to pay."""
        bids = role == BUYER
        fill = -1 if bids != worst else beyond
        column = np.where((o["role"] == role) & chosen & (limit != NO_LIMIT), limit, fill)
        by_step = column.reshape(saved.steps, len(saved.members))
        return np.asarray(by_step.max(axis=1) if bids != worst else by_step.min(axis=1))

    bid, ask = best(BUYER, left), best(SELLER, left)
    if not one_pair_stays:
        words = "a bid of {} and an ask of {} were left, although they agree"
        findings.rows((bid >= ask) & (bid >= 0), "priority", step_name, words, bid, ask)
    served = best(BUYER, e["p2p_bought_wh"] > 0, worst=True)
    words = "a bid of {} was served, one of {} was left"
    findings.rows(
        (served < bid) & ~np.bool_(one_pair_stays), "priority", step_name, words, served, bid
    )
    served = best(SELLER, e["p2p_sold_wh"] > 0, worst=True)
    words = "an ask of {} was served, one of {} was left"
    findings.rows(
        (served > ask) & ~np.bool_(one_pair_stays), "priority", step_name, words, served, ask
    )


def own_limits(saved: Saved, rows: IntArray, side: str) -> IntArray:
    """The limit of the buyer or seller of these trades (K)."""
    party, step = saved.trades[f"{side}_id"][rows], saved.trades["timestep"][rows]
    place = step * len(saved.members) + party
    return np.asarray(saved.trading["limit_price_microeur_per_kwh"][place])


def midpoint(saved: Saved, rows: IntArray) -> IntArray:
    return np.asarray((own_limits(saved, rows, "buyer") + own_limits(saved, rows, "seller")) // 2)


def bid(saved: Saved, rows: IntArray) -> IntArray:
    return own_limits(saved, rows, "buyer")


def marginal_midpoint(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between the lowest bid and the highest ask that traded in the step."""
    step = saved.trades["timestep"][rows]
    lowest = np.full(saved.steps, np.iinfo(np.int64).max)
    highest = np.full(saved.steps, -1)
    np.minimum.at(lowest, step, own_limits(saved, rows, "buyer"))
    np.maximum.at(highest, step, own_limits(saved, rows, "seller"))
    traded = np.unique(step)
    price = np.zeros(saved.steps, np.int64)
    price[traded] = (lowest[traded] + highest[traded]) // 2
    return np.asarray(price[step])


def excluded_ask(saved: Saved, rows: IntArray) -> IntArray:
    """The limit of a seller who did not trade, at or above all who did; the trades say which."""
    step, price = saved.trades["timestep"][rows], saved.trades["price_microeur_per_kwh"][rows]
    n, limit = len(saved.members), saved.trading["limit_price_microeur_per_kwh"]
    left_out = (saved.trading["role"] == SELLER) & (saved.energy["p2p_sold_wh"] == 0)
    highest = np.full(saved.steps, -1)
    np.maximum.at(highest, step, own_limits(saved, rows, "seller"))
    due = np.full(len(rows), -1)
    for t in np.unique(step).tolist():
        mine = slice(t * n, t * n + n)
        asks = limit[mine][left_out[mine] & (limit[mine] >= highest[t])]
        told = price[step == t]
        one = told[0] if len(asks) and told[0] in asks else asks.min(initial=-1)
        due[step == t] = one
    return due


def halfway(saved: Saved, rows: IntArray) -> IntArray:
    """Midway between retail and feed-in price."""
    buy, sell = outside(saved, rows)
    return np.asarray((buy + sell) // 2)


def supply_demand_ratio(saved: Saved, rows: IntArray) -> IntArray:
    """lb ls / ((lb - ls) r + ls), r = supply / demand of the step's orders, at most 1."""
    o, step = saved.trading, saved.trades["timestep"][rows]
    supply = saved.per_step(np.where(o["role"] == SELLER, o["order_wh"], 0))[step]
    demand = saved.per_step(np.where(o["role"] == BUYER, o["order_wh"], 0))[step]
    lb, ls = outside(saved, rows)
    ratio = np.minimum(supply / np.maximum(demand, 1), 1.0)
    below = (lb - ls) * ratio + ls
    price = np.divide(lb * ls, below, out=np.zeros(len(rows)), where=below > 0)
    return np.rint(price).astype(np.int64)


def outside(saved: Saved, rows: IntArray) -> tuple[IntArray, IntArray]:
    """(import, export) price of the utility at these trades (K)."""
    c, step = saved.community, saved.trades["timestep"][rows]
    buy, sell = (c[f"grid_{way}_price_microeur_per_kwh"][step] for way in ("import", "export"))
    return buy, sell


def free(saved: Saved, rows: IntArray) -> IntArray:
    """Nothing is paid in the step: bills are shared at the end."""
    return np.zeros(len(rows), np.int64)


def never(saved: Saved, rows: IntArray) -> IntArray:
    """No price is right, because nobody trades."""
    return np.full(len(rows), -1)


PRICES: dict[str, Callable[[Saved, IntArray], IntArray]] = {
    "midpoint": midpoint,
    "uniform": marginal_midpoint,
    "pay_as_bid": bid,
    "huang": excluded_ask,
    "mid_market_rate": halfway,
    "supply_demand_ratio": supply_demand_ratio,
    "bill_sharing": free,
    "none": never,
}
