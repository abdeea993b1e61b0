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
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
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
StepHours = Annotated[float, _real(0.083, 1, "h")]
Hours = Annotated[float, _real(0, 8760, "h")]
EnergyPerHour = Annotated[float, _real(0, 1_000_000, "kWh per hour")]
Threshold = Annotated[float, _real(0, 1_000, "kWh per hour")]
Price = Annotated[float, _real(0, 1_000, "EUR/kWh")]
Money = Annotated[float, _real(-1_000_000, 1_000_000, "EUR")]
Reward = Annotated[float, _real(0, 1_000_000, "EUR")]
Size = Annotated[float, _real(0, 1_000_000)]
Powers = Annotated[list[Size], _each(None, "kW")]
Capacities = Annotated[list[Size], _each(None, "kWh")]
Loads = Annotated[list[Size], _each(None, "kWh per hour")]
DayPattern = Annotated[list[Annotated[float, _real(0, 100)]], _each(24, "one per hour of the day")]
HashPowers = Annotated[list[Annotated[int, _range(1, 1_000)]], _each(0, "attempts per round")]
Stakes = Annotated[list[Annotated[int, _range(0, 10**12)]], _each(None, "units of stake")]
Text = Annotated[str, Field(strict=True)]
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


class InputError(Exception):
    """The user's input cannot be used; `problems` holds one sentence for each thing to mend."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """All constants of one run: checked, frozen, under their names in config.py."""

    model_config = ConfigDict(frozen=True)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    else:

        def __getattr__(self, name: str) -> Any:
            if name.isupper():
                raise InputError([f"{name}: missing in config.py; restore its line"])
            return super().__getattr__(name)

    @property
    def step_seconds(self) -> int:
        """Length of a step; 0.083 or 0.0833 h is meant as five minutes, so tenths of a minute count."""
        return round(round(self.TIME_STEP_DURATION * 60, 1) * 60)

    @property
    def step_hours(self) -> float:
        return self.step_seconds / 3600

    @property
    def num_members(self) -> int:
        return self.NUM_PROSUMERS + self.NUM_CONSUMERS

    def steps_of(self, hours: float) -> int:
        """How many steps cover `hours`, rounded up."""
        return -int(-hours * 3600 // self.step_seconds)

    def stream(self, purpose: str, index: int = 0) -> np.random.Generator:
        """The random stream of one purpose (and hour or step), independent of every other."""
        name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence((self.SEED, name, index)))
        )

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


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
        field = _field(self.type)
        extra = field.json_schema_extra if field else None
        return str(extra.get("unit", "")) if isinstance(extra, dict) else ""

    @property
    def allowed(self) -> str:
        """The permitted values in words, for messages and tables."""
        return _allowed(self.type) + (f" ({self.unit})" if self.unit else "")


def declarations(config: ModuleType) -> dict[str, Declaration]:
    """Every upper-case constant of the config module, in the order of the file."""
    types, sentences = get_type_hints(config, include_extras=True), _sentences(config)
    names = [name for name in vars(config) if name.isupper()]
    return {
        name: Declaration(
            name,
            types.get(name) or _plain_type(getattr(config, name)),
            getattr(config, name),
            sentences.get(name, ""),
        )
        for name in names
    }


def load(config: ModuleType, *layers: Mapping[str, Any]) -> Settings:
    """The settings of config.py overridden by each layer in turn; raises InputError with all problems."""
    known = declarations(config)
    values = {name: declared.default for name, declared in known.items()}
    problems = _unknown_in_config(config, known)
    for layer in layers:
        problems += [_unknown(name, known) for name in layer if name not in known]
        values.update({name: value for name, value in layer.items() if name in known})
    fields: dict[str, Any] = {name: (declared.type, ...) for name, declared in known.items()}
    try:
        settings = create_model("Settings", __base__=Settings, **fields)(**values)
    except ValidationError as error:
        raise InputError(problems + _readable(error, known, values)) from None
    problems += [message for rule in RULES for message in rule(settings)]
    if problems:
        raise InputError(problems)
    return settings


def parse_assignment(text: str) -> tuple[str, Any]:
    """('NAME', value) of a command line's NAME=value; the value is read as JSON where it is JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError([f"--set {text}: write it as NAME=value, for example --set NUM_MINERS=5"])
    try:
        return name.strip(), json.loads(value)
    except (ValueError, RecursionError):
        words = {"true": True, "false": False}
        return name.strip(), words.get(value.strip().lower(), value.strip())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON settings file; raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError([f"--config {path}: {error.strerror or error}"]) from None
    except (ValueError, RecursionError) as error:
        raise InputError([f"--config {path}: is not JSON ({error})"]) from None
    if not isinstance(content, dict):
        raise InputError([f'--config {path}: needs an object of settings, {{"NAME": value, ...}}'])
    return content


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
    problems = []
    if low >= high:
        problems.append(f"BATTERY_MIN_SOC = {low} must be below BATTERY_MAX_SOC = {high}")
    elif not low <= start <= high:
        problems.append(
            f"BATTERY_INITIAL_SOC = {start} must lie between BATTERY_MIN_SOC = {low} "
            f"and BATTERY_MAX_SOC = {high}"
        )
    return problems


