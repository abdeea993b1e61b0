"""What params.json says: the settings to which the laws of a run refer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from verification.blocks import Rules
from verification.fields import Fields
from verification.findings import show
from verification.read import Reader, is_number

LARGEST_PARAMS = 2**20  # bytes
LARGEST = 10**6  # of any setting that only our own runs have
SHARE, AMOUNT, SIGNED = (0, 1), (0, LARGEST), (-LARGEST, LARGEST)  # what numbers may be
OUR_NUMBERS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("HAS_BATTERY", "PV_SYSTEM_EFFICIENCY", "BATTERY_INITIAL_SOC"), SHARE),
    **dict.fromkeys(("CLOUD_MIN_TRANSMISSION", "CLOUD_PERSISTENCE", "ROOF_VARIATION"), SHARE),
    **dict.fromkeys(("LOAD_VARIATION", "PRICE_VARIATION", "FORECAST_ERROR"), SHARE),
    **dict.fromkeys(("OFFER_SHARE", "STORAGE_BID_SHARE"), SHARE),
    **dict.fromkeys(("QUOTE_MARGIN", "QUOTE_VARIATION"), SHARE),
    **dict.fromkeys(("SEASON_FACTOR", "ORIENTATION_SHIFT", "MIN_LOAD", "BATTERY_C_RATE"), AMOUNT),
    **dict.fromkeys(("BASE_PRICE", "RETAIL_PRICE", "FEED_IN_PRICE", "LOCAL_MARKET_FEE"), AMOUNT),
    **dict.fromkeys(("IMBALANCE_THRESHOLD", "STORAGE_MARGIN"), AMOUNT),
    **dict.fromkeys(("RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"), AMOUNT),
    **dict.fromkeys(("BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS"), AMOUNT),
    **dict.fromkeys(("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT"), SIGNED),
}
OUR_COUNTS = ("NUM_PROSUMERS", "NUM_CONSUMERS")
OF_HOME_TYPES = ("PV_CAPACITY", "BASE_CONSUMPTION", "BATTERY_CAPACITY")
OF_HOURS = ("LOAD_PATTERN", "PRICE_PATTERN")
OUR_LISTS = (*OF_HOME_TYPES, *OF_HOURS)
OUR_WORDS = ("MARKET_MECHANISM", "REGULATOR_OBJECTIVE", "HOUSEHOLDS")
OUR_SETTINGS = (*OUR_NUMBERS, *OUR_COUNTS, *OUR_LISTS, *OUR_WORDS, "VERBOSE")
"""Settings beyond the contract, all of which a run of ours tells."""
UNREAD = {
    *("CLOUD_PERSISTENCE", "QUOTE_MARGIN", "QUOTE_VARIATION", "STORAGE_MARGIN"),
    *("HOUSEHOLDS", "VERBOSE"),
}
OUR_LAWS = tuple(name for name in OUR_SETTINGS if name not in UNREAD)
"""Of them those to which a law of any program refers; the others may be anything in another program's hands."""
OUR_COLUMNS = ("avoidable_penalty_eur", "market_price_eur_per_kwh", "net_kwh")
"""Those beyond the contract; folder.py says which file has which."""
AUCTIONS = ("midpoint", "uniform", "pay_as_bid", "huang")
SHARING = ("mid_market_rate", "supply_demand_ratio", "bill_sharing")
EVERY_RULE = (*AUCTIONS, *SHARING, "none")
INPUTS = ("data", "members", "prices")
HASH = re.compile("[0-9a-f]{64}")


def are_numbers(told: Any) -> bool:
    """Whether this is a list of numbers, none of them beyond LARGEST."""
    if type(told) is not list or not told:
        return False
    return all(is_number(one) and abs(one) <= LARGEST for one in told)


