"""The second reading of orders: what a member must ask for, and who takes the rest to the local market.

What self-balancing left of a home's sun and load is its order; a home that balances itself may offer from
its battery, or bid for what it can store. So a battery that charges or discharges has no rest.
"""

from __future__ import annotations

import numpy as np

from verification.battery_use import check_battery_use
from verification.findings import BoolArray, Findings
from verification.folder import Saved
from verification.outlook import expected_prices
from verification.params import EVERY_RULE, MARKET_FOLLOWS
from verification.tables import BANNED, BUYER, NEUTRAL, NO_LIMIT, SELLER


def check_what_is_asked(saved: Saved, findings: Findings) -> None:
    """All rules on the size of orders, and on who trades what of it with the aggregator."""
    check_roles(saved, findings)
    if not saved.settings.ours or saved.settings.mechanism not in EVERY_RULE:
        return
    check_one_way(saved, findings)
    sizes = sizes_of_orders(saved)
    check_size(saved, sizes, findings)
    check_battery_use(saved, sizes, findings)
    check_who_comes(saved, findings)


def check_roles(saved: Saved, findings: Findings) -> None:
    """Roles, orders and the trade cap allow what was traded; who is banned trades nothing."""
    e, o, name = saved.energy, saved.trading, saved.row_name
    role, order, limit = o["role"], o["order_wh"], o["limit_price_microeur_per_kwh"]
    bought = e["p2p_bought_wh"] + e["market_bought_wh"]
    sold = e["p2p_sold_wh"] + e["market_sold_wh"]
    words = "order {} Wh, bought {} Wh, sold {} Wh"
    silent = (role == NEUTRAL) | (role == BANNED)
    wrong = np.where(silent, (order != 0) | (limit != NO_LIMIT), order <= 0)
    wrong |= ((role == BUYER) & (sold != 0)) | ((role == SELLER) & (bought != 0))
    findings.rows(wrong, "role", name, words, order, bought, sold)
    above = (bought + sold > 0) & (bought + sold > order)
    findings.rows(above, "traded above order", name, words, order, bought, sold)
    banned, cap = o["is_banned"] == 1, saved.settings.trade_cap_wh
    wrong = banned & (bought + sold != 0)
    findings.rows(wrong, "banned member", name, words, order, bought, sold)
    findings.compare("role and ban", name, "is_banned", o["is_banned"], (role == BANNED) * 1)
    most = f", at most {cap} Wh in a step"
    findings.rows(bought + sold > cap, "trade cap", name, words + most, order, bought, sold)
    check_banned_trades(saved, banned, findings)


def check_banned_trades(saved: Saved, banned: BoolArray, findings: Findings) -> None:
    """Names each trade that has a banned member."""
    trades, n = saved.trades, len(saved.members)
    for side in ("buyer", "seller"):
        party = trades[f"{side}_id"]
        mine = saved.sound_trades & (party >= 0)
        row = np.where(mine, trades["timestep"] * n + party, 0)
        words = side + " {} is banned"
        findings.rows(mine & banned[row], "banned member", saved.trade_name, words, party)


def check_one_way(saved: Saved, findings: Findings) -> None:
    """Nobody sells what it buys elsewhere; a battery moves nothing between outside and its home."""
    e, role, name = saved.energy, saved.trading["role"], saved.row_name
    taken, given = e["grid_import_wh"], e["grid_export_wh"]
    wrong = ((role == SELLER) & (taken > 0)) | ((role == BUYER) & (given > 0))
    words = "a {} that takes {} Wh from the utility and gives {} Wh to it"
    who = np.where(role == SELLER, "seller", "buyer")
    findings.rows(wrong, "both ways", name, words, who, taken, given)
    for flow, way, beside in (
        ("battery_discharge_wh", "given to", given + e["market_sold_wh"]),
        ("battery_charge_wh", "taken from", taken + e["market_bought_wh"]),
    ):
        words = f"{flow} is {{}}, but {{}} Wh were {way} utility and local market"
        findings.rows((e[flow] > 0) & (beside > 0), "battery use", name, words, e[flow], beside)


def sizes_of_orders(saved: Saved) -> tuple[float, int]:
    """(least, most) Wh of an order."""
    told = saved.settings.all_numbers("IMBALANCE_THRESHOLD", "MAX_TRADE_CAP")
    least, most = (of_an_hour * saved.settings.step_seconds / 3600 * 1000 for of_an_hour in told)
    return max(round(least, 6), 1), int(most + 1e-6)


def check_size(saved: Saved, sizes: tuple[float, int], findings: Findings) -> None:
    """A rest is ordered whole, up to the cap; only a battery orders more than it trades, or less than a rest."""
    mechanism, name, order = saved.settings.mechanism, saved.row_name, saved.trading["order_wh"]
    role = saved.trading["role"]
    has_order, rest = (role == BUYER) | (role == SELLER), saved.rest_wh
    if mechanism == "none":
        words = "order of {} Wh, although nobody trades"
        findings.rows(has_order, "order", name, words, order)
        return
    least, cap = sizes
    of_home, left = ~saved.of_battery, saved.p2p_wh + saved.market_wh + rest
    below = (order < min(least, cap)) | (of_home & (left < least))
    words = f"order of {{}} Wh, those below {least:.0f} Wh go to the utility"
    findings.rows(has_order & below, "threshold", name, words, order)
    missing = ~has_order & (role != BANNED) & (rest >= least) & (cap > 0)
    findings.rows(missing, "order", name, "no order for {} Wh of surplus or deficit", rest)
    due = np.minimum(left, cap)
    words = "order of {} Wh, surplus or deficit make it {} Wh"
    findings.rows(has_order & of_home & (order != due), "order", name, words, order, due)


# ------------------------------------------------------------------------------- the local market


def check_who_comes(saved: Saved, findings: Findings) -> None:
    """Where the local market follows, all of a side go there with what they have left, or none of them."""
    role, order, market = saved.trading["role"], saved.trading["order_wh"], saved.market_wh
    come = np.zeros(saved.steps, np.bool_), np.zeros(saved.steps, np.bool_)
    if saved.settings.mechanism in MARKET_FOLLOWS:
        buy, sell = expected_prices(saved)
        c, penalty = saved.community, saved.community["market_penalty_microeur_per_kwh"]
        come = (
            buy + penalty <= c["grid_import_price_microeur_per_kwh"],
            sell - penalty >= c["grid_export_price_microeur_per_kwh"],
        )
    buyers, sellers = (np.repeat(side, len(saved.members)) for side in come)
    comes = np.where(role == SELLER, sellers, buyers) & ((role == BUYER) | (role == SELLER))
    of_home = saved.rest_wh + market > 0
    due = np.where(comes & of_home, order - saved.p2p_wh, 0)
    words = "{} Wh with the aggregator, expected {}"
    findings.rows(market != due, "local market", saved.row_name, words, market, due)
