"""What params.json says: the settings to which the laws of a run refer.

The tables answer two questions. What may a setting be: ANY and OURS for the settings of the contract, in any folder
and in a run of this program; OUR_NUMBERS, OUR_COUNTS, OUR_LISTS and OUR_WORDS for those that only this program has
(together OUR_SETTINGS). And whose run is it (`are_ours`): OUR_LAWS and OUR_COLUMNS tell.
"""

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
SHARE, EFFICIENCY, FACTOR, SUN_HOURS, HOURS = (0, 1), (0.01, 1), (0, 10), (0, 6), (0, 8760)
AMOUNT, THRESHOLD, PRICE, INCENTIVE = (0, LARGEST), (0, 1000), (0, 1000), (0, 100)
MONEY = (-LARGEST, LARGEST)
OUR_NUMBERS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("HAS_BATTERY", "BATTERY_INITIAL_SOC"), SHARE),
    **dict.fromkeys(("CLOUD_MIN_TRANSMISSION", "CLOUD_PERSISTENCE", "ROOF_VARIATION"), SHARE),
    **dict.fromkeys(("LOAD_VARIATION", "PRICE_VARIATION", "FORECAST_ERROR"), SHARE),
    **dict.fromkeys(("OFFER_SHARE", "STORAGE_BID_SHARE"), SHARE),
    **dict.fromkeys(("QUOTE_MARGIN", "QUOTE_VARIATION"), SHARE),
    "PV_SYSTEM_EFFICIENCY": EFFICIENCY,
    **dict.fromkeys(("SEASON_FACTOR", "BATTERY_C_RATE"), FACTOR),
    "ORIENTATION_SHIFT": SUN_HOURS,
    "MIN_LOAD": AMOUNT,
    "IMBALANCE_THRESHOLD": THRESHOLD,
    **dict.fromkeys(("BASE_PRICE", "RETAIL_PRICE", "FEED_IN_PRICE"), PRICE),
    **dict.fromkeys(("LOCAL_MARKET_FEE", "STORAGE_MARGIN"), PRICE),
    **dict.fromkeys(("RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"), INCENTIVE),
    "REGULATOR_BUDGET": (0, 4e9),
    **dict.fromkeys(("BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS"), HOURS),
    **dict.fromkeys(("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT"), MONEY),
}
"""From what to what a run of ours may set each of them; of the settings of any program, below."""
ANY: dict[str, tuple[float, float]] = {
    "SEED": (0, 2**128),
    "TIME_STEPS": (0, 10**9),
    "TIME_STEP_DURATION": (1e-3, 8760),
    "NUM_MINERS": (1, 10_000),
    "DIFFICULTY_TARGET": (0, 64),
    "BLOCK_REWARD": (0, 1e9),
    "MAX_TRANSACTIONS_PER_BLOCK": (1, 2**62),
    "MAX_TRADE_CAP": (0, 1e9),
    "INITIAL_WALLET": (-1e9, 1e9),
    "BATTERY_EFFICIENCY": (1e-6, 1),
    "BATTERY_MIN_SOC": SHARE,
    "BATTERY_MAX_SOC": SHARE,
    "MINER_HASH_POWER": (1, 2**63 - 1),
    "VALIDATOR_STAKES": (0, 2**256 - 1),
}
OURS: dict[str, tuple[float, float]] = ANY | {
    "SEED": (0, 2**63 - 1),
    "TIME_STEPS": (1, 10**9),  # a data file may have more than a user may ask for
    "TIME_STEP_DURATION": (0.083, 1),
    "DIFFICULTY_TARGET": (0, 16),
    "BLOCK_REWARD": AMOUNT,
    "MAX_TRANSACTIONS_PER_BLOCK": (1, 10**6),
    "MAX_TRADE_CAP": AMOUNT,
    "INITIAL_WALLET": MONEY,
    "BATTERY_EFFICIENCY": EFFICIENCY,
    "MINER_HASH_POWER": (1, 1000),
    "VALIDATOR_STAKES": (0, 10**12),
}
LEAST_VALIDATORS = 10
OUR_COUNTS = ("NUM_PROSUMERS", "NUM_CONSUMERS")
OF_HOME_TYPES = ("PV_CAPACITY", "BASE_CONSUMPTION", "BATTERY_CAPACITY")
OF_HOURS = ("LOAD_PATTERN", "PRICE_PATTERN")
OUR_LISTS = {**dict.fromkeys(OF_HOME_TYPES, LARGEST), **dict.fromkeys(OF_HOURS, 100)}
"""The largest number in each of them."""
OUR_WORDS = ("MARKET_MECHANISM", "REGULATOR_OBJECTIVE", "HOUSEHOLDS")
OUR_SETTINGS = (*OUR_NUMBERS, *OUR_COUNTS, *OUR_LISTS, *OUR_WORDS, "VERBOSE")
"""Settings beyond the contract, all of which a run of ours tells."""
UNREAD = {
    *("CLOUD_PERSISTENCE", "QUOTE_MARGIN", "QUOTE_VARIATION", "STORAGE_MARGIN"),
    *("HOUSEHOLDS", "VERBOSE"),
}
OUR_LAWS = tuple(name for name in OUR_SETTINGS if name not in UNREAD)
"""Those of OUR_SETTINGS that are read in the folder of any program; the others may be anything there."""
OUR_COLUMNS = ("avoidable_penalty_eur", "market_price_eur_per_kwh", "net_kwh")
"""Those beyond the contract; folder.py says which file has which."""
AUCTIONS = ("midpoint", "uniform", "pay_as_bid", "huang")
SHARING = ("mid_market_rate", "supply_demand_ratio", "bill_sharing")
EVERY_RULE = (*AUCTIONS, *SHARING, "none")
OBJECTIVES = ("maximize_renewable", "maximize_profit", "maximize_p2p", "chaos")
MARKET_FOLLOWS = ("midpoint", "uniform", "pay_as_bid", "huang")
"""After these the local market takes what neighbours leave, after the others the utility."""
INPUTS = ("data", "members", "prices")
HASH = re.compile("[0-9a-f]{64}")


