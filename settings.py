"""From the constants of config.py to one checked, frozen Settings.

A constant is declared once, in config.py: a name, a type that carries unit and range, a value and a
sentence below it. Everything else that needs to know about it (checks, command line, JSON, the
table of settings in the docs) reads that declaration through `declarations`.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo


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
StepHours = Annotated[float, _real(0.083, 1, "h"), AfterValidator(lambda h: _seconds(h) / 3600)]
Hours = Annotated[float, _real(0, 8760, "h")]
EnergyPerHour = Annotated[float, _real(0, 1_000_000, "kWh per hour")]
Threshold = Annotated[float, _real(0, 1_000, "kWh per hour")]
Price = Annotated[float, _real(0, 1_000, "EUR/kWh")]
Incentive = Annotated[float, _real(0, 100, "EUR/kWh")]
Money = Annotated[float, _real(-1_000_000, 1_000_000, "EUR")]
Reward = Annotated[float, _real(0, 1_000_000, "EUR")]
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
    **dict.fromkeys(("ORIENTATION_SHIFT", "BAN_MARKET_HOURS", "BAN_BALANCE_HOURS"), Hours),
    **dict.fromkeys(("MIN_LOAD", "MAX_TRADE_CAP"), EnergyPerHour),
    **dict.fromkeys(("BASE_PRICE", "RETAIL_PRICE", "FEED_IN_PRICE"), Price),
    **dict.fromkeys(("LOCAL_MARKET_FEE", "STORAGE_MARGIN"), Price),
    **dict.fromkeys(("RENEWABLE_BONUS", "P2P_BONUS", "PENALTY_FOR_MARKET"), Incentive),
    **dict.fromkeys(("BAN_PENALTY_LIMIT", "BAN_BONUS_LIMIT", "BAN_BALANCE_LIMIT"), Money),
    "INITIAL_WALLET": Money,
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
    "BAN_COOLDOWN_HOURS": Hours,
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


class InputError(Exception):
    """The user's input cannot be used; `problems` holds one sentence for each thing to mend."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


Result = TypeVar("Result")


def gather(problems: list[str], read: Callable[[], Result]) -> Result | None:
    """What `read` returns; where it raises InputError its problems join the list, and None comes back."""
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None


class Settings(BaseModel):
    """All constants of one run: checked, frozen, under their names in config.py."""

    model_config = ConfigDict(frozen=True)

    def __getattr__(self, name: str) -> Any:
        if name.isupper():
            raise InputError([f"{name}: missing in config.py; restore its line"])
        return super().__getattr__(name)  # type: ignore[misc]

    @property
    def step_seconds(self) -> int:
        return _seconds(self.TIME_STEP_DURATION)

    @property
    def step_hours(self) -> float:
        return self.step_seconds / 3600

    @property
    def num_members(self) -> int:
        return self.NUM_PROSUMERS + self.NUM_CONSUMERS

    def steps_of(self, hours: float) -> int:
        """How many steps cover `hours`, rounded up."""
        return -(-round(hours * 3600) // self.step_seconds)

    def stream(self, purpose: str, index: int = 0) -> np.random.Generator:
        """The random stream of one purpose (and hour or step), independent of every other."""
        name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence((self.SEED, name, index)))
        )

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def _seconds(hours: float) -> int:
    """A step's length in seconds; 0.083 or 0.0833 h is meant as five minutes: tenths of minutes count."""
    return round(round(hours * 60, 1) * 60)


def microeur(eur_per_kwh: float) -> int:
    """A price in whole micro-euro per kWh."""
    return round(eur_per_kwh * 1_000_000)


def nanoeur(eur: float) -> int:
    """An amount of money in whole nano-euro."""
    return round(eur * 1_000_000_000)


@dataclass(frozen=True)
class Declaration:
    """What config.py says about one constant."""

    name: str
    type: Any
    default: Any
    sentence: str

    @property
    def unit(self) -> str:
        extra = getattr(_field(self.type), "json_schema_extra", None) or {}
        return str(extra.get("unit", ""))

    @property
    def allowed(self) -> str:
        """The permitted values in words, for messages and tables."""
        return _allowed(self.type) + (f" ({self.unit})" if self.unit else "")


def declarations(config: ModuleType) -> dict[str, Declaration]:
    """Every upper-case constant of the config module, in the order of the file."""
    types, sentences = getattr(config, "__annotations__", {}), _sentences(config)
    values = {n: v for n, v in vars(config).items() if n.isupper() and n[0] != "_"}
    return {
        name: Declaration(name, _type(name, types.get(name)), value, sentences.get(name, ""))
        for name, value in values.items()
    }


