"""Settings: declared once in config.py, checked as a whole, and each of them moves something."""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, make_settings

import config
import setting_types
import settings
import simulator
import storage
from declarations import declarations
from errors import InputError
from extensions.mechanisms import MECHANISMS
from household_data import Files
from options import parse_assignment, parse_value, read_json
from trading import MIDPOINT

NAMES = list(declarations(config))


def problems_of(call: Callable[[], Any]) -> list[str]:
    """The problems of the InputError that the call must raise."""
    with pytest.raises(InputError) as caught:
        call()
    return caught.value.problems


def refused(**changes: Any) -> list[str]:
    return problems_of(lambda: make_settings(**changes))


_modules = count()


def edited(tmp_path: Path, old: str, new: str) -> ModuleType:
    """config.py as a module, after an edit that replaces one piece of its text."""
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    assert old in text, f"config.py no longer holds {old!r}: adapt this test"
    path = tmp_path / f"edited_config_{next(_modules)}.py"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- declared once


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_says_what_it_means_and_what_is_allowed(name: str) -> None:
    """The sentence and the range are all the help that a user gets; a name alone is a riddle."""
    declared = declarations(config)[name]
    assert len(declared.sentence.split()) >= 3 and declared.sentence.endswith(".")
    assert re.match(r"an? (whole )?(number|list|text)|one of|true or false", declared.allowed)


def test_quantities_with_a_unit_tell_it() -> None:
    """Shares, counts and words need none; energy, power, money, prices and time do."""
    units = {name: declared.unit for name, declared in declarations(config).items()}
    assert units["BASE_PRICE"] == units["P2P_BONUS"] == "EUR/kWh"
    assert units["MAX_TRADE_CAP"] == units["MIN_LOAD"] == "kWh per hour"
    assert (units["PV_CAPACITY"], units["BATTERY_CAPACITY"]) == ("kW", "kWh")
    assert (units["BLOCK_REWARD"], units["BAN_MARKET_HOURS"]) == ("EUR", "h")
    without = {name for name, unit in units.items() if not unit}
    assert not [n for n in without if n.endswith(("PRICE", "_FEE", "_HOURS", "_REWARD", "_LIMIT"))]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("NUM_PROSUMERS", "a whole number from 0 to 1,000,000"),
        ("TIME_STEPS", "a whole number from 1 to 1,000,000 (steps)"),
        ("TIME_STEP_DURATION", "a number from 0.083 to 1 (h)"),
        ("SEED", "a whole number from 0 to 9,223,372,036,854,775,807"),
        ("BASE_PRICE", "a number from 0 to 1,000 (EUR/kWh)"),
        ("MAX_TRADE_CAP", "a number from 0 to 1,000,000 (kWh per hour)"),
        ("BASE_CONSUMPTION", "a list of numbers, each from 0 to 1,000,000 (kWh per hour)"),
        ("HAS_BATTERY", "a number from 0 to 1"),
        ("DIFFICULTY_TARGET", "a whole number from 0 to 16 (hexadecimal digits)"),
        ("CONSENSUS", 'one of "pow", "pos", "none"'),
        ("VERBOSE", "true or false"),
    ],
)
def test_ranges_are_those_for_which_the_accounts_are_exact(name: str, allowed: str) -> None:
    """64 bits of nano-euro hold 9 billion EUR: 1e6 kWh per step and 1,000 EUR/kWh are the bounds (trap 29)."""
    assert declarations(config)[name].allowed == allowed


def test_the_constants_of_config_are_the_settings_of_a_run() -> None:
    """Nothing is renamed, converted or left out on the way."""
    in_force = make_settings()
    assert in_force.to_json() == {name: getattr(config, name) for name in NAMES}
    assert list(in_force.to_json()) == NAMES
    for name, declared in declarations(config).items():
        value = getattr(in_force, name)
        assert (list(value) if type(value) is tuple else value) == declared.default


def test_settings_cannot_be_changed_after_the_check() -> None:
    with pytest.raises(ValueError):
        make_settings().SEED = 7


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(getattr(config, n), list)])
def test_the_lists_of_settings_cannot_be_changed_either(name: str) -> None:
    """They are shared by all copies: a later change would rewrite the scenario of a run that is over."""
    in_force = make_settings(**{name: getattr(config, name) or [1] * config.NUM_MINERS})
    with pytest.raises(TypeError, match="item assignment"):
        getattr(in_force, name)[0] = 2


# ---------------------------------------------------------------- copies with changes, from Python


