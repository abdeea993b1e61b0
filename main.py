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

from errors import InputError, LawBroken
from guard import EXIT_WRONG, guarded
from stopping import ignore_stops

COMMANDS = {  # module, and its function of the words after the name
    "run": ("run_command", "command"),
    "verify": ("checking", "verify_command"),
    "proof": ("checking", "proof_command"),
    "clear": ("extensions.clear_command", "command"),
    "compare": ("extensions.compare_command", "command"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 well, 1 something is wrong, 2 bad input or no way to
    write, 130 stopped, 141 the reader of the output has gone.

    Words that name no command belong to `run`, a simulation. Only the modules of the command are loaded, so verify
    and proof load nothing of what made the folder; and they are loaded before the command is guarded, since a
    library that is stopped while it loads blames its installation.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0].startswith("-"):
        words = ["run", *words]
    if words[0] in COMMANDS:
        importlib.import_module(COMMANDS[words[0]][0])
    return guarded(lambda: _command(*words), "stopped; earlier results are as they were")


def _command(name: str, *rest: str) -> int:
    """Runs the command of this name."""
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise InputError([f"{name}: no such command; {hint}"])
    module, function = COMMANDS[name]
    try:
        return int(getattr(importlib.import_module(module), function)(list(rest)))
    except LawBroken as error:
        told = f"error: a law of the simulation broke, nothing was saved: {error}"
        print(told, file=sys.stderr)
        return EXIT_WRONG


if __name__ == "__main__":
    exit_code = main()
    ignore_stops()
    sys.exit(exit_code)
