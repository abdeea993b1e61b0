"""The regulator: levers before each step, bonuses, penalties and bans after it.

Each objective is a strategy: it looks at what is to be expected and sets the levers. What a member
then earns or pays follows from this step's flows alone, never from running totals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from records import (
    REGULATOR,
    BanReason,
    Flows,
    Levers,
    Money,
    Orders,
    Reason,
    Ruling,
    State,
    Wh,
    joined,
    transfers,
)
from settings import Settings, microeur, nanoeur


@dataclass(frozen=True)
class Outlook:
    """What the regulator knows before a step: scalars of this step."""

    timestep: int
    hour: int
    expected_surplus_wh: int
    """Community residual after self-balancing: + surplus, - deficit."""
    price: int
    """Forecast of the market price, micro-euro per kWh."""
    day_ahead_price: int


# ---------------------------------------------------------------- levers


def default_levers(settings: Settings, outlook: Outlook) -> Levers:
    """The levers as config.py sets them."""
    return Levers(
        renewable_bonus=microeur(settings.RENEWABLE_BONUS),
        p2p_bonus=microeur(settings.P2P_BONUS),
        market_penalty=microeur(settings.PENALTY_FOR_MARKET),
        offer_share=settings.OFFER_SHARE,
        storage_bid_share=settings.STORAGE_BID_SHARE,
        margin=settings.QUOTE_MARGIN,
        expected_surplus_wh=outlook.expected_surplus_wh,
    )


def maximize_renewable(settings: Settings, outlook: Outlook) -> Levers:
    return default_levers(settings, outlook)


STRATEGIES: dict[str, Callable[[Settings, Outlook], Levers]] = {
    "maximize_renewable": maximize_renewable,
    "maximize_profit": default_levers,
    "maximize_p2p": default_levers,
    "chaos": default_levers,
}


def set_levers(settings: Settings, outlook: Outlook) -> Levers:
    """The levers of this step under the objective in force."""
    return STRATEGIES[settings.REGULATOR_OBJECTIVE](settings, outlook)


# ---------------------------------------------------------------- what could have been traded


def avoidable_wh(orders: Orders, left_wh: Wh, market_wh: Wh, dearest_bid: int, cheapest_ask: int) -> Wh:
    """The part of each member's market energy that its own margin kept from the neighbours (N).

    A buyer could have had what sellers left at no more than `dearest_bid`, his fallback with bonus; a
    seller, what buyers left at no less than `cheapest_ask`. That reach is spread over the members of
    a side in proportion to what they took to the market. Who had no such partner had no choice.
    """
    sale, limit = orders.is_sale, orders.limit_microeur_per_kwh
    reach_of_buyers = int(left_wh[sale & (limit <= dearest_bid)].sum())
    reach_of_sellers = int(left_wh[~sale & (limit >= cheapest_ask)].sum())
    part = np.zeros(len(market_wh), np.int64)
    for side, reach in ((sale, reach_of_sellers), (~sale, reach_of_buyers)):
        member = orders.member[side]
        taken = market_wh[member]
        all_taken = int(taken.sum())
        if all_taken:
            part[member] = np.floor(min(reach / all_taken, 1.0) * taken).astype(np.int64)
    return part


# ---------------------------------------------------------------- ruling


def review(
    settings: Settings, levers: Levers, state: State, flows: Flows, avoidable: Wh, balance_nanoeur: Money
) -> Ruling:
    """Bonuses, penalties and new bans (N) from this step's flows; nothing for banned members.

    balance_nanoeur (N) is what each member owns after the step's bills for energy.
    """
    free = ~state.is_banned
    market_wh = flows.market_bought_wh + flows.market_sold_wh
    p2p_wh = flows.p2p_bought_wh + flows.p2p_sold_wh
    renewable = free * flows.renewable_used_wh * levers.renewable_bonus
    p2p = free * p2p_wh * levers.p2p_bonus
    penalty = free * market_wh * levers.market_penalty
    spared = free * avoidable * levers.market_penalty
    balance = balance_nanoeur + renewable + p2p - penalty
    ban_steps, reason = bans(
        settings,
        state,
        balance,
        bonus_24h=state.bonus_24h_nanoeur + renewable + p2p,
        avoidable_24h=state.avoidable_24h_nanoeur + spared,
    )
    members = np.arange(len(free), dtype=np.int32)
    return Ruling(
        bonus_nanoeur=renewable + p2p,
        penalty_nanoeur=penalty,
        avoidable_nanoeur=spared,
        new_ban_steps=ban_steps,
        new_ban_reason=reason,
        transfers=joined(
            [
                transfers(REGULATOR, members, renewable, Reason.RENEWABLE_BONUS),
                transfers(REGULATOR, members, p2p, Reason.P2P_BONUS),
                transfers(members, REGULATOR, penalty, Reason.MARKET_PENALTY),
            ]
        ),
    )


def bans(
    settings: Settings, state: State, balance: Money, bonus_24h: Money, avoidable_24h: Money
) -> tuple[np.ndarray, np.ndarray]:
    """(steps, BanReason) of the bans that begin after this step (N each).

    Both reasons need penalties that the member could have avoided: who had no choice is never banned.
    """
    may = ~state.is_banned
    cool_market, cool_balance = state.cooldown_steps == 0
    market_use = (
        may
        & cool_market
        & (avoidable_24h > nanoeur(settings.BAN_PENALTY_LIMIT))
        & (bonus_24h < nanoeur(settings.BAN_BONUS_LIMIT))
    )
    low_balance = (
        may
        & cool_balance
        & (balance < nanoeur(settings.BAN_BALANCE_LIMIT))
        & (avoidable_24h > nanoeur(settings.BAN_PENALTY_LIMIT) // 2)
    )
    steps = np.where(low_balance, settings.steps_of(settings.BAN_BALANCE_HOURS), 0)
    steps = np.where(market_use, settings.steps_of(settings.BAN_MARKET_HOURS), steps)
    reason = np.where(low_balance, BanReason.LOW_BALANCE, BanReason.NONE)
    reason = np.where(market_use, BanReason.EXCESSIVE_MARKET_USE, reason)
    return steps.astype(np.int64), np.where(steps > 0, reason, 0).astype(np.int8)


def remember(settings: Settings, state: State, ruling: Ruling) -> dict[str, object]:
    """The regulator's columns of the next State: bans run down, new ones begin, 24 hours move on."""
    window = settings.steps_of(24)
    recent = state.recent + ((ruling.bonus_nanoeur, ruling.avoidable_nanoeur),)
    bonus_24h = state.bonus_24h_nanoeur + ruling.bonus_nanoeur
    avoidable_24h = state.avoidable_24h_nanoeur + ruling.avoidable_nanoeur
    if len(recent) >= window:  # the next step's own entry makes the window full
        bonus_24h, avoidable_24h = bonus_24h - recent[0][0], avoidable_24h - recent[0][1]
        recent = recent[1:]
    starts = ruling.new_ban_steps > 0
    left = np.where(starts, ruling.new_ban_steps, np.maximum(state.ban_steps_left - 1, 0))
    cooldown = np.maximum(state.cooldown_steps - 1, 0)
    pause = settings.steps_of(settings.BAN_COOLDOWN_HOURS)
    for row, why in enumerate((BanReason.EXCESSIVE_MARKET_USE, BanReason.LOW_BALANCE)):
        cooldown[row, starts & (ruling.new_ban_reason == why)] = pause
    reason = np.where(starts, ruling.new_ban_reason, np.where(left > 0, state.ban_reason, 0))
    return {
        "ban_steps_left": left,
        "ban_reason": reason.astype(np.int8),
        "cooldown_steps": cooldown,
        "bonus_24h_nanoeur": bonus_24h,
        "avoidable_24h_nanoeur": avoidable_24h,
        "recent": recent,
    }