def test_a_copy_has_its_changes_and_nothing_else() -> None:
    first = make_settings(SEED=7, BASE_PRICE=0.16)
    copy = first.model_copy(update={"SEED": np.int64(8), "LOAD_PATTERN": np.ones(24)})
    assert copy == make_settings(SEED=8, BASE_PRICE=0.16, LOAD_PATTERN=[1.0] * 24)
    assert list(copy.to_json()) == NAMES, "params.json would be another, and so the chain"
    assert first == make_settings(SEED=7, BASE_PRICE=0.16)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"PENALTY_FOR_MARKT": 0}, ["no such setting; did you mean PENALTY_FOR_MARKET"]),
        ({"SEED": -5, "CONSENSUS": "PoW"}, ["SEED = -5: must be", 'one of "pow", "pos"']),
        ({"P2P_BONUS": "0.3", "TIME_STEPS": 0}, ["TIME_STEPS = 0: must be", "P2P_BONUS"]),
        ({"NUM_PROSUMERS": 0, "NUM_CONSUMERS": 0}, ["at least one member"]),
        ({"MARKET_MECHANISM": 3}, ["MARKET_MECHANISM = 3: must be one of"]),
    ],
)
def test_a_copy_is_checked_like_config(changes: dict[str, Any], problems: list[str]) -> None:
    """An experiment with a misspelt lever is the default once more, and nobody would know."""
    told = problems_of(lambda: make_settings().model_copy(update=changes))
    assert len(told) == len(problems)
    for line, expected in zip(told, problems, strict=True):
        assert expected in line


def test_a_copy_asks_no_more_of_what_stays_than_config_did(tmp_path: Path) -> None:
    """Who widens a range in config.py can run it with a data file too, which sets other settings."""
    module = edited(tmp_path, "SEASON_FACTOR: Factor = 1.0", "SEASON_FACTOR: Hours = 12.0")
    copy = settings.load(module).model_copy(update={"TIME_STEPS": 3})
    assert (copy.SEASON_FACTOR, copy.TIME_STEPS) == (12.0, 3)
    assert copy.model_copy(update={"SEASON_FACTOR": 20.0}).SEASON_FACTOR == 20.0
    again = pickle.loads(pickle.dumps(copy))
    assert again.model_copy(update={"SEED": 1}).SEASON_FACTOR == 12.0


@pytest.mark.filterwarnings("error")
def test_settings_can_be_dumped_as_pydantic_does_it() -> None:
    in_force = make_settings()
    assert in_force.model_dump() == json.loads(in_force.model_dump_json()) == in_force.to_json()
    assert hash(in_force) == hash(make_settings())


def test_a_copy_may_name_a_rule_and_an_objective_of_ones_own() -> None:
    names = {"MARKET_MECHANISM": "mine", "REGULATOR_OBJECTIVE": "calm"}
    copy = make_settings().model_copy(update=names).model_copy(update={"SEED": 3})
    assert (copy.MARKET_MECHANISM, copy.REGULATOR_OBJECTIVE, copy.SEED) == ("mine", "calm", 3)
    assert list(copy.to_json()) == NAMES


def test_names_that_nothing_stands_behind_are_refused_before_the_run() -> None:
    names = {"MARKET_MECHANISM": "mine", "REGULATOR_OBJECTIVE": "calm"}
    told = problems_of(lambda: simulator.prepare(make_settings().model_copy(update=names)))
    assert "MARKET_MECHANISM = 'mine': give prepare" in told[0]
    assert "REGULATOR_OBJECTIVE = 'calm': regulator.STRATEGIES has maximize_renewable" in told[1]
    mechanism: Any = "midpoint"
    told = problems_of(lambda: simulator.prepare(make_settings(), mechanism=mechanism))
    assert "give prepare(mechanism=MECHANISMS[...])" in told[0]


# ---------------------------------------------------------------- one value


WRONG = ["text", True, None, float("nan"), {"a": 1}, [[1]], -1e300, 1e300]
ALLOWED = {("VERBOSE", 1), ("HOUSEHOLDS", 0)}
"""(setting, place in WRONG) of what is right there."""


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(name, WRONG[k]) for name in NAMES for k in range(len(WRONG)) if (name, k) not in ALLOWED],
)
def test_a_value_of_the_wrong_kind_is_refused_with_name_value_and_what_is_allowed(
    name: str, wrong: Any
) -> None:
    declared = declarations(config)[name]
    (told,) = refused(**{name: wrong})
    assert told.startswith((f"{name} = ", f"{name}[0] = "))
    assert declared.allowed in told or told.startswith(f"{name}[0] = ")


def ends_of(name: str) -> tuple[Any, Any]:
    """The least and the most that a setting may be, or (None, None) where it is no number."""
    kind = declarations(config)[name].type
    return setting_types.bound(kind, "ge"), setting_types.bound(kind, "le")


@pytest.mark.parametrize("name", [name for name in NAMES if ends_of(name) != (None, None)])
def test_the_ends_of_a_range_are_allowed_and_a_step_beyond_is_not(name: str) -> None:
    low, high = ends_of(name)
    step = 1 if isinstance(low, int) else 1e-6
    for beyond in (low - step, high + step):
        (told,) = refused(**{name: beyond})
        assert told.startswith(f"{name} = ")
    for end in (low, high):
        _, told_all = settings.attempt(config, {name: end})
        assert not [told for told in told_all if declarations(config)[name].allowed in told]