def load(config: ModuleType, *layers: Mapping[str, Any]) -> Settings:
    """The settings of config.py overridden by each layer in turn; raises InputError with all problems."""
    settings, problems = attempt(config, *layers)
    if settings is None or problems:
        raise InputError(problems)
    return settings


def attempt(config: ModuleType, *layers: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """(settings, problems), to look for more problems with what is usable: where a value is wrong, that of
    config.py stands in for it; None where even config.py cannot be used."""
    known = declarations(config)
    problems = _misnamed(list(known))
    values = {name: declared.default for name, declared in known.items() if name in TYPES}
    for layer in layers:
        problems += [_unknown(name) for name in layer if name not in TYPES]
        values.update({name: value for name, value in layer.items() if name in values})
    sound, wrong = _checked(known, values)
    problems += wrong.values()
    for rule in RULES:  # one that reads what is missing or wrong cannot be judged
        problems += gather([], partial(rule, sound)) or []
    usable: Settings | None = sound
    if wrong:
        stand_ins = {name: known[name].default for name in _names(wrong)}
        usable, faults = _checked(known, values | stand_ins)
        usable = None if faults else usable
    return usable if len(values) == len(TYPES) else None, list(dict.fromkeys(problems))


def _checked(
    known: Mapping[str, Declaration], values: Mapping[str, Any]
) -> tuple[Settings, dict[str, str]]:
    """(settings of those values that are allowed, what is wrong with the others)."""
    types = {name: known[name].type for name in values}
    usual = all(kind is TYPES.get(name) for name, kind in types.items())
    model = _usual_model(tuple(types)) if usual else _model(types)
    try:
        return model(**values), {}
    except ValidationError as error:
        wrong = _readable(error, known, values)
    sound = {name: value for name, value in values.items() if name not in _names(wrong)}
    return _checked(known, sound)[0], wrong


def _model(types: Mapping[str, Any]) -> type[Settings]:
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in types.items()}
    return create_model("Settings", __base__=Settings, **fields)


@lru_cache(maxsize=64)
def _usual_model(names: tuple[str, ...]) -> type[Settings]:
    """The model of these constants with the types of TYPES; making one takes longer than using it."""
    return _model({name: TYPES[name] for name in names})


# ---------------------------------------------------------------- rules between settings


def _home_types_agree(s: Settings) -> list[str]:
    lengths = {
        n: len(getattr(s, n)) for n in ("PV_CAPACITY", "BASE_CONSUMPTION", "BATTERY_CAPACITY")
    }
    if len(set(lengths.values())) == 1:
        return []
    told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
    return [f"{told} values: one home type needs one value in each of the three lists"]


def _somebody_lives_here(s: Settings) -> list[str]:
    if s.num_members:
        return []
    return ["NUM_PROSUMERS + NUM_CONSUMERS = 0: a community needs at least one member"]


def _battery_window(s: Settings) -> list[str]:
    low, start, high = s.BATTERY_MIN_SOC, s.BATTERY_INITIAL_SOC, s.BATTERY_MAX_SOC
    if low >= high:
        return [f"BATTERY_MIN_SOC = {low} must be below BATTERY_MAX_SOC = {high}"]
    if low <= start <= high:
        return []
    between = f"BATTERY_MIN_SOC = {low} and BATTERY_MAX_SOC = {high}"
    return [f"BATTERY_INITIAL_SOC = {start} must lie between {between}"]


MARKET_PRICES = "market price that BASE_PRICE, PRICE_PATTERN and PRICE_VARIATION allow"


def _utility_sells_dearest(s: Settings) -> list[str]:
    highest = s.BASE_PRICE * max(s.PRICE_PATTERN) * (1 + s.PRICE_VARIATION)
    if highest <= s.RETAIL_PRICE:
        return []
    told = f"RETAIL_PRICE = {s.RETAIL_PRICE} must not be below the highest {MARKET_PRICES}"
    return [f"{told} ({highest:.4f} EUR/kWh)"]


def _utility_buys_cheapest(s: Settings) -> list[str]:
    lowest = s.BASE_PRICE * min(s.PRICE_PATTERN) * (1 - s.PRICE_VARIATION)
    if lowest >= s.FEED_IN_PRICE:
        return []
    told = f"FEED_IN_PRICE = {s.FEED_IN_PRICE} must not be above the lowest {MARKET_PRICES}"
    return [f"{told} ({lowest:.4f} EUR/kWh)"]


def _miners_have_their_power(s: Settings) -> list[str]:
    power = len(s.MINER_HASH_POWER)
    if power in (0, s.NUM_MINERS):
        return []
    return [f"MINER_HASH_POWER has {power} values, NUM_MINERS = {s.NUM_MINERS}: one each, or none"]


