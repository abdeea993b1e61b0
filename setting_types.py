"""What the value of a setting may be: its type, its range, its unit, and how messages say so.

`TYPES` gives every constant its type. config.py repeats it beside each value, where a user reads it; a
test holds both together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo


def seconds(hours: float) -> int:
    """A step's length in seconds; 0.083 or 0.0833 h is meant as five minutes: tenths of minutes count."""
    return round(round(hours * 60, 1) * 60)


def _range(low: float, high: float, unit: str = "") -> Any:
    """The check of a number from low to high, and the unit that messages and tables print."""
    return Field(strict=True, ge=low, le=high, json_schema_extra={"unit": unit})


def _real(low: float, high: float, unit: str = "") -> Any:
    return Field(
        strict=True, ge=low, le=high, allow_inf_nan=False, json_schema_extra={"unit": unit}
    )


def _each(count: int | None, unit: str) -> Any:
    """The check of a list: its length (None: at least one; 0: any) and the unit of its numbers."""
    least, most = (count, count or None) if count is not None else (1, None)
    return Field(min_length=least, max_length=most, json_schema_extra={"unit": unit})


Seed = Annotated[int, _range(0, 2**63 - 1)]
Count = Annotated[int, _range(0, 1_000_000)]
Steps = Annotated[int, _range(1, 1_000_000, "steps")]
Miners = Annotated[int, _range(1, 10_000)]
Digits = Annotated[int, _range(0, 16, "hexadecimal digits")]
BlockSize = Annotated[int, _range(1, 1_000_000, "trades")]
Share = Annotated[float, _real(0, 1)]
Efficiency = Annotated[float, _real(0.01, 1)]
Factor = Annotated[float, _real(0, 10)]
StepHours = Annotated[float, _real(0.083, 1, "h"), AfterValidator(lambda h: seconds(h) / 3600)]
Hours = Annotated[float, _real(0, 8760, "h")]
SunHours = Annotated[float, _real(0, 6, "h")]
EnergyPerHour = Annotated[float, _real(0, 1_000_000, "kWh per hour")]
Threshold = Annotated[float, _real(0, 1_000, "kWh per hour")]
EurPerKwh = Annotated[float, _real(0, 1_000, "EUR/kWh")]
Incentive = Annotated[float, _real(0, 100, "EUR/kWh")]
Eur = Annotated[float, _real(-1_000_000, 1_000_000, "EUR")]
Reward = Annotated[float, _real(0, 1_000_000, "EUR")]
Budget = Annotated[float, _real(0, 4_000_000_000, "EUR")]
"""Up to what all accounts together may hold, which is no limit."""
Size = Annotated[float, _real(0, 1_000_000)]
Powers = Annotated[list[Size], _each(None, "kW")]
Capacities = Annotated[list[Size], _each(None, "kWh")]
Loads = Annotated[list[Size], _each(None, "kWh per hour")]
DayPattern = Annotated[list[Annotated[float, _real(0, 100)]], _each(24, "one per hour of the day")]
HashPowers = Annotated[list[Annotated[int, _range(1, 1_000)]], _each(0, "attempts per round")]
Stakes = Annotated[list[Annotated[int, _range(0, 10**12)]], _each(None, "units of stake")]
Text = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v), Field()]
Flag = Annotated[bool, Field(strict=True)]
Objective = Literal["maximize_renewable", "maximize_profit", "maximize_p2p", "chaos"]
Mechanism = Literal[
    "midpoint",
    "uniform",
    "pay_as_bid",
    "mid_market_rate",
    "supply_demand_ratio",
    "bill_sharing",
    "huang",
    "none",
]
Consensus = Literal["pow", "pos", "none"]

