"""The members: what they own, what their batteries do, what they offer and at which limit.

A home serves itself first (plan_battery); what is left becomes one order (make_orders). Equations:
docs/models.md, "Battery" and "Orders".
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from records import (
    CONSUMER,
    HIGHEST_PRICE,
    PROSUMER,
    BanReason,
    BatteryPlan,
    Fleet,
    Levers,
    Orders,
    Period,
    Price,
    Real,
    State,
    StepPrices,
    Wh,
    number_of_accounts,
)
from settings import Settings, microeur, nanoeur

TEMPER, MOOD = 0.7, 0.3
"""Parts of QUOTE_VARIATION by which members differ for good, and in each step: most of it is character."""
PATIENCE, HASTE, CROWD, MOST_MARGIN = 1.25, 0.5, 0.1, 0.8
"""Margin of an order that can wait, as multiple of QUOTE_MARGIN; what a large order takes off it; what being on
the side with more energy takes off; and the most that is kept. Chosen so that most pairs cross; no source."""
DUST_WH = 1e-6
"""What products of floats may miss: 4.02 kWh at half a kW per kWh are 2010 W, not 2009.9999999999995."""

# ---------------------------------------------------------------- who they are


def make_fleet(settings: Settings) -> Fleet:
    """The synthetic members (N): prosumers of ten home types, then pure consumers.

    Each member's draws stand in columns of their own, so more members leave the first as they were.
    """
    size = settings.num_members
    home = settings.stream("home type").integers(0, len(settings.PV_CAPACITY), size)
    makes_power = np.arange(size) < settings.NUM_PROSUMERS
    owns_battery = makes_power & (settings.stream("battery").random(size) < settings.HAS_BATTERY)
    return assemble_fleet(
        settings,
        household_id=tuple(str(i) for i in range(size)),
        home_type=tuple(f"type {index + 1}" for index in home.tolist()),
        pv_capacity_kw=np.where(makes_power, np.array(settings.PV_CAPACITY)[home], 0.0),
        base_load_kwh=np.array(settings.BASE_CONSUMPTION)[home],
        battery_kwh=np.where(owns_battery, np.array(settings.BATTERY_CAPACITY)[home], 0.0),
        kind=(PROSUMER,) * settings.NUM_PROSUMERS + (CONSUMER,) * settings.NUM_CONSUMERS,
    )


def assemble_fleet(
    settings: Settings,
    household_id: tuple[str, ...],
    home_type: tuple[str, ...],
    pv_capacity_kw: Real,
    base_load_kwh: Real,
    battery_kwh: Real,
    battery_kw: Real | None = None,
    kind: tuple[str, ...] | None = None,
) -> Fleet:
    """The fleet of these homes (N); battery_kw defaults to capacity times BATTERY_C_RATE.

    Without `kind` a home with neither PV nor battery is a consumer.
    """
    capacity_wh = battery_kwh * 1000
    power_kw = battery_kwh * settings.BATTERY_C_RATE if battery_kw is None else battery_kw
    has_nothing = (pv_capacity_kw == 0) & (battery_kwh == 0)
    return Fleet(
        household_id=household_id,
        kind=kind or tuple(CONSUMER if nothing else PROSUMER for nothing in has_nothing.tolist()),
        home_type=home_type,
        pv_capacity_kw=pv_capacity_kw,
        base_load_kwh=base_load_kwh,
        battery_capacity_wh=capacity_wh,
        min_stored_wh=capacity_wh * settings.BATTERY_MIN_SOC,
        max_stored_wh=capacity_wh * settings.BATTERY_MAX_SOC,
        initial_stored_wh=capacity_wh * settings.BATTERY_INITIAL_SOC,
        max_step_wh=np.floor(power_kw * settings.step_hours * 1000 + DUST_WH).astype(np.int64),
        efficiency=float(np.sqrt(settings.BATTERY_EFFICIENCY)),
    )


def initial_state(settings: Settings, fleet: Fleet) -> State:
    """Everybody's start: batteries at BATTERY_INITIAL_SOC, wallets at INITIAL_WALLET, nobody banned."""
    n = fleet.size
    balance = np.zeros(number_of_accounts(n, settings.NUM_MINERS), np.int64)
    balance[:n] = nanoeur(settings.INITIAL_WALLET)
    return State(
        stored_wh=fleet.initial_stored_wh.copy(),
        balance_nanoeur=balance,
        ban_steps_left=np.zeros(n, np.int64),
        ban_reason=np.zeros(n, np.int8),
        cooldown_steps=np.zeros((len(BanReason) - 1, n), np.int64),
        bonus_24h_nanoeur=np.zeros(n, np.int64),
        avoidable_24h_nanoeur=np.zeros(n, np.int64),
        period=Period(*np.zeros((4, n), np.int64)),
    )