def _validators_have_their_stakes(s: Settings) -> list[str]:
    stakes = len(s.VALIDATOR_STAKES)
    if s.CONSENSUS != "pos" or stakes == s.NUM_MINERS:
        return []
    return [f"VALIDATOR_STAKES has {stakes} values, NUM_MINERS = {s.NUM_MINERS}: one each"]


def _some_stake_is_there(s: Settings) -> list[str]:
    enough = len(s.VALIDATOR_STAKES) >= LEAST_VALIDATORS and any(s.VALIDATOR_STAKES)
    if s.CONSENSUS != "pos" or enough:
        return []
    return [f"VALIDATOR_STAKES: stake needs at least {LEAST_VALIDATORS} validators and some stake"]


LEAST_VALIDATORS = 10

RULES: list[Callable[[Settings], list[str]]] = [
    _home_types_agree,
    _somebody_lives_here,
    _battery_window,
    _utility_sells_dearest,
    _utility_buys_cheapest,
    _miners_have_their_power,
    _validators_have_their_stakes,
    _some_stake_is_there,
]


# ---------------------------------------------------------------- reading declarations, wording


def _sentences(config: ModuleType) -> dict[str, str]:
    """The string that stands below each constant of the config module."""
    found: dict[str, str] = {}
    try:
        body = ast.parse(inspect.getsource(config)).body
    except (OSError, TypeError):  # no file, or nothing in it
        return found
    for statement, below in zip(body, body[1:], strict=False):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr):
            if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                found[target.id] = " ".join(below.value.value.split())
    return found


def _type(name: str, annotated: Any) -> Any:
    """The declared type; where an edit lost the annotation, the one that the program knows."""
    if _field(annotated) or get_origin(annotated) is Literal:
        return annotated
    return TYPES.get(name, Size)


def _misnamed(present: list[str]) -> list[str]:
    """The constants of config.py that nothing reads, and those that it lost; a slip is both at once."""
    missing = [name for name in TYPES if name not in present]
    problems = []
    for name in (name for name in present if name not in TYPES):
        meant = difflib.get_close_matches(name, missing, n=1)
        if meant:
            missing.remove(meant[0])
            hint = f"{meant[0]} is missing; is it meant?"
        elif near := difflib.get_close_matches(name, TYPES, n=1):
            hint = f"did you mean {near[0]}?"
        else:
            hint = "begin a name of your own with _"
        problems.append(f"config.py: {name}: no such setting; {hint}")
    return problems + [f"{name}: missing in config.py; restore its line" for name in missing]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.upper(), TYPES, n=1)
    hint = f"did you mean {near[0]}?" if near else "the names are in config.py"
    return f"{name}: no such setting; {hint}"


def _readable(
    error: ValidationError, known: Mapping[str, Declaration], values: Mapping[str, Any]
) -> dict[str, str]:
    """One sentence for each setting, or place in a list, that was refused: value and what is allowed."""
    problems = {}
    for item in error.errors():
        name, allowed = str(item["loc"][0]), known[str(item["loc"][0])].allowed
        place = "".join(f"[{index}]" for index in item["loc"][1:])
        wrong = item["input"] if place else values[name]
        if place:
            allowed = allowed.replace("a list of ", "").partition("numbers, each ")[2]
            allowed = f"a number {allowed}"
        problems[name + place] = f"{name}{place} = {_short(wrong)}: must be {allowed}"
    return problems


def _names(wrong: Mapping[str, str]) -> set[str]:
    """The settings among these settings and places in their lists."""
    return {place.split("[")[0] for place in wrong}


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _field(kind: Any) -> Any:
    """The checks of a declared type, or None."""
    metadata = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((part for part in metadata if isinstance(part, FieldInfo)), None)


def _bound(kind: Any, name: str) -> Any:
    """One bound (ge, le, min_length, max_length) of a declared type, or None."""
    field = _field(kind)
    parts = field.metadata if field else []
    return next((getattr(p, name) for p in parts if hasattr(p, name)), None)


def _allowed(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{word}"' for word in get_args(kind))
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(base) is list:
        many = f"{_bound(kind, 'max_length')} " if _bound(kind, "max_length") else ""
        return f"a list of {many}numbers, each {_limits(get_args(base)[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return " ".join(filter(None, [words[base], _limits(kind)]))


def _limits(kind: Any) -> str:
    low, high = _bound(kind, "ge"), _bound(kind, "le")
    return "" if low is None else f"from {_figure(low)} to {_figure(high)}"


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
