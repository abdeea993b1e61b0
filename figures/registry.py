"""Every function with `@figure` above it is a figure of that name."""

from __future__ import annotations

import functools
from collections.abc import Callable

from matplotlib.figure import Figure

from figures.data import NothingToShow, Results
from figures.style import our_style, sentence

DRAWN: dict[str, Callable[[Results], Figure]] = {}


def figure(draw: Callable[[Results], Figure]) -> Callable[[Results], Figure]:
    """Enters a figure under its function's name; gives it the style, and a sentence without data."""

    @functools.wraps(draw)
    def styled(data: Results) -> Figure:
        with our_style():
            try:
                return draw(data)
            except NothingToShow as reason:
                return sentence(draw.__name__, str(reason))

    DRAWN[draw.__name__] = styled
    return styled
