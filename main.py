"""The command line: which words name which command.

python main.py                      the community day of config.py, into results/ (run_command.py)
python main.py verify results       check a saved folder, from its files alone (checking.py)
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # loading takes a moment too: Ctrl-C there ends it without a traceback
    try:
        import stopping

        stopping.stop_while_loading()
    except KeyboardInterrupt:
        os._exit(130)

import difflib
import importlib
import sys
from collections.abc import Callable

from errors import InputError, LawBroken
from guard import EXIT_WRONG, guarded
from stopping import ignore_stops


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 well, 1 something is wrong, 2 bad input or no way to
    write, 130 stopped, 141 the reader of the output has gone."""
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: _command(words), "stopped; earlier results are as they were")


def _command(arguments: list[str]) -> int:
    """Runs the command that the first word names; without one, a simulation."""
    if not arguments or arguments[0].startswith("-"):
        arguments = ["run", *arguments]
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise InputError([f"{name}: no such command; {hint}"])
    try:
        return COMMANDS[name](rest)
    except LawBroken as error:
        told = f"error: a law of the simulation broke, nothing was saved: {error}"
        print(told, file=sys.stderr)
        return EXIT_WRONG


def _command_of(module: str, name: str = "command") -> Callable[[list[str]], int]:
    """A function of a module that is loaded when it is called: what checks a folder needs nothing of what made it."""

    def command(arguments: list[str]) -> int:
        return int(getattr(importlib.import_module(module), name)(arguments))

    return command


def _extension(module: str) -> Callable[[list[str]], int]:
    """The same of an extension, which is told what config.py holds."""

    def command(arguments: list[str]) -> int:
        config = importlib.import_module("options").read_config()
        return int(importlib.import_module(f"extensions.{module}").command(arguments, config))

    return command


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _command_of("run_command"),
    "verify": _command_of("checking", "verify_command"),
    "proof": _command_of("checking", "proof_command"),
    "clear": _extension("clear_command"),
    "compare": _extension("compare_command"),
}


if __name__ == "__main__":
    exit_code = main()
    ignore_stops()
    sys.exit(exit_code)
