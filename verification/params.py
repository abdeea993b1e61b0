"""What params.json says: the settings to which the laws of a run refer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from verification.blocks import Rules
from verification.fields import Fields
from verification.read import Reader, is_number

LARGEST_PARAMS = 2**20  # bytes
LARGEST = 10**6  # of any setting that only our own runs have
OUR_NUMBERS = (
    *("NUM_PROSUMERS", "NUM_CONSUMERS", "HAS_BATTERY", "SEASON_FACTOR", "PV_SYSTEM_EFFICIENCY"),
    *("CLOUD_MIN_TRANSMISSION", "ROOF_VARIATION", "ORIENTATION_SHIFT"),
    *("LOAD_VARIATION", "MIN_LOAD"),
    *("OFFER_SHARE", "STORAGE_BID_SHARE"),
    *("BATTERY_INITIAL_SOC", "BATTERY_C_RATE", "BASE_PRICE", "PRICE_VARIATION", "FORECAST_ERROR"),
    *("RETAIL_PRICE", "FEED_IN_PRICE", "IMBALANCE_THRESHOLD", "LOCAL_MARKET_FEE"),
    *("RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"),
    *("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_MARKET_HOURS"),
    *("BAN_BALANCE_LIMIT", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS"),
)
OUR_LISTS = ("PV_CAPACITY", "BASE_CONSUMPTION", "BATTERY_CAPACITY", "LOAD_PATTERN", "PRICE_PATTERN")
OUR_WORDS = ("MARKET_MECHANISM", "REGULATOR_OBJECTIVE")
"""Settings beyond the contract to which a law of our own runs refers."""
OUR_COLUMNS = ("avoidable_penalty_eur", "market_price_eur_per_kwh", "net_kwh")
"""Those beyond the contract; folder.py says which file has which."""


def are_numbers(told: Any) -> bool:
    """Whether this is a list of numbers, none of them beyond LARGEST."""
    if type(told) is not list or not told:
        return False
    return all(is_number(one) and abs(one) <= LARGEST for one in told)


def are_ours(told: Mapping[str, Any], reader: Reader) -> bool:
    """Whether a run of this program wrote these settings.

    Another program may know MARKET_MECHANISM, but hardly all settings to which a law of ours refers, nor a column
    that ours alone has. Where that is there a setting that is missing has been taken away.
    """
    all_there = all(name in told for name in (*OUR_NUMBERS, *OUR_LISTS, *OUR_WORDS))
    columns = reader.header("regulator_actions.csv") + reader.header("community_summary.csv")
    return "MARKET_MECHANISM" in told and (
        all_there or any(name in columns for name in OUR_COLUMNS)
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
    miners = ask.whole("NUM_MINERS", 1, 10_000)
    difficulty = ask.whole("DIFFICULTY_TARGET", 0, 64)
    step_hours = ask.number("TIME_STEP_DURATION", 1e-3, 8760)
    cap_wh = ask.number("MAX_TRADE_CAP", 0, 1e9) * 1000 * step_hours
    chain = Rules(
        version=2 if consensus == "pos" else 1,
        miners=miners,
        difficulty=0 if consensus == "pos" else difficulty,
        reward_nanoeur=round(ask.number("BLOCK_REWARD", 0, 1e9) * 10**9),
        block_size=ask.whole("MAX_TRANSACTIONS_PER_BLOCK", 1, 2**62),
        weights=ask.wholes("MINER_HASH_POWER", 1, 2**63, miners, length=miners),
        stakes=ask.wholes("VALIDATOR_STAKES", 0, 2**256, miners) if consensus == "pos" else (),
        genesis_root=sha256(data or b"").digest(),
    )
    ours = are_ours(ask.raw, reader)
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


def check_our_settings(ask: Fields, ours: bool) -> None:
    """Problems for settings that are not what a run of this program writes: their laws would go unread.

    Those of our own runs must be within reason; of another program's those that are there, of the right type.
    """
    for name in OUR_NUMBERS + OUR_LISTS + OUR_WORDS:
        if name not in ask.raw and not ours:
            continue
        if name in OUR_LISTS:
            ask.ask(name, are_numbers, f"a list of numbers from {-LARGEST} to {LARGEST}", [])
        elif name in OUR_WORDS:
            ask.ask(name, lambda told: type(told) is str, "a word", "")
        elif ours:
            ask.number(name, -LARGEST, LARGEST)
        else:
            ask.ask(name, is_number, "a number", 0.0)