def are_numbers(told: Any) -> bool:
    """Whether this is a list of numbers, none of them beyond LARGEST."""
    if type(told) is not list or not told:
        return False
    return all(is_number(one) and abs(one) <= LARGEST for one in told)


def are_ours(told: Mapping[str, Any], reader: Reader) -> bool:
    """Whether a run of this program wrote these settings.

    They are ours where all of OUR_LAWS are there, or all of OUR_COLUMNS, or one of these columns and most of those
    settings: another program hardly has so much in common with ours. A setting that is missing then was taken away.
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
    wallet_nanoeur: int | None  # of each member before the first step, None where nobody tells
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
    limits = OURS if ours else ANY
    if not ours:
        ask = Fields(reader, "params.json", "", unsaid(ask.raw, consensus) if ask.given else raw)

    def whole(name: str) -> int:
        return ask.whole(name, *map(int, limits[name]))

    def number(name: str) -> float:
        return ask.number(name, *limits[name])

    def wholes(name: str, length: int | None) -> tuple[int, ...]:
        low, high = map(int, limits[name])
        return ask.wholes(name, low, high + 1, length)

    miners, difficulty = whole("NUM_MINERS"), whole("DIFFICULTY_TARGET")
    step_hours = number("TIME_STEP_DURATION")
    cap_wh = number("MAX_TRADE_CAP") * 1000 * step_hours
    by_stake, power = consensus == "pos", ask.raw.get("MINER_HASH_POWER") not in (None, [])
    chain = Rules(
        version=2 if by_stake else 1,
        miners=miners,
        difficulty=0 if by_stake else difficulty,
        reward_nanoeur=round(number("BLOCK_REWARD") * 10**9),
        block_size=whole("MAX_TRANSACTIONS_PER_BLOCK"),
        weights=wholes("MINER_HASH_POWER", miners) if power else (1,) * miners,
        stakes=wholes("VALIDATOR_STAKES", miners if ours else None) if by_stake else (),
        genesis_root=sha256(data or b"").digest(),
    )
    check_our_settings(ask, ours)
    has_wallet = "INITIAL_WALLET" in ask.raw
    return Settings(
        consensus=consensus,
        seed=whole("SEED"),
        time_steps=whole("TIME_STEPS"),
        step_seconds=round(step_hours * 3600),
        trade_cap_wh=math.ceil(cap_wh - 1e-6),  # a fraction of a Wh may be rounded up
        efficiency=math.sqrt(number("BATTERY_EFFICIENCY")),
        min_soc=number("BATTERY_MIN_SOC"),
        max_soc=number("BATTERY_MAX_SOC"),
        wallet_nanoeur=round(number("INITIAL_WALLET") * 10**9) if ours or has_wallet else None,
        chain=chain,
        mechanism=str(ask.raw.get("MARKET_MECHANISM", "")),
        ours=ours,
        told=ask.raw,
    )


def unsaid(told: dict[str, Any], consensus: str) -> dict[str, Any]:
    """The settings of another program, with those that it may leave out because they mean nothing to it."""
    said = {name: value for name, value in told.items() if value is not None or name not in NONE}
    return {"MAX_TRADE_CAP": ANY["MAX_TRADE_CAP"][1]} | MEANS_NOTHING[consensus] | said


NONE = ("MAX_TRADE_CAP", "INITIAL_WALLET")  # where null says that there is none


MEANS_NOTHING: dict[str, dict[str, Any]] = {
    "pow": {},
    "pos": {"DIFFICULTY_TARGET": 0},
    "none": {
        "NUM_MINERS": 1,
        "DIFFICULTY_TARGET": 0,
        "BLOCK_REWARD": 0,
        "MAX_TRANSACTIONS_PER_BLOCK": 1,
    },
}
"""Settings that no law reads with this consensus."""


def check_our_settings(ask: Fields, ours: bool) -> None:
    """Problems for settings that are not what a run of this program writes: their laws would go unread.

    Those of our own runs must be within reason; of another program's those that are there, of the right type.
    """
    if ours:
        check_values(ask)
        check_inputs(ask)
        check_names(ask)
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
    by_stake, power = ask.raw.get("CONSENSUS") == "pos", ask.raw.get("MINER_HASH_POWER")
    unread = [] if by_stake else ["VALIDATOR_STAKES"]
    for name in unread if power else [*unread, "MINER_HASH_POWER"]:
        low, high = map(int, OURS[name])
        holds = partial(are_wholes, low, high)
        ask.ask(name, holds, f"a list of whole numbers from {low} to {high}", [])
    stakes = ask.raw.get("VALIDATOR_STAKES")
    if by_stake and type(stakes) is list and len(stakes) < LEAST_VALIDATORS:
        told = f"VALIDATOR_STAKES has {len(stakes)} values, at least {LEAST_VALIDATORS} validators are needed"
        ask.reader.problem(ask.file, told)
    ask.ask("VERBOSE", lambda told: type(told) is bool, "true or false", True)
    lists = [ask.raw[name] for name in OF_HOME_TYPES if type(ask.raw.get(name)) is list]
    types = max(map(len, lists), default=1)
    for names, size, things in ((OF_HOURS, 24, "hour"), (OF_HOME_TYPES, types, "home type")):
        for name in names:
            holds, most = partial(are_amounts, size, OUR_LISTS[name]), OUR_LISTS[name]
            ask.ask(name, holds, f"{size} numbers from 0 to {most}, one per {things}", [])


def check_names(ask: Fields) -> None:
    """A setting that no run of ours has is a finding: the program itself would refuse to repeat such a run."""
    for name in sorted(ask.raw.keys() - {"CONSENSUS", "inputs", *OURS, *OUR_SETTINGS}):
        ask.reader.findings.add("params.json", "unknown key", f"{show(name)} is no setting")


def is_text(told: Any) -> bool:
    return type(told) is str


def are_wholes(low: int, high: int, told: Any) -> bool:
    """Whether this is a list, perhaps empty, of whole numbers from low to high."""
    return type(told) is list and all(type(one) is int and low <= one <= high for one in told)


def are_amounts(size: int, most: float, told: Any) -> bool:
    """Whether this is a list of so many numbers from 0 to the most."""
    return are_numbers(told) and len(told) == size and min(told) >= 0 and max(told) <= most


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