# ---------------------------------------------------------------- what their batteries do


def plan_battery(
    fleet: Fleet, stored_wh: Real, residual_wh: Wh, levers: Levers | None = None
) -> BatteryPlan:
    """Each home's own use of its battery (N): charge the surplus first, discharge the deficit first.

    The regulator's levers may advise to sell a part of the surplus first, and to keep a reserve.
    """
    surplus, need = np.maximum(residual_wh, 0), np.maximum(-residual_wh, 0)
    share = levers.charge_share if levers else 1.0
    to_store = np.floor(share * surplus).astype(np.int64)
    power = fleet.max_step_wh
    return BatteryPlan(
        charge_wh=np.minimum(np.minimum(to_store, power), room_wh(fleet, stored_wh)),
        discharge_wh=np.minimum(
            np.minimum(need, power), above_reserve_wh(fleet, stored_wh, levers)
        ),
    )


def residual_after(pv_wh: Wh, load_wh: Wh, plan: BatteryPlan) -> Wh:
    """What self-balancing leaves of each home (N), in Wh: + surplus, - deficit."""
    return pv_wh - load_wh - plan.charge_wh + plan.discharge_wh


def room_wh(fleet: Fleet, stored_wh: Real) -> Wh:
    """What each battery could still take (N), whole Wh at the terminals, however long that lasts."""
    room = (fleet.max_stored_wh - stored_wh) / fleet.efficiency
    return np.maximum(np.floor(room), 0).astype(np.int64)


def above_reserve_wh(fleet: Fleet, stored_wh: Real, levers: Levers | None = None) -> Wh:
    """What each battery could still give above its reserve (N), whole Wh at the terminals."""
    share = levers.reserve_share if levers else 0.0
    reserve = fleet.min_stored_wh + share * (fleet.max_stored_wh - fleet.min_stored_wh)
    above = (stored_wh - reserve) * fleet.efficiency
    return np.maximum(np.floor(above), 0).astype(np.int64)


def stored_after(fleet: Fleet, stored_wh: Real, charge_wh: Wh, discharge_wh: Wh) -> Real:
    """What each battery holds after these flows at its terminals (N), in Wh."""
    return stored_wh + fleet.efficiency * charge_wh - discharge_wh / fleet.efficiency


# ---------------------------------------------------------------- what they offer


def make_orders(
    settings: Settings,
    fleet: Fleet,
    state: State,
    plan: BatteryPlan,
    residual_wh: Wh,
    prices: StepPrices,
    levers: Levers,
    timestep: int,
) -> Orders:
    """One order at most for each member: its residual, or what its battery offers or bids for.

    residual_wh (N) is what self-balancing left. Banned members and those below the threshold stay out.
    """
    offer, bid = storage_orders_wh(settings, fleet, state, plan, residual_wh, levers)
    wished = np.abs(residual_wh) + offer + bid
    energy = np.minimum(wished, trade_cap_wh(settings))
    takes_part = (wished >= threshold_wh(settings)) & (energy > 0) & ~state.is_banned
    member = np.flatnonzero(takes_part)

    asked = Orders(
        member=member.astype(np.int32),
        is_sale=(residual_wh + offer)[member] > 0,
        energy_wh=energy[member],
        limit_microeur_per_kwh=np.zeros(len(member), np.int64),
        of_battery=residual_wh[member] == 0,
        tie=settings.stream("ties", timestep).permutation(fleet.size)[member],
    )
    limits = quote(settings, fleet, asked, prices, levers, timestep)
    return replace(asked, limit_microeur_per_kwh=limits)


def storage_orders_wh(
    settings: Settings,
    fleet: Fleet,
    state: State,
    plan: BatteryPlan,
    residual_wh: Wh,
    levers: Levers,
) -> tuple[Wh, Wh]:
    """What batteries offer to, and want from, the neighbours (N each); a member does not do both.

    A share, per hour, of what lies above the reserve, and of the room, as far as the power left allows. A
    battery that holds too little for an offer may bid: it would stay there for good where nothing else moves it.
    """
    at_rest, power = residual_wh == 0, fleet.max_step_wh
    spare = above_reserve_wh(fleet, state.stored_wh, levers) - plan.discharge_wh
    room = room_wh(fleet, state.stored_wh) - plan.charge_wh
    offer_share = share_of_step(levers.offer_share, settings.step_hours)
    bid_share = share_of_step(levers.storage_bid_share, settings.step_hours)
    offer = np.minimum(np.floor(offer_share * spare + DUST_WH), power - plan.discharge_wh)
    bid = np.minimum(np.floor(bid_share * room + DUST_WH), power - plan.charge_wh)
    offers = at_rest & (plan.charge_wh == 0) & (offer >= threshold_wh(settings))
    bids = at_rest & (plan.discharge_wh == 0) & ~offers
    return (offers * offer).astype(np.int64), (bids * bid).astype(np.int64)


