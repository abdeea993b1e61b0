"""The nouns: what exists in the community. Frozen records whose arrays are read-only columns.

What a meter or a ledger counts is an integer: energy in Wh, prices in micro-euro per kWh, money in
nano-euro. Wh times micro-euro per kWh is nano-euro, so no bill is ever rounded. Shapes: N members,
T steps, K orders, M trades, L transfers, A accounts. Flows are never negative and carry their
direction in the name. Signed are the residual and an expected surplus (+ surplus, - deficit), a net
exchange (+ import) and the change in stored energy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Wh = NDArray[np.int64]
Money = NDArray[np.int64]  # nano-euro
Price = NDArray[np.int64]  # micro-euro per kWh
Ids = NDArray[np.int32]
Truth = NDArray[np.bool_]
Real = NDArray[np.float64]

AGGREGATOR, UTILITY, REGULATOR, MINT = -1, -2, -3, -4
FIRST_MINER = -100

HIGHEST_PRICE = 2 * 10**9
"""Cap of limit prices, micro-euro per kWh, far above any real price; where a rule asks nobody for a price, buyers have it."""

PROSUMER, CONSUMER = "prosumer", "consumer"


class TradeKind(IntEnum):
    """Kinds of trades, numbered as they stand on the chain."""

    P2P = 1
    LOCAL_MARKET = 2


class Reason(IntEnum):
    """Why money moves; the name in lower case is the word in transfers.csv."""

    P2P = 0
    LOCAL_MARKET = 1
    UTILITY_IMPORT = 2
    UTILITY_EXPORT = 3
    RENEWABLE_BONUS = 4
    P2P_BONUS = 5
    MARKET_PENALTY = 6
    BLOCK_REWARD = 7
    AUCTION_SPREAD = 8
    BILL_SHARING = 9


class BanReason(IntEnum):
    """Why a member may not trade; the name in lower case is the word in regulator_actions.csv."""

    NONE = 0
    EXCESSIVE_MARKET_USE = 1
    LOW_BALANCE = 2


@dataclass(frozen=True)
class Record:
    """Makes every array of a record read-only, so that a step cannot change what it was given."""

    def __post_init__(self) -> None:
        for column in vars(self).values():
            if isinstance(column, np.ndarray):
                column.flags.writeable = False


@dataclass(frozen=True)
class Fleet(Record):
    """The members (N) and what they own; made once by prosumer.make_fleet."""

    household_id: tuple[str, ...]
    kind: tuple[str, ...]
    home_type: tuple[str, ...]
    pv_capacity_kw: Real
    base_load_kwh: Real
    """Usual load in kWh per hour (BASE_CONSUMPTION, or the mean of the readings): what a large order is measured by."""
    battery_capacity_wh: Real
    min_stored_wh: Real
    max_stored_wh: Real
    initial_stored_wh: Real
    max_step_wh: Wh
    """Most that can be charged, or discharged, in one step, at the terminals."""
    efficiency: float
    """One way, sqrt of the round trip: stored' = stored + efficiency * charge - discharge / efficiency."""

    @property
    def size(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class Prices(Record):
    """Prices of each step (T), in micro-euro per kWh; known before the loop, equal for all members."""

    market: Price
    """What settles between aggregator and utility; values stored energy in reports."""
    wholesale_buy: Price
    wholesale_sell: Price
    """What the aggregator pays to, and gets from, the utility for its net exchange."""
    market_buy: Price
    market_sell: Price
    """What a member pays to, and gets from, the aggregator."""
    grid_import: Price
    grid_export: Price
    """What a member pays to, and gets from, the utility."""
    forecast: Price
    expected_buy: Price
    expected_sell: Price
    """What members expect of market, market_buy and market_sell when they make their offers."""
    mean_24h: Price
    """Mean of the forecast over the next 24 hours: what a kWh stored now will be worth."""

    def at(self, timestep: int) -> StepPrices:
        return StepPrices(**{name: int(column[timestep]) for name, column in vars(self).items()})


@dataclass(frozen=True)
class StepPrices:
    """One row of Prices: the same names, plain integers."""

    market: int
    wholesale_buy: int
    wholesale_sell: int
    market_buy: int
    market_sell: int
    grid_import: int
    grid_export: int
    forecast: int
    expected_buy: int
    expected_sell: int
    mean_24h: int

    def at_the_utility(self) -> StepPrices:
        """The same where no local market is to be had: what members expect to pay and get is the utility's price."""
        return replace(self, expected_buy=self.grid_import, expected_sell=self.grid_export)


@dataclass(frozen=True)
class Profiles(Record):
    """Sun and demand (T, N), prices and clock (T): everything that is drawn before the loop."""

    pv_wh: Wh
    load_wh: Wh
    prices: Prices
    hour: NDArray[np.int64]
    """Clock hour at the start of each step."""
    timestamp: tuple[str, ...] = ()
    """Start of each step, where the input gives dates; else empty."""

    @property
    def steps(self) -> int:
        return len(self.hour)

    def at(self, timestep: int) -> tuple[Wh, Wh, StepPrices]:
        """(PV, load, prices) of one step."""
        return self.pv_wh[timestep], self.load_wh[timestep], self.prices.at(timestep)


@dataclass(frozen=True)
class Period(Record):
    """What each member (N) has bought and sold since the start, from and to neighbours and the utility,
    and what the utility has billed and paid for its part; for rules that settle at the end."""

    bought_wh: Wh
    sold_wh: Wh
    billed_nanoeur: Money
    earned_nanoeur: Money


@dataclass(frozen=True)
class State(Record):
    """All that survives a step. Members' columns are (N), accounts (A)."""

    stored_wh: Real
    balance_nanoeur: Money
    """(A) Indexed by party id: members 0..N-1 from the front, the negative ids from the end."""
    ban_steps_left: NDArray[np.int64]
    ban_reason: NDArray[np.int8]
    cooldown_steps: NDArray[np.int64]
    """(2, N): steps until a member can be banned again, for each reason."""
    bonus_24h_nanoeur: Money
    avoidable_24h_nanoeur: Money
    period: Period
    recent: tuple[tuple[Money, Money], ...] = ()
    """(bonus, avoidable penalty) of each of the last 24 hours' steps, oldest first."""

    @property
    def is_banned(self) -> Truth:
        return self.ban_steps_left > 0


@dataclass(frozen=True)
class Levers:
    """What the regulator fixes before the orders of a step; known to all members.

    Money levers are in micro-euro per kWh; the others are physical or informational.
    """

    renewable_bonus: int
    p2p_bonus: int
    market_penalty: int
    offer_share: float
    storage_bid_share: float
    margin: float
    """Part of the gap between buying and selling price that a member keeps on an order as large as its usual load."""
    stored_value: float = 1.0
    """What members are told a stored kWh will be worth, as a multiple of the 24-hour mean."""
    charge_share: float = 1.0
    """Part of its own surplus that a home puts into its battery before it sells any."""
    reserve_share: float = 0.0
    """Part of the battery's window that is kept back for a later hour."""
    expected_surplus_wh: int = 0
    """The community's surplus (+) or deficit (-) that the regulator publishes for this step."""


@dataclass(frozen=True)
class BatteryPlan(Record):
    """What each battery does for its own home (N), at the terminals; never both in one step."""

    charge_wh: Wh
    discharge_wh: Wh


@dataclass(frozen=True)
class Orders(Record):
    """What members offer in one step (K), at most one order each."""

    member: Ids
    is_sale: Truth
    energy_wh: Wh
    limit_microeur_per_kwh: Price
    of_battery: Truth
    """Battery orders trade with neighbours only; what they leave does not go to the market."""
    tie: NDArray[np.int64]
    """Drawn rank that decides between equal prices, so that no member id has an edge."""

    @property
    def size(self) -> int:
        return len(self.member)


@dataclass(frozen=True)
class Trades(Record):
    """Who sold what to whom (M)."""

    seller: Ids
    buyer: Ids
    energy_wh: Wh
    price_microeur_per_kwh: Price
    kind: NDArray[np.uint8]

    @property
    def size(self) -> int:
        return len(self.seller)

    @property
    def amount_nanoeur(self) -> Money:
        return self.energy_wh * self.price_microeur_per_kwh


@dataclass(frozen=True)
class Flows(Record):
    """Energy of one step at each member's meter (N), in Wh, AC side."""

    pv_wh: Wh
    load_wh: Wh
    charge_wh: Wh
    discharge_wh: Wh
    p2p_bought_wh: Wh
    p2p_sold_wh: Wh
    market_bought_wh: Wh
    market_sold_wh: Wh
    grid_import_wh: Wh
    grid_export_wh: Wh
    curtailed_wh: Wh

    @property
    def renewable_used_wh(self) -> Wh:
        """PV that stays in the home: used at once or charged."""
        return np.minimum(self.pv_wh, self.load_wh + self.charge_wh)


@dataclass(frozen=True)
class Transfers(Record):
    """Movements of money (L): payer, payee, amount in nano-euro (never negative), Reason."""

    payer: Ids
    payee: Ids
    amount_nanoeur: Money
    reason: NDArray[np.uint8]

    @property
    def size(self) -> int:
        return len(self.payer)


@dataclass(frozen=True)
class Ruling(Record):
    """The regulator's decision on one step (N): amounts of this step and bans that begin after it."""

    bonus_nanoeur: Money
    penalty_nanoeur: Money
    avoidable_nanoeur: Money
    """The part of the penalty that trading with neighbours within reach would have avoided."""
    new_ban_steps: NDArray[np.int64]
    new_ban_reason: NDArray[np.int8]
    transfers: Transfers


@dataclass(frozen=True)
class Block:
    """One block: the header's fields, the work that found it, and its trades."""

    version: int
    height: int
    timestep: int
    miner: int
    difficulty: int
    previous_hash: bytes
    merkle_root: bytes
    nonce: int
    block_hash: bytes
    hashes_tried: int
    records: tuple[bytes, ...] = field(repr=False)
    """The trades as they were hashed, 37 bytes each."""


@dataclass(frozen=True)
class StepResult:
    """Everything that one step produced."""

    timestep: int
    levers: Levers
    residual_wh: Wh
    """(N) After self-balancing, before any trade: + surplus, - deficit."""
    orders: Orders
    trades: Trades
    flows: Flows
    transfers: Transfers
    ruling: Ruling
    blocks: tuple[Block, ...]
    prices: StepPrices
    was_banned: Truth
    state: State
    """The state after the step."""


def transfers(
    payer: Ids | int, payee: Ids | int, amount_nanoeur: Money, reason: Reason
) -> Transfers:
    """Transfers of one reason; payer and payee may each be one party for all. Zero amounts are left out."""
    rows = np.flatnonzero(amount_nanoeur)
    size = len(rows)

    def parties(who: Ids | int) -> Ids:
        if isinstance(who, np.ndarray):
            return who[rows].astype(np.int32)
        return np.full(size, who, np.int32)

    return Transfers(
        parties(payer), parties(payee), amount_nanoeur[rows], np.full(size, reason, np.uint8)
    )


def no_transfers() -> Transfers:
    nobody = np.zeros(0, np.int32)
    return Transfers(nobody, nobody, np.zeros(0, np.int64), np.zeros(0, np.uint8))


Rows = TypeVar("Rows", Trades, Transfers)


def joined(parts: list[Rows]) -> Rows:
    """One record of the same class from several, rows in the order given."""
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(kind)))


def account_changes(moves: Transfers, accounts: int) -> Money:
    """What these transfers change in each account (A); exact, since whole numbers are added."""
    change = np.zeros(accounts, np.int64)
    np.subtract.at(change, moves.payer, moves.amount_nanoeur)
    np.add.at(change, moves.payee, moves.amount_nanoeur)
    return change


def number_of_accounts(members: int, miners: int) -> int:
    """Size A of State.balance_nanoeur: members from the front, institutions and miners from the end."""
    return members - FIRST_MINER + miners - 1
