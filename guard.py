"""How a command ends: in words and with an exit code, whatever happens; never with a traceback."""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from errors import InputError
from stopping import EXIT_STOPPED, stop_no_more, stoppable

EXIT_WRONG, EXIT_INPUT = 1, 2
EXIT_UNREAD = 141
"""Whoever read the output has gone (`| head`). Shells report this number then; nothing that was looked at is wrong."""


class Once(argparse.Action):
    """Stores a value, but not a second one that differs: the last would win without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("given", {})
        if option and given.setdefault(self.dest, value) != value:
            told = f"{option}: given as both {given[self.dest]} and {value}; give it once"
            parser.found.append(told)  # type: ignore[attr-defined]
        setattr(namespace, self.dest, value)


class Parser(argparse.ArgumentParser):
    """argparse, but its complaints are InputErrors like all others, with a guess at what was meant."""

    def __init__(self, **wishes: Any):
        super().__init__(**wishes)
        self.register("action", None, Once)
        self.register("type", Path, _named_path)
        self.found: list[str] = []  # problems of the arguments read so far

    def read(self, arguments: Sequence[str] | None, problems: list[str]) -> argparse.Namespace:
        """The options; unknown and contradicting ones become problems, so that others are looked at as well."""
        self.found.clear()
        words = sys.argv[1:] if arguments is None else arguments
        for word in itertools.takewhile("--".__ne__, words):
            if re.fullmatch(r"(--[\w-]+=|-\w)--", word):  # argparse takes this value away unsaid
                self.error(f"argument {word[:-2].rstrip('=')}: expected one argument")
        options, unknown = self.parse_known_args(arguments)
        problems += self.found
        told: list[list[str]] = []
        for word in unknown:  # an option with what follows it is one mistake
            if word.startswith("-") or not told:
                told.append([])
            told[-1].append(word)
        problems += [self.complaint(f"unrecognized arguments: {' '.join(words)}") for words in told]
        return options

    def parse_args(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:  # type: ignore[override]
        """The options of a command that has nothing else to complain about."""
        problems: list[str] = []
        options = self.read(arguments, problems)
        if problems:
            raise InputError(problems)
        return options

    def complaint(self, message: str) -> str:
        known = list(self._option_string_actions)
        near = [m for word in message.split() for m in difflib.get_close_matches(word, known, 1)]
        hint = f"did you mean {near[0]}?" if near and near[0] not in message else ""
        return f"{message}; {hint or f'see {self.prog} --help'}"

    def error(self, message: str) -> NoReturn:
        raise InputError([*self.found, self.complaint(message)])


def _named_path(text: str) -> Path:
    """A path, but not the empty one that a forgotten shell variable leaves: it would mean the folder one is in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or a folder")
    return Path(text)


def guarded(command: Callable[[], int | None], stopped: str = "stopped") -> int:
    """Runs a command; returns its exit code: 0 well, 1 something is wrong, 2 bad input or no way to write, 130 stopped,
    141 unread."""
    _demand_little_of_the_terminal()
    with stoppable():
        try:
            try:
                return command() or 0
            finally:
                if sys.stdout:
                    sys.stdout.flush()  # here, not when Python ends: the reader may be gone (`| head`)
        except InputError as error:
            told = "problems" if len(error.problems) > 1 else "a problem"
            print(f"error: {told} in the input", file=sys.stderr)
            for problem in error.problems:
                print(f"  {' '.join(problem.splitlines())}", file=sys.stderr)
            return EXIT_INPUT
        except KeyboardInterrupt:
            stop_no_more()
            print(f"\n{stopped}", file=sys.stderr)
            return EXIT_STOPPED
        except MemoryError:
            told = "error: not enough memory for a run of this size; use fewer members or steps"
            print(told, file=sys.stderr)
            return EXIT_INPUT
        except OSError as error:  # of what prints: a full disk, `| head`; of files: InputErrors
            _print_no_more()
            if isinstance(error, BrokenPipeError):
                return EXIT_UNREAD
            print(f"error: the output cannot be written ({error})", file=sys.stderr)
            return EXIT_INPUT  # not EXIT_WRONG: nothing that was looked at is wrong


def demand_output() -> None:
    """Raises InputError where nobody can read an answer: standard output is closed."""
    if sys.stdout is None:
        raise InputError(["standard output is closed; the answer cannot be written"])


def _demand_little_of_the_terminal() -> None:
    """Characters that the terminal cannot show, such as an umlaut in ASCII, are printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # no stream, or no text stream
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _print_no_more() -> None:
    """Sends the output nowhere from now on: Python would try once more to write it when it ends, and fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
