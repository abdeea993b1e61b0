"""The regulator: levers before each step, bonuses, penalties and bans after it.

Each objective is a strategy: it looks at what is to be expected and sets the levers. What a member
then earns or pays follows from this step's flows alone, never from running totals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from records import (
    REGULATOR,
    BanReason,
    Flows,
    Levers,
    Money,
    Orders,
    Price,
    Reason,
    Ruling,
    State,
    Truth,
    Wh,
    joined,
    transfers,
)
from settings import Settings, microeur, nanoeur

PRECIOUS, WANTED, CHEAP = 1.25, 1.1, 0.6
"""What a regulator says that a stored kWh will be worth, as multiple of the 24-hour mean: PRECIOUS where neighbours
come first, WANTED where it has only to outbid the local market, CHEAP in the evening. Chosen so that each objective
leads on its own metric over 30 seeds (README, tests/test_regulator.py); no source."""
CLOSE_TO_NEIGHBOURS = 0.25
"""Part of QUOTE_MARGIN that members keep where neighbours come first."""


@dataclass(frozen=True)
class Outlook:
    """What the regulator knows before a step: scalars of this step, prices in micro-euro per kWh."""

    timestep: int
    expected_surplus_wh: int
    """Community residual after self-balancing: + surplus, - deficit."""
    expected_buy: int
    """What a member expects to pay beyond its neighbours."""
    expected_sell: int
    mean_24h: int
    """Mean of the price forecast over the next 24 hours."""
    budget_left_nanoeur: int
    """What REGULATOR_BUDGET leaves after all bonuses and penalties so far; below 0 where the last step overspent."""


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
    """Every kWh of sun used inside: batteries fill from neighbours by day and serve them by night.

    By day a stored kWh is called precious, so batteries outbid the market for the surplus; in deficit it
    is called cheap, so that they are empty again before sunrise.
    """
    surplus = outlook.expected_surplus_wh > 0
    return replace(
        default_levers(settings, outlook),
        storage_bid_share=widened(settings.STORAGE_BID_SHARE),
        stored_value=WANTED if surplus else CHEAP,
    )


def maximize_profit(settings: Settings, outlook: Outlook) -> Levers:
    """Buy and sell outside at the right hour: a battery works only where the price leaves a gain."""
    round_trip = settings.BATTERY_EFFICIENCY
    sells_well = outlook.expected_sell > outlook.mean_24h * round_trip
    buys_cheap = outlook.expected_buy < outlook.mean_24h / round_trip
    return replace(
        default_levers(settings, outlook),
        charge_share=0.0 if sells_well else 1.0,
        reserve_share=1.0 if buys_cheap else 0.0,
    )


def maximize_p2p(settings: Settings, outlook: Outlook) -> Levers:
    """Neighbours before everybody else: dear market, small margins, batteries open in both directions."""
    base = default_levers(settings, outlook)
    return replace(
        base,
        p2p_bonus=2 * base.p2p_bonus,
        market_penalty=2 * base.market_penalty,
        offer_share=widened(widened(settings.OFFER_SHARE)),
        storage_bid_share=widened(widened(settings.STORAGE_BID_SHARE)),
        margin=CLOSE_TO_NEIGHBOURS * settings.QUOTE_MARGIN,
        stored_value=PRECIOUS if outlook.expected_surplus_wh > 0 else CHEAP,
    )


def chaos(settings: Settings, outlook: Outlook) -> Levers:
    """Levers drawn anew in every step: the control group."""
    draw = settings.stream("chaos", outlook.timestep).random(8)
    base = default_levers(settings, outlook)
    return replace(
        base,
        renewable_bonus=round(2 * draw[0] * base.renewable_bonus),
        p2p_bonus=round(2 * draw[1] * base.p2p_bonus),
        market_penalty=round(2 * draw[2] * base.market_penalty),
        offer_share=float(draw[3]),
        storage_bid_share=float(draw[4]),
        margin=float(draw[5]),
        stored_value=0.5 + float(draw[6]),
        charge_share=float(draw[7]),
    )


def widened(share: float) -> float:
    """Half way from a share to the whole; 0, by which a user takes batteries out of trade, stays 0."""
    return (1 + share) / 2 if share else 0.0


STRATEGIES: dict[str, Callable[[Settings, Outlook], Levers]] = {
    "maximize_renewable": maximize_renewable,
    "maximize_profit": maximize_profit,
    "maximize_p2p": maximize_p2p,
    "chaos": chaos,
}


def set_levers(settings: Settings, outlook: Outlook) -> Levers:
    """The levers of this step under the objective in force; no bonus where the budget is spent.

    Members quote by the levers, so what a step promises is paid in full, even where the budget ends within it.
    """
    levers = STRATEGIES[settings.REGULATOR_OBJECTIVE](settings, outlook)
    if outlook.budget_left_nanoeur > 0:
        return levers
    return replace(levers, renewable_bonus=0, p2p_bonus=0)


# ---------------------------------------------------------------- what could have been traded


def avoidable_wh(
    orders: Orders, left_wh: Wh, flows: Flows, reservation_prices: tuple[int, int]
) -> Wh:
    """The part of each member's market energy that its own margin kept from the neighbours (N).

    left_wh (K) is what neighbours left of each order; reservation_prices: the most a buyer, and the least a
    seller, can accept without loss. A buyer could have bought what sellers left at asks above his bid but within
    his own limit; a seller could have sold to bids below his ask but within his. That energy is shared over the
    side in proportion to what each took to the market, and nobody is charged with more than that. A member with
    nothing within reach, or refused by the rule of the market and not because of its own quote, had no choice.
    """
    sale, limit = orders.is_sale, orders.limit_microeur_per_kwh
    market_wh = flows.market_bought_wh + flows.market_sold_wh
    dearest_bid, cheapest_ask = reservation_prices
    part = np.zeros(len(market_wh), np.int64)
    # buyers' prices are turned round, so one range serves both: from `least` on, below the own limit
    for own, sign, least in ((sale, 1, cheapest_ask), (~sale, -1, -dearest_bid)):
        taken = market_wh[orders.member[own]]
        all_taken = int(taken.sum())
        if all_taken:
            below = _left_below(sign * limit[~own], left_wh[~own], sign * limit[own])
            below -= _left_below(sign * limit[~own], left_wh[~own], np.array([least]))
            reach = np.clip(below, 0, all_taken)
            if all_taken * int(taken.max()) >= 2**63:  # beyond 64 bits: Python's own whole numbers
                reach = reach.astype(object)
            part[orders.member[own]] = (reach * taken // all_taken).astype(np.int64)
    return part


def _left_below(limit: Price, left_wh: Wh, price: Price) -> Wh:
    """What is left in total of orders with a limit below each of these prices."""
    order = np.argsort(limit)
    sums = np.concatenate([[0], np.cumsum(left_wh[order])])
    return sums[np.searchsorted(limit[order], price)]


# ---------------------------------------------------------------- ruling


def review(
    settings: Settings,
    levers: Levers,
    state: State,
    flows: Flows,
    avoidable: Wh,
    balance_nanoeur: Money,
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
    avoidable = free * avoidable
    avoidable_penalty = avoidable * levers.market_penalty
    balance = balance_nanoeur + renewable + p2p - penalty
    ban_steps, reason = bans(
        settings,
        state,
        balance,
        bonus_24h=state.bonus_24h_nanoeur + renewable + p2p,
        avoidable_24h=state.avoidable_24h_nanoeur + avoidable_penalty,
        passed_over=avoidable > 0,
    )
    members = np.arange(len(free), dtype=np.int32)
    return Ruling(
        bonus_nanoeur=renewable + p2p,
        penalty_nanoeur=penalty,
        avoidable_nanoeur=avoidable_penalty,
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
    settings: Settings,
    state: State,
    balance: Money,
    bonus_24h: Money,
    avoidable_24h: Money,
    passed_over: Truth,
) -> tuple[np.ndarray, np.ndarray]:
    """(steps, BanReason) of the bans that begin after this step (N each).

    Only members that have passed over neighbours' offers in this very step can be banned, so never one
    without a choice, and never twice for the same deed. Of two bans the longer one begins.
    """
    may = ~state.is_banned & passed_over
    cool_market, cool_balance = state.cooldown_steps == 0
    market_use = (
        may
        & cool_market
        & (avoidable_24h > nanoeur(settings.BAN_PENALTY_LIMIT))
        & (bonus_24h < nanoeur(settings.BAN_BONUS_LIMIT))
    )
    low_balance = may & cool_balance & (balance < nanoeur(settings.BAN_BALANCE_LIMIT))
    for_market = np.where(market_use, settings.steps_of(settings.BAN_MARKET_HOURS), 0)
    for_balance = np.where(low_balance, settings.steps_of(settings.BAN_BALANCE_HOURS), 0)
    steps = np.maximum(for_market, for_balance)
    reason = np.where(
        for_balance > for_market, BanReason.LOW_BALANCE, BanReason.EXCESSIVE_MARKET_USE
    )
    return steps.astype(np.int64), np.where(steps > 0, reason, BanReason.NONE).astype(np.int8)


def remember(settings: Settings, state: State, ruling: Ruling) -> State:
    """The state with the regulator's columns of the next step: bans run down, new ones begin, 24 hours move on."""
    window = settings.steps_of(24)
    recent = (*state.recent, (ruling.bonus_nanoeur, ruling.avoidable_nanoeur))
    bonus_24h = state.bonus_24h_nanoeur + ruling.bonus_nanoeur
    avoidable_24h = state.avoidable_24h_nanoeur + ruling.avoidable_nanoeur
    if len(recent) >= window:  # the next step's own entry makes the window full
        bonus_24h, avoidable_24h = bonus_24h - recent[0][0], avoidable_24h - recent[0][1]
        recent = recent[1:]
    starts = ruling.new_ban_steps > 0
    left = np.where(starts, ruling.new_ban_steps, np.maximum(state.ban_steps_left - 1, 0))
    cooldown = np.maximum(state.cooldown_steps - 1, 0)
    pause = max(settings.steps_of(settings.BAN_COOLDOWN_HOURS) - 1, 0)  # this step is the first
    for row, why in enumerate((BanReason.EXCESSIVE_MARKET_USE, BanReason.LOW_BALANCE)):
        cooldown[row, starts & (ruling.new_ban_reason == why)] = pause
    reason = np.where(starts, ruling.new_ban_reason, np.where(left > 0, state.ban_reason, 0))
    return replace(
        state,
        ban_steps_left=left,
        ban_reason=reason.astype(np.int8),
        cooldown_steps=cooldown,
        bonus_24h_nanoeur=bonus_24h,
        avoidable_24h_nanoeur=avoidable_24h,
        recent=recent,
    )