def test_a_wrong_number_in_a_list_is_named_by_its_place() -> None:
    sizes = [1.0] * 10
    sizes[3] = -1
    assert refused(PV_CAPACITY=sizes) == [
        "PV_CAPACITY[3] = -1: must be a number from 0 to 1,000,000 (kW)"
    ]


def test_a_pattern_needs_a_value_for_each_hour_of_the_day() -> None:
    (told,) = refused(LOAD_PATTERN=[1.0] * 23)
    assert "must be a list of 24 numbers" in told


def test_a_whole_number_may_stand_for_a_real_one_but_not_the_other_way_round() -> None:
    assert make_settings(BAN_MARKET_HOURS=3).BAN_MARKET_HOURS == 3.0
    (told,) = refused(NUM_PROSUMERS=50.5)
    assert told == "NUM_PROSUMERS = 50.5: must be a whole number from 0 to 1,000,000"


def test_one_household_may_be_written_as_a_number() -> None:
    """--set HOUSEHOLDS=5 is read as JSON, so it arrives as the number 5."""
    assert make_settings(HOUSEHOLDS=5).HOUSEHOLDS == "5"


@pytest.mark.parametrize(
    ("hours", "seconds"), [(1.0, 3600), (0.25, 900), (0.0833, 300), (0.083, 300)]
)
def test_a_rounded_step_length_means_whole_minutes(hours: float, seconds: int) -> None:
    """Five minutes are no decimal number of hours; what is recorded is the length that is meant."""
    in_force = make_settings(TIME_STEP_DURATION=hours)
    assert in_force.step_seconds == seconds
    assert in_force.to_json()["TIME_STEP_DURATION"] == seconds / 3600


def test_hours_become_steps_rounded_up() -> None:
    """Two hours are 8 quarters of an hour; a ban of 20 minutes still fills two of them."""
    quarters = make_settings(TIME_STEP_DURATION=0.25)
    assert [quarters.steps_of(hours) for hours in (2.0, 1 / 3, 0.0)] == [8, 2, 0]


@pytest.mark.parametrize("minutes", [5, 6, 10, 12, 15, 20, 30, 60])
def test_hours_that_fill_whole_steps_get_no_step_more(minutes: int) -> None:
    """2.2 hours are 22 steps of six minutes, although 2.2 * 3600 is a little more than 7,920 in floats."""
    in_force = make_settings(TIME_STEP_DURATION=minutes / 60)
    for steps in range(400):
        assert in_force.steps_of(steps * minutes / 60) == steps
        assert in_force.steps_of(round(steps * minutes / 60, 4)) in (steps, steps + 1)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("NUM_PROSUMER", "NUM_PROSUMERS"), ("seed", "SEED"), ("BATERY_C_RATE", "BATTERY_C_RATE")],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(wrong: str, meant: str) -> None:
    assert refused(**{wrong: 1}) == [f"{wrong}: no such setting; did you mean {meant}?"]


def test_a_word_of_several_names_is_answered_with_all_of_them() -> None:
    """Not with the one that looks most like it: BATTERY_SIZE is not BATTERY_C_RATE."""
    assert refused(PENALTY=1) == [
        "PENALTY: no such setting; did you mean PENALTY_FOR_MARKET or BAN_PENALTY_LIMIT?"
    ]
    (told,) = refused(BATTERY_SIZE=1)
    assert all(name in told for name in declarations(config) if "BATTERY" in name)


def test_a_name_that_resembles_none_points_at_the_list() -> None:
    assert refused(XYZZY=1) == ["XYZZY: no such setting; the names are in config.py"]


def test_all_problems_come_at_once() -> None:
    """Whoever mends a file wants the whole list, not one line per attempt."""
    told = refused(SED=1, BASE_PRICE="cheap", NUM_MINERS=0, BATTERY_MIN_SOC=0.97)
    assert [line.split(" ")[0].rstrip(":") for line in told] == [
        "SED",
        "BASE_PRICE",
        "NUM_MINERS",
        "BATTERY_MIN_SOC",
    ]


def test_a_rule_is_silent_about_a_value_that_was_refused_already() -> None:
    """What stands in for a refused value must not be blamed in its place."""
    told = refused(BATTERY_MIN_SOC="low", BATTERY_INITIAL_SOC=0.05)
    assert told == ['BATTERY_MIN_SOC = "low": must be a number from 0 to 1']


