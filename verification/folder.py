"""A saved results folder as numbers: what each file says, by step and member, still unjudged.

read.py turns the bytes of one file into numbers; this module knows which files a folder has,
what each of them promises, and how large it can be.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.blocks import Block, Chain, read_chain
from verification.fields import Fields
from verification.findings import BoolArray, Findings, IntArray, Progress, Unreadable, show
from verification.params import AUCTIONS, Settings, read_settings
from verification.read import LARGEST_FLOAT, Reader
from verification.reduction import Reduction, reduced
from verification.tables import BUYER, SELLER, UNKNOWN_WORD, Table, read_table

AGGREGATOR, UTILITY, REGULATOR, MINT, FIRST_MINER = -1, -2, -3, -4, -100
MARKET_PRICE = "market_price_microeur_per_kwh"
SELL_PRICE, BUY_PRICE = "market_sell_price_microeur_per_kwh", "market_buy_price_microeur_per_kwh"
INSTITUTIONS = ("aggregator", "utility", "regulator", "mint")
MOST_NANOEUR = 9 * 10**18  # what int64 can add up
SLACK_BYTES = 2**20  # what a file may have whatever the size of the others
SLACK_TABLE = 2**24  # the same of a table, which is read in pieces
LEAST_ROW_BYTES = 90  # of a step and member in prosumer_energy.csv
ROWS_AT_MOST = 10**6  # are read of a table where other files, which would bound it, cannot be read
SLACK_MEMBERS = 10_000  # the same of members
OF_TIMING = ("_seconds", "_per_second", "_mb")
SLACK_ROWS = 250_000  # what a table may have too many and still be judged row by row

FILES = (
    *("params.json", "prosumers.json", "community_summary.csv", "prosumer_energy.csv"),
    *("prosumer_trading.csv", "regulator_actions.csv", "all_trades.csv", "transfers.csv"),
    *("accounts.csv", "summary.json", "timing.json", "simulation_log.json", "blockchain.json"),
)
ENERGY = (
    "timestep,hour,prosumer_id,home_type,pv_kwh,load_kwh,battery_charge_kwh,battery_discharge_kwh,"
    "battery_level_kwh,battery_soc,p2p_bought_kwh,p2p_sold_kwh,market_bought_kwh,market_sold_kwh,"
    "grid_import_kwh,grid_export_kwh,curtailed_kwh,renewable_used_kwh"
)
TRADING = (
    "timestep,hour,prosumer_id,role,is_banned,order_kwh,limit_price_eur_per_kwh,p2p_kwh,"
    "p2p_trades,market_kwh"
)
TRADES = (
    "trade_id,timestep,hour,trade_type,buyer_id,seller_id,energy_kwh,price_eur_per_kwh,amount_eur,"
    "block_height,tx_id"
)
ACTIONS = "timestep,hour,prosumer_id,bonus_eur,penalty_eur,is_banned,ban_steps_left,ban_reason"
COMMUNITY = (
    "timestep,hour,price_forecast_eur_per_kwh,pv_kwh,load_kwh,surplus_kwh,deficit_kwh,p2p_kwh,"
    "p2p_trades,market_kwh,market_trades,grid_import_kwh,grid_export_kwh,active_buyers,"
    "active_sellers,banned_prosumers,blocks_mined,market_buy_price_eur_per_kwh,"
    "market_sell_price_eur_per_kwh,grid_import_price_eur_per_kwh,grid_export_price_eur_per_kwh,"
    "renewable_bonus_eur_per_kwh,p2p_bonus_eur_per_kwh,market_penalty_eur_per_kwh"
)
OUR_ACTIONS = ",avoidable_penalty_eur"
OUR_COMMUNITY = ",market_price_eur_per_kwh,net_kwh"
"""Columns beyond the contract, which this program promises of its own runs."""
TRANSFERS = "timestep,payer_id,payee_id,amount_eur,reason"
ACCOUNTS = "account_id,kind,opening_eur,balance_eur"


@dataclass(frozen=True)
class Member:
    """One member of prosumers.json, with everything that is told of it."""

    kind: str
    capacity_kwh: float
    initial_kwh: float
    told: dict[str, Any]

    @property
    def home_type(self) -> str | None:
        """As tables write it; None where that is no name."""
        home = self.told.get("home_type")
        return str(home) if type(home) in (str, int) else None


@dataclass(frozen=True)
class Saved:
    """A results folder as numbers.

    Tables by step and member are complete and in order: T steps times N members, row = t * N + i.
    """

    settings: Settings
    members: list[Member]
    steps: int
    energy: Table
    trading: Table
    actions: Table
    community: Table
    trades: Table
    transfers: Table
    accounts: Table
    summary: dict[str, Any]
    log: list[Any]
    chain: Chain | None
    home_types: tuple[str, ...]  # those of the members; prosumer_energy.csv holds places in it

    @property
    def blocks(self) -> list[Block]:
        """The chain, empty without ledger."""
        return self.chain.blocks if self.chain else []

    @property
    def parties(self) -> int:
        """Number of members, institutions and miners."""
        return len(self.members) + len(INSTITUTIONS) + self.settings.chain.miners

    def places(self, ids: IntArray) -> IntArray:
        """Place of each party: members 0..N-1, the institutions, the miners; -1 for nobody."""
        n, miners = len(self.members), self.settings.chain.miners
        place = np.where((ids >= 0) & (ids < n), ids, -1)
        place = np.where((ids < 0) & (ids >= MINT), n - 1 - ids, place)
        is_miner = (ids <= FIRST_MINER) & (ids > FIRST_MINER - miners)
        return np.where(is_miner, n + len(INSTITUTIONS) + FIRST_MINER - ids, place)

    def place_of(self, institution: int) -> int:
        return len(self.members) - 1 - institution

    def party_name(self, place: int) -> str:
        beyond = place - len(self.members)
        if beyond < 0:
            return f"member {place}"
        miner = beyond - len(INSTITUTIONS)
        return INSTITUTIONS[beyond] if miner < 0 else f"miner {miner}"

    @cached_property
    def sound_trades(self) -> BoolArray:
        """Which trades have a step, a kind and parties of this run."""
        trades, step = self.trades, self.trades["timestep"]
        known = (self.places(trades["buyer_id"]) >= 0) & (self.places(trades["seller_id"]) >= 0)
        known &= (step >= 0) & (step < self.steps)
        return np.asarray(known & (trades["trade_type"] != UNKNOWN_WORD))

    @cached_property
    def p2p_wh(self) -> IntArray:
        """What each member traded with neighbours in each step (T N)."""
        return self.energy["p2p_bought_wh"] + self.energy["p2p_sold_wh"]

    @cached_property
    def market_wh(self) -> IntArray:
        """What each member traded with the aggregator in each step (T N)."""
        return self.energy["market_bought_wh"] + self.energy["market_sold_wh"]

    @cached_property
    def rest_wh(self) -> IntArray:
        """What each member took from the utility or gave to it in each step (T N)."""
        return self.energy["grid_import_wh"] + self.energy["grid_export_wh"]

    @cached_property
    def of_battery(self) -> BoolArray:
        """Which orders are a battery's (T N): those of members whose homes have nothing left and lack nothing.

        What a battery trades flows through it; where less did than was traded, the order is the home's.
        """
        role, e = self.trading["role"], self.energy
        owns = np.tile([member.capacity_kwh > 0 for member in self.members], self.steps)
        battery = np.where(role == SELLER, e["battery_discharge_wh"], e["battery_charge_wh"])
        mine = owns & ((role == BUYER) | (role == SELLER)) & (battery >= self.p2p_wh)
        trades = self.settings.mechanism in AUCTIONS
        return np.asarray(mine & (self.rest_wh + self.market_wh == 0) & trades)

    @cached_property
    def reduction(self) -> Reduction:
        """What huang's auction makes of the orders of each step."""
        return reduced(self.trading, self.steps, len(self.members))

    def per_step(self, column: IntArray | BoolArray) -> IntArray:
        """Sums over members (T) of a column by step and member."""
        by_step = column.reshape(self.steps, len(self.members))
        return np.asarray(by_step.sum(axis=1, dtype=np.int64))

    def trade_name(self, row: int) -> str:
        """A trade with its block, where there is one."""
        block = f"block {self.trades['block_height'][row]}, " if self.chain else ""
        return f"{block}trade {row}"

    def row_name(self, row: int) -> str:
        return "step {}, member {}".format(*divmod(row, len(self.members)))


