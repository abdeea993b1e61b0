"""From the constants of config.py to one checked, frozen Settings.

declarations.py reads config.py; here stand the checks, of each value and between them, and what is said of a wrong one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    create_model,
    field_validator,
    model_serializer,
)

from declarations import Declaration, declarations, misdeclared
from errors import InputError, gather
from setting_types import TYPES, seconds

NEARLY = 0.8
"""How alike two names are, as difflib has it, of which one is taken for a slip in the other."""
OPEN = ("MARKET_MECHANISM", "REGULATOR_OBJECTIVE")
"""Settings that a copy may give a name of the user's own."""
FILLERS = {"FOR", "MAX", "MIN", "NUM", "HAS", "PER"}
"""Words of settings that say nothing about what is meant."""


class Settings(BaseModel):
    """All constants of one run: checked, frozen, under their names in config.py."""

    model_config = ConfigDict(frozen=True)

    def __getattr__(self, name: str) -> Any:
        if name.isupper():
            raise InputError([f"{name}: missing in config.py; restore its line"])
        return super().__getattr__(name)  # type: ignore[misc]

    @property
    def step_seconds(self) -> int:
        return seconds(self.TIME_STEP_DURATION)

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

    @field_validator("*")
    @classmethod
    def _keep(cls, value: Any) -> Any:
        """A list becomes a tuple: nobody can change it in settings that say they are frozen."""
        return tuple(value) if isinstance(value, list) else value

    @model_serializer
    def to_json(self) -> dict[str, Any]:
        """Name -> value, as params.json has them."""
        return {n: list(value) if isinstance(value, tuple) else value for n, value in self}

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Settings:
        """A copy with these changes, checked like config.py; raises InputError with all problems.

        The names in OPEN may have any text as value: a rule or an objective that a user brings along.
        """
        asked = {name: _plain(value) for name, value in (update or {}).items()}
        own = {name: asked[name] for name in OPEN if isinstance(asked.get(name), str)}
        types = TYPES | type(self).__annotations__
        known = {n: Declaration(n, types[n], None, "") for n, _ in self if n in asked.keys() - own}
        checked, wrong = _checked(known, {name: asked[name] for name in known})
        kept = {name: value for name, value in self if name not in asked}
        sound = kept | dict(checked) | own
        copy = type(self).model_construct(**{n: sound[n] for n, _ in self if n in sound})
        problems = [_unknown(name) for name in asked if name not in TYPES]
        problems += [*wrong.values(), *_broken_rules(copy)]
        if problems:
            raise InputError(problems)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        """So that other processes can be given settings: their class is made anew from its constants' names."""
        return _revived, (dict(self),)


def microeur(eur_per_kwh: float) -> int:
    """A price in whole micro-euro per kWh."""
    return round(eur_per_kwh * 1_000_000)


def nanoeur(eur: float) -> int:
    """An amount of money in whole nano-euro."""
    return round(eur * 1_000_000_000)


def load(config: ModuleType, *layers: Mapping[str, Any]) -> Settings:
    """The settings of config.py overridden by each layer in turn; raises InputError with all problems."""
    settings, problems = attempt(config, *layers)
    if settings is None or problems:
        raise InputError(problems)
    return settings


def attempt(config: ModuleType, *layers: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """(settings, problems): what `load` does, but with settings that are usable beside the problems.

    So a caller can look for more problems. A wrong value is replaced by that of config.py; None comes back
    where config.py itself cannot be used.
    """
    known, problems = declarations(config), misdeclared(config)
    values = {name: declared.default for name, declared in known.items() if name in TYPES}
    for layer in layers:
        problems += [_unknown(name) for name in layer if name not in TYPES]
        values.update({name: _plain(value) for name, value in layer.items() if name in values})
    sound, wrong = _checked(known, values)
    problems += [*wrong.values(), *_broken_rules(sound)]
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


def _revived(values: dict[str, Any]) -> Settings:
    """Settings that have been checked before."""
    return _usual_model(tuple(values)).model_construct(**values)


def _plain(value: Any) -> Any:
    """A number or list of numpy's as Python's own, so that a sweep may count with np.arange."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


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


LEAST_BATTERY_KWH = 0.001
"""Energy is counted in whole Wh, so a smaller battery could never move any."""


def _batteries_hold_a_wh(s: Settings) -> list[str]:
    tiny = [size for size in s.BATTERY_CAPACITY if 0 < size < LEAST_BATTERY_KWH]
    if not tiny:
        return []
    return [f"BATTERY_CAPACITY has {tiny[0]}: a battery has at least {LEAST_BATTERY_KWH} kWh, or 0"]


MARKET_PRICES = "market price that BASE_PRICE, PRICE_PATTERN and PRICE_VARIATION allow"


def _utility_sells_dearest(s: Settings) -> list[str]:
    highest = s.BASE_PRICE * max(s.PRICE_PATTERN) * (1 + s.PRICE_VARIATION)
    if microeur(highest) <= microeur(s.RETAIL_PRICE):
        return []
    told = f"RETAIL_PRICE = {s.RETAIL_PRICE} must not be below the highest {MARKET_PRICES}"
    return [f"{told} ({round(highest, 6)} EUR/kWh)"]


def _utility_buys_cheapest(s: Settings) -> list[str]:
    lowest = s.BASE_PRICE * min(s.PRICE_PATTERN) * (1 - s.PRICE_VARIATION)
    if microeur(lowest) >= microeur(s.FEED_IN_PRICE):
        return []
    told = f"FEED_IN_PRICE = {s.FEED_IN_PRICE} must not be above the lowest {MARKET_PRICES}"
    return [f"{told} ({round(lowest, 6)} EUR/kWh)"]


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
    _batteries_hold_a_wh,
    _utility_sells_dearest,
    _utility_buys_cheapest,
    _miners_have_their_power,
    _validators_have_their_stakes,
    _some_stake_is_there,
]


def _broken_rules(settings: Settings) -> list[str]:
    """What these settings contradict; a rule that reads what is missing cannot be judged."""
    problems: list[str] = []
    for rule in RULES:
        problems += gather([], partial(rule, settings)) or []
    return problems


# ---------------------------------------------------------------- saying what is wrong


def _unknown(name: str) -> str:
    return f"{name}: no such setting; {_meant(name.upper()) or 'the names are in config.py'}"


def _meant(name: str) -> str:
    """What may be meant: a name that is nearly the same, else those that share a word with it, else nothing."""
    if near := difflib.get_close_matches(name, TYPES, n=1, cutoff=NEARLY):
        return f"did you mean {near[0]}?"
    words = set(name.split("_")) - FILLERS
    shared = {known: len(words.intersection(known.split("_"))) for known in TYPES}
    alike = [known for known in TYPES if shared[known] == max(shared.values()) > 0]
    if not alike:
        alike = difflib.get_close_matches(name, TYPES, n=1)
    *others, last = alike or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {listed}?" if alike else ""


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
        hint = _comma_hint(wrong) if allowed.startswith("a number") else ""
        problems[name + place] = f"{name}{place} = {_short(wrong)}: must be {allowed}{hint}"
    return problems


def _comma_hint(value: Any) -> str:
    """What helps where 0,5 was written: a text on the command line, in config.py the two numbers 0 and 5."""
    text = _short(value).strip('[]"')
    digits = re.fullmatch(r"(-?[0-9]+), ?([0-9]+)", text)
    return f"; decimals follow a point: {digits[1]}.{digits[2]}" if digits else ""


def _names(wrong: Mapping[str, str]) -> set[str]:
    """The settings among these settings and places in their lists."""
    return {place.split("[")[0] for place in wrong}


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