TYPES: dict[str, Any] = {
    **dict.fromkeys(("NUM_PROSUMERS", "NUM_CONSUMERS"), Count),
    **dict.fromkeys(("LOAD_PATTERN", "PRICE_PATTERN"), DayPattern),
    **dict.fromkeys(("PV_SYSTEM_EFFICIENCY", "BATTERY_EFFICIENCY"), Efficiency),
    **dict.fromkeys(("HAS_BATTERY", "CLOUD_MIN_TRANSMISSION", "CLOUD_PERSISTENCE"), Share),
    **dict.fromkeys(("ROOF_VARIATION", "LOAD_VARIATION", "PRICE_VARIATION"), Share),
    **dict.fromkeys(("BATTERY_MIN_SOC", "BATTERY_MAX_SOC", "BATTERY_INITIAL_SOC"), Share),
    **dict.fromkeys(("FORECAST_ERROR", "OFFER_SHARE", "STORAGE_BID_SHARE"), Share),
    **dict.fromkeys(("QUOTE_MARGIN", "QUOTE_VARIATION"), Share),
    **dict.fromkeys(("SEASON_FACTOR", "BATTERY_C_RATE"), Factor),
    **dict.fromkeys(("BAN_MARKET_HOURS", "BAN_BALANCE_HOURS", "BAN_COOLDOWN_HOURS"), Hours),
    "ORIENTATION_SHIFT": SunHours,
    **dict.fromkeys(("MIN_LOAD", "MAX_TRADE_CAP"), EnergyPerHour),
    **dict.fromkeys(("BASE_PRICE", "RETAIL_PRICE", "FEED_IN_PRICE"), EurPerKwh),
    **dict.fromkeys(("LOCAL_MARKET_FEE", "STORAGE_MARGIN"), EurPerKwh),
    **dict.fromkeys(("RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"), Incentive),
    **dict.fromkeys(("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT"), Eur),
    "REGULATOR_BUDGET": Budget,
    "INITIAL_WALLET": Eur,
    "SEED": Seed,
    "TIME_STEPS": Steps,
    "TIME_STEP_DURATION": StepHours,
    "HOUSEHOLDS": Text,
    "PV_CAPACITY": Powers,
    "BASE_CONSUMPTION": Loads,
    "BATTERY_CAPACITY": Capacities,
    "IMBALANCE_THRESHOLD": Threshold,
    "MARKET_MECHANISM": Mechanism,
    "REGULATOR_OBJECTIVE": Objective,
    "CONSENSUS": Consensus,
    "NUM_MINERS": Miners,
    "MINER_HASH_POWER": HashPowers,
    "VALIDATOR_STAKES": Stakes,
    "DIFFICULTY_TARGET": Digits,
    "BLOCK_REWARD": Reward,
    "MAX_TRANSACTIONS_PER_BLOCK": BlockSize,
    "VERBOSE": Flag,
}
"""Every constant that the program reads. An edit of config.py that loses one, or adds one that nothing
reads, is told before a run; where it lost only the type, this one holds."""


# ---------------------------------------------------------------- in words


def field_of(kind: Any) -> Any:
    """The checks of a declared type, or None."""
    metadata = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((part for part in metadata if isinstance(part, FieldInfo)), None)


def bound(kind: Any, name: str) -> Any:
    """One bound (ge, le, min_length, max_length) of a declared type, or None."""
    checks = field_of(kind)
    parts = checks.metadata if checks else []
    return next((getattr(p, name) for p in parts if hasattr(p, name)), None)


def unit(kind: Any) -> str:
    """The unit that messages and tables print, or nothing."""
    extra = getattr(field_of(kind), "json_schema_extra", None) or {}
    return str(extra.get("unit", ""))


def allowed(kind: Any) -> str:
    """The permitted values in words, without their unit."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{word}"' for word in get_args(kind))
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(base) is list:
        many = f"{bound(kind, 'max_length')} " if bound(kind, "max_length") else ""
        return f"a list of {many}numbers, each {_limits(get_args(base)[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return " ".join(filter(None, [words[base], _limits(kind)]))


def _limits(kind: Any) -> str:
    low, high = bound(kind, "ge"), bound(kind, "le")
    return "" if low is None else f"from {_figure(low)} to {_figure(high)}"


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
