"""The x axis of a run: hours, days or dates, and how steps are gathered into points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np


@dataclass(frozen=True)
class Timeline:
    """The time axis in hours since the first midnight, and how steps are gathered into points."""

    start: float
    steps: int
    step_hours: float
    date: datetime | None = None

    @property
    def hours(self) -> float:
        return self.steps * self.step_hours

    @property
    def end(self) -> float:
        return self.start + self.hours

    @property
    def steps_per_point(self) -> int:
        days = self.hours / 24
        gathered_days = 0 if days <= 14 else 1 if days <= 100 else 7
        return max(round(gathered_days * 24 / self.step_hours), 1)

    @property
    def firsts(self) -> np.ndarray:
        """The step with which each point begins (P); a last point of half or less joins its neighbour."""
        size = self.steps_per_point
        return np.arange(0, max(self.steps - size // 2, 1), size)

    @property
    def edges(self) -> np.ndarray:
        """Where points begin and end (P + 1)."""
        return self.start + self.step_hours * np.append(self.firsts, self.steps)

    @property
    def note(self) -> str:
        """What the reader must know of points that gather steps."""
        if self.steps_per_point == 1:
            return ""
        length = "day" if self.hours <= 100 * 24 else "week"
        return f" Each point: mean of one {length}."

    @property
    def span(self) -> str:
        """The length of the run in words."""
        whole_days = self.hours % 24 == 0 or self.hours > 240
        if self.hours <= 24 or not whole_days:
            return f"{self.hours:.4g} hour{'' if self.hours == 1 else 's'}"
        return f"{self.hours / 24:.4g} days"

    @property
    def per_day(self) -> tuple[float, str]:
        """(what to divide sums by, what they are then): less than a day is not made a whole one."""
        return (self.hours / 24, "per day") if self.hours >= 24 else (1.0, f"in {self.span}")

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums of the steps (T, ...) in each point (P, ...)."""
        return np.add.reduceat(values, self.firsts, axis=0)

    def rate(self, values: np.ndarray) -> np.ndarray:
        """Average per hour in each point (P): kWh of each step (T) become kW."""
        return self.total(values) / np.diff(self.edges)

    def mean(self, values: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
        """Weighted mean of each point (P) over the steps (T) that have a value; NaN where none has."""
        weight = np.where(np.isfinite(values), weights, 0.0)
        total, whole = self.total(np.nan_to_num(values) * weight), self.total(weight)
        return np.divide(total, whole, out=np.full(len(whole), np.nan), where=whole > 0)

    def by_hour_and_day(self, values: np.ndarray) -> np.ndarray:
        """Means of the steps (T) in each hour of each day (24, days); NaN where the run has no step."""
        hour = self.start + self.step_hours * np.arange(self.steps) + 1e-9
        days = int(hour[-1] // 24) + 1
        place = (hour % 24).astype(int) * days + (hour // 24).astype(int)
        total, count = (
            np.bincount(place, values, 24 * days),
            np.bincount(place, minlength=24 * days),
        )
        mean = np.divide(total, count, out=np.full(24 * days, np.nan), where=count > 0)
        return mean.reshape(24, days)

    def day(self, hour: float, pattern: str = "%-d %b") -> str:
        """The name of the day in which an hour of the axis lies."""
        if self.date is None:
            return f"day {int(hour // 24) + 1}"
        moment = self.date.replace(hour=0, minute=0) + timedelta(hours=hour)
        return moment.strftime(pattern.replace("%-d", str(moment.day)))

    def name(self, step: int) -> str:
        """When a step begins: 'at 19:00', 'on day 2 at 19:00', 'on 5 Jun at 19:00'."""
        hour = self.start + step * self.step_hours
        return f"at {clock(hour)}" if self.hours <= 24 else f"on {self.day(hour)} at {clock(hour)}"

    @property
    def label(self) -> str:
        """What the axis counts, and the year where its ticks do not say it."""
        if self.date is None:
            return "Hour of the day" if self.hours <= 30 else "Day of the run"
        if self.hours > 70 * 24:
            return "Month"
        pattern = "Hour of %-d %B %Y" if self.hours <= 30 else "%Y"
        return self.day(self.start, pattern)

    def ticks(self) -> tuple[list[float], list[str]]:
        """(places, labels) of the time axis."""
        if self.hours <= 30:
            places = multiples(
                self.start, self.end, 3.0 if self.hours > 12 else 1.0 if self.hours > 2 else 0.25
            )
            return places, [clock(x) for x in places]
        if self.hours <= 5 * 24:
            places = multiples(self.start, self.end, 12)
            days = [f"\n{self.day(x, '%a %-d %b')}" if x % 24 == 12 else "" for x in places]
            return places, [clock(x) + day for x, day in zip(places, days, strict=True)]
        if self.hours <= 14 * 24:
            places = multiples(self.start, self.end, 24 if self.hours <= 8 * 24 else 48, 12)
            return places, [self.day(x, "%a %-d %b") for x in places]
        if self.date is None or self.hours <= 70 * 24:
            gaps = (7, 14, 50, 100, 500, 5_000, 50_000)
            gap = next(days for days in gaps if self.hours / 24 / days <= 9)
            places = multiples(0, self.end, gap * 24)
            return places, [self.day(x) for x in places]
        firsts = [x for x in multiples(self.start, self.end, 24) if self.day(x, "%-d") == "1"]
        places = firsts[:: math.ceil(len(firsts) / 8)]
        years = [self.day(x, "\n%Y") for x in places]
        new = [year != before for year, before in zip(years, ["", *years], strict=False)]
        return places, [
            self.day(x, "%b") + y * n for x, y, n in zip(places, years, new, strict=True)
        ]


def clock(hour: float) -> str:
    """13.25 -> '13:15'."""
    minutes = round(hour * 60)
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def multiples(low: float, high: float, gap: float, offset: float = 0.0) -> list[float]:
    """Multiples of gap, shifted by offset, from low to high."""
    first, last = np.ceil((low - offset) / gap - 1e-9), np.floor((high - offset) / gap + 1e-9)
    return (offset + gap * np.arange(first, last + 1)).tolist()