def _utility_is_the_last_resort(s: Settings) -> list[str]:
    highest = s.BASE_PRICE * max(s.PRICE_PATTERN) * (1 + s.PRICE_VARIATION)
    lowest = s.BASE_PRICE * min(s.PRICE_PATTERN) * (1 - s.PRICE_VARIATION)
    problems = []
    if highest > s.RETAIL_PRICE:
        problems.append(
            f"RETAIL_PRICE = {s.RETAIL_PRICE} must not be below the highest market price that BASE_PRICE, "
            f"PRICE_PATTERN and PRICE_VARIATION allow ({highest:.4f} EUR/kWh)"
        )
    if lowest < s.FEED_IN_PRICE:
        problems.append(
            f"FEED_IN_PRICE = {s.FEED_IN_PRICE} must not be above the lowest market price that BASE_PRICE, "
            f"PRICE_PATTERN and PRICE_VARIATION allow ({lowest:.4f} EUR/kWh)"
        )
    return problems


def _miners_have_their_numbers(s: Settings) -> list[str]:
    problems = []
    power, stakes = len(s.MINER_HASH_POWER), s.VALIDATOR_STAKES
    if power not in (0, s.NUM_MINERS):
        problems.append(f"MINER_HASH_POWER has {power} values, NUM_MINERS = {s.NUM_MINERS}: one each, or none")
    if s.CONSENSUS != "pos":
        return problems
    if len(stakes) != s.NUM_MINERS:
        problems.append(f"VALIDATOR_STAKES has {len(stakes)} values, NUM_MINERS = {s.NUM_MINERS}: one each")
    if len(stakes) < LEAST_VALIDATORS or not any(stakes):
        problems.append(f"VALIDATOR_STAKES: stake needs at least {LEAST_VALIDATORS} validators and some stake")
    return problems


LEAST_VALIDATORS = 10

RULES: list[Callable[[Settings], list[str]]] = [
    _home_types_agree,
    _somebody_lives_here,
    _battery_window,
    _utility_is_the_last_resort,
    _miners_have_their_numbers,
]


# ---------------------------------------------------------------- reading declarations, wording


def _sentences(config: ModuleType) -> dict[str, str]:
    """The string that stands below each constant of the config module."""
    body = ast.parse(inspect.getsource(config)).body
    found = {}
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


def _plain_type(value: Any) -> Any:
    """A type for a constant whose annotation was edited away: only non-negative and finite."""
    if isinstance(value, bool):
        return Flag
    if isinstance(value, (list, tuple)):
        return Annotated[list[Size], _each(None, "")]
    return {int: Count, float: Size}.get(type(value), Text)


def _unknown_in_config(config: ModuleType, known: Mapping[str, Declaration]) -> list[str]:
    """Constants that config.py added without a type and whose name resembles a declared one."""
    typed = set(get_type_hints(config))
    return [
        f"config.py: {_unknown(name, {n: known[n] for n in typed if n in known})}"
        for name in known
        if name not in typed and difflib.get_close_matches(name, typed, n=1, cutoff=0.85)
    ]


def _unknown(name: str, known: Mapping[str, Declaration]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "the names are in config.py"
    return f"{name}: no such setting; {hint}"


def _readable(
    error: ValidationError, known: Mapping[str, Declaration], values: Mapping[str, Any]
) -> list[str]:
    """One sentence for each setting that pydantic refused, with the value and what is allowed."""
    problems = {}
    for item in error.errors():
        name = str(item["loc"][0])
        place = "".join(f"[{index}]" for index in item["loc"][1:])
        wrong = item["input"] if place else values[name]
        problems[name + place] = f"{name}{place} = {_short(wrong)}: must be {known[name].allowed}"
    return list(problems.values())


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
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
