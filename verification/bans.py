"""The second reading of the regulator's bans: who let neighbours pass, and for whom that was too much.

All that decides about a ban stands in the files: orders and what was left of them, bonuses, penalties and
balances. So bans that nothing explains are found, and bans that were due and are missing.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from verification.findings import BoolArray, Findings, IntArray
from verification.folder import Saved, step_before
from verification.outlook import reservation_prices
from verification.params import EVERY_RULE
from verification.tables import BAN_REASONS, BUYER, SELLER

EXCESSIVE_MARKET_USE, LOW_BALANCE = 1, 2  # places in BAN_REASONS
LIMIT_ROOM = 2**33  # more than any limit price; sorts orders by step before price


def check_bans(saved: Saved, findings: Findings) -> None:
    """All rules of bans: how they last, and how they follow from avoidable penalties.

    What could have been traded, and for what, nobody knows under a market rule that is not known here.
    """
    check_countdown(saved, findings)
    if not saved.settings.ours:
        check_lengths(saved, findings)
        return
    if saved.settings.mechanism not in EVERY_RULE:
        return
    passed_over = avoidable_wh(saved)
    told, name = saved.actions["avoidable_penalty_nanoeur"], "avoidable penalty in nano-euro"
    lever = saved.community["market_penalty_microeur_per_kwh"]
    due = passed_over * np.repeat(lever, len(saved.members))
    findings.compare("avoidable penalty", saved.row_name, name, told, due)
    check_beginnings(saved, passed_over > 0, findings)


def check_countdown(saved: Saved, findings: Findings) -> None:
    """In force is the ban that the step before left; it counts down by one, and keeps its reason."""
    a, n, name = saved.actions, len(saved.members), saved.row_name
    left, banned, reason = a["ban_steps_left"], a["is_banned"], a["ban_reason"]
    before = step_before(left, np.zeros(n, np.int64))
    after = not saved.settings.ours and np.array_equal(banned, (left > 0) * 1)
    if not after:  # another program may tell in regulator_actions.csv what holds after the step
        findings.compare("ban in force", name, "is_banned", banned, (before > 0) * 1)
    told = saved.trading["is_banned"]
    findings.compare("ban in force", name, "prosumer_trading is_banned", told, (before > 0) * 1)
    wrong = (left < 0) | ((before > 0) & (left != before - 1))
    findings.rows(wrong, "ban countdown", name, "{} steps left, {} before", left, before)
    wrong = np.where(reason != 0, (left == 0) & (before == 0), left > 0)
    words = "{} steps left, reason given: {}"
    findings.rows(wrong, "ban reason", name, words, left, reason != 0)
    words = f"no reason for a ban; known are {', '.join(BAN_REASONS[1:])}"
    findings.rows((reason < 0) & saved.settings.ours, "ban reason", name, words)
    earlier = step_before(reason, reason[:n])
    wrong = (before > 0) & (reason != earlier) & (np.minimum(reason, earlier) >= 0)
    words = "reason '{}' while the ban for '{}' lasts"
    known = np.array(BAN_REASONS, object)
    findings.rows(wrong, "ban reason", name, words, known[reason], known[earlier])


def check_lengths(saved: Saved, findings: Findings) -> None:
    """Another program's ban begins with one of the two lengths in the settings.

    One for market use has its penalties in the last 24 hours; one for a low balance needs none.
    """
    hours = saved.settings.all_numbers("BAN_MARKET_HOURS", "BAN_BALANCE_HOURS")
    if not hours:
        return
    lengths = [steps_of(saved, length) for length in hours]
    left, n, name = saved.actions["ban_steps_left"], len(saved.members), saved.row_name
    before = step_before(left, np.zeros(n, np.int64))
    begins = (before == 0) & (left > 0)
    words = f"a ban of {{}} steps begins, expected {lengths[0]} or {lengths[1]}"
    wrong = begins & (left != lengths[0]) & (left != lengths[1])
    findings.rows(wrong, "ban length", name, words, left)
    words = "a ban for market use begins, without a penalty in the last 24 hours"
    penalties = last_day(saved, saved.actions["penalty_nanoeur"].reshape(-1, n)).ravel()
    wrong = begins & (saved.actions["ban_reason"] == EXCESSIVE_MARKET_USE) & (penalties == 0)
    findings.rows(wrong, "ban without cause", name, words)


# ---------------------------------------------------------------------------- avoidable penalties


def avoidable_wh(saved: Saved) -> IntArray:
    """What each took to the market (T N) though neighbours left it within reach of its own limits."""
    (dearest, cheapest), steps = reservation_prices(saved), saved.steps
    limit, role = saved.trading["limit_price_microeur_per_kwh"], saved.trading["role"]
    left, taken = saved.trading["order_wh"] - saved.p2p_wh, saved.market_wh
    step, part = np.repeat(np.arange(steps), len(saved.members)), np.zeros(len(taken), np.int64)
    sides: tuple[tuple[int, int, Literal["left", "right"], IntArray], ...] = (
        (SELLER, BUYER, "left", np.maximum(cheapest, 0)),
        (BUYER, SELLER, "right", dearest),
    )
    for own, other, ties, reservation in sides:
        mine = np.flatnonzero((role == own) & (taken > 0))
        theirs = np.flatnonzero(role == other)
        place = step[theirs] * LIMIT_ROOM + limit[theirs]
        order = np.argsort(place, kind="stable")
        sums = np.concatenate([[0], np.cumsum(left[theirs][order])])
        at = step[mine]
        own_limit = np.searchsorted(place[order], at * LIMIT_ROOM + limit[mine], side=ties)
        end = np.searchsorted(place[order], at * LIMIT_ROOM + reservation[at], side=ties)
        between = sums[own_limit] - sums[end]
        reach = np.maximum(between if own == SELLER else -between, 0)
        side_takes = np.zeros(steps, np.int64)
        np.add.at(side_takes, at, taken[mine])
        whole = side_takes[at]
        reach, mine_takes = np.minimum(reach, whole), taken[mine]
        if whole.max(initial=0) * float(mine_takes.max(initial=0)) >= 2**62:
            reach = reach.astype(object)  # products that no int64 holds
        part[mine] = reach * mine_takes // whole
    free = 1 - saved.trading["is_banned"]
    return np.asarray(free * part)


# ------------------------------------------------------------------------------------------- bans


def check_beginnings(saved: Saved, passed_over: BoolArray, findings: Findings) -> None:
    """A ban begins where one is due, as long as it is due and for that reason, and nowhere else."""
    shape, a, name = (saved.steps, len(saved.members)), saved.actions, saved.row_name
    left, reason = a["ban_steps_left"].reshape(shape), a["ban_reason"].reshape(shape)
    free = np.vstack([np.ones_like(left[:1]), left[:-1] == 0]).astype(np.bool_)
    begins = free & (left > 0)
    for_market, for_balance = dues(saved, free & passed_over.reshape(shape), begins, reason)
    found, due = np.where(begins, left, 0), np.maximum(for_market, for_balance)
    wrong = (free & (found != due)).ravel()
    words = "a ban of {} steps begins, due is one of {}"
    findings.rows(wrong, "ban due", name, words, found.ravel(), due.ravel())
    why = np.where(for_balance > for_market, LOW_BALANCE, EXCESSIVE_MARKET_USE)
    wrong = (begins & (due > 0) & (reason != why)).ravel()
    told, known = np.array(BAN_REASONS, object), (reason.ravel(), why.ravel())
    words = "the ban is for '{}', due is '{}'"
    findings.rows(wrong, "ban reason", name, words, *(told[k] for k in known))


def dues(
    saved: Saved, may: BoolArray, begins: BoolArray, reason: IntArray
) -> tuple[IntArray, IntArray]:
    """Steps of the bans due after each step (T, N) for market use and for a low balance, 0 for none.

    Only who `may` can be banned: free, and neighbours passed over in this step; and not again for a reason for
    which a ban began within BAN_COOLDOWN_HOURS.
    """
    a, s = saved.actions, saved.settings
    most_avoidable, protecting, least_balance = (
        round(limit * 10**9)
        for limit in s.all_numbers("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT")
    )
    for_market, for_balance, pause = (
        steps_of(saved, hours)
        for hours in s.all_numbers("BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS")
    )
    avoidable, bonus = (
        a[f"{name}_nanoeur"].reshape(may.shape) for name in ("avoidable_penalty", "bonus")
    )
    too_much = last_day(saved, avoidable) > most_avoidable
    too_much &= last_day(saved, bonus) < protecting
    too_poor = balances(saved) < least_balance
    market_use = may & too_much & rested(begins & (reason == EXCESSIVE_MARKET_USE), pause)
    low_balance = may & too_poor & rested(begins & (reason == LOW_BALANCE), pause)
    return np.where(market_use, for_market, 0), np.where(low_balance, for_balance, 0)


def steps_of(saved: Saved, hours: float) -> int:
    """Steps that cover so many hours."""
    return -(-round(hours * 3600) // saved.settings.step_seconds)


def last_day(saved: Saved, column: IntArray) -> IntArray:
    """Sums over the 24 hours that end with each step (T, N)."""
    sums = np.cumsum(column, axis=0)
    window = steps_of(saved, 24)
    sums[window:] -= sums[:-window].copy()
    return sums


def rested(begins: BoolArray, pause: int) -> BoolArray:
    """Whether so many steps, one at least, have passed since the last True above each place (T, N)."""
    pause = max(pause, 1)
    step = np.arange(len(begins))[:, None]
    last = np.maximum.accumulate(np.where(begins, step, -pause - 1), axis=0)
    last = np.vstack([np.full_like(last[:1], -pause - 1), last[:-1]])
    return np.asarray(step - last >= pause)


def balances(saved: Saved) -> IntArray:
    """What each member owned (T, N) after the payments of each step."""
    moves, n = saved.transfers, len(saved.members)
    change = np.zeros(saved.steps * n, np.int64)
    step, amount = moves["timestep"], moves["amount_nanoeur"]
    of_step = (step >= 0) & (step < saved.steps)
    for party, sign in ((moves["payer_id"], -1), (moves["payee_id"], 1)):
        rows = of_step & (party >= 0) & (party < n)
        np.add.at(change, step[rows] * n + party[rows], sign * amount[rows])
    return (saved.settings.wallet_nanoeur or 0) + np.cumsum(change.reshape(-1, n), axis=0)