def are_ours(told: Mapping[str, Any], reader: Reader) -> bool:
    """Whether a run of this program wrote these settings.

    Another program may know many to which a law refers, but hardly all; nor has it all columns that ours alone has,
    or one of them and most of those settings. Where it does, a setting that is missing has been taken away.
    """
    there = sum(name in told for name in OUR_LAWS)
    columns = reader.header("regulator_actions.csv") + reader.header("community_summary.csv")
    return (
        there == len(OUR_LAWS)
        or all(name in columns for name in OUR_COLUMNS)
        or (any(name in columns for name in OUR_COLUMNS) and 2 * there > len(OUR_LAWS))
    )


def microeur(euro: float) -> int:
    return round(euro * 10**6)


@dataclass(frozen=True)
class Settings:
    """What params.json says about the laws that hold in a run."""

    consensus: str
    seed: int
    time_steps: int  # 0 where the run's length was not set in steps
    step_seconds: int
    trade_cap_wh: int  # of one member in one step
    efficiency: float  # one way
    min_soc: float
    max_soc: float
    wallet_nanoeur: int
    chain: Rules
    mechanism: str  # the market rule between neighbours, "" where it is not told
    ours: bool  # whether a run of this program wrote them: then it promises more than the contract does
    told: dict[str, Any]  # all settings as they stand in the file

    @property
    def objective(self) -> str:
        """That of the regulator, "" where it is not told."""
        return str(self.told.get("REGULATOR_OBJECTIVE", ""))

    def took(self, file: str) -> bool:
        """Whether the run was given this file: data, members or prices."""
        given = self.told.get("inputs")
        return type(given) is dict and file in given

    def number(self, name: str) -> float | None:
        """A setting that is a number, None where it is not there."""
        value = self.told.get(name)
        return float(value) if is_number(value) else None

    def all_numbers(self, *names: str) -> list[float]:
        """These settings, or nothing unless all of them are there and numbers."""
        values = [self.number(name) for name in names]
        return [] if None in values else [value or 0.0 for value in values]

    def numbers(self, name: str) -> list[float]:
        """A setting that is a list of numbers, empty where it is not there."""
        value = self.told.get(name)
        return [float(one) for one in value] if value and are_numbers(value) else []


def read_settings(reader: Reader) -> Settings:
    """The settings that the laws refer to; the chain is bound to the bytes of the file."""
    data = reader.content("params.json", LARGEST_PARAMS)
    raw = None if data is None else reader.parsed("params.json", data)
    ask = Fields(reader, "params.json", "", raw)
    consensus = ask.word("CONSENSUS", ("pow", "pos", "none"))
    ours = are_ours(ask.raw, reader)
    ledger = ask
    if consensus == "none" and not ours:
        ledger = Fields(reader, "params.json", "", LEDGER_OF_NOBODY | ask.raw)
    miners = ledger.whole("NUM_MINERS", 1, 10_000)
    difficulty = ledger.whole("DIFFICULTY_TARGET", 0, 64)
    step_hours = ask.number("TIME_STEP_DURATION", 1e-3, 8760)
    cap_wh = ask.number("MAX_TRADE_CAP", 0, 1e9) * 1000 * step_hours
    chain = Rules(
        version=2 if consensus == "pos" else 1,
        miners=miners,
        difficulty=0 if consensus == "pos" else difficulty,
        reward_nanoeur=round(ledger.number("BLOCK_REWARD", 0, 1e9) * 10**9),
        block_size=ledger.whole("MAX_TRANSACTIONS_PER_BLOCK", 1, 2**62),
        weights=ask.wholes("MINER_HASH_POWER", 1, 2**63, length=miners)
        if ask.raw.get("MINER_HASH_POWER") not in (None, [])
        else (1,) * miners,
        stakes=ask.wholes("VALIDATOR_STAKES", 0, 2**256) if consensus == "pos" else (),
        genesis_root=sha256(data or b"").digest(),
    )
    check_our_settings(ask, ours)
    return Settings(
        consensus=consensus,
        seed=ask.whole("SEED", 0, 2**128),
        time_steps=ask.whole("TIME_STEPS", 0, 10**9),
        step_seconds=round(step_hours * 3600),
        trade_cap_wh=math.ceil(cap_wh - 1e-6),  # a fraction of a Wh may be rounded up
        efficiency=math.sqrt(ask.number("BATTERY_EFFICIENCY", 1e-6, 1)),
        min_soc=ask.number("BATTERY_MIN_SOC", 0, 1),
        max_soc=ask.number("BATTERY_MAX_SOC", 0, 1),
        wallet_nanoeur=round(ask.number("INITIAL_WALLET", -1e9, 1e9) * 10**9),
        chain=chain,
        mechanism=str(ask.raw.get("MARKET_MECHANISM", "")),
        ours=ours,
        told=ask.raw,
    )