# ---------------------------------------------------------------- rules between constants


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"NUM_PROSUMERS": 0},
            "NUM_PROSUMERS + NUM_CONSUMERS = 0: a community needs at least one member",
        ),
        (
            {"BATTERY_CAPACITY": [5.0] * 8 + [0.0, 0.0009]},
            "BATTERY_CAPACITY has 0.0009: a battery has at least 0.001 kWh, or 0",
        ),
        ({"BATTERY_MIN_SOC": 0.95}, "BATTERY_MIN_SOC = 0.95 must be below BATTERY_MAX_SOC = 0.95"),
        (
            {"BATTERY_INITIAL_SOC": 0.05},
            "BATTERY_INITIAL_SOC = 0.05 must lie between BATTERY_MIN_SOC = 0.1 and BATTERY_MAX_SOC = 0.95",
        ),
        (
            {"PV_CAPACITY": [1.0, 2.0]},
            "PV_CAPACITY has 2, BASE_CONSUMPTION has 10, BATTERY_CAPACITY has 10 values: "
            "one home type needs one value in each of the three lists",
        ),
        (
            {"RETAIL_PRICE": 0.25},  # 0.15 * 1.6 * 1.05 = 0.252
            "RETAIL_PRICE = 0.25 must not be below the highest market price that BASE_PRICE, "
            "PRICE_PATTERN and PRICE_VARIATION allow (0.252 EUR/kWh)",
        ),
        (
            {"FEED_IN_PRICE": 0.09},  # 0.15 * 0.6 * 0.95 = 0.0855
            "FEED_IN_PRICE = 0.09 must not be above the lowest market price that BASE_PRICE, "
            "PRICE_PATTERN and PRICE_VARIATION allow (0.0855 EUR/kWh)",
        ),
        (
            {"MINER_HASH_POWER": [1, 2]},
            "MINER_HASH_POWER has 2 values, NUM_MINERS = 15: one each, or none",
        ),
        (
            {"CONSENSUS": "pos", "NUM_MINERS": 14},
            "VALIDATOR_STAKES has 15 values, NUM_MINERS = 14: one each",
        ),
        (
            {"CONSENSUS": "pos", "VALIDATOR_STAKES": [0] * 15},
            "VALIDATOR_STAKES: stake needs at least 10 validators and some stake",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, Any], told: str
) -> None:
    assert refused(**changes) == [told]


@pytest.mark.parametrize(
    "changes",
    [
        {"NUM_PROSUMERS": 0, "NUM_CONSUMERS": 1},
        {"BATTERY_INITIAL_SOC": 0.1},
        {"BATTERY_INITIAL_SOC": 0.95},
        {"RETAIL_PRICE": 0.252},
        {"FEED_IN_PRICE": 0.15 * 0.6, "PRICE_VARIATION": 0.0},
        {"FEED_IN_PRICE": 0.0855},  # 0.15 * 0.6 * 0.95, which floats miss
        {"BASE_PRICE": 0.1, "PRICE_PATTERN": [1.1] * 24, "RETAIL_PRICE": 0.1155},  # so here
        {"NUM_MINERS": 14},  # VALIDATOR_STAKES of 15 only count with stake
        {"NUM_MINERS": 2, "MINER_HASH_POWER": [1, 2]},
    ],
)
def test_the_limits_of_a_rule_are_allowed(changes: dict[str, Any]) -> None:
    assert make_settings(**changes).num_members >= 1


# ---------------------------------------------------------------- layers


def test_a_later_layer_wins_over_an_earlier_one_and_both_over_config() -> None:
    """config.py, then --config file.json, then the command line."""
    in_force = settings.load(config, {"SEED": 1, "NUM_MINERS": 3}, {"SEED": 2})
    assert (in_force.SEED, in_force.NUM_MINERS, in_force.NUM_PROSUMERS) == (2, 3, 100)


def test_a_wrong_value_that_a_later_layer_replaces_does_no_harm() -> None:
    assert settings.load(config, {"SEED": "x"}, {"SEED": 2}).SEED == 2


def test_with_a_wrong_value_the_rest_still_serves_to_look_for_more_problems() -> None:
    usable, told = settings.attempt(config, {"SEED": "x", "HOUSEHOLDS": "1,2"})
    assert usable is not None and len(told) == 1
    assert (usable.SEED, usable.HOUSEHOLDS) == (config.SEED, "1,2")


# ---------------------------------------------------------------- an edited config.py


def test_a_constant_that_lost_its_type_still_works(tmp_path: Path) -> None:
    """`NUM_PROSUMERS = 50` is an edit that a newcomer dares to make."""
    module = edited(tmp_path, "NUM_PROSUMERS: Count = 100", "NUM_PROSUMERS = 50")
    assert settings.load(module).NUM_PROSUMERS == 50
    assert settings.load(module, {"NUM_PROSUMERS": 7}).NUM_PROSUMERS == 7


