"""Ctrl-C, a polite kill and a closed terminal end a command alike, as KeyboardInterrupt.

Python drops an exception that is raised while it runs a destructor or a callback of a weak
reference. So the wish to stop is also noted, and raised again at the next `stop_if_asked`: whenever
progress is told, and before results move in.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_asked = threading.Event()


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this block the signals stop the command; after it they mean what they did before."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    hook = sys.unraisablehook

    def tell(dropped: Any) -> None:
        if not (_asked.is_set() and dropped.exc_type is KeyboardInterrupt):
            hook(dropped)

    _asked.clear()
    sys.unraisablehook = tell
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        _asked.clear()


def stop(*_: Any) -> None:
    """What a signal calls: notes the wish and raises KeyboardInterrupt."""
    _asked.set()
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Raises KeyboardInterrupt where a signal has come and its exception was dropped."""
    if _asked.is_set() and _in_main_thread():
        raise KeyboardInterrupt


def stop_no_more() -> None:
    """From here on the command ends by itself, in a moment: clearing up, or a finished run moving in."""
    if _in_main_thread():
        for number in STOPS:
            if signal.getsignal(number) is stop:
                signal.signal(number, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