def share_of_step(share: float, step_hours: float) -> float:
    """The share whose repeated taking, step after step, takes `share` in an hour."""
    return float(1 - (1 - share) ** step_hours)


def threshold_wh(settings: Settings) -> float:
    """Smallest order in one step; dust of floats does not move it above a whole Wh."""
    return max(round(settings.IMBALANCE_THRESHOLD * settings.step_hours * 1000, 6), 1)


def trade_cap_wh(settings: Settings) -> int:
    """Most that a member may trade in one step, in whole Wh."""
    return int(settings.MAX_TRADE_CAP * settings.step_hours * 1000 + DUST_WH)


def outside_option(prices: StepPrices, penalty: int) -> tuple[int, int]:
    """(B, S): what a kWh costs and earns a member without a neighbour, micro-euro per kWh."""
    buy = min(prices.expected_buy + penalty, prices.grid_import)
    sell = max(prices.expected_sell - penalty, prices.grid_export)
    return buy, sell


def reservation_prices(prices: StepPrices, levers: Levers) -> tuple[int, int]:
    """(most a buyer, least a seller) can accept without loss against the outside option, bonus included."""
    buy, sell = outside_option(prices, levers.market_penalty)
    return buy + levers.p2p_bonus, max(sell - levers.p2p_bonus, 0)


def price_gap(prices: StepPrices) -> int:
    """What a kWh costs without a neighbour less what it earns, before any penalty."""
    buy, sell = outside_option(prices, penalty=0)
    return max(buy - sell, 0)


def quote(
    settings: Settings,
    fleet: Fleet,
    orders: Orders,
    prices: StepPrices,
    levers: Levers,
    timestep: int,
) -> Price:
    """The limit price of each order (K), micro-euro per kWh; they have none yet.

    bid = B - m gap + bonus, ask = S + m gap - bonus: each keeps the part m of the price gap. Penalty and
    bonus pass into the quotes whole. Were the margin a part of B - S, a larger penalty would widen the way
    from bid to ask as fast as it moves both limits, and would change no trade. A battery bids at most what
    the energy will be worth after its losses, and asks at least what refilling will cost.
    """
    buy, sell = outside_option(prices, levers.market_penalty)
    gap = price_gap(prices)
    margin = margins(settings, fleet, orders, levers, timestep)
    bonus = levers.p2p_bonus
    bid = buy - margin * gap + bonus
    ask = sell + margin * gap - bonus

    round_trip = fleet.efficiency**2
    worth = prices.mean_24h * levers.stored_value
    keep = microeur(settings.STORAGE_MARGIN)
    bid = np.where(orders.of_battery, np.minimum(bid, worth * round_trip - keep + bonus), bid)
    ask = np.where(orders.of_battery, np.maximum(ask, worth / round_trip + keep - bonus), ask)
    limit = np.where(orders.is_sale, ask, bid)
    return np.rint(np.clip(limit, 0, HIGHEST_PRICE)).astype(np.int64)


def margins(
    settings: Settings, fleet: Fleet, orders: Orders, levers: Levers, timestep: int
) -> Real:
    """The part of the price gap that each order's owner keeps (K): less where need presses.

    Need presses where the order is large against the member's usual load, and on the side that the
    published surplus puts in the majority. Beyond that members differ by temper, for good, and by mood,
    in each step.
    """
    member, energy_wh = orders.member, orders.energy_wh
    temper = settings.stream("temper").uniform(-1, 1, fleet.size)[member]
    mood = settings.stream("quotes", timestep).uniform(-1, 1, fleet.size)[member]
    usual_wh = np.maximum(fleet.base_load_kwh[member] * settings.step_hours * 1000, 1.0)
    haste = energy_wh / (energy_wh + usual_wh)
    crowded = orders.is_sale == (levers.expected_surplus_wh > 0)
    character = settings.QUOTE_VARIATION * (TEMPER * temper + MOOD * mood)
    margin = levers.margin * (PATIENCE - HASTE * haste) - CROWD * crowded + character
    return np.clip(margin, 0.0, MOST_MARGIN)


def accepts_market(prices: StepPrices, levers: Levers) -> tuple[bool, bool]:
    """(buyers, sellers): whether the local market, penalty inside, is no worse than the utility."""
    return (
        prices.expected_buy + levers.market_penalty <= prices.grid_import,
        prices.expected_sell - levers.market_penalty >= prices.grid_export,
    )