def test_without_any_type_config_means_the_same(tmp_path: Path) -> None:
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    bare = re.sub(r"^([A-Z0-9_]+): \w+ = ", r"\1 = ", text, flags=re.M)
    assert settings.load(edited(tmp_path, text, bare)).to_json() == make_settings().to_json()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["'x'", "-1.5", "None", "[[1]]", "float('nan')"])
def test_a_constant_without_type_is_still_checked(tmp_path: Path, name: str, value: str) -> None:
    """What a lost type lets through must not end in a crash of the run."""
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    declaration = re.search(rf"^{name}: \w+ = (\[[^\]]*\]|.*)", text, flags=re.M)
    assert declaration is not None
    module = edited(tmp_path, declaration.group(), f"{name} = {value}")
    is_money = setting_types.TYPES[name] == setting_types.Eur
    if (name, value) == ("HOUSEHOLDS", "'x'") or (is_money and value == "-1.5"):
        assert settings.load(module)
        return
    (told,) = problems_of(lambda: settings.load(module))
    assert told.startswith(name)


def test_the_constants_that_the_program_knows_are_those_of_config() -> None:
    """A new constant needs a line in setting_types.TYPES, or config.py would be refused."""
    assert {name: declared.type for name, declared in declarations(config).items()} == (
        setting_types.TYPES
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "NUM_PROSUMER = 50",
            "config.py: NUM_PROSUMER: no such setting; did you mean NUM_PROSUMERS?",
        ),
        (
            "NUM_PROSUMER: Count = 3",
            "config.py: NUM_PROSUMER: no such setting; did you mean NUM_PROSUMERS?",
        ),
        (
            "num_prosumers = 3",
            "config.py: num_prosumers: no such setting; did you mean NUM_PROSUMERS?",
        ),
        (
            "Num_Prosumers: Count = 3",
            "config.py: Num_Prosumers: no such setting; did you mean NUM_PROSUMERS?",
        ),
        ("FOO = 1", "config.py: FOO: no such setting; begin a name of your own with _"),
        ("MY_OWN: EurPerKwh = 3\n'A price.'", "config.py: MY_OWN: no such setting; begin a name of your own with _"),
    ],
)  # fmt: skip
def test_a_constant_that_nothing_reads_is_named(tmp_path: Path, line: str, told: str) -> None:
    """With or without a type: its author waits for an effect, and the chain is bound to it."""
    module = edited(tmp_path, "BATTERY_MIN_SOC", f"{line}\nBATTERY_MIN_SOC")
    assert problems_of(lambda: settings.load(module)) == [told]


def test_numbers_of_numpy_are_numbers() -> None:
    """A sweep counts with np.arange."""
    given = {"NUM_PROSUMERS": np.int64(50), "HAS_BATTERY": np.float64(0.5)}
    given["PV_CAPACITY"] = np.full(10, 4.0)
    found = settings.load(config, given).to_json()
    assert (found["NUM_PROSUMERS"], found["HAS_BATTERY"]) == (50, 0.5)
    assert found["PV_CAPACITY"] == [4.0] * 10


def test_of_a_decimal_comma_a_point_is_asked_for(tmp_path: Path) -> None:
    """In config.py it makes two numbers of one, on the command line a text; a list has commas of its own."""
    must = "must be a number from 0 to 1"
    module = edited(tmp_path, "HAS_BATTERY: Share = 0.8", "HAS_BATTERY: Share = 0,8")
    told = f"HAS_BATTERY = [0, 8]: {must}; decimals follow a point: 0.8"
    assert problems_of(lambda: settings.load(module)) == [told]
    assert refused(HAS_BATTERY="0,05") == [
        f'HAS_BATTERY = "0,05": {must}; decimals follow a point: 0.05'
    ]
    for others in ({"LOAD_PATTERN": [1, 2]}, {"NUM_PROSUMERS": "1,000"}, {"CONSENSUS": "1,2"}):
        (told,) = refused(**others)
        assert "point" not in told


def test_a_constant_that_is_set_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    """The last line would win without a word."""
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    module = edited(tmp_path, text, text + "\nNUM_PROSUMERS: Count = 50\n")
    first = text[: text.index("NUM_PROSUMERS: Count")].count("\n") + 1
    told = f"config.py: NUM_PROSUMERS: set in lines {first} and {text.count(chr(10)) + 2}; keep one of them"
    assert problems_of(lambda: settings.load(module)) == [told]


@pytest.mark.parametrize("left", ["", "\n", "# SEED: Seed = 42\n"])
def test_a_config_without_a_statement_lacks_every_constant(tmp_path: Path, left: str) -> None:
    """Nothing at all, or every line a comment."""
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    told = problems_of(lambda: settings.load(edited(tmp_path, text, left)))
    assert sorted(told) == [
        f"{name}: missing in config.py; restore its line" for name in sorted(setting_types.TYPES)
    ]


