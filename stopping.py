"""Ctrl-C, a polite kill and a closed terminal end a command alike, as KeyboardInterrupt.

Python drops an exception that is raised while it runs a destructor or a callback of a weak
reference. So the wish to stop is also noted, and raised again at the next `stop_if_asked`: whenever
progress is told, and before results move in.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
EXIT_STOPPED = 130
AGAIN_SECONDS = 1.0
"""A second signal within this time is the same impatient hand: it must not cut the clearing up short."""
_asked_at: float | None = None
"""When a signal came; a plain variable, because a handler may meet itself and must not wait for a lock."""


def stop_while_loading() -> None:
    """Ctrl-C ends the process at once: loading takes a moment, and there is nothing to clear up yet."""
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nstopped\n"), os._exit(EXIT_STOPPED)))


def ignore_stops() -> None:
    """The program has ended; its last moment cannot be stopped."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this block the signals stop the command; after it they mean what they did before."""
    if not _in_main_thread():
        yield
        return
    global _asked_at
    before = {number: signal.getsignal(number) for number in STOPS}
    hook = sys.unraisablehook

    def tell(dropped: Any) -> None:
        if _asked_at is None or dropped.exc_type is not KeyboardInterrupt:
            hook(dropped)

    _asked_at = None
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
        _asked_at = None


def stop(*_: Any) -> None:
    """What a signal calls: notes the wish and raises KeyboardInterrupt, again only after a while."""
    global _asked_at
    now = time.monotonic()
    if _asked_at is not None and now - _asked_at < AGAIN_SECONDS:
        return
    _asked_at = now
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Raises KeyboardInterrupt where a signal has come and its exception was dropped."""
    if _asked_at is not None and _in_main_thread():
        raise KeyboardInterrupt


def stop_no_more() -> None:
    """From here on the command ends by itself, in a moment: clearing up, or a finished run moving in."""
    if _in_main_thread():
        for number in STOPS:
            if signal.getsignal(number) is stop:
                signal.signal(number, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