def step_name(step: int) -> str:
    return f"step {step}"


def step_before(column: NDArray[Any], first: NDArray[Any]) -> NDArray[Any]:
    """What a column by step and member (T N) says one step earlier; before step 0 stands `first` (N)."""
    return np.concatenate([first, column])[: len(column)]


# ------------------------------------------------------------------------------------- reading


def read_folder(folder: Path, findings: Findings, tell: Progress) -> Saved:
    """The folder as numbers; Unreadable with all problems of all files.

    A file out of proportion is refused unread: prosumer_energy.csv, which is read in pieces, has
    90 bytes or more for each step and member, and so bounds what other files can say about them.
    A table with far too many rows is not read further: so many findings would help nobody.
    """
    tell("reading", 0.0)
    reader = Reader(folder, findings, lambda share: tell("reading", 0.8 + 0.2 * share))
    reader.demand_folder()
    if not any(map(reader.exists, FILES)):
        raise Unreadable([f"{show(str(folder))}: holds no results; none of their files is there"])
    size = reader.size("prosumer_energy.csv") or SLACK_BYTES

    def table(name: str, header: str, times: int, due: int, **ways: Any) -> Table:
        most_rows = ROWS_AT_MOST if reader.problems else SLACK_ROWS + 2 * due
        return read_table(reader, name, header, SLACK_TABLE + times * size, most_rows, **ways)

    settings = read_settings(reader)
    most_members = SLACK_MEMBERS + size // (LEAST_ROW_BYTES * max(settings.time_steps, 1))
    members = read_members(reader, SLACK_BYTES + 16 * size, most_members)
    homes = (member.home_type for member in members)
    home_types = tuple(dict.fromkeys(home for home in homes if home is not None))
    steps = settings.time_steps or size // (LEAST_ROW_BYTES * len(members))
    of_steps = community_columns(settings)
    community = table("community_summary.csv", of_steps, 16, steps, of_one_member=False)
    by_member = community.rows * len(members)
    energy = table("prosumer_energy.csv", ENERGY, 1, by_member, home_types=home_types)
    tell("reading", 0.3)
    trading = table("prosumer_trading.csv", TRADING, 2, by_member)
    of_regulator = ACTIONS + OUR_ACTIONS * settings.ours
    actions = table("regulator_actions.csv", of_regulator, 8, by_member)
    tell("reading", 0.5)
    trades = table("all_trades.csv", TRADES, 64, trades_told(community))
    moves = 2 * trades.rows + 8 * (by_member + 2 * community.rows)
    reasons = () if settings.ours else ("reason",)
    transfers = table("transfers.csv", TRANSFERS, 64, moves, words_of_its_own=reasons)
    parties = len(members) + len(INSTITUTIONS) + settings.chain.miners
    accounts = table("accounts.csv", ACCOUNTS, 16, parties)
    tell("reading", 0.8)
    summary = Fields(reader, "summary.json", "", reader.json("summary.json", SLACK_BYTES))
    timing = Fields(reader, "timing.json", "", reader.json("timing.json", SLACK_BYTES))
    if settings.ours:
        check_timing(timing)
    log = read_log(reader, SLACK_ROWS + 2 * steps)
    chain = None
    if settings.consensus != "none":
        sound = not reader.counts["all_trades.csv"]
        told = reader.size("all_trades.csv") if sound else 0
        chain = read_chain(reader, told, settings.chain.block_size, trades if sound else None)
    check_sizes(reader, settings, len(members), energy.rows, community.rows, transfers)
    reader.raise_problems()

    n, steps = len(members), max(community.rows, energy.rows // len(members))
    for name in ("blockchain.json", "blocks.csv"):
        if chain is None and reader.exists(name):
            findings.add(name, "no ledger", 'the file is there, but CONSENSUS is "none"')
    community.parts["prosumer_id"] = [np.zeros(community.rows, dtype=np.int64)]
    return Saved(
        settings=settings,
        members=members,
        steps=steps,
        energy=by_step("prosumer_energy.csv", energy, steps, n, findings),
        trading=by_step("prosumer_trading.csv", trading, steps, n, findings),
        actions=by_step("regulator_actions.csv", actions, steps, n, findings),
        community=by_step("community_summary.csv", community, steps, 1, findings),
        trades=trades,
        transfers=transfers,
        accounts=accounts,
        summary=summary.raw,
        log=log,
        chain=chain,
        home_types=home_types,
    )


def trades_told(community: Table) -> int:
    """The number of trades that community_summary.csv tells, no step's beyond reason."""
    told = community["p2p_trades"], community["market_trades"]
    return sum(int(np.clip(column, 0, 2**31).sum()) for column in told)


def community_columns(settings: Settings) -> str:
    """The columns that community_summary.csv promises."""
    return COMMUNITY + OUR_COMMUNITY * settings.ours


def check_sizes(
    reader: Reader,
    settings: Settings,
    members: int,
    energy_rows: int,
    community_rows: int,
    transfers: Table,
) -> None:
    """Problems where a folder contradicts itself so much that sums fit neither memory nor int64."""
    if community_rows * members > 10**6 + 4 * energy_rows:
        due = f"{community_rows} steps x {members} members"
        reader.problem("prosumer_energy.csv", f"has {energy_rows} rows, other files say {due}")
    steps = max(community_rows, energy_rows // members)
    if (members + len(INSTITUTIONS) + settings.chain.miners) ** 2 * steps * 10 > MOST_NANOEUR:
        reader.problem("params.json", f"{settings.chain.miners} miners are too many to be real")
    if np.abs(transfers["amount_nanoeur"]).sum(dtype=np.float64) > MOST_NANOEUR:
        reader.problem("transfers.csv", f"moves more than {MOST_NANOEUR // 10**9:,} EUR")


def read_members(reader: Reader, largest_bytes: int, most: int) -> list[Member]:
    """Who takes part; where there is nobody, or the list is unusable, one stand-in, so that reading can go on."""
    members, known = [], reader.counts["prosumers.json"]
    for i, told in enumerate(reader.elements("prosumers.json", largest_bytes)):
        if reader.is_hopeless("prosumers.json"):
            break
        if i == most:
            words = f"has more than {most:,} members, so many cannot belong here"
            reader.problem("prosumers.json", words)
            break
        if type(told) is not dict:
            reader.problem("prosumers.json", f"member {i} is {show(told)}, should be an object")
            continue
        ask = Fields(reader, "prosumers.json", f"member {i}: ", told)
        if ask.whole("prosumer_id", 0, 2**31 - 1) != i:
            detail = f"prosumer_id is {show(ask.raw.get('prosumer_id'))}, expected {i}"
            reader.findings.add(f"member {i}", "member ids", detail)
        kind = ask.word("kind", ("prosumer", "consumer", "storage"))
        capacity = ask.number("battery_capacity_kwh", 0, 1e9)
        members.append(Member(kind, capacity, ask.number("initial_level_kwh", -1e9, 1e9), ask.raw))
    if not members and reader.counts["prosumers.json"] == known:
        reader.findings.add("prosumers.json", "members", "there is no member at all")
    return members or [Member("prosumer", 0.0, 0.0, {})]


def check_timing(ask: Fields) -> None:
    """What we tell of seconds and memory is a number, though no file can say which; memory may be unknown."""
    for name, told in ask.raw.items():
        unknown = told is None and name.endswith("_mb")
        if name.endswith(OF_TIMING) and not unknown:
            ask.number(name, 0, LARGEST_FLOAT)


def read_log(reader: Reader, most_steps: int) -> list[Any]:
    """simulation_log.json; a step takes less than 16 times the bytes of its row in the summary."""
    largest = SLACK_BYTES + 16 * reader.size("community_summary.csv")
    log = list(itertools.islice(reader.elements("simulation_log.json", largest), most_steps + 1))
    if len(log) > most_steps:
        words = f"has more than {most_steps:,} steps, so many cannot belong here"
        reader.problem("simulation_log.json", words)
    return log


def by_step(name: str, table: Table, steps: int, members: int, findings: Findings) -> Table:
    """The table with a row for each step and member in order; a missing one is a finding and 0."""
    step, member, size = table["timestep"], table["prosumer_id"], steps * members
    known = (step >= 0) & (step < steps) & (member >= 0) & (member < members)
    row = np.where(known, step, 0) * members + np.where(known, member, 0)
    if table.rows == size and known.all() and np.array_equal(row, np.arange(size)):
        return table

    def place(i: int) -> str:
        return f"{name}, step {step[i]}" + (f", member {member[i]}" if members > 1 else "")

    def missing_place(slot: int) -> str:
        t, i = divmod(slot, members)
        return f"{name}, step {t}" + (f", member {i}" if members > 1 else "")

    found, first = np.unique(row[known], return_index=True)
    first = np.flatnonzero(known)[first]
    repeated = known.copy()
    repeated[first] = False
    early = np.zeros(table.rows, np.bool_)
    early[np.flatnonzero(known)[1:]] = np.diff(row[known]) < 0
    missing = np.ones(size, np.bool_)
    missing[found] = False
    findings.rows(~known, "rows", place, "no such step or member in this run")
    findings.rows(repeated, "rows", place, "this row stands twice")
    findings.rows(early & ~repeated, "rows", place, "stands after a later row")
    findings.rows(missing, "rows", missing_place, "this row is missing")
    parts = {}
    for column in table.parts:
        values = np.zeros(size, dtype=np.int64)
        values[found] = table[column][first]
        parts[column] = [values]
    return Table(size, parts, table.tx_ids)