def test_what_is_no_text_at_all_is_told_by_its_kind() -> None:
    (told,) = refused(NUM_PROSUMERS={1, 2})
    assert told.startswith("NUM_PROSUMERS = set: must be ")


def test_a_config_that_is_edited_and_loaded_again_is_read_again(tmp_path: Path) -> None:
    """A notebook edits config.py, reloads it, mends it and reloads it: each time the text as it is now counts."""
    module = edited(tmp_path, "SEED: Seed = 42", "SEED: Seed = 43")
    path = Path(str(module.__file__))
    mended = path.read_text(encoding="utf-8")
    assert settings.load(module).SEED == 43
    for text, problems in ((mended + "\nSEED: Seed = 4\n", 1), (mended, 0)):
        path.write_text(text, encoding="utf-8")
        assert module.__spec__ is not None and module.__spec__.loader is not None
        module.__spec__.loader.exec_module(module)
        assert len(settings.attempt(module)[1]) == problems


UNITS_IN_WORDS = {
    "h": "hour",
    "trades": "Trades",
    "steps": "steps",
    "hexadecimal digits": "digits",
    "one per hour of the day": "each hour of the day",
    "attempts per round": "Attempts of each miner per round",
    "units of stake": "Stake",
}


def test_each_sentence_of_the_config_tells_the_unit() -> None:
    for name, declared in declarations(config).items():
        unit = declared.unit
        words = UNITS_IN_WORDS.get(unit, f"({unit})" if unit else "")
        assert words in declared.sentence, f"{name} does not tell its unit, {unit}"


def test_all_constants_that_were_lost_misspelt_or_added_are_named_at_once(tmp_path: Path) -> None:
    """Before the run, even those that only its end reads, with what else is wrong."""
    text = (REPOSITORY / "config.py").read_text(encoding="utf-8")
    new = text.replace("HAS_BATTERY: Share", "HAS_BATERY: Share").replace(
        "VERBOSE: Flag", "_V: Flag"
    )
    new = new.replace("SEED: Seed = 42", "SED: Seed = 42").replace(
        "DIFFICULTY_TARGET: Digits = 3", ""
    )
    new = new.replace("SOC: Share = 0.95", "SOC: Share = 2", 1) + "\nXYZZY: EurPerKwh = 3\n"
    module = edited(tmp_path, text, new)
    expected = [
        "config.py: SED: no such setting; SEED is missing; is it meant?",
        "config.py: HAS_BATERY: no such setting; HAS_BATTERY is missing; is it meant?",
        "config.py: XYZZY: no such setting; begin a name of your own with _",
        "DIFFICULTY_TARGET: missing in config.py; restore its line",
        "VERBOSE: missing in config.py; restore its line",
        "BATTERY_MAX_SOC = 2: must be a number from 0 to 1",
    ]
    assert problems_of(lambda: settings.load(module)) == expected
    assert settings.attempt(module, {"HAS_BATTERY": 0.5}) == (None, expected)


def test_a_value_that_is_wrong_hides_only_the_rules_that_read_it(tmp_path: Path) -> None:
    """Whether it stands in config.py or in a layer above."""
    module = edited(tmp_path, "DIFFICULTY_TARGET: Digits = 3", "DIFFICULTY_TARGET: Digits = 64")
    changes = {"BATTERY_MIN_SOC": 0.97, "RETAIL_PRICE": "dear", "FEED_IN_PRICE": 0.2}
    for call in (
        lambda: settings.load(module, changes),
        lambda: settings.load(config, changes | {"DIFFICULTY_TARGET": 64}),
    ):
        assert [told.partition(":")[0][:31] for told in problems_of(call)] == [
            'RETAIL_PRICE = "dear"',
            "DIFFICULTY_TARGET = 64",
            "BATTERY_MIN_SOC = 0.97 must be ",
            "FEED_IN_PRICE = 0.2 must not be",
        ]


def test_helpers_in_small_letters_or_with_an_underscore_are_no_settings(tmp_path: Path) -> None:
    module = edited(tmp_path, "SEED: Seed", "_HOMES = 50\nnote = 1\nSEED: Seed")
    assert settings.load(module).to_json() == make_settings().to_json()


def test_a_missing_constant_is_named(tmp_path: Path) -> None:
    module = edited(tmp_path, "NUM_MINERS: Miners = 15", "")
    assert problems_of(lambda: settings.load(module)) == [
        "NUM_MINERS: missing in config.py; restore its line"
    ]


