"""A saved results folder as numbers: what each file says, by step and member, still unjudged.

verify_read turns the bytes of one file into numbers; this module knows which files a folder has, what
each of them promises, and how large it can be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from verify_chain import Chain, Progress, Rules, read_chain
from verify_read import (
    UNKNOWN_WORD,
    BoolArray,
    Fields,
    Findings,
    IntArray,
    Reader,
    Table,
    show,
    unit_of,
)

AGGREGATOR, UTILITY, REGULATOR, MINT, FIRST_MINER = -1, -2, -3, -4, -100
INSTITUTIONS = ("aggregator", "utility", "regulator", "mint")

MOST_NANOEUR = 9 * 10**18  # what int64 can add up

ENERGY = (
    "timestep,hour,prosumer_id,home_type,pv_kwh,load_kwh,battery_charge_kwh,battery_discharge_kwh,"
    "battery_level_kwh,battery_soc,p2p_bought_kwh,p2p_sold_kwh,market_bought_kwh,market_sold_kwh,"
    "grid_import_kwh,grid_export_kwh,curtailed_kwh,renewable_used_kwh"
)
TRADING = "timestep,hour,prosumer_id,role,is_banned,order_kwh,limit_price_eur_per_kwh,p2p_kwh,p2p_trades,market_kwh"
TRADES = (
    "trade_id,timestep,hour,trade_type,buyer_id,seller_id,energy_kwh,price_eur_per_kwh,amount_eur,"
    "block_height,tx_id"
)
ACTIONS = "timestep,hour,prosumer_id,bonus_eur,penalty_eur,is_banned,ban_steps_left,ban_reason"
COMMUNITY = (
    "timestep,hour,price_forecast_eur_per_kwh,pv_kwh,load_kwh,surplus_kwh,deficit_kwh,p2p_kwh,p2p_trades,"
    "market_kwh,market_trades,grid_import_kwh,grid_export_kwh,active_buyers,active_sellers,banned_prosumers,"
    "blocks_mined,market_buy_price_eur_per_kwh,market_sell_price_eur_per_kwh,grid_import_price_eur_per_kwh,"
    "grid_export_price_eur_per_kwh,renewable_bonus_eur_per_kwh,p2p_bonus_eur_per_kwh,"
    "market_penalty_eur_per_kwh"
)
TRANSFERS = "timestep,payer_id,payee_id,amount_eur,reason"
ACCOUNTS = "account_id,kind,opening_eur,balance_eur"
FLOWS = tuple(
    unit_of(column)[0] for column in ENERGY.split(",") if unit_of(column)[0].endswith("_wh")
)


@dataclass(frozen=True)
class Settings:
    """What params.json says about the laws that hold in a run."""

    consensus: str
    seed: int
    time_steps: int  # 0 where the run's length was not set in steps
    trade_cap_wh: int  # of one member in one step
    efficiency: float  # one way
    min_soc: float
    max_soc: float
    wallet_nanoeur: int
    chain: Rules
    words: frozenset[
        str
    ]  # all texts among the settings, the name of the trading mechanism among them


@dataclass(frozen=True)
class Member:
    kind: str
    capacity_kwh: float
    initial_kwh: float
    told: dict[str, Any]  # everything that prosumers.json says


@dataclass(frozen=True)
class Saved:
    """A results folder as numbers. Tables by step and member are complete and in order: row = t * N + i."""

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

    @property
    def parties(self) -> int:
        """Members, the four institutions and the miners."""
        return len(self.members) + 4 + self.settings.chain.miners

    def places(self, ids: IntArray) -> IntArray:
        """Place of each party: members 0..N-1, then the institutions, then miners; -1 for nobody."""
        n, miners = len(self.members), self.settings.chain.miners
        place = np.where((ids >= 0) & (ids < n), ids, -1)
        place = np.where((ids < 0) & (ids >= MINT), n - 1 - ids, place)
        is_miner = (ids <= FIRST_MINER) & (ids > FIRST_MINER - miners)
        return np.where(is_miner, n + 4 + FIRST_MINER - ids, place)

    def place_of(self, institution: int) -> int:
        return len(self.members) - 1 - institution

    def party_name(self, place: int) -> str:
        beyond = place - len(self.members)
        if beyond < 0:
            return f"member {place}"
        return (
            INSTITUTIONS[beyond]
            if beyond < len(INSTITUTIONS)
            else f"miner {beyond - len(INSTITUTIONS)}"
        )

    @cached_property
    def sound_trades(self) -> BoolArray:
        """Which trades have a step, a kind and parties of this run."""
        trades, step = self.trades, self.trades["timestep"]
        in_time = (step >= 0) & (step < self.steps)
        known = (self.places(trades["buyer_id"]) >= 0) & (self.places(trades["seller_id"]) >= 0)
        return in_time & known & (trades["trade_type"] != UNKNOWN_WORD)

    def row_name(self, row: int) -> str:
        return "step {}, member {}".format(*divmod(row, len(self.members)))

    def per_step(self, column: IntArray) -> IntArray:
        """Sums over members (T) of a column by step and member."""
        return np.asarray(column.reshape(self.steps, len(self.members)).sum(axis=1))

    def in_step(self, column: str) -> IntArray:
        """A price or lever of community_summary for each row by step and member."""
        return np.repeat(self.community[column], len(self.members))


def step_name(step: int) -> str:
    return f"step {step}"


def read_folder(folder: Path, findings: Findings, tell: Progress) -> Saved:
    """The folder as numbers. A file out of proportion to prosumer_energy.csv is refused unread.

    prosumer_energy.csv is read in pieces and has a row of 90 bytes or more for each step and member,
    so it bounds what the other files can have to say about them.
    """
    tell("reading", 0.0)
    reader = Reader(folder, findings)
    size, slack = reader.size("prosumer_energy.csv"), 2**20
    settings = read_settings(reader)
    members = read_members(reader, slack + 16 * size)
    energy = reader.table("prosumer_energy.csv", ENERGY, size)
    tell("reading", 0.3)
    trading = reader.table("prosumer_trading.csv", TRADING, slack + 2 * size)
    actions = reader.table("regulator_actions.csv", ACTIONS, slack + 8 * size)
    community = reader.table(
        "community_summary.csv", COMMUNITY, slack + 16 * size, per_member=False
    )
    tell("reading", 0.5)
    trades = reader.table("all_trades.csv", TRADES, slack + 64 * size)
    transfers = reader.table("transfers.csv", TRANSFERS, slack + 64 * size)
    accounts = reader.table("accounts.csv", ACCOUNTS, slack + size + 100 * settings.chain.miners)
    tell("reading", 0.8)
    summary = Fields(reader, "summary.json", "", reader.json("summary.json", 16 * slack))
    Fields(reader, "timing.json", "", reader.json("timing.json", 16 * slack))
    log = reader.json("simulation_log.json", slack + 64 * reader.size("community_summary.csv"))
    if log is not None and type(log) is not list:
        reader.problem("simulation_log.json", f"is {show(log)}, should be a list of steps")
    chain = None
    if settings.consensus != "none":
        chain = read_chain(reader, reader.size("all_trades.csv"))
    if np.abs(transfers["amount_nanoeur"].astype(np.float64)).sum() > MOST_NANOEUR:
        reader.problem("transfers.csv", f"moves more than {MOST_NANOEUR / 1e9:,.0f} EUR")
    reader.raise_problems()
    steps = max(community.rows, energy.rows // len(members))
    if steps * len(members) > 10**6 + 4 * energy.rows:
        reader.problem(
            "prosumer_energy.csv", f"has {energy.rows} rows for {steps} x {len(members)} due"
        )
    if (len(members) + settings.chain.miners) ** 2 * steps * 16 > MOST_NANOEUR:
        reader.problem(
            "params.json", f"{settings.chain.miners} miners are too many for this community"
        )
    reader.raise_problems()
    if steps == 0:
        findings.add("community_summary.csv", "rows", "no step at all")
    if settings.time_steps not in (0, steps):
        findings.add(
            "params.json", "steps", f"TIME_STEPS is {settings.time_steps}, found {steps} steps"
        )
    for name in ("blockchain.json", "blocks.csv"):
        if chain is None and reader.exists(name):
            findings.add(name, "no ledger", 'the file is there, but CONSENSUS is "none"')
    community.columns["prosumer_id"] = np.zeros(community.rows, dtype=np.int64)
    return Saved(
        settings=settings,
        members=members,
        steps=steps,
        energy=by_step("prosumer_energy.csv", energy, steps, len(members), findings),
        trading=by_step("prosumer_trading.csv", trading, steps, len(members), findings),
        actions=by_step("regulator_actions.csv", actions, steps, len(members), findings),
        community=by_step("community_summary.csv", community, steps, 1, findings),
        trades=trades,
        transfers=transfers,
        accounts=accounts,
        summary=summary.raw,
        log=log,
        chain=chain,
    )


def read_settings(reader: Reader) -> Settings:
    """The settings that the laws refer to; the chain is bound to the bytes of the file."""
    data = reader.bytes("params.json", 2**24)
    raw = reader.json("params.json", 2**24) if data is not None else None
    ask = Fields(reader, "params.json", "", raw)
    consensus = ask.word("CONSENSUS", ("pow", "pos", "none"))
    miners = ask.whole("NUM_MINERS", 1, 10**6)
    difficulty = ask.whole("DIFFICULTY_TARGET", 0, 64)
    step_hours = ask.number("TIME_STEP_DURATION", 1e-3, 8760)
    cap_wh = ask.number("MAX_TRADE_CAP", 0, 1e9) * 1000 * step_hours
    rules = Rules(
        version=2 if consensus == "pos" else 1,
        miners=miners,
        difficulty=0 if consensus == "pos" else difficulty,
        reward_nanoeur=round(ask.number("BLOCK_REWARD", 0, 9e9) * 10**9),
        block_size=ask.whole("MAX_TRANSACTIONS_PER_BLOCK", 1, 2**32),
        weights=ask.wholes("MINER_HASH_POWER", low=1, usual=miners, length=miners),
        stakes=ask.wholes("VALIDATOR_STAKES", low=0, usual=miners) if consensus == "pos" else (),
        genesis_root=sha256(data or b"").digest(),
    )
    return Settings(
        consensus=consensus,
        seed=ask.whole("SEED", 0, 2**64),
        time_steps=ask.whole("TIME_STEPS", 0, 10**9),
        trade_cap_wh=math.ceil(cap_wh - 1e-6),  # a fraction of a Wh may be rounded up
        efficiency=math.sqrt(ask.number("BATTERY_EFFICIENCY", 1e-6, 1)),
        min_soc=ask.number("BATTERY_MIN_SOC", 0, 1),
        max_soc=ask.number("BATTERY_MAX_SOC", 0, 1),
        wallet_nanoeur=round(ask.number("INITIAL_WALLET", -9e9, 9e9) * 10**9),
        chain=rules,
        words=frozenset(value for value in ask.raw.values() if type(value) is str),
    )


def read_members(reader: Reader, largest_bytes: int) -> list[Member]:
    """Who takes part; where the list is unusable one stand-in, so that reading can go on."""
    raw = reader.json("prosumers.json", largest_bytes)
    if raw is not None and (type(raw) is not list or not raw):
        reader.problem("prosumers.json", f"is {show(raw)}, should be a list of members")
        raw = None
    members = []
    for i, told in enumerate(raw or []):
        ask = Fields(reader, "prosumers.json", f"member {i}: ", told)
        if ask.given and ask.whole("prosumer_id", 0, 2**31 - 1) != i:
            reader.findings.add(
                f"member {i}", "member ids", f"prosumer_id is {ask.raw.get('prosumer_id')}"
            )
        kind = ask.word("kind", ("prosumer", "consumer", "storage"))
        capacity = ask.number("battery_capacity_kwh", 0, 1e9)
        members.append(Member(kind, capacity, ask.number("initial_level_kwh", -1e9, 1e9), ask.raw))
    return members or [Member("prosumer", 0.0, 0.0, {})]


def by_step(name: str, table: Table, steps: int, members: int, findings: Findings) -> Table:
    """The table with one row for each step and member, in order; what is missing is a finding, and 0."""
    step, member = table["timestep"], table["prosumer_id"]
    known = (step >= 0) & (step < steps) & (member >= 0) & (member < members)
    row = np.where(known, step, 0) * members + np.where(known, member, 0)
    if table.rows == steps * members and known.all() and np.array_equal(row, np.arange(table.rows)):
        return table

    def place(i: int) -> str:
        return f"{name}, step {step[i]}" + (f", member {member[i]}" if members > 1 else "")

    findings.rows(~known, "rows", place, lambda i: "no such step or member in this run")
    places, first = np.unique(row[known], return_index=True)
    repeated = np.flatnonzero(known)
    repeated = np.delete(repeated, first)
    findings.rows(_mask(table.rows, repeated), "rows", place, lambda i: "this row stands twice")
    missing = np.setdiff1d(np.arange(steps * members), places)
    for slot in missing.tolist():
        t, i = divmod(slot, members)
        findings.add(
            f"{name}, step {t}" + (f", member {i}" if members > 1 else ""), "rows", "row missing"
        )
    order = np.flatnonzero(known)[1:][np.diff(row[known]) < 0]
    findings.rows(_mask(table.rows, order), "rows", place, lambda i: "stands after a later row")
    chosen = np.flatnonzero(known)[first]
    columns = {}
    for column, values in table.columns.items():
        columns[column] = np.zeros(steps * members, dtype=np.int64)
        columns[column][places] = values[chosen]
    return Table(steps * members, columns, table.texts)


def _mask(rows: int, marked: IntArray) -> BoolArray:
    mask = np.zeros(rows, dtype=np.bool_)
    mask[marked] = True
    return mask
