"""The second reading of the regulator's bans: who let neighbours pass, and for whom that was too much.

All that decides about a ban stands in the files: orders and what was left of them, bonuses, penalties and
balances. So bans that nothing explains are found, and bans that were due and are missing.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from verification.energy import BUYER, SELLER
from verification.findings import BoolArray, Findings, IntArray
from verification.folder import Saved
from verification.orders import expected_prices
from verification.tables import BAN_REASONS, WORDS

REASONS = ("excessive_market_use", "low_balance")
LIMIT_ROOM = 2**33  # more than any limit price; sorts orders by step before price


def check_bans(saved: Saved, findings: Findings) -> None:
    """Avoidable penalties, and the bans that follow from them."""
    if not saved.settings.ours:
        return
    told, name = saved.actions["avoidable_penalty_nanoeur"], "avoidable penalty in nano-euro"
    due = avoidable_nanoeur(saved)
    findings.compare("avoidable penalty", saved.row_name, name, told, due)
    check_beginnings(saved, findings)


# ---------------------------------------------------------------------------- avoidable penalties


def avoidable_nanoeur(saved: Saved) -> IntArray:
    """The avoidable part of each penalty (T N): for what neighbours left within reach of own limits."""
    expected, c, steps = expected_prices(saved), saved.community, saved.steps
    lever, bonus = (c[f"{name}_microeur_per_kwh"] for name in ("market_penalty", "p2p_bonus"))
    dearest = np.minimum(expected[0] + lever, c["grid_import_price_microeur_per_kwh"]) + bonus
    cheapest = np.maximum(expected[1] - lever, c["grid_export_price_microeur_per_kwh"]) - bonus
    limit, role = saved.trading["limit_price_microeur_per_kwh"], saved.trading["role"]
    left, taken = saved.trading["order_wh"] - saved.p2p_wh, saved.market_wh
    step, part = np.repeat(np.arange(steps), len(saved.members)), np.zeros(len(taken), np.int64)
    sides: tuple[tuple[int, int, Literal["left", "right"], IntArray], ...] = (
        (SELLER, BUYER, "left", np.maximum(cheapest, 0)),
        (BUYER, SELLER, "right", dearest),
    )
    for own, other, side, ends in sides:
        mine = np.flatnonzero((role == own) & (taken > 0))
        theirs = np.flatnonzero(role == other)
        place = step[theirs] * LIMIT_ROOM + limit[theirs]
        order = np.argsort(place, kind="stable")
        sums = np.concatenate([[0], np.cumsum(left[theirs][order])])
        at = step[mine]
        own_limit = np.searchsorted(place[order], at * LIMIT_ROOM + limit[mine], side=side)
        end = np.searchsorted(place[order], at * LIMIT_ROOM + ends[at], side=side)
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
    return np.asarray(free * part * np.repeat(lever, len(saved.members)))


# ------------------------------------------------------------------------------------------- bans


def check_beginnings(saved: Saved, findings: Findings) -> None:
    """A ban begins where one is due, as long as it is due and for that reason, and nowhere else."""
    names = ("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT")
    euro = saved.settings.all_numbers(*names)
    hours = saved.settings.all_numbers(
        "BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS"
    )
    if not euro or not hours:
        return
    shape, a = (saved.steps, len(saved.members)), saved.actions
    most_avoidable, protecting, least_balance = (round(limit * 10**9) for limit in euro)
    lengths, pause = [steps_of(saved, h) for h in hours[:2]], steps_of(saved, hours[2])
    left, reason = a["ban_steps_left"].reshape(shape), a["ban_reason"].reshape(shape)
    before = np.vstack([np.zeros_like(left[:1]), left[:-1]])
    begins = (before == 0) & (left > 0)
    avoidable = a["avoidable_penalty_nanoeur"].reshape(shape)
    may = (before == 0) & (avoidable > 0)
    too_much = last_day(saved, avoidable) > most_avoidable
    too_much &= last_day(saved, a["bonus_nanoeur"].reshape(shape)) < protecting
    conditions = too_much, balances(saved) < least_balance
    rests = [
        rested(begins & (reason == BAN_REASONS.index(word)), max(pause, 1)) for word in REASONS
    ]
    for_market, for_balance = (
        np.where(may & rest & condition, length, 0)
        for rest, condition, length in zip(rests, conditions, lengths, strict=True)
    )
    due = np.maximum(for_market, for_balance)
    why = np.where(for_balance > for_market, *map(BAN_REASONS.index, reversed(REASONS)))
    found = np.where(begins, left, 0)
    wrong = (before == 0) & (found != due)
    words = "a ban of {} steps begins, due is one of {}"
    findings.rows(wrong.ravel(), "ban due", saved.row_name, words, found.ravel(), due.ravel())
    wrong = begins & (due > 0) & (reason != why)
    told, known = np.array(BAN_REASONS, object), (reason.ravel(), why.ravel())
    words = "the ban is for '{}', due is '{}'"
    findings.rows(wrong.ravel(), "ban reason", saved.row_name, words, *(told[k] for k in known))


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
    """Whether so many steps have passed since the last True above each place (T, N)."""
    step = np.arange(len(begins))[:, None]
    last = np.maximum.accumulate(np.where(begins, step, -pause - 1), axis=0)
    last = np.vstack([np.full_like(last[:1], -pause - 1), last[:-1]])
    return np.asarray(step - last >= pause)


def balances(saved: Saved) -> IntArray:
    """What each member owned (T, N) after the payments of each step, those of shared bills left out."""
    moves, n = saved.transfers, len(saved.members)
    change = np.zeros(saved.steps * n, np.int64)
    step, reason, amount = moves["timestep"], moves["reason"], moves["amount_nanoeur"]
    of_step = (step >= 0) & (step < saved.steps)
    of_step &= reason != WORDS["reason"].index("bill_sharing")  # paid after the last ruling
    for party, sign in ((moves["payer_id"], -1), (moves["payee_id"], 1)):
        rows = of_step & (party >= 0) & (party < n)
        np.add.at(change, step[rows] * n + party[rows], sign * amount[rows])
    return saved.settings.wallet_nanoeur + np.cumsum(change.reshape(-1, n), axis=0)