# ---------------------------------------------------------------- texts and JSON


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SEED=7", ("SEED", 7)),
        (" SEED = 7 ", ("SEED", 7)),
        ("PV_CAPACITY=[1, 2.5]", ("PV_CAPACITY", [1, 2.5])),
        ("VERBOSE=False", ("VERBOSE", False)),
        ("VERBOSE=true", ("VERBOSE", True)),
        ("CONSENSUS=none", ("CONSENSUS", "none")),
        ('CONSENSUS="none"', ("CONSENSUS", "none")),
        ("HOUSEHOLDS=a=b", ("HOUSEHOLDS", "a=b")),
        ("HOUSEHOLDS=", ("HOUSEHOLDS", "")),
    ],
)
def test_an_assignment_is_a_name_and_a_json_value_or_else_a_text(text: str, value: Any) -> None:
    assert parse_assignment(text) == value


@pytest.mark.parametrize("text", ["SEED", "=7", "", " =7"])
def test_an_assignment_without_name_or_equals_sign_is_explained(text: str) -> None:
    assert problems_of(lambda: parse_assignment(text)) == [
        f"--set {text}: write it as NAME=value, for example --set NUM_MINERS=5"
    ]


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, '{"a": 1, "a": 2}'])
def test_what_json_cannot_hold_stays_a_text_and_is_refused_later(text: str) -> None:
    assert parse_value(text) == text
    (told,) = refused(SEED=parse_value(text))
    assert len(told) < 200


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"SEED": 1,', "is not JSON (Expecting property name enclosed in double quotes"),
        (b"", "is not JSON (Expecting value"),
        (b"[1, 2]", 'needs an object of settings, {"NAME": value, ...}'),
        (b'{"SEED": 1, "SEED": 2}', "is not JSON (SEED: named more than once)"),
        (b'{"SEED": ' + b"9" * 6000 + b"}", "is not JSON (Exceeds the limit"),
        (b'{"SEED": ' + b"[" * 100_000, "is not JSON (maximum recursion depth"),
        (b"\xff\xfe{\x00", "is not UTF-8 text"),
    ],
)
def test_a_broken_settings_file_is_named_with_the_reason(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    (problem,) = problems_of(lambda: read_json(path))
    assert problem.startswith(f"--config {path}: {told}")


def test_a_settings_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        (problem,) = problems_of(lambda path=path: read_json(path))
        assert problem.startswith(f"--config {path}: cannot be read ({reason}")


def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "mine.json"
    path.write_bytes(b'\xef\xbb\xbf{"SEED": 1}')
    assert read_json(path) == {"SEED": 1}


def test_settings_survive_json() -> None:
    in_force = make_settings(SEED=2**63 - 1, BASE_PRICE=0.1 + 0.05)
    again = settings.load(config, json.loads(json.dumps(in_force.to_json())))
    assert again.to_json() == in_force.to_json()


# ---------------------------------------------------------------- every setting moves something

SMALL = {
    "NUM_PROSUMERS": 8,
    "NUM_CONSUMERS": 1,
    "TIME_STEPS": 20,
    "NUM_MINERS": 3,
    "DIFFICULTY_TARGET": 1,
}
STAKES = {"CONSENSUS": "pos", "NUM_MINERS": 15}
PICKY = {"QUOTE_MARGIN": 0.8, "QUOTE_VARIATION": 0.8, "NUM_PROSUMERS": 30, "TIME_STEPS": 24}
STRICT = PICKY | {"BAN_PENALTY_LIMIT": 0.0, "BAN_BONUS_LIMIT": 1000.0}
POOR = PICKY | {"BAN_BALANCE_LIMIT": 0.0, "BAN_BONUS_LIMIT": 0.0}
"""Worlds in which a setting can matter: blocks by stake, bans for market use, bans for a low balance."""

CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "SEED": (7, {}),
    "NUM_PROSUMERS": (9, {}),
    "NUM_CONSUMERS": (2, {}),
    "TIME_STEPS": (21, {}),
    "TIME_STEP_DURATION": (0.5, {}),
    "PV_CAPACITY": ([3.0] * 10, {}),
    "BASE_CONSUMPTION": ([0.5] * 10, {}),
    "BATTERY_CAPACITY": ([9.0] * 10, {}),
    "HAS_BATTERY": (0.2, {}),
    "INITIAL_WALLET": (5.0, {}),
    "SEASON_FACTOR": (0.3, {}),
    "PV_SYSTEM_EFFICIENCY": (0.7, {}),
    "CLOUD_MIN_TRANSMISSION": (0.9, {}),
    "CLOUD_PERSISTENCE": (0.0, {}),
    "ROOF_VARIATION": (0.0, {}),
    "ORIENTATION_SHIFT": (0.0, {}),
    "LOAD_PATTERN": ([1.0] * 24, {}),
    "LOAD_VARIATION": (0.0, {}),
    "MIN_LOAD": (0.5, {}),
    "BATTERY_EFFICIENCY": (0.8, {}),
    "BATTERY_MIN_SOC": (0.4, {}),
    "BATTERY_MAX_SOC": (0.6, {}),
    "BATTERY_INITIAL_SOC": (0.2, {}),
    "BATTERY_C_RATE": (0.05, {}),
    "BASE_PRICE": (0.12, {}),
    "PRICE_PATTERN": ([1.0] * 24, {}),
    "PRICE_VARIATION": (0.0, {}),
    "FORECAST_ERROR": (0.0, {}),
    "RETAIL_PRICE": (0.5, {}),
    "FEED_IN_PRICE": (0.0, {"MAX_TRADE_CAP": 0.5}),
    "MARKET_MECHANISM": ("uniform", {}),
    "MAX_TRADE_CAP": (0.2, {}),
    "IMBALANCE_THRESHOLD": (0.5, {}),
    "LOCAL_MARKET_FEE": (0.01, {}),
    "OFFER_SHARE": (0.1, {}),
    "STORAGE_BID_SHARE": (0.1, {}),
    "STORAGE_MARGIN": (0.05, {}),
    "QUOTE_MARGIN": (0.1, {}),
    "QUOTE_VARIATION": (0.0, {}),
    "REGULATOR_OBJECTIVE": ("maximize_p2p", {}),
    "RENEWABLE_BONUS": (0.05, {}),
    "P2P_BONUS": (0.03, {}),
    "PENALTY_FOR_MARKET": (0.05, {}),
    "REGULATOR_BUDGET": (0.5, {}),
    "BAN_PENALTY_LIMIT": (1000.0, STRICT),
    "BAN_BONUS_LIMIT": (0.0, STRICT),
    "BAN_MARKET_HOURS": (5.0, STRICT),
    "BAN_BALANCE_LIMIT": (-1000.0, POOR),
    "BAN_BALANCE_HOURS": (6.0, POOR),
    "BAN_COOLDOWN_HOURS": (0.0, STRICT | {"BAN_MARKET_HOURS": 1.0, "PENALTY_FOR_MARKET": 0.005}),
    "CONSENSUS": ("pos", {"NUM_MINERS": 15}),
    "NUM_MINERS": (4, {}),
    "MINER_HASH_POWER": ([1, 1, 50], {}),
    "VALIDATOR_STAKES": ([1] * 15, STAKES),
    "DIFFICULTY_TARGET": (2, {}),
    "BLOCK_REWARD": (0.2, {}),
    "MAX_TRANSACTIONS_PER_BLOCK": (2, {}),
}
"""Constant -> (a changed value, a world in which it matters). HOUSEHOLDS and VERBOSE have tests of their own."""


