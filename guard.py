"""How a command ends: in words and with an exit code, whatever happens; never with a traceback.

Everything heavy is imported where it is needed, so that `stop_while_loading` is there at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

EXIT_WRONG, EXIT_INPUT, EXIT_STOPPED = 1, 2, 130
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Parser(argparse.ArgumentParser):
    """argparse, but its complaints are InputErrors like all others, with a guess at what was meant."""

    def error(self, message: str) -> NoReturn:
        from settings import InputError

        known = list(self._option_string_actions)
        near = [m for word in message.split() for m in difflib.get_close_matches(word, known, 1)]
        hint = f"did you mean {near[0]}?" if near and near[0] not in message else ""
        raise InputError([f"{message}; {hint or f'see {self.prog} --help'}"])


def stop_while_loading() -> None:
    """Ctrl-C ends the process at once: loading takes a moment, and there is nothing to clear up yet."""
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nstopped\n"), os._exit(EXIT_STOPPED)))


def guarded(command: Callable[[], int | None], stopped: str = "stopped") -> int:
    """Runs a command; returns its exit code: 0 well, 1 something is wrong, 2 bad input, 130 stopped."""
    from settings import InputError

    _demand_little_of_the_terminal()
    with _stoppable():
        try:
            try:
                return command() or 0
            finally:
                if sys.stdout:
                    sys.stdout.flush()  # here, not when Python ends: the reader may be gone (`| head`)
        except InputError as error:
            count = len(error.problems)
            print(f"error: {count} problem{'s' if count > 1 else ''} in the input", file=sys.stderr)
            for problem in error.problems:
                print(f"  {' '.join(problem.splitlines())}", file=sys.stderr)
            return EXIT_INPUT
        except KeyboardInterrupt:
            print(f"\n{stopped}", file=sys.stderr)
            return EXIT_STOPPED
        except MemoryError:
            told = "error: not enough memory for a run of this size; use fewer members or steps"
            print(told, file=sys.stderr)
            return EXIT_INPUT
        except (
            OSError
        ) as error:  # results are InputErrors; this is what prints: a full disk, `| head`
            _print_no_more()
            if not isinstance(error, BrokenPipeError):
                print(f"error: {error}", file=sys.stderr)
            return EXIT_WRONG


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C, a polite kill and a closed terminal end a command alike, as KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(*_: Any) -> None:
    stop_no_more()
    raise KeyboardInterrupt


def stop_no_more() -> None:
    """From here on the command ends by itself, in a moment: clearing up, or a finished run moving in."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def _demand_little_of_the_terminal() -> None:
    """What it cannot show, as an umlaut in ASCII, is escaped."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # no stream, or no text stream
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _print_no_more() -> None:
    """Leads the output into nothing, so that Python does not try once more when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
