"""What config.py declares: each constant's name, type, value and sentence.

A constant is declared there alone: a name, a type that carries unit and range (setting_types.py), a value and a
sentence below it. Everything else that needs to know about it (checks, command line, JSON, docs/settings.md)
reads that declaration through `declarations`.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import json
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal, get_origin

import setting_types
from setting_types import TYPES, Size, field_of


@dataclass(frozen=True)
class Declaration:
    """What config.py says about one constant."""

    name: str
    type: Any
    default: Any
    sentence: str

    @property
    def unit(self) -> str:
        return setting_types.unit(self.type)

    @property
    def allowed(self) -> str:
        """The permitted values in words, for messages and tables."""
        return setting_types.allowed(self.type) + (f" ({self.unit})" if self.unit else "")


def declarations(config: ModuleType) -> dict[str, Declaration]:
    """Every upper-case constant of the config module, in the order of the file."""
    types = getattr(config, "__annotations__", {})
    sentences = {name: sentence for name, _, sentence in _constants(config)}
    values = {n: v for n, v in vars(config).items() if n.isupper() and n[0] != "_"}
    return {
        name: Declaration(name, _type(name, types.get(name)), value, sentences.get(name, ""))
        for name, value in values.items()
    }


def table(config: ModuleType) -> str:
    """All constants of the config module, with value, what is allowed and meaning: a table in Markdown."""
    lines = ["| setting | value | allowed | meaning |", "|---|---|---|---|"]
    for name, declared in declarations(config).items():
        value = json.dumps(declared.default)
        lines.append(f"| {name} | `{value}` | {declared.allowed} | {declared.sentence} |")
    return "\n".join(lines)


# ---------------------------------------------------------------- what is wrong with the file itself


def misdeclared(config: ModuleType) -> list[str]:
    """The constants of the config module that are misspelt, added, lost, or set twice."""
    present = list(declarations(config))
    return _misnamed(present) + _in_small_letters(config) + _repeated(config)


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


def _in_small_letters(config: ModuleType) -> list[str]:
    """The names of config.py that are those of settings but for their letters' size: nothing would read them."""
    names = dict.fromkeys(name for name, _, _ in _constants(config) if not name.isupper())
    return [
        f"config.py: {name}: no such setting; did you mean {name.upper()}?"
        for name in names
        if name.upper() in TYPES
    ]


def _repeated(config: ModuleType) -> list[str]:
    """The constants that config.py sets twice: the last line would win without a word."""
    lines: dict[str, list[str]] = {}
    for name, line, _ in _constants(config):
        lines.setdefault(name, []).append(str(line))
    return [
        f"config.py: {name}: set in lines {' and '.join(there)}; keep one of them"
        for name, there in lines.items()
        if len(there) > 1 and name in TYPES
    ]


# ---------------------------------------------------------------- reading it


def _constants(config: ModuleType) -> list[tuple[str, int, str]]:
    """(name, line, the string that stands below it) of each constant of the config module."""
    try:
        return _declared(inspect.getsource(config))
    except (OSError, TypeError):  # no file, or nothing in it
        return []


@lru_cache(maxsize=8)
def _declared(source: str) -> list[tuple[str, int, str]]:
    found: list[tuple[str, int, str]] = []
    body = ast.parse(source).body
    for statement, below in itertools.zip_longest(body, body[1:]):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name):
            told = below.value if isinstance(below, ast.Expr) else None
            text = told.value if isinstance(told, ast.Constant) else None
            sentence = " ".join(text.split()) if isinstance(text, str) else ""
            found.append((target.id, statement.lineno, sentence))
    return found


def _type(name: str, annotated: Any) -> Any:
    """The declared type; where an edit lost the annotation, the one that the program knows."""
    if field_of(annotated) or get_origin(annotated) is Literal:
        return annotated
    return TYPES.get(name, Size)