def test_the_list_of_changes_names_every_constant() -> None:
    """A new constant needs a line above: a value and, if need be, a world in which it matters."""
    assert set(CHANGES) | {"HOUSEHOLDS", "VERBOSE"} == set(NAMES)


@cache
def tables(changes: str) -> dict[str, bytes]:
    """The CSV files of a run with these changes (JSON), its chain bound to nothing."""
    import tempfile

    in_force = make_settings(**json.loads(changes))
    rule = MECHANISMS.get(in_force.MARKET_MECHANISM, MIDPOINT)
    run = simulator.run(simulator.prepare(in_force, mechanism=rule))
    with tempfile.TemporaryDirectory() as folder:
        storage.save(run, Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).glob("*.csv")}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_setting_changes_more_than_the_record_of_itself(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that nothing reads is a broken promise (trap 26).

    The chain is bound to params.json, so any change of a setting moves hashes and winners; here it is bound to
    a constant instead, and only the CSV files count: they hold no setting as such.
    """
    monkeypatch.setattr(simulator.Scenario, "params", property(lambda self: b"{}\n"))
    value, world = CHANGES[name]
    world = SMALL | world
    assert world.get(name, getattr(config, name)) != value, "this is no change"
    before, after = tables(json.dumps(world)), tables(json.dumps(world | {name: value}))
    assert {file for file in before if before[file] != after[file]}


def test_households_says_which_homes_take_part(tmp_path: Path) -> None:
    path = tmp_path / "homes.csv"
    rows = [f"2024-06-01 {hour:02}:00,{home},1.0,0.5" for hour in range(2) for home in "abc"]
    path.write_text("\n".join(["timestamp,household_id,load_kwh,pv_kwh", *rows]) + "\n")
    scenario = simulator.prepare(make_settings(HOUSEHOLDS="a,c"), Files(data=path))
    assert scenario.fleet.household_id == ("a", "c")


def test_verbose_says_whether_the_table_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import main

    lines = {}
    for verbose in ("true", "false"):
        small = [f"--set={name}={value}" for name, value in SMALL.items()]
        arguments = ["-o", str(tmp_path / "r"), "--no-plots", "--set", f"VERBOSE={verbose}", *small]
        assert main.main(arguments) == 0
        lines[verbose] = capsys.readouterr().out.strip().splitlines()
    assert len(lines["true"]) > 10
    assert len(lines["false"]) == 2