LEDGER_OF_NOBODY = {
    "NUM_MINERS": 1,
    "DIFFICULTY_TARGET": 0,
    "BLOCK_REWARD": 0,
    "MAX_TRANSACTIONS_PER_BLOCK": 1,
}
"""What means nothing without a ledger, so that another program may leave it out."""


def check_our_settings(ask: Fields, ours: bool) -> None:
    """Problems for settings that are not what a run of this program writes: their laws would go unread.

    Those of our own runs must be within reason; of another program's those that are there, of the right type.
    """
    if ours:
        check_values(ask)
        check_inputs(ask)
        return
    for name in (name for name in OUR_LAWS if name in ask.raw):
        if name in OUR_LISTS:
            ask.ask(name, are_numbers, f"a list of numbers from {-LARGEST} to {LARGEST}", [])
        elif name in OUR_WORDS:
            ask.ask(name, is_text, "a word", "")
        else:
            ask.ask(name, is_number, "a number", 0.0)


def check_values(ask: Fields) -> None:
    """All settings of ours are there, of the type and the size that a law needs."""
    for name, (low, high) in OUR_NUMBERS.items():
        ask.number(name, low, high)
    for name in OUR_COUNTS:
        ask.whole(name, 0, LARGEST)
    for name in OUR_WORDS:
        ask.ask(name, is_text, "a word", "")
    for name in ("MINER_HASH_POWER", "VALIDATOR_STAKES"):
        ask.ask(name, lambda told: type(told) is list, "a list", [])
    ask.ask("VERBOSE", lambda told: type(told) is bool, "true or false", True)
    lists = [ask.raw[name] for name in OF_HOME_TYPES if type(ask.raw.get(name)) is list]
    types = max(map(len, lists), default=1)
    for names, size, things in ((OF_HOURS, 24, "hour"), (OF_HOME_TYPES, types, "home type")):
        for name in names:
            holds = partial(are_amounts, size)
            ask.ask(name, holds, f"{size} numbers from 0 to {LARGEST}, one per {things}", [])


def is_text(told: Any) -> bool:
    return type(told) is str


def are_amounts(size: int, told: Any) -> bool:
    """Whether this is a list of so many numbers, none of them below 0."""
    return are_numbers(told) and len(told) == size and min(told) >= 0


def check_inputs(ask: Fields) -> None:
    """For each input file its name and SHA-256; homes are picked and described of a data file only."""
    told = ask.raw.get("inputs", {})
    should = f"files among {', '.join(INPUTS)}, each with its name and sha256"
    ask.ask("inputs", lambda _: type(told) is dict and set(told) <= set(INPUTS), should, {})
    if type(told) is not dict:
        return
    for name, file in told.items():
        right = type(file) is dict and is_text(file.get("name")) and is_text(file.get("sha256"))
        if not right or not HASH.fullmatch(file["sha256"]):
            detail = f"inputs: {name} is {show(file)}, should be a name and a sha256"
            ask.reader.problem(ask.file, detail)
    if "data" not in told and ("members" in told or str(ask.raw.get("HOUSEHOLDS", "")).strip()):
        ask.reader.problem(ask.file, "inputs: no data, whose homes were picked or described")
