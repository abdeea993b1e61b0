"""What the JSON files tell: the promised keys are there, of their type, and compared with what is due.

A value of JSON can be anything, a whole number of 300 digits too. So numbers are compared as floats,
and only once it is known that they are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from verification.findings import Findings, show
from verification.folder import Saved
from verification.read import is_number


class Nanoeur(int):
    """An amount that is due to the nano-euro."""


EXACT_EUR = 1e6
"""Amounts below are the same nano-euro after they were a float."""


@dataclass(frozen=True)
class Kind:
    """What a value has to be: a test, and its words."""

    holds: Callable[[Any], bool]
    words: str


NUMBER = Kind(is_number, "a number")
SIZE = Kind(lambda v: is_number(v) and v >= 0, "a number from 0 on")
TEXT = Kind(lambda v: type(v) is str, "a text")
NAME = Kind(lambda v: type(v) in (str, int), "a text or a whole number")
VERSIONS = Kind(
    lambda v: type(v) is dict and v != {} and all(type(text) is str for text in v.values()),
    "names of programs, each with a text",
)
ANYTHING = Kind(lambda v: v is not None, "there")
MEMBER = {"home_type": NAME, "pv_capacity_kw": SIZE}
OUR_MEMBER = MEMBER | {"household_id": TEXT, "home_type": TEXT, "final_balance_eur": NUMBER}
SUMMARY = {
    "stored_change_value_eur": NUMBER,
    "net_cost_eur": NUMBER,
    "cost_alone_eur": NUMBER,
    "net_cost_alone_eur": NUMBER,
    "versions": ANYTHING,
}
OUR_SUMMARY = SUMMARY | {"versions": VERSIONS}
"""What is promised, and follows from tables not at all or from other told figures only; the rest is
demanded with its value."""


def check_promised(saved: Saved, findings: Findings) -> None:
    """What summary.json and each member of prosumers.json promise is there, and of its type."""
    of_run, of_member = (OUR_SUMMARY, OUR_MEMBER) if saved.settings.ours else (SUMMARY, MEMBER)
    check_types(findings, "summary.json", "summary", saved.summary, of_run)
    for i, member in enumerate(saved.members):
        check_types(findings, f"member {i}", "prosumers.json", member.told, of_member)


def check_types(
    findings: Findings,
    where: str,
    rule: str,
    told: Mapping[str, Any],
    promised: Mapping[str, Kind],
) -> None:
    for name, kind in promised.items():
        if not kind.holds(told.get(name)):
            findings.add(where, rule, f"{name} is {shown(told, name)}, should be {kind.words}")


def check_figure(
    findings: Findings,
    where: str,
    rule: str,
    told: Mapping[str, Any],
    name: str,
    due: object,
    tolerance: float = 0.0,
) -> None:
    """A finding unless the told figure is the one that is due: a float nearly, all else exactly."""
    value = told.get(name)
    if isinstance(due, Nanoeur):
        right, due = is_amount(value, due) and type(value) is not str, due / 1e9
    elif isinstance(due, float):
        right = close(value, due, tolerance)
    else:
        right = name in told and type(value) is type(due) and value == due
    if not right:
        findings.add(where, rule, f"{name} is {shown(told, name)}, expected {show(due)}")


def difference(first: float, second: float) -> tuple[float | Nanoeur, float]:
    """(first less second, its tolerance), both told in EUR: to the nano-euro as far as floats hold that."""
    size = abs(first) + abs(second)
    if size < EXACT_EUR:
        return Nanoeur(round(first * 1e9) - round(second * 1e9)), 0.0
    return first - second, 2e-9 + 1e-12 * size


def shown(told: Mapping[str, Any], name: str) -> str:
    return show(told[name]) if name in told else "missing"


def is_amount(told: object, nanoeur: int) -> bool:
    """Whether a JSON value is this amount: a text to the digit, a number to what floats hold."""
    if type(told) is str:
        sign, (euro, rest) = "-" * (nanoeur < 0), divmod(abs(nanoeur), 10**9)
        return told == f"{sign}{euro}.{rest:09d}"
    tolerance = 0.5e-9 + 4e-16 * abs(nanoeur / 1e9)
    return is_number(told) and abs(told - nanoeur / 1e9) <= tolerance


def close(told: object, due: float, tolerance: float) -> bool:
    """Whether a JSON value is this number; no text, no truth value, nothing infinite."""
    if not (is_number(told) and is_number(due)):
        return False
    return abs(float(told) - due) <= tolerance + 1e-12 * abs(due)
